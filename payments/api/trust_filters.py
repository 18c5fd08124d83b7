"""The filters of what belongs to convertibility trusts."""

from django_filters import rest_framework as filters

from govpay.api.filters import IdFilter
from payments.models import LegRefusal, TrustDecision, TrustDecisionKind, TrustLeg
from payments.states import DecisionStatus, LegStatus


class TrustDecisions(filters.FilterSet):  # type: ignore[misc]
    """By kind, and where they stand."""

    kind = filters.ChoiceFilter(choices=TrustDecisionKind.choices)
    status = filters.ChoiceFilter(choices=DecisionStatus.choices)

    class Meta:
        model = TrustDecision
        fields: list[str] = []


class TrustLegs(filters.FilterSet):  # type: ignore[misc]
    """By list, where they stand, and why one was not taken."""

    disbursement = IdFilter(field_name="payment__disbursement_id")
    status = filters.ChoiceFilter(choices=LegStatus.choices)
    refusal = filters.ChoiceFilter(choices=LegRefusal.choices)

    class Meta:
        model = TrustLeg
        fields: list[str] = []
