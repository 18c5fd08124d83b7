"""Moves every encrypted field to the first key of GOVPAY_FIELD_KEYS, in parts, so that an old key can be retired.

Each field carries the id of its key, so the rows themselves say what is left: a run that was killed is simply begun
anew, and passes over what is done. A field that was written meanwhile is left to whoever wrote it.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.db import connection, models, transaction

from govpay.errors import Conflict
from payments.models.encrypted import EncryptedJSONField, FieldUnreadable, decrypt_bytes, encryptor

ROWS_A_PART = 500
# A process that still writes with an old key leaves rows behind; more passes than this would only hide it.
MOST_PASSES = 3

# What was done of a column, and how many rows so far.
Progress = Callable[[str, int], None]


class OldKeyLeft(Conflict):
    """Some fields are not under the newest key; ``details`` says how many under which, and which cannot be read."""

    code = "old_key_left"


class Column(NamedTuple):
    """A column whose values are encrypted, and the context that is authenticated with them."""

    table: str
    name: str
    context: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


def columns() -> list[Column]:
    """Return every encrypted column there is, by what the models declare."""
    found = [
        Column(model._meta.db_table, field.column, field.context)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.Field) and isinstance(field, EncryptedJSONField)
    ]
    return sorted(found)


# What is forgotten after days at most (files of imports, answers kept for an Idempotency-Key), by the SQL of its bytes.
FORGOTTEN = {
    "payments_importpart.data": ("payments_importpart", "data"),
    "payments_importrow.personal": ("payments_importrow", "personal"),
    "govpay_idempotencyrecord.body": ("govpay_idempotencyrecord", "decode(body #>> '{}', 'base64')"),
}


def newest_key() -> str:
    """Return the id of the key that encrypts."""
    return next(iter(settings.GOVPAY_FIELD_KEYS))


def count_by_key() -> dict[str, dict[str, int]]:
    """Return how many rows of each column are under which key; what has no key id counts under an empty one."""
    found = {str(column): _count(column.table, column.name) for column in columns()}
    return found | {name: _count(table, value) for name, (table, value) in FORGOTTEN.items()}


def _count(table: str, value: str) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            # A key's id has at most eight small letters and digits and ends with a NUL.
            "SELECT CASE WHEN position('\\x00'::bytea IN v) BETWEEN 2 AND 9 THEN"  # noqa: S608
            " encode(substring(v FROM 1 FOR position('\\x00'::bytea IN v) - 1), 'escape')"
            f" ELSE '' END AS key, count(*) FROM {table} CROSS JOIN LATERAL (SELECT {value} AS v) AS stored"
            " WHERE v IS NOT NULL GROUP BY 1 ORDER BY 1"
        )
        return {key: int(count) for key, count in cursor.fetchall()}


def run(*, progress: Progress | None = None, rows_a_part: int = ROWS_A_PART) -> None:
    """Encrypt anew what is not under the newest key; raise OldKeyLeft unless nothing is left.

    A field that cannot be read is passed over, named, and left as it is. What is forgotten after days is counted
    and not moved.
    """
    unreadable: list[str] = []
    for _ in range(MOST_PASSES):
        unreadable = []
        for column in columns():
            _pass_over(column, rows_a_part, progress, unreadable)
        left = _left()
        if unreadable or all(name in FORGOTTEN for name, _, _ in left):
            break
    if left:
        counts = "; ".join(f"{name}: {count} under {key or 'no key'}" for name, key, count in left)
        raise OldKeyLeft(
            f"Not every field is under {newest_key()}: {counts}.",
            left=[{"column": name, "key": key, "count": count} for name, key, count in left],
            unreadable=unreadable[:100],
        )


def _left() -> list[tuple[str, str, int]]:
    newest = newest_key()
    return [
        (name, key, count)
        for name, by_key in count_by_key().items()
        for key, count in by_key.items()
        if key != newest
    ]


def _pass_over(column: Column, rows_a_part: int, progress: Progress | None, unreadable: list[str]) -> None:
    done = 0
    for ids, old, new in _parts(column, rows_a_part, unreadable):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {column.table} t SET {column.name} = v.new"  # noqa: S608
                " FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[]) AS v(id, old, new)"
                f" WHERE t.id = v.id AND t.{column.name} = v.old",
                [ids, old, new],
            )
            done += cursor.rowcount
        if progress is not None:
            progress(str(column), done)


def _parts(
    column: Column, rows_a_part: int, unreadable: list[str]
) -> Iterator[tuple[list[int], list[bytes], list[bytes]]]:
    """Yield ids, old and new values of one part after the other, in the order of the primary key."""
    last, start = 0, newest_key().encode() + b"\0"
    encrypt = encryptor(column.context)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, {column.name} FROM {column.table} WHERE id > %s"  # noqa: S608
                f" AND substring({column.name} FROM 1 FOR %s) <> %s ORDER BY id LIMIT %s",
                [last, len(start), start, rows_a_part],
            )
            rows: list[tuple[int, Any]] = cursor.fetchall()
        if not rows:
            return
        last = rows[-1][0]
        ids, old, new = [], [], []
        for pk, value in rows:
            stored = bytes(value)
            try:
                plain = decrypt_bytes(stored, column.context)
            except FieldUnreadable:
                unreadable.append(f"{column} of row {pk}")
                continue
            ids.append(pk)
            old.append(stored)
            new.append(encrypt(plain))
        yield ids, old, new
