"""Thirty-eight differences injected into one honest world: each found, each of its kind and at its place, and none more."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from ledger import books, chart
from ledger.models import Case, Entry, Period, ReconciliationRun, RunStatus
from ledger.reconciliation.evidence import ChainOutput, Version
from tests.ledger import witness
from tests.ledger.witness import FEE_SAT, World, book, digest_of, reconcile, script_of

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = chart.program_accounts(witness.PROGRAM)
Place = tuple[str, str, int | None, int | None]
HONEST = 40


def pay(world: World, number: int, **asked: Any) -> str:
    """A deposit larger than all before, and a payout of three payments from it: ids from 10 times the number on."""
    world.deposit(number, 10_000_000 + 1_000_000 * number)
    return world.pay(number, 10 * number, [1_000, 2_000, 3_000], **asked)


def reline(world: World, txid: str, vout: int, amount_sat: int) -> None:
    """Let a tx pay another amount, and its change pay for it, in the records as well."""
    (tx,) = (tx for tx in world.txs if tx.txid == txid)
    change_sat = tx.outputs[3].amount_sat - (amount_sat - tx.outputs[vout].amount_sat)
    world.bend_output(txid, vout, amount_sat=amount_sat)
    rechange(world, txid, change_sat)


def rechange(world: World, txid: str, change_sat: int) -> None:
    """Let a tx and the records give another change."""
    world.bend_output(txid, 3, amount_sat=change_sat)
    world.change = [c._replace(amount_sat=change_sat) if c.txid == txid else c for c in world.change]


def add_output(world: World, txid: str, script: bytes, amount_sat: int) -> None:
    """Let a tx pay one more output from its change."""
    (tx,) = (tx for tx in world.txs if tx.txid == txid)
    rechange(world, txid, tx.outputs[3].amount_sat - amount_sat)
    (tx,) = (tx for tx in world.txs if tx.txid == txid)
    world.bend_tx(txid, outputs=(*tx.outputs, ChainOutput(4, script, amount_sat, False)))


def transit(key: str, amount_sat: int, payment: int) -> None:
    lines = [books.Line(ACCOUNTS.in_transit, amount_sat, payment), books.Line(ACCOUNTS.payable, -amount_sat)]
    book(key, lines)


def wallet(key: str, amount_sat: int, source: str) -> None:
    lines = [
        books.Line(ACCOUNTS.hot_wallet, amount_sat),
        books.Line(ACCOUNTS.appropriation, -amount_sat),
    ]
    book(key, lines, source)


def fee(key: str, amount_sat: int, payout: int) -> None:
    lines = [
        books.Line(ACCOUNTS.network_fees, amount_sat),
        books.Line(ACCOUNTS.appropriation, -amount_sat),
    ]
    book(key, lines, f"payout:{payout}")


def more_on_chain(world: World) -> list[Place]:
    reline(world, pay(world, 101), 0, 1_001)
    return [("amount", "payout:101", 1010, 0)]


def less_on_chain(world: World) -> list[Place]:
    reline(world, pay(world, 102), 2, 2_999)
    return [("amount", "payout:102", 1022, 2)]


def more_in_the_books(world: World) -> list[Place]:
    transit("one more", 1, 21)
    return [("amount", "payout:2", 21, 1)]


def another_payee(world: World) -> list[Place]:
    world.bend_output(pay(world, 104), 1, script_pubkey=script_of("thief"))
    return [("payee", "payout:104", 1041, 1)]


def payees_swapped(world: World) -> list[Place]:
    txid = pay(world, 105)
    for vout, person in ((0, 1051), (1, 1050)):
        world.bend_output(txid, vout, script_pubkey=script_of("person", person))
    return [("payee", "payout:105", 1050, 0), ("payee", "payout:105", 1051, 1)]


def an_output_that_is_not_there(world: World) -> list[Place]:
    pay(world, 106)
    world.bend_claim(1062, vout=9)
    return [("missing", "payout:106", 1062, 9), ("unauthorized_spend", "payout:106", None, 2)]


def a_stranger_beside_the_payments(world: World) -> list[Place]:
    add_output(world, pay(world, 107), script_of("crony"), 777)
    return [("unauthorized_spend", "payout:107", None, 4)]


def change_that_is_not_ours(world: World) -> list[Place]:
    world.bend_output(pay(world, 108), 3, is_ours=False)
    return [("unauthorized_spend", "payout:108", None, 3)]


def a_fee_that_was_not_signed(world: World) -> list[Place]:
    txid = pay(world, 109)
    (tx,) = (tx for tx in world.txs if tx.txid == txid)
    rechange(world, txid, tx.outputs[3].amount_sat - 5)
    return [("fee", "payout:109", None, None)]


def a_fee_that_was_not_paid(world: World) -> list[Place]:
    fee("fee", 9, 3)
    return [("fee", "payout:3", None, None)]


def a_fee_booked_twice(world: World) -> list[Place]:
    fee("fee again", FEE_SAT, 4)
    return [("duplicate_booking", "payout:4", None, None)]


def a_payment_booked_three_times(world: World) -> list[Place]:
    transit("again and again", 4_000, 51)
    return [("duplicate_booking", "payout:5", 51, 1)]


def a_deposit_booked_twice(world: World) -> list[Place]:
    txid, _ = world.deposit(110, 7_000)
    world.book_deposit(txid, 7_000, occurrence=2)
    return [("duplicate_booking", f"outpoint:{txid}:1", None, 1)]


def a_deposit_booked_short(world: World) -> list[Place]:
    txid, _ = world.deposit(111, 7_100, is_booked=False)
    world.book_deposit(txid, 7_099)
    return [("amount", f"outpoint:{txid}:1", None, 1)]


def a_payment_not_booked(world: World) -> list[Place]:
    transit("taken back", -2_000, 61)
    return [("unbooked", "payout:6", 61, 1)]


def a_payment_only_claimed(world: World) -> list[Place]:
    world.waiting.discard(pay(world, 112, is_mined=False))
    transit("never", -1_000, 1120)
    return [("payment_only", "payout:112", 1120, 0)]


def a_payment_only_booked(world: World) -> list[Place]:
    transit("ghost", 50, 999_999)
    return [("ledger_only", "payment:999999", 999_999, None)]


def a_deposit_only_booked(world: World) -> list[Place]:
    wallet("dream", 60, f"outpoint:{'ab' * 32}:4")
    return [("ledger_only", f"outpoint:{'ab' * 32}:4", None, 4)]


def a_deposit_of_a_block_that_left(world: World) -> list[Place]:
    world.mine()
    txid, _ = world.deposit(113, 8_000)
    world.reorg(1)
    return [("reorged_out", f"outpoint:{txid}:1", None, 1)]


def an_entry_for_an_unknown_payout(world: World) -> list[Place]:
    wallet("orphan", 70, "payout:888888")
    return [("orphan_entry", "payout:888888", None, None)]


def an_entry_for_nothing(world: World) -> list[Place]:
    wallet("for nothing", -80, "")
    return [("orphan_entry", "", None, None)]


def a_deposit_of_nobody(world: World) -> list[Place]:
    txid, _ = world.deposit(114, 9_000, is_booked=False)
    return [("unknown_in", f"outpoint:{txid}:1", None, 1)]


def a_coin_spent_by_a_stranger(world: World) -> list[Place]:
    world.deposit(115, 990_000_000)
    spend = world.steal().spends[0]
    return [("unknown_out", f"spend:{spend.txid}:1", None, 1)]


def a_reissue_beside_the_original(world: World) -> list[Place]:
    world.mine()
    pay(world, 116)
    world.bend_claim(1161, obligation=71)
    return [("duplicate_payment", "payout:116", 1161, 1)]


def a_payment_twice_in_one_tx(world: World) -> list[Place]:
    add_output(world, pay(world, 117), script_of("person", 1171), 2_000)
    return [("duplicate_payment", "payout:117", None, 4)]


def late(world: World, number: int, kind: str, **records: Any) -> list[Place]:
    """A payout that waits in one way for longer than anybody should wait."""
    since = timezone.now() - settings.GOVPAY_RECONCILE_PATIENCE - timedelta(minutes=1)
    txid = pay(world, number, is_mined=False, since=since)
    if kind != "in_flight":
        world.waiting.discard(txid)
    world.bend_payout(number, **records)
    return [(kind, f"payout:{number}", 10 * number + vout, vout) for vout in range(3)]


def waiting_for_too_long(world: World) -> list[Place]:
    return late(world, 118, "in_flight")


def unsent_for_too_long(world: World) -> list[Place]:
    return late(world, 119, "not_broadcast", was_sent=False)


def evicted_for_too_long(world: World) -> list[Place]:
    return late(world, 120, "evicted")


def without_a_block_for_too_long(world: World) -> list[Place]:
    return late(world, 121, "reorged_out", was_mined=True)


def another_version_in_a_block(world: World) -> list[Place]:
    pay(world, 122)
    world.versions.append(Version(122, digest_of("a version that is not there")))
    for payment in range(1220, 1223):
        world.bend_claim(payment, txid=digest_of("a version that is not there"), is_mined=False)
    world.bend_payout(122, txid=digest_of("a version that is not there"), is_mined=False)
    return [("replaced", "payout:122", 1220 + vout, vout) for vout in range(3)]


def a_wallet_line_beside_a_payout(world: World) -> list[Place]:
    wallet("one line more", -90, "payout:8")
    return [("balance", "payout:8", None, None)]


def a_settlement_that_is_not_booked(world: World) -> list[Place]:
    world.settle(9, is_booked=False)
    return [("settlement", "payout:9", None, None)]


def a_settlement_of_what_is_not_settled(world: World) -> list[Place]:
    world.settle(10)
    world.bend_payout(10, is_settled=False)
    return [("settlement", "payout:10", None, None)]


def a_settlement_of_nothing(world: World) -> list[Place]:
    book("settled", [books.Line(ACCOUNTS.payable, 55), books.Line(ACCOUNTS.in_transit, -55)], "payout:77777")
    return [("settlement", "payout:77777", None, None)]


def a_block_of_another_period(world: World) -> list[Place]:
    """Last, because all blocks after it would be dated before it."""
    at = timezone.now() - timedelta(days=40)
    Period.objects.create(name="long ago", ends_at=at + timedelta(days=1), opened_by="tester")
    world.mine(at=at)
    txid, _ = world.deposit(123, 10_000)
    return [("cut_off", f"outpoint:{txid}:1", None, None)]


def a_coin_that_only_the_node_knows(world: World) -> list[Place]:
    world.coins["cd" * 32, 0] = 3
    return [("balance", "coins", None, None)]


INJECTIONS: list[Callable[[World], list[Place]]] = [
    more_on_chain,
    less_on_chain,
    more_in_the_books,
    another_payee,
    payees_swapped,
    an_output_that_is_not_there,
    a_stranger_beside_the_payments,
    change_that_is_not_ours,
    a_fee_that_was_not_signed,
    a_fee_that_was_not_paid,
    a_fee_booked_twice,
    a_payment_booked_three_times,
    a_deposit_booked_twice,
    a_deposit_booked_short,
    a_payment_not_booked,
    a_payment_only_claimed,
    a_payment_only_booked,
    a_deposit_only_booked,
    a_deposit_of_a_block_that_left,
    an_entry_for_an_unknown_payout,
    an_entry_for_nothing,
    a_deposit_of_nobody,
    a_coin_spent_by_a_stranger,
    a_reissue_beside_the_original,
    a_payment_twice_in_one_tx,
    waiting_for_too_long,
    unsent_for_too_long,
    evicted_for_too_long,
    without_a_block_for_too_long,
    another_version_in_a_block,
    a_wallet_line_beside_a_payout,
    a_settlement_that_is_not_booked,
    a_settlement_of_what_is_not_settled,
    a_settlement_of_nothing,
    a_block_of_another_period,
    a_coin_that_only_the_node_knows,
]


@pytest.fixture
def honest(empty_world: World) -> World:
    """Forty payouts in blocks, a hundred and twenty payments, all of which agree."""
    for number in range(1, HONEST + 1):
        pay(empty_world, number)
        empty_world.mine()
    assert reconcile().status == RunStatus.CLEAN
    empty_world.mine()
    return empty_world


def places(run: ReconciliationRun) -> list[Place]:
    return list(run.breaks.values_list("kind", "unit", "payment_id", "vout"))


def in_order(found: list[Place]) -> list[Place]:
    return sorted(found, key=repr)


class TestInjected:
    @pytest.mark.parametrize("inject", INJECTIONS, ids=[inject.__name__ for inject in INJECTIONS])
    def test_alone_is_found_and_nothing_else(
        self, empty_world: World, inject: Callable[[World], list[Place]]
    ) -> None:
        for number in range(1, 11):
            pay(empty_world, number)
        assert reconcile().status == RunStatus.CLEAN
        empty_world.mine()
        expected = inject(empty_world)
        assert in_order(places(reconcile())) == in_order(expected)
        assert in_order(places(reconcile(is_full=True))) == in_order(expected)

    def test_together_are_found_each_and_nothing_else(self, honest: World) -> None:
        expected = [place for inject in INJECTIONS for place in inject(honest)]
        assert len(INJECTIONS) >= 30
        increment = reconcile()
        assert in_order(places(increment)) == in_order(expected)
        assert (increment.is_full, increment.break_count) == (False, len(expected))
        # Every satoshi that is not where the books have it is explained by a break.
        assert (
            increment.totals["wallet_booked_sat"]
            + increment.totals["wallet_leaving_sat"]
            + increment.totals["wallet_explained_sat"]
            == increment.totals["wallet_unspent_sat"] - 3
        )
        full = reconcile(is_full=True)
        assert bytes(full.digest) == bytes(increment.digest)
        assert Case.objects.filter(status="open").count() == len(expected)
        assert Entry.objects.filter(kind="suspense").count() == 0
