"""Budgets: fiscal periods, the warrants that move them, and what lists commit."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from payments.api.serializers.fields import NOTE_HELP, Minor, OwnUnit, Username
from payments.models import Program, WarrantKind
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
        required=False,
        min_value=-amount.MAX_SAT,
        max_value=amount.MAX_SAT,
        help_text="What is added, or with a minus withdrawn.",
    )
    amount_minor = Whole(
        required=False,
        min_value=-amount.MAX_SAT,
        max_value=amount.MAX_SAT,
        help_text="The same in a program of money, in minor units of its currency.",
    )
    note = Text(max_length=MAX_NOTE, help_text=NOTE_HELP)


class BudgetPeriodOut(OwnUnit):
    """A period and its totals; what is ``available`` may still be committed, the ``cash_left`` still be spent.

    They are satoshis, or minor units of the program's currency.
    """

    OWN = ("allotted", "cash_released", "committed", "spent", "available", "cash_left")

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    name = serializers.CharField()
    first_date = serializers.DateField()
    last_date = serializers.DateField()
    is_open = serializers.BooleanField()
    allotted_sat = serializers.IntegerField(allow_null=True)
    allotted_minor = Minor()
    cash_released_sat = serializers.IntegerField(allow_null=True)
    cash_released_minor = Minor()
    committed_sat = serializers.IntegerField(allow_null=True)
    committed_minor = Minor()
    spent_sat = serializers.IntegerField(allow_null=True)
    spent_minor = Minor()
    available_sat = serializers.IntegerField(allow_null=True)
    available_minor = Minor()
    cash_left_sat = serializers.IntegerField(allow_null=True)
    cash_left_minor = Minor()
    opened_by = Username()
    opened_at = serializers.DateTimeField()
    closed_by = Username(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    close_note = serializers.CharField()


class WarrantOut(OwnUnit):
    """A step, and who proposed and decided it."""

    OWN = ("amount",)

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    budget_period_id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=WarrantKind.choices)
    status = serializers.ChoiceField(choices=WarrantStatus.choices)
    amount_sat = serializers.IntegerField(allow_null=True)
    amount_minor = Minor()
    note = serializers.CharField()
    proposed_by = Username()
    proposed_at = serializers.DateTimeField()
    decided_by = Username(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)

    def program_of(self, row: Any) -> Program:
        """Return whose row it is."""
        found: Program = row.period.program
        return found


class CommitmentOut(OwnUnit):
    """What a list holds of a period; what is ``missing`` it needs beyond that after a reorganization."""

    OWN = ("committed", "spent", "missing")

    id = serializers.IntegerField()
    disbursement_id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=DisbursementStatus.choices, source="list_status")
    committed_sat = serializers.IntegerField(allow_null=True)
    committed_minor = Minor()
    spent_sat = serializers.IntegerField(allow_null=True)
    spent_minor = Minor()
    missing_sat = serializers.IntegerField(allow_null=True)
    missing_minor = Minor()

    def program_of(self, row: Any) -> Program:
        """Return whose row it is."""
        found: Program = row.period.program
        return found
