"""Lets requests and tasks of the tests run with the rights that the application's role has in an installation, and no more.

Migrations, factories and what tests look at are the owner's work; what goes through a door, or a worker does, is the
application's.
"""

import ast
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import ModuleType
from typing import Any
from unittest import mock

import psycopg
from django.core.management import call_command
from django.db import connection
from psycopg.pq import TransactionStatus

from govpay import roles
from tests import services

# The sealer has a role and a connection of its own.
NOT_ITS = {"seal_books"}
_here = threading.local()


def admit() -> None:
    """Grant the roles their rights on the tests' database, and let the owner take the application's role."""
    call_command("grant_roles", verbosity=0)
    owner = connection.settings_dict["USER"]
    with psycopg.connect(services.get_postgres().superuser_url, autocommit=True) as database:
        database.execute(f"GRANT {roles.APPLICATION} TO {owner} WITH INHERIT FALSE, SET TRUE")


@contextmanager
def has_its_rights() -> Iterator[None]:
    """Let requests and tasks run as the application meanwhile; of an outside server's roles nothing is known."""
    from govpay.middleware import AuditDoor

    with ExitStack() as patches:
        if services.has_own_postgres():
            for owner, name in [(AuditDoor, "__call__"), *_tasks()]:
                patches.enter_context(mock.patch.object(owner, name, _acting(getattr(owner, name))))
        yield


def _tasks() -> list[tuple[ModuleType, str]]:
    """Return the functions that tasks call, by their modules."""
    from payments import tasks

    found = [
        (getattr(tasks, call.func.value.id), call.func.attr)
        for task in ast.parse(inspect.getsource(tasks)).body
        if isinstance(task, ast.FunctionDef) and task.name not in NOT_ITS
        for call in ast.walk(task)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
    ]
    return [each for each in found if isinstance(each[0], ModuleType)]


def _acting(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def as_application(*args: Any, **kwargs: Any) -> Any:
        with acting() if _may_connect() else nullcontext():
            return call(*args, **kwargs)

    return as_application


def _may_connect() -> bool:
    """Say whether the test has a database: one that has none has no rights to lack."""
    try:
        connection.ensure_connection()
    except RuntimeError:
        return False
    return True


@contextmanager
def acting() -> Iterator[None]:
    """Take the application's role on this thread's connection; no count of statements sees it.

    Temporary tables are of whoever made them: they end where the role changes, as with the transactions that make them.
    """
    connection.ensure_connection()
    session = connection.connection
    if getattr(_here, "session", None) is session:
        yield
        return
    session.execute("DISCARD TEMP")
    session.execute(f"SET ROLE {roles.APPLICATION}")
    _here.session = session
    try:
        yield
    finally:
        _here.session = None
        # A transaction that failed takes the role back as it ends.
        if not session.closed and session.info.transaction_status != TransactionStatus.INERROR:
            session.execute("RESET ROLE")
            session.execute("DISCARD TEMP")
