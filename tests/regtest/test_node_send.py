"""Sends to a real node: each outcome is brought about, so that a node's new wording shows."""

import socket
from typing import Any

import pytest

from payments.onchain import node, tx
from payments.onchain.send import SendOutcome
from tests import services
from tests.payments.onchain.fake_node import FakeNode
from tests.regtest.paying_wallet import PayingWallet, paying_fee_sat

CEILING = 100_000


@pytest.fixture(scope="module")
def paying() -> PayingWallet:
    return PayingWallet(services.ensure_node().url, coins=12)


def outcome(paying: PayingWallet, sent: tx.Tx) -> SendOutcome:
    return paying.node.send_raw(sent.raw, max_feerate_sat_kvb=CEILING).outcome


class TestSendRaw:
    def test_accepts_the_same_bytes_any_number_of_times(self, paying: PayingWallet) -> None:
        sent = paying.spend(*paying.coin(), fee_sat=1000)
        replies = [paying.node.send_raw(sent.raw, max_feerate_sat_kvb=CEILING) for _ in range(3)]
        assert replies == [(SendOutcome.ACCEPTED, sent.txid, "")] * 3
        paying.mine(1)
        assert outcome(paying, sent) is SendOutcome.KNOWN

    def test_says_missing_inputs_of_a_mined_tx_whose_outputs_are_spent(self, paying: PayingWallet) -> None:
        sent = paying.spend(*paying.coin(), fee_sat=1000)
        child = paying.spend(tx.OutPoint(sent.txid, 0), sent.outputs[0], fee_sat=1000)
        assert outcome(paying, sent) is SendOutcome.ACCEPTED
        assert outcome(paying, child) is SendOutcome.ACCEPTED
        paying.mine(1)
        assert outcome(paying, sent) is SendOutcome.MISSING_INPUTS

    def test_says_missing_inputs_where_another_tx_spent_them(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        winner = paying.spend(outpoint, prevout, fee_sat=1000)
        loser = paying.spend(outpoint, prevout, fee_sat=2000)
        assert outcome(paying, winner) is SendOutcome.ACCEPTED
        paying.mine(1)
        assert outcome(paying, loser) is SendOutcome.MISSING_INPUTS

    def test_says_conflict_of_a_replacement_that_pays_too_little(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        first = paying.spend(outpoint, prevout, fee_sat=2000)
        cheaper = paying.spend(outpoint, prevout, fee_sat=1000)
        dearer = paying.spend(outpoint, prevout, fee_sat=4000)
        assert outcome(paying, first) is SendOutcome.ACCEPTED
        assert outcome(paying, cheaper) is SendOutcome.CONFLICT
        assert paying.node.mempool_spender([outpoint]) == first.txid
        assert outcome(paying, dearer) is SendOutcome.ACCEPTED
        assert paying.node.mempool_spender([outpoint]) == dearer.txid

    def test_says_that_the_fee_is_too_low(self, paying: PayingWallet) -> None:
        sent = paying.spend(*paying.coin(), fee_sat=1)
        assert outcome(paying, sent) is SendOutcome.FEE_TOO_LOW
        assert paying.node.mempool_has(sent.txid) is False

    def test_holds_the_node_to_the_ceiling(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        exact_sat = paying_fee_sat([paying.script], feerate_sat_kvb=CEILING)
        above = paying.spend(outpoint, prevout, fee_sat=exact_sat + 1000)
        assert outcome(paying, above) is SendOutcome.FEE_TOO_HIGH
        assert paying.node.mempool_spender([outpoint]) is None
        below = paying.spend(outpoint, prevout, fee_sat=exact_sat - 1000)
        assert outcome(paying, below) is SendOutcome.ACCEPTED

    def test_says_that_the_chain_of_unconfirmed_txs_is_too_long(self, paying: PayingWallet) -> None:
        paying.mine(1)
        outpoint, prevout = paying.coin()
        outcomes = []
        for _ in range(70):
            sent = paying.spend(outpoint, prevout, fee_sat=1000)
            outcomes.append(outcome(paying, sent))
            outpoint, prevout = tx.OutPoint(sent.txid, 0), sent.outputs[0]
            if outcomes[-1] is not SendOutcome.ACCEPTED:
                break
        paying.mine(1)
        # 25 with Bitcoin Core up to 30 and with Knots, 64 with clusters.
        assert len(outcomes) in (26, 65)
        assert outcomes == [SendOutcome.ACCEPTED] * (len(outcomes) - 1) + [SendOutcome.CHAIN_TOO_LONG]

    def test_rejects_dust_and_spoiled_signatures(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        shares = [tx.Output(293, paying.script), tx.Output(prevout.amount_sat - 2000, paying.script)]
        dust = paying.sign(tx.build_unsigned([outpoint], shares), [prevout])
        assert outcome(paying, dust) is SendOutcome.REJECTED
        signed = paying.spend(outpoint, prevout, fee_sat=1000)
        spoiled = signed.raw[:-60] + bytes([signed.raw[-60] ^ 1]) + signed.raw[-59:]
        reply = paying.node.send_raw(spoiled, max_feerate_sat_kvb=CEILING)
        assert reply.outcome is SendOutcome.REJECTED
        assert paying.node.mempool_spender([outpoint]) is None

    def test_does_not_know_after_a_swallowed_reply_and_sends_the_same_bytes(
        self, paying: PayingWallet
    ) -> None:
        """The node accepts, its reply is lost (F12): UNKNOWN, then the same bytes settle it."""
        sent = paying.spend(*paying.coin(), fee_sat=1000)

        def swallow(_node: FakeNode, _peer: socket.socket, request: dict[str, Any]) -> None:
            assert paying.node.call(request["method"], request["params"][0]) == sent.txid

        with FakeNode(swallow) as between:
            lossy = node.Node(between.url, timeout_s=1)
            reply = lossy.send_raw(sent.raw, max_feerate_sat_kvb=CEILING)
        assert (reply.outcome, reply.txid) == (SendOutcome.UNKNOWN, None)
        assert paying.node.mempool_has(sent.txid) is True
        assert outcome(paying, sent) is SendOutcome.ACCEPTED

    def test_weighs_at_most_what_was_paid_for(self, paying: PayingWallet) -> None:
        """A tx of 500 payments: the fee arithmetic is an upper bound, and a close one."""
        scripts = [b"\x00\x14" + n.to_bytes(20, "big") for n in range(1, 501)]
        outpoint, prevout = paying.coin()
        paid = [tx.Output(1000, script) for script in scripts]
        fee_sat = paying_fee_sat([*scripts, paying.script], feerate_sat_kvb=2000)
        paid.append(tx.Output(prevout.amount_sat - 500_000 - fee_sat, paying.script))
        sent = paying.sign(tx.build_unsigned([outpoint], paid), [prevout])
        assert outcome(paying, sent) is SendOutcome.ACCEPTED
        entry = paying.node.call("getmempoolentry", sent.txid)
        assert (entry["vsize"], entry["weight"]) == (sent.vsize, sent.weight)
        assert fee_sat == 2 * 15_612
        assert 15_612 - 1 <= sent.vsize <= 15_612
