"""Budgets through the API: opened, filled by two people, and refused with the figures."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from payments.models import BudgetPeriod, Disbursement, Program, Warrant
from tests import budgeting, factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


@pytest.fixture
def period(program: Program, officer: User, treasurer: User) -> BudgetPeriod:
    """200,000 sat allotted, 150,000 of it released."""
    return budgeting.make_period(program, allotted_sat=200_000, cash_sat=150_000)


def days(first: int = -10, last: int = 10) -> dict[str, str]:
    today = timezone.now().date()
    return {
        "first_date": (today + timedelta(days=first)).isoformat(),
        "last_date": (today + timedelta(days=last)).isoformat(),
    }


class TestPeriods:
    def test_are_opened_by_a_treasurer_and_read_by_members(
        self, api: Api, program: Program, treasurer: User, auditor: User, officer: User
    ) -> None:
        address = f"/api/v1/programs/{program.pk}/budget-periods/"
        made = expect.ok(api(treasurer).post(address, {"name": "2026-27", **days()}), 201)
        assert {name: made[name] for name in made if name.endswith("_sat")} == {
            "allotted_sat": 0,
            "cash_released_sat": 0,
            "committed_sat": 0,
            "spent_sat": 0,
            "available_sat": 0,
            "cash_left_sat": 0,
        }
        assert expect.ok(api(auditor).get(address))["results"] == [made]
        assert expect.ok(api(auditor).get(f"/api/v1/budget-periods/{made['id']}/")) == made
        expect.problem(api(officer).post(address, {"name": "2027", **days()}), 403, "role_missing")
        body = expect.problem(
            api(treasurer).post(address, {"name": "2027", **days(10, 20)}), 409, "budget_period_overlaps"
        )
        assert body["details"]["period"] == "2026-27"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({}, 400, "validation_error"),
            ({"name": "x", **days(), "last_date": "2026-02-30"}, 400, "validation_error"),
            ({"name": "x", **days(), "allotted_sat": 5}, 400, "validation_error"),
            ({"name": "x", **days(5, 4)}, 422, "invalid_input"),
        ],
    )
    def test_are_refused_where_they_break_a_rule(
        self, api: Api, program: Program, treasurer: User, body: dict[str, Any], status: int, code: str
    ) -> None:
        response = api(treasurer).post(f"/api/v1/programs/{program.pk}/budget-periods/", body)
        expect.problem(response, status, code)
        assert BudgetPeriod.objects.count() == 0

    def test_are_closed_for_a_reason(self, api: Api, period: BudgetPeriod, treasurer: User) -> None:
        address = f"/api/v1/budget-periods/{period.pk}/close/"
        closed = expect.ok(api(treasurer).post(address, {"note": "The year is over."}))
        assert (closed["is_open"], closed["closed_by"]) == (False, treasurer.get_username())
        expect.problem(api(treasurer).post(address, {"note": "Again."}), 409, "budget_period_closed")


class TestWarrants:
    def test_are_proposed_once_for_one_key_and_confirmed_by_another(
        self, api: Api, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        address = f"/api/v1/budget-periods/{period.pk}/warrants/"
        body = {"kind": "allotment", "amount_sat": -40_000, "note": "A cut."}
        client = api(officer)
        made = expect.ok(client.post(address, body, headers={"Idempotency-Key": "cut-1"}), 201)
        assert expect.ok(client.post(address, body, headers={"Idempotency-Key": "cut-1"}), 201) == made
        assert (made["status"], made["amount_sat"], made["decided_by"]) == ("proposed", -40_000, None)
        one = f"/api/v1/warrants/{made['id']}/"
        expect.problem(client.post(f"{one}confirm/", {}), 403, "role_missing")
        done = expect.ok(api(treasurer).post(f"{one}confirm/", {}))
        assert (done["status"], done["decided_by"]) == ("confirmed", treasurer.get_username())
        assert budgeting.totals(period) == (160_000, 150_000, 0, 0)
        expect.problem(api(treasurer).post(f"{one}reject/", {"note": "x"}), 409, "status_conflict")
        listed = expect.ok(client.get(address, {"status": "confirmed", "kind": "allotment"}))["results"]
        assert [row["id"] for row in listed] == [made["id"], Warrant.objects.earliest("pk").pk]

    def test_below_what_is_released_are_refused_with_the_figures(
        self, api: Api, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        asked = budgeting.budgets.propose(
            by=officer, budget_period_id=period.pk, kind="allotment", amount_sat=-50_001, note="A cut."
        )
        body = expect.problem(
            api(treasurer).post(f"/api/v1/warrants/{asked.pk}/confirm/", {}), 409, "over_allotment"
        )
        assert body["details"]["asked_sat"] == -50_001
        assert body["details"]["cash_released_sat"] == 150_000
        assert budgeting.totals(period)[0] == 200_000

    def test_are_rejected_or_taken_back(
        self, api: Api, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        for verb, by, status in (("reject", treasurer, "rejected"), ("withdraw", officer, "withdrawn")):
            asked = budgeting.budgets.propose(
                by=officer, budget_period_id=period.pk, kind="cash_release", amount_sat=1, note="More."
            )
            address = f"/api/v1/warrants/{asked.pk}/{verb}/"
            expect.problem(api(by).post(address, {}), 400, "validation_error")
            assert expect.ok(api(by).post(address, {"note": "No."}))["status"] == status
        assert budgeting.totals(period)[1] == 150_000


class TestLists:
    def test_over_the_allotment_are_not_approved(
        self,
        api: Api,
        submitted: Disbursement,
        program: Program,
        officer: User,
        treasurer: User,
        approver: User,
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=180_000)
        response = api(approver).post(
            f"/api/v1/disbursements/{submitted.pk}/approve/",
            {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()},
        )
        details = expect.problem(response, 409, "over_allotment")["details"]
        assert details["needed_sat"] == 180_000 + (submitted.fee_reserved_sat or 0)
        assert (details["available_sat"], details["budget_period_id"]) == (180_000, period.pk)
        assert Disbursement.objects.get().status == "submitted"

    def test_over_the_cash_are_not_released(
        self,
        api: Api,
        submitted: Disbursement,
        program: Program,
        officer: User,
        treasurer: User,
        approver: User,
        releaser: User,
    ) -> None:
        period = budgeting.make_period(program, allotted_sat=900_000, cash_sat=180_000)
        body = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
        address = f"/api/v1/disbursements/{submitted.pk}/"
        expect.ok(api(approver).post(f"{address}approve/", body))
        details = expect.problem(api(releaser).post(f"{address}release/", body), 409, "over_cash_release")[
            "details"
        ]
        assert details["available_sat"] == 180_000
        held = expect.ok(api(releaser).get(f"/api/v1/budget-periods/{period.pk}/commitments/"))["results"]
        assert [(row["disbursement_id"], row["status"], row["spent_sat"]) for row in held] == [
            (submitted.pk, "approved", 0)
        ]
        assert held[0]["committed_sat"] == details["needed_sat"]

    def test_of_a_day_without_a_period_are_not_approved(
        self,
        api: Api,
        submitted: Disbursement,
        program: Program,
        officer: User,
        treasurer: User,
        approver: User,
    ) -> None:
        today = timezone.now().date()
        budgeting.make_period(
            program, first_date=today + timedelta(days=1), last_date=today + timedelta(days=9)
        )
        response = api(approver).post(
            f"/api/v1/disbursements/{submitted.pk}/approve/",
            {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()},
        )
        assert expect.problem(response, 409, "no_budget_period")["details"]["day"] == today.isoformat()
