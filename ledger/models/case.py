"""Cases: a break that people work on until its difference vanished or two of them explained it."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ledger.models.account import Account
from ledger.models.entry import Entry
from ledger.models.reconciliation import BreakKind, ReconciliationRun

USER = settings.AUTH_USER_MODEL


class CaseStatus(models.TextChoices):
    """How far a case has come; only runs close or suspend it, and any of them may find it open again."""

    OPEN = "open", "Open"  # Somebody has to find out.
    PROPOSED = "proposed", "Proposed"  # One person says what it is; another decides.
    EXPLAINED = "explained", "Explained"  # Two people agree on what it is, for these figures.
    SUSPENDED = (
        "suspended",
        "In suspense",
    )  # The newest run did not find it, for suspense holds it: what is it?
    CLOSED = "closed", "Closed"  # The newest run did not find it any more.


class Resolution(models.TextChoices):
    """What resolves a case."""

    ENTRY = "entry", "An entry that was posted"  # The next run must not find the difference any more.
    EVIDENCE = "evidence", "Evidence"  # The difference stays, and is known.
    SUSPENSE = "suspense", "Suspense"  # Nobody knows: it is booked where it is seen until somebody does.
    ACCOUNT = "account", "An account where it belongs"  # Somebody does: it leaves suspense, on evidence.
    REVERSAL = "reversal", "A booking undone"  # What was booked to suspense, or out of it, was wrong.


class Case(models.Model):
    """A difference over the runs that found it: the same kind at the same place is the same case, for ever.

    ``expected``, ``found`` and ``message`` are those of ``last_run``. ``proposal`` counts what was proposed, so that nobody
    agrees to another proposal than the one that was looked at. ``entry`` is the one that resolves it, or, of a reversal that
    is proposed, the one to undo; ``suspense_ref`` is the source of its entries on suspense. What people did is in
    its events.
    """

    scope = models.CharField(max_length=40)
    kind = models.CharField(max_length=20, choices=BreakKind)
    unit = models.CharField(max_length=110, blank=True)
    payment_id = models.BigIntegerField(null=True)
    payout_id = models.BigIntegerField(null=True)
    txid = models.CharField(max_length=64, blank=True)
    vout = models.PositiveIntegerField(null=True)
    expected = models.CharField(max_length=200, blank=True)
    found = models.CharField(max_length=200, blank=True)
    message = models.CharField(max_length=300)
    amount_sat = models.BigIntegerField(null=True)
    status = models.CharField(max_length=10, choices=CaseStatus, default=CaseStatus.OPEN)
    owner = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    first_run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="+")
    last_run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    opened_height = models.PositiveIntegerField(null=True)
    closed_at = models.DateTimeField(null=True)
    proposal = models.PositiveIntegerField(default=0)
    resolution = models.CharField(max_length=10, choices=Resolution, blank=True)
    note = models.CharField(max_length=1_000, blank=True)
    evidence_sha256 = models.BinaryField(max_length=32, null=True)
    entry = models.ForeignKey(Entry, null=True, on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey(Account, null=True, on_delete=models.PROTECT, related_name="+")
    suspense_ref = models.CharField(max_length=100, blank=True)
    proposed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        permissions = [("resolve_case", "Can own, propose and decide cases of reconciliation")]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "kind", "unit", "payment_id", "vout"], nulls_distinct=False, name="case_once"
            ),
            models.CheckConstraint(condition=Q(status__in=CaseStatus.values), name="case_status_is_known"),
            models.CheckConstraint(
                condition=Q(decided_by=None)
                | (~Q(decided_by=F("proposed_by")) & Q(proposed_by__isnull=False)),
                name="case_decided_by_another",
            ),
            models.CheckConstraint(
                condition=Q(
                    status=CaseStatus.EXPLAINED, resolution__in=Resolution.values, decided_by__isnull=False
                )
                | Q(
                    status=CaseStatus.PROPOSED,
                    resolution__in=Resolution.values,
                    proposed_by__isnull=False,
                    decided_by=None,
                )
                | Q(status=CaseStatus.OPEN, resolution="", proposed_by=None, decided_by=None, closed_at=None)
                | Q(status=CaseStatus.SUSPENDED, closed_at=None)
                | Q(status=CaseStatus.CLOSED, closed_at__isnull=False),
                name="case_people_of_status",
            ),
            models.CheckConstraint(
                condition=Q(resolution__in=["", Resolution.SUSPENSE, Resolution.ACCOUNT])
                | Q(resolution__in=[Resolution.ENTRY, Resolution.REVERSAL], entry__isnull=False)
                | (Q(resolution=Resolution.EVIDENCE, entry=None) & ~Q(note="")),
                name="case_resolution_is_whole",
            ),
            models.CheckConstraint(
                condition=(~Q(resolution=Resolution.ACCOUNT) & Q(account=None))
                | (
                    Q(resolution=Resolution.ACCOUNT, account__isnull=False, evidence_sha256__isnull=False)
                    & ~Q(note="")
                ),
                name="case_moves_on_evidence",
            ),
        ]
        indexes = [models.Index(fields=["status", "-id"], name="case_status")]

    def __str__(self) -> str:
        return f"case {self.pk}: {self.kind}"


class CaseEvent(models.Model):
    """Something that happened to a case: who did it, or that a run found it; never changed or deleted.

    ``actor`` is the name that ``user`` had then.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="events")
    action = models.CharField(max_length=10)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=1_000, blank=True)
    run = models.ForeignKey(ReconciliationRun, null=True, on_delete=models.PROTECT, related_name="+")
    entry = models.ForeignKey(Entry, null=True, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(actor=""), name="case_event_names_its_actor")]

    def __str__(self) -> str:
        return f"{self.case_id} {self.action} by {self.actor}"
