"""Replies that get lost: between a real node and the engine stands a proxy that swallows, drops and refuses."""

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings

from deploy.local.rpc import Rpc
from payments.models import Payout, PayoutTx
from payments.onchain import node
from payments.payout import dispatch
from payments.states import PayoutStatus
from tests.faults.proxy import NodeProxy
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

# How a reply gets lost or spoilt once the node has acted (F12, F14, F16), and how a call never gets there (F13, F15).
THERE = ["swallow", "reset", "truncate", "cut_json", "other", "drip"]
NEVER_THERE = ["drop", "hang", "busy", "unauthorized", "forbidden", "html", "garbage"]


@pytest.fixture
def proxy(settings: object) -> Iterator[NodeProxy]:
    use_node(settings)
    with NodeProxy(settings.GOVPAY_NODE_URL) as between:  # type: ignore[attr-defined]
        yield between


@pytest.fixture
def ministry(proxy: NodeProxy) -> Ministry:
    return Ministry.open(deposits_sat=[1_000_000])


def pay_through(proxy: NodeProxy, ministry: Ministry, settings: object) -> Payout:
    """Release one list and let the engine pay it through the proxy."""
    settings.GOVPAY_NODE_URL = proxy.url  # type: ignore[attr-defined]
    # What hangs, or comes a byte at a time, must not hold the test up.
    settings.GOVPAY_NODE_TIMEOUT_S = 2  # type: ignore[attr-defined]
    (payout,) = ministry.pay(ministry.release([40_000, 50_000]))
    return payout


def come_back_later(payout: Payout) -> Payout:
    """The retry has come due; the sweep would ring."""
    Payout.objects.filter(pk=payout.pk).update(due_at=None)
    dispatch.advance(payout_id=payout.pk)
    return Payout.objects.get(pk=payout.pk)


class TestReplyToSend:
    @pytest.mark.parametrize("how", THERE)
    def test_spoilt_after_the_node_accepted_leads_to_the_same_bytes_again(
        self, how: str, proxy: NodeProxy, ministry: Ministry, settings: object
    ) -> None:
        proxy.fail("sendrawtransaction", how, delay_s=0.05)
        payout = pay_through(proxy, ministry, settings)
        assert payout.status == PayoutStatus.SIGNED
        assert ministry.miner.node.call("getrawmempool") == [payout.current.txid]
        assert come_back_later(payout).status == PayoutStatus.SENT
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_lost_after_the_node_accepted_leads_to_the_same_bytes_again(
        self, proxy: NodeProxy, ministry: Ministry, settings: object
    ) -> None:
        proxy.fail("sendrawtransaction", "swallow")
        payout = pay_through(proxy, ministry, settings)
        assert payout.status == PayoutStatus.SIGNED
        assert "same bytes" in payout.problem
        assert ministry.miner.node.call("getrawmempool") == [payout.current.txid]
        payout = come_back_later(payout)
        assert payout.status == PayoutStatus.SENT
        assert proxy.seen["sendrawtransaction"] == 2
        assert PayoutTx.objects.filter(payout=payout).count() == 1
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_lost_and_the_tx_mined_meanwhile_is_success(
        self, proxy: NodeProxy, ministry: Ministry, settings: object
    ) -> None:
        proxy.fail("sendrawtransaction", "swallow")
        payout = pay_through(proxy, ministry, settings)
        ministry.miner.mine(1)
        payout = come_back_later(payout)
        assert payout.status == PayoutStatus.SENT
        ministry.mine(5)
        assert Payout.objects.get().status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)

    @pytest.mark.parametrize("how", NEVER_THERE)
    def test_that_never_reached_the_node_is_sent_again(
        self, how: str, proxy: NodeProxy, ministry: Ministry, settings: object
    ) -> None:
        proxy.fail("sendrawtransaction", how)
        payout = pay_through(proxy, ministry, settings)
        assert payout.status == PayoutStatus.SIGNED
        assert ministry.miner.node.call("getrawmempool") == []
        assert come_back_later(payout).status == PayoutStatus.SENT
        ministry.mine(6)
        ministry.judge(exactly=True)


