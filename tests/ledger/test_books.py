"""Posting, reversing and adding up: what is refused, what is repeated without harm, what balances."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from govpay.errors import NotFound, SamePersonTwice
from ledger import books, chart
from ledger.books import Draft, Line
from ledger.models import Account, AccountKind, Entry, Posting
from tests.racing import race

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CODES = chart.program_accounts(7)
SCOPE = chart.program_scope(7)


def draft(key: str = "key", lines: list[Line] | None = None, **columns: Any) -> Draft:
    """A deposit of 1,000 sat unless told otherwise."""
    values: dict[str, Any] = {
        "kind": "funding",
        "scope": SCOPE,
        "idempotency_key": key,
        "lines": lines or [Line(CODES.hot_wallet, 1_000), Line(CODES.appropriation, -1_000)],
        "effective_at": NOON,
        "actor": "engine",
    }
    return Draft(**values | columns)


def transfer(amount: int) -> list[Line]:
    """Lines that move an amount from the appropriation into the wallet."""
    return [Line(CODES.hot_wallet, amount), Line(CODES.appropriation, -amount)]


def rows() -> tuple[int, int]:
    """Count entries and postings."""
    return Entry.objects.count(), Posting.objects.count()


def lines_of(entry_id: int) -> list[tuple[str, int, int | None]]:
    """Read an entry's lines in order."""
    found = Posting.objects.filter(entry_id=entry_id).order_by("pk")
    return list(found.values_list("account__code", "amount", "reference"))


def reverse(entry_id: int, key: str = "reversal") -> int:
    """Reverse an entry at noon."""
    return books.reverse(entry_id, idempotency_key=key, effective_at=NOON, memo="A mistake", actor="auditor")


@pytest.fixture
def opened(db: None) -> None:
    """The accounts of program 7."""
    chart.open_program(7)


