"""The scenario book: what happens to a program, in accountants' words, and all six balances after each step."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from ledger import books, chart, events
from ledger.books import Draft
from ledger.models import Entry

PROGRAM = 7
CODES = chart.program_accounts(PROGRAM)
SCOPE = chart.program_scope(PROGRAM)
START = datetime(2026, 11, 24, 9, tzinfo=UTC)

pytestmark = pytest.mark.django_db


class Clerk:
    """Keeps the books of one program; every entry is an hour after the one before."""

    def __init__(self) -> None:
        self.at = START
        chart.open_program(PROGRAM)

    def later(self) -> datetime:
        self.at += timedelta(hours=1)
        return self.at

    def post(self, draft: Draft) -> int:
        (entry_id,) = books.post([draft])
        return entry_id

    def deposit(self, amount_sat: int, *, occurrence: int = 1) -> int:
        """Coins for the program are in a block."""
        return self.post(
            events.funding(
                program_id=PROGRAM,
                txid="aa" * 32,
                vout=1,
                amount_sat=amount_sat,
                occurrence=occurrence,
                effective_at=self.later(),
                block_hash=f"{occurrence:02d}" * 32,
                block_height=100 + occurrence,
            )
        )

    def encumber(self, amount_sat: int, *, occurrence: int = 1) -> int:
        """A list is approved: it holds its part of the allotment."""
        return self.post(
            events.encumbrance(
                program_id=PROGRAM,
                disbursement_id=1,
                amount=amount_sat,
                occurrence=occurrence,
                effective_at=self.later(),
                actor="officer",
                approver="approver",
            )
        )

    def free(self, encumbrance_id: int, amount_sat: int) -> int:
        """An approved list is withdrawn, or a line of it."""
        return self.post(
            events.disencumbrance(
                program_id=PROGRAM,
                disbursement_id=1,
                encumbrance_id=encumbrance_id,
                amount=amount_sat,
                effective_at=self.later(),
                actor="officer",
            )
        )

    def owe(self, amount_sat: int, *, disbursement_id: int = 1, encumbrance_id: int | None = None) -> int:
        """A list is released: the program owes it, and what it held of the allotment is spent."""
        return self.post(
            events.commitment(
                program_id=PROGRAM,
                disbursement_id=disbursement_id,
                amount=amount_sat,
                effective_at=self.later(),
                actor="releaser",
                approver="approver",
                encumbrance_id=encumbrance_id,
            )
        )

    def release_from_debt(self, amount_sat: int, key: str, source_ref: str) -> int:
        """A list is cancelled, or one payment of it withdrawn."""
        return self.post(
            events.decommitment(
                program_id=PROGRAM,
                key=key,
                source_ref=source_ref,
                amount=amount_sat,
                effective_at=self.later(),
                actor="officer",
            )
        )

    def send(self, amounts_sat: list[int], fee_sat: int, *, payout_id: int = 1) -> int:
        """A payout is signed and stored."""
        return self.post(
            events.payout_sent(
                program_id=PROGRAM,
                payout_id=payout_id,
                payment_ids=range(1, len(amounts_sat) + 1),
                amounts_sat=amounts_sat,
                fee_sat=fee_sat,
                effective_at=self.later(),
            )
        )

    def settle(self, amount_sat: int, *, payout_id: int = 1, occurrence: int = 1) -> int:
        """A payout is buried deep enough."""
        return self.post(
            events.settlement(
                program_id=PROGRAM,
                payout_id=payout_id,
                amount_sat=amount_sat,
                occurrence=occurrence,
                effective_at=self.later(),
                block_hash=f"{occurrence + 50:02d}" * 32,
                block_height=200 + occurrence,
            )
        )

    def take_back(self, entry_id: int) -> int:
        """A reorganization undoes what a block had proved."""
        return books.reverse(
            entry_id,
            idempotency_key=f"reversal:entry:{entry_id}",
            effective_at=self.later(),
            memo="The block left the chain.",
            actor=events.ENGINE,
        )


def expect(
    *,
    wallet: int = 0,
    in_transit: int = 0,
    payable: int = 0,
    appropriation: int = 0,
    transfers: int = 0,
    fees: int = 0,
    entries: int,
) -> None:
    """Compare all six balances (debits are positive), the trial balance and the number of entries."""
    trial = books.trial_balance(SCOPE)
    assert {account.code: account.balance for account in trial.accounts} == {
        CODES.hot_wallet: wallet,
        CODES.in_transit: in_transit,
        CODES.payable: payable,
        CODES.appropriation: appropriation,
        CODES.transfers: transfers,
        CODES.network_fees: fees,
    }
    assert trial.is_balanced
    assert Entry.objects.count() == entries


@pytest.fixture
def clerk() -> Clerk:
    """Keeps the books of program 7, which are open and empty."""
    return Clerk()


class TestPayList:
    def test_moves_an_appropriation_to_people_and_the_network(self, clerk: Clerk) -> None:
        expect(entries=0)
        clerk.deposit(1_000_000)
        expect(wallet=1_000_000, appropriation=-1_000_000, entries=1)
        clerk.owe(180_000)
        expect(wallet=1_000_000, appropriation=-1_000_000, transfers=180_000, payable=-180_000, entries=2)
        clerk.send([50_000, 60_000, 70_000], 1_234)
        expect(
            wallet=818_766,
            in_transit=180_000,
            payable=-180_000,
            appropriation=-1_000_000,
            transfers=180_000,
            fees=1_234,
            entries=3,
        )
        clerk.settle(180_000)
        expect(wallet=818_766, appropriation=-1_000_000, transfers=180_000, fees=1_234, entries=4)

    def test_in_two_payouts_settles_each_by_itself(self, clerk: Clerk) -> None:
        clerk.deposit(1_000_000)
        clerk.owe(300)
        clerk.send([100], 10, payout_id=1)
        clerk.send([200], 20, payout_id=2)
        clerk.settle(200, payout_id=2)
        expect(
            wallet=999_670,
            in_transit=100,
            payable=-100,
            appropriation=-1_000_000,
            transfers=300,
            fees=30,
            entries=5,
        )
        clerk.settle(100, payout_id=1)
        expect(wallet=999_670, appropriation=-1_000_000, transfers=300, fees=30, entries=6)

    def test_told_twice_is_booked_once(self, clerk: Clerk) -> None:
        told = [
            clerk.deposit(1_000_000),
            clerk.owe(100),
            clerk.send([100], 10),
            clerk.settle(100),
        ]
        again = [
            clerk.deposit(1_000_000),
            clerk.owe(100),
            clerk.send([100], 10),
            clerk.settle(100),
        ]
        assert again == told
        expect(wallet=999_890, appropriation=-1_000_000, transfers=100, fees=10, entries=4)

    def test_told_with_another_fee_is_refused(self, clerk: Clerk) -> None:
        clerk.deposit(1_000_000)
        clerk.send([100], 10)
        with pytest.raises(books.IdempotencyConflict):
            clerk.send([100], 11)
        expect(wallet=999_890, in_transit=100, appropriation=-1_000_000, fees=10, entries=2)


class TestReorganize:
    def test_puts_a_settled_payout_back_in_transit_until_it_settles_again(self, clerk: Clerk) -> None:
        clerk.deposit(1_000)
        clerk.owe(300)
        clerk.send([100, 200], 10)
        settled = clerk.settle(300)
        expect(wallet=690, appropriation=-1_000, transfers=300, fees=10, entries=4)
        clerk.take_back(settled)
        expect(
            wallet=690, in_transit=300, payable=-300, appropriation=-1_000, transfers=300, fees=10, entries=5
        )
        again = clerk.settle(300, occurrence=2)
        expect(wallet=690, appropriation=-1_000, transfers=300, fees=10, entries=6)
        clerk.take_back(again)
        clerk.settle(300, occurrence=3)
        expect(wallet=690, appropriation=-1_000, transfers=300, fees=10, entries=8)

    def test_told_twice_is_reversed_once(self, clerk: Clerk) -> None:
        clerk.send([100], 10)
        settled = clerk.settle(100)
        assert clerk.take_back(settled) == clerk.take_back(settled)
        expect(wallet=-110, in_transit=100, fees=10, entries=3)

    def test_takes_a_deposit_back_until_it_is_mined_again(self, clerk: Clerk) -> None:
        deposit = clerk.deposit(1_000)
        clerk.take_back(deposit)
        expect(entries=2)
        clerk.deposit(1_000, occurrence=2)
        expect(wallet=1_000, appropriation=-1_000, entries=3)

    def test_keeps_what_the_books_said_at_the_time(self, clerk: Clerk) -> None:
        deposit = clerk.deposit(1_000)
        before = clerk.at
        clerk.take_back(deposit)
        assert books.balance(CODES.hot_wallet, before) == 1_000
        assert books.balance(CODES.hot_wallet) == 0


def expect_encumbered(amount_sat: int) -> None:
    """Compare what is held of the allotment; the other accounts hold nothing."""
    trial = books.trial_balance(SCOPE, layer="encumbered")
    held = {account.code: account.balance for account in trial.accounts if account.balance}
    assert trial.is_balanced
    assert held == ({CODES.transfers: amount_sat, CODES.appropriation: -amount_sat} if amount_sat else {})


class TestApproval:
    def test_holds_the_allotment_until_the_release_owes_it(self, clerk: Clerk) -> None:
        clerk.deposit(1_000)
        held = clerk.encumber(300)
        expect_encumbered(300)
        expect(wallet=1_000, appropriation=-1_000, entries=2)
        clerk.owe(300, encumbrance_id=held)
        expect_encumbered(0)
        expect(wallet=1_000, payable=-300, appropriation=-1_000, transfers=300, entries=3)

    def test_of_a_list_that_is_withdrawn_leaves_no_trace_in_the_balances(self, clerk: Clerk) -> None:
        clerk.free(clerk.encumber(300), 300)
        expect_encumbered(0)
        expect(entries=2)

    def test_of_a_list_that_loses_a_line_holds_less(self, clerk: Clerk) -> None:
        clerk.free(clerk.encumber(300), 300)
        rest = clerk.encumber(200, occurrence=2)
        expect_encumbered(200)
        clerk.owe(200, encumbrance_id=rest)
        expect_encumbered(0)
        expect(payable=-200, transfers=200, entries=4)

    def test_is_spent_or_lifted_and_never_both(self, clerk: Clerk) -> None:
        held = clerk.encumber(300)
        clerk.owe(300, encumbrance_id=held)
        with pytest.raises(books.AlreadyUndone):
            clerk.free(held, 300)
        expect_encumbered(0)
        expect(payable=-300, transfers=300, entries=2)

    def test_is_lifted_in_whole(self, clerk: Clerk) -> None:
        held = clerk.encumber(300)
        with pytest.raises(IntegrityError, match="does not undo entry"), transaction.atomic():
            clerk.free(held, 200)
        expect_encumbered(300)

    def test_stood_at_the_time_and_does_no_more(self, clerk: Clerk) -> None:
        held = clerk.encumber(300)
        then = clerk.at
        clerk.owe(300, encumbrance_id=held)
        assert books.balance(CODES.transfers, then, layer="encumbered") == 300
        assert books.balance(CODES.transfers, layer="encumbered") == 0


class TestCancel:
    def test_of_an_approved_list_owes_nothing_any_more(self, clerk: Clerk) -> None:
        clerk.deposit(1_000)
        clerk.owe(300)
        expect(wallet=1_000, payable=-300, appropriation=-1_000, transfers=300, entries=2)
        clerk.release_from_debt(300, "decommitment:disbursement:1", "disbursement:1")
        expect(wallet=1_000, appropriation=-1_000, entries=3)

    def test_of_one_list_leaves_the_other(self, clerk: Clerk) -> None:
        clerk.owe(300, disbursement_id=1)
        clerk.owe(50, disbursement_id=2)
        clerk.release_from_debt(300, "decommitment:disbursement:1", "disbursement:1")
        expect(payable=-50, transfers=50, entries=3)


class TestWithdraw:
    def test_of_one_payment_owes_the_rest(self, clerk: Clerk) -> None:
        clerk.deposit(1_000)
        clerk.owe(300)
        clerk.release_from_debt(100, "decommitment:payment:1", "payment:1")
        expect(wallet=1_000, payable=-200, appropriation=-1_000, transfers=200, entries=3)
        clerk.send([200], 10)
        clerk.settle(200)
        expect(wallet=790, appropriation=-1_000, transfers=200, fees=10, entries=5)
