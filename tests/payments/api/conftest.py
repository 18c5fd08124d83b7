"""Clients of the API for the cast, and a program that has something at every address."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from knox.models import AuthToken
from rest_framework.test import APIClient

from payments.models import Disbursement, Program
from payments.services import disbursements
from tests import factories
from tests.payments.admin import scenes

Api = Callable[[User], APIClient]


@pytest.fixture
def api() -> Api:
    """Return a client that sends the user's token and JSON."""

    def signed_in(user: User) -> APIClient:
        client = APIClient()
        client.default_format = "json"
        _, token = AuthToken.objects.create(user=user)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client

    return signed_in


@pytest.fixture
def furnished(program: Program, officer: User, approver: User, releaser: User) -> dict[str, Any]:
    """One row of every model of payments in the program, by model name."""
    return scenes.furnish(program, officer, approver, releaser)


@pytest.fixture
def draft(program: Program, officer: User) -> Disbursement:
    """A list of three payments, 180,000 sat, in a program that can pay it."""
    factories.fund(program, 1_000_000)
    return factories.make_disbursement(program, officer)


@pytest.fixture
def submitted(draft: Disbursement, officer: User) -> Disbursement:
    """The list, fixed by its maker."""
    return disbursements.submit(by=officer, disbursement_id=draft.pk)


@pytest.fixture
def approved(submitted: Disbursement, approver: User) -> Disbursement:
    """The list, agreed to by a second person."""
    agreed = bytes(submitted.manifest_hash or b"")
    return disbursements.approve(by=approver, disbursement_id=submitted.pk, manifest_hash=agreed)
