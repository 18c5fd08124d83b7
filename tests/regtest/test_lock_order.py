"""Two connections that want the same rows at once: wallets come before payouts, so that nobody dies in a deadlock."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from payments.models import Alarm, Payment, Payout
from payments.onchain import node
from payments.payout import bump, chainview, derive, dispatch, guard, lease
from payments.services import holds, interventions
from payments.states import DisbursementStatus, PayoutStatus
from tests import factories
from tests.racing import Racer, somebody_waits
from tests.regtest.ministry import Ministry, use_node
from tests.regtest.nodes import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 400_000])


@pytest.fixture
def payout(ministry: Ministry) -> Payout:
    """A payout that waits in the memory pool."""
    (found,) = ministry.pay(ministry.release([40_000]))
    assert found.status == PayoutStatus.SENT
    return found


class Bump(Racer):
    """Builds a bump on a connection of its own, and stands still between the wallet's row and the payout's."""

    def __init__(self, payout: Payout, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(lambda: bump.build(payout.pk, 5_000, node.connect()))
        self.holds_wallet, self.other_holds_payout = threading.Event(), threading.Event()
        lock = lease.lock

        def stand_still(payout_id: int, token: int) -> None:
            self.holds_wallet.set()
            wait_for("the other", lambda: self.other_holds_payout.is_set() or somebody_waits())
            lock(payout_id, token)

        monkeypatch.setattr(lease, "lock", stand_still)

    def meet(self) -> None:
        """Go on once it holds the wallet."""
        self.start()
        wait_for("the wallet's row", self.holds_wallet.is_set)

    def cross(self) -> None:
        """The caller holds the payout: go on once the bump waits for it."""
        self.other_holds_payout.set()
        wait_for("the bump", lambda: somebody_waits() or not self.is_alive())


def before(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, do: Callable[[], None]) -> None:
    """Do something before a function runs."""
    found = getattr(where, name)

    def run(*args: Any, **named: Any) -> Any:
        do()
        return found(*args, **named)

    monkeypatch.setattr(where, name, run)


class TestBump:
    def test_and_a_request_about_the_same_payout_both_come_through(
        self, ministry: Ministry, payout: Payout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        by = factories.make_member(ministry.program, "treasurer")
        shown = interventions.preview(by=by, payout_id=payout.pk, kind="void")
        racer = Bump(payout, monkeypatch)
        racer.meet()
        before(monkeypatch, interventions, "_create", racer.cross)
        asked = interventions.propose(by=by, payout_id=payout.pk, kind="void", note="It waits.", shown=shown)
        racer.join()
        assert (asked.status, racer.error) == ("proposed", None)
        assert payout.txs.count() == 2

    def test_and_a_block_in_which_a_stranger_spends_a_coin_both_come_through(
        self, ministry: Ministry, payout: Payout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = payout.current
        coin = ministry.program.wallet.coins.exclude(txid=payout.anchor_txid).get()
        thief = steal(ministry, coin.txid, coin.vout)
        racer = Bump(payout, monkeypatch)
        before(monkeypatch, chainview, "_our_scripts", racer.meet)
        before(monkeypatch, chainview, "_book_deposits", racer.cross)
        ministry.miner.mine_only([bytes(original.raw).hex(), thief])
        assert dispatch.follow() is True
        racer.join()
        payout = Payout.objects.select_related("wallet").get(pk=payout.pk)
        assert racer.error is None
        assert (payout.status, payout.mined_txid, payout.txs.count()) == ("mined", original.txid, 2)
        assert payout.wallet.halt_code == guard.HaltCode.STRANGER_SPENT

    def test_and_the_freeze_of_its_payout_both_come_through(
        self, ministry: Ministry, payout: Payout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        thief = steal(ministry, payout.anchor_txid, payout.anchor_vout)
        racer = Bump(payout, monkeypatch)
        before(monkeypatch, derive, "_take", racer.meet)
        before(monkeypatch, derive, "_freeze", racer.cross)
        ministry.miner.mine_only([thief])
        assert dispatch.follow() is True
        racer.join()
        assert isinstance(racer.error, guard.WalletHalted)
        assert Payout.objects.get().status == PayoutStatus.FROZEN
        codes = Alarm.objects.order_by("code").values_list("code", flat=True)
        assert list(codes) == ["payout_conflicted", "stranger_spent_our_coin"]


class TestHold:
    def test_and_the_end_of_its_list_both_come_through(
        self, ministry: Ministry, payout: Payout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payment = Payment.objects.get()
        racer = Racer(lambda: holds.hold(by=ministry.officer, payment_id=payment.pk, note="Moved abroad."))
        thief = steal(ministry, payout.anchor_txid, payout.anchor_vout)
        ministry.miner.mine_only([thief])
        ministry.mine(98)

        def start() -> None:
            racer.start()
            wait_for("the officer", lambda: somebody_waits() or not racer.is_alive())

        before(monkeypatch, derive, "_level", start)
        ministry.mine(1)
        racer.join()
        assert isinstance(racer.error, holds.PaymentSealed)
        assert Payout.objects.get().status == PayoutStatus.VOIDED
        assert payout.disbursement is not None
        payout.disbursement.refresh_from_db()
        assert payout.disbursement.status == DisbursementStatus.COMPLETED


def steal(ministry: Ministry, txid: str, vout: int) -> str:
    """Sign a spend of one of the wallet's coins as somebody with its keys could; nothing is sent."""
    wallet = ministry.wallet_rpc()
    raw = wallet.call(
        "createrawtransaction", [{"txid": txid, "vout": vout}], [{ministry.miner.make_address(): "0.003"}]
    )
    signed = wallet.call("signrawtransactionwithwallet", raw)
    assert signed["complete"]
    return str(signed["hex"])
