"""Two database connections that want the same row: the second starts, waits for the first, and is told apart."""

import threading
import time
from collections.abc import Callable

from django.db import connection, transaction

DEADLINE_S = 60
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


class Racer(threading.Thread):
    """Makes one call on a connection of its own and keeps what came of it."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.result: object = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.result = self.call()
        except Exception as error:  # noqa: BLE001 - the test compares it.
            self.error = error
        finally:
            connection.close()


def race(first: Callable[[], object], second: Callable[[], object]) -> tuple[object, Racer]:
    """Commit ``first`` only once ``second`` waits for it; return what first gave, and the racer that ran second."""
    racer = Racer(second)
    with transaction.atomic():
        won = first()
        racer.start()
        _wait_until_it_waits()
    racer.join(DEADLINE_S)
    assert not racer.is_alive(), "The second connection still waits."
    return won, racer


def somebody_waits() -> bool:
    """Say whether any connection waits for a lock now."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return bool(cursor.fetchone() != (0,))


def _wait_until_it_waits() -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if somebody_waits():
            return
        time.sleep(0.01)
    raise AssertionError("The second connection never waited for the first.")
