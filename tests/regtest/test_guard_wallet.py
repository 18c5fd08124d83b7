"""The node's wallet is not what we left there: another under its name (F18), or one that somebody else pays from (F47)."""

import uuid
from pathlib import Path

import pytest
from django.conf import settings

from deploy.local.rpc import Rpc
from payments.models import Alarm, Disbursement, Installation, Payout, PayoutTx, Program, Wallet
from payments.onchain import node
from payments.payout import claim, dispatch, guard
from payments.services import interventions
from payments.states import PayoutStatus
from tests import factories, services
from tests.regtest.ministry import Ministry, forget_installations, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 900_000])


def wallet_of(ministry: Ministry) -> Wallet:
    """The wallet's row as it is now."""
    return Wallet.objects.get(program=ministry.program)


def labels(ministry: Ministry) -> list[str]:
    """What the node's wallet says of installations."""
    found = Rpc(settings.GOVPAY_NODE_URL, wallet=wallet_of(ministry).name).call("listlabels")
    return [label for label in found if label.startswith("govpay:")]


def _no_answer(*_: object) -> None:
    raise node.NodeTimeout("The node did not answer.")


def make_groups(ministry: Ministry, count: int) -> Disbursement:
    """A list that is sealed as so many payouts, each from a coin of its own."""
    ministry.deposit([500_000] * count)
    Program.objects.filter(pk=ministry.program.pk).update(group_max_payments=1)
    disbursement = ministry.release([40_000] * count)
    dispatch.seal(disbursement_id=disbursement.pk)
    assert ministry.payouts(disbursement).count() == count
    return disbursement


def come_back(payout: Payout) -> Payout:
    """The retry has come due."""
    Payout.objects.filter(pk=payout.pk).update(due_at=None)
    dispatch.advance(payout_id=payout.pk)
    return Payout.objects.get(pk=payout.pk)


