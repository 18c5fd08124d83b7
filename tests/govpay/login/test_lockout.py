"""Too many wrong passwords lock a user and an address out, alike whether the user exists, until time or somebody unlocks."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from tests import factories
from tests.govpay.login.conftest import is_in, password, post
from tests.payments.api import expect

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> APIClient:
    return APIClient()


def lock(client: APIClient, username: str, **more: Any) -> Any:
    """Mistype as often as is allowed; return the last answer."""
    for _ in range(4):
        expect.problem(post(client, username, "wrong", **more), 401, "login_failed")
    return post(client, username, "wrong", **more)


class TestUser:
    def test_is_locked_out_with_the_fifth_wrong_password(self, client: APIClient, officer: User) -> None:
        last = lock(client, officer.username)
        expect.problem(last, 429, "locked_out")
        assert last["Retry-After"] == "900"
        expect.problem(post(client, officer.username), 429, "locked_out")
        assert AuthToken.objects.count() == 0
        browser = Client()
        answer = password(browser, officer.username)
        assert answer.status_code == 429
        assert "<code>locked_out</code>" in answer.content.decode()
        assert "script-src 'self' 'unsafe-eval'" in answer.headers["Content-Security-Policy"]
        assert not is_in(browser)

    def test_is_locked_out_by_the_admin_as_by_the_api(self, client: APIClient, officer: User) -> None:
        browser = Client()
        statuses = [password(browser, officer.username, "wrong").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 200, 429]
        expect.problem(post(client, officer.username), 429, "locked_out")

    def test_is_locked_out_wherever_the_attempts_come_from(self, client: APIClient, officer: User) -> None:
        for n in range(5):
            answer = post(client, officer.username, "wrong", REMOTE_ADDR=f"192.0.2.{n}")
        expect.problem(answer, 429, "locked_out")
        expect.problem(post(client, officer.username, REMOTE_ADDR="192.0.2.99"), 429, "locked_out")

    def test_who_does_not_exist_is_answered_alike(self, client: APIClient, officer: User) -> None:
        there, nowhere = lock(client, officer.username), lock(client, "nobody")
        assert (there.status_code, there.content) == (nowhere.status_code, nowhere.content)
        there, nowhere = (password(Client(), name) for name in (officer.username, "nobody"))
        assert (there.status_code, there.content) == (nowhere.status_code, nowhere.content)

    def test_may_try_again_later_whoever_went_on_trying(
        self, client: APIClient, officer: User, clock: Any
    ) -> None:
        lock(client, officer.username)
        clock.shift(600)
        expect.problem(post(client, officer.username, "wrong"), 429, "locked_out")
        clock.shift(301)
        expect.ok(post(client, officer.username))
        assert AccessAttempt.objects.count() == 0

    def test_begins_anew_after_signing_in(self, client: APIClient, officer: User) -> None:
        for _ in range(2):
            for _ in range(4):
                expect.problem(post(client, officer.username, "wrong"), 401, "login_failed")
            expect.ok(post(client, officer.username))

    def test_leaves_no_password_in_the_table(self, officer: User) -> None:
        password(Client(), officer.username, "a password that is nearly right")
        row = AccessAttempt.objects.get()
        assert "nearly" not in f"{row.get_data}{row.post_data}{row.path_info}"


class TestAddress:
    @pytest.fixture(autouse=True)
    def _three(self, settings: Any) -> None:
        settings.GOVPAY_ADDRESS_FAILURES = 3

    def test_is_locked_out_for_everybody(self, client: APIClient, officer: User) -> None:
        for name in ("a", "b"):
            expect.problem(post(client, name, "wrong"), 401, "login_failed")
        expect.problem(post(client, "c", "wrong"), 429, "locked_out")
        expect.problem(post(client, officer.username), 429, "locked_out")
        expect.ok(post(client, officer.username, REMOTE_ADDR="192.0.2.1"))

    def test_is_not_what_a_caller_says(self, client: APIClient, officer: User) -> None:
        for n in range(3):
            answer = post(client, f"user{n}", "wrong", HTTP_X_FORWARDED_FOR=f"192.0.2.{n}")
        expect.problem(answer, 429, "locked_out")

    def test_is_what_our_proxy_says(self, client: APIClient, officer: User, settings: Any) -> None:
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
        for n in range(4):
            forwarded = f"198.51.100.1, 192.0.2.{n}"
            expect.problem(
                post(client, f"user{n}", "wrong", HTTP_X_FORWARDED_FOR=forwarded), 401, "login_failed"
            )
        assert set(AccessAttempt.objects.values_list("ip_address", flat=True)) == {
            f"192.0.2.{n}" for n in range(4)
        }
        post(client, "user0", "wrong", HTTP_X_FORWARDED_FOR="no-address")
        assert AccessAttempt.objects.filter(ip_address=None).count() == 1

    def test_is_not_unlocked_by_who_signs_in_from_it(self, client: APIClient, officer: User) -> None:
        for name in ("a", "b"):
            post(client, name, "wrong")
        expect.ok(post(client, officer.username))
        expect.problem(post(client, "c", "wrong"), 429, "locked_out")


class TestUnlock:
    def test_by_a_command(self, client: APIClient, officer: User, settings: Any) -> None:
        lock(client, officer.username)
        call_command("unlock", user=officer.username)
        expect.ok(post(client, officer.username))
        settings.GOVPAY_ADDRESS_FAILURES = 2
        for name in ("a", "b"):
            post(client, name, "wrong")
        expect.problem(post(client, officer.username), 429, "locked_out")
        call_command("unlock", address="127.0.0.1")
        expect.ok(post(client, officer.username))

    def test_by_a_command_that_says_whom(self) -> None:
        with pytest.raises(CommandError, match="one of the arguments --user --address is required"):
            call_command("unlock")

    def test_by_an_administrator_in_the_admin(self, client: APIClient, officer: User) -> None:
        lock(client, officer.username)
        row = AccessAttempt.objects.get()
        page = f"/admin/govpay/failedlogin/{row.pk}/"
        stranger, administrator = Client(), Client()
        stranger.force_login(factories.make_user("stranger"))
        administrator.force_login(factories.make_user("looks-after-users", "auth.change_user"))
        assert stranger.get("/admin/govpay/failedlogin/").status_code == 403
        assert stranger.post(f"{page}unlock-user/").status_code in (403, 404)
        expect.problem(post(client, officer.username), 429, "locked_out")
        assert officer.username in administrator.get("/admin/govpay/failedlogin/").content.decode()
        assert administrator.get(f"{page}change/").status_code == 200
        answer = administrator.post(f"{page}unlock-user/")
        assert (answer.status_code, answer["Location"]) == (302, "/admin/govpay/failedlogin/")
        expect.ok(post(client, officer.username))
