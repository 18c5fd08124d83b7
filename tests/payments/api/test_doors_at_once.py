"""Many hands on one list at once, over the API and in the admin: one decision is made, once (A4, A7)."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from payments.models import Approval, Disbursement, Program, StatusChange, Step
from tests import factories
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)

HANDS = 8


def at_once(calls: list[Callable[[], Any]]) -> Counter[int]:
    """Make all calls from HANDS threads, each on a connection of its own; return how often which status came back."""

    def one(call: Callable[[], Any]) -> int:
        try:
            return int(call().status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(HANDS) as pool:
        return Counter(pool.map(one, calls))


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "approver", "second-approver")


def test_fifty_approvals_are_one(api: Api, submitted: Disbursement, approver: User, second: User) -> None:
    body = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
    clients = [api(approver), api(second)]
    address = f"/api/v1/disbursements/{submitted.pk}/approve/"
    answers = at_once([lambda n=n: clients[n % 2].post(address, body) for n in range(50)])  # type: ignore[misc]
    assert answers == {200: 1, 409: 49}
    assert Approval.objects.filter(disbursement=submitted, step=Step.APPROVE).count() == 1
    moved = StatusChange.objects.filter(subject="disbursement", subject_id=submitted.pk, new="approved")
    assert moved.count() == 1


def test_approvals_and_rejections_leave_one_decision(
    api: Api, submitted: Disbursement, approver: User, second: User
) -> None:
    body = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
    address = f"/api/v1/disbursements/{submitted.pk}"
    approving, rejecting = api(approver), api(second)
    calls: list[Callable[[], Any]] = []
    for _ in range(12):
        calls.append(lambda: approving.post(f"{address}/approve/", body))
        calls.append(lambda: rejecting.post(f"{address}/reject/", {"note": "The amounts are last year's."}))
    assert at_once(calls) == {200: 1, 409: 23}
    submitted.refresh_from_db()
    assert submitted.status in {"approved", "rejected"}
    assert Approval.objects.filter(disbursement=submitted, step=Step.APPROVE).count() == int(
        submitted.status == "approved"
    )


def test_the_admin_and_the_api_release_once(
    api: Api, approved: Disbursement, program: Program, releaser: User
) -> None:
    hexed = bytes(approved.manifest_hash or b"").hex()
    other = factories.make_member(program, "releaser", "second-releaser")
    browser = Client()
    browser.force_login(other)
    client = api(releaser)
    page = reverse("admin:payments_disbursement_release", args=[approved.pk])
    address = f"/api/v1/disbursements/{approved.pk}/release/"
    calls: list[Callable[[], Any]] = []
    for _ in range(8):
        calls.append(lambda: client.post(address, {"manifest_hash": hexed}))
        calls.append(lambda: browser.post(page, {"manifest_hash": hexed}))
    answers = at_once(calls)
    assert answers[409] >= 14, answers
    assert Approval.objects.filter(disbursement=approved, step=Step.RELEASE).count() == 1
    moved = StatusChange.objects.filter(subject="disbursement", subject_id=approved.pk, new="released")
    assert moved.count() == 1
