"""The filters of lists."""

from typing import Any

from django.db.models import F, QuerySet
from django_filters import rest_framework as filters

from govpay.api.filters import AfterFilter, IdFilter
from ledger.models import Inflow, InflowKind, ReserveBalance
from payments.api.serializers.event import SUBJECTS
from payments.models import (
    AddressProof,
    Alarm,
    Appeal,
    AppealOutcome,
    BankFile,
    ChangeOutcome,
    DestinationChange,
    Disbursement,
    Enrollment,
    Entitlement,
    Erasure,
    ErasureOutcome,
    Event,
    Grievance,
    GrievanceCategory,
    Hold,
    Holding,
    ImportJob,
    InflowClassing,
    Institution,
    Intake,
    Intervention,
    InterventionKind,
    ManualPrice,
    Payment,
    Payout,
    PriceBreaker,
    PriceRule,
    Proposal,
    PurchasePlan,
    Quote,
    ReserveProof,
    SigningRequest,
    Voucher,
    Warrant,
    WarrantKind,
    WebhookDelivery,
)
from payments.models.intake import IntakeKind, IntakeStatus
from payments.models.signing import RequestState
from payments.services import proposals
from payments.states import (
    BankFileStatus,
    DisbursementStatus,
    EntitlementStatus,
    GrievanceStatus,
    ImportStatus,
    InterventionStatus,
    PaymentStatus,
    PayoutStatus,
    ProposalStatus,
    VoucherStatus,
    WarrantStatus,
)


class BankFiles(filters.FilterSet):  # type: ignore[misc]
    """By where a file stands."""

    status = filters.ChoiceFilter(choices=BankFileStatus.choices)

    class Meta:
        model = BankFile
        fields: list[str] = []


class Vouchers(filters.FilterSet):  # type: ignore[misc]
    """By where a voucher stands, and by the list that it pays."""

    status = filters.ChoiceFilter(choices=VoucherStatus.choices)
    disbursement_id = filters.NumberFilter(field_name="payment__disbursement_id")

    class Meta:
        model = Voucher
        fields: list[str] = []


class Enrollments(filters.FilterSet):  # type: ignore[misc]
    """By the whole reference, or how it begins."""

    reference = filters.CharFilter(max_length=40)
    search = filters.CharFilter(
        field_name="reference", lookup_expr="startswith", max_length=40, help_text="How the reference begins."
    )

    class Meta:
        model = Enrollment
        fields: list[str] = []


class Appeals(filters.FilterSet):  # type: ignore[misc]
    """By what became of an appeal."""

    outcome = filters.ChoiceFilter(choices=AppealOutcome.choices)

    class Meta:
        model = Appeal
        fields: list[str] = []


class DestinationChanges(filters.FilterSet):  # type: ignore[misc]
    """By what became of a change of address."""

    outcome = filters.ChoiceFilter(choices=ChangeOutcome.choices)

    class Meta:
        model = DestinationChange
        fields: list[str] = []


class AddressProofs(filters.FilterSet):  # type: ignore[misc]
    """By whether a challenge was answered."""

    is_open = filters.BooleanFilter(field_name="proved_at", lookup_expr="isnull")

    class Meta:
        model = AddressProof
        fields: list[str] = []


class Erasures(filters.FilterSet):  # type: ignore[misc]
    """By what became of an erasure."""

    outcome = filters.ChoiceFilter(choices=ErasureOutcome.choices)

    class Meta:
        model = Erasure
        fields: list[str] = []


class Holds(filters.FilterSet):  # type: ignore[misc]
    """By the rule, and whether it still holds."""

    rule = filters.CharFilter(max_length=40)
    is_open = filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull")

    class Meta:
        model = Hold
        fields: list[str] = []


class Intakes(filters.FilterSet):  # type: ignore[misc]
    """By what a file lists, and what became of it."""

    kind = filters.ChoiceFilter(choices=IntakeKind.choices)
    status = filters.ChoiceFilter(choices=IntakeStatus.choices)

    class Meta:
        model = Intake
        fields: list[str] = []


class Imports(filters.FilterSet):  # type: ignore[misc]
    """By what a file lists, and how far it is."""

    kind = filters.ChoiceFilter(choices=IntakeKind.choices)
    status = filters.ChoiceFilter(choices=ImportStatus.choices)

    class Meta:
        model = ImportJob
        fields: list[str] = []


class Disbursements(filters.FilterSet):  # type: ignore[misc]
    """By status and cycle."""

    status = filters.ChoiceFilter(choices=DisbursementStatus.choices)
    period = filters.CharFilter(field_name="cycle__period", max_length=20)
    purpose = filters.CharFilter(field_name="cycle__purpose", max_length=40)

    class Meta:
        model = Disbursement
        fields: list[str] = []


