"""Pending and encumbered lines: they stand apart, balance by themselves, and are settled or dropped exactly once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from ledger import books, chart
from ledger.books import Draft, Line
from ledger.models import AccountKind, Elements, Entry, Posting
from tests.racing import race

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CODES = chart.program_accounts(7)
SCOPE = chart.program_scope(7)
HELD = ("pending", "encumbered")


def hold(amount: int, layer: str = "pending", key: str = "held") -> int:
    """Hold transfers out of the appropriation; return the entry's id."""
    lines = [
        Line(CODES.transfers, amount, 5, layer),
        Line(CODES.appropriation, -amount, None, layer),
    ]
    return post(key, lines)


def post(key: str, lines: list[Line], **columns: Any) -> int:
    """Post one entry; return its id."""
    values = {"kind": "hold", "scope": SCOPE, "effective_at": NOON, "actor": "officer"} | columns
    (entry_id,) = books.post([Draft(idempotency_key=key, lines=lines, **values)])
    return entry_id


def settle(entry_id: int, key: str = "settled", **more: Any) -> int:
    """Settle at noon."""
    return books.settle(
        entry_id, idempotency_key=key, effective_at=NOON, memo="Done", actor="officer", **more
    )


def drop(entry_id: int, key: str = "dropped") -> int:
    """Drop at noon."""
    return books.drop(entry_id, idempotency_key=key, effective_at=NOON, memo="Not done", actor="officer")


def reverse(entry_id: int, key: str = "reversed") -> int:
    """Reverse at noon."""
    return books.reverse(entry_id, idempotency_key=key, effective_at=NOON, memo="Undone", actor="officer")


def standing() -> tuple[int, int, int]:
    """Return what stands on transfers: settled, pending, encumbered."""
    layers = ("settled", "pending", "encumbered")
    found = [books.balance(CODES.transfers, layer=layer) for layer in layers]
    for layer in layers:
        assert books.trial_balance(SCOPE, layer=layer).is_balanced
    return found[0], found[1], found[2]


@pytest.fixture
def opened(db: None) -> None:
    """The accounts of program 7."""
    chart.open_program(7)


@pytest.mark.usefixtures("opened")
class TestHeld:
    @pytest.mark.parametrize("layer", HELD)
    def test_stands_apart_from_what_is_settled(self, layer: str) -> None:
        hold(70, layer)
        post("settled", [Line(CODES.transfers, 5), Line(CODES.appropriation, -5)])
        assert standing() == ((5, 70, 0) if layer == "pending" else (5, 0, 70))

    def test_balances_in_each_layer(self) -> None:
        lines = [Line(CODES.transfers, 5), Line(CODES.appropriation, -5, None, "pending")]
        with pytest.raises(books.UnbalancedEntry):
            post("crooked", lines)
        assert Entry.objects.count() == 0

    def test_balances_in_each_layer_for_the_database_too(self) -> None:
        with (
            connection.cursor() as cursor,
            pytest.raises(DatabaseError, match="its pending BTC lines sum to 5"),
        ):
            cursor.execute(
                "WITH e AS (INSERT INTO ledger_entry (kind, scope, idempotency_key, input_hash, effective_at, memo,"
                " source_ref, actor, approver, block_hash) VALUES ('raw', 'program:7', 'raw', '', now(), '', '', 'raw',"
                " '', '') RETURNING id) INSERT INTO ledger_posting (entry_id, account_id, amount, layer)"
                " SELECT e.id, a.id, v.amount, v.layer FROM e, (VALUES (%s, 5, 'pending'), (%s, -5, 'settled'))"
                " v (code, amount, layer) JOIN ledger_account a ON a.code = v.code",
                [CODES.transfers, CODES.appropriation],
            )

    def test_settles_once(self) -> None:
        held = hold(70)
        settled = settle(held)
        assert standing() == (70, 0, 0)
        assert settle(held) == settled
        for again in (lambda: settle(held, "again"), lambda: drop(held), lambda: reverse(held)):
            with pytest.raises(books.AlreadyUndone) as refused:
                again()
            assert refused.value.details == {"entry_id": held}
        entry = Entry.objects.get(pk=settled)
        assert (entry.kind, entry.reversal_of_id) == ("hold_settled", held)
        references = Posting.objects.filter(entry=settled, account__code=CODES.transfers)
        assert list(references.order_by("pk").values_list("amount", "reference", "layer")) == [
            (-70, 5, "pending"),
            (70, 5, "settled"),
        ]
        assert standing() == (70, 0, 0)

    def test_drops_once(self) -> None:
        held = hold(70, "encumbered")
        dropped = drop(held)
        assert standing() == (0, 0, 0)
        assert drop(held) == dropped
        with pytest.raises(books.AlreadyUndone):
            settle(held)
        with pytest.raises(books.IdempotencyConflict):
            settle(held, "dropped")
        assert Entry.objects.count() == 2

    def test_settles_at_what_it_came_to(self) -> None:
        held = hold(70, "encumbered")
        settle(held, came_to=[Line(CODES.transfers, 66), Line(CODES.appropriation, -66)])
        assert standing() == (66, 0, 0)

    def test_is_held_again_when_its_settlement_is_reversed(self) -> None:
        held = hold(70)
        again = reverse(settle(held))
        assert standing() == (0, 70, 0)
        settle(again, "second")
        assert standing() == (70, 0, 0)

    def test_refuses_to_settle_or_drop_what_holds_nothing(self) -> None:
        entry = post("settled", [Line(CODES.transfers, 5), Line(CODES.appropriation, -5)])
        for call in (settle, drop):
            with pytest.raises(books.NothingHeld) as refused:
                call(entry)
            assert refused.value.details == {"entry_id": entry}
        assert standing() == (5, 0, 0)

    @pytest.mark.parametrize("layer", ["gone", "", "Settled"])
    def test_refuses_another_layer(self, layer: str) -> None:
        with pytest.raises(DatabaseError, match="posting_layer_is_known"), transaction.atomic():
            hold(70, layer)
        assert Posting.objects.count() == 0


