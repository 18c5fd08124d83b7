"""The admin's pages in Spanish and Urdu: what a catalogue can say is not said in English, and Urdu is well made."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import translation
from playwright.sync_api import Browser

from deploy import messages
from govpay import naming
from govpay.said import said, without_numbers
from ledger import events
from ledger.models import AuditEvent, Door
from payments import states
from payments.admin import cells
from payments.models import Disbursement, Payout, Program, StatusChange
from tests import browser as browsing
from tests import factories
from tests.payments.admin import scenes, screens

# What is no text to a reader, or is written by people and machines.
SILENT = {"script", "style", "code", "time", "template"}
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "rect", "path"}
WORD = re.compile(r"[A-Za-z]{3,}")


class Texts(HTMLParser):
    """Collects what a page says to a reader, in pieces as they are marked up."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Go inside."""
        given = dict(attrs)
        if tag not in VOID:
            is_symbol = "material-symbols-outlined" in (given.get("class") or "")
            # The names of languages are in their own.
            self._within.append("script" if is_symbol or ("lang" in given and tag == "button") else tag)
        self.found += [
            text for name in ("aria-label", "placeholder", "data-label") if (text := given.get(name))
        ]

    def handle_endtag(self, tag: str) -> None:
        """Come out."""
        if self._within and tag not in VOID:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        """Keep a piece of text."""
        if not SILENT & set(self._within) and (text := " ".join(data.split())):
            self.found.append(text)


def texts_of(client: Client, page: str, language: str) -> list[str]:
    answer = client.get(page, headers={"Accept-Language": language})
    assert answer.status_code == 200, page
    html = answer.content.decode()
    way = "rtl" if language == "ur" else "ltr"
    assert f'<html lang="{language}" dir="{way}"' in html
    parser = Texts()
    parser.feed(html)
    return parser.found


def left_in_english(client: Client, pages: Iterable[str], language: str) -> dict[str, list[str]]:
    """Return, by page, the pieces that the catalogue could say; a name that people gave may be one."""
    translated = {m.id: m.string for m in messages.read(language) if isinstance(m.id, str)}
    found = {
        page: [
            text
            for text in texts_of(client, page, language)
            for known in (text, without_numbers(text))
            if translated.get(known, known) not in (known, text)
        ]
        for page in pages
    }
    return {page: left for page, left in found.items() if left}


@pytest.fixture(params=messages.LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    """Each language that has a catalogue."""
    return str(request.param)


@pytest.fixture
def pages(furnished: dict[str, Any], program: Program) -> list[str]:
    """The pages that people look at most."""
    return [
        "/admin/",
        "/admin/second-factor/",
        "/admin/payments/disbursement/",
        f"/admin/payments/disbursement/{Disbursement.objects.latest('pk').pk}/change/",
        "/admin/payments/payment/",
        "/admin/payments/payout/",
        f"/admin/payments/payout/{Payout.objects.latest('pk').pk}/change/",
    ]


@pytest.mark.django_db
class TestPages:
    """What staff read."""

    def test_say_nothing_in_english_that_the_catalogue_can_say(
        self, client: Client, reader: User, pages: list[str], language: str
    ) -> None:
        client.force_login(reader)
        assert left_in_english(client, pages, language) == {}

    def test_name_states_and_reasons_of_a_history(
        self, client: Client, reader: User, furnished: dict[str, Any]
    ) -> None:
        payout = Payout.objects.latest("pk")
        for old, new, reason in (
            ("", "sealed", "payments were grouped"),
            ("sent", "mined", "a block holds it"),
        ):
            StatusChange.objects.create(
                subject="payout", subject_id=payout.pk, old=old, new=new, reason=reason
            )
        client.force_login(reader)
        for page in (cells.page_of(payout), reverse("admin:payments_statuschange_changelist")):
            found = set(texts_of(client, page, "es"))
            assert {"En un bloque", "se agruparon pagos"} <= found
            assert not {"mined", "payments were grouped"} & found

    def test_name_every_kind_of_entry(self, language: str) -> None:
        with translation.override(language):
            unsaid = [kind for kind in events.KINDS if said(kind.replace("_", " ")) == kind.replace("_", " ")]
        assert unsaid == []

    def test_of_every_list_neither(
        self, client: Client, admin_user: User, furnished: dict[str, Any], language: str
    ) -> None:
        client.force_login(admin_user)
        ours = [model._meta for model in admin.site._registry if model._meta.app_label in naming.OURS]
        lists = [reverse(f"admin:{each.app_label}_{each.model_name}_changelist") for each in ours]
        # The accounts' names are what the books call them.
        lists.remove(reverse("admin:ledger_account_changelist"))
        assert left_in_english(client, lists, language) == {}

    def test_of_every_row_neither(
        self, client: Client, admin_user: User, furnished: dict[str, Any], language: str
    ) -> None:
        client.force_login(admin_user)
        rows = [cells.page_of(row) for row in scenes.with_pages(furnished).values()]
        assert left_in_english(client, rows, language) == {}


@pytest.mark.django_db
class TestActs:
    """What is stored is the same, whatever language somebody acts in."""

    def test_are_recorded_in_english(self, client: Client, program: Program, officer: User) -> None:
        factories.fund(program, 10_000_000)
        row = factories.make_disbursement(program, officer)
        client.force_login(officer)
        page = reverse("admin:payments_disbursement_submit", args=[row.pk])
        assert client.post(page, headers={"Accept-Language": "ur"}).status_code == 302
        change = StatusChange.objects.get(subject="disbursement", subject_id=row.pk)
        assert change.reason == states.reason_of("disbursement", "draft", "submitted")
        event = AuditEvent.objects.filter(door=Door.ADMIN).latest("pk")
        assert (event.action, event.subject_id) == ("list.submit", str(row.pk))

    def test_are_told_of_in_the_language_of_whoever_did_them(
        self, client: Client, program: Program, officer: User
    ) -> None:
        factories.fund(program, 10_000_000)
        row = factories.make_disbursement(program, officer)
        client.force_login(officer)
        page = reverse("admin:payments_disbursement_submit", args=[row.pk])
        client.post(page, headers={"Accept-Language": "es"})
        found = texts_of(client, page.replace("submit", "change"), "es")
        assert f"La lista {row.pk} está presentada; otra persona la aprueba después." in found


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser of its own."""
    with browsing.launched(monkeypatch) as found:
        yield found


@browsing.needs_chromium
@pytest.mark.django_db(transaction=True)
def test_urdu_is_well_made(
    live_server: Any,
    browser: Browser,
    program: Program,
    officer: User,
    approver: User,
    releaser: User,
) -> None:
    scenes.furnish(program, officer, approver, releaser)
    row = Disbursement.objects.latest("pk")
    for screen in screens.SCREENS.values():
        page = screens.signed_in(browser, live_server, approver, viewport=screen, locale="ur")
        wrong = browsing.complaints(page)
        for url in (
            "/admin/",
            "/admin/payments/disbursement/",
            f"/admin/payments/disbursement/{row.pk}/change/",
        ):
            page.goto(f"{live_server.url}{url}")
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.lang + document.documentElement.dir") == "urrtl"
            browsing.require_fitting(page)
            browsing.require_accessible(page)
        assert wrong == []
        page.context.close()


@pytest.mark.parametrize("text", ["", None, 5, "Nobody says this 5", "{0}", "{", "5", "List {0}"])
def test_what_nobody_translates_stays(text: Any) -> None:
    with translation.override("ur"):
        assert said(text) == text or text == "List {0}"
