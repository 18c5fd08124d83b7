"""A watch-only wallet whose database was restored from an older day, or whose installation is another one (F44, F47)."""

import uuid

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from deploy.local.rpc import Rpc
from payments.models import Alarm, Installation, Payout, PayoutTx, SigningRequest, Wallet, WalletScript
from payments.payout import claim, dispatch, guard
from payments.services import interventions
from payments.states import InterventionStatus, PayoutStatus
from tests.regtest.ministry import forget_installations, use_node
from tests.regtest.test_guard_restored import come_back, require_clean_books, restored_afterwards
from tests.regtest.treasury import Treasury

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[(1, 1), (2, 3)], ids=["one", "two-of-three"])
def treasury(settings: object, request: pytest.FixtureRequest) -> Treasury:
    use_node(settings)
    return Treasury.open(*request.param, feerate_ceiling_sat_kvb=5_000)


def wallet() -> Wallet:
    """The row as it is now."""
    return Wallet.objects.get()


def pay(treasury: Treasury, amounts_sat: list[int], period: str) -> Payout:
    """Pay a list with the signatures of the first signers."""
    payout, request = treasury.seal(amounts_sat, period=period)
    treasury.sign(request, *range(request.needed))
    payout.refresh_from_db()
    assert payout.status == PayoutStatus.SENT
    return payout


class TestRestored:
    def test_takes_over_what_was_paid_and_pays_on_from_its_change(self, treasury: Treasury) -> None:
        """The change that came back meanwhile is ours again, at the places of the descriptor that it has."""
        ministry = treasury.ministry
        pay(treasury, [100_000], "2026-09")
        ministry.mine(1)
        disbursement = ministry.release([500_000, 50_000], period="2026-10")
        with restored_afterwards():
            (paid,) = ministry.pay(disbursement)
            request = SigningRequest.objects.get(version__payout=paid)
            treasury.sign(request, *range(request.needed))
            ministry.miner.mine(1)
            txid = request.version.txid
            own = {
                bytes(script): index
                for script, index in WalletScript.objects.values_list("script_pubkey", "descriptor_index")
            }
        assert Payout.objects.count() == 1
        ministry.pay(disbursement)
        assert wallet().halt_code == "database_restored"
        assert SigningRequest.objects.count() == 1
        call_command("reimport_chain")
        assert wallet().halted_at is None
        payout = Payout.objects.get(disbursement=disbursement)
        assert (payout.status, payout.current.txid) == (PayoutStatus.MINED, txid)
        # Every script has the place that it had, and none is given out as another.
        for script, index in WalletScript.objects.values_list("script_pubkey", "descriptor_index"):
            assert own.get(bytes(script), index) == index
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean_books(ministry)
        # This takes nearly all there is, and so what came back.
        free_sat = sum(coin.amount_sat for coin in wallet().coins.filter(spent_by_txid=None))
        last = pay(treasury, [free_sat - 60_000], "2026-11")
        assert txid in last.reservations.values_list("txid", flat=True)
        ministry.mine(6)
        last.refresh_from_db()
        assert last.status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)
        require_clean_books(ministry)

    def test_stays_halted_over_signatures_that_may_be_out_there(self, treasury: Treasury) -> None:
        """Signers hold a tx that the database has forgotten: they may send it, so that nothing else is paid."""
        ministry = treasury.ministry
        disbursement = ministry.release([500_000])
        with restored_afterwards():
            (paid,) = ministry.pay(disbursement)
            assert paid.status == PayoutStatus.COMMITTED
            request = SigningRequest.objects.get()
            psbt, needed, txid = request.psbt, request.needed, request.version.txid
        assert ministry.pay(disbursement) == []
        assert wallet().halt_code == "database_restored"
        with pytest.raises(CommandError, match="stays halted"):
            call_command("reimport_chain")
        come_back()
        assert (Payout.objects.count(), SigningRequest.objects.count()) == (0, 0)
        # They do send it; then the chain explains it.
        for number in range(needed):
            psbt = treasury.people[number].sign(psbt)
        final = ministry.miner.node.call("finalizepsbt", psbt)
        assert ministry.miner.node.call("sendrawtransaction", final["hex"]) == txid
        ministry.mine(1)
        call_command("reimport_chain")
        assert (wallet().halted_at, Payout.objects.get().status) == (None, PayoutStatus.MINED)
        ministry.pay(disbursement)
        ministry.mine(6)
        assert Payout.objects.get().status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)


class TestTakeOver:
    """Another installation paid from the wallet and is gone for good: its label goes, and two people agree."""

    def test_needs_the_node_and_two_people(self, treasury: Treasury) -> None:
        ministry = treasury.ministry
        disbursement = ministry.release([500_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        other = claim.Claim(str(uuid.uuid4()), 3, "ab" * 32)
        of_wallet = Rpc(settings.GOVPAY_NODE_URL, wallet=wallet().name)
        of_wallet.call("setlabel", ministry.funding_address(), str(other))
        (payout,) = ministry.pay(disbursement)
        assert (payout.status, wallet().halt_code) == (PayoutStatus.SEALED, "second_installation")
        treasurer = treasury.member("treasurer")
        program_id = ministry.program.pk
        # While the label stands, nobody can even ask.
        with pytest.raises(guard.WalletHalted):
            interventions.look_at_halt(by=treasurer, program_id=program_id)
        of_wallet.call("setlabel", ministry.funding_address(), "")
        shown = interventions.look_at_halt(by=treasurer, program_id=program_id)
        asked = interventions.propose_unhalt(
            by=treasurer, program_id=program_id, note="The other one burned down.", shown=shown
        )
        dispatch.intervene(intervention_id=asked.pk)
        assert wallet().halt_code == "second_installation"
        agreed = interventions.approve(by=ministry.approver, intervention_id=asked.pk)
        dispatch.intervene(intervention_id=agreed.pk)
        agreed.refresh_from_db()
        assert (agreed.status, wallet().halted_at) == (InterventionStatus.DONE, None)
        assert Alarm.objects.filter(code="second_installation", closed_at=None).count() == 0
        come_back()
        request = treasury.request(payout)
        treasury.sign(request, *range(request.needed))
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SENT
        ours = str(Installation.objects.get().pk)
        assert of_wallet.call("listlabels") == [f"govpay:1:{ours}:1:{request.version.txid}"]
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_that_comes_back_meanwhile_is_refused_once_more(self, treasury: Treasury) -> None:
        """The label is back between the two people: the engine looks again before it lifts anything."""
        ministry = treasury.ministry
        other = claim.Claim(str(uuid.uuid4()), 3, "ab" * 32)
        of_wallet = Rpc(settings.GOVPAY_NODE_URL, wallet=wallet().name)
        of_wallet.call("setlabel", ministry.funding_address(), str(other))
        disbursement = ministry.release([500_000])
        ministry.pay(disbursement)
        assert wallet().halt_code == "second_installation"
        forget_installations(ministry.miner, wallet().name)
        treasurer, program_id = treasury.member("treasurer"), ministry.program.pk
        shown = interventions.look_at_halt(by=treasurer, program_id=program_id)
        asked = interventions.propose_unhalt(by=treasurer, program_id=program_id, note="Gone.", shown=shown)
        agreed = interventions.approve(by=ministry.approver, intervention_id=asked.pk)
        of_wallet.call("setlabel", ministry.funding_address(), str(other))
        dispatch.intervene(intervention_id=agreed.pk)
        agreed.refresh_from_db()
        assert (agreed.status, wallet().halt_code) == (InterventionStatus.FAILED, "second_installation")
        assert PayoutTx.objects.filter(raw__isnull=False).count() == 0
