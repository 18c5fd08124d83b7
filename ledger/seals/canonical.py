"""The bytes of an entry or a run that are sealed: written once, kept, and readable by anybody with a JSON parser.

They are canonical JSON (RFC 8785): keys in order, no spaces, UTF-8. The version is inside, and a version that was ever
written is never changed; another form of an entry gets another version. Whole numbers that may pass 2**53 are decimal
text, because many readers of JSON would round them.

Version 1 is one object. Version 2 is an object for the heading and an array for each line, each ended by a line feed, which
canonical JSON never holds otherwise: so one line of an entry can be shown without the others. Reconciliation runs, changes
of periods and audit events have versions of their own, in the second form: one object and a line feed.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple


class SealedLine(NamedTuple):
    """A posting of an entry: ``amount`` in whole units of ``10 ** -scale`` of the currency.

    ``elements`` are the account's five: entity, function, object, fund, project.
    """

    account: str
    elements: Sequence[str]
    currency: str
    scale: int
    layer: str
    amount: int
    reference: int | None


class SealedEntry(NamedTuple):
    """All that is sealed of an entry, its lines in the order of their ids."""

    id: int
    kind: str
    scope: str
    idempotency_key: str
    input_hash: bytes
    effective_at: datetime
    original_at: datetime | None
    recorded_at: datetime
    memo: str
    source_ref: str
    actor: str
    approver: str
    block_hash: str
    block_height: int | None
    reversal_of: int | None
    lines: Sequence[SealedLine]


class SealedRun(NamedTuple):
    """All that is sealed of a reconciliation run; its breaks are in its digest."""

    id: int
    scope: str
    status: str
    reason: str
    is_full: bool
    previous: int | None
    block_hash: str
    block_height: int | None
    books_mark: str
    counts: dict[str, int]
    totals: dict[str, int]
    break_count: int
    explained_count: int
    digest: bytes
    started_at: datetime
    finished_at: datetime


class SealedChange(NamedTuple):
    """All that is sealed of a period's change: ``digest`` is that of its figures where it was sealed."""

    id: int
    period: str
    ends_at: datetime
    status: str
    actor: str
    note: str
    through_entry_id: int
    digest: bytes | None
    recorded_at: datetime


class SealedEvent(NamedTuple):
    """All that is sealed of an audit event; of the reason, which are a person's words, its SHA-256."""

    id: int
    recorded_at: datetime
    actor: str
    actor_id: str
    door: str
    action: str
    subject_kind: str
    subject_id: str
    scope: str
    request_id: str
    reason: str
    before_sha256: bytes | None
    after_sha256: bytes | None


class UnknownVersion(Exception):
    """The bytes are of no version that this program knows."""


def _heading(entry: SealedEntry, lines: Any) -> dict[str, Any]:
    return {
        "actor": entry.actor,
        "approver": entry.approver,
        "block_hash": entry.block_hash,
        "block_height": entry.block_height,
        "effective_at": _moment(entry.effective_at),
        "id": str(entry.id),
        "idempotency_key": entry.idempotency_key,
        "input_hash": entry.input_hash.hex(),
        "kind": entry.kind,
        "lines": lines,
        "memo": entry.memo,
        "original_at": None if entry.original_at is None else _moment(entry.original_at),
        "recorded_at": _moment(entry.recorded_at),
        "reversal_of": _number(entry.reversal_of),
        "scope": entry.scope,
        "source_ref": entry.source_ref,
    }


def _line(line: SealedLine) -> list[Any]:
    return [
        line.account,
        list(line.elements),
        line.currency,
        line.scale,
        line.layer,
        str(line.amount),
        _number(line.reference),
    ]


_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _first(entry: SealedEntry) -> str:
    lines = [_line(line) for line in entry.lines]
    return _JSON.encode(_heading(entry, lines) | {"version": "govpay/entry/1"})


def _second(entry: SealedEntry) -> str:
    heading = _heading(entry, len(entry.lines)) | {"version": "govpay/entry/2"}
    return f"{_JSON.encode(heading)}\n{''.join(map(_piece, entry.lines))}"