class TestReplyToSign:
    @pytest.mark.parametrize("how", [*THERE, *NEVER_THERE])
    def test_lost_leads_to_signing_the_same_tx_again(
        self, how: str, proxy: NodeProxy, ministry: Ministry, settings: object
    ) -> None:
        proxy.fail("walletprocesspsbt", how, delay_s=0.05)
        payout = pay_through(proxy, ministry, settings)
        assert payout.status == PayoutStatus.COMMITTED
        assert payout.problem != ""
        txid = payout.current.txid
        payout = come_back_later(payout)
        assert (payout.status, payout.current.txid) == (PayoutStatus.SENT, txid)
        ministry.mine(6)
        ministry.judge(exactly=True)


class TestSigner:
    def test_without_the_keys_is_asked_again_once_it_has_them(
        self, ministry: Ministry, settings: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use_node(settings)
        ministry.miner.node.call("createwallet", "empty")
        with monkeypatch.context() as patched:
            real = node.Node.sign_psbt
            patched.setattr(node.Node, "load_wallet", lambda *_: None)
            dispatch.seal(disbursement_id=ministry.release([40_000]).pk)
            patched.setattr(node.Node, "sign_psbt", lambda self, text: real(self.for_wallet("empty"), text))
            payout = come_back_later(Payout.objects.get())
            assert payout.status == PayoutStatus.COMMITTED
            assert "did not sign every input" in payout.problem
            assert PayoutTx.objects.filter(raw__isnull=False).count() == 0
        assert come_back_later(payout).status == PayoutStatus.SENT
        ministry.mine(6)
        ministry.judge(exactly=True)


def steal(ministry: Ministry, txid: str, vout: int) -> str:
    """Spend a coin of the wallet behind the engine's back, by a tx that waits in the mempool; return its txid."""
    wallet = Rpc(django_settings.GOVPAY_NODE_URL, wallet=ministry.program.wallet.name)
    stolen = wallet.call(
        "walletcreatefundedpsbt",
        [{"txid": txid, "vout": vout}],
        [{ministry.miner.make_address(): "0.00500000"}],
        0,
        {"fee_rate": "5", "change_type": "bech32"},
    )
    final = ministry.miner.node.call("finalizepsbt", wallet.call("walletprocesspsbt", stolen["psbt"])["psbt"])
    return str(ministry.miner.node.call("sendrawtransaction", final["hex"]))


class TestStranger:
    @pytest.mark.parametrize("is_mined", [False, True])
    def test_who_spends_another_input_freezes_the_payout(self, is_mined: bool, settings: object) -> None:
        use_node(settings)
        several = Ministry.open(deposits_sat=[1_000_000, 900_000, 800_000], code="SEVERAL")
        dispatch.seal(disbursement_id=several.release([1_600_000]).pk)
        payout = Payout.objects.get()
        Payout.objects.update(status=PayoutStatus.COMMITTED)
        second = payout.reservations.get(position=1)
        thief = steal(several, second.txid, second.vout)
        if is_mined:
            several.mine(1)
        dispatch.advance(payout_id=payout.pk)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.FROZEN
        assert thief in payout.problem

    def test_who_spends_a_sealed_coin_does_not_make_the_engine_seal_it_again_and_again(
        self, ministry: Ministry, settings: object
    ) -> None:
        use_node(settings)
        disbursement = ministry.release([40_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        sealed = Payout.objects.get()
        steal(ministry, sealed.anchor_txid, sealed.anchor_vout)
        for _ in range(3):
            dispatch.advance(payout_id=sealed.pk)
            dispatch.seal(disbursement_id=disbursement.pk)
        sealed.refresh_from_db()
        assert sealed.status == PayoutStatus.UNSEALED
        assert Payout.objects.count() == 1
        disbursement.refresh_from_db()
        assert "confirmed coins" in disbursement.problem
        # Once the coin has rested it is tried again; the thief's tx may be gone by then.
        Payout.objects.update(due_at=None)
        dispatch.seal(disbursement_id=disbursement.pk)
        assert Payout.objects.filter(status=PayoutStatus.SEALED).count() == 1

    def test_who_spends_the_anchor_freezes_the_payout(self, ministry: Ministry, settings: object) -> None:
        use_node(settings)
        disbursement = ministry.release([40_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        payout = Payout.objects.get()
        Payout.objects.update(status=PayoutStatus.COMMITTED)
        thief = steal(ministry, payout.anchor_txid, payout.anchor_vout)
        dispatch.advance(payout_id=payout.pk)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.FROZEN
        assert thief in payout.problem
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.FROZEN
