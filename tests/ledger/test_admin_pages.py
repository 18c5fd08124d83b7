"""Pages of the books that are no list: the tree of accounts, the board of breaks, seals with anchors, and the verify box."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from ledger import books, chart
from ledger.admin import tree, verifying
from ledger.books import Draft, Line, days
from ledger.models import Account, Case, Checkpoint, ReconciliationRun, Seal
from ledger.packs import evidence
from ledger.packs.evidence import Place
from tests import factories
from tests.ledger import statements

pytestmark = pytest.mark.django_db

CODES = chart.program_accounts(7)
SCOPE = chart.program_scope(7)
TREE = "/admin/ledger/account/tree/"
TRIAL = "/admin/ledger/account/trial-balance/"
BOARD = "/admin/ledger/case/board/"
CASES = "/admin/ledger/case/"
SEALS, CHECKPOINTS = "/admin/ledger/seal/", "/admin/ledger/checkpoint/"
VERIFY = "/admin/ledger/seal/verify/"


@pytest.fixture
def reader() -> Client:
    """A browser of somebody who reads the books."""
    client = Client()
    client.force_login(factories.make_user("reader", "ledger.view_entry"))
    return client


@pytest.fixture
def stranger() -> Client:
    """A browser of staff who do not read the books."""
    client = Client()
    client.force_login(factories.make_user("stranger"))
    return client


def post(key: str, day: int, amount: int) -> None:
    """Fund the wallet of program 7 on a day of November."""
    lines = [Line(CODES.hot_wallet, amount), Line(CODES.appropriation, -amount)]
    at = datetime(2026, 11, day, 23, 30, tzinfo=UTC)
    books.post(
        [
            Draft(
                kind="funding", scope=SCOPE, idempotency_key=key, lines=lines, effective_at=at, actor="engine"
            )
        ]
    )


@pytest.fixture
def booked() -> None:
    """One deposit on the 10th, one on the 20th; the first is in the days, the second is not yet."""
    chart.open_program(7)
    post("first", 10, 1_000)
    days.add_up()
    post("second", 20, 234)


def shown(client: Client, url: str, query: dict[str, str] | None = None) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200
    return answer.content.decode()


def amounts(text: str, name: str) -> list[str]:
    """Return the figures of the branch or account of that name."""
    line = text.split(f'"gl-name">{name}', 1)[1].split("</summary>")[0].split("</li>")[0]
    return re.findall('<span class="gl-number">([^<]*)</span>', line)


@pytest.mark.parametrize("page", [TREE, TRIAL])
def test_what_is_asked_is_in_the_language_of_the_page(page: str, booked: None, reader: Client) -> None:
    answer = reader.get(page, headers={"Accept-Language": "es"}).content.decode()
    assert "todos los ámbitos" in answer
    assert "Liquidado" in answer
    assert "all scopes" not in answer
    assert "Settled" not in answer


class TestTree:
    @pytest.mark.parametrize(
        ("at", "amount"),
        [
            ("2026-11-09", "0 sat"),
            ("2026-11-10", "1,000 sat"),
            ("2026-11-19", "1,000 sat"),
            ("2026-11-20", "1,234 sat"),
            ("", "1,234 sat"),
        ],
    )
    def test_shows_branches_and_accounts_at_the_end_of_a_day(
        self, at: str, amount: str, booked: None, reader: Client
    ) -> None:
        text = shown(reader, TREE, {"at": at, "layer": "settled"})
        assert amounts(text, "Assets") == amounts(text, "HotWallet") == [amount]
        assert amounts(text, "Equity") == [amount if amount == "0 sat" else f"-{amount}"]
        assert amounts(text, "Expenses") == ["0 sat"]
        assert "Balanced" in text
        assert ("now" if not at else f"at the end of {at} UTC") in text

    def test_keeps_currencies_apart_and_leads_to_accounts(self, booked: None, reader: Client) -> None:
        chart.open_program(8, money=chart.Money("PKR", 2))
        text = shown(reader, TREE)
        assert amounts(text, "Liabilities") == ["0 sat", "0.00 PKR"]
        for account in Account.objects.all():
            assert f"/admin/ledger/account/{account.pk}/change/" in text
        text = shown(reader, TREE, {"scope": SCOPE, "layer": "settled"})
        assert amounts(text, "Liabilities") == ["0 sat"]

    def test_names_roots_in_the_order_of_accountants(self, booked: None) -> None:
        assert [root.name for root in tree.grow(books.standing())] == [
            *("Assets", "Liabilities", "Equity", "Expenses")
        ]

    def test_folds_what_is_long(self, reader: Client) -> None:
        chart.open_program(7)
        assert shown(reader, TREE).count("<details open>") == 4 + 6
        for program_id in range(8, 19):
            chart.open_program(program_id)
        assert shown(reader, TREE).count("<details open>") == 4

    def test_says_what_is_no_day(self, booked: None, reader: Client) -> None:
        text = shown(reader, TREE, {"at": "yesterday", "layer": "settled"})
        assert "At the end of (UTC): Enter a valid date." in text
        assert "gl-tree" not in text

    def test_says_when_there_is_no_account(self, reader: Client) -> None:
        assert "No account yet." in shown(reader, TREE)

    def test_takes_as_many_statements_for_many_accounts(self, reader: Client) -> None:
        chart.open_program(7)
        few = statements.count(lambda: reader.get(TREE))
        for program_id in range(8, 30):
            chart.open_program(program_id)
        assert statements.count(lambda: reader.get(TREE)) == few

    def test_is_one_click_from_the_accounts_and_closed_to_others(
        self, reader: Client, stranger: Client
    ) -> None:
        assert TREE in shown(reader, "/admin/ledger/account/")
        assert stranger.get(TREE).status_code == 403


class TestTrialBalance:
    def test_at_the_end_of_a_day_is_the_same_as_line_by_line(self, booked: None, reader: Client) -> None:
        for at, time, total in (
            ("2026-11-10", "2026-11-10T23:59:59", "1,000 sat"),
            ("2026-11-20", "2026-11-20T23:59:59", "1,234 sat"),
        ):
            found = [
                shown(reader, TRIAL, query | {"layer": "settled"}) for query in ({"at": at}, {"as_of": time})
            ]
            tables = [re.sub(r"\s+", " ", text.split("<tbody>")[1]) for text in found]
            assert tables[0].split("</table>")[0] == tables[1].split("</table>")[0]
            assert tables[0].count(total) >= 4

    def test_refuses_a_day_beside_a_time(self, booked: None, reader: Client) -> None:
        query = {"at": "2026-11-10", "known_at": "2026-11-10T00:00", "layer": "settled"}
        assert "Give a day, or times: not both." in shown(reader, TRIAL, query)


class TestBalance:
    def test_of_an_account_reads_no_line_that_is_in_a_day(self, booked: None, reader: Client) -> None:
        account = Account.objects.get(code=CODES.hot_wallet)
        assert ">1,234 sat</span>" in shown(reader, f"/admin/ledger/account/{account.pk}/change/")
        days.add_up()
        assert ">1,234 sat</span>" in shown(reader, f"/admin/ledger/account/{account.pk}/change/")


@pytest.fixture
def owner() -> User:
    return factories.make_user("dalia")


@pytest.fixture
def cases(owner: User) -> list[Case]:
    """Cases of two kinds, of ages at the edges of the buckets, some with an owner; a closed one besides."""
    now = timezone.now()
    run = ReconciliationRun.objects.create(
        scope=SCOPE, status="breaks", digest=bytes(32), started_at=now, finished_at=now
    )

    def case(unit: int, kind: str, age: timedelta, **columns: Any) -> Case:
        return Case.objects.create(
            scope=SCOPE,
            kind=kind,
            unit=f"payment {unit}",
            message="It differs.",
            amount_sat=-unit,
            first_run=run,
            last_run=run,
            opened_at=now - age,
            **columns,
        )

    hour = timedelta(hours=1)
    return [
        case(1, "amount", hour),
        case(2, "amount", timedelta(days=8) - hour, owner=owner),
        case(3, "amount", timedelta(days=8) + hour),
        case(4, "fee", timedelta(days=91) - hour, owner=owner),
        case(5, "fee", timedelta(days=400)),
        case(6, "fee", timedelta(days=400), status="closed", closed_at=now),
    ]


class TestBoard:
    def test_counts_open_cases_by_kind_owner_and_age(self, cases: list[Case], reader: Client) -> None:
        by_kind, by_owner = reader.get(BOARD).context["tables"]

        def plain(rows: list[tuple[Any, ...]]) -> list[list[str]]:
            return [[re.sub("<[^>]*>", "", str(cell)) for cell in row] for row in rows]

        assert plain(by_kind.rows) == [
            ["Another amount", "1", "1", "1", "—", "—", "3", "6 sat"],
            ["Another fee", "—", "—", "—", "1", "1", "2", "9 sat"],
        ]
        assert plain(by_owner.rows) == [
            ["dalia", "—", "1", "—", "1", "—", "2", "6 sat"],
            ["nobody", "1", "—", "1", "—", "1", "3", "9 sat"],
        ]

    def test_leads_to_the_cases_that_it_counts(self, cases: list[Case], reader: Client) -> None:
        seen: list[int] = []
        for table in reader.get(BOARD).context["tables"]:
            for row in table.rows:
                for cell in row[1:6]:
                    for url in re.findall('href="([^"]*)"', str(cell)):
                        listed = reader.get(url.replace("&amp;", "&")).context["cl"].result_list
                        assert len(listed) == 1
                        seen += [case.pk for case in listed]
        assert sorted(seen) == sorted([case.pk for case in cases[:5]] * 2)

    def test_takes_garbage_for_no_filter(self, cases: list[Case], reader: Client) -> None:
        for query in ({"age": "x"}, {"age": "9" * 40}, {"owner": "=nobody else"}, {"owner": "="}):
            assert reader.get(CASES, query).status_code == 200

    def test_takes_as_many_statements_for_many_cases(self, cases: list[Case], reader: Client) -> None:
        few = statements.count(lambda: reader.get(BOARD))
        first = cases[0]
        for number in range(50):
            Case.objects.create(
                scope=SCOPE,
                kind="payee",
                unit=f"payment {100 + number}",
                message="It differs.",
                first_run_id=first.first_run_id,
                last_run_id=first.last_run_id,
                opened_at=timezone.now(),
            )
        assert statements.count(lambda: reader.get(BOARD)) == few

    def test_says_when_all_agrees_and_is_closed_to_others(self, reader: Client, stranger: Client) -> None:
        assert "No case is open: claims, books and blocks agree." in shown(reader, BOARD)
        assert BOARD in shown(reader, CASES)
        assert stranger.get(BOARD).status_code == 403


class TestAnchors:
    @pytest.fixture
    def heads(self, monkeypatch: pytest.MonkeyPatch) -> list[Checkpoint]:
        """Three seals; the first two are signed, the first is anchored."""
        made = []
        for size in (10, 20, 30):
            seal = Seal.objects.create(
                start=size - 10, size=size, root=bytes(32), cluster=1, horizon_xid=1, horizon_id=0
            )
            if size < 30:
                made.append(Checkpoint.objects.create(seal=seal, note=f"note {size}", verifier="books+1+k"))
        place = Place(5, "ab" * 32, 900_123, "00" * 32)

        def anchored(ids: list[int]) -> dict[int, Place]:
            return {made[0].pk: place} if made[0].pk in ids else {}

        backend = evidence.backend()
        monkeypatch.setattr(type(backend), "anchored", lambda self, ids: anchored(ids))
        return made

    @pytest.mark.parametrize("url", [SEALS, CHECKPOINTS])
    def test_are_beside_seals_and_checkpoints(
        self, url: str, heads: list[Checkpoint], reader: Client
    ) -> None:
        text = shown(reader, url)
        assert text.count("in block 900,123") == 1
        assert text.count("in no final block yet") == (2 if url == SEALS else 1)
        assert "/admin/payments/payout/5/change/" in text
        assert "in block 900,123" in shown(reader, f"{SEALS}{heads[0].seal_id}/change/")


class TestVerify:
    def check(self, client: Client, content: bytes, name: str = "pack.zip") -> Any:
        return client.post(VERIFY, {"file": SimpleUploadedFile(name, content)})

    @pytest.fixture
    def key(self) -> None:
        seal = Seal.objects.create(start=0, size=1, root=bytes(32), cluster=1, horizon_xid=1, horizon_id=0)
        Checkpoint.objects.create(seal=seal, note="note", verifier="books+1+k")

    def test_asks_for_a_file(self, reader: Client, stranger: Client) -> None:
        assert "Receipt (.json) or pack (.zip)" in shown(reader, VERIFY)
        assert VERIFY in shown(reader, SEALS)
        assert stranger.get(VERIFY).status_code == 403
        answer = reader.post(VERIFY)
        assert (answer.status_code, "This field is required." in answer.content.decode()) == (422, True)

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"{", "not_a_receipt"),
            (b"{}\n", None),
            (b"PK\x03\x04 cut off", "truncated"),
            (b"\x00\xff" * 50, "not_a_receipt"),
            (b"{" + b"[" * 100_000, None),
        ],
    )
    def test_says_what_is_wrong_whatever_it_is_given(
        self, content: bytes, code: str | None, key: None, reader: Client
    ) -> None:
        answer = self.check(reader, content)
        assert answer.status_code == 422
        wrong = answer.context["findings"].wrong
        assert code in (None, wrong.code)
        text = answer.content.decode()
        assert f">{wrong.code}</code>" in text
        assert "Verified</span>" not in text

    def test_proves_nothing_before_a_key_has_signed(self, reader: Client, settings: Any) -> None:
        settings.GOVPAY_SEAL_KEY = None
        answer = self.check(reader, b"{}")
        assert answer.context["findings"].wrong.code == "unknown_key"

    def test_sends_what_is_large_to_the_program(
        self, key: None, reader: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(verifying, "MOST_BYTES", 10)
        answer = self.check(reader, b"x" * 11)
        assert answer.status_code == 422
        assert "It has 11 bytes, and 10 at most are checked here." in answer.content.decode()
        assert answer.context["findings"] is None