@pytest.mark.django_db(transaction=True)
class TestUndoing:
    """What the database demands of an entry that undoes another, whoever writes it."""

    @pytest.fixture(autouse=True)
    def _accounts(self) -> None:
        chart.open_program(7)

    @pytest.mark.parametrize(
        "lines",
        [
            [Line(CODES.transfers, -69, 5, "pending"), Line(CODES.appropriation, 69, None, "pending")],
            [Line(CODES.transfers, -70, 6, "pending"), Line(CODES.appropriation, 70, None, "pending")],
            [Line(CODES.transfers, -70, 5, "encumbered"), Line(CODES.appropriation, 70, None, "encumbered")],
            [Line(CODES.transfers, 70, 5), Line(CODES.appropriation, -70)],
        ],
    )
    def test_clears_what_was_held_to_the_last_unit(self, lines: list[Line]) -> None:
        held = hold(70)
        with pytest.raises(DatabaseError, match=f"does not undo entry {held} to the last unit"):
            post("undo", lines, reversal_of=held)
        assert standing() == (0, 70, 0)

    @pytest.mark.parametrize(
        "lines",
        [
            [Line(CODES.transfers, -4), Line(CODES.appropriation, 4)],
            [Line(CODES.network_fees, -5), Line(CODES.appropriation, 5)],
            [Line(CODES.transfers, -5, 1), Line(CODES.appropriation, 5)],
        ],
    )
    def test_mirrors_what_was_settled(self, lines: list[Line]) -> None:
        settled = post("settled", [Line(CODES.transfers, 5), Line(CODES.appropriation, -5)])
        with pytest.raises(DatabaseError, match=f"does not undo entry {settled} to the last unit"):
            post("undo", lines, reversal_of=settled)
        assert standing() == (5, 0, 0)

    def test_happens_once_for_two_connections_that_settle_and_drop(self) -> None:
        held = hold(70)
        _, racer = race(lambda: settle(held), lambda: drop(held))
        assert type(racer.error) is books.AlreadyUndone
        assert racer.error.details == {"entry_id": held}
        assert standing() == (70, 0, 0)

    def test_gives_two_connections_that_settle_under_one_key_the_same_entry(self) -> None:
        held = hold(70)
        first, racer = race(lambda: settle(held), lambda: settle(held))
        assert (racer.error, racer.result) == (None, first)
        assert standing() == (70, 0, 0)


@pytest.mark.usefixtures("opened")
class TestAccounts:
    def test_carry_currency_scale_and_five_elements(self) -> None:
        elements = Elements("MOF", "10.71", "A05270", "F1", "P-7")
        cash = books.NewAccount("Assets:Cash:PKR", "Cash", AccountKind.ASSET, "PKR", 2, elements)
        grant = books.NewAccount("Equity:Grant:PKR", "Grant", AccountKind.EQUITY, "PKR", 2, elements)
        books.open_accounts("treasury", [cash, grant])
        books.open_accounts("treasury", [cash])
        post(
            "cash",
            [Line("Assets:Cash:PKR", 1_450_000), Line("Equity:Grant:PKR", -1_450_000)],
            scope="treasury",
        )
        first, _ = books.trial_balance("treasury").accounts
        assert (first.currency, first.scale, first.balance) == ("PKR", 2, 1_450_000)
        assert (first.entity, first.function, first.object, first.fund, first.project) == elements
        for other in (
            cash._replace(scale=0),
            cash._replace(currency="USD"),
            cash._replace(elements=elements._replace(fund="F2")),
        ):
            with pytest.raises(books.AccountTaken):
                books.open_accounts("treasury", [other])

    @pytest.mark.parametrize("code", ["a05", "A 5", "A" * 31, "-A", "ß"])
    def test_refuse_elements_that_are_no_codes(self, code: str) -> None:
        wrong = books.NewAccount("Assets:X", "X", AccountKind.ASSET, elements=Elements(fund=code))
        with pytest.raises(DatabaseError), transaction.atomic():
            books.open_accounts("treasury", [wrong])

    def test_of_two_currencies_balance_one_by_one(self) -> None:
        cash = books.NewAccount("Assets:Cash:PKR", "Cash", AccountKind.ASSET, "PKR", 2)
        clearing = books.NewAccount("Assets:Clearing:PKR", "Clearing", AccountKind.ASSET, "PKR", 2)
        books.open_accounts(SCOPE, [cash, clearing])
        with pytest.raises(books.UnbalancedEntry, match=r"(PKR lines sum to 5|BTC lines sum to -5)"):
            post("mixed", [Line(cash.code, 5), Line(CODES.appropriation, -5)])
        lines = [
            Line(cash.code, 5),
            Line(clearing.code, -5),
            Line(CODES.in_transit, 9),
            Line(CODES.payable, -9),
        ]
        post("legs", lines)
        assert books.trial_balance(SCOPE).totals() == {"PKR": (5, 5), "BTC": (9, 9)}
