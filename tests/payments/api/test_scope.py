"""Another program's ids are not found: a matrix of every address and verb, from the URL configuration (A9)."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from payments.models import (
    ApprovalPolicy,
    BudgetPeriod,
    Destination,
    Disbursement,
    Enrollment,
    Grievance,
    Intake,
    Membership,
    Payment,
    Program,
    Proposal,
    StatusChange,
    Warrant,
    Webhook,
    WebhookDelivery,
    WebhookSecret,
)
from tests import factories
from tests.govpay import routes
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.scenery import approver, furnished, officer, program, releaser, scenery

pytestmark = pytest.mark.django_db

# The books' addresses name their rows by pk, and are guarded by permissions instead of membership.
OF_PAYMENTS = sorted((method, route) for method, route in routes.operations() if "_id}" in route)
BODIES: list[Any] = [None, {}, {"note": "x", "manifest_hash": "ab" * 32, "username": "x", "role": "officer"}]


def fill(route: str, furnished: dict[str, Any]) -> str:
    """The address of the program's own row."""
    ids = {f"{name}_id": row.pk for name, row in furnished.items()}
    ids["signing_request_id"] = ids["signingrequest_id"]
    ids["import_job_id"] = ids["importjob_id"]
    ids["policy_id"] = ids["approvalpolicy_id"]
    ids["budget_period_id"] = ids["budgetperiod_id"]
    ids["exclusion_list_id"] = ids["exclusionlist_id"]
    ids["address_proof_id"] = ids["addressproof_id"]
    ids["bank_file_id"] = ids["bankfile_id"]
    ids["bank_account_id"] = ids["bankaccount_id"]
    ids["change_id"] = ids["destinationchange_id"]
    return route.format(**ids)


def state() -> tuple[Any, ...]:
    """What must not move."""
    return (
        list(Disbursement.objects.order_by("pk").values_list("pk", "status")),
        list(Payment.objects.order_by("pk").values_list("pk", "status")),
        StatusChange.objects.count(),
        Enrollment.objects.count(),
        Destination.objects.count(),
        Intake.objects.count(),
        Membership.objects.count(),
        list(Proposal.objects.order_by("pk").values_list("pk", "status")),
        list(Grievance.objects.order_by("pk").values_list("pk", "status", "owner")),
        list(ApprovalPolicy.objects.order_by("pk").values_list("confirmed_at", "dropped_at")),
        list(BudgetPeriod.objects.order_by("pk").values()),
        list(Warrant.objects.order_by("pk").values_list("pk", "status")),
        list(Webhook.objects.order_by("pk").values()),
        WebhookSecret.objects.count(),
        list(WebhookDelivery.objects.order_by("pk").values()),
    )


# A payment that is not settled has no receipt yet; the errors of an import hold personal data, for officers alone.
NOT_READ = ("/receipt/", "{import_job_id}/errors.csv")
READ = [pair for pair in OF_PAYMENTS if pair[0] == "GET" and not pair[1].endswith(NOT_READ)]
# What the roles read that do not read all of their program.
LIMITED_READS = {
    "helpdesk": {
        "/api/v1/programs/{program_id}/",
        "/api/v1/programs/{program_id}/members/",
        "/api/v1/programs/{program_id}/enrollments/",
        "/api/v1/programs/{program_id}/disbursements/",
        "/api/v1/programs/{program_id}/entitlements/",
        "/api/v1/programs/{program_id}/grievances/",
        "/api/v1/grievances/{grievance_id}/",
        "/api/v1/grievances/{grievance_id}/history/",
        "/api/v1/enrollments/{enrollment_id}/",
        "/api/v1/disbursements/{disbursement_id}/",
        "/api/v1/disbursements/{disbursement_id}/estimate/",
        "/api/v1/disbursements/{disbursement_id}/payments/",
        "/api/v1/payments/{payment_id}/",
        "/api/v1/payments/{payment_id}/history/",
    },
    "security": {
        "/api/v1/programs/{program_id}/",
        "/api/v1/programs/{program_id}/members/",
        "/api/v1/proposals/{proposal_id}/",
        "/api/v1/proposals/{proposal_id}/history/",
        "/api/v1/programs/{program_id}/webhooks/",
        "/api/v1/webhooks/{webhook_id}/",
        "/api/v1/webhooks/{webhook_id}/deliveries/",
    },
}
# What the help desk is there for, and what one security administrator keeps up of what two have set.
THEIR_WORK = {("helpdesk", "/api/v1/grievances/{grievance_id}/take/")} | {
    ("security", route) for _, route in OF_PAYMENTS if "/webhooks/{webhook_id}/" in route
}
LISTS = ("payouts", "interventions", "signing-requests", "alarms", "stops")


