"""Proposals: a change of rules or roles, with what it changes before and after."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text
from payments.api.serializers.fields import NOTE_HELP, Username
from payments.api.serializers.program import Rules
from payments.models import Role
from payments.services import proposals
from payments.states import ProposalStatus


class RulesProposal(StrictSerializer):
    """Rules that a program should have; those left out stay."""

    rules = Rules()
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class RoleProposal(StrictSerializer):
    """A role that somebody should get, or should have no more."""

    kind = serializers.ChoiceField(choices=proposals.OF_ROLES)
    username = Text(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


@extend_schema_field(OpenApiTypes.OBJECT)
class Values(serializers.JSONField):
    """Values by name: of rules, or the roles that somebody holds."""


class ProposalOut(serializers.Serializer[Any]):
    """A change and who decided; what it changes, before and after. ``username`` is whose role it is about."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=proposals.CHOICES)
    status = serializers.ChoiceField(choices=ProposalStatus.choices)
    is_expired = serializers.BooleanField()
    waits_for_me = serializers.BooleanField()
    program_id = serializers.IntegerField(allow_null=True)
    username = Username(source="about", allow_null=True)
    before = Values()
    after = Values()
    note = serializers.CharField()
    proposed_by = Username()
    proposed_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_by = Username(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
