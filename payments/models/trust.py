"""Convertibility trusts: institutions that take bitcoin and owe currency, their money, and what their boards decide."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ledger.models.lot import MOST_MINOR, MOST_SAT, SCOPE
from payments.models.history import Tracked
from payments.models.proposal import Proposal
from payments.states import DecisionStatus

USER = settings.AUTH_USER_MODEL
# A board has three seats, and two of them decide.
SEATS, QUORUM = 3, 2


class Trust(models.Model):
    """An institution with its own scope in the books; ``proposal`` is the last one by which two people set it.

    ``inventory_sat`` is what it has taken and bought and not sold, ``promised_sat`` what legs that it took still bring;
    both together never exceed ``inventory_cap_sat``. ``board_number`` counts boards: a decision is of one. A paused trust
    takes no leg. ``policy_profile`` and ``jurisdiction`` name the law under which it converts, and is taxed.
    """

    scope = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=60)
    policy_profile = models.CharField(max_length=40)
    jurisdiction = models.CharField(max_length=40)
    inventory_cap_sat = models.BigIntegerField()
    inventory_sat = models.BigIntegerField(default=0)
    promised_sat = models.BigIntegerField(default=0)
    board_number = models.PositiveIntegerField(default=1)
    is_paused = models.BooleanField(default=False)
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scope__regex=SCOPE),
                name="trust_scope_grammar",
                violation_error_message="Name the institution by its scope in the books, such as trust:1.",
            ),
            models.CheckConstraint(
                condition=Q(inventory_cap_sat__gte=0, inventory_cap_sat__lte=MOST_SAT),
                name="trust_cap_in_range",
                violation_error_message="The cap is 0 satoshi at least, and not more than there are.",
            ),
            models.CheckConstraint(
                condition=Q(inventory_sat__gte=0, promised_sat__gte=0), name="trust_inventory_is_there"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.scope})"

    @property
    def room_sat(self) -> int:
        """How many satoshis it may still take; below zero where its cap was lowered."""
        return self.inventory_cap_sat - self.inventory_sat - self.promised_sat


class TrustPurse(models.Model):
    """A trust's money in one currency, in minor units of ``10 ** -scale``: what there is, and what it owes people of it.

    ``promised_minor`` is for legs that have not settled, ``owed_minor`` for those that have. The database refuses a row
    whose promises and debts exceed its cash, so that people are covered in their own currency at any price (R-26).
    ``floor_minor`` is what must be left besides when a leg is taken; ``limit_minor`` is the most for one person in a list.
    """

    trust = models.ForeignKey(Trust, on_delete=models.PROTECT, related_name="purses")
    currency = models.CharField(max_length=3)
    scale = models.PositiveSmallIntegerField()
    floor_minor = models.BigIntegerField()
    limit_minor = models.BigIntegerField()
    cash_minor = models.BigIntegerField(default=0)
    promised_minor = models.BigIntegerField(default=0)
    owed_minor = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trust", "currency"], name="trustpurse_currency_once"),
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$", scale__lte=4), name="trustpurse_currency_code"
            ),
            models.CheckConstraint(
                condition=Q(floor_minor__gte=0, floor_minor__lte=MOST_MINOR)
                & Q(limit_minor__gte=1, limit_minor__lte=MOST_MINOR),
                name="trustpurse_terms_in_range",
            ),
            models.CheckConstraint(
                condition=Q(promised_minor__gte=0, owed_minor__gte=0)
                & Q(cash_minor__gte=F("promised_minor") + F("owed_minor")),
                name="trustpurse_people_are_covered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.currency} of {self.trust}"

    @property
    def free_minor(self) -> int:
        """What may be promised or taken out before the floor; below zero where it is below its floor."""
        return self.cash_minor - self.promised_minor - self.owed_minor - self.floor_minor


class TrustSeat(models.Model):
    """Somebody on a trust's board: three at a time, who hold no role in any program."""

    trust = models.ForeignKey(Trust, on_delete=models.PROTECT, related_name="seats")
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="trust_seats")
    board_number = models.PositiveIntegerField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["trust", "user"], condition=Q(ended_at=None), name="trustseat_one_a_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} of {self.trust}"


class TrustDecisionKind(models.TextChoices):
    """What a board decides."""

    CAPITAL_IN = "capital_in", "Capital paid in"
    CAPITAL_OUT = "capital_out", "Capital paid out"
    PURCHASE = "purchase", "Purchase of bitcoin"
    SALE = "sale", "Sale of bitcoin"
    PAY = "pay", "Payment of what people are owed"
    TERMS = "terms", "Floor and limit of a currency"
    CAP = "cap", "Cap of the inventory"
    PAUSE = "pause", "Pause"
    RESUME = "resume", "Resumption"


class TrustDecision(Tracked):
    """What one member proposed to a trust's board, in ``terms`` by name; done when a second member signs it.

    ``board_number`` is the board that it was proposed to: another one does not decide it.
    """

    status_subject = "decision"

    trust = models.ForeignKey(Trust, on_delete=models.PROTECT, related_name="decisions")
    board_number = models.PositiveIntegerField()
    kind = models.CharField(max_length=11, choices=TrustDecisionKind)
    terms: Any = models.JSONField()
    note = models.CharField(max_length=300)
    status = models.CharField(
        max_length=10, choices=DecisionStatus, default=DecisionStatus.OPEN, editable=False
    )
    made_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status="open", ended_at=None) | ~Q(status="open") & Q(ended_at__isnull=False),
                name="trustdecision_ended_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"Decision {self.pk}"


class TrustVote(models.Model):
    """A member's signature under a decision, once, never changed. The MAC covers decision, terms, person and time."""

    decision = models.ForeignKey(TrustDecision, on_delete=models.PROTECT, related_name="votes")
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    key_id = models.CharField(max_length=8)
    mac = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["decision", "user"], name="trustvote_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} on decision {self.decision_id}"