def _piece(line: SealedLine) -> str:
    """Return a line as `_JSON` would write it. Entries have hundreds on few accounts, so that what repeats is kept."""
    account, elements, currency, scale, layer, amount, reference = line
    known = _beginning(account, tuple(elements), currency, scale, layer)
    return f'{known},"{amount}",null]\n' if reference is None else f'{known},"{amount}","{reference}"]\n'


@lru_cache(maxsize=4_096)
def _beginning(account: str, elements: tuple[str, ...], currency: str, scale: int, layer: str) -> str:
    return _JSON.encode([account, elements, currency, scale, layer])[:-1]


FORMS: dict[str, Callable[[SealedEntry], str]] = {"govpay/entry/1": _first, "govpay/entry/2": _second}
NEWEST = "govpay/entry/2"
RUN = "govpay/run/1"
PERIOD = "govpay/period/1"
EVENT = "govpay/event/1"


def encode(entry: SealedEntry, version: str = NEWEST) -> bytes:
    """Return the canonical bytes of an entry in a version; raise UnknownVersion."""
    if version not in FORMS:
        raise UnknownVersion(f"There is no version {version!r} of an entry.")
    return FORMS[version](entry).encode()


def version_of(payload: bytes) -> str:
    """Return the version that the bytes name; raise UnknownVersion when they are no entry of any known one."""
    try:
        version = heading_of(payload)["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise UnknownVersion("The bytes are no entry.") from error
    if not isinstance(version, str) or version not in FORMS:
        raise UnknownVersion(f"There is no version {version!r} of an entry.")
    return version


def encode_run(run: SealedRun) -> bytes:
    """Return the canonical bytes of a run, in the one version that there is: a single piece."""
    body = run._asdict() | {
        "id": str(run.id),
        "previous": _number(run.previous),
        "counts": {name: str(count) for name, count in run.counts.items()},
        "totals": {name: str(total) for name, total in run.totals.items()},
        "digest": run.digest.hex(),
        "started_at": _moment(run.started_at),
        "finished_at": _moment(run.finished_at),
        "version": RUN,
    }
    return f"{_JSON.encode(body)}\n".encode()


def encode_change(change: SealedChange) -> bytes:
    """Return the canonical bytes of a period's change, in the one version that there is: a single piece."""
    body = change._asdict() | {
        "id": str(change.id),
        "ends_at": _moment(change.ends_at),
        "through_entry_id": str(change.through_entry_id),
        "digest": None if change.digest is None else change.digest.hex(),
        "recorded_at": _moment(change.recorded_at),
        "version": PERIOD,
    }
    return f"{_JSON.encode(body)}\n".encode()


def encode_event(event: SealedEvent) -> bytes:
    """Return the canonical bytes of an audit event, in the one version that there is: a single piece."""
    body = event._asdict() | {
        "id": str(event.id),
        "recorded_at": _moment(event.recorded_at),
        "reason_sha256": reason_digest(event.reason),
        "before_sha256": _hex(event.before_sha256),
        "after_sha256": _hex(event.after_sha256),
        "version": EVENT,
    }
    del body["reason"]
    return f"{_JSON.encode(body)}\n".encode()


def reason_digest(reason: str) -> str | None:
    """Return what stands for a reason in what is sealed and leaves: the SHA-256 of its UTF-8, or None for no reason."""
    return hashlib.sha256(reason.encode()).hexdigest() if reason else None


def heading_of(payload: bytes) -> Any:
    """Return what the bytes say of an entry besides its lines: version 1 has those in it too; raise ValueError."""
    return json.loads(payload.partition(b"\n")[0])


def elements_of(payload: bytes) -> list[Any]:
    """Return the account's elements that each line of an entry was sealed with, in any version; raise ValueError."""
    heading, *pieces = payload.splitlines()
    lines = [json.loads(piece) for piece in pieces] or json.loads(heading)["lines"]
    return [line[1] for line in lines]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)
