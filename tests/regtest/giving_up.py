"""What two people do who give a payout up, and what tests look at afterwards."""

from django.contrib.auth.models import User
from django.utils import timezone

from ledger import books
from ledger.reconciliation.service import reconcile
from payments.models import (
    Intervention,
    Payout,
    StatusChange,
)
from payments.payout import dispatch
from payments.services import interventions
from tests.regtest.ministry import Ministry


def agree(ministry: Ministry, treasurer: User, payout: Payout) -> Intervention:
    """Two people give the payout up; the engine has not heard of it yet."""
    shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="void")
    asked = interventions.propose(
        by=treasurer, payout_id=payout.pk, kind="void", note="The list was wrong.", shown=shown
    )
    return interventions.approve(by=ministry.approver, intervention_id=asked.pk, note="I looked.")


def give_up(ministry: Ministry, treasurer: User, payout: Payout) -> Payout:
    """Two people give the payout up, and workers hear the doorbells."""
    agreed = agree(ministry, treasurer, payout)
    dispatch.intervene(intervention_id=agreed.pk)
    dispatch.advance(payout_id=payout.pk)
    return Payout.objects.select_related("current").get(pk=payout.pk)


def balances(ministry: Ministry) -> dict[str, int]:
    """The program's accounts by their noun."""
    trial = books.trial_balance(scope=ministry.program.scope)
    assert trial.is_balanced
    return {account.code.split(":")[1]: account.balance for account in trial.accounts}


def is_clean(ministry: Ministry) -> bool:
    """Whether claims, books and blocks agree."""
    (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
    return (run.status, run.reason) == ("clean", "")


def kinds(payout: Payout) -> list[str]:
    """Its history's states."""
    rows = StatusChange.objects.filter(subject="payout", subject_id=payout.pk).order_by("pk")
    return list(rows.values_list("new", flat=True))
