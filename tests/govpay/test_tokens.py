"""Named tokens: what they reach, how they end, and that nobody widens one."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from govpay import tokens
from govpay.api import scopes
from govpay.models import ApiToken
from payments.models import Disbursement, Program
from payments.services import disbursements
from tests import factories
from tests.govpay import routes
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

TOKENS = "/api/v1/tokens/"


def carry(secret: str) -> APIClient:
    """A client that sends the token."""
    client = APIClient()
    client.default_format = "json"
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def make(user: User, *reach: str, **columns: Any) -> tuple[ApiToken, APIClient]:
    """A token of the user, and a client that sends it."""
    made, secret = tokens.make(user=user, name="robot", scopes=reach, days=30, **columns)
    return made, carry(secret)


class TestMake:
    def test_shows_the_secret_once_and_keeps_a_hash(self, api: Api, officer: User) -> None:
        body = {"name": "payroll", "scopes": ["disbursements:write", "read"], "days": 30}
        response = api(officer).post(TOKENS, body)
        made = expect.ok(response, 201)
        assert response["Cache-Control"] == "no-store"
        secret = made.pop("token")
        assert secret.startswith("govpay")
        assert (made["name"], made["username"]) == ("payroll", officer.username)
        assert (made["scopes"], made["program_id"]) == (["disbursements:write", "read"], None)
        stored = AuthToken.objects.get(api_token__pk=made["id"])
        assert secret not in (stored.digest, stored.token_key)
        assert timedelta(days=29) < stored.expiry - timezone.now() <= timedelta(days=30)
        (listed,) = expect.ok(carry(secret).get(TOKENS))["results"]
        assert "token" not in listed
        assert listed["is_live"]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"scopes": ["write"]}, "scope_unknown"),
            ({"scopes": ["disbursements"]}, "scope_unknown"),
            ({"scopes": ["disbursements:delete"]}, "scope_unknown"),
            ({"scopes": ["nothing:read"]}, "scope_unknown"),
            ({"scopes": ["auth:read"]}, "scope_unknown"),
            ({"scopes": []}, "min_length"),
            ({"days": 0}, "min_value"),
            ({"days": 367}, "max_value"),
            ({"name": ""}, "blank"),
            ({"user_id": 1}, "unknown_field"),
        ],
    )
    def test_refuses_what_is_no_token(
        self, api: Api, officer: User, change: dict[str, Any], code: str
    ) -> None:
        body = {"name": "payroll", "scopes": ["read"], "days": 30} | change
        problem = expect.problem(api(officer).post(TOKENS, body), 400, "validation_error")
        assert [error["code"] for error in problem["errors"]] == [code]
        assert ApiToken.objects.count() == 0

    def test_takes_a_program_that_the_user_may_know_of(
        self, api: Api, program: Program, officer: User, outsider: User
    ) -> None:
        body = {"name": "n", "scopes": ["read"], "days": 1, "program_id": program.pk}
        expect.problem(api(outsider).post(TOKENS, body), 404, "not_found")
        assert expect.ok(api(officer).post(TOKENS, body), 201)["program_id"] == program.pk

    def test_takes_the_token_of_a_login(self, officer: User) -> None:
        _, client = make(officer, "read", "tokens:write")
        body = {"name": "wider", "scopes": ["disbursements:write"], "days": 30}
        expect.problem(client.post(TOKENS, body), 403, "login_needed")
        assert ApiToken.objects.count() == 1

    def test_stops_at_twenty(self, api: Api, officer: User) -> None:
        for _ in range(20):
            make(officer, "read")
        body = {"name": "one more", "scopes": ["read"], "days": 30}
        expect.problem(api(officer).post(TOKENS, body), 409, "too_many_tokens")
        tokens.end(by=officer, api_token_id=ApiToken.objects.latest("pk").pk)
        expect.ok(api(officer).post(TOKENS, body), 201)


class TestScopes:
    def test_every_address_has_an_area(self) -> None:
        found = {scopes.area_of(route.removeprefix("/api/v1/")) for route, _ in routes.patterns()}
        assert found == {*scopes.areas(), "auth"}
        assert {"disbursements", "enrollments", "funds", "entries", "tokens"} <= found

    @pytest.mark.parametrize(
        ("reach", "read", "write"),
        [
            ("read", 200, 403),
            ("disbursements:read", 200, 403),
            ("disbursements:write", 200, 200),
            ("payments:write", 403, 403),
            ("programs:write", 403, 403),
        ],
    )
    def test_decide_what_a_token_reaches(
        self, program: Program, officer: User, reach: str, read: int, write: int
    ) -> None:
        factories.fund(program)
        made = factories.make_disbursement(program, officer)
        _, client = make(officer, reach)
        address = f"/api/v1/disbursements/{made.pk}/"
        assert client.get(address).status_code == read
        answer = client.post(f"{address}submit/")
        assert answer.status_code == write
        if write == 403:
            assert expect.problem(answer, 403, "scope_missing")["details"] == {"scope": "disbursements:write"}
        assert Disbursement.objects.get().status == ("submitted" if write == 200 else "draft")

    def test_hold_before_the_view_looks_at_anything(self, officer: User) -> None:
        _, client = make(officer, "payments:read")
        for method, route in routes.operations():
            area = scopes.area_of(route.removeprefix("/api/v1/"))
            if area == "auth" or (area, method) == ("payments", "GET"):
                continue
            address = route.format_map(dict.fromkeys(routes.names(route), 1))
            expect.problem(client.generic(method, address), 403, "scope_missing")

    def test_never_give_more_than_the_user_has(self, program: Program, officer: User, approver: User) -> None:
        factories.fund(program)
        made = factories.make_disbursement(program, officer)
        submitted = disbursements.submit(by=officer, disbursement_id=made.pk)
        _, client = make(officer, "disbursements:write")
        agreed = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
        expect.problem(client.post(f"/api/v1/disbursements/{made.pk}/approve/", agreed), 403, "role_missing")

    def test_let_every_token_ask_whose_it_is_and_end_itself(self, officer: User) -> None:
        made, client = make(officer, "payments:read")
        assert expect.ok(client.get("/api/v1/auth/me/"))["username"] == officer.username
        assert client.post("/api/v1/auth/logout/").status_code == 204
        made.refresh_from_db()
        assert (made.is_live, made.ended_by_id) == (False, officer.pk)


class TestOfOneProgram:
    @pytest.fixture
    def both(self, program: Program, officer: User) -> tuple[Disbursement, Disbursement]:
        """A list in each of two programs of one officer."""
        other = factories.make_program("OTHER")
        other.memberships.create(user=officer, role="officer", granted_by=officer)
        return factories.make_disbursement(program, officer), factories.make_disbursement(other, officer)

    def test_the_others_things_are_not_found(
        self, both: tuple[Disbursement, Disbursement], officer: User
    ) -> None:
        mine, other = both
        _, client = make(officer, "read", "disbursements:write", program_id=mine.program_id)
        expect.ok(client.get(f"/api/v1/disbursements/{mine.pk}/"))
        expect.ok(client.get(f"/api/v1/programs/{mine.program_id}/enrollments/"))
        expect.problem(client.get(f"/api/v1/disbursements/{other.pk}/"), 404, "not_found")
        expect.problem(client.post(f"/api/v1/disbursements/{other.pk}/submit/"), 404, "not_found")
        expect.problem(client.get(f"/api/v1/programs/{other.program_id}/"), 404, "not_found")

    @pytest.mark.parametrize(
        "address", ["payouts/", "programs/", "tokens/", "entries/", "entries/1/", "node/"]
    )
    def test_what_is_of_no_program_is_out_of_reach(
        self, both: tuple[Disbursement, Disbursement], officer: User, address: str
    ) -> None:
        _, client = make(officer, "read", program_id=both[0].program_id)
        expect.problem(client.get(f"/api/v1/{address}"), 403, "scope_missing")


class TestEnd:
    def test_refuses_the_token_from_then_on(self, api: Api, officer: User) -> None:
        made, client = make(officer, "read")
        expect.ok(client.get("/api/v1/auth/me/"))
        ended = expect.ok(api(officer).post(f"{TOKENS}{made.pk}/end/"))
        assert (ended["is_live"], ended["ended_by"]) == (False, officer.username)
        expect.problem(client.get("/api/v1/auth/me/"), 401, "authentication_failed")
        expect.problem(api(officer).post(f"{TOKENS}{made.pk}/end/"), 409, "token_ended")

    def test_is_for_the_owner_and_for_administrators(self, api: Api, officer: User, approver: User) -> None:
        made, client = make(officer, "read")
        expect.problem(api(approver).get(f"{TOKENS}{made.pk}/"), 404, "not_found")
        expect.problem(api(approver).post(f"{TOKENS}{made.pk}/end/"), 404, "not_found")
        expect.ok(client.get("/api/v1/auth/me/"))
        administrator = api(factories.make_administrator())
        (row,) = expect.ok(administrator.get(TOKENS))["results"]
        assert row["username"] == officer.username
        assert not expect.ok(administrator.post(f"{TOKENS}{made.pk}/end/"))["is_live"]
        expect.problem(client.get("/api/v1/auth/me/"), 401, "authentication_failed")

    def test_comes_by_itself(self, api: Api, officer: User) -> None:
        made, client = make(officer, "read")
        with time_machine.travel(timezone.now() + timedelta(days=31), tick=False):
            expect.problem(client.get("/api/v1/auth/me/"), 401, "authentication_failed")
            (row,) = expect.ok(api(officer).get(f"{TOKENS}?is_live=false"))["results"]
        assert (row["id"], row["is_live"], row["ended_at"]) == (made.pk, False, None)

    def test_of_all_of_a_user_leaves_nothing_of_theirs(self, api: Api, officer: User, approver: User) -> None:
        login, other = api(officer), api(approver)
        made, client = make(officer, "read")
        assert tokens.end_all(user_id=officer.pk, by_id=approver.pk) == 2
        for mine in (login, client):
            expect.problem(mine.get("/api/v1/auth/me/"), 401, "authentication_failed")
        expect.ok(other.get("/api/v1/auth/me/"))
        made.refresh_from_db()
        assert made.ended_by_id == approver.pk

    def test_is_not_what_many_logins_do(self, officer: User, settings: Any) -> None:
        settings.REST_KNOX = {**settings.REST_KNOX, "TOKEN_LIMIT_PER_USER": 1}
        _, client = make(officer, "read")
        for _ in range(2):
            body = {"username": officer.username, "password": factories.PASSWORD}
            expect.ok(APIClient().post("/api/v1/auth/login/", body, format="json"))
        assert AuthToken.objects.count() == 2
        expect.ok(client.get("/api/v1/auth/me/"))


def test_last_use_is_known_to_the_minute(api: Api, officer: User) -> None:
    made, client = make(officer, "read")
    assert made.last_used_at is None
    client.get("/api/v1/auth/me/")
    made.refresh_from_db()
    first = made.last_used_at
    assert first is not None
    client.get("/api/v1/auth/me/")
    made.refresh_from_db()
    assert made.last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    client.get("/api/v1/auth/me/")
    made.refresh_from_db()
    assert made.last_used_at >= first


class TestAdmin:
    def test_shows_and_ends_ones_own(self, officer: User, approver: User) -> None:
        made, client = make(officer, "read")
        page = reverse("admin:govpay_apitoken_change", args=[made.pk])
        end = reverse("admin:govpay_apitoken_end", args=[made.pk])
        other = Client()
        other.force_login(approver)
        assert other.get(page).status_code == 302
        assert other.post(end).status_code == 404
        browser = Client()
        browser.force_login(officer)
        assert f"Token {made.pk}" in browser.get("/admin/govpay/apitoken/").content.decode()
        assert browser.get(page).status_code == 200
        assert browser.get(end).status_code == 200
        expect.ok(client.get("/api/v1/auth/me/"))
        assert browser.post(end).status_code == 302
        expect.problem(client.get("/api/v1/auth/me/"), 401, "authentication_failed")
