"""Security keys: whose signature counts, for which question, once; and which keys a user may have."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings, strategies
from rest_framework.test import APIClient

from govpay import tokens
from govpay.errors import NotFound
from govpay.login import devices, errors, keys
from govpay.login.keys import Purpose
from govpay.models import KeyChallenge, SecurityKey
from ledger.models import AuditEvent
from payments.models.encrypted import FieldUnreadable
from tests import factories
from tests.govpay.login.conftest import CODE, Enroll, add_key, bearer, is_in, password, post, shown
from tests.govpay.login.software_key import PRESENT, VERIFIED, SoftwareKey, text
from tests.payments.api import expect
from tests.racing import race

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("keys_on")]

STEP_UP = "/api/v1/auth/step-up/"
ENROLL = "/admin/second-factor/"
Bend = Callable[[SoftwareKey, dict[str, Any]], dict[str, Any]]


@pytest.fixture
def stick(officer: User) -> SoftwareKey:
    """The officer's security key."""
    return add_key(officer)


def prove(user: User, key: SoftwareKey, purpose: Purpose = Purpose.STEP_UP) -> SecurityKey:
    """Ask and answer."""
    return keys.verify(user, purpose=purpose, credential=key.sign(keys.question(user, purpose)))


def elsewhere(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    key.origin = "https://pay.example.com"
    return key.sign(asked)


def another_domain(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    return key.sign(asked | {"rpId": "example.com"})


def unverified(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    key.flags = PRESENT
    return key.sign(asked)


def absent(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    key.flags = VERIFIED
    return key.sign(asked)


def another_challenge(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    return key.sign(asked | {"challenge": text(bytes(32))})


def another_key(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    stranger = SoftwareKey()
    stranger.id = key.id
    return stranger.sign(asked)


def unknown_key(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    return SoftwareKey().sign(asked)


def another_kind(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    answer = key.sign(asked)
    told = json.loads(base64.urlsafe_b64decode(answer["response"]["clientDataJSON"] + "=="))
    answer["response"]["clientDataJSON"] = text(json.dumps(told | {"type": "webauthn.create"}).encode())
    return answer


def nothing(key: SoftwareKey, asked: dict[str, Any]) -> dict[str, Any]:
    return {}


class TestVerify:
    @pytest.mark.parametrize(
        "bend",
        [
            *(elsewhere, another_domain, unverified, absent, another_challenge),
            *(another_key, unknown_key, another_kind, nothing),
        ],
        ids=lambda bend: bend.__name__,
    )
    def test_refuses(self, bend: Bend, officer: User, stick: SoftwareKey) -> None:
        asked = keys.question(officer, Purpose.STEP_UP)
        with pytest.raises(errors.KeyRefused):
            keys.verify(officer, purpose=Purpose.STEP_UP, credential=bend(stick, asked))
        row = SecurityKey.objects.get()
        assert (row.sign_count, row.last_used_at) == (0, None)

    def test_takes_an_answer_once(self, officer: User, stick: SoftwareKey) -> None:
        answer = stick.sign(keys.question(officer, Purpose.STEP_UP))
        key = keys.verify(officer, purpose=Purpose.STEP_UP, credential=answer)
        assert (key.sign_count, KeyChallenge.objects.count()) == (1, 0)
        with pytest.raises(errors.KeyRefused, match="ask again"):
            keys.verify(officer, purpose=Purpose.STEP_UP, credential=answer)

    def test_takes_an_answer_for_its_purpose_only(self, officer: User, stick: SoftwareKey) -> None:
        answer = stick.sign(keys.question(officer, Purpose.STEP_UP))
        with pytest.raises(errors.KeyRefused):
            keys.verify(officer, purpose=Purpose.SIGN_IN, credential=answer)

    def test_takes_an_answer_of_its_user_only(
        self, officer: User, approver: User, stick: SoftwareKey
    ) -> None:
        add_key(approver)
        answer = stick.sign(keys.question(approver, Purpose.STEP_UP))
        with pytest.raises(errors.KeyRefused):
            keys.verify(officer, purpose=Purpose.STEP_UP, credential=answer)
        with pytest.raises(errors.KeyRefused):
            keys.verify(approver, purpose=Purpose.STEP_UP, credential=answer)

    def test_takes_an_answer_for_five_minutes(self, officer: User, stick: SoftwareKey, clock: Any) -> None:
        asked = keys.question(officer, Purpose.STEP_UP)
        clock.shift(300)
        with pytest.raises(errors.KeyRefused):
            keys.verify(officer, purpose=Purpose.STEP_UP, credential=stick.sign(asked))
        keys.question(officer, Purpose.STEP_UP)
        assert KeyChallenge.objects.count() == 1

    def test_refuses_a_copy_that_counts_behind(self, officer: User, stick: SoftwareKey) -> None:
        for _ in range(3):
            prove(officer, stick)
        for behind in (2, 1, 0):
            stick.count = behind
            with pytest.raises(errors.KeyRefused):
                prove(officer, stick)
        assert SecurityKey.objects.get().sign_count == 3
        stick.count = 3
        prove(officer, stick)

    def test_takes_who_was_not_verified_where_settings_say_so(
        self, officer: User, stick: SoftwareKey, settings: Any
    ) -> None:
        settings.GOVPAY_KEY_VERIFIES_USER = False
        stick.flags = PRESENT
        assert keys.question(officer, Purpose.STEP_UP)["userVerification"] == "preferred"
        prove(officer, stick)

    def test_refuses_a_row_that_was_moved_to_somebody_else(
        self, officer: User, approver: User, stick: SoftwareKey
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE govpay_securitykey SET user_id = %s", [approver.pk])
        with pytest.raises(FieldUnreadable):
            prove(approver, stick)

    def test_keeps_no_public_key_in_the_clear(self, officer: User, stick: SoftwareKey) -> None:
        numbers = stick.private.public_key().public_numbers()
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(t)::text FROM govpay_securitykey t")
            assert f"{numbers.x:064x}" not in cursor.fetchone()[0]

    @given(where=strategies.integers(0, 400), byte=strategies.integers(0, 255))
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_refuses_whatever_is_malformed(
        self, where: int, byte: int, officer: User, stick: SoftwareKey
    ) -> None:
        made, fresh = SoftwareKey(), keys.question_for_new(officer)
        answer = made.make(fresh)
        raw = bytearray(base64.urlsafe_b64decode(answer["response"]["attestationObject"] + "=="))
        raw[where % len(raw)] ^= byte
        answer["response"]["attestationObject"] = text(bytes(raw[: max(1, where)]))
        try:
            keys.add(officer, name="x", credential=answer)
        except errors.KeyRefused:
            assert SecurityKey.objects.count() == 1
        else:
            SecurityKey.objects.exclude(credential_id=stick.id).delete()


@pytest.mark.django_db(transaction=True)
def test_one_of_two_answers_to_one_question_counts(officer: User, stick: SoftwareKey) -> None:
    answer = stick.sign(keys.question(officer, Purpose.STEP_UP))
    won, second = race(
        *[lambda: keys.verify(officer, purpose=Purpose.STEP_UP, credential=answer)] * 2,
    )
    assert isinstance(won, SecurityKey)
    assert isinstance(second.error, errors.KeyRefused)
    assert SecurityKey.objects.get().sign_count == 1


class TestOwn:
    def test_may_be_several(self, officer: User, stick: SoftwareKey) -> None:
        phone = add_key(officer, "phone")
        assert [key.name for key in keys.of(officer)] == ["stick", "phone"]
        assert [key.transports for key in keys.of(officer)] == [["usb"], ["usb"]]
        allowed = keys.question(officer, Purpose.STEP_UP)["allowCredentials"]
        assert [item["id"] for item in allowed] == [text(stick.id), text(phone.id)]
        excluded = keys.question_for_new(officer)["excludeCredentials"]
        assert [item["id"] for item in excluded] == [text(stick.id), text(phone.id)]
        prove(officer, phone)
        prove(officer, stick)

    def test_are_ten_at_most(self, officer: User, stick: SoftwareKey) -> None:
        for n in range(9):
            add_key(officer, f"key {n}")
        with pytest.raises(errors.TooManyKeys):
            add_key(officer)
        assert keys.of(officer).count() == 10

    def test_are_added_once(self, officer: User, approver: User, stick: SoftwareKey) -> None:
        for user in (officer, approver):
            with pytest.raises(errors.KeyRefused):
                keys.add(user, name="again", credential=stick.make(keys.question_for_new(user)))
        assert SecurityKey.objects.count() == 1

    def test_are_added_by_whoever_was_asked(self, officer: User, approver: User) -> None:
        answer = SoftwareKey().make(keys.question_for_new(officer))
        with pytest.raises(errors.KeyRefused):
            keys.add(approver, name="x", credential=answer)
        bad = SoftwareKey(flags=PRESENT)
        with pytest.raises(errors.KeyRefused):
            keys.add(officer, name="x", credential=bad.make(keys.question_for_new(officer)))
        assert SecurityKey.objects.count() == 0

    def test_cannot_be_removed_when_it_is_the_last_factor(self, officer: User, stick: SoftwareKey) -> None:
        one = keys.of(officer).get()
        with pytest.raises(errors.LastFactor):
            keys.remove(officer, security_key_id=one.pk)
        add_key(officer, "phone")
        keys.remove(officer, security_key_id=one.pk)
        assert [key.name for key in keys.of(officer)] == ["phone"]
        with pytest.raises(errors.NotEnrolled):
            devices.remove_app(officer)

    def test_let_the_app_be_removed(self, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        with pytest.raises(errors.LastFactor):
            devices.remove_app(officer)
        add_key(officer)
        devices.remove_app(officer)
        assert (devices.has_app(officer), devices.has_one(officer)) == (False, True)

    def test_are_ones_own(self, officer: User, approver: User, stick: SoftwareKey) -> None:
        pk = keys.of(officer).get().pk
        for act in (keys.remove, lambda user, **which: keys.rename(user, name="mine", **which)):
            with pytest.raises(NotFound):
                act(approver, security_key_id=pk)
        assert keys.of(officer).get().name == "stick"

    def test_are_recorded(self, officer: User, stick: SoftwareKey) -> None:
        pk = keys.of(officer).get().pk
        add_key(officer, "phone")
        keys.rename(officer, security_key_id=pk, name="red")
        keys.remove(officer, security_key_id=pk)
        found = AuditEvent.objects.filter(subject_kind="securitykey").order_by("pk")
        assert [event.action for event in found] == [
            "security_key.add",
            "security_key.add",
            "security_key.rename",
            "security_key.remove",
        ]

    def test_have_recovery_codes_beside_them_that_cost_time(self, officer: User, clock: Any) -> None:
        made = SoftwareKey()
        _, codes = keys.add(officer, name="x", credential=made.make(keys.question_for_new(officer)))
        with pytest.raises(errors.CodeWrong):
            devices.verify(officer, "123456")
        with pytest.raises(errors.TooSoon):
            devices.verify(officer, codes[0])
        clock.shift(1)
        devices.verify(officer, codes[0])
        with pytest.raises(errors.CodeWrong):
            devices.verify(officer, codes[0])

    def test_end_with_a_reset(self, officer: User, stick: SoftwareKey, enroll: Enroll) -> None:
        chiefs = [factories.make_user(name, is_superuser=True) for name in ("one", "two")]
        for chief in chiefs:
            enroll(chief)
        devices.reset(officer, agreed=[(chief, shown(chief)) for chief in chiefs])
        assert not devices.has_one(officer)


class TestApi:
    def test_signs_in(self, officer: User, stick: SoftwareKey) -> None:
        client = APIClient()
        needed = expect.problem(post(client, officer.username), 401, "second_factor_needed")
        assert needed["details"] == {"security_key": True}
        given = {"username": officer.username, "password": factories.PASSWORD}
        asked = expect.ok(client.post("/api/v1/auth/login/question/", given, format="json"))["public_key"]
        answer = stick.sign(asked)
        token = expect.ok(post(client, officer.username, body={"credential": answer}))["token"]
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        expect.problem(client.post("/api/v1/stops/1/lift/", {}, format="json"), 404, "not_found")
        again = post(APIClient(), officer.username, body={"credential": answer})
        expect.problem(again, 403, "key_refused")
        assert AccessAttempt.objects.get().failures_since_start == 1

    def test_asks_nobody_whose_password_is_wrong(self, officer: User, stick: SoftwareKey) -> None:
        given = {"username": officer.username, "password": "wrong"}
        answer = APIClient().post("/api/v1/auth/login/question/", given, format="json")
        expect.problem(answer, 401, "login_failed")
        assert KeyChallenge.objects.count() == 0

    def test_takes_no_key_for_a_password(self, officer: User, stick: SoftwareKey) -> None:
        answer = stick.sign(keys.question(officer, Purpose.SIGN_IN))
        refused = post(APIClient(), officer.username, "wrong", body={"credential": answer})
        expect.problem(refused, 401, "login_failed")

    def test_steps_up(self, officer: User, stick: SoftwareKey) -> None:
        client = bearer(officer)
        lift = "/api/v1/stops/1/lift/"
        expect.problem(client.post(lift, {}), 403, "step_up_needed")
        asked = expect.ok(client.post(f"{STEP_UP}question/"))["public_key"]
        expect.ok(client.post(STEP_UP, {"credential": stick.sign(asked)}))
        expect.problem(client.post(lift, {}), 404, "not_found")

    def test_steps_up_with_a_named_token(self, officer: User, stick: SoftwareKey) -> None:
        _, secret = tokens.make(user=officer, name="bot", scopes=["stops:write"], days=1)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        asked = expect.ok(client.post(f"{STEP_UP}question/"))["public_key"]
        expect.ok(client.post(STEP_UP, {"credential": stick.sign(asked)}, format="json"))
        expect.problem(client.post("/api/v1/stops/1/lift/", {}, format="json"), 404, "not_found")

    def test_takes_one_of_code_and_key(self, officer: User, stick: SoftwareKey) -> None:
        client = bearer(officer)
        for body in ({}, {"otp": "123456", "credential": {}}, {"credential": "x"}, {"credential": []}):
            expect.problem(client.post(STEP_UP, body), 400, "validation_error")
        expect.problem(client.post(STEP_UP, {"credential": {"response": 7}}), 403, "key_refused")

    def test_names_and_removes(self, officer: User, stick: SoftwareKey, enroll: Enroll) -> None:
        client = bearer(officer)
        asked = expect.ok(client.post(f"{STEP_UP}question/"))["public_key"]
        expect.ok(client.post(STEP_UP, {"credential": stick.sign(asked)}))
        pk = keys.of(officer).get().pk
        address = f"/api/v1/auth/security-keys/{pk}/"
        assert expect.ok(client.post(f"{address}rename/", {"name": "red"}))["name"] == "red"
        expect.problem(client.post(f"{address}rename/", {"name": ""}), 400, "validation_error")
        expect.problem(client.post(f"{address}remove/"), 409, "last_factor")
        add_key(officer, "phone")
        assert client.post(f"{address}remove/").status_code == 204
        expect.problem(client.post(f"{address}remove/"), 404, "not_found")
        assert [key["name"] for key in expect.ok(client.get("/api/v1/auth/factors/"))["security_keys"]] == [
            "phone"
        ]


def question_on(page: Any) -> dict[str, Any]:
    """What the page has the browser ask."""
    found: dict[str, Any] = json.loads(page.context["question"])
    return found


class TestAdmin:
    def test_signs_in_and_steps_up(self, officer: User, stick: SoftwareKey, clock: Any) -> None:
        browser = Client()
        assert password(browser, officer.username)["Location"].startswith(CODE)
        page = browser.get(CODE)
        assert '<script src="/static/govpay/security-key.js">' in page.content.decode()
        refused = browser.post(CODE, {"credential": json.dumps(SoftwareKey().sign(question_on(page)))})
        assert (refused.status_code, "key_refused" in refused.content.decode()) == (403, True)
        assert not is_in(browser)
        answer = json.dumps(stick.sign(question_on(refused)))
        assert browser.post(CODE, {"credential": answer})["Location"] == "/admin/"
        assert is_in(browser)
        clock.shift(300)
        lift = "/admin/payments/stop/1/lift/"
        where = browser.get(lift)["Location"]
        answer = json.dumps(stick.sign(question_on(browser.get(where))))
        assert browser.post(where, {"credential": answer})["Location"] == lift

    def test_locks_out_after_five_wrong_answers(self, officer: User, stick: SoftwareKey) -> None:
        browser = Client()
        password(browser, officer.username)
        for _ in range(4):
            assert browser.post(CODE, {"credential": "{}"}).status_code == 403
        assert browser.post(CODE, {"credential": "{}"}).status_code == 429
        answer = json.dumps(stick.sign(keys.question(officer, Purpose.SIGN_IN)))
        assert browser.post(CODE, {"credential": answer}).status_code == 429
        assert not is_in(browser)

    @pytest.mark.parametrize("sent", ["", "x", "[]", "7", '"{}"', "[" * 5000])
    def test_takes_objects_only(self, sent: str, officer: User, stick: SoftwareKey) -> None:
        browser = Client()
        password(browser, officer.username)
        assert browser.post(CODE, {"credential": sent}).status_code == 200
        assert not is_in(browser)

    @pytest.mark.usefixtures("required")
    def test_enrolls_names_and_removes(self, officer: User, clock: Any) -> None:
        browser, stick, phone = Client(), SoftwareKey(), SoftwareKey()
        password(browser, officer.username)
        assert "?do=key" in browser.get(ENROLL).content.decode()
        page = browser.get(f"{ENROLL}?do=key")
        form = {"do": "key", "name": "stick", "credential": json.dumps(stick.make(question_on(page)))}
        done = browser.post(f"{ENROLL}?do=key", form)
        assert len(done.context["codes"]) == 10
        assert is_in(browser)
        page = browser.get(f"{ENROLL}?do=key")
        form = {"do": "key", "name": "phone", "credential": json.dumps(phone.make(question_on(page)))}
        assert browser.post(f"{ENROLL}?do=key", form)["Location"] == ENROLL
        one, two = keys.of(officer)
        browser.post(ENROLL, {"do": "rename", "key": one.pk, "name": " red "})
        assert [key.name for key in keys.of(officer)] == ["red", "phone"]
        browser.post(ENROLL, {"do": "remove", "key": two.pk})
        refused = browser.post(ENROLL, {"do": "remove", "key": one.pk})
        assert (refused.status_code, "last_factor" in refused.content.decode()) == (409, True)
        assert browser.post(ENROLL, {"do": "remove", "key": "x"}).status_code == 404
        clock.shift(300)
        assert browser.post(ENROLL, {"do": "remove", "key": one.pk})["Location"].startswith("/admin/step-up/")
        assert [key.name for key in keys.of(officer)] == ["red"]

    def test_ends_the_session_with_the_key(self, officer: User, stick: SoftwareKey, enroll: Enroll) -> None:
        browser = Client()
        password(browser, officer.username)
        answer = json.dumps(stick.sign(question_on(browser.get(CODE))))
        browser.post(CODE, {"credential": answer})
        assert browser.get(ENROLL).status_code == 200
        add_key(officer, "phone")
        keys.remove(officer, security_key_id=keys.of(officer)[0].pk)
        assert browser.get(ENROLL)["Location"].startswith("/admin/step-up/")

    def test_shows_no_key_where_they_are_not_set_up(
        self, officer: User, enroll: Enroll, settings: Any
    ) -> None:
        settings.GOVPAY_ORIGIN = ""
        enroll(officer)
        browser = Client()
        password(browser, officer.username)
        page = browser.get(CODE).content.decode()
        assert "data-question" not in page
        assert "security-key.js" not in page
