"""Reorganizations of one block and of more than a hundred take a void away: it goes again, or loses; the books follow."""

import pytest
from django.contrib.auth.models import User

from payments.models import (
    Alarm,
    Disbursement,
    Payment,
    Payout,
    PayoutTx,
    Reservation,
)
from payments.payout import alarms, dispatch
from payments.services import disbursements, reissues
from payments.states import DisbursementStatus, PayoutStatus
from tests import factories
from tests.regtest.giving_up import balances, give_up, is_clean, kinds
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000])


@pytest.fixture
def treasurer(ministry: Ministry) -> User:
    return factories.make_member(ministry.program, "treasurer")


class TestReorg:
    def test_of_one_block_takes_the_void_away_and_its_bytes_go_again(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        ministry.mine(3)
        (payout,) = ministry.pay(ministry.release([40_000]))
        payout = give_up(ministry, treasurer, payout)
        ministry.mine(1)
        before = balances(ministry)
        ministry.miner.reorg(1, 2, with_mempool=False)
        dispatch.follow()
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.VOIDING, None)
        assert balances(ministry)["InTransit"] == 40_000
        Payout.objects.update(due_at=None)
        dispatch.advance(payout_id=payout.pk)
        assert ministry.miner.node.call("getrawmempool") == [payout.current.txid]
        ministry.mine(1)
        assert balances(ministry) == before
        assert is_clean(ministry)
        ministry.judge(exactly=False)

    def test_of_one_block_in_which_the_original_wins(self, ministry: Ministry, treasurer: User) -> None:
        ministry.mine(3)
        (payout,) = ministry.pay(ministry.release([40_000]))
        original = PayoutTx.objects.get()
        give_up(ministry, treasurer, payout)
        ministry.mine(1)
        height = ministry.miner.node.call("getblockcount")
        ministry.miner.node.call("invalidateblock", ministry.miner.node.call("getblockhash", height))
        ministry.miner.mine_only([bytes(original.raw or b"").hex()])
        ministry.mine(1)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.MINED, original.txid)
        assert balances(ministry)["InTransit"] == 40_000
        assert Alarm.objects.get().code == "void_lost"
        ministry.mine(5)
        assert Payout.objects.get().status == PayoutStatus.SETTLED
        assert is_clean(ministry)
        ministry.judge(exactly=True)

    def test_of_more_than_a_hundred_blocks_gives_it_up_again(
        self, ministry: Ministry, treasurer: User
    ) -> None:
        disbursement = ministry.release([40_000])
        (payout,) = ministry.pay(disbursement)
        payout = give_up(ministry, treasurer, payout)
        ministry.mine(100)
        assert Payout.objects.get().status == PayoutStatus.VOIDED
        ministry.miner.reorg(100, 101, with_mempool=False)
        dispatch.follow()
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.VOIDING
        assert Alarm.objects.get().code == "void_undone"
        assert Reservation.objects.get().is_live
        # What pays may confirm after all, so that it is owed again.
        assert set(Payment.objects.values_list("status", flat=True)) == {"pending"}
        assert balances(ministry)["BeneficiariesPayable"] == -40_000
        dispatch.advance(payout_id=payout.pk)
        assert ministry.miner.node.call("getrawmempool") == [payout.current.txid]
        ministry.mine(100)
        payout.refresh_from_db()
        disbursement.refresh_from_db()
        assert (payout.status, disbursement.status) == (PayoutStatus.VOIDED, DisbursementStatus.COMPLETED)
        assert kinds(payout)[-3:] == ["voided", "voiding", "voided"]
        final = balances(ministry)
        assert (final["InTransit"], final["BeneficiariesPayable"], final["Transfers"]) == (0, 0, 0)
        assert Reservation.objects.filter(is_live=True).count() == 0
        assert is_clean(ministry)
        ministry.judge(exactly=True)


