"""The sweep: whom it rings for first, so that what fails for ever keeps nobody else waiting."""

from datetime import timedelta

import pytest
from django.utils import timezone

from govpay.errors import GovPayError
from payments import doorbell
from payments.models import Disbursement, Payout, Program
from payments.payout import dispatch, guard
from payments.states import PayoutStatus
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def disbursement(program: Program) -> Disbursement:
    return factories.make_disbursement(program, factories.make_member(program, "officer"))


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The payouts that were rung for, in order."""
    ids: list[int] = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **found: ids.extend(found.values()))
    return ids


def make_payout(disbursement: Disbursement, number: int, **columns: object) -> Payout:
    """A row as the sweep sees it."""
    values = {
        "payment_count": 1,
        "payments_sat": 1,
        "manifest_hash": bytes(32),
        "anchor_txid": "aa" * 32,
        "anchor_vout": number,
    }
    return Payout.objects.create(
        disbursement=disbursement, wallet=disbursement.program.wallet, **(values | columns)
    )


class TestSweep:
    def test_rings_first_for_what_was_never_tried_and_then_for_what_waits_longest(
        self, disbursement: Disbursement, rung: list[int]
    ) -> None:
        now = timezone.now()
        recent = make_payout(disbursement, 1, status=PayoutStatus.SENT, due_at=now - timedelta(seconds=5))
        oldest = make_payout(disbursement, 2, status=PayoutStatus.SENT, due_at=now - timedelta(seconds=50))
        resting = make_payout(disbursement, 3, status=PayoutStatus.SENT, due_at=now + timedelta(seconds=50))
        untried = make_payout(disbursement, 4)
        dispatch.sweep()
        assert rung == [untried.pk, oldest.pk, recent.pk]
        assert resting.pk not in rung


class TestAdvance:
    def test_that_cannot_work_lets_others_go_first(
        self, disbursement: Disbursement, rung: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: object) -> None:
            raise GovPayError("The node is elsewhere.")

        stuck = make_payout(disbursement, 1)
        monkeypatch.setattr(guard, "require_chain", refuse)
        dispatch.advance(payout_id=stuck.pk)
        stuck.refresh_from_db()
        assert (stuck.status, stuck.problem) == (PayoutStatus.SEALED, "The node is elsewhere.")
        dispatch.sweep()
        assert rung == []
