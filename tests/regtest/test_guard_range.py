"""A wallet of the node restored from an older backup (F45): it repeats old scripts, and lacks keys to newer coins."""

import uuid
from pathlib import Path

import pytest
from django.utils import timezone

from ledger.reconciliation.service import reconcile
from payments.models import Alarm, Coin, Disbursement, Payout, PayoutTx, Wallet, WalletScript
from payments.onchain import node
from payments.payout import dispatch, wallets
from payments.states import PayoutStatus
from tests import services
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

# A node knows the next 1,000 keys of a wallet from its first day; what is paid uses the newest of ours.
BEYOND = 1_005


class Backup:
    """A ministry with one coin, whose wallet was backed up before anything was paid."""

    def __init__(self, folder: Path) -> None:
        # A name of its own, because a wallet that was used before has a range that is further already.
        self.ministry = Ministry.open(deposits_sat=[2_000_000], code=f"R{uuid.uuid4().hex[:8].upper()}")
        self.path = folder / "backup.dat"
        self.name = self.wallet.name
        self.ministry.wallet_rpc().call("backupwallet", str(self.path))

    @property
    def wallet(self) -> Wallet:
        """The row as it is now."""
        return Wallet.objects.get(program=self.ministry.program)

    def pay_beyond(self) -> None:
        """Pay from the only coin, with change to the newest scripts in store."""
        store = WalletScript.objects.filter(wallet=self.wallet, purpose="change", is_claimed=False)
        newest = store.order_by("-pk").values_list("pk", flat=True)[:20]
        store.exclude(pk__in=list(newest)).update(is_claimed=True)
        (paid,) = self.ministry.pay(self.ministry.release([40_000]))
        assert paid.status == PayoutStatus.SENT
        self.ministry.mine(6)

    def restore(self) -> None:
        """Put the old wallet in the place of the one of today, under the same name."""
        running = services.ensure_node().node
        assert running is not None, "this test needs a node of its own"
        folder = running.data_dir / "regtest" / "wallets"
        self.ministry.miner.node.call("unloadwallet", self.name)
        (folder / self.name).rename(folder / f"{self.name}-today")
        self.ministry.miner.node.call("restorewallet", self.name, str(self.path))

    def unspent_scripts(self) -> list[bytes]:
        """The scripts of the coins that are left to pay with."""
        scripts = Coin.objects.filter(wallet=self.wallet, spent_by_txid=None).values_list(
            "script_pubkey", flat=True
        )
        return [bytes(script) for script in scripts]

    def finish(self, disbursement: Disbursement) -> None:
        """Everything settles, and books and blocks agree."""
        self.ministry.mine(6)
        assert set(self.ministry.payouts(disbursement).values_list("status", flat=True)) == {"settled"}
        assert (self.wallet.halted_at, Alarm.objects.filter(closed_at=None).count()) == (None, 0)
        self.ministry.judge(exactly=True)
        (run,) = reconcile(scope=self.ministry.program.scope, now=timezone.now())
        assert (run.status, run.breaks.count()) == ("clean", 0), list(run.breaks.values())


@pytest.fixture
def backup(settings: object, tmp_path: Path) -> Backup:
    use_node(settings)
    return Backup(tmp_path)


def come_back(payout: Payout) -> Payout:
    """The retry has come due."""
    Payout.objects.filter(pk=payout.pk).update(due_at=None)
    dispatch.advance(payout_id=payout.pk)
    return Payout.objects.get(pk=payout.pk)


class TestRange:
    def test_old_scripts_are_skipped_and_newer_keys_made_again(self, backup: Backup) -> None:
        client = node.connect()
        wallets.add_change(backup.wallet, client, BEYOND + 20)
        backup.pay_beyond()
        backup.restore()
        (coin, *_) = backup.unspent_scripts()
        assert client.for_wallet(backup.name).owns([coin]) == [False]
        # The wallet's label is of before the first claim, the database has counted one: nobody's fault.
        assert backup.wallet.signed_count == 1
        assert [label[-3:] for label in client.for_wallet(backup.name).labels() if label] == [":0:"]
        # No script is in store, so that the restored wallet is asked, which gives out what it gave before.
        WalletScript.objects.update(is_claimed=True)
        before = set(WalletScript.objects.values_list("pk", flat=True))
        disbursement = backup.ministry.release([50_000], period="2026-12")
        (paid,) = backup.ministry.pay(disbursement)
        assert (paid.status, paid.claim_number, paid.problem) == (PayoutStatus.SENT, 2, "")
        assert WalletScript.objects.exclude(pk__in=before).count() == 20
        assert client.for_wallet(backup.name).owns([coin]) == [True]
        backup.finish(disbursement)

    @pytest.mark.parametrize("status", [PayoutStatus.SEALED, PayoutStatus.COMMITTED])
    def test_keys_that_cannot_be_made_again_are_waited_for(
        self, status: str, backup: Backup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        of_wallet = backup.ministry.wallet_rpc()
        for _ in range(BEYOND):
            # Given out, and lost before anybody stored it.
            of_wallet.call("getrawchangeaddress", "bech32")
        wallets.add_change(backup.wallet, node.connect(), 20)
        backup.pay_beyond()
        disbursement = backup.ministry.release([50_000], period="2026-12")
        dispatch.seal(disbursement_id=disbursement.pk)
        payout = backup.ministry.payouts(disbursement).get()
        if status == PayoutStatus.COMMITTED:
            with monkeypatch.context() as patched:
                patched.setattr(node.Node, "sign_psbt", _no_answer)
                come_back(payout)
        backup.restore()
        with monkeypatch.context() as patched:
            patched.setattr(wallets, "SPARE_KEYS", 0)
            payout = come_back(payout)
        assert (payout.status, payout.claim_number) == (status, {"sealed": None, "committed": 2}[status])
        assert "has no keys to 1 of 1 coins" in payout.problem
        alarm = Alarm.objects.get(closed_at=None)
        assert (alarm.code, alarm.subject, alarm.subject_id) == ("wallet_range", "wallet", backup.wallet.pk)
        assert PayoutTx.objects.filter(payout=payout, raw__isnull=False).count() == 0
        assert backup.wallet.halted_at is None
        # With as many keys as it really makes, it pays.
        assert come_back(payout).status == PayoutStatus.SENT
        backup.finish(disbursement)


class TestSameAddressForEver:
    def test_is_not_asked_for_ever(self, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
        same = bytes(WalletScript.objects.get().script_pubkey)
        monkeypatch.setattr(node.Node, "new_scripts", lambda *asked: [same] * asked[-1])
        with pytest.raises(node.NodeReplyInvalid, match="again and again"):
            wallets.add_change(backup.wallet, node.connect(), 3)
        assert WalletScript.objects.count() == 1


def _no_answer(*_: object) -> None:
    raise node.NodeTimeout("The node did not answer.")
