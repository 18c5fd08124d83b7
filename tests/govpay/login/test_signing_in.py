"""The second factor at the doors: the password alone opens neither the admin nor the API."""

import re
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from govpay.login import devices
from govpay.models import TokenProof
from tests import factories
from tests.govpay.login.conftest import ADMIN_LOGIN, CODE, Enroll, is_in, password, post, shown, wrong
from tests.payments.api import expect

pytestmark = pytest.mark.django_db

ENROLL = "/admin/second-factor/"
ME = "/api/v1/auth/me/"


def give(browser: Client, code: str, address: str = CODE) -> Any:
    """Give a code on a page."""
    return browser.post(address, {"code": code})


@pytest.mark.usefixtures("required")
class TestAdminWhereItIsRequired:
    def test_is_enrolled_at_first_and_asked_for_ever_after(self, officer: User, clock: Any) -> None:
        browser = Client()
        answer = password(browser, officer.username)
        assert (answer.status_code, answer["Location"]) == (302, "/admin/")
        assert browser.get("/admin/")["Location"] == ENROLL

        page = browser.get(ENROLL)
        text = page.content.decode()
        assert "<svg" in text
        assert devices.secret_text(devices.begin(officer)) in text
        assert "no-store" in page.headers["Cache-Control"]
        assert not re.search(r'(src|href)="(https?:)?//', text)
        refused = give(browser, "000000" if shown(officer, confirmed=False) != "000000" else "1", ENROLL)
        assert (refused.status_code, "code_wrong" in refused.content.decode()) == (403, True)
        assert not is_in(browser)

        clock.shift(1)
        page = give(browser, shown(officer, confirmed=False), ENROLL)
        codes = re.findall(r">([a-z2-7]{4}(?:-[a-z2-7]{4}){3})<", page.content.decode())
        assert (page.status_code, len(codes)) == (200, 10)
        assert "no-store" in page.headers["Cache-Control"]
        assert is_in(browser)
        assert codes[0] not in browser.get(ENROLL).content.decode()

        browser.post("/admin/logout/")
        clock.shift(30)
        answer = password(browser, officer.username)
        assert (answer.status_code, answer["Location"]) == (302, f"{CODE}?next=%2Fadmin%2F")
        assert not is_in(browser)
        refused = give(browser, wrong(officer))
        assert (refused.status_code, "code_wrong" in refused.content.decode()) == (403, True)
        assert not is_in(browser)
        clock.shift(1)
        assert give(browser, shown(officer))["Location"] == "/admin/"
        assert is_in(browser)

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "payments/disbursement/",
            "payments/program/",
            "ledger/reports/",
            "auth/user/",
            "password_change/",
        ],
    )
    def test_lets_nobody_do_anything_else_before(self, address: str) -> None:
        browser = Client()
        browser.force_login(factories.make_user("root", is_superuser=True))
        for method in (browser.get, browser.post):
            answer = method(f"/admin/{address}")
            assert (answer.status_code, answer["Location"]) == (302, ENROLL)

    def test_asks_a_session_without_it_for_the_code(self, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        browser = Client()
        browser.force_login(officer)
        assert browser.get("/admin/")["Location"] == "/admin/step-up/?next=%2Fadmin%2F"
        assert browser.get(ENROLL)["Location"] == "/admin/step-up/?next=%2Fadmin%2Fsecond-factor%2F"
        assert give(browser, shown(officer), "/admin/step-up/?next=/admin/")["Location"] == "/admin/"
        assert is_in(browser)

    def test_ends_a_session_with_its_authenticator(self, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        browser = Client()
        password(browser, officer.username)
        give(browser, shown(officer))
        assert is_in(browser)
        officer.authenticator_set.all().delete()
        assert browser.get("/admin/")["Location"] == ENROLL


class TestAdmin:
    def test_signs_in_by_password_who_has_not_enrolled_where_it_is_optional(self, officer: User) -> None:
        browser = Client()
        password(browser, officer.username)
        assert is_in(browser)

    def test_asks_who_has_enrolled_where_it_is_optional(self, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        browser = Client()
        password(browser, officer.username)
        assert not is_in(browser)
        give(browser, shown(officer))
        assert is_in(browser)

    def test_changes_the_session_key_at_each_step(self, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        browser = Client()
        browser.force_login(factories.make_user("somebody-else"))
        keys = [browser.cookies["sessionid"].value]
        password(browser, officer.username)
        keys.append(browser.cookies["sessionid"].value)
        give(browser, shown(officer))
        keys.append(browser.cookies["sessionid"].value)
        assert len(set(keys)) == 3

    def test_takes_the_code_for_five_minutes_and_once(
        self, officer: User, enroll: Enroll, clock: Any
    ) -> None:
        enroll(officer)
        browser = Client()
        password(browser, officer.username)
        clock.shift(301)
        assert give(browser, shown(officer))["Location"].startswith(ADMIN_LOGIN)
        assert not is_in(browser)
        password(browser, officer.username)
        code = shown(officer)
        give(browser, code)
        browser.post("/admin/logout/")
        password(browser, officer.username)
        assert give(browser, code).status_code == 403
        assert not is_in(browser)

    def test_asks_nobody_for_a_code_without_the_password(self, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        browser = Client()
        assert give(browser, shown(officer))["Location"].startswith(ADMIN_LOGIN)
        password(browser, officer.username, "wrong")
        assert give(browser, shown(officer))["Location"].startswith(ADMIN_LOGIN)
        assert not is_in(browser)

    def test_forgets_somebody_who_was_deactivated_meanwhile(self, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        browser = Client()
        password(browser, officer.username)
        User.objects.filter(pk=officer.pk).update(is_active=False)
        assert give(browser, shown(officer))["Location"].startswith(ADMIN_LOGIN)

    def test_goes_on_within_the_site_only(self, officer: User, enroll: Enroll, clock: Any) -> None:
        enroll(officer)
        for then, goes in (
            ("/admin/payments/payout/", "/admin/payments/payout/"),
            ("https://example.org/", "/admin/"),
            ("//example.org/", "/admin/"),
            ("javascript:alert(1)", "/admin/"),
        ):
            browser = Client()
            password(browser, officer.username)
            assert give(browser, shown(officer), f"{CODE}?next={then}")["Location"] == goes
            clock.shift(30)

    def test_locks_out_after_five_wrong_codes(self, officer: User, enroll: Enroll, clock: Any) -> None:
        enroll(officer)
        browser = Client()
        password(browser, officer.username)
        for wait_s in (1, 2, 4, 8):
            assert give(browser, wrong(officer)).status_code == 403
            clock.shift(wait_s)
        assert give(browser, wrong(officer)).status_code == 429
        clock.shift(16)
        answer = give(browser, shown(officer))
        assert (answer.status_code, "locked_out" in answer.content.decode()) == (429, True)
        assert not is_in(browser)

    def test_takes_a_recovery_code_and_a_new_authenticator(
        self, officer: User, enroll: Enroll, clock: Any
    ) -> None:
        codes = enroll(officer)
        browser = Client()
        password(browser, officer.username)
        give(browser, codes[0])
        assert is_in(browser)
        assert "9 unused recovery codes" in browser.get(ENROLL).content.decode()
        old = shown(officer)
        assert "<svg" in browser.get(f"{ENROLL}?do=replace").content.decode()
        AuthToken.objects.create(user=officer)
        page = give(browser, shown(officer, confirmed=False), f"{ENROLL}?do=replace")
        assert page.status_code == 200
        assert is_in(browser)
        assert officer.authenticator_set.count() == 1
        assert AuthToken.objects.count() == 0
        clock.shift(30)
        other = Client()
        password(other, officer.username)
        assert give(other, old).status_code == 403
        clock.shift(1)
        assert give(other, codes[1]).status_code == 403

    def test_makes_new_recovery_codes_after_a_fresh_code_only(
        self, officer: User, enroll: Enroll, clock: Any
    ) -> None:
        enroll(officer)
        browser = Client()
        password(browser, officer.username)
        give(browser, shown(officer))
        assert browser.post(ENROLL, {"do": "codes"}).status_code == 200
        clock.shift(300)
        for answer in (browser.post(ENROLL, {"do": "codes"}), browser.get(f"{ENROLL}?do=replace")):
            assert answer["Location"].startswith("/admin/step-up/")

    def test_pages_are_for_staff(self, officer: User) -> None:
        for address in (ENROLL, "/admin/step-up/"):
            assert Client().get(address)["Location"].startswith(ADMIN_LOGIN)


class TestApi:
    def test_asks_who_has_enrolled_for_a_code(self, officer: User, enroll: Enroll, clock: Any) -> None:
        enroll(officer)
        client = APIClient()
        asked = post(client, officer.username)
        expect.problem(asked, 401, "second_factor_needed")
        assert asked["WWW-Authenticate"] == "Bearer"
        expect.problem(post(client, officer.username, body={"otp": wrong(officer)}), 403, "code_wrong")
        soon = post(client, officer.username, body={"otp": shown(officer)})
        assert expect.problem(soon, 429, "code_too_soon")["details"] == {"retry_after_s": 1}
        assert AuthToken.objects.count() == 0
        clock.shift(1)
        code = shown(officer)
        token = expect.ok(post(client, officer.username, body={"otp": code}))["token"]
        expect.ok(client.get(ME, headers={"authorization": f"Bearer {token}"}))
        assert TokenProof.objects.count() == 1
        expect.problem(post(client, officer.username, body={"otp": code}), 403, "code_wrong")

    def test_takes_no_code_for_a_password(self, officer: User, enroll: Enroll) -> None:
        enroll(officer)
        answer = post(APIClient(), officer.username, "wrong", body={"otp": shown(officer)})
        expect.problem(answer, 401, "login_failed")
        devices.verify(officer, shown(officer))

    def test_counts_wrong_codes_like_wrong_passwords(self, officer: User, enroll: Enroll, clock: Any) -> None:
        enroll(officer)
        client = APIClient()
        for wait_s in (1, 2, 4, 8):
            expect.problem(post(client, officer.username, body={"otp": wrong(officer)}), 403, "code_wrong")
            clock.shift(wait_s)
        expect.problem(post(client, officer.username, body={"otp": wrong(officer)}), 429, "locked_out")
        clock.shift(16)
        expect.problem(post(client, officer.username, body={"otp": shown(officer)}), 429, "locked_out")
        assert AuthToken.objects.count() == 0
        assert AccessAttempt.objects.get().failures_since_start == 5

    def test_lets_in_by_password_who_has_not_enrolled_where_it_is_optional(self, officer: User) -> None:
        expect.ok(post(APIClient(), officer.username))
        assert TokenProof.objects.count() == 0
