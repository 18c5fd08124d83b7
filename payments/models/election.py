"""What people want to be paid in, and the bitcoin legs that trusts take for those who want currency (R-25)."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from ledger.models.lot import MOST_MINOR, MOST_SAT
from payments.models.beneficiary import Enrollment
from payments.models.history import Tracked
from payments.models.payment import Payment
from payments.models.person_code import PersonCode
from payments.models.quote import Quote
from payments.models.trust import Trust, TrustPurse
from payments.states import LegStatus

USER = settings.AUTH_USER_MODEL


class ElectionChoice(models.TextChoices):
    """What somebody wants to be paid in."""

    BITCOIN = "bitcoin", "Bitcoin"
    CURRENCY = "currency", "Currency, by a trust"


class Election(models.Model):
    """What an enrolled person chose; the newest counts, and none is ever changed.

    Either an officer wrote it down (``made_by``, with a note), or the person said it themself, with a ``code``. The MAC
    covers person, choice, trust, currency, who said it and when under a key that the database lacks. Of whom is erased it
    stays without person and note, because legs are of it.
    """

    enrollment = models.ForeignKey(
        Enrollment, null=True, on_delete=models.PROTECT, related_name="elections", db_index=False
    )
    choice = models.CharField(max_length=8, choices=ElectionChoice)
    purse = models.ForeignKey(TrustPurse, null=True, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=300, blank=True)
    made_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    code = models.OneToOneField(PersonCode, null=True, on_delete=models.PROTECT, related_name="election")
    made_at = models.DateTimeField()
    key_id = models.CharField(max_length=8)
    mac = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(choice="currency", purse__isnull=False) | Q(choice="bitcoin", purse=None),
                name="election_of_currency_names_a_trust",
            ),
            models.CheckConstraint(
                condition=Q(made_by=None, code__isnull=False, note="") | Q(made_by__isnull=False, code=None),
                name="election_by_one",
            ),
        ]
        indexes = [models.Index(fields=["enrollment", "-id"], name="election_newest")]

    def __str__(self) -> str:
        return f"Election {self.pk}"


class LegRefusal(models.TextChoices):
    """Why a trust did not take a leg."""

    FLOOR = "floor", "The trust's cash would fall below its floor"
    CAP = "cap", "The trust's bitcoin would exceed its cap"
    LIMIT = "limit", "It is not within what the trust converts for one person"
    PAUSED = "paused", "The trust is paused"
    LAW = "law", "The law does not let the state convert"
    ADDRESS = "address", "The trust has ended the holding of the address"
    NO_PRICE = "no_price", "There is no price of a bitcoin"


class Instead(models.TextChoices):
    """What somebody takes whose bitcoin the trust did not take."""

    BITCOIN = "bitcoin", "Bitcoin"
    VOUCHER = "voucher", "A voucher"
    AGAIN = "again", "Currency, from a trust that is asked again"


class TrustLeg(Tracked):
    """The bitcoin of a payment whose person elected currency: it goes to the trust, which owes ``value_minor`` instead.

    ``value_minor`` is what ``amount_sat`` is worth at ``quote``, all fixed when it is taken; ``refusal`` is why it was not,
    and ``instead`` what its person then chose. ``attempt`` counts the times that a bank was, or will be, told to pay it.
    """

    status_subject = "leg"

    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="trust_leg")
    trust = models.ForeignKey(Trust, on_delete=models.PROTECT, related_name="legs", db_index=False)
    purse = models.ForeignKey(TrustPurse, on_delete=models.PROTECT, related_name="legs", db_index=False)
    election = models.ForeignKey(Election, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount_sat = models.BigIntegerField(null=True)
    value_minor = models.BigIntegerField(null=True)
    quote = models.ForeignKey(Quote, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    refusal = models.CharField(max_length=8, choices=LegRefusal, blank=True)
    instead = models.CharField(max_length=8, choices=Instead, blank=True, default="", db_default="")
    status = models.CharField(max_length=10, choices=LegStatus, default=LegStatus.ASKED, editable=False)
    attempt = models.PositiveSmallIntegerField(default=1)
    asked_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True)
    owed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(Q(amount_sat=None) | Q(amount_sat__gte=1, amount_sat__lte=MOST_SAT))
                & (Q(value_minor=None) | Q(value_minor__gte=0, value_minor__lte=MOST_MINOR)),
                name="trustleg_amounts_in_range",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["taken", "owed", "instructed", "paid"])
                | Q(
                    amount_sat__isnull=False,
                    value_minor__gte=1,
                    quote__isnull=False,
                    taken_at__isnull=False,
                    refusal="",
                ),
                name="trustleg_taken_at_a_price",
            ),
            models.CheckConstraint(
                condition=~Q(status="refused") | ~Q(refusal=""), name="trustleg_refused_for_a_reason"
            ),
            models.CheckConstraint(
                condition=Q(instead="") | ~Q(refusal=""), name="trustleg_instead_of_what_was_refused"
            ),
        ]
        indexes = [
            models.Index(fields=["purse", "status", "id"], name="trustleg_of_purse"),
            models.Index(
                fields=["trust", "id"],
                condition=Q(status__in=["asked", "taken", "refused"]),
                name="trustleg_unsettled",
            ),
        ]

    def __str__(self) -> str:
        return f"Leg {self.pk}"
