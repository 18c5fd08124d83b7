"""Makes a POST safe to repeat: the key is claimed, the work done and the answer stored in one database transaction."""

import base64
import functools
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api import problems
from govpay.errors import GovPayError
from govpay.models import IdempotencyRecord
from payments.models import encrypted

BODY_CONTEXT = "idempotency.body"


class IdempotencyKeyInvalid(GovPayError):
    """The header is not 1 to 255 printable ASCII characters."""

    code = "idempotency_key_invalid"


class IdempotencyKeyReused(GovPayError):
    """The key was used before with another request."""

    code = "idempotency_key_reused"
    http_status = 422


class IfMatchUnsupported(GovPayError):
    """Nothing at this address has a version that a change could be bound to."""

    code = "if_match_unsupported"


class Idempotent:
    """A view mixin: every POST runs in one database transaction and honors ``Idempotency-Key``.

    A refused request stores nothing, so the same key may carry the corrected attempt. Two at once: the second
    waits on the unique index and then gets the stored answer. A view's ``prepare`` is called before the database
    transaction, unless an answer is stored already: there it asks the node, and raises what it refuses.
    """

    prepare: Callable[..., None] | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        handler = getattr(self, "post", None)
        if request.method == "POST" and handler is not None:
            # Dispatch looks the handler up after this, so only this request's view answers through it.
            setattr(self, "post", functools.partial(_answer_once, self.prepare, self._change))  # noqa: B010

    def _change(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if "If-Match" in request.headers:
            require = getattr(self, "require_version", None)
            if require is None:
                raise IfMatchUnsupported("Nothing here has a version; leave If-Match out.")
            require(request, **kwargs)
        answer: Response = type(self).post(self, request, *args, **kwargs)  # type: ignore[attr-defined]
        return answer


def _answer_once(
    prepare: Callable[..., None] | None,
    handler: Callable[..., Response],
    request: Request,
    *args: Any,
    **kwargs: Any,
) -> Response:
    key = request.headers.get("Idempotency-Key")
    by: Any = request.user
    if prepare is not None and not (
        key is not None and IdempotencyRecord.objects.filter(user=by, key=key).exists()
    ):
        prepare(request, *args, **kwargs)
    with transaction.atomic():
        if key is None:
            return handler(request, *args, **kwargs)
        if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
            raise IdempotencyKeyInvalid("Idempotency-Key must be 1 to 255 printable ASCII characters.")
        digest = _fingerprint(request)
        record, is_new = IdempotencyRecord.objects.get_or_create(
            user=request.user, key=key, defaults={"request_hash": digest}
        )
        if not is_new:
            if bytes(record.request_hash) != digest:
                raise IdempotencyKeyReused("This Idempotency-Key was used before with another request.")
            content_type = problems.CONTENT_TYPE if (record.status or 0) >= 400 else None
            headers = {"Idempotency-Replayed": "true"}
            return Response(_open(record.body), record.status, headers=headers, content_type=content_type)
        response = handler(request, *args, **kwargs)
        record.status = response.status_code
        record.body = _seal(response.data)
        record.save(update_fields=["status", "body"])
        return response


def _seal(data: Any) -> str | None:
    """Encrypt an answer: it may hold the names and phones that the registry keeps encrypted."""
    if data is None:
        return None
    text = JSONRenderer().render(data).decode()
    return base64.b64encode(encrypted.encrypt({"body": text}, BODY_CONTEXT)).decode()


def _open(stored: str | None) -> Any:
    """Return what ``_seal`` was given."""
    if stored is None:
        return None
    return json.loads(encrypted.decrypt(base64.b64decode(stored), BODY_CONTEXT)["body"])


def _fingerprint(request: Request) -> bytes:
    """Hash the method, address and content under a key that the database lacks; a bare hash of a person is guessed.

    Files are read in chunks and rewound.
    """
    start = f"{request.method} {request.get_full_path()}\n".encode()
    digest = hmac.new(settings.GOVPAY_IDENTITY_KEY, b"idempotency\n" + start, hashlib.sha256)
    if request.FILES:
        form: Any = request.data
        for name in sorted(form):
            for value in form.getlist(name):
                digest.update(f"{len(name)}:{name}=".encode())
                if isinstance(value, UploadedFile):
                    for chunk in value.chunks():
                        digest.update(hashlib.sha256(chunk).digest())
                    value.seek(0)
                else:
                    digest.update(hashlib.sha256(str(value).encode()).digest())
    else:
        digest.update(json.dumps(request.data, sort_keys=True, default=str).encode())
    return digest.digest()