class TestMatrix:
    def test_holds_every_address_with_an_id(self) -> None:
        with_ids = {route for route, _ in routes.patterns() if "{" in route}
        books = {route for route in with_ids if "{pk}" in route or "{name}" in route}
        assert {route for _, route in OF_PAYMENTS} == with_ids - books
        assert {route.split("/")[3] for route in books} == {
            "audit-events",
            "auth",
            "checkpoints",
            "entries",
            "manual-prices",
            "packs",
            "periods",
            "price-breakers",
            "prices",
            "quotes",
            "reconciliation-cases",
            "reconciliation-runs",
            "redactions",
            "reports",
            "reserve",
            "tokens",
            "trust-decisions",
            "trusts",
        }

    @pytest.mark.parametrize(("method", "route"), OF_PAYMENTS)
    def test_hides_other_programs(
        self, api: Api, furnished: dict[str, Any], outsider: User, method: str, route: str
    ) -> None:
        client, before = api(outsider), state()
        for body in BODIES:
            response = client.generic(method, fill(route, furnished)) if body is None else None
            if response is None:
                response = getattr(client, method.lower())(fill(route, furnished), body)
            expect.problem(response, 404, "not_found")
        assert state() == before

    @pytest.mark.parametrize(("method", "route"), OF_PAYMENTS)
    def test_answers_alike_for_what_does_not_exist(
        self, api: Api, furnished: dict[str, Any], outsider: User, method: str, route: str
    ) -> None:
        names = [part.strip("{}") for part in route.split("/") if "{" in part]
        missing = route.format(**dict.fromkeys(names, 2**62))
        client = api(outsider)
        there = getattr(client, method.lower())(fill(route, furnished), {})
        nowhere = getattr(client, method.lower())(missing, {})
        assert there.json() == nowhere.json()

    @pytest.mark.parametrize(("method", "route"), READ)
    def test_shows_members_their_own(
        self, api: Api, furnished: dict[str, Any], auditor: User, method: str, route: str
    ) -> None:
        response = api(auditor).get(fill(route, furnished))
        assert response.status_code == 200
        assert response["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(("method", "route"), [p for p in OF_PAYMENTS if p[0] != "GET"])
    def test_lets_auditors_change_nothing(
        self, api: Api, furnished: dict[str, Any], auditor: User, method: str, route: str
    ) -> None:
        before = state()
        response = getattr(api(auditor), method.lower())(fill(route, furnished), BODIES[-1])
        assert response.status_code in (400, 403, 415)
        assert state() == before

    @pytest.mark.parametrize("role", sorted(LIMITED_READS))
    def test_shows_help_desk_and_security_administrators_what_their_work_needs(
        self, api: Api, furnished: dict[str, Any], program: Program, role: str
    ) -> None:
        client = api(factories.make_member(program, role))
        for _, route in READ:
            response = client.get(fill(route, furnished))
            if route in LIMITED_READS[role]:
                assert response.status_code == 200, route
                assert response["Cache-Control"] == "no-store"
            else:
                expect.problem(response, 404, "not_found")
        for name in LISTS:
            assert expect.ok(client.get(f"/api/v1/{name}/"))["results"] == [], name
        seen = expect.ok(client.get("/api/v1/proposals/"))["results"]
        assert len(seen) == (8 if role == "security" else 0)

    @pytest.mark.parametrize("role", sorted(LIMITED_READS))
    def test_lets_help_desk_and_security_administrators_change_nothing_alone(
        self, api: Api, furnished: dict[str, Any], program: Program, role: str
    ) -> None:
        client = api(factories.make_member(program, role))
        before = state()
        for method, route in OF_PAYMENTS:
            if (role, route) in THEIR_WORK:
                continue
            for body in () if method == "GET" else BODIES[1:]:
                response = getattr(client, method.lower())(fill(route, furnished), body)
                assert response.status_code in (400, 403, 404, 409, 415, 422), (route, response.content)
        assert state() == before

    @pytest.mark.parametrize(
        ("method", "route"), sorted(each for each in routes.operations() if "/auth/login/" not in each[1])
    )
    def test_asks_everybody_to_sign_in(self, method: str, route: str) -> None:
        names = [part.strip("{}") for part in route.replace(".csv", "").split("/") if "{" in part]
        address = route.format(**dict.fromkeys(names, 1))
        expect.problem(APIClient().generic(method, address), 401, "not_authenticated")

    def test_forgets_a_member_at_once(self, api: Api, furnished: dict[str, Any], auditor: User) -> None:
        client, address = api(auditor), f"/api/v1/payments/{furnished['payment'].pk}/"
        assert client.get(address).status_code == 200
        Membership.objects.filter(user=auditor).delete()
        expect.problem(client.get(address), 404, "not_found")

    def test_gives_superusers_no_way_around(self, api: Api, furnished: dict[str, Any]) -> None:
        superuser = factories.make_user("root", is_superuser=True)
        expect.problem(api(superuser).get(f"/api/v1/payments/{furnished['payment'].pk}/"), 404, "not_found")
