"""The rules of reconciliation over made-up evidence: every kind of break alone."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from ledger import books, chart
from ledger.models import Break, BreakKind, Entry, Period, ReconciliationRun, RunStatus, Standing
from ledger.reconciliation import evidence, run
from tests.ledger import witness
from tests.ledger.witness import FEE_SAT, World, book, digest_of, outcomes, reconcile, script_of

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = chart.program_accounts(witness.PROGRAM)


def only_break(found: ReconciliationRun) -> dict[str, object]:
    (row,) = Break.objects.filter(run=found).values()
    return {name: row[name] for name in ("payment_id", "payout_id", "txid", "vout", "expected", "found")}


class TestBreak:
    """Each kind exactly once, while everything else still agrees."""

    HONEST = {"claims": 5, "matched": 3, "in_flight": 2}

    def expect(self, kind: str, **changed: int) -> ReconciliationRun:
        found = reconcile()
        assert (found.status, outcomes(found)) == (
            RunStatus.BREAKS,
            {k: n for k, n in (self.HONEST | changed | {kind: 1}).items() if n},
        )
        assert [b.kind for b in found.breaks.all()] == [kind]
        return found

    def test_amount(self, world: World) -> None:
        txid = digest_of("payout", 1)
        world.bend_output(txid, 0, amount_sat=101)
        # The satoshi comes out of the change, so that the fee is as booked.
        world.bend_output(txid, 3, amount_sat=1_000_000 - 600 - FEE_SAT - 1)
        world.change[0] = world.change[0]._replace(amount_sat=1_000_000 - 600 - FEE_SAT - 1)
        found = self.expect("amount", matched=2)
        assert only_break(found) == {
            "payment_id": 1, "payout_id": 1, "txid": txid, "vout": 0, "expected": "100", "found": "101"
        }  # fmt: skip
        assert found.totals["wallet_explained_sat"] == -1

    def test_amount_where_the_books_have_another(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.in_transit, 1, 5), books.Line(ACCOUNTS.payable, -1)]
        book("one too many", lines)
        found = self.expect("amount", in_flight=1)
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("500", "501")

    def test_payee(self, world: World) -> None:
        txid = digest_of("payout", 1)
        world.bend_output(txid, 1, script_pubkey=script_of("thief"))
        found = self.expect("payee", matched=2)
        assert only_break(found) == {
            "payment_id": 2,
            "payout_id": 1,
            "txid": txid,
            "vout": 1,
            "expected": script_of("person", 2).hex(),
            "found": script_of("thief").hex(),
        }

    def test_missing(self, world: World) -> None:
        world.bend_claim(4, is_mined=True)
        found = self.expect("missing", in_flight=1)
        assert only_break(found)["payment_id"] == 4

    def test_unauthorized_spend(self, world: World) -> None:
        world.change[0] = world.change[0]._replace(script_pubkey=script_of("no change of ours"))
        found = self.expect("unauthorized_spend")
        assert only_break(found) == {
            "payment_id": None,
            "payout_id": 1,
            "txid": digest_of("payout", 1),
            "vout": 3,
            "expected": "",
            "found": str(1_000_000 - 600 - FEE_SAT),
        }

    def test_unauthorized_spend_where_what_is_called_change_is_not_ours(self, world: World) -> None:
        world.bend_output(digest_of("payout", 1), 3, is_ours=False)
        self.expect("unauthorized_spend")

    def test_unbooked(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.in_transit, -200, 2), books.Line(ACCOUNTS.payable, 200)]
        book("unbook", lines)
        found = self.expect("unbooked", matched=2)
        assert only_break(found)["payment_id"] == 2

    def test_unbooked_before_it_is_in_a_block(self, world: World) -> None:
        book("unbook", [books.Line(ACCOUNTS.in_transit, -500, 5), books.Line(ACCOUNTS.payable, 500)])
        found = self.expect("unbooked", in_flight=1)
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("500", "")

    def test_payment_only(self, world: World) -> None:
        world.waiting.clear()
        book("unbook", [books.Line(ACCOUNTS.in_transit, -500, 5), books.Line(ACCOUNTS.payable, 500)])
        found = self.expect("payment_only", in_flight=0, evicted=1)
        assert only_break(found)["payment_id"] == 5

    def test_ledger_only(self, world: World) -> None:
        book("ghost", [books.Line(ACCOUNTS.in_transit, 50, 99), books.Line(ACCOUNTS.payable, -50)])
        found = self.expect("ledger_only")
        assert only_break(found) == {
            "payment_id": 99, "payout_id": None, "txid": "", "vout": None, "expected": "", "found": "50"
        }  # fmt: skip

    def test_ledger_only_for_a_deposit_that_is_not_on_the_chain(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.hot_wallet, 50), books.Line(ACCOUNTS.appropriation, -50)]
        book("dream", lines, source_ref=f"outpoint:{'ab' * 32}:4")
        found = self.expect("ledger_only")
        assert (only_break(found)["txid"], only_break(found)["vout"]) == ("ab" * 32, 4)
        assert found.totals["wallet_explained_sat"] == -50

    def test_reorged_out_for_a_deposit_whose_block_left_the_chain(self, world: World) -> None:
        world.mine()
        txid, _ = world.deposit(2, 70)
        world.reorg(1)
        found = self.expect("reorged_out")
        assert (only_break(found)["txid"], only_break(found)["expected"]) == (txid, "70")

    def test_orphan_entry(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.hot_wallet, 50), books.Line(ACCOUNTS.appropriation, -50)]
        book("from nowhere", lines, source_ref="payout:77")
        found = self.expect("orphan_entry")
        assert only_break(found)["found"] == "50"

    def expect_settlement(self, expected: str, found: str, payout_id: int | None = 1) -> None:
        row = only_break(self.expect("settlement"))
        assert (row["payout_id"], row["expected"], row["found"]) == (payout_id, expected, found)
        assert [one.kind for one in reconcile(is_full=True).breaks.all()] == ["settlement"]

    def test_settlement_that_is_not_booked(self, world: World) -> None:
        world.settle(1, is_booked=False)
        self.expect_settlement("600", "")

    def test_settlement_that_was_reversed(self, world: World) -> None:
        world.settle(1)
        assert reconcile().status == RunStatus.CLEAN
        entry = Entry.objects.get(kind="settlement")
        now = timezone.now()
        books.reverse(entry.pk, idempotency_key="gone", effective_at=now, memo="", actor="engine")
        self.expect_settlement("600", "")
        world.bend_payout(1, is_settled=False)
        assert reconcile().status == RunStatus.CLEAN

    def test_settlement_of_what_is_not_settled(self, world: World) -> None:
        world.settle(2)
        world.bend_payout(2, is_settled=False)
        self.expect_settlement("", "900", 2)

    def test_settlement_booked_twice(self, world: World) -> None:
        world.settle(1)
        world.settle(1, occurrence=2)
        self.expect_settlement("600", "1200")

    @pytest.mark.parametrize("source", ["payout:77", ""])
    def test_settlement_of_what_nobody_knows(self, world: World, source: str) -> None:
        lines = [books.Line(ACCOUNTS.payable, 50), books.Line(ACCOUNTS.in_transit, -50)]
        book("from nowhere", lines, source_ref=source)
        self.expect_settlement("", "50", None)

    def test_duplicate_payment_for_one_obligation(self, world: World) -> None:
        world.mine()
        world.pay(3, 6, [300])
        world.bend_claim(6, obligation=3)
        found = reconcile()
        assert outcomes(found) == {"claims": 6, "matched": 3, "in_flight": 2, "duplicate_payment": 1}
        assert only_break(found)["payment_id"] == 6

    def test_duplicate_payment_inside_a_tx(self, world: World) -> None:
        txid = digest_of("payout", 1)
        (paid,) = (tx for tx in world.txs if tx.txid == txid)
        change_sat = 1_000_000 - 600 - FEE_SAT - 300
        again = evidence.ChainOutput(4, script_of("person", 3), 300, False)
        world.bend_tx(txid, outputs=(*paid.outputs, again))
        world.bend_output(txid, 3, amount_sat=change_sat)
        world.change[0] = world.change[0]._replace(amount_sat=change_sat)
        found = self.expect("duplicate_payment")
        assert (only_break(found)["vout"], only_break(found)["found"]) == (4, "300")

    def test_duplicate_booking(self, world: World) -> None:
        book("again", [books.Line(ACCOUNTS.in_transit, 200, 2), books.Line(ACCOUNTS.payable, -200)])
        found = self.expect("duplicate_booking", matched=2)
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("200", "400")

    def test_duplicate_booking_of_a_deposit(self, world: World) -> None:
        txid, _ = world.deposit(2, 70)
        world.book_deposit(txid, 70, occurrence=2)
        found = self.expect("duplicate_booking")
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("140", "70")

    def test_duplicate_booking_of_a_fee(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.network_fees, FEE_SAT), books.Line(ACCOUNTS.appropriation, -FEE_SAT)]
        book("again", lines, source_ref="payout:1")
        found = self.expect("duplicate_booking")
        assert only_break(found)["payout_id"] == 1

    def test_unknown_in(self, world: World) -> None:
        txid, _ = world.deposit(2, 70, is_booked=False)
        found = self.expect("unknown_in")
        assert only_break(found) == {
            "payment_id": None, "payout_id": None, "txid": txid, "vout": 1, "expected": "", "found": "70"
        }  # fmt: skip
        assert found.totals["wallet_explained_sat"] == 70

    def test_amount_where_another_deposit_is_booked(self, world: World) -> None:
        txid, _ = world.deposit(2, 70, is_booked=False)
        world.book_deposit(txid, 60)
        found = self.expect("amount")
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("60", "70")

    def test_unknown_out(self, world: World) -> None:
        (coin,) = world.coins
        lost_sat = world.coins[coin]
        stolen = world.steal()
        found = self.expect("unknown_out")
        assert only_break(found) == {
            "payment_id": None,
            "payout_id": None,
            "txid": coin[0],
            "vout": coin[1],
            "expected": "",
            "found": stolen.txid,
        }
        assert (found.totals["wallet_explained_sat"], found.totals["wallet_unspent_sat"]) == (-lost_sat, 0)

    @pytest.mark.parametrize("wrong", ["books", "claim", "chain"])
    def test_fee(self, world: World, wrong: str) -> None:
        txid = digest_of("payout", 1)
        if wrong == "books":
            lines = [books.Line(ACCOUNTS.network_fees, 9), books.Line(ACCOUNTS.appropriation, -9)]
            book("fee", lines, source_ref="payout:1")
        elif wrong == "claim":
            world.bend_payout(1, fee_sat=FEE_SAT + 9)
        else:
            change_sat = 1_000_000 - 600 - FEE_SAT - 9
            world.bend_output(txid, 3, amount_sat=change_sat)
            world.change[0] = world.change[0]._replace(amount_sat=change_sat)
        found = self.expect("fee")
        assert only_break(found)["payout_id"] == 1
        assert (only_break(found)["expected"], only_break(found)["found"]) == {
            "books": (str(FEE_SAT + 9), str(FEE_SAT)),
            "claim": (str(FEE_SAT + 9), str(FEE_SAT)),
            "chain": (str(FEE_SAT), str(FEE_SAT + 9)),
        }[wrong]

    def test_fee_before_it_is_in_a_block(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.network_fees, 9), books.Line(ACCOUNTS.appropriation, -9)]
        book("fee", lines, source_ref="payout:2")
        assert only_break(self.expect("fee"))["payout_id"] == 2

    def test_fee_where_an_input_is_not_known(self, world: World) -> None:
        world.bend_tx(digest_of("payout", 1), input_count=2)
        assert only_break(self.expect("fee"))["found"] == ""

    @pytest.mark.parametrize("off_sat", [-1, 1])
    def test_balance_to_the_satoshi(self, world: World, off_sat: int) -> None:
        (coin,) = world.coins
        world.coins[coin] += off_sat
        (row,) = self.expect("balance").breaks.all()
        unspent_sat = 1_000_000 - 600 - FEE_SAT
        assert (row.unit, row.expected, row.found, row.amount_sat) == ("coins", "0", str(off_sat), off_sat)
        assert row.message == (
            f"By the blocks {unspent_sat:,} sat are unspent, by the node's own set {unspent_sat + off_sat:,} sat."
        )

    def test_balance_of_the_books(self, world: World) -> None:
        reconcile()
        Standing.objects.update(booked_sat=F("booked_sat") + 7)
        (row,) = self.expect("balance").breaks.all()
        assert (row.unit, row.expected, row.found, row.amount_sat) == ("wallet", "0", "-7", -7)

    def test_balance_is_the_same_while_the_difference_is(self, world: World) -> None:
        """What people explained stays explained, whatever is paid meanwhile."""
        world.coins["cd" * 32, 0] = 3
        first = only_break(reconcile())
        world.mine()
        world.pay(3, 10, [700])
        world.coins["cd" * 32, 0] = 3
        assert only_break(reconcile()) == first

    def test_balance_of_a_payout(self, world: World) -> None:
        """Its payments and its fee are booked as they are, and still the wallet is debited once more."""
        lines = [books.Line(ACCOUNTS.hot_wallet, -50), books.Line(ACCOUNTS.appropriation, 50)]
        book("more", lines, source_ref="payout:1")
        (row,) = self.expect("balance").breaks.all()
        assert (row.payout_id, row.expected, row.found, row.amount_sat) == (1, "-950", "-900", 50)

    def test_balance_of_a_payout_is_not_hidden_by_what_explains_nothing_of_it(self, world: World) -> None:
        world.settle(1, is_booked=False)
        lines = [books.Line(ACCOUNTS.hot_wallet, -50), books.Line(ACCOUNTS.appropriation, 50)]
        book("more", lines, source_ref="payout:1")
        assert sorted(one.kind for one in reconcile().breaks.all()) == ["balance", "settlement"]

    def test_rows_are_stored_up_to_a_limit_and_counted_in_full(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "MOST_BREAKS_STORED", 2)
        world.claims = [claim._replace(amount_sat=claim.amount_sat + 1) for claim in world.claims]
        found = reconcile()
        assert outcomes(found) == {"claims": 5, "amount": 5}
        assert found.breaks.count() == 2


class TestTime:
    """Differences of time are outcomes until they last too long."""

    def expect(self, outcome: str, *, is_break: bool = False) -> ReconciliationRun:
        found = reconcile()
        assert outcomes(found) == {"claims": 5, "matched": 3, outcome: 2}
        assert (found.status, found.break_count) == (
            (RunStatus.BREAKS, 2) if is_break else (RunStatus.CLEAN, 0)
        )
        return found

    def test_in_flight(self, world: World) -> None:
        self.expect("in_flight")

    def test_evicted(self, world: World) -> None:
        world.waiting.clear()
        self.expect("evicted")

    def test_not_broadcast(self, world: World) -> None:
        world.waiting.clear()
        world.bend_payout(2, was_sent=False)
        self.expect("not_broadcast")

    def test_reorged_out(self, world: World) -> None:
        world.waiting.clear()
        world.bend_payout(2, was_mined=True)
        self.expect("reorged_out")

    def test_replaced_while_another_version_waits(self, world: World) -> None:
        world.waiting = {"ee" * 32}
        world.versions.append(evidence.Version(2, "ee" * 32))
        self.expect("replaced")

    def test_replaced_in_a_block_is_a_break_at_once(self, world: World) -> None:
        """The records speak of one version, and a block holds another."""
        ours = digest_of("payout", 2)
        world.pay(3, 50, [400, 500])
        world.versions[-1] = evidence.Version(2, digest_of("payout", 3))
        world.claims = [claim for claim in world.claims if claim.payout_id != 3]
        world.payouts = world.payouts[:2]
        Entry.objects.get(source_ref="payout:3")
        books.reverse(
            Entry.objects.get(source_ref="payout:3").pk,
            idempotency_key="not two",
            effective_at=timezone.now(),
            memo="",
            actor="tester",
        )
        found = self.expect("replaced", is_break=True)
        assert {one.txid for one in found.breaks.all()} == {ours}

    @pytest.mark.parametrize("outcome", ["in_flight", "evicted", "not_broadcast", "reorged_out"])
    def test_that_lasts_too_long_is_a_break(self, world: World, outcome: str, settings: Any) -> None:
        since = timezone.now() - settings.GOVPAY_RECONCILE_PATIENCE - timedelta(seconds=1)
        world.bend_payout(2, since=since, was_sent=outcome == "evicted", was_mined=outcome == "reorged_out")
        if outcome != "in_flight":
            world.waiting.clear()
        found = self.expect(outcome, is_break=True)
        assert [one.kind for one in found.breaks.all()] == [outcome, outcome]

    @pytest.mark.parametrize(("late", "break_count"), [(timedelta(hours=1), 0), (timedelta(days=4), 1)])
    def test_cut_off(self, empty_world: World, late: timedelta, break_count: int) -> None:
        """A block of the last minute of a period, which is booked in the next one."""
        now = timezone.now()
        empty_world.blocks.clear()
        empty_world.mine(at=now - late)
        Period.objects.create(name="last", ends_at=now - late / 2, opened_by="tester")
        empty_world.deposit(1, 500)
        found = reconcile()
        assert (outcomes(found), found.break_count) == ({"cut_off": 1}, break_count)
        assert [one.kind for one in found.breaks.all()] == ["cut_off"] * break_count


class TestGuide:
    def test_tells_what_each_kind_means(self) -> None:
        guide = (Path(settings.BASE_DIR) / "docs" / "reconciliation.md").read_text()
        rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", guide, re.MULTILINE)
        assert rows == BreakKind.values
