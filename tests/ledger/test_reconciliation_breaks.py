"""The rules of reconciliation over made-up evidence: every kind of break alone."""

import pytest

from ledger import books, chart
from ledger.models import Break, ReconciliationRun, RunStatus
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
        assert (found.status, outcomes(found)) == (RunStatus.BREAKS, self.HONEST | changed | {kind: 1})
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
        world.claims[3] = world.claims[3]._replace(is_mined=True)
        found = self.expect("missing", in_flight=1)
        assert only_break(found)["payment_id"] == 4

    def test_extra(self, world: World) -> None:
        world.change[0] = world.change[0]._replace(script_pubkey=script_of("no change of ours"))
        found = self.expect("extra")
        assert only_break(found) == {
            "payment_id": None,
            "payout_id": 1,
            "txid": digest_of("payout", 1),
            "vout": 3,
            "expected": "",
            "found": str(1_000_000 - 600 - FEE_SAT),
        }

    def test_extra_where_what_is_called_change_is_not_ours(self, world: World) -> None:
        world.bend_output(digest_of("payout", 1), 3, is_ours=False)
        self.expect("extra")

    def test_unbooked(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.in_transit, -200, 2), books.Line(ACCOUNTS.payable, 200)]
        book("unbook", lines)
        found = self.expect("unbooked", matched=2)
        assert only_break(found)["payment_id"] == 2

    def test_unbooked_before_it_is_in_a_block(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.in_transit, 1, 5), books.Line(ACCOUNTS.payable, -1)]
        book("one too many", lines)
        found = self.expect("unbooked", in_flight=1)
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("500", "501")

    def test_ledger_only(self, world: World) -> None:
        book("ghost", [books.Line(ACCOUNTS.in_transit, 50, 99), books.Line(ACCOUNTS.payable, -50)])
        found = self.expect("ledger_only")
        assert only_break(found) == {
            "payment_id": 99, "payout_id": None, "txid": "", "vout": None, "expected": "", "found": "50"
        }  # fmt: skip

    def test_ledger_only_for_a_deposit_that_is_not_on_the_chain(self, world: World) -> None:
        lines = [books.Line(ACCOUNTS.hot_wallet, 50), books.Line(ACCOUNTS.appropriation, -50)]
        book("dream", lines, source_ref=f"outpoint:{'ab' * 32}:4")
        world.coins["mended", 0] = 50
        found = self.expect("ledger_only")
        assert (only_break(found)["txid"], only_break(found)["vout"]) == ("ab" * 32, 4)

    def test_unknown_in(self, world: World) -> None:
        txid, vout = world.deposit(2, 70, is_booked=False)
        del world.coins[txid, vout]
        found = self.expect("unknown_in")
        assert only_break(found) == {
            "payment_id": None, "payout_id": None, "txid": txid, "vout": 1, "expected": "", "found": "70"
        }  # fmt: skip

    def test_unknown_in_where_another_amount_is_booked(self, world: World) -> None:
        world.bend_output(digest_of("deposit", 1), 1, amount_sat=999_999)
        found = self.expect("unknown_in")
        assert (only_break(found)["expected"], only_break(found)["found"]) == ("1000000", "999999")

    def test_unknown_out(self, world: World) -> None:
        (coin, amount_sat), *_ = world.coins.items()
        thief = digest_of("thief")
        output = evidence.ChainOutput(0, script_of("thief"), amount_sat - 10, False)
        spend = evidence.ChainSpend(*coin, amount_sat)
        world.txs.append(evidence.ChainTx(thief, world.block_hash, 100, 1, (output,), (spend,)))
        found = self.expect("unknown_out")
        assert only_break(found) == {
            "payment_id": None,
            "payout_id": None,
            "txid": coin[0],
            "vout": coin[1],
            "expected": "",
            "found": thief,
        }

    @pytest.mark.parametrize("wrong", ["books", "claim", "chain"])
    def test_fee(self, world: World, wrong: str) -> None:
        if wrong == "books":
            lines = [books.Line(ACCOUNTS.network_fees, 9), books.Line(ACCOUNTS.appropriation, -9)]
            book("fee", lines, source_ref="payout:1")
        elif wrong == "claim":
            world.payouts[0] = world.payouts[0]._replace(fee_sat=FEE_SAT + 9)
        else:
            spend = world.txs[1].spends[0]
            world.txs[1] = world.txs[1]._replace(spends=(spend._replace(amount_sat=spend.amount_sat + 9),))
        found = self.expect("fee")
        assert only_break(found)["payout_id"] == 1
        assert (only_break(found)["expected"], only_break(found)["found"]) == {
            "books": (str(FEE_SAT + 9), str(FEE_SAT)),
            "claim": (str(FEE_SAT + 9), str(FEE_SAT)),
            "chain": (str(FEE_SAT), str(FEE_SAT + 9)),
        }[wrong]

    def test_fee_where_an_input_is_not_known(self, world: World) -> None:
        world.txs[1] = world.txs[1]._replace(input_count=2)
        assert only_break(self.expect("fee"))["found"] == ""

    @pytest.mark.parametrize("off_sat", [-1, 1])
    def test_balance_to_the_satoshi(self, world: World, off_sat: int) -> None:
        (coin,) = world.coins
        world.coins[coin] += off_sat
        found = self.expect("balance")
        unspent_sat = 1_000_000 - 600 - FEE_SAT
        assert (only_break(found)["expected"], only_break(found)["found"]) == (
            str(unspent_sat),
            str(unspent_sat + off_sat),
        )

    def test_rows_are_stored_up_to_a_limit_and_counted_in_full(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "MOST_BREAKS_STORED", 2)
        world.claims = [claim._replace(amount_sat=claim.amount_sat + 1) for claim in world.claims]
        found = reconcile()
        assert outcomes(found) == {"claims": 5, "amount": 3, "unbooked": 2}
        assert found.breaks.count() == 2
