"""A bump whose added coin a reorganization takes away: an older version goes out, and the next bump builds on that."""

import pytest
from django.utils import timezone

from deploy.local.regtest import to_btc
from ledger.reconciliation.service import reconcile
from payments.models import Alarm, Payout, PayoutTx, Program
from payments.onchain import node, tx
from payments.payout import bump, dispatch, mempool, versions
from payments.states import PayoutStatus
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[100_000], coins_wanted=1, bump_after_blocks=1)


class Deposit:
    """A deposit in a block of its own, and another tx that spends the same coin of the depositor's."""

    def __init__(self, ministry: Ministry, amount_sat: int) -> None:
        self.ministry = ministry
        rpc = ministry.miner.wallet
        own = max(rpc.call("listunspent"), key=lambda coin: coin["amount"])
        inputs = [{"txid": own["txid"], "vout": own["vout"]}]
        back = own["amount"] - to_btc(amount_sat + 1_000)
        paid = [
            {ministry.funding_address(): to_btc(amount_sat)},
            {ministry.miner.make_address(): back},
        ]
        other = [{ministry.miner.make_address(): own["amount"] - to_btc(5_000)}]
        self.raw, self.rival = (
            rpc.call("signrawtransactionwithwallet", rpc.call("createrawtransaction", inputs, outputs))["hex"]
            for outputs in (paid, other)
        )

    def confirm(self) -> None:
        """Mine it alone."""
        self.block_hash = self.ministry.miner.mine_only([self.raw])
        dispatch.follow()

    def vanish(self) -> None:
        """Let a longer branch hold the other tx."""
        self.ministry.miner.node.call("invalidateblock", self.block_hash)
        self.ministry.miner.mine_only([self.rival])
        self.ministry.mine(1)


def visit(payout: Payout) -> Payout:
    """The payout has come due."""
    Payout.objects.filter(pk=payout.pk).update(due_at=None)
    dispatch.advance(payout_id=payout.pk)
    return Payout.objects.select_related("current").get(pk=payout.pk)


def pool(ministry: Ministry) -> list[str]:
    return list(ministry.miner.node.call("getrawmempool"))


@pytest.fixture
def payout(ministry: Ministry) -> Payout:
    """Its bump added a coin that is gone now."""
    deposit = Deposit(ministry, 300_000)
    deposit.confirm()
    (found,) = ministry.pay(ministry.release([98_000]))
    bump.build(found.pk, 30_000, node.connect())
    found = visit(found)
    assert (pool(ministry), found.txs.count()) == ([found.current.txid], 2)
    assert found.reservations.filter(is_original=False, amount_sat=300_000).count() == 1
    deposit.vanish()
    assert pool(ministry) == []
    return found


class TestOlderVersion:
    def test_goes_out_and_pays(self, ministry: Ministry, payout: Payout) -> None:
        original = payout.txs.earliest("pk")
        payout = visit(payout)
        assert pool(ministry) == [original.txid]
        assert payout.status == PayoutStatus.SENT
        assert payout.problem == "A coin of its newest version is gone; the node has an older one."
        payout = visit(payout)
        assert (pool(ministry), payout.attempts) == ([original.txid], 0)
        assert payout.problem == f"The node keeps another version, {original.txid}."
        offers = payout.offers
        mempool.offer_forgotten(node.connect())
        payout.refresh_from_db()
        assert payout.offers == offers > 0
        assert Alarm.objects.filter(closed_at=None).count() == 0
        ministry.mine(6)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, original.txid)
        assert payout.booked_fee_sat == original.fee_sat
        ministry.judge(exactly=True)
        (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
        assert (run.status, run.reason) == ("clean", "")

    def test_is_what_the_engine_builds_its_next_bump_on(self, ministry: Ministry, payout: Payout) -> None:
        lost = payout.current
        payout = visit(payout)
        standing = versions.standing(payout, node.connect())
        assert standing == payout.txs.earliest("pk")
        ministry.miner.fund([ministry.funding_address()], 500_000)
        ministry.miner.mine_only(
            [ministry.miner.node.call("getrawtransaction", deposit_txid(ministry, payout))]
        )
        ministry.mine(0)
        # What the lost version paid is what the network asks for: enough, were it still to confirm.
        rate = lost.feerate_sat_kvb
        Program.objects.update(feerate_floor_sat_kvb=rate, feerate_fallback_sat_kvb=rate)
        dispatch.hasten(wallet_id=ministry.program.wallet.pk)
        payout = visit(payout)
        assert (payout.txs.count(), payout.status, payout.problem) == (3, PayoutStatus.SENT, "")
        assert pool(ministry) == [payout.current.txid]
        spent = {outpoint.txid for outpoint in tx.inputs_of(bytes(payout.current.unsigned_tx))}
        assert payout.anchor_txid in spent
        assert spent.isdisjoint(gone_txids(payout, lost))
        assert payout.current.fee_sat > lost.fee_sat
        ministry.mine(6)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, payout.current.txid)
        ministry.judge(exactly=True)


def deposit_txid(ministry: Ministry, payout: Payout) -> str:
    """The tx in the memory pool that is no version of the payout."""
    own = set(payout.txs.values_list("txid", flat=True))
    (found,) = set(pool(ministry)) - own
    return found


def gone_txids(payout: Payout, lost: PayoutTx) -> set[str]:
    """Whose output the lost version had added."""
    added = payout.reservations.filter(is_original=False).values_list("txid", flat=True)
    return {
        outpoint.txid for outpoint in tx.inputs_of(bytes(lost.unsigned_tx)) if outpoint.txid in set(added)
    }
