"""Clients of the API for the cast, and a program that has something at every address."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
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
def everybody(program: Program) -> User:
    """Somebody with every role and permission there is: nothing stops a request but its content."""
    user = factories.make_user(
        "everybody",
        "payments.add_program",
        "payments.add_membership",
        "ledger.view_entry",
        "ledger.close_period",
        "ledger.add_lotmovement",
        "ledger.redact_leaf",
    )
    with connection.cursor() as cursor:
        # Until the test's database transaction is rolled back. What is pending has to be done before a table changes.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE payments_membership DISABLE TRIGGER membership_compatible_roles")
    for role in ("officer", "approver", "releaser", "signer", "auditor", "security", "treasurer", "agent"):
        program.memberships.create(user=user, role=role, granted_by=user)
    return user


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
