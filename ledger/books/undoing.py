"""Undoes entries, each once: reverses them, or settles or drops what they held pending or encumbered."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from govpay.errors import Conflict, NotFound
from ledger.books.draft import Draft, Line
from ledger.books.posting import AlreadyUndone, post
from ledger.models import Entry, Layer, Posting

REVERSED, SETTLED, DROPPED = "_reversal", "_settled", "_dropped"


class NothingHeld(Conflict):
    """The entry has no pending or encumbered lines that could be settled or dropped."""

    code = "nothing_held"


def reverse(
    entry_id: int,
    *,
    idempotency_key: str,
    effective_at: datetime,
    memo: str,
    actor: str,
    approver: str = "",
) -> int:
    """Post the mirror of an entry, once, and return its id; raise AlreadyUndone under another key."""
    (reversal_id,) = reverse_each(
        {entry_id: idempotency_key}, effective_at=effective_at, memo=memo, actor=actor, approver=approver
    )
    return reversal_id


@transaction.atomic
def reverse_each(
    keys: Mapping[int, str], *, effective_at: datetime, memo: str, actor: str, approver: str = ""
) -> list[int]:
    """Post the mirrors of entries, each once under its key, in one batch; return their ids in the order of ``keys``.

    Raises NotFound, and AlreadyUndone where an entry was undone under another key; nothing is posted then.
    """
    entries, lines = _read(keys)
    return post(
        Draft(
            kind=_kind(entries[entry_id], REVERSED),
            scope=entries[entry_id].scope,
            idempotency_key=key,
            lines=[_mirror(line) for line in lines[entry_id]],
            effective_at=effective_at,
            memo=memo,
            source_ref=entries[entry_id].source_ref,
            actor=actor,
            approver=approver,
            block_hash=entries[entry_id].block_hash,
            block_height=entries[entry_id].block_height,
            reversal_of=entry_id,
        )
        for entry_id, key in keys.items()
    )


def settle(
    entry_id: int,
    *,
    idempotency_key: str,
    effective_at: datetime,
    memo: str,
    actor: str,
    approver: str = "",
    came_to: Sequence[Line] | None = None,
) -> int:
    """Post what an entry held, once: clear its held lines and book the same ones settled; return the new entry's id.

    ``came_to`` are the settled lines where they differ from what was held. Raises NotFound, NothingHeld, and AlreadyUndone
    under another key.
    """
    return _resolve(
        entry_id, SETTLED, idempotency_key, effective_at, memo, actor=actor, approver=approver, lines=came_to
    )


def drop(
    entry_id: int,
    *,
    idempotency_key: str,
    effective_at: datetime,
    memo: str,
    actor: str,
    approver: str = "",
) -> int:
    """Clear what an entry held, once, because it will not happen; return the new entry's id. Raises as `settle`."""
    return _resolve(
        entry_id, DROPPED, idempotency_key, effective_at, memo, actor=actor, approver=approver, lines=()
    )


@transaction.atomic
def _resolve(
    entry_id: int,
    how: str,
    key: str,
    effective_at: datetime,
    memo: str,
    *,
    actor: str,
    approver: str,
    lines: Sequence[Line] | None,
) -> int:
    entries, found = _read({entry_id: key})
    held = [line for line in found[entry_id] if line.layer != Layer.SETTLED]
    if not held:
        raise NothingHeld(f"Entry {entry_id} holds nothing pending or encumbered.", entry_id=entry_id)
    if lines is None:
        lines = [line._replace(layer=Layer.SETTLED.value) for line in held]
    (resolved_by,) = post(
        [
            Draft(
                kind=_kind(entries[entry_id], how),
                scope=entries[entry_id].scope,
                idempotency_key=key,
                lines=[*(_mirror(line) for line in held), *lines],
                effective_at=effective_at,
                memo=memo,
                source_ref=entries[entry_id].source_ref,
                actor=actor,
                approver=approver,
                reversal_of=entry_id,
            )
        ]
    )
    return resolved_by


def _read(keys: Mapping[int, str]) -> tuple[dict[int, Entry], dict[int, list[Line]]]:
    """Return the entries and their lines in order; raise NotFound, and AlreadyUndone for one undone under another key."""
    entries = Entry.objects.in_bulk(list(keys))
    for entry_id in keys:
        if entry_id not in entries:
            raise NotFound(f"There is no entry {entry_id}.")
    for done in Entry.objects.filter(reversal_of__in=keys).only("reversal_of", "idempotency_key"):
        if done.idempotency_key != keys[done.reversal_of_id or 0]:
            raise AlreadyUndone(
                f"Entry {done.reversal_of_id} is undone already.", entry_id=done.reversal_of_id
            )
    lines: dict[int, list[Line]] = {entry_id: [] for entry_id in keys}
    columns = ("entry", "account__code", "amount", "reference", "layer")
    for entry_id, *line in Posting.objects.filter(entry__in=keys).order_by("pk").values_list(*columns):
        lines[entry_id].append(Line(*line))
    return entries, lines


def _mirror(line: Line) -> Line:
    return line._replace(amount=-line.amount)


def _kind(entry: Entry, how: str) -> str:
    """Return the entry's kind with what happened to it, once however often it is undone and done again."""
    kind = entry.kind
    for ending in (REVERSED, SETTLED, DROPPED):
        kind = kind.removesuffix(ending)
    return kind + how
