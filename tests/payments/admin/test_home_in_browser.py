"""The first page in a real browser: read without script, followed with it, and calm for whoever is in the middle of it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page

from govpay.models import UserSession
from payments.admin import home
from payments.models import MempoolLook, Program
from payments.payout import alarms
from tests import browser as browsing
from tests import factories
from tests.payments.admin import scenes, screens

pytestmark = [pytest.mark.django_db(transaction=True), browsing.needs_chromium]


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser of its own; pages follow quicker than they do for people."""
    monkeypatch.setattr(home, "EVERY_S", 1)
    with browsing.launched(monkeypatch) as found:
        yield found


@pytest.fixture
def furnished(program: Program, officer: User, approver: User, releaser: User) -> dict[str, Any]:
    """A program with something on every page, and a day of looks at the memory pool."""
    now = timezone.now()
    MempoolLook.objects.bulk_create(
        MempoolLook(
            at=now - timedelta(minutes=30 * n),
            tx_count=1_000 + 10 * n,
            vsize_vb=400_000 + 9_000 * (n % 17),
            least_sat_kvb=1_000,
            next_sat_kvb=4_000 + 300 * (n % 11),
            hour_sat_kvb=2_500 + 100 * (n % 7),
            day_sat_kvb=1_000,
        )
        for n in range(40)
    )
    return scenes.furnish(program, officer, approver, releaser)


def opened(browser: Browser, live_server: Any, user: User, **options: Any) -> Page:
    page = screens.signed_in(browser, live_server, user, **options)
    page.goto(f"{live_server.url}/admin/")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [browsing.PHONE, screens.WIDE], ids=["phone", "desk"])
def test_is_drawn_and_read(
    live_server: Any,
    furnished: dict[str, Any],
    browser: Browser,
    auditor: User,
    screen: Any,
    scheme: Literal["light", "dark"],
) -> None:
    page = screens.signed_in(browser, live_server, auditor, viewport=screen, color_scheme=scheme)
    wrong = browsing.complaints(page)
    page.goto(f"{live_server.url}/admin/")
    page.locator("figure canvas").wait_for()
    page.get_by_text("10,000,000 sat").first.wait_for()
    browsing.require_fitting(page)
    browsing.require_accessible(page)
    assert wrong == []


def test_says_the_same_without_script(
    live_server: Any, furnished: dict[str, Any], browser: Browser, auditor: User
) -> None:
    page = opened(browser, live_server, auditor, java_script_enabled=False)
    assert page.get_by_text("10,000,000 sat").first.is_visible()
    assert page.get_by_text("Without script this page stands still").is_visible()
    assert page.get_by_text("This page follows by itself").is_hidden()
    assert page.locator("figure canvas").is_hidden()
    page.get_by_text("as a table").click()
    assert page.get_by_text("sat/vB").last.is_visible()


def test_follows_and_says_what_is_new(
    live_server: Any, furnished: dict[str, Any], program: Program, browser: Browser, auditor: User
) -> None:
    page = opened(browser, live_server, auditor)
    page.locator("figure canvas").wait_for()
    page.get_by_text("as a table").click()
    page.locator("body").click(position={"x": 5, "y": 5})
    page.evaluate("document.activeElement.blur()")
    alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits for long.")
    page.get_by_text("It waits for long.").wait_for()
    assert page.locator("#live-news").inner_text() == "1 more alarm is open."
    # What was unfolded stays so, and the chart is drawn again.
    assert page.locator("#climate-details[open]").count() == 1
    page.locator("figure canvas").wait_for()


def test_leaves_alone_what_has_the_focus(
    live_server: Any, furnished: dict[str, Any], program: Program, browser: Browser, auditor: User
) -> None:
    page = opened(browser, live_server, auditor)
    focused = page.locator("#live a").first
    focused.focus()
    focused.evaluate("link => { window.kept = link }")
    alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits for long.")
    for _ in range(2):
        with page.expect_response(lambda answer: "/live/" in answer.url) as asked:
            pass
        assert asked.value.status == 200
    assert page.evaluate("document.activeElement === window.kept && window.kept.isConnected")
    assert page.get_by_text("It waits for long.").count() == 0
    page.evaluate("document.activeElement.blur()")
    page.get_by_text("It waits for long.").wait_for()


def test_leads_to_the_login_once_when_nobody_is_signed_in(
    live_server: Any, furnished: dict[str, Any], browser: Browser, auditor: User
) -> None:
    page = opened(browser, live_server, auditor)
    UserSession.objects.all().delete()
    page.wait_for_url(lambda url: "/admin/login/?next=/admin/" in url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)
    assert [url for url in asked if "/live/" in url] == []


def test_says_when_the_server_does_not_answer_and_goes_on_after(
    live_server: Any, furnished: dict[str, Any], browser: Browser, auditor: User
) -> None:
    page = opened(browser, live_server, auditor)
    page.route("**/live/**", lambda route: route.abort())
    page.get_by_text("what is shown may be old").wait_for()
    page.unroute("**/live/**")
    page.locator("#live-news:empty").wait_for(state="attached")


def test_stands_still_when_it_is_paused(
    live_server: Any, furnished: dict[str, Any], browser: Browser, auditor: User
) -> None:
    page = opened(browser, live_server, auditor)
    page.get_by_role("link", name="Pause", exact=True).click()
    page.get_by_role("link", name="Let it follow").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)
    assert [url for url in asked if "/live/" in url] == []


def test_is_walked_through_by_keyboard(
    live_server: Any, furnished: dict[str, Any], browser: Browser, auditor: User
) -> None:
    page = opened(browser, live_server, auditor)
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Pause", "Show the node", "Stop the engine"} <= reached
    assert any("as a table" in text for text in reached)


def test_shows_helpdesk_what_is_theirs(
    live_server: Any, furnished: dict[str, Any], program: Program, browser: Browser
) -> None:
    page = opened(browser, live_server, factories.make_member(program, "helpdesk"))
    page.get_by_text("Grievances that nobody has taken").wait_for()
    assert page.get_by_text("Balances in the books").count() == 0
