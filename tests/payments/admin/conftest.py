"""Browsers of the cast, and a program that has something on every page."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from payments.models import Program
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
def furnished(program: Program, officer: User, approver: User, releaser: User) -> dict[str, Any]:
    """One row of every model of payments in the program, by model name."""
    return scenes.furnish(program, officer, approver, releaser)
