"""Fee bumps on a real node: what is replaced, what confirms, and that books and coins follow the one that does."""

import pytest
from django.utils import timezone

from ledger import books
from ledger.reconciliation.service import reconcile
from payments.models import Payout, PayoutTx, PayoutTxKind
from payments.onchain import node, tx
from payments.payout import bump, dispatch
from payments.states import PayoutStatus
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = [40_000, 50_000, 60_000]


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 400_000])


def send(ministry: Ministry, amounts_sat: list[int]) -> Payout:
    """Pay a list; its payout waits in the memory pool."""
    (payout,) = ministry.pay(ministry.release(amounts_sat))
    assert payout.status == PayoutStatus.SENT
    return payout


def raise_fee(payout: Payout, feerate_sat_kvb: int, **how: bool) -> PayoutTx:
    """Bump by the engine's own call, and let a worker sign and send what came of it."""
    client = node.connect()
    try:
        version = bump.build(payout.pk, feerate_sat_kvb, client, **how)
    finally:
        client.close()
    dispatch.advance(payout_id=payout.pk)
    payout.refresh_from_db()
    return PayoutTx.objects.get(pk=version.pk)


def hot_wallet_sat(ministry: Ministry) -> int:
    trial = books.trial_balance(scope=ministry.program.scope)
    assert trial.is_balanced
    return next(a.balance for a in trial.accounts if a.code.split(":")[1] == "HotWallet")


def require_clean(ministry: Ministry) -> None:
    (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
    assert (run.status, run.reason) == ("clean", "")


class TestBump:
    def test_replaces_the_tx_in_the_memory_pool_and_pays_the_same_people(self, ministry: Ministry) -> None:
        payout = send(ministry, PEOPLE)
        old = payout.current
        new = raise_fee(payout, 10_000)
        assert ministry.miner.node.call("getrawmempool") == [new.txid]
        before, after = (tx.parse(bytes(version.raw)) for version in (old, new))
        assert after.outputs[:3] == before.outputs[:3]
        assert after.inputs == before.inputs
        assert (new.kind, new.fee_added_sat) == (PayoutTxKind.BUMP, new.fee_sat - old.fee_sat)
        assert new.change_sat == old.change_sat - new.fee_added_sat
        assert after.vsize - (new.fee_sat * 1000 // 10_000) in (0, -1)
        assert (payout.status, payout.current, payout.problem) == (PayoutStatus.SENT, new, "")
        assert hot_wallet_sat(ministry) == 1_400_000 - sum(PEOPLE) - new.fee_sat
        ministry.mine(6)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, new.txid)
        ministry.judge(exactly=True)
        require_clean(ministry)
