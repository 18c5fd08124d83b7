"""The public page in a real browser, wide and narrow, light and dark, with script and without."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from payments.models import Publication
from tests import browser as browsing

pytestmark = [pytest.mark.django_db(transaction=True), browsing.needs_chromium]


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser of its own."""
    with browsing.launched(monkeypatch) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [browsing.PHONE, browsing.DESK], ids=["phone", "desk"])
def test_is_drawn_and_read(
    live_server: Any, published: Publication, browser: Browser, screen: Any, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_context(viewport=screen, color_scheme=scheme).new_page()
    wrong = browsing.complaints(page)
    page.goto(f"{live_server.url}/transparency/")
    page.locator("figure canvas").wait_for()
    page.get_by_text("1,100,000").wait_for()
    page.get_by_text("fewer than 5 people").first.wait_for()
    page.get_by_text("50,000,000,000 sat verified on chain at block 900,000").wait_for()
    browsing.require_fitting(page)
    browsing.require_accessible(page)
    assert wrong == []


@pytest.mark.parametrize(
    ("language", "said", "paid"),
    [("es", "menos de 5 personas", "1\xa0100\xa0000"), ("ur", "5 سے کم افراد", "1,100,000")],
    ids=["es", "ur"],
)
def test_speaks_other_languages(
    live_server: Any, published: Publication, browser: Browser, language: str, said: str, paid: str
) -> None:
    page = browser.new_context(viewport=browsing.PHONE).new_page()
    page.goto(f"{live_server.url}/transparency/")
    page.locator(f"nav a[lang={language}]").click()
    page.get_by_text(said).first.wait_for()
    page.get_by_text(paid).first.wait_for()
    assert page.locator("nav.languages a[lang=en]").inner_text() == "English"
    page.locator("figure canvas").wait_for()
    browsing.require_fitting(page)
    browsing.require_accessible(page)


def test_says_the_same_without_script(live_server: Any, published: Publication, browser: Browser) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{live_server.url}/transparency/")
    assert page.get_by_text("123,456,789,012").count() == 2
    assert page.locator("figure").is_hidden()


def test_hands_out_the_file(live_server: Any, published: Publication, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{live_server.url}/transparency/")
    with page.expect_download() as started:
        page.get_by_role("link", name="All figures (JSON)").click()
    assert started.value.path().read_text() == published.document
    assert json.loads(published.document)["network"] == "regtest"


def test_says_that_there_is_nothing_yet(live_server: Any, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{live_server.url}/transparency/")
    page.get_by_text("No figures have been published yet").wait_for()
    browsing.require_accessible(page)


def test_the_look_for_what_people_stumble_over_finds_something(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content('<html lang="en"><title>t</title><main><h1>h</h1><img src="data:,"></main></html>')
    with pytest.raises(AssertionError, match="image-alt"):
        browsing.require_accessible(page)
