"""Budgets: fiscal periods, the warrants that move them, and what lists commit."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from payments.api.serializers.fields import NOTE_HELP, Username
from payments.models import WarrantKind
from payments.onchain import amount
from payments.services.budgets import MAX_NAME, MAX_NOTE
from payments.states import DisbursementStatus, WarrantStatus


class NewBudgetPeriod(StrictSerializer):
    """A fiscal period: its name and its days."""

    name = Text(max_length=MAX_NAME)
    first_date = serializers.DateField(help_text="The first day on which lists are committed, in UTC.")
    last_date = serializers.DateField(help_text="The last one.")


class BudgetReason(StrictSerializer):
    """Why."""

    note = Text(max_length=MAX_NOTE, help_text=NOTE_HELP)


class WarrantConsent(StrictSerializer):
    """What a treasurer says when agreeing, if anything."""

    note = Text(max_length=MAX_NOTE, required=False, allow_blank=True, help_text=NOTE_HELP)


class NewWarrant(StrictSerializer):
    """A step of a period's allotment or cash."""

    kind = serializers.ChoiceField(choices=WarrantKind.choices)
    amount_sat = Whole(
        min_value=-amount.MAX_SAT,
        max_value=amount.MAX_SAT,
        help_text="What is added, or with a minus withdrawn.",
    )
    note = Text(max_length=MAX_NOTE, help_text=NOTE_HELP)


class BudgetPeriodOut(serializers.Serializer[Any]):
    """A period and its totals in satoshis; ``available_sat`` may still be committed, ``cash_left_sat`` still be spent."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    name = serializers.CharField()
    first_date = serializers.DateField()
    last_date = serializers.DateField()
    is_open = serializers.BooleanField()
    allotted_sat = serializers.IntegerField()
    cash_released_sat = serializers.IntegerField()
    committed_sat = serializers.IntegerField()
    spent_sat = serializers.IntegerField()
    available_sat = serializers.IntegerField()
    cash_left_sat = serializers.IntegerField()
    opened_by = Username()
    opened_at = serializers.DateTimeField()
    closed_by = Username(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    close_note = serializers.CharField()


class WarrantOut(serializers.Serializer[Any]):
    """A step, and who proposed and decided it."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    budget_period_id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=WarrantKind.choices)
    status = serializers.ChoiceField(choices=WarrantStatus.choices)
    amount_sat = serializers.IntegerField()
    note = serializers.CharField()
    proposed_by = Username()
    proposed_at = serializers.DateTimeField()
    decided_by = Username(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)


class CommitmentOut(serializers.Serializer[Any]):
    """What a list holds of a period; ``missing_sat`` is what it needs beyond that after a reorganization."""

    id = serializers.IntegerField()
    disbursement_id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=DisbursementStatus.choices, source="list_status")
    committed_sat = serializers.IntegerField()
    spent_sat = serializers.IntegerField()
    missing_sat = serializers.IntegerField()
