"""Makes the OpenAPI document exact: bearer security, Idempotency-Key, and every error as problem details."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from govpay.api import authentication, idempotency, problems

__all__ = ["Schema", "add_problems", "authentication"]

KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
    OpenApiParameter.HEADER,
    description="Send the same key again to repeat a request safely: it is answered as the first time.",
)
ERROR = {
    "type": "object",
    "description": "One broken rule: of a row and column of a file, or of a field of a body.",
    "properties": {
        "row": {
            "type": "integer",
            "minimum": 0,
            "description": "The first data row is 1; 0 is the file itself.",
        },
        "column": {"type": "string"},
        "field": {"type": "string"},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
    "required": ["code", "message"],
}
PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "properties": {
        "type": {"type": "string", "description": "urn:govpay:problem: and the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable: programs may decide by it."},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Error"}},
        "details": {"type": "object", "additionalProperties": True},
    },
    "required": ["type", "title", "status", "detail", "code"],
}


class Schema(AutoSchema):
    """Describes a view; a POST that is made safe to repeat has its header."""

    def get_override_parameters(self) -> list[Any]:
        """Return the declared parameters and, where it is honored, the idempotency header."""
        declared = list(super().get_override_parameters())
        if self.method == "POST" and isinstance(self.view, idempotency.Idempotent):
            declared.append(KEY)
        return declared


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give every operation of the document the problems that it can answer with."""
    schemas = result["components"].setdefault("schemas", {})
    schemas["Error"], schemas["Problem"] = ERROR, PROBLEM
    for path, operations in result["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            for code in sorted(_possible(path, operation)):
                responses.setdefault(str(code), _response(code))
            operation["responses"] = dict(sorted(responses.items()))
    return result


def _possible(path: str, operation: dict[str, Any]) -> set[int]:
    found = {406, 503}
    if operation.get("security"):
        found |= {401, 403, 404}
    if operation.get("parameters"):
        found |= {400}
    if "requestBody" in operation:
        found |= {400, 409, 413, 415, 422}
    if "{" in path:
        found |= {404}
    return found


def _response(code: int) -> dict[str, Any]:
    return {
        "description": problems.TITLES[code],
        "content": {problems.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
