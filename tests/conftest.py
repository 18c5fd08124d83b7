"""The cast and the fixtures that tests share."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Program
from tests import factories


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Any:
    """Hash passwords cheaply; the strength of the hash is not under test."""
    from django.test.utils import override_settings

    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


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
