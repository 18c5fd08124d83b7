"""What people without an address are entitled to, the links by which they claim it, and the messages that carry these."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from payments.models.beneficiary import Destination, Enrollment
from payments.models.encrypted import EncryptedJSONField
from payments.models.history import Tracked
from payments.models.payment import Payment
from payments.models.person_code import PersonCode
from payments.models.program import Program
from payments.states import ENTITLEMENT_OPEN, EntitlementStatus

USER = settings.AUTH_USER_MODEL
CONTACT_CONTEXT, MESSAGE_CONTEXT = "claimlink.contact", "message.content"


class EntitlementQuerySet(models.QuerySet["Entitlement"]):
    """Which of them there are; whoever acts on some locks them first."""

    def waiting(self) -> Self:
        """Return what may be claimed."""
        return self.filter(status=EntitlementStatus.WAITING)

    def with_address(self) -> Self:
        """Return those whose people have an address by now."""
        return self.filter(_has_address())

    def over(self, at: datetime | Now) -> Self:
        """Return what nobody has claimed in time; whoever has an address by now has claimed."""
        return self.waiting().filter(~_has_address(), expires_at__lte=at)


def _has_address() -> Exists:
    return Exists(Destination.objects.filter(beneficiary=OuterRef("payment__beneficiary"), is_current=True))


class Entitlement(Tracked):
    """A line of a released list whose person had no address when it was submitted: approved, owed, and payable by no tx.

    ``paid_by`` is the line of a later list that pays it, once its person has an address; ADR 47.
    """

    status_subject = "entitlement"

    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="entitlement")
    status = models.CharField(
        max_length=10, choices=EntitlementStatus, default=EntitlementStatus.WAITING, editable=False
    )
    paid_by = models.OneToOneField(
        Payment, null=True, on_delete=models.PROTECT, related_name="pays_entitlement"
    )
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = EntitlementQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(status=EntitlementStatus.WAITING), name="entitlement_due"
            )
        ]
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("opened_at")), name="entitlement_has_a_term"),
            models.CheckConstraint(
                condition=Q(paid_by__isnull=False) | ~Q(status=EntitlementStatus.LISTED),
                name="entitlement_listed_by_a_line",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, status__in=ENTITLEMENT_OPEN)
                | Q(ended_at__isnull=False) & ~Q(status__in=ENTITLEMENT_OPEN),
                name="entitlement_ends_once",
            ),
        ]

    def __str__(self) -> str:
        return f"Entitlement {self.pk}"


class Channel(models.TextChoices):
    """How a link comes to its person."""

    SMS = "sms", "SMS"
    EMAIL = "email", "E-mail"
    PAPER = "paper", "On paper"


class ClaimLink(models.Model):
    """A secret by which one person brings an address to one program, once. Only ``secret_hash`` is kept of it.

    ``attempts`` counts what was wrong; too many end it. ``code_hash`` is a keyed hash of the code that was sent, or handed
    out by ``code_by``, to prove that the telephone, or the person, is there.
    """

    enrollment = models.ForeignKey(Enrollment, on_delete=models.PROTECT, related_name="claim_links")
    secret_hash = models.BinaryField(max_length=32, unique=True)
    channel = models.CharField(max_length=10, choices=Channel)
    contact = EncryptedJSONField(context=CONTACT_CONTEXT, null=True)
    made_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    codes_sent = models.PositiveSmallIntegerField(default=0)
    code_hash = models.BinaryField(max_length=32, null=True)
    code_expires_at = models.DateTimeField(null=True)
    code_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    used_at = models.DateTimeField(null=True)
    destination = models.OneToOneField(
        Destination, null=True, on_delete=models.PROTECT, related_name="claim_link"
    )
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["enrollment"], condition=Q(ended_at=None), name="claimlink_one_open"
            ),
            models.CheckConstraint(
                condition=Q(used_at=None, destination=None)
                | Q(used_at__isnull=False, destination__isnull=False, ended_at__isnull=False),
                name="claimlink_used_once",
            ),
            models.CheckConstraint(condition=Q(expires_at__gt=F("made_at")), name="claimlink_has_a_term"),
        ]

    def __str__(self) -> str:
        return f"Claim link {self.pk}"


class MessageKind(models.TextChoices):
    """What a message says."""

    LINK = "claim_link", "Claim link"
    CODE = "claim_code", "Code of a claim link"
    PERSON_CODE = "person_code", "Code"


class Message(models.Model):
    """Something that a gateway takes to a person: of a claim link, or a code with which they say something.

    ``content`` (to, subject, text) is encrypted, and gone once it was taken.
    An attempt moves ``due_at`` on before it sends; ``message_id`` lets the gateway drop what comes twice.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="messages")
    link = models.ForeignKey(ClaimLink, null=True, on_delete=models.PROTECT, related_name="messages")
    person_code = models.ForeignKey(
        PersonCode, null=True, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    kind = models.CharField(max_length=11, choices=MessageKind)
    channel = models.CharField(max_length=10, choices=Channel)
    content = EncryptedJSONField(context=MESSAGE_CONTEXT, null=True)
    message_id = models.UUIDField(unique=True)
    made_at = models.DateTimeField()
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(sent_at=None, failed_at=None), name="message_due")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(sent_at=None) | Q(failed_at=None), name="message_ends_one_way"
            ),
            models.CheckConstraint(
                condition=Q(content__isnull=False) | Q(sent_at__isnull=False) | Q(failed_at__isnull=False),
                name="message_waits_with_its_content",
            ),
            models.CheckConstraint(
                condition=Q(kind="person_code", link=None, person_code__isnull=False)
                | ~Q(kind="person_code") & Q(link__isnull=False, person_code=None),
                name="message_of_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"Message {self.pk}"

    @property
    def enrollment(self) -> Enrollment:
        """Whom it is for."""
        found = self.link or self.person_code
        # Of whom is erased no message is left.
        assert found is not None
        assert found.enrollment is not None
        return found.enrollment
