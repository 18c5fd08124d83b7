"""Versions of single things: each answer to GET carries an ETag, and a change that names one is made to that or to nothing.

An ETag is the hash of what the caller is shown. `If-Match` is compared under the lock that the change itself takes, in its
database transaction, so that nothing comes between. Who sends none is held up by nothing: acts compare the status that they
need, and carry the manifest that they agree to (ADR 41).
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from django.utils.http import parse_etags
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from govpay.api.idempotency import IfMatchUnsupported
from govpay.errors import GovPayError


class VersionChanged(GovPayError):
    """The thing is no longer as the caller saw it."""

    code = "version_changed"
    http_status = 412


class Kind(NamedTuple):
    """How a thing named in an address is held still, by its id, and how it is shown to the caller."""

    lock: Callable[[int], object]
    show: Callable[[Request, int], Response]


_kinds: dict[str, Kind] = {}


def keep(name: str, *, lock: Callable[[int], object], show: Callable[[Request, int], Response]) -> None:
    """Let changes below addresses with this id be bound to a version."""
    _kinds[name] = Kind(lock, show)


def are_kept(ids: Any) -> bool:
    """Say whether an address with these ids names one thing with versions."""
    return len(ids) == 1 and next(iter(ids)) in _kinds


def etag(data: Any) -> str:
    """Return the strong ETag of what is shown."""
    return f'"{hashlib.sha256(JSONRenderer().render(data)).hexdigest()[:32]}"'


def require(request: Request, ids: dict[str, int]) -> None:
    """Lock what the address names and raise VersionChanged unless `If-Match`, where it is sent, is its present ETag.

    Call it in the database transaction of the change. Raises IfMatchUnsupported where nothing has a version.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    if not are_kept(ids):
        raise IfMatchUnsupported("Nothing here has a version; leave If-Match out.")
    ((name, pk),) = ids.items()
    _kinds[name].lock(pk)
    present = etag(_kinds[name].show(request, pk).data)
    if wanted.strip() != "*" and present not in parse_etags(wanted):
        raise VersionChanged("It was changed since you looked at it; look again.", etag=present)


def mark(request: Request, response: Response) -> Response:
    """Put the ETag on the answer to a GET of one thing; answer 304 when the caller has it already."""
    is_one = isinstance(response.data, dict) and "results" not in response.data
    if request.method != "GET" or response.status_code != 200 or not is_one:
        return response
    present = etag(response.data)
    known = request.headers.get("If-None-Match")
    if known is not None and {present, "*"} & {tag.removeprefix("W/") for tag in parse_etags(known)}:
        response.status_code, response.data = 304, None
    response.headers["ETag"] = present
    return response
