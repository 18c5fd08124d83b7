"""The way from a list, a payout and a payment to what is booked for them, there and back."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ledger import books, conversion, events
from ledger.models import Entry, Posting
from payments.admin import cells
from payments.models import Disbursement, Payment, Payout, Program, Rail
from tests import railing

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

Browser = Callable[[User], Client]


@pytest.fixture
def entry(furnished: dict[str, Any]) -> Entry:
    """What is booked when the payout is sent."""
    payout: Payout = furnished["payout"]
    payments = list(Payment.objects.filter(payout=payout).order_by("pk"))
    draft = events.payout_sent(
        program_id=furnished["program"].pk,
        payout_id=payout.pk,
        payment_ids=[payment.pk for payment in payments],
        amounts_sat=[payment.amount_sat for payment in payments],
        fee_sat=1_234,
        effective_at=NOON,
    )
    (entry_id,) = books.post([draft])
    return Entry.objects.get(pk=entry_id)


@pytest.fixture
def reader(auditor: User) -> User:
    """The auditor, who reads the books too."""
    auditor.user_permissions.add(Permission.objects.get(codename="view_entry"))
    return User.objects.get(pk=auditor.pk)


def section(client: Client, row: Any) -> str:
    """Return the part of a row's page about the books, or nothing."""
    html = client.get(cells.page_of(row)).content.decode()
    found = re.search(
        r'<section class="gp-card">\s*<header[^>]*>\s*<h2>In the books</h2>.*?</section>', html, re.DOTALL
    )
    return found[0] if found else ""


def followed(client: Client, part: str) -> str:
    """Return the list that the part leads to."""
    found = re.search(r'href="([^"]*)">Open in the journal', part)
    assert found is not None
    answer = client.get(found[1])
    assert answer.status_code == 200
    return answer.content.decode()


class TestPayout:
    def test_leads_to_its_entries(
        self, entry: Entry, furnished: dict[str, Any], reader: User, browser: Browser
    ) -> None:
        client = browser(reader)
        part = section(client, furnished["payout"])
        assert cells.page_of(entry) in part
        assert "payout sent" in part
        assert cells.page_of(entry) in followed(client, part)

    def test_shows_none_of_it_to_who_does_not_read_the_books(
        self, entry: Entry, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        for noun in ("payout", "disbursement", "payment"):
            assert section(browser(auditor), furnished[noun]) == ""


class TestPayment:
    def test_leads_to_its_own_line_and_no_other(
        self, entry: Entry, furnished: dict[str, Any], reader: User, browser: Browser
    ) -> None:
        client = browser(reader)
        own, other = Posting.objects.filter(entry=entry, reference__isnull=False).order_by("pk")
        part = section(client, Payment.objects.get(pk=own.reference))
        assert f"{own.amount:,} sat" in part
        lines = followed(client, part)
        assert cells.page_of(own) in lines
        assert cells.page_of(other) not in lines

    def test_says_that_nothing_is_booked(
        self, entry: Entry, furnished: dict[str, Any], reader: User, browser: Browser
    ) -> None:
        left = Payment.objects.filter(payout=None)[0]
        assert "Nothing is booked yet." in section(browser(reader), left)


class TestList:
    def test_leads_to_its_encumbrance(
        self, furnished: dict[str, Any], reader: User, browser: Browser
    ) -> None:
        made = furnished["disbursement"]
        booked = Entry.objects.filter(source_ref=f"disbursement:{made.pk}")
        part = section(browser(reader), made)
        assert booked
        assert all(cells.page_of(entry) in part for entry in booked)
        assert all(cells.page_of(entry) in followed(browser(reader), part) for entry in booked)


class TestScope:
    @pytest.mark.parametrize("page", ["account", "entry", "account/trial-balance", "account/tree"])
    def test_is_called_by_its_program(
        self, page: str, entry: Entry, furnished: dict[str, Any], reader: User, browser: Browser
    ) -> None:
        program = furnished["program"]
        shown = browser(reader).get(f"/admin/ledger/{page}/").content.decode()
        assert f"{program.code} ({program.scope})" in shown


class TestMoney:
    """What is booked in rupees is shown in rupees."""

    @pytest.fixture
    def cast(self, db: None) -> railing.Cast:
        return railing.make_cast(railing.make_money())

    @pytest.fixture
    def made(self, cast: railing.Cast) -> Disbursement:
        return railing.release(railing.draft(Program.objects.get(), cast, Rail.VOUCHER), cast)

    def test_of_a_list_is_of_its_currency(
        self, made: Disbursement, cast: railing.Cast, browser: Browser
    ) -> None:
        cast[3].user_permissions.add(Permission.objects.get(codename="view_entry"))
        client = browser(User.objects.get(pk=cast[3].pk))
        kinds = Entry.objects.filter(source_ref=f"disbursement:{made.pk}").order_by("pk")
        assert list(kinds.values_list("kind", flat=True)) == ["encumbrance", "commitment", "rail_sent"]
        # A commitment ends the encumbrance and makes what is owed.
        assert figures(section(client, made)) == ["30,000.00 PKR", "60,000.00 PKR", "30,000.00 PKR"]
        first = made.payments.get(line=1)
        assert figures(section(client, first)) == ["14,500.00 PKR"]
        assert client.get("/admin/ledger/entry/").content.decode().count(">30,000.00 PKR</span>") == 2

    def test_of_a_conversion_is_of_both(
        self, made: Disbursement, cast: railing.Cast, browser: Browser
    ) -> None:
        draft = conversion.conversion(
            program_id=made.program_id,
            disbursement_id=made.pk,
            converted=conversion.Converted(1_450_000, 51_601, 12),
            effective_at=NOON,
            actor="carmen",
            approver="bruno",
            memo="",
        )
        (entry_id,) = books.post([draft])
        cast[3].user_permissions.add(Permission.objects.get(codename="view_entry"))
        client = browser(User.objects.get(pk=cast[3].pk))
        assert "51,601 sat; 14,500.00 PKR" in section(client, made)
        page = client.get(f"/admin/ledger/entry/{entry_id}/change/").content.decode()
        assert "51,601 sat; 14,500.00 PKR" in page


def figures(part: str) -> list[str]:
    return re.findall('<span class="gp-number">([^<]*)</span>', part)
