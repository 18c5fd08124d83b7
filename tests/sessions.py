"""Sessions of somebody else in the test's database, and locks that they hold."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection, connections

# A session ends a moment after its connection was closed.
ENDS_S = 5
OTHERS = """
SELECT pid, usename::text, application_name, state, query FROM pg_stat_activity
WHERE backend_type = 'client backend' AND datname = current_database() AND NOT pid = ANY(%s) AND pid <> pg_backend_pid()
"""


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


def others() -> list[str]:
    """Return what is known of each session that is not this thread's, after waiting for those that end."""
    opened = [each.connection for each in connections.all(initialized_only=True)]
    own = [known.info.backend_pid for known in opened if known is not None]
    with another_session(autocommit=True) as session:
        until = time.monotonic() + ENDS_S
        while found := session.execute(OTHERS, [own]).fetchall():
            if time.monotonic() > until:
                break
            time.sleep(0.05)
    return [" ".join(map(str, row)) for row in found]
