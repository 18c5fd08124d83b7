"""The base of request serializers and their fields: nothing is dropped, trimmed or guessed (A8)."""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


def written(kind: Any, rows: Iterable[Any], context: Any) -> list[Any]:
    """Return the rows as the serializer, a class, shows them.

    One that asks nothing of the request (else it says ``of_request``) is made once: to make one takes as long as to write
    thirty rows.
    """
    one = kind(context=context) if getattr(kind, "of_request", False) else _made(kind)
    return [one.to_representation(row) for row in rows]


@cache
def _made(kind: Any) -> serializers.BaseSerializer[Any]:
    return kind()


class StrictSerializer(serializers.Serializer[Any]):
    """Refuse unknown fields with the code ``unknown_field``."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(
                    {
                        name: serializers.ErrorDetail(
                            "This field is not accepted here.", code="unknown_field"
                        )
                        for name in unknown
                    }
                )
        return super().to_internal_value(data)


class Nothing(StrictSerializer):
    """A body without fields."""


class Text(serializers.CharField):
    """Text as it was sent: a number is no text, and spaces are not cut off."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number: a JSON integer, or ASCII digits in a form; never a boolean or a fraction."""

    def to_internal_value(self, data: Any) -> int:
        is_digits = isinstance(data, str) and re.fullmatch(r"[0-9]{1,18}", data) is not None
        if isinstance(data, bool) or not (isinstance(data, int) or is_digits):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]{64}$"})
class Hash(serializers.Field[Any, Any, str, Any]):
    """32 bytes as 64 hex digits."""

    default_error_messages = {"invalid": "Give 64 hex digits."}

    def to_internal_value(self, data: Any) -> bytes:
        if not isinstance(data, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", data):
            self.fail("invalid")
        return bytes.fromhex(data)

    def to_representation(self, value: Any) -> str:
        return bytes(value).hex()


@extend_schema_field({"type": "string", "pattern": "^([0-9a-f]{2})*$"})
class Hex(serializers.Field[Any, Any, str, Any]):
    """Bytes, shown as hex."""

    def to_representation(self, value: Any) -> str:
        return bytes(value).hex()
