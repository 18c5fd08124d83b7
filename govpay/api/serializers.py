"""The base of request serializers: a field nobody asked for is an error, never silently dropped (A8)."""

from typing import Any

from rest_framework import serializers


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
