"""Parsers that refuse what two readers could understand differently, and what is too large to look at."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any

from django.conf import settings
from rest_framework import exceptions, status
from rest_framework.parsers import DataAndFiles, JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer

# Codings that change nothing of a body, or only how it comes.
PLAIN = {"", "identity", "chunked"}


class FileTooLarge(exceptions.APIException):
    """The upload exceeds GOVPAY_UPLOAD_MAX_BYTES."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The upload is larger than govpay accepts; split the file."
    default_code = "file_too_large"


class BodyEncoded(exceptions.APIException):
    """The body says that it is compressed (Content-Encoding or Transfer-Encoding); nothing that is sent is ever unpacked."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_detail = "The body is compressed; send it as it is."
    default_code = "body_encoded"


class StrictJSONParser(JSONParser):
    """UTF-8 JSON without duplicate keys, NaN or Infinity; fractions arrive as Decimal, never float."""

    renderer_class = JSONRenderer

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _require_plain(parser_context)
        # Django has refused a body above DATA_UPLOAD_MAX_MEMORY_SIZE before this.
        try:
            return json.loads(
                stream.read().decode("utf-8"),
                object_pairs_hook=without_duplicates,
                parse_constant=_refuse_constant,
                parse_float=Decimal,
            )
        except RecursionError as error:
            raise exceptions.ParseError("The JSON is nested too deeply.") from error
        except InvalidOperation as error:
            raise exceptions.ParseError("The JSON has a number that is out of all range.") from error
        except ValueError as error:
            raise exceptions.ParseError(f"The body is not JSON that govpay accepts: {error}") from error


class UploadParser(MultiPartParser):
    """A form with a file of at most GOVPAY_UPLOAD_MAX_BYTES, which goes to disk; no field may come twice."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> "DataAndFiles[Any, Any]":
        _require_plain(parser_context)
        request = (parser_context or {})["request"]
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > settings.GOVPAY_UPLOAD_MAX_BYTES:
            raise FileTooLarge
        form = super().parse(stream, media_type, parser_context)
        for name in {*form.data, *form.files}:
            if len(form.data.getlist(name)) + len(form.files.getlist(name)) > 1:
                raise exceptions.ParseError("The form has a field twice.")
        return form


def _require_plain(parser_context: Mapping[str, Any] | None) -> None:
    """Refuse a body that somebody on the way could read as another one (RFC 9110, 8.4 and 15.5.16)."""
    meta = (parser_context or {})["request"].META
    said = f"{meta.get('HTTP_CONTENT_ENCODING', '')},{meta.get('HTTP_TRANSFER_ENCODING', '')}"
    if {coding.strip().lower() for coding in said.split(",")} - PLAIN:
        raise BodyEncoded


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raise ValueError where a key appears twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} appears twice")
        found[name] = value
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
