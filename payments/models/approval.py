"""Approvals of lists: who submitted, approved and released exactly which manifest, and by which rules of the program."""

from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from payments.models.disbursement import Disbursement
from payments.models.program import Program

USER = settings.AUTH_USER_MODEL


class Step(models.TextChoices):
    """What somebody said of a list."""

    SUBMIT = "submit", "Submitted"  # The maker fixed the manifest, and with it the tier that applies.
    APPROVE = "approve", "Approved"  # An approver agreed, for one group.
    RELEASE = "release", "Released"  # A releaser let the engine pay.


class Approval(models.Model):
    """One person's word on a list: this step, this manifest, this tier, counted for this group, until then.

    The MAC covers all of that under a key that the database lacks, so that nobody who writes rows can write one of these.
    Rows are added and never changed; one of another manifest than the list's counts for nothing.
    """

    disbursement = models.ForeignKey(
        Disbursement, on_delete=models.PROTECT, related_name="approvals", db_index=False
    )
    step = models.CharField(max_length=7, choices=Step)
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    group_name = models.CharField(max_length=40, blank=True)
    manifest_hash = models.BinaryField(max_length=32)
    at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    key_id = models.CharField(max_length=8)
    mac = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["disbursement", "step", "user", "at"], name="approval_once"),
            models.UniqueConstraint(
                fields=["disbursement", "manifest_hash"],
                condition=Q(step="release"),
                name="approval_one_release",
            ),
            models.CheckConstraint(
                condition=Q(step="approve", expires_at__gt=F("at")) & ~Q(group_name="")
                | ~Q(step="approve") & Q(expires_at=None, group_name=""),
                name="approval_of_a_group_until",
            ),
        ]

    def __str__(self) -> str:
        return f"Approval {self.pk}"


class ApprovalPolicy(models.Model):
    """A version of a program's rules of approval: proposed whole by one person, in force once another confirmed it.

    The newest confirmed one is in force. ``approval_days`` is how long an approval counts. The MAC covers all of it.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="approval_policies")
    approval_days = models.PositiveSmallIntegerField(
        default=14, validators=[MinValueValidator(1), MaxValueValidator(365)]
    )
    note = models.CharField(max_length=300)
    proposed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    # Refused by somebody, or withdrawn by who proposed it.
    dropped_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    dropped_at = models.DateTimeField(null=True)
    key_id = models.CharField(max_length=8, blank=True)
    mac = models.BinaryField(max_length=32, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program"],
                condition=Q(confirmed_at=None, dropped_at=None),
                name="approvalpolicy_one_open",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by=None) | ~Q(confirmed_by=F("proposed_by")),
                name="approvalpolicy_two_people",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_at=None, confirmed_by=None, mac=None)
                | Q(
                    confirmed_at__isnull=False,
                    confirmed_by__isnull=False,
                    mac__isnull=False,
                    dropped_at=None,
                ),
                name="approvalpolicy_confirmed_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"Approval policy {self.pk}"

    @property
    def state(self) -> str:
        """Where it stands: proposed, confirmed or dropped; of those confirmed the newest is in force."""
        if self.confirmed_at is not None:
            return "confirmed"
        return "proposed" if self.dropped_at is None else "dropped"

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The named groups, each with its members."""
        found: dict[str, list[Any]] = {}
        for member in self.members.all():
            found.setdefault(member.group_name, []).append(member.user)
        return [{"name": name, "members": members} for name, members in found.items()]

    @property
    def tiers(self) -> list[dict[str, Any]]:
        """The tiers, smallest first: up to which total (None: without limit) how many of which groups."""
        found: dict[int | None, dict[str, int]] = {}
        for need in self.needs.all():
            found.setdefault(need.up_to_sat, {})[need.group_name] = need.count
        ordered = sorted(found.items(), key=lambda tier: (tier[0] is None, tier[0] or 0))
        return [{"up_to_sat": up_to_sat, "needs": needs} for up_to_sat, needs in ordered]


class GroupMember(models.Model):
    """An approver in a named group of a policy."""

    policy = models.ForeignKey(
        ApprovalPolicy, on_delete=models.PROTECT, related_name="members", db_index=False
    )
    group_name = models.CharField(max_length=40)
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("group_name", "user_id")
        constraints = [
            models.UniqueConstraint(fields=["policy", "group_name", "user"], name="groupmember_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} of {self.group_name}"


class TierNeed(models.Model):
    """How many approvals of a group a list needs whose total, in its own unit, is at most ``up_to_sat`` (None: any)."""

    policy = models.ForeignKey(ApprovalPolicy, on_delete=models.PROTECT, related_name="needs", db_index=False)
    up_to_sat = models.BigIntegerField(null=True)
    group_name = models.CharField(max_length=40)
    count = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ("up_to_sat", "group_name")
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "up_to_sat", "group_name"], name="tierneed_once", nulls_distinct=False
            ),
            models.CheckConstraint(condition=Q(count__gt=0), name="tierneed_of_somebody"),
        ]

    def __str__(self) -> str:
        return f"{self.count} of {self.group_name}"


class CapKind(models.TextChoices):
    """Whose satoshis a cap counts."""

    MAKER = "maker", "Maker"
    PROGRAM = "program", "Program"
    BENEFICIARY = "beneficiary", "Beneficiary"
    DESTINATION = "destination", "Destination"


class RollingCap(models.Model):
    """The most that one maker, person or address, or the program, may have in any ``window_days`` (R-17).

    ``most_sat`` is in the program's own unit.
    """

    policy = models.ForeignKey(ApprovalPolicy, on_delete=models.PROTECT, related_name="caps", db_index=False)
    kind = models.CharField(max_length=11, choices=CapKind)
    window_days = models.PositiveSmallIntegerField()
    most_sat = models.BigIntegerField()

    class Meta:
        ordering = ("kind", "window_days")
        constraints = [
            models.UniqueConstraint(fields=["policy", "kind", "window_days"], name="rollingcap_once"),
            models.CheckConstraint(
                condition=Q(window_days__gt=0, window_days__lte=366, most_sat__gt=0),
                name="rollingcap_in_bounds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.most_sat} in {self.window_days} days"
