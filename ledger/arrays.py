"""Sends lists to the database as arrays in their binary format, for statements that write many rows.

As text, which Django's own cursor sends, they cost several times as much on both sides.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Cursor
from psycopg.types.array import ListBinaryDumper


@contextmanager
def cursor(database: BaseDatabaseWrapper) -> Iterator[Any]:
    """Give a cursor that binds on the server; the lists of a statement are cast to the arrays they are."""
    database.ensure_connection()
    raw = Cursor(database.connection)
    raw.adapters.register_dumper(list, ListBinaryDumper)
    wrap = database.make_debug_cursor if database.queries_logged else database.make_cursor
    with wrap(raw) as wrapped:  # type: ignore[arg-type]
        yield wrapped