class TestUndone:
    """A reorganization of more than a hundred blocks took the void away, and the original confirms."""

    @pytest.fixture
    def payout(self, ministry: Ministry, treasurer: User) -> Payout:
        (found,) = ministry.pay(ministry.release([40_000, 50_000]))
        # A coin for the reissue, below where the branches part.
        ministry.miner.mine_only([ministry.miner.fund([ministry.funding_address()], 150_000)])
        ministry.mine(0)
        give_up(ministry, treasurer, found)
        ministry.mine(100)
        found.refresh_from_db()
        assert found.status == PayoutStatus.VOIDED
        return found

    def undo(self, ministry: Ministry, payout: Payout, depth: int) -> None:
        """Let a longer branch begin with the original."""
        rpc = ministry.miner.node
        rpc.call("invalidateblock", rpc.call("getblockhash", rpc.call("getblockcount") - depth + 1))
        ministry.miner.mine_only([bytes(payout.txs.get(kind="original").raw or b"").hex()])
        for _ in range(depth):
            ministry.miner.mine_only([])
        dispatch.follow()
        payout.refresh_from_db()

    def test_pays_its_people(self, ministry: Ministry, payout: Payout) -> None:
        self.undo(ministry, payout, 100)
        assert payout.status == PayoutStatus.SETTLED
        assert set(Payment.objects.values_list("status", flat=True)) == {"pending"}
        final = balances(ministry)
        assert (final["InTransit"], final["BeneficiariesPayable"], final["Transfers"]) == (0, 0, 90_000)
        assert Disbursement.objects.get().status == DisbursementStatus.COMPLETED
        with pytest.raises(reissues.NothingToReissue):
            reissues.of_payout(by=ministry.officer, payout_id=payout.pk)
        assert is_clean(ministry)
        ministry.judge(exactly=True)

    def test_leaves_a_draft_that_stands_in_to_people_and_pays_once_it_is_withdrawn(
        self, ministry: Ministry, payout: Payout
    ) -> None:
        made = reissues.of_payout(by=ministry.officer, payout_id=payout.pk)
        self.undo(ministry, payout, 100)
        first = Payment.objects.filter(payout=payout)
        assert (payout.status, set(first.values_list("status", flat=True))) == ("settled", {"voided"})
        disbursements.cancel(by=ministry.officer, disbursement_id=made.pk, note="They are paid.")
        ministry.mine(1)
        assert set(first.values_list("status", flat=True)) == {"pending"}
        ministry.judge(exactly=True)

    def test_holds_a_released_reissue_whatever_becomes_of_the_alarm(
        self, ministry: Ministry, payout: Payout
    ) -> None:
        made = ministry.go_on(reissues.of_payout(by=ministry.officer, payout_id=payout.pk))
        dispatch.seal(disbursement_id=made.pk)
        (second,) = ministry.payouts(made)
        self.undo(ministry, payout, 100)
        alarms.close(Alarm.objects.filter(closed_at=None), note="Somebody closed them all.")
        for _ in range(3):
            Payout.objects.update(due_at=None)
            dispatch.advance(payout_id=second.pk)
        second.refresh_from_db()
        assert second.problem == "What it pays anew may be paid after all: a reorganization undid a void."
        assert not second.txs.filter(raw__isnull=False).exists()
        assert Alarm.objects.filter(code="paid_twice").count() == 0

    def test_after_a_reissue_was_paid_calls_a_person(self, ministry: Ministry, payout: Payout) -> None:
        (second,) = ministry.pay(ministry.go_on(reissues.of_payout(by=ministry.officer, payout_id=payout.pk)))
        ministry.mine(1)
        raw = bytes(second.current.raw or b"").hex()
        self.undo(ministry, payout, 101)
        assert Alarm.objects.filter(code="paid_twice").count() == 0
        ministry.miner.mine_only([raw])
        dispatch.follow()
        second.refresh_from_db()
        assert (payout.status, second.status) == (PayoutStatus.SETTLED, PayoutStatus.MINED)
        alarm = Alarm.objects.get(code="paid_twice")
        assert (alarm.subject, alarm.subject_id, alarm.closed_at) == ("payout", payout.pk, None)
        assert alarm.message == (
            f"2 people are paid by payout {payout.pk}, which was void, and again by payout {second.pk}."
        )
