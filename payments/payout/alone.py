"""Lets one worker do a thing at a time, under an advisory lock of PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction

# A node looks through its unspent outputs for one at a time, and on a public test network that takes minutes.
SCAN_LOCK = 0x676F7363
SCAN_TIMEOUT_S = 600
LOCK_NOT_AVAILABLE = "55P03"
# Where the process that waits is gone, the server must not wait on for it, and take what nobody gives back.
WAIT = """
SELECT set_config('lock_timeout', %s || 's', true), set_config('client_connection_check_interval', '1s', true)
"""


@contextmanager
def only_one(key: int, *, wait_s: int = 0) -> Iterator[bool]:
    """Hold the lock of this key, for which we wait so long, and tell whether it is ours.

    It ends with the database session, so no crash keeps it.
    """
    is_mine = _wait(key, wait_s) if wait_s else _try(key)
    try:
        yield is_mine
    finally:
        # A session that broke has given the lock back by itself.
        if is_mine and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


def _try(key: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        return bool(cursor.fetchone()[0])


def _wait(key: int, wait_s: int) -> bool:
    try:
        # The settings end with the database transaction, the lock does not.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(WAIT, [str(wait_s)])
            cursor.execute("SELECT pg_advisory_lock(%s)", [key])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
            raise
        return False
    return True
