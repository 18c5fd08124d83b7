"""Sessions of somebody else in the test's database, and locks that they hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection


@contextmanager
def another_session(*, autocommit: bool = False) -> Iterator[psycopg.Connection]:
    """A session of somebody else in the same database."""
    parts = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    known = {name: parts[name] for name in names if parts.get(name)}
    with psycopg.connect(**known, autocommit=autocommit) as session:
        yield session


@contextmanager
def holding(key: int) -> Iterator[psycopg.Connection]:
    """A session of somebody else that holds the advisory lock of this key."""
    with another_session(autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock(%s)", [key])
        try:
            yield session
        finally:
            session.execute("SELECT pg_advisory_unlock(%s)", [key])
