"""A payout that was sent, two treasurers, and the doorbells that services ring."""

import pytest
from django.contrib.auth.models import User

from payments import doorbell
from payments.models import (
    Intervention,
    Payout,
    Program,
)
from tests import factories
from tests.payments.admin import scenes


@pytest.fixture
def payout(program: Program, officer: User, approver: User, releaser: User) -> Payout:
    """A payout that was sent."""
    found: Payout = scenes.furnish(program, officer, approver, releaser)["payout"]
    Intervention.objects.all().delete()
    return found


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "treasurer", "second-treasurer")


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, int]]]:
    """The doorbells that were rung."""
    found: list[tuple[str, dict[str, int]]] = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **ids: found.append((task, ids)))
    return found
