"""Reports in the admin: who looks, the way from a balance to a payment, and files to download."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from ledger import books
from ledger.admin import reports as pages
from ledger.models import Account, AccountKind, Entry
from ledger.reports import documents
from payments.admin import sources
from tests import factories
from tests.ledger import statements
from tests.ledger.months import CODES, SCOPE

INDEX = "/admin/ledger/account/reports/"

pytestmark = pytest.mark.django_db


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def reader(entry_ids: list[int]) -> Client:
    """A browser of somebody who reads the books of the two months and may do nothing else."""
    return browser(factories.make_user("reader", "ledger.view_entry", "ledger.view_auditevent"))


def page(client: Client, name: str, status: int = 200, **query: str) -> str:
    answer = client.get(f"{INDEX}{name}/", query)
    assert answer.status_code == status, answer.content
    return answer.content.decode()


def texts(html: str) -> list[list[str]]:
    """Return the cells of the rows as they are read."""
    body = html.split("<tbody>")[1].split("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        for row in rows
    ]


class TestAccess:
    PATHS = ["", "fees/", "fees/csv/", "journal/beancount/"]

    @pytest.mark.parametrize("path", PATHS)
    def test_is_for_readers_of_the_books(self, entry_ids: list[int], path: str) -> None:
        assert Client().get(INDEX + path).status_code == 302
        other = factories.make_user("other", "ledger.view_account")
        assert browser(other).get(INDEX + path).status_code in (302, 403, 404)

    @pytest.mark.parametrize("path", PATHS[1:])
    def test_changes_nothing_when_posted_to(self, reader: Client, path: str) -> None:
        before = Entry.objects.count(), Account.objects.count()
        reader.post(INDEX + path, {"scope": SCOPE})
        assert (Entry.objects.count(), Account.objects.count()) == before

    def test_is_in_the_menu_of_readers(self, reader: Client) -> None:
        assert f'href="{INDEX}"' in reader.get("/admin/ledger/entry/").content.decode()


class TestIndex:
    def test_leads_to_every_document(self, reader: Client) -> None:
        html = reader.get(INDEX).content.decode()
        for name in documents.DOCUMENTS:
            assert f'href="{INDEX}{name}/"' in html
            assert reader.get(f"{INDEX}{name}/").status_code == 200


class TestPage:
    def test_shows_what_accountants_read(self, reader: Client) -> None:
        html = page(reader, "statement", scope=SCOPE, month="2026-11")
        assert texts(html)[0] == ["held before", "", "", "sat", "818,766"]
        assert ["assets", CODES.hot_wallet, "Funding wallet", "sat", "728,065"] in texts(html)
        assert "From 2026-11-01 00:00:00 UTC before 2026-12-01 00:00:00 UTC" in html

    def test_asks_for_what_it_needs_before_it_shows_anything(self, reader: Client) -> None:
        for name in ("statement", "general-ledger"):
            html = page(reader, name)
            assert "<tbody>" not in html
            assert "gl-problem" not in html
        assert "Statement of a program needs scope" in page(reader, "statement", 422, month="2026-11")

    @pytest.mark.parametrize(
        ("name", "query"),
        [
            ("fees", {"month": "2026-13"}),
            ("fees", {"month": "٢٠٢٦-11"}),
            ("fees", {"since": "yesterday"}),
            ("fees", {"since": "2026-11-02T00:00:00", "before": "2026-11-01T00:00:00"}),
            ("fees", {"scope": "program:99"}),
            ("trial-balance", {"layer": "gold"}),
            ("general-ledger", {"account": "Nope"}),
            ("journal", {"account": "Nope"}),
        ],
    )
    def test_says_what_it_cannot_read(self, reader: Client, name: str, query: dict[str, str]) -> None:
        html = page(reader, name, 422, **query)
        assert "gl-problem" in html
        assert "<tbody>" not in html

    def test_of_an_unknown_report_is_not_found(self, reader: Client) -> None:
        page(reader, "balance-sheet", 404)

    def test_shows_the_first_rows_of_many(self, reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "SHOWN", 2)
        html = page(reader, "general-ledger", month="2026-11")
        assert len(texts(html)) == 2
        assert "The first 2 rows; a file has all of them." in html

    def test_lets_no_name_be_markup(self, reader: Client) -> None:
        books.open_accounts(
            "x", [books.NewAccount("Assets:X", "<script>alert(1)</script>\u202e", AccountKind.ASSET)]
        )
        html = page(reader, "trial-balance", scope="x")
        assert "<script>alert(1)" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html

    def test_takes_as_many_statements_however_long_it_is(self, reader: Client) -> None:
        def count(month: str) -> int:
            return statements.count(lambda: page(reader, "general-ledger", month=month))

        # What scopes are called is asked once in a process.
        count("2026-09")
        # Scopes, periods, the checkpoint, the rows.
        assert count("2026-09") == count("2026-11") == 4


class TestDrillDown:
    def test_leads_from_a_statement_to_the_lines_of_an_account(self, reader: Client) -> None:
        html = page(reader, "statement", scope=SCOPE, month="2026-11")
        found = re.search(rf'href="([^"]+)">{CODES.in_transit}</a>', html)
        assert found is not None
        lines = texts(reader.get(found[1].replace("&amp;", "&")).content.decode())
        assert [row[-1] for row in lines] == ["0", "40,000", "90,000", "270,000", "270,000"]

    def test_leads_from_a_balance_to_its_lines_to_an_entry_to_its_payout(self, reader: Client) -> None:
        html = page(reader, "trial-balance", month="2026-10")
        ledger = re.search(rf'href="([^"]+)">{CODES.hot_wallet}</a>', html)
        assert ledger is not None
        lines = reader.get(ledger[1].replace("&amp;", "&")).content.decode()
        assert [row[3] for row in texts(lines)] == ["opening", "line", "line", "closing"]
        assert texts(lines)[-1][-1] == "818,766"
        entry = Entry.objects.get(idempotency_key="payout_sent:payout:1")
        address = reverse("admin:ledger_entry_change", args=[entry.pk])
        assert f'href="{address}"' in lines
        shown = reader.get(address).content.decode()
        assert f'href="{reverse("admin:payments_payout_change", args=[1])}"' in shown
        for number in (1, 2, 3):
            assert f'href="{reverse("admin:payments_payment_change", args=[number])}"' in shown

    @pytest.mark.parametrize(
        ("source_ref", "expected"),
        [
            ("payout:12", "/admin/payments/payout/12/change/"),
            ("payment:3", "/admin/payments/payment/3/change/"),
            ("disbursement:4", "/admin/payments/disbursement/4/change/"),
            (f"outpoint:{'ab' * 32}:1", f"/admin/payments/coin/?q={'ab' * 32}"),
            ("output:<x>&y:1", "/admin/payments/coin/?q=%3Cx%3E%26y"),
            ("payout:", None),
            ("payout:x", None),
            ("payout:٣", None),
            ("payout:" + "9" * 19, None),
            ("secret:1", None),
            ("", None),
        ],
    )
    def test_knows_where_a_source_has_its_page(self, source_ref: str, expected: str | None) -> None:
        assert sources.page_of(source_ref) == expected


class TestDownload:
    @pytest.mark.parametrize(
        ("name", "form"),
        [
            (name, form.name)
            for name, document in documents.DOCUMENTS.items()
            for form in documents.forms_of(document)
        ],
    )
    def test_gives_every_form_that_a_page_offers(
        self, reader: Client, settings: Any, name: str, form: str
    ) -> None:
        settings.GOVPAY_SEAL_KEY = bytes(32)
        document = documents.DOCUMENTS[name]
        # No institution has lots here, so that none can be chosen.
        scope = "" if document.of_lots else SCOPE
        query = {"month": "2026-10", "scope": scope, "account": CODES.hot_wallet}
        query = {key: value for key, value in query.items() if key in document.parameters}
        html = page(reader, name, **query)
        link = re.search(rf'href="([^"]+/{form}/\?[^"]+)"', html)
        assert link is not None
        answer: Any = reader.get(link[1].replace("&amp;", "&"))
        assert answer.status_code == 200
        assert answer["Content-Type"] == documents.FORMS[form].media_type
        assert answer["Content-Disposition"].startswith(f'attachment; filename="{name}')
        assert len(b"".join(answer.streaming_content)) > 60

    @pytest.mark.parametrize(
        ("name", "form", "query", "message"),
        [
            ("fees", "signed", {}, "GOVPAY_SEAL_KEY is not set"),
            ("fees", "xls", {}, "can be had as"),
            ("account-statement", "camt053", {"account": CODES.payable}, "is no asset"),
            ("statement", "csv", {}, "needs scope"),
            ("fees", "csv", {"month": "x"}, "month"),
            ("general-ledger", "csv", {"account": "Nope"}, "There is no account Nope."),
            ("monthly-account", "signed", {"month": "9998-01"}, "is signed once its time is over"),
        ],
    )
    def test_leads_back_where_it_cannot(
        self, reader: Client, settings: Any, name: str, form: str, query: dict[str, str], message: str
    ) -> None:
        settings.GOVPAY_SEAL_KEY = None
        answer = reader.get(f"{INDEX}{name}/{form}/", query, follow=True)
        assert answer.redirect_chain[0][0].startswith(f"{INDEX}{name}/")
        assert message in answer.content.decode()
