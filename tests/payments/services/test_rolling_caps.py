"""Rolling caps: what one maker, person or address, or the program, may have in some days, whatever it is split into (A5)."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from govpay.errors import InvalidInput
from payments.models import Destination, Disbursement, Payment, Program
from payments.services import disbursements, rolling_caps
from payments.states import DisbursementStatus
from tests import factories
from tests.racing import race

pytestmark = pytest.mark.django_db


def cap(kind: str, most_sat: int, days: int = 1) -> dict[str, Any]:
    """One cap."""
    return {"kind": kind, "window_days": days, "most_sat": most_sat}


def draft(program: Program, by: User, amounts_sat: list[int]) -> Disbursement:
    """A list of new people in a cycle of its own."""
    period = f"p{Disbursement.objects.count()}"
    return factories.make_disbursement(program, by, amounts_sat=amounts_sat, period=period)


def submit(row: Disbursement, by: User, **more: Any) -> Disbursement:
    """Submit it."""
    return disbursements.submit(by=by, disbursement_id=row.pk, **more)


def approve(row: Disbursement, by: User) -> Disbursement:
    """Approve what was submitted."""
    return disbursements.approve(by=by, disbursement_id=row.pk, manifest_hash=bytes(row.manifest_hash or b""))


def release(row: Disbursement, by: User, **more: Any) -> Disbursement:
    """Release what was approved."""
    return disbursements.release(
        by=by, disbursement_id=row.pk, manifest_hash=bytes(row.manifest_hash or b""), **more
    )


class TestSubmission:
    @pytest.mark.parametrize("kind", ["maker", "program"])
    def test_is_refused_to_the_list_that_goes_over_and_gives_the_figures(
        self, kind: str, program: Program, officer: User
    ) -> None:
        factories.make_policy(program, caps=[cap(kind, 100_000)])
        submit(draft(program, officer, [30_000, 30_000]), officer)
        second = draft(program, officer, [40_001])
        with pytest.raises(rolling_caps.OverCap) as refusal:
            submit(second, officer)
        assert refusal.value.details == {
            "kind": kind,
            "window_days": 1,
            "most_sat": 100_000,
            "earlier_sat": 60_000,
            "list_sat": 40_001,
        }
        second.refresh_from_db()
        assert (second.status, second.manifest_hash) == (DisbursementStatus.DRAFT, None)
        assert submit(draft(program, officer, [40_000]), officer).status == DisbursementStatus.SUBMITTED

    def test_counts_makers_apart_and_the_program_together(self, program: Program, officer: User) -> None:
        factories.make_policy(program, caps=[cap("maker", 60_000), cap("program", 100_000)])
        colleague = factories.make_member(program, "officer", "colleague")
        submit(draft(program, officer, [60_000]), officer)
        submit(draft(program, colleague, [40_000]), colleague)
        with pytest.raises(rolling_caps.OverCap) as refusal:
            submit(draft(program, colleague, [1_000]), colleague)
        assert (refusal.value.details["kind"], refusal.value.details["earlier_sat"]) == ("program", 100_000)

    def test_rolls_on_with_the_days(self, program: Program, officer: User) -> None:
        factories.make_policy(program, caps=[cap("maker", 60_000, days=7)])
        now = timezone.now()
        submit(draft(program, officer, [60_000]), officer, now=now - timedelta(days=7, seconds=-1))
        late = draft(program, officer, [60_000])
        with pytest.raises(rolling_caps.OverCap):
            submit(late, officer, now=now)
        assert submit(late, officer, now=now + timedelta(seconds=1)).status == DisbursementStatus.SUBMITTED

    def test_counts_nothing_that_was_withdrawn(self, program: Program, officer: User, approver: User) -> None:
        factories.make_policy(program, caps=[cap("program", 60_000)])
        for end in (
            lambda pk: disbursements.cancel(by=officer, disbursement_id=pk, note="wrong month"),
            lambda pk: disbursements.reject(by=approver, disbursement_id=pk, note="wrong month"),
        ):
            end(submit(draft(program, officer, [60_000]), officer).pk)
        assert submit(draft(program, officer, [60_000]), officer).status == DisbursementStatus.SUBMITTED

    @pytest.mark.parametrize(
        ("kind", "words"), [("beneficiary", "This person"), ("destination", "This address")]
    )
    def test_names_the_lines_of_people_and_addresses_that_go_over(
        self, kind: str, words: str, program: Program, officer: User
    ) -> None:
        factories.make_policy(program, caps=[cap(kind, 100_000, days=30)])
        first = submit(draft(program, officer, [60_000, 10_000]), officer)
        second = draft(program, officer, [1_000, 40_001, 90_000])
        same = Payment.objects.get(disbursement=first, line=1)
        line = Payment.objects.filter(disbursement=second, line=2)
        if kind == "beneficiary":
            line.update(beneficiary=same.beneficiary)
        else:
            Destination.objects.filter(script_pubkey=bytes(same.script_pubkey or b"")).update(
                is_current=False
            )
            person = line.get().beneficiary
            Destination.objects.filter(beneficiary=person).update(script_pubkey=same.script_pubkey)
        with pytest.raises(InvalidInput) as refusal:
            submit(second, officer)
        message = f"{words} may have 100000 sat in 30 days: 60000 sat of other lists and 40001 sat of this one are more."
        assert refusal.value.details["errors"] == [
            {"row": 2, "column": "amount_sat", "code": "over_cap", "message": message}
        ]
        second.refresh_from_db()
        assert second.status == DisbursementStatus.DRAFT
        line.update(amount_sat=40_000)
        Disbursement.objects.filter(pk=second.pk).update(total_sat=131_000)
        assert submit(second, officer).status == DisbursementStatus.SUBMITTED


class TestRelease:
    def test_counts_what_was_released_in_the_window(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program, 1_000_000)
        lists = [approve(submit(draft(program, officer, [60_000]), officer), approver) for _ in range(2)]
        factories.make_policy(program, caps=[cap("program", 100_000, days=2)])
        now = timezone.now()
        release(lists[0], releaser, now=now)
        with pytest.raises(rolling_caps.OverCap) as refusal:
            release(lists[1], releaser, now=now + timedelta(days=1))
        assert (refusal.value.details["earlier_sat"], refusal.value.details["list_sat"]) == (60_000, 60_000)
        lists[1].refresh_from_db()
        assert (lists[1].status, lists[1].approvals.filter(step="release").count()) == ("approved", 0)
        assert release(lists[1], releaser, now=now + timedelta(days=2)).status == DisbursementStatus.RELEASED


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_cannot_both_be_submitted_up_to_a_cap(self, program: Program, officer: User) -> None:
        factories.make_policy(program, caps=[cap("maker", 100_000)])
        one, other = (draft(program, officer, [60_000]) for _ in range(2))
        _, racer = race(lambda: submit(one, officer), lambda: submit(other, officer))
        assert isinstance(racer.error, rolling_caps.OverCap)
        other.refresh_from_db()
        assert other.status == DisbursementStatus.DRAFT

    def test_cannot_both_be_released_up_to_a_cap(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program, 1_000_000)
        one, other = (approve(submit(draft(program, officer, [60_000]), officer), approver) for _ in range(2))
        factories.make_policy(program, caps=[cap("program", 100_000)])
        _, racer = race(lambda: release(one, releaser), lambda: release(other, releaser))
        assert isinstance(racer.error, rolling_caps.OverCap)
        other.refresh_from_db()
        assert (other.status, other.released_by) == (DisbursementStatus.APPROVED, None)
