"""Browsers of the cast, and a program that has something on every page."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from payments.models import Program
from tests import factories
from tests.payments.admin import scenes


@pytest.fixture
def browser() -> Callable[[User], Client]:
    """Signs a user in."""

    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def reader(program: Program) -> User:
    """An auditor who reads the books and makes packs."""
    user = factories.make_member(program, "auditor")
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_entry", "make_pack"]))
    return user


@pytest.fixture
def furnished(program: Program, officer: User, approver: User, releaser: User) -> dict[str, Any]:
    """One row of every model of payments in the program, by model name."""
    return scenes.furnish(program, officer, approver, releaser)
