"""A node that is not the one we know: another regtest (F20), an old tip (F21), and a stop that comes while it signs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import bitcoind
from deploy.local.node import Node
from deploy.local.regtest import Miner
from deploy.local.stack import DEBIAN_CACHE
from payments.models import Alarm, Block, NodeStatus, Payment, Payout, Stop, Wallet
from payments.onchain import node
from payments.payout import dispatch, guard
from payments.services import stops
from payments.states import PayoutStatus
from tests import factories, services
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 900_000])


@pytest.fixture
def other_regtest(tmp_path: Path) -> Iterator[str]:
    """A second node that nobody has told of the first, with a chain of its own that is as long."""
    second = Node(tmp_path, bitcoind.find(DEBIAN_CACHE))
    second.start()
    Miner(second.url).mine(Miner(services.ensure_node().url).node.call("getblockcount") + 5)
    yield second.url
    second.kill()


class TestAnotherRegtest:
    def test_seals_signs_and_sends_nothing(
        self, ministry: Ministry, other_regtest: str, settings: object
    ) -> None:
        signed, sealed = ministry.release([40_000]), ministry.release([50_000], period="2026-12")
        dispatch.seal(disbursement_id=signed.pk)
        payout = Payout.objects.get()
        blocks = list(Block.objects.order_by("pk").values())
        settings.GOVPAY_NODE_URL = other_regtest  # type: ignore[attr-defined]
        dispatch.seal(disbursement_id=sealed.pk)
        dispatch.advance(payout_id=payout.pk)
        dispatch.follow()
        payout.refresh_from_db()
        sealed.refresh_from_db()
        assert payout.status == PayoutStatus.SEALED
        assert "follows another chain" in payout.problem
        assert "follows another chain" in sealed.problem
        assert Payout.objects.count() == 1
        assert Payment.objects.filter(payout__isnull=False).count() == 1
        assert (NodeStatus.objects.get().is_ok, NodeStatus.objects.get().code) == (
            False,
            "pinned_block_missing",
        )
        assert list(Block.objects.order_by("pk").values()) == blocks
        use_node(settings)
        for disbursement in (signed, sealed):
            Payout.objects.update(due_at=None)
            ministry.pay(disbursement)
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_ends_the_start_of_a_process(
        self, ministry: Ministry, other_regtest: str, settings: object
    ) -> None:
        settings.GOVPAY_NODE_URL = other_regtest  # type: ignore[attr-defined]
        with pytest.raises(guard.PinnedBlockMissing, match="follows another chain"):
            guard.check_at_start()

    def test_that_has_not_come_so_far_is_only_waited_for(
        self, ministry: Ministry, settings: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = node.Node.block_hash
        monkeypatch.setattr(node.Node, "block_hash", lambda self, h: real(self, h) if h == 0 else None)
        with pytest.raises(node.BlockUnknown, match="may still download"):
            guard.require_chain(node.connect())


class TestStaleTip:
    def test_refuses_to_seal_and_to_send_while_blocks_are_read(
        self, ministry: Ministry, settings: object
    ) -> None:
        settings.GOVPAY_TIP_AGE_MATTERS, settings.GOVPAY_TIP_MAX_AGE_S = True, 60  # type: ignore[attr-defined]
        waiting, sealed = ministry.release([40_000]), ministry.release([50_000], period="2026-12")
        dispatch.seal(disbursement_id=sealed.pk)
        payout = Payout.objects.get()
        # Blocks that come at once are dated ahead of the clock, each sixth a second more.
        age_s = int(time.time()) - node.connect().chain_info().tip_time
        settings.GOVPAY_TIP_MAX_AGE_S = age_s - 1  # type: ignore[attr-defined]
        dispatch.follow()
        assert NodeStatus.objects.get().is_ok
        dispatch.seal(disbursement_id=waiting.pk)
        dispatch.advance(payout_id=payout.pk)
        waiting.refresh_from_db()
        payout.refresh_from_db()
        assert (payout.status, Payout.objects.count()) == (PayoutStatus.SEALED, 1)
        assert "nothing is sealed, signed or sent" in payout.problem
        assert "nothing is sealed, signed or sent" in waiting.problem
        assert Alarm.objects.get(code="tip_stale").closed_at is None
        settings.GOVPAY_TIP_MAX_AGE_S = 7_200  # type: ignore[attr-defined]
        Payout.objects.update(due_at=None)
        for disbursement in (waiting, sealed):
            ministry.pay(disbursement)
        assert Alarm.objects.get(code="tip_stale").closed_at is not None
        ministry.mine(6)
        ministry.judge(exactly=True)


class TestFollower:
    def test_that_is_behind_reads_on_before_anything_is_sealed(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000])
        best = ministry.miner.mine(2)
        dispatch.seal(disbursement_id=disbursement.pk)
        assert Payout.objects.count() == 1
        assert Block.objects.filter(block_hash=best[-1], is_active=True).count() == 1

    def test_that_another_worker_is_makes_the_seal_wait(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disbursement = ministry.release([40_000])
        ministry.miner.mine(1)
        with monkeypatch.context() as patched:
            patched.setattr(dispatch.follower, "follow", lambda *_, **__: None)
            dispatch.seal(disbursement_id=disbursement.pk)
        disbursement.refresh_from_db()
        assert "was not read yet" in disbursement.problem
        assert Payout.objects.count() == 0
        dispatch.seal(disbursement_id=disbursement.pk)
        assert Payout.objects.count() == 1


class TestStopWhileSigning:
    def test_stores_what_comes_back_and_sends_nothing_until_it_is_lifted(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        auditor = factories.make_member(ministry.program, "auditor")
        treasurer = factories.make_member(ministry.program, "treasurer")
        disbursement = ministry.release([40_000])
        real = node.Node.sign_psbt

        def sign_slowly(self: node.Node, psbt: str) -> node.SignReply:
            stops.throw(by=auditor, reason="Look at this list again.")
            return real(self, psbt)

        with monkeypatch.context() as patched:
            patched.setattr(node.Node, "sign_psbt", sign_slowly)
            (payout,) = ministry.pay(disbursement)
        assert payout.status == PayoutStatus.SIGNED
        assert payout.current.raw is not None
        assert payout.problem == "The engine is stopped: Look at this list again."
        assert ministry.miner.node.call("getrawmempool") == []
        # Blocks are followed all the same.
        ministry.mine(1)
        assert NodeStatus.objects.get().is_ok
        Payout.objects.update(due_at=None)
        dispatch.advance(payout_id=payout.pk)
        assert ministry.miner.node.call("getrawmempool") == []
        stops.lift(by=treasurer, stop_id=Stop.objects.get(is_open=True).pk, reason="The list is right.")
        Payout.objects.update(due_at=None)
        dispatch.advance(payout_id=payout.pk)
        assert ministry.miner.node.call("getrawmempool") == [payout.current.txid]
        ministry.mine(6)
        ministry.judge(exactly=True)


class TestStart:
    def test_halts_the_wrong_wallet_and_says_so(
        self, ministry: Ministry, caplog: pytest.LogCaptureFixture
    ) -> None:
        other = Ministry.open(deposits_sat=[], code="WRONG")
        wallet = other.program.wallet
        Wallet.objects.filter(pk=wallet.pk).update(descriptor_checksum="ab" * 32)
        other.miner.node.call("unloadwallet", wallet.name)
        guard.check_at_start()
        wallet.refresh_from_db()
        assert wallet.halt_code == "wallet_changed"
        assert Alarm.objects.get(code="wallet_changed").subject_id == wallet.pk
        said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        (named,) = [line for line in said if line["event"] == "wallet_does_not_pay"]
        assert (named["wallet"], named["code"], named["reason"]) == (
            wallet.name,
            "wallet_changed",
            wallet.halt_reason,
        )
        # The others pay.
        (payout,) = ministry.pay(ministry.release([40_000]))
        assert payout.status == PayoutStatus.SENT

    def test_names_a_wallet_that_the_node_does_not_have(
        self, ministry: Ministry, caplog: pytest.LogCaptureFixture
    ) -> None:
        wallet = ministry.program.wallet
        Wallet.objects.filter(pk=wallet.pk).update(name="nowhere")
        guard.check_at_start()
        said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        (named,) = [line for line in said if line["event"] == "wallet_does_not_pay"]
        assert (named["wallet"], named["code"]) == ("nowhere", "wallet_unavailable")
        assert Wallet.objects.get(pk=wallet.pk).halted_at is None
