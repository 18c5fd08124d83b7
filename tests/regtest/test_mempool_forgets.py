"""What a node's mempool does to a sent payout: it evicts, expires, wants higher fees, holds chains of 25."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from deploy.local.node import Node
from payments.models import Destination, Heartbeat, Payout, PayoutTxKind
from payments.onchain import node, tx
from payments.payout import dispatch
from payments.states import PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry
from tests.regtest.nodes import running
from tests.regtest.paying_wallet import PayingWallet

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = b"\x00\x14" + b"\xee" * 20


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that tests may restart with other rules."""
    with running(tmp_path_factory.mktemp("mempool")) as found:
        yield found


@pytest.fixture
def ministry(own: Node, settings: object) -> Iterator[Ministry]:
    settings.GOVPAY_NODE_URL = own.url  # type: ignore[attr-defined]
    yield Ministry.open(deposits_sat=[1_000_000, 900_000])
    own.rpc.call("setmocktime", 0)
    own.options.clear()
    own.restart()


def look(payout: Payout) -> Payout:
    """Follow with the half minute between two looks at the mempool gone by."""
    Heartbeat.objects.filter(name="mempool").update(beat_at=timezone.now() - timedelta(minutes=1))
    dispatch.follow()
    return Payout.objects.get(pk=payout.pk)


def seconds_to_due(payout: Payout) -> int:
    assert payout.due_at is not None
    return round((payout.due_at - timezone.now()).total_seconds())