class TestClaim:
    def test_is_announced_with_the_wallet_and_counts_each_payout_once(self, ministry: Ministry) -> None:
        ours = str(Installation.objects.get().pk)
        assert labels(ministry) == [f"govpay:1:{ours}:0:"]
        (first,) = ministry.pay(ministry.release([40_000]))
        assert labels(ministry) == [f"govpay:1:{ours}:1:{first.current.txid}"]
        (second,) = ministry.pay(ministry.release([50_000], period="2026-12"))
        assert labels(ministry) == [f"govpay:1:{ours}:2:{second.current.txid}"]
        assert claim.count(first) == 1
        assert (first.claim_number, second.claim_number, wallet_of(ministry).signed_count) == (1, 2, 2)
        assert labels(ministry) == [f"govpay:1:{ours}:2:{second.current.txid}"]

    def test_that_was_interrupted_before_the_node_knew_goes_on(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disbursement = ministry.release([40_000])
        with monkeypatch.context() as patched:
            patched.setattr(node.Node, "set_label", _no_answer)
            (payout,) = ministry.pay(disbursement)
        assert (payout.status, payout.claim_number) == (PayoutStatus.SEALED, 1)
        payout = come_back(payout)
        assert (payout.status, payout.claim_number, wallet_of(ministry).signed_count) == (
            PayoutStatus.SENT,
            1,
            1,
        )
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_counts_what_else_is_sealed_with_one_label(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claim, "AT_ONCE", 3)
        disbursement = make_groups(ministry, 4)
        first, second, third, fourth = ministry.payouts(disbursement)
        written: list[str] = []
        set_label = node.Node.set_label

        def record(client: node.Node, script: bytes, label: str) -> None:
            written.append(label.rsplit(":", 2)[1])
            set_label(client, script, label)

        monkeypatch.setattr(node.Node, "set_label", record)
        # Its own number comes first, whichever was sealed before it.
        dispatch.advance(payout_id=second.pk)
        numbers = dict(ministry.payouts(disbursement).values_list("pk", "claim_number"))
        assert numbers == {second.pk: 1, first.pk: 2, third.pk: 3, fourth.pk: None}
        assert written == ["3"]
        for payout in (first, third, fourth):
            dispatch.advance(payout_id=payout.pk)
        assert written == ["3", "4"]
        assert (wallet_of(ministry).signed_count, Payout.objects.get(pk=fourth.pk).claim_number) == (4, 4)
        assert set(ministry.payouts(disbursement).values_list("status", flat=True)) == {PayoutStatus.SENT}
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_of_others_that_was_interrupted_is_written_by_the_next_of_them(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disbursement = make_groups(ministry, 2)
        first, second = ministry.payouts(disbursement)
        with monkeypatch.context() as patched:
            patched.setattr(node.Node, "set_label", _no_answer)
            dispatch.advance(payout_id=first.pk)
        second.refresh_from_db()
        assert (second.status, second.claim_number, labels(ministry)[0][-3:]) == ("sealed", 2, ":0:")
        dispatch.advance(payout_id=second.pk)
        second.refresh_from_db()
        ours = str(Installation.objects.get().pk)
        assert (second.status, labels(ministry)) == ("sent", [f"govpay:1:{ours}:2:{second.current.txid}"])

    def test_leaves_labels_alone_that_people_gave(self, ministry: Ministry) -> None:
        of_wallet = Rpc(settings.GOVPAY_NODE_URL, wallet=wallet_of(ministry).name)
        of_wallet.call("setlabel", of_wallet.call("getnewaddress", "", "bech32"), "govpay: Treasury")
        (payout,) = ministry.pay(ministry.release([40_000]))
        assert payout.status == PayoutStatus.SENT


class TestLook:
    def test_serves_a_while_and_the_claims_are_read_before_each_commit_all_the_same(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disbursement = make_groups(ministry, 3)
        first, second, third = ministry.payouts(disbursement)
        monkeypatch.setattr(dispatch, "LOOK_S", 600)
        asked: list[str] = []
        call = node.Node.call

        def record(client: node.Node, method: str, *params: object) -> object:
            asked.append(method)
            return call(client, method, *params)

        monkeypatch.setattr(node.Node, "call", record)
        guard.check_wallet(wallet_of(ministry), node.connect())
        asked.clear()
        dispatch.advance(payout_id=first.pk)
        assert "listlabels" in asked
        asked.clear()
        dispatch.advance(payout_id=second.pk)
        assert "listlabels" in asked
        assert not {"getblockchaininfo", "listwallets", "listdescriptors"} & set(asked)
        # Another installation claims the wallet meanwhile.
        other = claim.Claim(str(uuid.uuid4()), 9, "ab" * 32)
        of_wallet = Rpc(settings.GOVPAY_NODE_URL, wallet=wallet_of(ministry).name)
        of_wallet.call("setlabel", of_wallet.call("getnewaddress", "", "bech32"), str(other))
        dispatch.advance(payout_id=third.pk)
        third.refresh_from_db()
        assert (third.status, wallet_of(ministry).halt_code) == ("sealed", "second_installation")

    def test_that_found_something_wrong_serves_nobody(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dispatch, "LOOK_S", 600)
        wallet, client = wallet_of(ministry), node.connect()
        guard.check_wallet(wallet, client)
        Wallet.objects.filter(pk=wallet.pk).update(descriptor_checksum="ab" * 32)
        guard.check_wallet(wallet, client, max_age_s=600)
        for max_age_s in (0, 600):
            with pytest.raises(guard.WalletHalted, match="other descriptors"):
                guard.check_wallet(wallet, client, max_age_s=max_age_s)


class TestSecondInstallation:
    def test_on_the_same_wallet_refuses_to_sign(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        # The other installation, with a database of its own, has paid from this wallet meanwhile.
        other = claim.Claim(str(uuid.uuid4()), 3, "ab" * 32)
        of_wallet = Rpc(settings.GOVPAY_NODE_URL, wallet=wallet_of(ministry).name)
        of_wallet.call("setlabel", of_wallet.call("getnewaddress", "", "bech32"), str(other))
        (payout,) = ministry.pay(disbursement)
        wallet = wallet_of(ministry)
        assert (payout.status, payout.claim_number, wallet.signed_count) == (PayoutStatus.SEALED, None, 0)
        assert wallet.halt_code == "second_installation"
        assert other.installation in wallet.halt_reason
        assert Alarm.objects.get(code="second_installation").subject_id == wallet.pk
        assert PayoutTx.objects.filter(raw__isnull=False).count() == 0
        # It stays halted until two people say otherwise, even when the other is gone.
        forget_installations(ministry.miner, wallet.name)
        payout = come_back(payout)
        assert (payout.status, payout.problem[:20]) == (PayoutStatus.SEALED, "The wallet is halted")
        guard.check_wallet(wallet, node.connect())

    def test_does_not_even_show_an_address_of_a_wallet_that_is_taken_until_two_people_take_it_over(
        self, settings: object
    ) -> None:
        use_node(settings)
        first = Ministry.open(deposits_sat=[], code="TAKEN")
        Installation.objects.all().delete()
        Program.objects.filter(pk=first.program.pk).update(code="MOVED")
        Wallet.objects.filter(pk=first.program.wallet.pk).update(name="moved")
        second = factories.make_program("TAKEN", is_ready=False)
        dispatch.provision(wallet_id=second.wallet.pk)
        wallet = Wallet.objects.get(pk=second.wallet.pk)
        assert (wallet.ready_at, wallet.halt_code) == (None, "second_installation")
        assert wallet.scripts.count() == 0
        # The first one is gone for good: its label is taken off the node's wallet, and two people agree.
        officer, approver, releaser = (
            factories.make_member(second, role, f"new-{role}") for role in ("officer", "approver", "releaser")
        )
        ministry = Ministry(second, first.miner, officer, approver, releaser)
        forget_installations(first.miner, wallet.name)
        treasurer = factories.make_member(second, "treasurer")
        shown = interventions.look_at_halt(by=treasurer, program_id=second.pk)
        asked = interventions.propose_unhalt(
            by=treasurer, program_id=second.pk, note="It is gone.", shown=shown
        )
        agreed = interventions.approve(by=ministry.approver, intervention_id=asked.pk)
        dispatch.intervene(intervention_id=agreed.pk)
        assert wallet_of(ministry).halted_at is None
        dispatch.provision(wallet_id=wallet.pk)
        assert labels(ministry) == [f"govpay:1:{Installation.objects.get().pk}:0:"]
        ministry.miner.fund([ministry.funding_address()], 500_000)
        ministry.mine(1)
        (payout,) = ministry.pay(ministry.release([40_000]))
        assert payout.status == PayoutStatus.SENT
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_that_cloned_the_database_is_noticed_by_the_one_that_is_behind(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        clone = claim.Claim(str(Installation.objects.get().pk), 1, "cd" * 32)
        of_wallet = Rpc(settings.GOVPAY_NODE_URL, wallet=wallet_of(ministry).name)
        of_wallet.call("setlabel", ministry.funding_address(), str(clone))
        (payout,) = ministry.pay(disbursement)
        assert (payout.status, wallet_of(ministry).halt_code) == (PayoutStatus.SEALED, "database_restored")
        assert PayoutTx.objects.filter(raw__isnull=False).count() == 0


class TestAnotherWallet:
    def test_that_was_loaded_under_the_name_is_halted(self, settings: object) -> None:
        use_node(settings)
        ministry = Ministry.open(deposits_sat=[1_000_000], code="SWAPPED")
        disbursement = ministry.release([40_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        name = wallet_of(ministry).name
        folder = wallets_folder()
        ministry.miner.node.call("unloadwallet", name)
        (folder / name).rename(folder / f"{name}-right")
        ministry.miner.node.call("createwallet", name)
        try:
            (payout,) = ministry.pay(disbursement)
            wallet = wallet_of(ministry)
            assert (payout.status, wallet.halt_code) == (PayoutStatus.SEALED, "wallet_changed")
            assert "other descriptors" in payout.problem
            with pytest.raises(guard.WalletHalted):
                guard.check_wallet(wallet, node.connect())
        finally:
            ministry.miner.node.call("unloadwallet", name)
            (folder / name).rename(folder / f"{name}-wrong")
            (folder / f"{name}-right").rename(folder / name)
        # The right one is loaded again by itself; the halt is for people to lift.
        payout = come_back(payout)
        assert (payout.status, payout.problem[:20]) == (PayoutStatus.SEALED, "The wallet is halted")
        guard.check_wallet(wallet, node.connect())

    def test_that_is_only_unloaded_is_loaded(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        ministry.miner.node.call("unloadwallet", wallet_of(ministry).name)
        (payout,) = ministry.pay(disbursement)
        assert (payout.status, wallet_of(ministry).halted_at) == (PayoutStatus.SENT, None)


def wallets_folder() -> Path:
    """Where the node of the test run keeps its wallets."""
    running = services.ensure_node().node
    assert running is not None, "this test needs a node of its own"
    return running.data_dir / "regtest" / "wallets"
