"""How the ledger's admin writes what reconciliation found, and how its pages are called and found in the menu."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from ledger import chart
from ledger.admin import cells
from ledger.models import Account, Break, ReconciliationRun
from ledger.reports import documents
from tests import factories
from tests.ledger import witness
from tests.ledger.witness import World, reconcile

pytestmark = pytest.mark.django_db
STRANGER = "0014" + "07" * 20


@pytest.fixture
def reader() -> Client:
    client = Client()
    client.force_login(factories.make_user("reader", "ledger.view_entry"))
    return client


@pytest.fixture
def run(world: World) -> ReconciliationRun:
    """A run that found coins which nobody booked, and a payment to a stranger's script."""
    world.deposit(9, 7_000_000, is_booked=False)
    world.bend_output(witness.digest_of("payout", 1), 1, script_pubkey=bytes.fromhex(STRANGER))
    return reconcile()


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def head(html: str) -> list[str]:
    """Return the way at the head of a page."""
    found = re.search(r"<h1[^>]*>(.*?)</h1>", html, re.DOTALL)
    assert found is not None
    return re.findall(r'tracking-tight">\s*(.*?)\s*</', found[1], re.DOTALL)


def marked(html: str) -> list[str]:
    """Return what the menu marks."""
    items = re.findall(r'<a href="([^"]*)" class="flex h-\[38px\][^"]* active"', html)
    return [str(item) for item in items]


class TestBreak:
    def test_is_one_low_row_with_the_whole_on_its_page(self, reader: Client, run: ReconciliationRun) -> None:
        row = Break.objects.get(run=run, kind="payee")
        text = page(reader, reverse("admin:ledger_break_changelist"))
        assert f'title="{STRANGER}">{STRANGER[:8]}…{STRANGER[-6:]}<' in text
        assert f">{STRANGER}<" not in text
        assert f">{STRANGER}<" in page(reader, reverse("admin:ledger_break_change", args=[row.pk]))

    def test_has_its_satoshis_grouped(self, reader: Client, run: ReconciliationRun) -> None:
        text = page(reader, reverse("admin:ledger_break_changelist"))
        assert '<span class="gl-number">7,000,000 sat</span>' in text
        assert "7,000,000 sat came in and 0 sat are booked for it." in text

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("Payment 12345 is paid 1999 sat instead of 20000.", "Payment 12345 is paid 1,999 sat instead of 20,000."),
            ("By the books 1,234,567 sat are unspent.", "By the books 1,234,567 sat are unspent."),
            ("<b>", "&lt;b&gt;"),
            (f"Spent by {'ab' * 32}.", "Spent by abababab…ababab."),
        ],
    )  # fmt: skip
    def test_sentence(self, text: str, shown: str) -> None:
        assert f">{shown}<" in cells.sentence(text, is_short=True)

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("-12345", "-12,345 sat"),
            ("ab" * 32, "abababab…ababab"),
            ("block 7", "block 7"),
            ("", cells.EMPTY),
        ],
    )
    def test_side(self, text: str, shown: str) -> None:
        assert re.sub("<[^>]*>", "", cells.compared(text, is_short=True)) == shown


class TestRun:
    def test_counts_what_there_is_and_no_zeros(self, reader: Client, run: ReconciliationRun) -> None:
        assert (run.counts["unknown_in"], run.counts["evicted"]) == (1, 0)
        text = page(reader, reverse("admin:ledger_reconciliationrun_change", args=[run.pk]))
        assert "<td>unknown in</td>" in text
        assert "<td>evicted</td>" not in text


class TestPlace:
    def test_account_keeps_its_name_in_the_title(self, reader: Client, world: World) -> None:
        code = chart.program_accounts(7).payable
        row = Account.objects.get(code=code)
        answer = reader.get(reverse("admin:ledger_account_change", args=[row.pk]))
        assert answer.context["title"] == code

    def test_head_of_a_report_names_it(self, reader: Client, world: World) -> None:
        url = reverse("admin:ledger_report", args=["fees"])
        assert head(page(reader, url))[-1] == documents.get_document("fees").title
        assert head(page(reader, reverse("admin:ledger_account_trial_balance")))[-1] == "Trial balance"

    def test_menu_marks_one_item(self, reader: Client, world: World) -> None:
        reports, accounts = (
            reverse("admin:ledger_account_show_reports"),
            reverse("admin:ledger_account_changelist"),
        )
        assert marked(page(reader, reverse("admin:ledger_report", args=["fees"]))) == [reports]
        assert marked(page(reader, accounts)) == [accounts]
        assert marked(page(reader, reverse("admin:ledger_account_trial_balance"))) == [accounts]

    def test_menu_has_an_icon_for_each_table_of_the_ledger(self, reader: Client) -> None:
        text = page(reader, reverse("admin:index"))
        items = re.findall(
            r'href="/admin/ledger/\w+/(?:reports/)?".*?material-symbols-outlined[^>]*>\s*(\w+)',
            text,
            re.DOTALL,
        )
        assert len(items) >= 10
        assert len(set(items)) == len(items)

    def test_empty_periods_promise_no_button(self, reader: Client) -> None:
        text = page(reader, reverse("admin:ledger_period_changelist"))
        assert "No period was opened" in text
        assert "button above" not in text
