"""The pages of people in a real browser, which refuses and sends what no test client does."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Page

from payments.models import Destination, Election, Grievance, Message, Program
from payments.onchain import address as addresses
from payments.onchain import network
from payments.services import claim_links
from tests import claiming, factories
from tests.browser import PHONE, complaints, launched, needs_chromium, require_accessible, require_fitting

MOST_BYTES = 100_000
NATIONAL_ID = "35202-7654321-1"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    needs_chromium,
]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A telephone's page of a new browser."""
    cache.clear()
    with launched(monkeypatch) as browser:
        yield browser.new_page(viewport=PHONE)


def require_good(page: Page) -> None:
    """It fits the screen, and nobody stumbles over it."""
    require_fitting(page)
    require_accessible(page)


def test_a_person_claims_by_the_link_of_a_message(
    live_server: Any, program: Program, officer: User, approver: User, releaser: User, page: Page
) -> None:
    factories.fund(program, 1_000_000)
    draft = claiming.waiting_list(program, officer, amounts_sat=[60_000], without=[1])
    released = claiming.release(draft, officer, approver, releaser)
    slip = claim_links.print_slips(by=officer, disbursement_id=released.pk)[0]

    page.goto(f"{live_server.url}/person/claim/#{slip.secret}")
    assert page.url == f"{live_server.url}/person/claim/"
    page.get_by_label("Your identity number").fill("no such number")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("do not fit together").wait_for()
    require_good(page)

    assert page.get_by_label("The code on your slip").input_value() == slip.secret
    page.goto(f"{live_server.url}/person/claim/#{'0' * 26}")
    assert page.get_by_label("The code on your slip").input_value() == "0" * 26
    page.get_by_label("The code on your slip").fill(slip.secret)
    page.get_by_label("Your identity number").fill(claiming.NATIONAL_ID.format(1))
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("1 payment of 60000 satoshis waits for you.").wait_for()
    require_good(page)

    person = slip.link.enrollment
    page.get_by_label("The six digits").fill(claim_links.hand_code(by=officer, enrollment_id=person.pk))
    page.get_by_label("Your address").fill(
        addresses.address_from_script(factories.make_script(), network.current())
    )
    page.get_by_role("button", name="Send it").click()
    page.get_by_role("heading", name="We have your address").wait_for()
    require_good(page)
    assert Destination.objects.filter(beneficiary=person.beneficiary, is_current=True).count() == 1


def test_a_person_lodges_a_grievance_and_follows_it(live_server: Any, program: Program, page: Page) -> None:
    page.goto(f"{live_server.url}/person/grievance/")
    page.get_by_label("What happened?").fill("Nothing came.")
    page.get_by_role("button", name="Send it").click()
    page.get_by_text("The code is shown only now.").wait_for()
    require_good(page)
    secret = page.locator("code").inner_text()

    page.get_by_role("link", name="Read the answer").click()
    page.get_by_label("Number").fill(str(Grievance.objects.get().pk))
    page.get_by_label("Code").fill(secret)
    page.get_by_role("button", name="Show it").click()
    page.get_by_text("Nobody works on it yet").wait_for()
    require_good(page)
    page.get_by_role("button", name="I take it back").click()
    page.get_by_text("You took it back").wait_for()


@pytest.mark.parametrize("language", ["en", "es", "ur"])
def test_a_person_elects_currency_with_digits_from_a_message(
    live_server: Any, program: Program, page: Page, language: str
) -> None:
    purse = factories.make_trust(cash_minor=5_000_000).purses.get()
    person = factories.make_enrollment(program)
    claiming.know(person.beneficiary, NATIONAL_ID, phone="+923000000001")
    page.goto(f"{live_server.url}/person/election/?lang={language}")
    require_good(page)
    page.locator("[name=reference]").fill(person.reference)
    page.locator("[name=national_id]").fill(NATIONAL_ID)
    page.locator("button").click()
    page.locator("[name=code]").wait_for()
    assert page.get_by_role("radio", checked=True).get_attribute("value") == "bitcoin"
    require_good(page)
    content = Message.objects.get().content
    assert content is not None
    page.get_by_role("radio").nth(1).check()
    page.locator("[name=code]").fill("1")
    page.locator("button").click()
    page.get_by_role("alert").wait_for()
    require_good(page)
    assert page.get_by_role("radio", checked=True).get_attribute("value") == str(purse.pk)
    page.locator("[name=code]").fill(re.findall(r"[0-9]{6}", content["text"])[0])
    page.locator("button").click()
    page.get_by_role("status").wait_for()
    require_good(page)
    assert Election.objects.get().purse == purse


@pytest.mark.parametrize(
    ("language", "begun", "refused"),
    [
        ("es", "Su número de identidad", "El código y los números no coinciden"),
        ("ur", "آپ کا شناختی نمبر", "کوڈ اور نمبر آپس میں نہیں ملتے"),
    ],
)
def test_a_person_is_spoken_to_in_their_language(
    live_server: Any, db: None, page: Page, language: str, begun: str, refused: str
) -> None:
    heard = complaints(page)
    page.goto(f"{live_server.url}/person/claim/#{'0' * 26}")
    page.locator(f"nav a[lang={language}]").click()
    page.get_by_label(begun).wait_for()
    require_good(page)
    assert heard == []
    page.locator("input[name=secret]").fill("0" * 26)
    page.get_by_label(begun).fill("35202-1234567-1")
    page.locator("button").click()
    page.get_by_text(refused).wait_for()
    require_good(page)
    assert page.url.endswith(f"?lang={language}")
    # The refusal's status is all that the browser remarks on.
    assert [line for line in heard if "404" not in line] == []
    for link in ("grievance/", "grievance/follow/"):
        page.goto(f"{live_server.url}/person/{link}?lang={language}")
        require_good(page)


def test_a_page_is_small(live_server: Any, db: None, page: Page) -> None:
    sizes: list[int] = []
    page.on("response", lambda answer: sizes.append(len(answer.body())))
    for address in ("claim/", "election/", "grievance/", "grievance/follow/"):
        sizes.clear()
        page.goto(f"{live_server.url}/person/{address}?lang=ur", wait_until="networkidle")
        assert sizes
        assert sum(sizes) < MOST_BYTES


def test_a_form_without_its_cookie_is_answered_in_our_words(db: None) -> None:
    response = Client(enforce_csrf_checks=True).post("/person/grievance/", {"text": "Nothing came."})
    assert response.status_code == 403
    page = response.content.decode()
    assert "The form is too old" in page
    assert '<a href="/person/grievance/">Open it anew</a>' in page
