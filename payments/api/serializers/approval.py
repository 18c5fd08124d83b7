"""Approvals of lists, and the rules of a program that they follow."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import Hash, StrictSerializer, Text, Whole
from payments.api.serializers.fields import NOTE_HELP, Minor, Satoshi, Username
from payments.models import CapKind, Step


class ApprovalOut(serializers.Serializer[Any]):
    """What somebody said of a list: step, group, until when it counts."""

    id = serializers.IntegerField()
    step = serializers.ChoiceField(choices=Step.choices)
    user = Username()
    group = serializers.CharField(source="group_name")
    manifest_hash = Hash()
    at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    key_id = serializers.CharField()


class Group(StrictSerializer):
    """A named group of approvers, by user names."""

    name = Text(max_length=40)
    members = serializers.ListField(child=Text(max_length=150), max_length=100)


class Need(StrictSerializer):
    """So many approvals of a group."""

    group = Text(max_length=40)
    count = Whole(min_value=1, max_value=20)


class Tier(StrictSerializer):
    """Whose approvals a list needs whose total is at most that, by the program's own unit; null: any."""

    up_to_sat = Satoshi(required=False, allow_null=True)
    up_to_minor = Satoshi(required=False, allow_null=True)
    needs = Need(many=True, max_length=20)  # type: ignore[call-arg]


class CapIn(StrictSerializer):
    """The most in any so many days, by the program's own unit."""

    kind = serializers.ChoiceField(choices=CapKind.choices)
    window_days = Whole(min_value=1, max_value=366)
    most_sat = Satoshi(required=False)
    most_minor = Satoshi(required=False)


class NewPolicy(StrictSerializer):
    """All the rules of approval of a program; without tiers one approver suffices."""

    note = Text(max_length=300, help_text=NOTE_HELP)
    approval_days = Whole(required=False, min_value=1, max_value=365)
    groups = Group(many=True, max_length=50)  # type: ignore[call-arg]
    tiers = Tier(many=True, max_length=50)  # type: ignore[call-arg]
    caps = CapIn(many=True, max_length=50)  # type: ignore[call-arg]


class MembersOut(serializers.Serializer[Any]):
    """Who is in a group."""

    name = serializers.CharField()
    members = serializers.ListField(child=Username())


class NeedsOut(serializers.Serializer[Any]):
    """A tier, smallest first."""

    up_to_sat = serializers.IntegerField(allow_null=True)
    up_to_minor = Minor()
    needs = serializers.DictField(child=serializers.IntegerField())


class CapOut(serializers.Serializer[Any]):
    """A rolling cap."""

    kind = serializers.ChoiceField(choices=CapKind.choices)
    window_days = serializers.IntegerField()
    most_sat = serializers.IntegerField(allow_null=True)
    most_minor = Minor()


class PolicyOut(serializers.Serializer[Any]):
    """A version of a program's rules; of those that are confirmed the newest is in force."""

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    state = serializers.CharField(help_text="proposed, confirmed or dropped.")
    note = serializers.CharField()
    approval_days = serializers.IntegerField()
    groups = MembersOut(many=True)
    tiers = NeedsOut(many=True)
    caps = CapOut(many=True, source="caps.all")
    proposed_by = Username()
    proposed_at = serializers.DateTimeField()
    confirmed_by = Username(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    dropped_by = Username(allow_null=True)
    dropped_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Show limits in the program's own unit."""
        shown: dict[str, Any] = super().to_representation(instance)
        if not instance.program.pays_sat:
            for name, rows in (("up_to", shown["tiers"]), ("most", shown["caps"])):
                for row in rows:
                    row[f"{name}_minor"], row[f"{name}_sat"] = row[f"{name}_sat"], None
        return shown
