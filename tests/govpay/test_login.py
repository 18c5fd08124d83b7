"""Signing in and out, and what a token is worth."""

import secrets
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from govpay.api import limits
from payments.models import Program
from tests import factories
from tests.payments.api import expect

pytestmark = pytest.mark.django_db

LOGIN = "/api/v1/auth/login/"
ME = "/api/v1/auth/me/"


@pytest.fixture
def client() -> APIClient:
    """Somebody who has not signed in."""
    found = APIClient()
    found.default_format = "json"
    return found


def login(client: APIClient, username: str, password: str = factories.PASSWORD, **headers: Any) -> Any:
    """Try to sign in."""
    return client.post(LOGIN, {"username": username, "password": password}, headers=headers)


class TestLogin:
    def test_gives_a_token_that_ends(self, client: APIClient, officer: User, program: Program) -> None:
        response = login(client, officer.username)
        body = expect.ok(response)
        assert response["Cache-Control"] == "no-store"
        assert set(body) == {"token", "expires_at", "must_enroll"}
        stored = AuthToken.objects.get()
        assert timedelta(hours=9) < stored.expiry - timezone.now() < timedelta(hours=11)
        assert body["token"] not in (stored.digest, stored.token_key)
        me = expect.ok(client.get(ME, headers={"authorization": f"Bearer {body['token']}"}))
        assert me == {
            "id": officer.pk,
            "username": officer.username,
            "full_name": "",
            "programs": [{"program_id": program.pk, "program_code": "PENSIONS", "roles": ["officer"]}],
        }

    def test_answers_alike_whatever_is_wrong(self, client: APIClient, officer: User) -> None:
        User.objects.create_user("gone", password=factories.PASSWORD, is_active=False)
        answers = [
            expect.problem(login(client, name, password), 401, "login_failed")
            for name, password in [
                (officer.username, "wrong password"),
                ("nobody", factories.PASSWORD),
                ("gone", factories.PASSWORD),
            ]
        ]
        assert answers[0] == answers[1] == answers[2]
        assert AuthToken.objects.count() == 0

    def test_is_throttled_whatever_the_caller_says_of_its_address(
        self, client: APIClient, officer: User, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.GOVPAY_RATES = settings.GOVPAY_RATES | {"login": 20}
        moment = secrets.randbelow(2**50)
        monkeypatch.setattr(limits, "now_us", lambda: moment)
        for n in range(20):
            forwarded = {"x-forwarded-for": f"10.0.0.{n}"}
            expect.problem(login(client, f"user{n}", "wrong", **forwarded), 401, "login_failed")
        response = login(client, officer.username)
        expect.problem(response, 429, "throttled")
        assert response["Retry-After"] == "3"
        assert AuthToken.objects.count() == 0

    def test_keeps_no_more_tokens_than_allowed(self, client: APIClient, officer: User, settings: Any) -> None:
        settings.REST_KNOX = {**settings.REST_KNOX, "TOKEN_LIMIT_PER_USER": 2}
        tokens = [expect.ok(login(client, officer.username))["token"] for _ in range(3)]
        found = [client.get(ME, headers={"authorization": f"Bearer {t}"}).status_code for t in tokens]
        assert found == [401, 200, 200]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"username": "a"},
            {"username": 1, "password": "x"},
            [],
            "text",
            {"username": "a\x00", "password": "b"},
        ],
    )
    def test_refuses_a_body_of_another_shape(self, client: APIClient, body: Any) -> None:
        expect.problem(client.post(LOGIN, body), 400, "validation_error")


class TestLogout:
    def test_ends_this_token_only(self, client: APIClient, officer: User) -> None:
        one, two = (expect.ok(login(client, officer.username))["token"] for _ in range(2))
        response = client.post("/api/v1/auth/logout/", headers={"authorization": f"Bearer {one}"})
        assert response.status_code == 204
        expect.problem(
            client.get(ME, headers={"authorization": f"Bearer {one}"}), 401, "authentication_failed"
        )
        expect.ok(client.get(ME, headers={"authorization": f"Bearer {two}"}))


class TestToken:
    @pytest.mark.parametrize(
        "header",
        ["Bearer", "Bearer a b", "Bearer " + "a" * 64, "Bearer \xff\xfe" * 9, "Bearer '; --" + "a" * 20],
    )
    def test_refuses_what_is_none(self, client: APIClient, header: str) -> None:
        expect.problem(client.get(ME, HTTP_AUTHORIZATION=header), 401, "authentication_failed")

    @pytest.mark.parametrize("header", ["", "Basic YTpi", "Token abc"])
    def test_asks_for_one(self, client: APIClient, header: str) -> None:
        response = client.get(ME, HTTP_AUTHORIZATION=header)
        expect.problem(response, 401, "not_authenticated")
        assert response["WWW-Authenticate"] == "Bearer"

    def test_refuses_an_old_one(self, client: APIClient, officer: User) -> None:
        token = expect.ok(login(client, officer.username))["token"]
        AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
        expect.problem(
            client.get(ME, headers={"authorization": f"Bearer {token}"}), 401, "authentication_failed"
        )

    def test_refuses_one_of_a_user_who_was_deactivated(self, client: APIClient, officer: User) -> None:
        token = expect.ok(login(client, officer.username))["token"]
        User.objects.update(is_active=False)
        expect.problem(
            client.get(ME, headers={"authorization": f"Bearer {token}"}), 401, "authentication_failed"
        )

    def test_is_not_read_from_the_address(self, client: APIClient, officer: User) -> None:
        token = expect.ok(login(client, officer.username))["token"]
        expect.problem(client.get(f"{ME}?token={token}"), 401, "not_authenticated")

    def test_a_session_is_not_one(self, client: APIClient, officer: User) -> None:
        client.force_login(officer)
        expect.problem(client.get(ME), 401, "not_authenticated")
