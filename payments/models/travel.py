"""The travel rule: who pays, and of each payment from a threshold on who pays whom, kept for the authority (R-34)."""

from django.db import models
from django.db.models import Q

from payments.models.disbursement import Disbursement
from payments.models.encrypted import EncryptedJSONField
from payments.models.payment import Payment
from payments.models.program import Program
from payments.models.proposal import Proposal
from payments.models.quote import Quote

TRAVEL_CONTEXT = "travel.payload"


class Originator(models.Model):
    """Who pays in a program, as the travel rule wants it known: a legal person, set by two security administrators.

    It has a legal entity identifier (ISO 17442), or an address (``address_line``, ``town``), or both; ``country`` is the one
    of its registration (ISO 3166-1, two letters). One that took another's place leaves that as it was.
    """

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="originators", db_index=False)
    legal_name = models.CharField(max_length=100)
    lei = models.CharField(max_length=20, blank=True)
    address_line = models.CharField(max_length=70, blank=True)
    town = models.CharField(max_length=35, blank=True)
    country = models.CharField(max_length=2)
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["program"], condition=Q(ended_at=None), name="originator_one_current"
            ),
            models.CheckConstraint(
                condition=~Q(lei="") | ~Q(address_line="") & ~Q(town=""),
                name="originator_is_identified",
                violation_error_message="Give its legal entity identifier, or its address and town.",
            ),
            models.CheckConstraint(
                condition=Q(country__regex="^[A-Z]{2}$") & Q(lei__regex="^([A-Z0-9]{18}[0-9]{2})?$"),
                name="originator_codes",
                violation_error_message="A country has two capitals, and a legal entity identifier 20 characters.",
            ),
        ]

    def __str__(self) -> str:
        return self.legal_name


class TravelRecord(models.Model):
    """Of a payment that the travel rule counts: why, and the payload that was made before anything was sealed.

    ``counted`` is what its person gets within the days of the rule, and ``least`` from how much on a payload is made,
    in the program's own unit; ``threshold_minor`` is that in the rule's ``currency``, by ``quote`` where another
    currency had to be valued. ``missing`` says which information there was not: the payment is held then. ``sha256`` is
    of the payload's text, which has a random reference in it, so that the hash says nothing of the person. ``vasp`` is
    the institution at whose address the person is paid; empty where that is a wallet of their own. After ``keep_until``
    the payload is destroyed.
    """

    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="travel_record")
    disbursement = models.ForeignKey(
        Disbursement, on_delete=models.PROTECT, related_name="travel_records", db_index=False
    )
    originator = models.ForeignKey(Originator, on_delete=models.PROTECT, related_name="+", db_index=False)
    profile = models.CharField(max_length=40)
    law = models.TextField()
    currency = models.CharField(max_length=3)
    threshold_minor = models.BigIntegerField()
    quote = models.ForeignKey(Quote, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    counted = models.BigIntegerField()
    least = models.BigIntegerField()
    # The numbers of the other payments that are counted with it.
    linked = models.JSONField(default=list)
    vasp = models.CharField(max_length=100, blank=True)
    missing = models.CharField(max_length=60, blank=True)
    payload = EncryptedJSONField(context=TRAVEL_CONTEXT, null=True)
    sha256 = models.BinaryField(max_length=32, null=True)
    made_at = models.DateTimeField()
    keep_until = models.DateTimeField()
    forgotten_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(missing="", sha256__isnull=False) | ~Q(missing="") & Q(sha256=None),
                name="travelrecord_whole_or_missing",
            ),
            models.CheckConstraint(
                condition=Q(payload__isnull=False, missing="", forgotten_at=None)
                | Q(payload=None) & (~Q(missing="") | Q(forgotten_at__isnull=False)),
                name="travelrecord_kept_or_forgotten",
            ),
            models.CheckConstraint(
                condition=Q(counted__gte=models.F("least"), least__gte=1), name="travelrecord_from_the_least"
            ),
        ]
        indexes = [
            models.Index(fields=["disbursement", "id"], name="travelrecord_of_list"),
            models.Index(
                fields=["keep_until"], condition=Q(payload__isnull=False), name="travelrecord_to_forget"
            ),
        ]

    def __str__(self) -> str:
        return f"travel record {self.pk}"

    @property
    def filename(self) -> str:
        """How the payload is called when it is given out."""
        return f"travel-rule-payment-{self.payment_id}.json"
