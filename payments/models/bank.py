"""Accounts in banks: where people are paid, from where institutions pay, and the files between them with their answers."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payments.models.beneficiary import Beneficiary
from payments.models.encrypted import EncryptedJSONField
from payments.models.history import Tracked
from payments.models.program import Program
from payments.models.proposal import Proposal
from payments.states import BankFileStatus

USER = settings.AUTH_USER_MODEL
# A file's line is a copy of the person's account as it is stored, made inside the database.
ACCOUNT_CONTEXT = "bank.account"


class TitleMatch(models.TextChoices):
    """What the bank says of an account's title, in the codes of the EPC's verification of payee."""

    UNKNOWN = "", "Not asked yet"
    MATCH = "MTCH", "It is the title"
    CLOSE = "CMTC", "It is nearly the title"
    OTHER = "NMTC", "It is another title"
    NONE = "NOAP", "The bank cannot say"


class BankAccount(models.Model):
    """An account in a bank at which a person is paid: title, IBAN and BIC encrypted, the IBAN under a keyed hash besides.

    A first one counts at once. One that replaces another (``replaces``) counts when a second person has confirmed it, and
    cools from then on, as an address does. ``title_match`` is what the bank says, asked again from ``due_at`` on.
    """

    beneficiary = models.ForeignKey(Beneficiary, on_delete=models.PROTECT, related_name="bank_accounts")
    account = EncryptedJSONField(context=ACCOUNT_CONTEXT)
    iban_hash = models.BinaryField(max_length=32)
    is_current = models.BooleanField(default=True)
    replaces = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="replaced_by", db_index=False
    )
    note = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True)
    title_match = models.CharField(max_length=4, choices=TitleMatch, default=TitleMatch.UNKNOWN, blank=True)
    answered_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["iban_hash"], name="bankaccount_iban"),
            models.Index(fields=["due_at"], condition=Q(is_current=True), name="bankaccount_due"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["beneficiary"], condition=Q(is_current=True), name="bankaccount_one_current"
            ),
            models.UniqueConstraint(
                fields=["beneficiary"],
                condition=Q(replaces__isnull=False, decided_at=None),
                name="bankaccount_one_proposed",
            ),
            models.CheckConstraint(
                condition=Q(replaces=None, decided_by=None, decided_at=None, changed_at=None)
                | Q(replaces__isnull=False, decided_by=None, decided_at=None, is_current=False)
                | Q(replaces__isnull=False, decided_by__isnull=False, decided_at__isnull=False)
                & (
                    Q(changed_at=None, is_current=False)
                    | ~Q(changed_at=None) & ~Q(decided_by=F("created_by"))
                ),
                name="bankaccount_changed_by_two",
            ),
        ]

    def __str__(self) -> str:
        return f"bank account {self.pk}"


class PayingAccount(models.Model):
    """From where an institution pays by bank file: by its scope in the books, set by two security administrators."""

    scope = models.CharField(max_length=40)
    title = models.CharField(max_length=140)
    iban = models.CharField(max_length=34)
    bic = models.CharField(max_length=11, blank=True)
    currency = models.CharField(max_length=3)
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope"], condition=Q(ended_at=None), name="payingaccount_one_current"
            ),
            models.CheckConstraint(
                condition=Q(scope__regex=r"^[a-z][a-z0-9:_-]{0,39}$"), name="payingaccount_scope_grammar"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} pays from {self.iban[:4]}…{self.iban[-4:]}"


class BankFile(Tracked):
    """A file of credit transfers (pain.001) that one decision made: a list's release, or what ``origin`` names otherwise.

    Its bytes follow from its lines, so ``sha256`` is enough to give out the same file every time. ``debtor`` is the account
    that pays as it was then. Amounts are minor units of ``currency``.
    """

    status_subject = "bankfile"

    origin = models.CharField(max_length=20)
    origin_id = models.BigIntegerField()
    part = models.PositiveSmallIntegerField(default=1)
    scope = models.CharField(max_length=40)
    program = models.ForeignKey(Program, null=True, on_delete=models.PROTECT, related_name="bank_files")
    status = models.CharField(
        max_length=10, choices=BankFileStatus, default=BankFileStatus.WAITING, editable=False
    )
    message_id = models.CharField(max_length=35, unique=True)
    currency = models.CharField(max_length=3)
    debtor: Any = models.JSONField()
    execution_date = models.DateField()
    line_count = models.PositiveIntegerField()
    total_minor = models.BigIntegerField()
    size_bytes = models.BigIntegerField(null=True)
    sha256 = models.BinaryField(max_length=32, null=True)
    made_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True)
    fetched_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    fetched_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            # One file a decision, whatever is repeated; what was held then comes in a further part.
            models.UniqueConstraint(fields=["origin", "origin_id", "part"], name="bankfile_part_once"),
            models.CheckConstraint(
                condition=Q(line_count__gt=0, total_minor__gt=0), name="bankfile_not_empty"
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", sha256=None, written_at=None)
                | ~Q(status="waiting") & Q(sha256__isnull=False, written_at__isnull=False),
                name="bankfile_written_whole",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "ready"], fetched_by=None, fetched_at=None)
                | ~Q(status__in=["waiting", "ready"]) & Q(fetched_by__isnull=False, fetched_at__isnull=False),
                name="bankfile_fetched_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"bank file {self.message_id}"

    @property
    def filename(self) -> str:
        """How the file is called when it is given out."""
        return f"{self.message_id}.xml"


class BankReport(models.Model):
    """What a bank said of a file (pain.002), as it was taken: once by its bytes, and once by its own id."""

    bank_file = models.ForeignKey(BankFile, on_delete=models.PROTECT, related_name="reports")
    message_id = models.CharField(max_length=35)
    sha256 = models.BinaryField(max_length=32)
    settled_count = models.PositiveIntegerField(default=0)
    rejected_count = models.PositiveIntegerField(default=0)
    settled_minor = models.BigIntegerField(default=0)
    rejected_minor = models.BigIntegerField(default=0)
    brought_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+", db_index=False)
    brought_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bank_file", "message_id"], name="bankreport_once_by_id"),
            models.UniqueConstraint(fields=["sha256"], name="bankreport_once_by_bytes"),
        ]

    def __str__(self) -> str:
        return f"report {self.message_id}"


class LineOutcome(models.TextChoices):
    """What the bank says of a line."""

    OPEN = "open", "No final answer yet"
    SETTLED = "settled", "Paid"
    REJECTED = "rejected", "Rejected"


class BankFileLine(models.Model):
    """One credit transfer of a file: whom, how much, and what it settles, which no other line of any file does.

    ``settles`` and ``settles_id`` name it: ``payment`` and a payment, or what another origin says. A rejected line is proof
    that this way of paying is dead: what it settled is paid anew as something else.
    """

    bank_file = models.ForeignKey(BankFile, on_delete=models.PROTECT, related_name="lines", db_index=False)
    number = models.PositiveIntegerField()
    end_to_end_id = models.CharField(max_length=35, unique=True)
    settles = models.CharField(max_length=20)
    settles_id = models.BigIntegerField()
    amount_minor = models.BigIntegerField()
    account = EncryptedJSONField(context=ACCOUNT_CONTEXT)
    words = models.CharField(max_length=140, blank=True)
    outcome = models.CharField(max_length=10, choices=LineOutcome, default=LineOutcome.OPEN)
    reason = models.CharField(max_length=35, blank=True)
    report = models.ForeignKey(BankReport, null=True, on_delete=models.PROTECT, related_name="lines")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bank_file", "number"], name="bankfileline_number_once"),
            models.UniqueConstraint(fields=["settles", "settles_id"], name="bankfileline_settles_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="bankfileline_pays_something"),
            models.CheckConstraint(
                condition=Q(outcome="open", report=None) | ~Q(outcome="open") & Q(report__isnull=False),
                name="bankfileline_answered_by_a_report",
            ),
        ]

    def __str__(self) -> str:
        return self.end_to_end_id
