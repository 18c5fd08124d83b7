"""Programs: a scheme with its rules, its officers and one funding wallet."""

from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from ledger.law import policy
from payments.onchain.network import Network


class Role(models.TextChoices):
    """What a member may do in a program."""

    OFFICER = "officer", "Program officer"  # Enrolls people, makes and submits lists, holds payments.
    APPROVER = "approver", "Approver"  # Approves or rejects lists made by somebody else.
    RELEASER = "releaser", "Releaser"  # Lets the engine pay an approved list.
    TREASURER = "treasurer", "Treasurer"  # Proposes fee bumps and voids, stops and restarts the engine.
    SIGNER = "signer", "Signer operator"  # Carries PSBTs to the signers and their signatures back.
    AUDITOR = "auditor", "Auditor"  # Reads everything; may stop the engine, changes nothing else of it.
    HELPDESK = "helpdesk", "Help desk"  # Reads people and payments, with personal data masked.
    AGENT = "agent", "Paying agent"  # Takes vouchers for money; reads nothing else.
    SECURITY = (
        "security",
        "Security administrator",
    )  # Proposes and confirms rules and roles; handles no money.


class ProofNeeded(models.IntegerChoices):
    """For which addresses a program wants a proof that the person controls them."""

    NEVER = 0, "For none"
    CHANGED = 1, "For one that replaced another"
    ALWAYS = 2, "For every address"


# The currency of programs that pay what they owe.
SAT = "sat"
# What a person chooses of a program when it is made, in the order in which it is asked.
RULES = (
    "target_blocks",
    "feerate_floor_sat_kvb",
    "feerate_fallback_sat_kvb",
    "feerate_ceiling_sat_kvb",
    "feerate_patient_sat_kvb",
    "fee_share_ceiling_bps",
    "fee_budget_daily_sat",
    "bump_after_blocks",
    "bump_alone_limit_sat",
    "coins_wanted",
    "consolidate_feerate_sat_kvb",
    "consolidate_budget_daily_sat",
    "signing_deadline_s",
    "claim_term_days",
    "claimed_counts_as_changed",
    "destination_cooling_s",
    "grievance_due_days",
    "destination_proof",
    "confirmations_settled",
    "group_max_payments",
    "group_max_vsize_vb",
    "policy_profile",
    "language",
)


def known_profile(name: str) -> None:
    """Raise ValidationError for the name of no policy profile."""
    try:
        policy.get_profile(name)
    except policy.UnknownProfile as error:
        raise ValidationError(error.message) from error


def known_language(code: str) -> None:
    """Raise ValidationError for a language that pages do not speak."""
    if code not in dict(settings.LANGUAGES):
        raise ValidationError(f"Pages speak {', '.join(dict(settings.LANGUAGES))}.")


