"""Proposals: a change of rules or roles that one person asks for and another confirms."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from payments.models.history import Tracked
from payments.models.program import Program
from payments.states import ProposalStatus

USER = settings.AUTH_USER_MODEL
DECIDED = (ProposalStatus.CONFIRMED, ProposalStatus.REJECTED)


class Proposal(Tracked):
    """A change that waits for a second person. ``kind`` names its entry in the registry of services/proposals.py.

    ``asked`` is what the change is made of, ``before`` and ``after`` what whoever proposed it saw: whoever confirms it
    agrees to these, and it is refused once ``before`` is not true any more. ``about`` is the user whose role it is.
    """

    status_subject = "proposal"

    kind = models.CharField(max_length=20)
    program = models.ForeignKey(Program, null=True, on_delete=models.PROTECT, related_name="proposals")
    about = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    asked = models.JSONField()
    before = models.JSONField()
    after = models.JSONField()
    note = models.CharField(max_length=300)
    status = models.CharField(
        max_length=10, choices=ProposalStatus, default=ProposalStatus.PROPOSED, editable=False
    )
    proposed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    decided_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True, decided_at__isnull=True) & ~Q(status__in=DECIDED)
                | Q(status__in=DECIDED, decided_by__isnull=False, decided_at__isnull=False),
                name="proposal_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("proposed_by")), name="proposal_two_people"
            ),
        ]

    def __str__(self) -> str:
        return f"Proposal {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether somebody may still confirm it."""
        return self.status == ProposalStatus.PROPOSED and self.expires_at > timezone.now()
