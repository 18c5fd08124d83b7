"""Fields of money, addresses and people."""

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from payments.models import Program
from payments.onchain import address, amount, network

NOTE_HELP = "Why; it is kept in the history."


@extend_schema_field({"type": "integer", "minimum": 0, "maximum": amount.MAX_SAT})
class Satoshi(serializers.Field[Any, Any, Any, Any]):
    """Satoshis, refused with the amount rules' codes (amount_malformed, amount_negative, ...)."""

    def to_internal_value(self, data: Any) -> int:
        try:
            return amount.sat_from_json(data)
        except amount.InvalidAmount as error:
            raise serializers.ValidationError(error.message, code=error.details["rule"]) from error

    def to_representation(self, value: int) -> int:
        return value


class Minor(serializers.IntegerField):
    """An amount of a program of money, in minor units of its currency; null where the program pays satoshis."""

    def __init__(self) -> None:
        super().__init__(allow_null=True, read_only=True)

    def get_attribute(self, instance: Any) -> int | None:
        return None


class OwnUnit(serializers.Serializer[Any]):
    """Shows columns that are in their program's own unit, ``{name}_sat``, as ``{name}_minor`` where that is money."""

    OWN: tuple[str, ...] = ()

    def program_of(self, row: Any) -> Program:
        """Return whose row it is."""
        found: Program = row.program
        return found

    def to_representation(self, instance: Any) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(instance)
        if not self.program_of(instance).pays_sat:
            for name in self.OWN:
                shown[f"{name}_minor"], shown[f"{name}_sat"] = shown[f"{name}_sat"], None
        return shown


@extend_schema_field(OpenApiTypes.STR)
class Address(serializers.Field[Any, Any, str, Any]):
    """A script_pubkey, shown as the address that it has on our network."""

    def to_representation(self, value: Any) -> str:
        return address.address_from_script(bytes(value), network.current())


@extend_schema_field(OpenApiTypes.STR)
class Username(serializers.Field[Any, Any, str, Any]):
    """A user, shown by name."""

    def to_representation(self, value: User) -> str:
        return value.get_username()
