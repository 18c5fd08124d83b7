"""A budget over the life of lists on a real node: settled, given up, and reopened by a reorganization."""

import pytest
from django.contrib.auth.models import User
from django.db.models import Sum

from payments.models import Alarm, BudgetPeriod, Commitment, Disbursement, Payout
from payments.payout import dispatch
from payments.services import reissues
from payments.states import DisbursementStatus, PayoutStatus
from tests import budgeting, factories
from tests.budgeting import totals
from tests.regtest.giving_up import balances, give_up
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000])


@pytest.fixture
def treasurer(ministry: Ministry) -> User:
    return factories.make_member(ministry.program, "treasurer")


@pytest.fixture
def period(ministry: Ministry, treasurer: User) -> BudgetPeriod:
    return budgeting.make_period(ministry.program, allotted_sat=900_000, cash_sat=900_000)


def held(disbursement: Disbursement) -> tuple[int, int, int]:
    found = Commitment.objects.get(disbursement=disbursement)
    return found.committed_sat, found.spent_sat, found.missing_sat


class TestComplete:
    def test_keeps_what_was_paid_and_what_the_network_took(
        self, ministry: Ministry, period: BudgetPeriod
    ) -> None:
        disbursement = ministry.release([40_000, 50_000])
        need_sat = 90_000 + (disbursement.fee_reserved_sat or 0)
        assert held(disbursement) == (need_sat, need_sat, 0)
        ministry.pay(disbursement)
        ministry.mine(5)
        assert totals(period)[2:] == (need_sat, need_sat)
        ministry.mine(1)
        disbursement.refresh_from_db()
        assert disbursement.status == DisbursementStatus.COMPLETED
        fee_sat = Payout.objects.aggregate(total=Sum("booked_fee_sat"))["total"]
        assert 0 < fee_sat < (disbursement.fee_reserved_sat or 0)
        assert totals(period)[2:] == (90_000 + fee_sat, 90_000 + fee_sat)
        # The books say the same.
        booked = balances(ministry)
        assert booked["Transfers"] + booked["NetworkFees"] == 90_000 + fee_sat

    def test_is_undone_by_a_reorganization_and_comes_again(
        self, ministry: Ministry, period: BudgetPeriod
    ) -> None:
        disbursement = ministry.release([40_000])
        whole = held(disbursement)
        (payout,) = ministry.pay(disbursement)
        ministry.mine(6)
        spent = held(disbursement)
        assert spent[0] == 40_000 + Payout.objects.get(pk=payout.pk).booked_fee_sat
        ministry.miner.reorg(6, 7, with_mempool=False)
        dispatch.follow()
        disbursement.refresh_from_db()
        assert disbursement.status == DisbursementStatus.RELEASED
        assert held(disbursement) == whole
        dispatch.advance(payout_id=payout.pk)
        ministry.mine(6)
        assert held(disbursement) == spent
        assert totals(period)[2:] == spent[:2]
        assert Alarm.objects.count() == 0


class TestVoid:
    def test_gives_the_payments_back_and_its_reissue_commits_them_anew(
        self, ministry: Ministry, period: BudgetPeriod, treasurer: User
    ) -> None:
        disbursement = ministry.release([40_000, 50_000])
        (payout,) = ministry.pay(disbursement)
        give_up(ministry, treasurer, payout)
        ministry.mine(99)
        assert held(disbursement)[0] == 90_000 + (disbursement.fee_reserved_sat or 0)
        ministry.mine(1)
        payout.refresh_from_db()
        disbursement.refresh_from_db()
        assert (payout.status, disbursement.status) == (PayoutStatus.VOIDED, DisbursementStatus.COMPLETED)
        # Nobody was paid; the void cost a fee all the same.
        assert payout.booked_fee_sat > 0
        assert held(disbursement) == (payout.booked_fee_sat, payout.booked_fee_sat, 0)
        again = ministry.go_on(reissues.of_payout(by=ministry.officer, payout_id=payout.pk))
        assert held(again)[0] == 90_000 + (again.fee_reserved_sat or 0)
        assert totals(period)[2] == held(disbursement)[0] + held(again)[0]
