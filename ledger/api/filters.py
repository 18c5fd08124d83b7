"""The filters of lists."""

from typing import Any

from django import forms
from django_filters import rest_framework as filters

from ledger.models import (
    Account,
    AccountKind,
    Break,
    BreakKind,
    Case,
    CaseStatus,
    Entry,
    Posting,
    ReconciliationRun,
    RedactionRequest,
    RunStatus,
)

MAX_ID = 2**63 - 1


class RowId(filters.NumberFilter):
    """An exact match of a row's number; what no row can have is refused."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=1, max_value=MAX_ID, **kwargs)

    def get_max_validator(self) -> None:
        """Return nothing: the bound is the field's own."""
        return


class Accounts(filters.FilterSet):
    """By scope, kind or the whole code."""

    scope = filters.CharFilter(max_length=40)
    kind = filters.ChoiceFilter(choices=AccountKind.choices)
    code = filters.CharFilter(max_length=120)

    class Meta:
        model = Account
        fields: list[str] = []


class Entries(filters.FilterSet):
    """By scope, kind, what they are about, and when they took effect."""

    scope = filters.CharFilter(max_length=40)
    kind = filters.CharFilter(max_length=30)
    source_ref = filters.CharFilter(max_length=100, help_text="Such as payout:12 or disbursement:3.")
    effective_from = filters.IsoDateTimeFilter(field_name="effective_at", lookup_expr="gte")
    effective_before = filters.IsoDateTimeFilter(field_name="effective_at", lookup_expr="lt")

    class Meta:
        model = Entry
        fields: list[str] = []


class Postings(filters.FilterSet):
    """By entry, account or payment."""

    entry = RowId(field_name="entry_id")
    account = filters.CharFilter(field_name="account__code", max_length=120, help_text="The account's code.")
    reference = RowId(help_text="The payment that the line is about.")

    class Meta:
        model = Posting
        fields: list[str] = []


class Runs(filters.FilterSet):
    """By scope and outcome."""

    scope = filters.CharFilter(max_length=40)
    status = filters.ChoiceFilter(choices=RunStatus.choices)

    class Meta:
        model = ReconciliationRun
        fields: list[str] = []


class Cases(filters.FilterSet):
    """By scope, kind, status and owner."""

    scope = filters.CharFilter(max_length=40)
    kind = filters.ChoiceFilter(choices=BreakKind.choices)
    status = filters.ChoiceFilter(choices=CaseStatus.choices)
    owner = filters.CharFilter("owner__username", max_length=150)

    class Meta:
        model = Case
        fields: list[str] = []


class Breaks(filters.FilterSet):
    """By kind."""

    kind = filters.ChoiceFilter(choices=BreakKind.choices)

    class Meta:
        model = Break
        fields: list[str] = []


class Redactions(filters.FilterSet):
    """By entry, and whether it is blacked out."""

    entry = RowId(field_name="leaf__entry_id")
    is_redacted = filters.BooleanFilter()

    class Meta:
        model = RedactionRequest
        fields: list[str] = []
