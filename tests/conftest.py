"""The cast and the fixtures that tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from payments.models import Program
from payments.payout import dispatch
from tests import acts, application, emptying, factories, schema, services, sessions

GUARDED = """
SELECT DISTINCT t.tgrelid::regclass::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE p.proname = 'ledger_refuse_change'
"""


@contextmanager
def books_may_be_emptied() -> Iterator[None]:
    """Let the end of a test empty the books, which nothing else can: only the tables' owner may switch this."""
    with connection.cursor() as cursor:
        cursor.execute(GUARDED)
        tables = [table for (table,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
                " WHERE NOT tgisinternal AND tgrelid = ANY(%s::regclass[])",
                [tables],
            )
            for table, trigger in cursor.fetchall():
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


@pytest.fixture(scope="session", autouse=True)
def _tests_end_with_empty_tables() -> Iterator[None]:
    """Tests with real database transactions leave tables empty, those of the books too, but for what migrating wrote."""
    flush = TransactionTestCase._fixture_teardown

    def empty(self: TransactionTestCase) -> None:
        if services.has_own_postgres():
            emptying.empty()
            return
        with books_may_be_emptied(), connection.cursor() as cursor:
            tables = sorted(set(connection.introspection.table_names(cursor)) - set(emptying.KEPT))
            cursor.execute(f"TRUNCATE {', '.join(tables)}")

    TransactionTestCase._fixture_teardown = empty
    yield
    TransactionTestCase._fixture_teardown = flush


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Copy the tables of an earlier run with the same migrations."""
    schema.begin()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Keep the tables for the next run, and let requests have the application's rights on them."""
    with django_db_blocker.unblock():
        schema.keep()
        if services.has_own_postgres():
            application.admit()


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Hash passwords cheaply; the strength of the hash is not under test."""
    from django.test.utils import override_settings

    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def _acts_are_recorded() -> Iterator[None]:
    """Whoever changes something through a door and records nothing fails the test that sends the request."""
    with acts.watching():
        yield


@pytest.fixture(scope="session", autouse=True)
def _doors_and_workers_have_the_rights_of_the_application() -> Iterator[None]:
    """Whoever needs more rights than an installation gives fails the test."""
    with application.has_its_rights():
        yield


@pytest.fixture(scope="module", autouse=True)
def _no_session_is_left() -> Iterator[None]:
    """Name the file whose tests leave a thread connected to the database, which would stop others from copying it."""
    yield
    assert sessions.others() == []


@pytest.fixture(scope="session")
def _broker() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


@pytest.fixture(autouse=True)
def _empty_queues(_broker: redis.Redis) -> None:
    """Begin with empty queues: nobody works off what the tests before have rung."""
    _broker.delete(
        settings.CELERY_TASK_DEFAULT_QUEUE, settings.GOVPAY_ROUNDS_QUEUE, settings.GOVPAY_WEBHOOKS_QUEUE
    )


@pytest.fixture(autouse=True)
def _nothing_is_limited(settings: Any) -> None:
    """Let tests ask as often as they like; those of the limits set their own."""
    settings.GOVPAY_RATES = dict.fromkeys(settings.GOVPAY_RATES, 0)


@pytest.fixture(autouse=True)
def _every_visit_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each visit look at the node anew: tests change the world faster than ``LOOK_S``."""
    monkeypatch.setattr(dispatch, "LOOK_S", 0)


@pytest.fixture
def program(db: None) -> Program:
    """A program whose wallet is ready and holds nothing yet."""
    return factories.make_program()


@pytest.fixture
def officer(program: Program) -> User:
    """Makes lists in the program."""
    return factories.make_member(program, "officer")


@pytest.fixture
def approver(program: Program) -> User:
    """Approves lists in the program."""
    return factories.make_member(program, "approver")


@pytest.fixture
def releaser(program: Program) -> User:
    """Releases lists in the program."""
    return factories.make_member(program, "releaser")


@pytest.fixture
def auditor(program: Program) -> User:
    """Reads everything in the program."""
    return factories.make_member(program, "auditor")


@pytest.fixture
def outsider(db: None) -> User:
    """Works in another program."""
    return factories.make_member(factories.make_program(code="OTHER"), "officer")
