"""Who did what with a list, and when: its making, every change of its status, approvals and signatures, in one order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from govpay.said import said
from payments.admin import cells
from payments.models import Approval, Disbursement, ManifestSignature, StatusChange, Step
from payments.states import DisbursementStatus

SHOWN = 50


@dataclass(frozen=True)
class Happened:
    """One thing that happened: ``what`` is a label of its tone, ``who`` a person or the engine, ``note`` their words."""

    at: datetime
    what: str
    who: str
    note: str = ""

    @property
    def when(self) -> str:
        """The time with its zone."""
        return cells.moment(self.at)


@dataclass(frozen=True)
class Timeline:
    """What happened, the first thing first, and where all changes of status are."""

    steps: list[Happened]
    more_url: str


def of_list(disbursement: Disbursement) -> Timeline:
    """Return what happened to a list, in three queries."""
    steps = sorted(_steps(disbursement), key=lambda step: step.at)
    more = cells.list_of(StatusChange, subject="disbursement", subject_id=disbursement.pk)
    return Timeline(steps, more)


def _steps(disbursement: Disbursement) -> Iterator[Happened]:
    yield Happened(disbursement.made_at, cells.label("draft", "Made"), cells.person(disbursement.made_by))
    changes = StatusChange.objects.filter(subject="disbursement", subject_id=disbursement.pk)
    for change in changes.select_related("actor").order_by("-pk")[:SHOWN]:
        # Every approval stands below, the last one of several, which moved the list, among them.
        if change.new != DisbursementStatus.APPROVED:
            label = DisbursementStatus(change.new).label
            yield Happened(
                change.at,
                cells.label(change.new, label),
                _who(change.actor),
                change.note or said(change.reason),
            )
    approvals = Approval.objects.filter(disbursement=disbursement, step=Step.APPROVE).select_related("user")
    for approval in approvals.order_by("-pk")[:SHOWN]:
        note = said("For the group {0}.", approval.group_name) if approval.group_name else ""
        yield Happened(approval.at, cells.label("approved", "Approved"), cells.person(approval.user), note)
    signatures = ManifestSignature.objects.filter(disbursement=disbursement).select_related("key__user")
    for signature in signatures.order_by("pk")[:SHOWN]:
        who = cells.person(signature.key.user)
        yield Happened(
            signature.created_at, cells.label("signed", "Manifest signed"), who, "With their own key."
        )


def _who(actor: Any) -> str:
    return cells.person(actor) if actor else said("the engine")