@pytest.mark.usefixtures("opened")
class TestPost:
    def test_writes_the_entry_and_its_lines_in_order(self) -> None:
        lines = [Line(CODES.in_transit, 40, 1), Line(CODES.in_transit, 60, 2), Line(CODES.hot_wallet, -100)]
        (entry_id,) = books.post(
            [
                draft(
                    "sent",
                    lines,
                    kind="payout_sent",
                    memo="November",
                    source_ref="payout:3",
                    actor="engine",
                    approver="approver",
                    block_hash="ab" * 32,
                    block_height=5,
                )
            ]
        )
        assert lines_of(entry_id) == [
            (CODES.in_transit, 40, 1),
            (CODES.in_transit, 60, 2),
            (CODES.hot_wallet, -100, None),
        ]
        entry = Entry.objects.values().get(pk=entry_id)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()::text")
            assert (str(entry.pop("insert_xid")),) == cursor.fetchone()
        assert abs(entry.pop("recorded_at") - datetime.now(UTC)) < timedelta(minutes=5)
        same = draft("sent", lines, kind="payout_sent", source_ref="payout:3")
        assert bytes(entry.pop("input_hash")) == same.input_hash()
        assert entry == {
            "id": entry_id,
            "kind": "payout_sent",
            "scope": "program:7",
            "idempotency_key": "sent",
            "effective_at": NOON,
            "original_at": None,
            "memo": "November",
            "reversal_of_id": None,
            "source_ref": "payout:3",
            "actor": "engine",
            "approver": "approver",
            "block_hash": "ab" * 32,
            "block_height": 5,
        }

    @pytest.mark.parametrize(
        "amounts",
        [
            [],
            [0],
            [5],
            [5, -4],
            [5, 0, -5],
            [0, 0],
            [1.5, -1.5],
            [True, -1],
            ["5", "-5"],
            [None, 1],
            [2**63, -(2**63)],
            [2**63 - 1, 2, -(2**63) + 1, -2, 1],
        ],
    )
    def test_refuses_lines_that_do_not_balance_before_any_statement(self, amounts: list[Any]) -> None:
        wrong = Draft(
            kind="funding",
            scope=SCOPE,
            idempotency_key="wrong",
            lines=[Line(CODES.hot_wallet, amount) for amount in amounts],
            effective_at=NOON,
            actor="engine",
        )
        with CaptureQueriesContext(connection) as captured, pytest.raises(books.UnbalancedEntry):
            books.post([draft("right"), wrong])
        assert not [query["sql"] for query in captured if "ledger_" in query["sql"]]
        assert rows() == (0, 0)

    def test_refuses_one_person_as_actor_and_approver_by_its_code(self) -> None:
        with pytest.raises(SamePersonTwice, match="key: officer is its actor") as caught:
            books.post([draft("right"), draft(actor="officer", approver="officer")])
        assert caught.value.code == "same_person_twice"
        assert rows() == (0, 0)

    def test_accepts_the_largest_amount(self) -> None:
        books.post([draft(lines=transfer(books.MOST))])
        assert books.balance(CODES.hot_wallet) == 2**63 - 1

    def test_refuses_an_account_that_was_never_opened(self) -> None:
        lines = [Line("Assets:Nowhere", 5), Line("Assets:NoWhereElse", -5)]
        with pytest.raises(books.AccountMissing) as refused:
            books.post([draft("right"), draft("wrong", lines)])
        assert refused.value.details == {"accounts": ["Assets:NoWhereElse", "Assets:Nowhere"]}
        assert rows() == (0, 0)

    def test_does_nothing_for_no_entries(self) -> None:
        with CaptureQueriesContext(connection) as captured:
            assert books.post([]) == []
        assert [query["sql"].split()[0] for query in captured] == ["SAVEPOINT", "RELEASE"]

    def test_returns_the_ids_in_the_order_of_the_batch(self) -> None:
        (middle,) = books.post([draft("b", transfer(2))])
        ids = books.post([draft("c", transfer(3)), draft("b", transfer(2)), draft("a", transfer(1))])
        assert ids[1] == middle
        keys = dict(Entry.objects.values_list("pk", "idempotency_key"))
        assert [keys[entry_id] for entry_id in ids] == ["c", "b", "a"]
        assert rows() == (3, 6)

    def test_takes_an_entry_of_3000_lines_whole(self) -> None:
        lines = [Line(CODES.in_transit, n, n) for n in range(1, 3_000)]
        lines.append(Line(CODES.hot_wallet, -2_999 * 3_000 // 2))
        (entry_id,) = books.post([draft("long", lines)])
        assert lines_of(entry_id) == [tuple(line[:3]) for line in lines]
        assert books.balance(CODES.in_transit) == 4_498_500
        assert books.trial_balance().is_balanced

    @pytest.mark.parametrize(("entries", "lines"), [(1, 2), (100, 2), (3, 1_000)])
    def test_takes_as_many_statements_whatever_it_posts(self, entries: int, lines: int) -> None:
        batch = [
            draft(f"entry {n}", [Line(CODES.hot_wallet, 1), Line(CODES.in_transit, -1)] * (lines // 2))
            for n in range(entries)
        ]
        with CaptureQueriesContext(connection) as captured:
            books.post(batch)
        touching = [query["sql"].split()[0] for query in captured if "ledger_" in query["sql"]]
        assert touching == ["SELECT", "WITH"]
        assert rows() == (entries, entries * lines)

    def test_reads_no_more_of_the_books_the_more_there_are(self) -> None:
        """The first batches are planned while nobody has counted what the books hold."""
        for batch in range(30):
            books.post([draft(f"old {batch} {n}") for n in range(100)])
        before = entries_read()
        books.post([draft(f"new {n}") for n in range(10)])
        assert entries_read() - before <= 50


def entries_read() -> int:
    """Count the rows of entries and lines that this database transaction has read, by whatever way."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_all_tables"
            " WHERE relname IN ('ledger_entry', 'ledger_posting')"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("opened")
class TestPostAgain:
    def test_returns_the_same_entry_and_adds_nothing(self) -> None:
        first = books.post([draft("a"), draft("b")])
        assert books.post([draft("a"), draft("b")]) == first
        assert rows() == (2, 4)

    def test_ignores_another_time_and_memo(self) -> None:
        first = books.post([draft()])
        again = draft(
            effective_at=NOON + timedelta(days=1), memo="Again", block_hash="cd" * 32, block_height=9
        )
        assert books.post([again]) == first
        assert Entry.objects.get().memo == ""

    @pytest.mark.parametrize(
        "other",
        [
            {"lines": [Line(CODES.hot_wallet, 1_001), Line(CODES.appropriation, -1_001)]},
            {"lines": [Line(CODES.hot_wallet, 1_000), Line(CODES.transfers, -1_000)]},
            {"lines": [Line(CODES.hot_wallet, 1_000, 1), Line(CODES.appropriation, -1_000)]},
            {"kind": "settlement"},
            {"scope": "program:8"},
            {"source_ref": "outpoint:2"},
        ],
    )
    def test_refuses_the_key_for_anything_else(self, other: dict[str, Any]) -> None:
        (entry_id,) = books.post([draft()])
        with pytest.raises(books.IdempotencyConflict) as refused:
            books.post([draft("new"), draft(**other)])
        assert refused.value.details == {"key": "key", "entry_id": entry_id}
        assert rows() == (1, 2)

    def test_refuses_a_key_twice_in_one_batch(self) -> None:
        with pytest.raises(books.IdempotencyConflict):
            books.post([draft("a"), draft("b"), draft("a")])
        assert rows() == (0, 0)


@pytest.mark.django_db(transaction=True)
class TestPostAtOnce:
    @pytest.fixture(autouse=True)
    def _accounts(self) -> None:
        chart.open_program(7)

    def test_gives_both_connections_the_same_entry(self) -> None:
        first, racer = race(lambda: books.post([draft()]), lambda: books.post([draft()]))
        assert racer.error is None
        assert racer.result == first
        assert rows() == (1, 2)

    def test_refuses_the_second_connection_with_other_lines(self) -> None:
        _, racer = race(
            lambda: books.post([draft()]), lambda: books.post([draft("new"), draft(lines=transfer(7))])
        )
        assert type(racer.error) is books.IdempotencyConflict
        assert rows() == (1, 2)
        assert books.balance(CODES.hot_wallet) == 1_000

    def test_gives_both_connections_the_same_reversal(self) -> None:
        (entry_id,) = books.post([draft()])
        first, racer = race(lambda: reverse(entry_id), lambda: reverse(entry_id))
        assert racer.error is None
        assert racer.result == first
        assert rows() == (2, 4)

    def test_refuses_the_second_connection_that_reverses_under_another_key(self) -> None:
        (entry_id,) = books.post([draft()])
        _, racer = race(lambda: reverse(entry_id, "mine"), lambda: reverse(entry_id, "yours"))
        assert type(racer.error) is books.AlreadyUndone
        assert racer.error.details == {"entry_id": entry_id}
        assert rows() == (2, 4)
        assert books.balance(CODES.hot_wallet) == 0


@pytest.mark.usefixtures("opened")
class TestReverse:
    def test_mirrors_every_line(self) -> None:
        lines = [Line(CODES.in_transit, 40, 1), Line(CODES.in_transit, 60, 2), Line(CODES.hot_wallet, -100)]
        (entry_id,) = books.post(
            [draft("sent", lines, source_ref="payout:3", block_hash="ab" * 32, block_height=5)]
        )
        later = NOON + timedelta(hours=1)
        reversal_id = books.reverse(
            entry_id, idempotency_key="back", effective_at=later, memo="Reorg", actor="a", approver="b"
        )
        assert lines_of(reversal_id) == [
            (CODES.in_transit, -40, 1),
            (CODES.in_transit, -60, 2),
            (CODES.hot_wallet, 100, None),
        ]
        reversal = Entry.objects.get(pk=reversal_id)
        assert (reversal.kind, reversal.scope, reversal.source_ref) == ("funding_reversal", SCOPE, "payout:3")
        assert (reversal.reversal_of_id, reversal.effective_at, reversal.memo) == (entry_id, later, "Reorg")
        assert (reversal.actor, reversal.approver) == ("a", "b")
        assert (reversal.block_hash, reversal.block_height) == ("ab" * 32, 5)
        assert {books.balance(code) for code in CODES} == {0}

    def test_returns_the_same_reversal_for_the_same_key(self) -> None:
        (entry_id,) = books.post([draft()])
        assert reverse(entry_id) == reverse(entry_id)
        assert rows() == (2, 4)

    def test_refuses_a_second_reversal(self) -> None:
        (entry_id,) = books.post([draft()])
        reverse(entry_id)
        with pytest.raises(books.AlreadyUndone) as refused:
            reverse(entry_id, "again")
        assert refused.value.details == {"entry_id": entry_id}
        assert rows() == (2, 4)

    def test_refuses_two_reversals_of_one_entry_in_one_batch(self) -> None:
        (entry_id,) = books.post([draft()])
        mirror = [line._replace(amount=-line.amount) for line in draft().lines]
        with pytest.raises(books.AlreadyUndone):
            books.post([draft(key, mirror, reversal_of=entry_id) for key in ("a", "b")])
        assert rows() == (1, 2)

    def test_refuses_the_key_of_another_reversal(self) -> None:
        first, second = books.post([draft("a"), draft("b")])
        reverse(first)
        with pytest.raises(books.IdempotencyConflict):
            reverse(second)
        assert rows() == (3, 6)

    def test_refuses_an_entry_that_does_not_exist(self) -> None:
        with pytest.raises(NotFound):
            reverse(1)
        assert rows() == (0, 0)


AMOUNTS = st.integers(min_value=-(2**52), max_value=2**52).filter(bool)
BATCHES = st.lists(
    st.lists(st.tuples(st.sampled_from(CODES), AMOUNTS), min_size=1, max_size=6), min_size=1, max_size=6
)


@pytest.mark.usefixtures("opened")
class TestAddUp:
    @hypothesis_settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(batch=BATCHES, data=st.data())
    def test_equals_plain_sums_whatever_is_posted_and_reversed(
        self, batch: list[list[tuple[str, int]]], data: st.DataObject
    ) -> None:
        before = {code: books.balance(code) for code in CODES}
        serial = Entry.objects.count()
        drafts = []
        for number, moves in enumerate(batch):
            rest = -sum(amount for _, amount in moves)
            lines = [Line(code, amount) for code, amount in moves]
            if rest:
                lines.append(Line(CODES.payable, rest))
            if len(lines) > 1:
                drafts.append(draft(f"{serial} {number}", lines))
        ids = books.post(drafts)
        reversed_ids = data.draw(st.sets(st.sampled_from(ids))) if ids else set()
        for entry_id in sorted(reversed_ids):
            reverse(entry_id, f"reversal of {entry_id}")
        expected = dict(before)
        for entry_id, made in zip(ids, drafts, strict=True):
            for line in made.lines if entry_id not in reversed_ids else ():
                expected[line.account_code] += line.amount
        assert {code: books.balance(code) for code in CODES} == expected
        trial = books.trial_balance()
        assert {account.code: account.balance for account in trial.accounts} == expected
        assert trial.is_balanced
        assert sum(expected.values()) == 0


@pytest.mark.usefixtures("opened")
class TestBalance:
    def test_is_as_it_was_known_at_a_time(self) -> None:
        books.post([draft("first", transfer(100), effective_at=NOON)])
        known_at = Entry.objects.get(idempotency_key="first").recorded_at
        books.post([draft("late", transfer(20), effective_at=NOON - timedelta(days=9))])
        books.post([draft("held", [line._replace(layer="pending") for line in transfer(3)])])
        assert books.balance(CODES.hot_wallet) == 120
        assert books.balance(CODES.hot_wallet, known_at=known_at) == 100
        assert books.balance(CODES.hot_wallet, known_at=known_at - timedelta(microseconds=1)) == 0
        assert books.balance(CODES.hot_wallet, NOON - timedelta(hours=1)) == 20
        assert books.balance(CODES.hot_wallet, NOON - timedelta(hours=1), known_at=known_at) == 0
        assert books.balance(CODES.hot_wallet, NOON, layer="pending") == 3
        assert books.balance(CODES.hot_wallet, known_at=known_at, layer="pending") == 0
        trial = books.trial_balance(SCOPE, known_at=known_at)
        assert (trial.totals(), trial.is_balanced) == ({"BTC": (100, 100)}, True)

    def test_counts_what_was_effective_at_that_time(self) -> None:
        for hour, amount in enumerate([100, 20, 3]):
            books.post([draft(f"hour {hour}", transfer(amount), effective_at=NOON + timedelta(hours=hour))])
        moments = [NOON - timedelta(microseconds=1), NOON, NOON + timedelta(hours=1), None]
        assert [books.balance(CODES.hot_wallet, moment) for moment in moments] == [0, 100, 120, 123]
        trials = [books.trial_balance(SCOPE, moment) for moment in moments]
        assert [trial.totals() for trial in trials] == [
            {"BTC": (0, 0)},
            {"BTC": (100, 100)},
            {"BTC": (120, 120)},
            {"BTC": (123, 123)},
        ]

    def test_does_not_look_back_in_time_for_a_reversal(self) -> None:
        (entry_id,) = books.post([draft()])
        books.reverse(
            entry_id, idempotency_key="r", effective_at=NOON + timedelta(days=1), memo="Late", actor="a"
        )
        assert books.balance(CODES.hot_wallet, NOON) == 1_000
        assert books.balance(CODES.hot_wallet) == 0

    def test_refuses_an_account_that_was_never_opened(self) -> None:
        with pytest.raises(books.AccountMissing):
            books.balance("Assets:Nowhere")


@pytest.mark.usefixtures("opened")
class TestTrialBalance:
    def test_lists_every_account_of_the_scope_in_one_statement(self) -> None:
        chart.open_program(8)
        books.post([draft()])
        with CaptureQueriesContext(connection) as captured:
            trial = books.trial_balance(SCOPE)
        assert len(captured) == 1
        assert [(a.code, a.kind, a.debit, a.credit, a.balance) for a in trial.accounts] == [
            ("Assets:HotWallet:P7", "asset", 1_000, 0, 1_000),
            ("Assets:InTransit:P7", "asset", 0, 0, 0),
            ("Equity:Appropriation:P7", "equity", 0, 1_000, -1_000),
            ("Expenses:NetworkFees:P7", "expense", 0, 0, 0),
            ("Expenses:Transfers:P7", "expense", 0, 0, 0),
            ("Liabilities:BeneficiariesPayable:P7", "liability", 0, 0, 0),
        ]
        assert len(books.trial_balance().accounts) == 12

    def test_keeps_currencies_apart(self) -> None:
        balances = [
            books.AccountBalance("Assets:A", "A", "asset", "BTC", 8, 5, 0),
            books.AccountBalance("Assets:B", "B", "asset", "PKR", 2, 0, 5),
        ]
        trial = books.TrialBalance(balances)
        assert trial.totals() == {"BTC": (5, 0), "PKR": (0, 5)}
        assert not trial.is_balanced


@pytest.mark.usefixtures("opened")
class TestOpenAccounts:
    def test_leaves_those_that_exist_as_they_are(self) -> None:
        elements = Account.objects.get(code=CODES.hot_wallet).elements
        books.open_accounts(
            SCOPE,
            [
                books.NewAccount(CODES.hot_wallet, "Another name", AccountKind.ASSET, elements=elements),
                books.NewAccount("Assets:New", "New", AccountKind.ASSET),
            ],
        )
        columns = ("name", "kind", "scope", "currency", "scale")
        found = {account.pop("code"): account for account in Account.objects.values("code", *columns)}
        assert len(found) == 7
        assert tuple(found[CODES.hot_wallet].values()) == ("Funding wallet", "asset", SCOPE, "BTC", 8)
        assert tuple(found["Assets:New"].values()) == ("New", "asset", SCOPE, "BTC", 8)

    def test_refuses_to_classify_anew(self) -> None:
        anew = books.NewAccount(CODES.hot_wallet, "Funding wallet", AccountKind.ASSET)
        assert anew.elements != Account.objects.get(code=CODES.hot_wallet).elements
        with pytest.raises(books.AccountTaken):
            books.open_accounts(SCOPE, [anew])

    def test_refuses_the_account_of_another_scope(self) -> None:
        before = list(Account.objects.order_by("pk").values())
        taken = books.NewAccount(CODES.hot_wallet, "Funding wallet", AccountKind.ASSET)
        with pytest.raises(books.AccountTaken) as refused, transaction.atomic():
            books.open_accounts("program:8", [taken])
        assert refused.value.details == {"account": CODES.hot_wallet}
        assert list(Account.objects.order_by("pk").values()) == before

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("assets:New", "asset"),
            ("Assets:new", "asset"),
            ("Assets", "asset"),
            ("Assets:A_B", "asset"),
            ("Assets:A\n", "asset"),
            ("Wallets:New", "asset"),
            ("Assets:New", "expense"),
        ],
    )
    def test_refuses_a_code_that_does_not_fit(self, code: str, kind: str) -> None:
        new = books.NewAccount(code, "New", AccountKind(kind))
        with pytest.raises(IntegrityError), transaction.atomic():
            books.open_accounts(SCOPE, [new])
        assert Account.objects.count() == 6

    def test_opens_the_six_accounts_of_a_program_once(self) -> None:
        chart.open_program(7)
        assert list(Account.objects.order_by("code").values_list("code", flat=True)) == sorted(CODES)


class TestScopeAccounts:
    def test_reads_the_program_from_its_scope(self) -> None:
        assert chart.scope_accounts("program:7") == CODES

    @pytest.mark.parametrize("text", ["", "program:", "program:07", "program:0", "program:7\n", "wallet:7"])
    def test_refuses_any_other_text(self, text: str) -> None:
        with pytest.raises(NotFound):
            chart.scope_accounts(text)
