"""Enrolling a second factor over the API alone: with the password, once; afterwards with a fresh proof."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from knox.models import AuthToken
from rest_framework.test import APIClient

from govpay import tokens
from govpay.models import Authenticator, RecoveryCode, SecurityKey
from ledger.models import AuditEvent
from tests.govpay.login.conftest import Enroll, add_key, bearer, post, shown
from tests.govpay.login.software_key import SoftwareKey
from tests.payments.api import expect

pytestmark = pytest.mark.django_db

ME = "/api/v1/auth/me/"
FACTORS = "/api/v1/auth/factors/"
APP = "/api/v1/auth/authenticator/"
KEYS = "/api/v1/auth/security-keys/"
STEP_UP = "/api/v1/auth/step-up/"


def signed_in(user: User) -> APIClient:
    """Whoever signed in with the password alone."""
    client = APIClient()
    client.default_format = "json"
    answer = expect.ok(post(client, user.username))
    assert answer["must_enroll"] is True
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer['token']}")
    return client


@pytest.mark.usefixtures("required")
class TestFirst:
    def test_opens_nothing_but_enrolling(self, officer: User) -> None:
        client = signed_in(officer)
        for address in (ME, "/api/v1/programs/", "/api/v1/tokens/"):
            expect.problem(client.get(address), 403, "second_factor_not_enrolled")
        new = {"name": "x", "scopes": ["read"], "days": 1}
        expect.problem(client.post("/api/v1/tokens/", new), 403, "second_factor_not_enrolled")
        expect.problem(client.post(STEP_UP, {"otp": "1"}), 403, "second_factor_not_enrolled")
        assert expect.ok(client.get(FACTORS)) == {
            "is_required": True,
            "has_authenticator": False,
            "recovery_codes_left": 0,
            "security_keys": [],
        }
        assert client.post("/api/v1/auth/logout/").status_code == 204

    def test_enrolls_an_authenticator_and_goes_on_with_a_new_token(self, officer: User, clock: Any) -> None:
        other, client = signed_in(officer), signed_in(officer)
        asked = client.post(APP)
        found = expect.ok(asked)
        assert asked["Cache-Control"] == "no-store"
        assert found["address"].startswith(f"otpauth://totp/govpay%20regtest%3A{officer.username}?secret=")
        assert found["secret"] in found["address"]
        assert expect.ok(client.post(APP)) == found
        expect.problem(client.post(f"{APP}confirm/", {"otp": "12345"}), 403, "code_wrong")
        expect.problem(client.get(ME), 403, "second_factor_not_enrolled")
        clock.shift(1)
        made = expect.ok(client.post(f"{APP}confirm/", {"otp": shown(officer, confirmed=False)}))
        assert (len(made["recovery_codes"]), made["expires_at"]) == (10, "2026-11-29T22:00:11Z")
        for ended in (client, other):
            expect.problem(ended.get(ME), 401, "authentication_failed")
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
        expect.ok(client.get(ME))
        # The code that enrolled is as fresh as any.
        expect.problem(client.post("/api/v1/stops/1/lift/", {}), 404, "not_found")
        clock.shift(30)
        assert (
            expect.ok(post(APIClient(), officer.username, body={"otp": shown(officer)}))["must_enroll"]
            is False
        )
        event = AuditEvent.objects.filter(action="authenticator.enroll").get()
        assert (event.action, event.actor, event.door) == ("authenticator.enroll", officer.username, "api")

    @pytest.mark.usefixtures("keys_on")
    def test_enrolls_a_security_key_and_goes_on_with_a_new_token(self, officer: User) -> None:
        client, stick = signed_in(officer), SoftwareKey()
        asked = expect.ok(client.post(f"{KEYS}question/"))["public_key"]
        assert (asked["rp"]["id"], asked["authenticatorSelection"]["userVerification"]) == (
            "pay.example.gov",
            "required",
        )
        answer = client.post(KEYS, {"name": "blue stick", "credential": stick.make(asked)})
        made = expect.ok(answer, 201)
        assert (made["key"]["name"], len(made["recovery_codes"])) == ("blue stick", 10)
        expect.problem(client.get(ME), 401, "authentication_failed")
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
        expect.ok(client.get(ME))
        expect.problem(client.post("/api/v1/stops/1/lift/", {}), 404, "not_found")
        expect.ok(post(APIClient(), officer.username, body={"otp": made["recovery_codes"][0]}))

    def test_is_of_the_password_and_nobody_else(self, officer: User) -> None:
        expect.problem(APIClient().post(APP), 401, "not_authenticated")
        expect.problem(post(APIClient(), officer.username, "wrong"), 401, "login_failed")
        assert Authenticator.objects.count() == AuthToken.objects.count() == 0


class TestFurther:
    @pytest.mark.usefixtures("keys_on")
    @pytest.mark.parametrize(
        ("address", "body"),
        [
            (APP, {}),
            (f"{APP}confirm/", {"otp": "123456"}),
            (f"{APP}remove/", {}),
            ("/api/v1/auth/recovery-codes/", {}),
            (f"{KEYS}question/", {}),
            (KEYS, {"name": "x", "credential": {}}),
            (f"{KEYS}1/remove/", {}),
        ],
    )
    def test_needs_a_fresh_proof(self, address: str, body: Any, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        add_key(officer)
        expect.problem(bearer(officer).post(address, body), 403, "step_up_needed")
        assert (Authenticator.objects.count(), SecurityKey.objects.count()) == (1, 1)
        assert RecoveryCode.objects.count() == 10

    def test_replaces_an_authenticator(self, officer: User, enroll: Enroll, clock: Any) -> None:
        old_codes = enroll(officer)
        client = bearer(officer)
        expect.ok(client.post(STEP_UP, {"otp": shown(officer)}))
        before = Authenticator.objects.get().pk
        expect.ok(client.post(APP))
        made = expect.ok(client.post(f"{APP}confirm/", {"otp": shown(officer, confirmed=False)}))
        assert Authenticator.objects.get().pk != before
        assert AuthToken.objects.count() == 1
        expect.problem(post(APIClient(), officer.username, body={"otp": old_codes[0]}), 403, "code_wrong")
        clock.shift(1)
        expect.ok(post(APIClient(), officer.username, body={"otp": made["recovery_codes"][0]}))

    def test_renews_recovery_codes(self, officer: User, enroll: Enroll) -> None:
        old = enroll(officer)
        client = bearer(officer)
        expect.ok(client.post(STEP_UP, {"otp": shown(officer)}))
        new = expect.ok(client.post("/api/v1/auth/recovery-codes/"))["recovery_codes"]
        assert (len(set(new)), set(new) & set(old)) == (10, set())
        assert expect.ok(client.get(FACTORS))["recovery_codes_left"] == 10

    def test_refuses_named_tokens(self, officer: User, enroll: Enroll) -> None:
        _, secret = tokens.make(user=officer, name="bot", scopes=["programs:write"], days=1)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        for address in (APP, f"{APP}confirm/", f"{APP}remove/", f"{KEYS}question/", KEYS, f"{KEYS}1/rename/"):
            expect.problem(client.post(address, {}, format="json"), 403, "login_needed")
        expect.problem(client.get(FACTORS), 403, "login_needed")
        assert Authenticator.objects.count() == 0

    def test_says_where_keys_are_not_set_up(self, officer: User) -> None:
        expect.problem(bearer(officer).post(f"{KEYS}question/"), 409, "security_keys_off")

    def test_needs_nothing_where_it_is_optional(self, officer: User) -> None:
        assert expect.ok(post(APIClient(), officer.username))["must_enroll"] is False
        expect.ok(bearer(officer).post(APP))