class Program(models.Model):
    """A scheme. Fee rates are satoshis per 1,000 virtual bytes.

    What people are entitled to, and with it every total, tier, cap and budget, is in whole minor units of ``currency``
    (ISO 4217), which never changes; where that is ``sat``, in satoshis.

    Above ``feerate_patient_sat_kvb`` only urgent lists are paid, up to the ceiling; empty means that all are urgent.
    ``fee_share_ceiling_bps`` bounds a payout's fee to a share of what it pays, in 1/10,000. The daily budgets are
    satoshis a UTC day, empty for none.
    """

    code = models.CharField(
        max_length=20,
        unique=True,
        validators=[RegexValidator(r"^[A-Z][A-Z0-9-]{1,19}\Z", "Use 2 to 20 capitals, digits and hyphens.")],
    )
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=3, default=SAT)
    network = models.CharField(max_length=10, choices=[(n.value, n.value) for n in Network])
    target_blocks = models.PositiveSmallIntegerField(
        default=6, validators=[MinValueValidator(1), MaxValueValidator(1008)]
    )
    feerate_floor_sat_kvb = models.PositiveIntegerField(
        default=1_000, validators=[MinValueValidator(100), MaxValueValidator(1_000_000)]
    )
    feerate_fallback_sat_kvb = models.PositiveIntegerField(
        default=2_000, validators=[MinValueValidator(100), MaxValueValidator(1_000_000)]
    )
    feerate_ceiling_sat_kvb = models.PositiveIntegerField(
        default=50_000, validators=[MinValueValidator(100), MaxValueValidator(1_000_000)]
    )
    feerate_patient_sat_kvb = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(100), MaxValueValidator(1_000_000)]
    )
    fee_share_ceiling_bps = models.PositiveIntegerField(
        default=2_000, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    fee_budget_daily_sat = models.PositiveBigIntegerField(null=True, blank=True)
    # An unconfirmed payout is bumped when this many blocks came without it; a person's bump that adds more than the
    # limit needs a second person.
    bump_after_blocks = models.PositiveSmallIntegerField(
        default=6, validators=[MinValueValidator(1), MaxValueValidator(1008)]
    )
    bump_alone_limit_sat = models.PositiveBigIntegerField(default=10_000)
    # Change is split until the wallet has this many confirmed coins, so that as many payouts go out in parallel.
    coins_wanted = models.PositiveSmallIntegerField(
        default=4, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    # At or below this rate small coins are merged, inside the daily budget; empty: never.
    consolidate_feerate_sat_kvb = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(100), MaxValueValidator(1_000_000)]
    )
    consolidate_budget_daily_sat = models.PositiveBigIntegerField(default=0)
    # How long signers elsewhere may take before an alarm is opened.
    signing_deadline_s = models.PositiveIntegerField(
        default=172_800, validators=[MinValueValidator(60), MaxValueValidator(31_536_000)]
    )
    # For how many days after the release a person without an address may bring one; empty: everybody needs one first.
    claim_term_days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3_650)]
    )
    # Whether an address that a person claimed with a link cools, and is proved, like one that replaced another.
    claimed_counts_as_changed = models.BooleanField(default=False)
    # How long an address that replaced another is not paid, so that whoever was robbed of it has time to say so.
    destination_cooling_s = models.PositiveIntegerField(
        default=259_200, validators=[MaxValueValidator(31_536_000)]
    )
    # Within how many days a grievance is answered, before an alarm is opened.
    grievance_due_days = models.PositiveSmallIntegerField(
        default=30, validators=[MinValueValidator(1), MaxValueValidator(365)]
    )
    # For which addresses whoever is paid there must have proved to control them: ProofNeeded.
    destination_proof = models.PositiveSmallIntegerField(
        default=ProofNeeded.NEVER.value, validators=[MaxValueValidator(ProofNeeded.ALWAYS.value)]
    )
    confirmations_settled = models.PositiveSmallIntegerField(
        default=6, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    group_max_payments = models.PositiveSmallIntegerField(
        default=500, validators=[MinValueValidator(1), MaxValueValidator(3_000)]
    )
    group_max_vsize_vb = models.PositiveIntegerField(
        default=25_000, validators=[MinValueValidator(500), MaxValueValidator(99_000)]
    )
    # Which law the program goes by: the name of a policy profile (ledger/law/policy.py).
    policy_profile = models.CharField(max_length=40, default=policy.SANDBOX, validators=[known_profile])
    # What messages and slips to its people are written in, and the pages that their links open.
    language = models.CharField(max_length=7, default="en", validators=[known_language])
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(currency__regex=r"^(sat|[A-Z]{3})$"), name="program_currency_code"
            ),
            models.CheckConstraint(
                condition=Q(policy_profile__regex="^[a-z0-9-]+$"), name="program_names_a_profile"
            ),
            models.CheckConstraint(
                condition=Q(feerate_floor_sat_kvb__lte=F("feerate_fallback_sat_kvb"))
                & Q(feerate_fallback_sat_kvb__lte=F("feerate_ceiling_sat_kvb")),
                name="program_feerates_ordered",
                violation_error_message="The fee rates must be ordered: floor, fallback, ceiling.",
            ),
            models.CheckConstraint(
                condition=Q(feerate_patient_sat_kvb__isnull=True)
                | Q(
                    feerate_patient_sat_kvb__gte=F("feerate_floor_sat_kvb"),
                    feerate_patient_sat_kvb__lte=F("feerate_ceiling_sat_kvb"),
                ),
                name="program_patience_in_bounds",
                violation_error_message="The patient fee rate must lie between the floor and the ceiling.",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def feerate_long_term_sat_kvb(self) -> int:
        """What spending a coin is expected to cost one day: the rate at which coins are merged, else the fallback."""
        return self.consolidate_feerate_sat_kvb or self.feerate_fallback_sat_kvb

    @property
    def pays_sat(self) -> bool:
        """Whether people are entitled to satoshis, and not to money that is converted when a list is released."""
        return self.currency == SAT

    @property
    def unit(self) -> str:
        """How names of amounts end that are in the program's own unit: ``sat`` or ``minor``."""
        return SAT if self.pays_sat else "minor"

    @property
    def unit_words(self) -> str:
        """What its amounts are in: ``sat``, or ``minor units of PKR``."""
        return self.currency if self.pays_sat else f"minor units of {self.currency}"

    def amounts(self, name: str, amount: int) -> dict[str, int]:
        """Return the column of an amount in the program's own unit: ``total_sat`` or ``total_minor`` of ``total``."""
        return {f"{name}_{self.unit}": amount}

    @property
    def scope(self) -> str:
        """The scope of the program's accounts in the books."""
        return f"program:{self.pk}"


# Who reads only what their work needs, unlike all others, who read everything of their program.
LIMITED = (Role.HELPDESK, Role.SECURITY, Role.AGENT)


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Roles that are held now; those that ended are PastMembership's, so that no query can take one for a live one."""

    def reading(self, user: Any, *also: str) -> Self:
        """Return the roles with which the user reads a program: all but LIMITED, of which ``also`` read this too."""
        return self.filter(user_id=user.pk).exclude(role__in=set(LIMITED) - set(also))


class Membership(models.Model):
    """One role of one user in one program. Which roles exclude each other is in roles.py, and a trigger's to refuse."""

    program = models.ForeignKey(Program, on_delete=models.PROTECT, related_name="memberships", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    granted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "user", "role"], name="membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.program}"
