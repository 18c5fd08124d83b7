"""Why a line of a list waits: what an officer, the engine or a rule holds against it."""

from collections.abc import Sequence

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from payments.models.payment import Payment

USER = settings.AUTH_USER_MODEL


class HoldRule(models.TextChoices):
    """What holds a payment. Other rules may be added; the database takes any."""

    OFFICER = "officer", "An officer stopped it"
    NODE_REFUSED = "node_refused", "The node refuses it"
    DESTINATION_COOLING = "destination_cooling", "The address was changed or claimed a short time ago"
    PERSON_EXCLUDED = "person_excluded", "The person is on an exclusion list"
    CONTROL_UNPROVED = "control_unproved", "Nobody has proved to control the address"
    CONSENT_WITHDRAWN = "consent_withdrawn", "The person has withdrawn their consent"
    PERSON_UNVERIFIED = "person_unverified", "The verifier has not confirmed the person"
    UNCLAIMED = "unclaimed", "The person has brought no address yet"
    TRUST_REFUSED = "trust_refused", "The trust cannot take the bitcoin for currency"
    DESTINATION_SHARED = "destination_shared", "Somebody else is or was paid at this address"
    TITLE_MISMATCH = "title_mismatch", "The bank does not confirm the account's title"
    TRAVEL_RULE = "travel_rule", "What the travel rule asks for is not known of the person"
    TITLE_UNCONFIRMED = "title_unconfirmed", "The bank has not answered about the account's title"


# A person may judge these and let the payment go on; the others end when what they say is no longer so.
JUDGED = (HoldRule.OFFICER, HoldRule.NODE_REFUSED, HoldRule.DESTINATION_SHARED, HoldRule.TITLE_MISMATCH)


class Hold(models.Model):
    """One reason why a payment is held; it goes on when the last one has ended.

    ``subject_id`` is the row that the rule is about, 0 where there is none. One that a person has ended (``ended_by``)
    is judged: the same rule does not hold the payment for the same subject again.
    """

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="holds", db_index=False)
    rule = models.CharField(max_length=40)
    subject_id = models.BigIntegerField(default=0)
    note = models.TextField()
    placed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    placed_at = models.DateTimeField()
    ended_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["payment", "rule", "subject_id"], condition=Q(ended_at=None), name="hold_one_open"
            ),
            models.CheckConstraint(
                condition=Q(ended_by=None) | Q(ended_at__isnull=False), name="hold_ended_whole"
            ),
        ]
        indexes = [
            models.Index(fields=["payment", "id"], name="hold_of_payment"),
            models.Index(fields=["rule", "id"], condition=Q(ended_at=None), name="hold_open"),
        ]

    def __str__(self) -> str:
        return f"hold {self.pk}"

    @classmethod
    def place(cls, payment_ids: Sequence[int], *, rule: str, note: str, by_id: int | None = None) -> None:
        """Write down why payments are held, each once, which the caller moves to held."""
        now = timezone.now()
        Hold.objects.bulk_create(
            Hold(payment_id=pk, rule=rule, note=note, placed_by_id=by_id, placed_at=now) for pk in payment_ids
        )

    @property
    def label(self) -> str:
        """The rule in words."""
        return str(HoldRule(self.rule).label) if self.rule in HoldRule.values else self.rule
