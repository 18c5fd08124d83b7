"""Makes the OpenAPI document exact: bearer security, Idempotency-Key, and every error as problem details."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from govpay.api import authentication, idempotency, problems
from payments.api import versions
from payments.api.views import scoped

__all__ = ["Schema", "add_problems", "authentication"]

KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
    OpenApiParameter.HEADER,
    description="Send the same key again to repeat a request safely: it is answered as the first time.",
)
TAGS = {"type": "string", "description": "ETags in quotes, separated by commas, or *."}
IF_MATCH = OpenApiParameter(
    "If-Match",
    TAGS,
    OpenApiParameter.HEADER,
    description="Change it only if it is still what this ETag was of.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    TAGS,
    OpenApiParameter.HEADER,
    description="Answer 304 when it is still what this ETag was of.",
)
ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200], description="The version of what is shown."
)
# Of what a limit says to the caller (govpay/api/limits.py).
HEADERS = {
    "RateLimit": {
        "description": "Which limit counted the request, how many more may follow at once (r), and for how many seconds to "
        "wait (t). It is missing while nothing is limited.",
        "schema": {"type": "string"},
        "example": '"reads";r=1199;t=0',
    },
    "RateLimit-Policy": {
        "description": "The limit: so many requests (q) in so many seconds (w).",
        "schema": {"type": "string"},
        "example": '"reads";q=1200;w=60',
    },
    "Retry-After": {
        "description": "After how many seconds to ask again.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
LIMITED = ("RateLimit", "RateLimit-Policy")
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
    """Describes a view: its idempotency header where it has one, and the problems that it can answer with."""

    def get_override_parameters(self) -> list[Any]:
        """Return the declared parameters and, where it is honored, the idempotency header."""
        declared = list(super().get_override_parameters())
        if self.method == "POST" and isinstance(self.view, idempotency.Idempotent):
            declared.append(KEY)
        if self.method in ("POST", "PUT") and self._has_versions():
            declared.append(IF_MATCH)
        if self._shows_one():
            declared += [IF_NONE_MATCH, ETAG]
        expansions = getattr(self.view, "expansions", None)
        if self.method == "GET" and expansions:
            declared.append(_expand(sorted(expansions)))
        return declared

    def _has_versions(self) -> bool:
        return isinstance(self.view, scoped.Scoped) and versions.are_kept(re.findall(r"{(\w+)}", self.path))

    def _shows_one(self) -> bool:
        """Tell whether it is a GET of one thing as JSON."""
        is_one = isinstance(self.view, scoped.Scoped) and not isinstance(self.view, scoped.ScopedList)
        declared = self.get_response_serializers()
        return self.method == "GET" and is_one and isinstance(declared, dict) and set(declared) == {200}

    def get_summary(self) -> str:
        """Return the first line of what the view says of itself, for the list of operations."""
        return self.get_description().partition("\n")[0].removesuffix(".")

    def get_operation(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """Return the operation with every error that is not described otherwise."""
        operation = super().get_operation(path, *args, **kwargs)
        if operation is not None:
            responses = operation["responses"]
            for code in self._problems(path, operation):
                responses.setdefault(str(code), _response(code))
            for code, response in responses.items():
                names = (*LIMITED, "Retry-After") if code == "429" else LIMITED
                # Who is not signed in is refused before anybody is counted, save by address.
                if self.view.throttle_classes and code != "401":
                    refs = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
                    response["headers"] = refs | response.get("headers", {})
            if self._shows_one():
                responses["304"] = {"description": "It is still what the ETag was of."}
            operation["responses"] = dict(sorted(responses.items()))
        return operation

    def _problems(self, path: str, operation: dict[str, Any]) -> set[int]:
        found = {406, 503}
        if self.view.authentication_classes:
            found |= {401, 403}
        # Who is not signed in yet may be refused, too.
        found |= getattr(self.view, "problems", set())
        # What a view finds by its caller alone may be missing, too.
        if "{" in path or getattr(self.view, "is_of_caller", False):
            found |= {404}
        if operation.get("parameters"):
            found |= {400}
        if self.method in ("POST", "PUT"):
            found |= {400, 409, 413, 415, 422}
        if self.method in ("POST", "PUT") and self._has_versions():
            found |= {412}
        if self.view.throttle_classes:
            found |= {429}
        return found


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the components that the problems refer to."""
    result["components"].setdefault("schemas", {}).update({"Error": ERROR, "Problem": PROBLEM})
    result["components"]["headers"] = HEADERS
    return result


def _expand(names: list[str]) -> OpenApiParameter:
    items = {"type": "string", "enum": names}
    return OpenApiParameter(
        "expand",
        {"type": "array", "items": items, "minItems": 1},
        explode=False,
        description="What is shown besides, for each row of the page.",
    )


def _response(code: int) -> dict[str, Any]:
    return {
        "description": problems.TITLES[code],
        "content": {problems.CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
