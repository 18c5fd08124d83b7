"""Reads what people asked of the engine, and what became of it."""

from typing import Any

from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, QuerySet, Value, When

from payments.models import Intervention, InterventionKind, Membership, PayoutTx, PayoutTxKind, Role
from payments.selectors import scope
from payments.states import InterventionStatus, PayoutStatus

S = PayoutStatus
_PAID = (S.MINED, S.SETTLED)


def visible(user: Any) -> QuerySet[Intervention]:
    """Return the interventions of the user's programs; ``waits_for_me`` marks those that the user may decide."""
    rows = Intervention.objects.filter(wallet__program_id__in=scope.programs(user)).select_related(
        "wallet__program", "payout", "proposed_by", "decided_by"
    )
    return rows.annotate(
        waits_for_me=Case(When(_mine(user), then=True), default=False, output_field=BooleanField()),
        program_id=F("wallet__program_id"),
        txid=F("version__txid"),
        outcome=_outcome(),
    )


def waiting_for(user: Any) -> QuerySet[Intervention]:
    """Return what the user may decide now."""
    return visible(user).filter(_mine(user))


def _mine(user: Any) -> Q:
    decides = Membership.objects.filter(
        user_id=user.pk, program_id=OuterRef("wallet__program_id"), role__in=(Role.TREASURER, Role.APPROVER)
    )
    return Q(Exists(decides), status=InterventionStatus.PROPOSED) & ~Q(proposed_by_id=user.pk)


def outcome_of(intervention_id: int) -> str:
    """Return whether a void won (``voided``, ``in_block``, ``waits``, ``lost``); empty for everything else."""
    rows = Intervention.objects.filter(pk=intervention_id).annotate(outcome=_outcome())
    return rows.values_list("outcome", flat=True).get()


def _outcome() -> Case:
    voids = PayoutTx.objects.filter(payout_id=OuterRef("payout_id"), kind=PayoutTxKind.VOID)
    return Case(
        When(~Q(kind=InterventionKind.VOID, status=InterventionStatus.DONE), then=Value("")),
        When(payout__status=S.VOIDED, then=Value("voided")),
        When(payout__status__in=_PAID, then=Value("lost")),
        When(Exists(voids.filter(txid=OuterRef("payout__mined_txid"))), then=Value("in_block")),
        default=Value("waits"),
    )
