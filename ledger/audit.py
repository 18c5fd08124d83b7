"""Records acts: who did what, when, why and through which door, in the database transaction of what was done.

A service calls ``record`` once, at its end. The door, and the request or the task, stand in a context that middleware and
workers set, so that nobody passes them along. What cannot be recorded is not done: its database transaction fails.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, models

from ledger.models import AuditEvent
from ledger.models.audit import Door

ENGINE, NOBODY = "engine", "nobody"
MOST_REASON = 300
# What a caller sends along may be anything; only what looks like an id is kept.
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RowState(models.Func):
    """The row that a query reads, as PostgreSQL's ``to_jsonb`` writes it: what ``digest_of`` takes."""

    template = "to_jsonb(%(alias)s)::text"
    output_field = models.TextField()

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        """Name the whole row by its table's alias in the query."""
        alias = connection.ops.quote_name(compiler.query.get_initial_alias())
        return self.template % {"alias": alias}, []


@dataclass(frozen=True)
class Context:
    """Through which door the work came, and as whom it is done where no user is named."""

    door: Door
    actor: str
    request_id: str = ""


_context: ContextVar[Context | None] = ContextVar("audit_context", default=None)


@contextmanager
def through(door: Door, *, actor: str = NOBODY, request_id: str = "") -> Iterator[None]:
    """Let everything inside be recorded as having come through a door."""
    before = _context.get()
    enter(door, actor=actor, request_id=request_id)
    try:
        yield
    finally:
        _context.set(before)


def enter(door: Door, *, actor: str = NOBODY, request_id: str = "") -> None:
    """Let everything from now on, until ``leave``, be recorded as having come through a door."""
    _context.set(Context(door, actor, request_id if REQUEST_ID.fullmatch(request_id) else ""))


def leave() -> None:
    """Be outside every door again."""
    _context.set(None)


def here() -> Context:
    """Return the context; outside every door a command is at work, or whatever else the process was started as."""
    return _context.get() or Context(Door.COMMAND, f"command:{_program(sys.argv)}")


def record(
    action: str,
    subject: models.Model | None = None,
    *,
    by: User | None = None,
    scope: str = "",
    reason: str = "",
    before: bytes | None = None,
) -> AuditEvent:
    """Record an act on a row inside the database transaction of the act, and return the event.

    ``action`` is ``noun.verb`` and never changes its meaning; ``by`` is who did it, else the context says. ``scope`` is that
    of the books, ``program:7``. ``before`` is what ``digest`` gave before anything was changed; what is now is read here.
    """
    assert connection.in_atomic_block, f"{action} is recorded outside a database transaction."
    context = here()
    return AuditEvent.objects.create(
        actor=context.actor if by is None else by.get_username(),
        actor_id="" if by is None else str(by.pk),
        door=context.door,
        action=action,
        subject_kind="" if subject is None else str(subject._meta.model_name),
        subject_id="" if subject is None else str(subject.pk),
        scope=scope,
        request_id=context.request_id,
        reason=reason.strip()[:MOST_REASON],
        before_sha256=before,
        after_sha256=None if subject is None else digest(subject),
    )


def record_all(
    action: str,
    model: type[models.Model],
    scopes: Mapping[Any, str],
    *,
    before: Mapping[Any, bytes] | None = None,
) -> None:
    """Record what the engine did to each of a table's rows, by their ids with their scopes, as ``record`` does.

    It is two statements, however many rows there are. What follows from a person's act is the engine's all the same.
    """
    assert connection.in_atomic_block, f"{action} is recorded outside a database transaction."
    context, was, now = here(), before or {}, digests(model, list(scopes))
    AuditEvent.objects.bulk_create(
        AuditEvent(
            actor=ENGINE if context.actor == NOBODY else context.actor,
            door=context.door,
            action=action,
            subject_kind=str(model._meta.model_name),
            subject_id=str(pk),
            scope=scope,
            request_id=context.request_id,
            before_sha256=was.get(pk),
            after_sha256=now.get(pk),
        )
        for pk, scope in scopes.items()
    )


def digest(row: models.Model) -> bytes | None:
    """Return the SHA-256 of a row as the database holds it now, or None where it holds none.

    The hash is of canonical JSON: the columns by name, in order, as PostgreSQL's ``to_jsonb`` writes them. What is encrypted
    counts as it is stored, so that no hash is one of personal data.
    """
    return digests(row._meta.model, [row.pk]).get(row.pk)


def digests(model: type[models.Model], ids: Sequence[Any]) -> dict[Any, bytes]:
    """Return the SHA-256 of each of a table's rows that the database holds, by id, with one statement."""
    rows = (
        model._base_manager.filter(pk__in=ids).annotate(row_state=RowState()).values_list("pk", "row_state")
    )
    return {pk: digest_of(state) for pk, state in rows}


def digest_of(state: str) -> bytes:
    """Return the SHA-256 of a row from its RowState."""
    return hashlib.sha256(canonical(json.loads(state))).digest()


def canonical(state: Any) -> bytes:
    """Return the bytes that a state is hashed as."""
    return json.dumps(state, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _program(arguments: list[str]) -> str:
    """Return the name of the command that a process was started with."""
    name = Path(arguments[0] if arguments else "").name
    if name in ("manage.py", "django-admin") and len(arguments) > 1:
        name = arguments[1]
    return name[:100] or "unknown"