class Payments(filters.FilterSet):  # type: ignore[misc]
    """By the line's own status, its payout's, its payout or its person."""

    status = filters.ChoiceFilter(choices=PaymentStatus.choices)
    payout_status = filters.ChoiceFilter(field_name="payout__status", choices=PayoutStatus.choices)
    payout = IdFilter(field_name="payout_id")
    reference = filters.CharFilter(method="of_person", max_length=40)

    class Meta:
        model = Payment
        fields: list[str] = []

    def of_person(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Return the payments of whoever is enrolled under the reference in the payment's own program."""
        return rows.filter(
            beneficiary__enrollments__reference=value,
            beneficiary__enrollments__program_id=F("disbursement__program_id"),
        )


class Payouts(filters.FilterSet):  # type: ignore[misc]
    """By status, program, list or tx."""

    status = filters.ChoiceFilter(choices=PayoutStatus.choices)
    program = IdFilter(field_name="wallet__program_id")
    disbursement = IdFilter(field_name="disbursement_id")
    txid = filters.CharFilter(
        field_name="txs__txid", max_length=64, help_text="Of any signed version of the payout."
    )

    class Meta:
        model = Payout
        fields: list[str] = []


class SigningRequests(filters.FilterSet):  # type: ignore[misc]
    """By state, program, payout or tx."""

    state = filters.ChoiceFilter(choices=RequestState.choices)
    program = IdFilter(field_name="version__payout__wallet__program_id")
    payout = IdFilter(field_name="version__payout_id")
    txid = filters.CharFilter(field_name="version__txid", max_length=64)

    class Meta:
        model = SigningRequest
        fields: list[str] = []


class Interventions(filters.FilterSet):  # type: ignore[misc]
    """By status, kind, program or payout, and those that the user may decide."""

    status = filters.ChoiceFilter(choices=InterventionStatus.choices)
    kind = filters.ChoiceFilter(choices=InterventionKind.choices)
    program = IdFilter(field_name="wallet__program_id")
    payout = IdFilter(field_name="payout_id")
    waits_for_me = filters.BooleanFilter()

    class Meta:
        model = Intervention
        fields: list[str] = []


class Proposals(filters.FilterSet):  # type: ignore[misc]
    """By status, kind or program, and those that the user may decide."""

    status = filters.ChoiceFilter(choices=ProposalStatus.choices)
    kind = filters.ChoiceFilter(choices=proposals.CHOICES)
    program = IdFilter(field_name="program_id")
    waits_for_me = filters.BooleanFilter()

    class Meta:
        model = Proposal
        fields: list[str] = []


class Entitlements(filters.FilterSet):  # type: ignore[misc]
    """By status, list or person."""

    status = filters.ChoiceFilter(choices=EntitlementStatus.choices)
    disbursement = IdFilter(field_name="payment__disbursement_id")
    reference = filters.CharFilter(max_length=40)

    class Meta:
        model = Entitlement
        fields: list[str] = []


class Grievances(filters.FilterSet):  # type: ignore[misc]
    """By status, category, owner, person or payment, and those that are overdue."""

    status = filters.ChoiceFilter(choices=GrievanceStatus.choices)
    category = filters.ChoiceFilter(choices=GrievanceCategory.choices)
    enrollment = IdFilter(field_name="enrollment_id")
    payment = IdFilter(field_name="payment_id")
    is_overdue = filters.BooleanFilter(field_name="is_overdue_now")

    class Meta:
        model = Grievance
        fields: list[str] = []


class Warrants(filters.FilterSet):  # type: ignore[misc]
    """By kind, and where they stand."""

    kind = filters.ChoiceFilter(choices=WarrantKind.choices)
    status = filters.ChoiceFilter(choices=WarrantStatus.choices)

    class Meta:
        model = Warrant
        fields: list[str] = []


class Deliveries(filters.FilterSet):  # type: ignore[misc]
    """By the event's number, and whether it waits."""

    number = IdFilter(field_name="number")
    is_waiting = filters.BooleanFilter()

    class Meta:
        model = WebhookDelivery
        fields: list[str] = []


class PayoutsOfList(filters.FilterSet):  # type: ignore[misc]
    """By status."""

    status = filters.ChoiceFilter(choices=PayoutStatus.choices)

    class Meta:
        model = Payout
        fields: list[str] = []


class Events(filters.FilterSet):  # type: ignore[misc]
    """From a number on, and by what changed."""

    after = AfterFilter(field_name="number", help_text="The last number that was seen; 0 at first.")
    subject = filters.ChoiceFilter(field_name="change__subject", choices=SUBJECTS)

    class Meta:
        model = Event
        fields: list[str] = []


class Alarms(filters.FilterSet):  # type: ignore[misc]
    """By cause, program, and whether somebody must still look."""

    code = filters.CharFilter(max_length=40)
    program = IdFilter(field_name="program_id")
    is_open = filters.BooleanFilter(field_name="closed_at", lookup_expr="isnull")

    class Meta:
        model = Alarm
        fields: list[str] = []


class Prices(filters.FilterSet):  # type: ignore[misc]
    """By currency."""

    currency = filters.CharFilter(max_length=3)

    class Meta:
        model = PriceRule
        fields: list[str] = []


class Quotes(filters.FilterSet):  # type: ignore[misc]
    """By currency."""

    currency = filters.CharFilter(max_length=3)

    class Meta:
        model = Quote
        fields: list[str] = []


class ManualPrices(filters.FilterSet):  # type: ignore[misc]
    """By currency, source, and whether it waits to be confirmed."""

    currency = filters.CharFilter(field_name="source__currency", max_length=3)
    source = IdFilter(field_name="source_id")
    is_waiting = filters.BooleanFilter(method="waiting")

    class Meta:
        model = ManualPrice
        fields: list[str] = []

    def waiting(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        """Return those that nobody has confirmed or withdrawn, or the others."""
        waits = {"confirmed_at": None, "withdrawn_at": None}
        return rows.filter(**waits) if value else rows.exclude(**waits)


class Holdings(filters.FilterSet):  # type: ignore[misc]
    """By institution, and whether they go on."""

    scope = filters.CharFilter(max_length=40)
    is_live = filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull")

    class Meta:
        model = Holding
        fields: list[str] = []


class Institutions(filters.FilterSet):  # type: ignore[misc]
    """By scope, and the law."""

    scope = filters.CharFilter(max_length=40)
    policy_profile = filters.CharFilter(max_length=40)

    class Meta:
        model = Institution
        fields: list[str] = []


class Inflows(filters.FilterSet):  # type: ignore[misc]
    """By institution, holding, address, and what they came for."""

    scope = filters.CharFilter(max_length=40)
    holding = IdFilter(field_name="holding_number")
    address = filters.CharFilter(max_length=100)
    kind = filters.ChoiceFilter(choices=InflowKind.choices)
    is_classed = filters.BooleanFilter(method="classed")

    class Meta:
        model = Inflow
        fields: list[str] = []

    def classed(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        """Return those that two people have classed, or the others."""
        return rows.filter(kind__isnull=not value)


class Classings(filters.FilterSet):  # type: ignore[misc]
    """By institution, kind, plan, and whether it waits to be confirmed."""

    scope = filters.CharFilter(field_name="institution__scope", max_length=40)
    kind = filters.ChoiceFilter(choices=InflowKind.choices)
    plan = IdFilter(field_name="plan_id")
    is_waiting = filters.BooleanFilter(method="waiting")

    class Meta:
        model = InflowClassing
        fields: list[str] = []

    def waiting(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        """Return those that nobody has confirmed or withdrawn, or the others."""
        waits = {"confirmed_at": None, "withdrawn_at": None}
        return rows.filter(**waits) if value else rows.exclude(**waits)


class Plans(filters.FilterSet):  # type: ignore[misc]
    """By institution, and whether it waits to be approved."""

    scope = filters.CharFilter(field_name="institution__scope", max_length=40)
    is_waiting = filters.BooleanFilter(method="waiting")

    class Meta:
        model = PurchasePlan
        fields: list[str] = []

    def waiting(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        """Return those that nobody has approved or ended, or the others."""
        waits = {"approved_at": None, "ended_at": None}
        return rows.filter(**waits) if value else rows.exclude(**waits)


class Proofs(filters.FilterSet):  # type: ignore[misc]
    """By institution, and whether it was given."""

    scope = filters.CharFilter(max_length=40)
    is_open = filters.BooleanFilter(field_name="proved_at", lookup_expr="isnull")

    class Meta:
        model = ReserveProof
        fields: list[str] = []


class Balances(filters.FilterSet):  # type: ignore[misc]
    """By institution, holding, address, and what was found."""

    scope = filters.CharFilter(max_length=40)
    holding = IdFilter(field_name="holding_number")
    address = filters.CharFilter(max_length=100)
    is_reused = filters.BooleanFilter()
    is_over_cap = filters.BooleanFilter()

    class Meta:
        model = ReserveBalance
        fields: list[str] = []


class Breakers(filters.FilterSet):  # type: ignore[misc]
    """By currency, and whether nothing is quoted for it."""

    currency = filters.CharFilter(field_name="rule__currency", max_length=3)
    is_open = filters.BooleanFilter(field_name="closed_at", lookup_expr="isnull")

    class Meta:
        model = PriceBreaker
        fields: list[str] = []
