"""What a worker's process keeps from one task to the next, and what it does not."""

import gc

import pytest
from celery import current_app, signals
from django.db import connection, connections
from django.db.utils import DEFAULT_DB_ALIAS

from tests.racing import Racer

pytestmark = pytest.mark.django_db(transaction=True)

KEY = 7_001


def ask(query: str, *values: object) -> object:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()[0]


def is_free() -> object:
    """Tell whether another session would get the lock."""
    racer = Racer(lambda: ask("SELECT pg_try_advisory_lock(%s)", KEY))
    racer.start()
    racer.join()
    assert racer.error is None
    return racer.result


class TestConnection:
    def test_is_kept_for_the_next_task(self) -> None:
        assert current_app.conf.get("CELERY_DB_REUSE_MAX") > 1_000
        pid = ask("SELECT pg_backend_pid()")
        signals.task_prerun.send(sender=None)
        assert ask("SELECT pg_backend_pid()") == pid

    def test_that_broke_is_renewed_before_the_next_task_begins(self) -> None:
        pid = ask("SELECT pg_backend_pid()")
        killer = Racer(lambda: ask("SELECT pg_terminate_backend(%s, 10000)", pid))
        killer.start()
        killer.join()
        assert killer.result is True
        signals.task_prerun.send(sender=None)
        assert ask("SELECT pg_backend_pid()") != pid

    def test_of_a_task_that_failed_ends_with_the_locks_that_it_held(self) -> None:
        ask("SELECT pg_try_advisory_lock(%s)", KEY)
        assert is_free() is False
        signals.task_failure.send(sender=None)
        assert connections[DEFAULT_DB_ALIAS].connection is None
        assert is_free() is True


class TestProcess:
    def test_sets_aside_what_was_loaded_when_it_begins(self) -> None:
        before = gc.get_freeze_count()
        try:
            signals.worker_process_init.send(sender=None)
            assert gc.get_freeze_count() > before
        finally:
            gc.unfreeze()
