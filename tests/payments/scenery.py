"""A furnished program that the tests of a module share: made once, and at the beginning of each test as it was.

A module that imports these fixtures has them in place of those of the same names, which make everything anew for each test.
"""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from payments.models import Program
from tests import factories
from tests.payments.admin import scenes

ROLES = ("officer", "approver", "releaser")


class Scenery(NamedTuple):
    """A program, who works in it by role, and one row of every model by its name."""

    program: Program
    cast: dict[str, User]
    rows: dict[str, Any]


@pytest.fixture(scope="module")
def scenery(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Scenery]:
    """In a database transaction around those of the tests, which are rolled back to here."""
    around = transaction.atomic()
    around._from_testcase = True  # type: ignore[attr-defined]
    with django_db_blocker.unblock(), around:
        program = factories.make_program()
        cast = {role: factories.make_member(program, role) for role in ROLES}
        rows = scenes.furnish(program, *cast.values())
        connection.check_constraints()
        yield Scenery(program, cast, rows)
        transaction.set_rollback(True)


@pytest.fixture
def program(db: None, scenery: Scenery) -> Program:
    """The furnished program."""
    return copy.deepcopy(scenery.program)


@pytest.fixture
def officer(db: None, scenery: Scenery) -> User:
    """Makes lists in the program."""
    return copy.deepcopy(scenery.cast["officer"])


@pytest.fixture
def approver(db: None, scenery: Scenery) -> User:
    """Approves lists in the program."""
    return copy.deepcopy(scenery.cast["approver"])


@pytest.fixture
def releaser(db: None, scenery: Scenery) -> User:
    """Releases lists in the program."""
    return copy.deepcopy(scenery.cast["releaser"])


@pytest.fixture
def furnished(db: None, scenery: Scenery) -> dict[str, Any]:
    """One row of every model of payments in the program, by model name."""
    return copy.deepcopy(scenery.rows)