class TestForgotten:
    def test_bytes_that_wait_in_the_mempool_rest_longer_each_time(
        self, own: Node, ministry: Ministry
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        for offers, middle_s in ((1, 60), (2, 120), (3, 240)):
            payout = look(payout)
            assert (payout.status, payout.offers) == (PayoutStatus.SENT, offers)
            assert middle_s * 0.7 <= seconds_to_due(payout) <= middle_s * 1.3
            Payout.objects.filter(pk=payout.pk).update(due_at=None)
            dispatch.advance(payout_id=payout.pk)

    def test_bytes_go_out_again_at_once_after_a_restart_without_the_mempools_file(
        self, own: Node, ministry: Ministry
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        assert seconds_to_due(payout) >= 45
        # The node's wallet would offer its txs again by itself; here only govpay does.
        own.restart(persistmempool="0", walletbroadcast="0")
        assert own.rpc.call("getrawmempool") == []
        payout = look(payout)
        assert (payout.status, payout.offers, payout.due_at) == (PayoutStatus.SENT, 0, None)
        dispatch.advance(payout_id=payout.pk)
        assert own.rpc.call("getrawmempool") == [payout.current.txid]
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_bytes_that_expired_go_out_again(self, own: Node, ministry: Ministry) -> None:
        own.restart(mempoolexpiry="1")
        (payout,) = ministry.pay(ministry.release([40_000]))
        own.rpc.call("setmocktime", int(timezone.now().timestamp()) + 2 * 3_600)
        other = ministry.miner.fund([ministry.miner.make_address()], 100_000)
        assert own.rpc.call("getrawmempool") == [other]
        payout = look(payout)
        assert payout.due_at is None
        dispatch.advance(payout_id=payout.pk)
        assert sorted(own.rpc.call("getrawmempool")) == sorted([other, payout.current.txid])
        ministry.mine(6)
        ministry.judge(exactly=True)


class TestHigherMinimum:
    def test_keeps_the_payout_waiting_without_haste_until_a_block_comes(
        self, own: Node, ministry: Ministry
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        own.restart(minrelaytxfee="0.00050000")
        assert own.rpc.call("getrawmempool") == []
        payout = look(payout)
        dispatch.advance(payout_id=payout.pk)
        for attempts, middle_s in ((1, 60), (2, 120)):
            payout = look(payout)
            assert (payout.status, payout.attempts, payout.offers) == (PayoutStatus.SENT, attempts, 0)
            assert "higher fee now" in payout.problem
            # That it is not in the mempool was known: the look there does not hurry it.
            assert middle_s * 0.7 <= seconds_to_due(payout) <= middle_s * 1.3
            Payout.objects.filter(pk=payout.pk).update(due_at=None)
            dispatch.advance(payout_id=payout.pk)
        # The node's wallet would offer its txs again by itself; here only govpay does.
        own.restart(minrelaytxfee="0.00001000", walletbroadcast="0")
        assert seconds_to_due(look(payout)) >= 120 * 0.7
        ministry.mine(1)
        assert Payout.objects.get(pk=payout.pk).due_at is None
        dispatch.advance(payout_id=payout.pk)
        payout = Payout.objects.get(pk=payout.pk)
        assert (payout.status, payout.attempts, payout.problem) == (PayoutStatus.SENT, 0, "")
        ministry.mine(6)
        ministry.judge(exactly=True)


class TestFullPool:
    def test_evicts_the_payout_and_a_bump_over_what_it_asks_then_gets_in(
        self, own: Node, ministry: Ministry
    ) -> None:
        """F31: five megabytes of others' txs at five times its feerate push it out of the node's memory pool."""
        own.restart(maxmempool="5")
        filler = Filler(own)
        (payout,) = ministry.pay(ministry.release([40_000, 50_000]))
        original = payout.current
        filler.push_out(original.txid, feerate_sat_kvb=5 * original.feerate_sat_kvb)
        floor_sat_kvb = node.connect().mempool_min_feerate_sat_kvb()
        assert floor_sat_kvb > original.feerate_sat_kvb
        payout = look(payout)
        assert (payout.status, payout.due_at) == (PayoutStatus.SENT, None)
        dispatch.advance(payout_id=payout.pk)
        payout = look(payout)
        assert (payout.attempts, payout.current_id) == (1, original.pk)
        assert "higher fee now" in payout.problem
        dispatch.bump(payout_id=payout.pk)
        dispatch.advance(payout_id=payout.pk)
        payout = Payout.objects.select_related("current").get(pk=payout.pk)
        assert payout.current.kind == PayoutTxKind.BUMP
        assert payout.current.feerate_sat_kvb >= floor_sat_kvb
        pool = own.rpc.call("getrawmempool")
        assert (payout.current.txid in pool, original.txid in pool) == (True, False)
        # The pool is worth five blocks.
        ministry.mine(12)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, payout.current.txid)
        ministry.judge(exactly=True)


class Filler:
    """Others with coins to fill a memory pool; they are in blocks before the payout is sent."""

    def __init__(self, own: Node) -> None:
        self.own = own
        self.wallet = PayingWallet(own.url, coins=8)
        self.coins: list[tuple[tx.OutPoint, tx.Output]] = []
        for _ in range(8):
            split = self.wallet.spend(*self.wallet.coin(), fee_sat=2_000, outputs=10)
            own.rpc.call("sendrawtransaction", split.raw.hex())
            self.coins += [(tx.OutPoint(split.txid, vout), out) for vout, out in enumerate(split.outputs)]
        self.wallet.mine(1)

    def push_out(self, txid: str, *, feerate_sat_kvb: int) -> None:
        """Send txs of 3,000 outputs to nobody until the node's memory pool has no room for a cheaper one."""
        # 31 bytes an output; the rest of the tx is small.
        fee_sat = 3_010 * 31 * feerate_sat_kvb // 1_000
        while txid in self.own.rpc.call("getrawmempool"):
            # Each pays a little more, so that none of them is the cheapest itself.
            fee_sat += 1_000
            sent = self.wallet.spend(*self.coins.pop(), fee_sat=fee_sat, outputs=3_000, to=NOBODY)
            self.own.rpc.call("sendrawtransaction", sent.raw.hex(), 0)


class TestChainOf25:
    def test_of_a_payees_txs_on_the_payout_stops_neither_it_nor_the_next(
        self, own: Node, ministry: Ministry
    ) -> None:
        address = ministry.miner.make_address()
        script = bytes.fromhex(ministry.miner.wallet.call("getaddressinfo", address)["scriptPubKey"])
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=[500_000])
        Destination.objects.filter(beneficiary__payments__disbursement=made).update(script_pubkey=script)
        (payout,) = ministry.pay(ministry.go_on(made))
        txid, left = payout.current.txid, Decimal("0.005")
        descendants = 0
        for _ in range(26):
            left -= Decimal("0.00001")
            pays = [{ministry.miner.make_address(): str(left)}]
            raw = own.rpc.call("createrawtransaction", [{"txid": txid, "vout": 0}], pays)
            signed = ministry.miner.wallet.call("signrawtransactionwithwallet", raw)["hex"]
            (verdict,) = own.rpc.call("testmempoolaccept", [signed])
            if not verdict["allowed"]:
                break
            txid = own.rpc.call("sendrawtransaction", signed)
            descendants += 1
        # The payout and 24 descendants are the node's limit.
        assert (descendants, verdict["reject-reason"]) == (24, "too-long-mempool-chain")
        Payout.objects.filter(pk=payout.pk).update(due_at=None)
        dispatch.advance(payout_id=payout.pk)
        payout = Payout.objects.get(pk=payout.pk)
        assert (payout.status, payout.problem, payout.offers) == (PayoutStatus.SENT, "", 2)
        (second,) = ministry.pay(ministry.release([40_000], period="2026-12"))
        assert second.status == PayoutStatus.SENT
        ministry.mine(6)
        assert set(Payout.objects.values_list("status", flat=True)) == {PayoutStatus.SETTLED}
        ministry.judge(exactly=True)
