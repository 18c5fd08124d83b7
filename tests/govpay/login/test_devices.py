"""Authenticators and recovery codes: each code works once, wrong ones cost time, and the database knows no secret."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from knox.models import AuthToken

from govpay.login import devices, errors
from govpay.models import Authenticator, RecoveryCode
from payments.models.encrypted import FieldUnreadable
from tests import factories
from tests.govpay.login.conftest import Enroll, is_in, shown, wrong
from tests.racing import race


@pytest.fixture
def user(db: None) -> User:
    return factories.make_user("amina")


class TestSecret:
    def test_is_encrypted_in_the_database(self, user: User) -> None:
        device = devices.begin(user)
        key = bytes.fromhex(device.secret["key"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM govpay_authenticator")
            stored = bytes(cursor.fetchone()[0])
        assert len(key) == 20
        for form in (key, key.hex().encode(), devices.secret_text(device).encode()):
            assert form not in stored

    def test_is_of_its_user_only(self, user: User, enroll: Enroll) -> None:
        other = factories.make_user("bilal")
        for person in (user, other):
            enroll(person)
        code = shown(other)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE govpay_authenticator SET secret = "
                "(SELECT secret FROM govpay_authenticator WHERE user_id = %s) WHERE user_id = %s",
                [other.pk, user.pk],
            )
        with pytest.raises(FieldUnreadable):
            devices.verify(user, code)

    def test_stays_until_it_is_confirmed(self, user: User) -> None:
        assert devices.secret_text(devices.begin(user)) == devices.secret_text(devices.begin(user))
        with pytest.raises(errors.CodeWrong):
            devices.confirm(user, "12345")
        assert not devices.has_one(user)
        with pytest.raises(errors.NotEnrolled):
            devices.verify(user, shown(user, confirmed=False))


class TestCode:
    def test_works_once(self, user: User, enroll: Enroll, clock: Any) -> None:
        enroll(user)
        code = shown(user)
        assert devices.verify(user, f"{code[:3]} {code[3:]}").user_id == user.pk
        with pytest.raises(errors.CodeWrong):
            devices.verify(user, code)
        clock.shift(30)
        devices.verify(user, shown(user))

    def test_that_enrolled_does_not_work_again(self, user: User) -> None:
        devices.begin(user)
        code = shown(user, confirmed=False)
        devices.confirm(user, code)
        with pytest.raises(errors.CodeWrong):
            devices.verify(user, code)

    def test_works_a_step_late_and_not_two(self, user: User, enroll: Enroll, clock: Any) -> None:
        enroll(user)
        first = shown(user)
        clock.shift(30)
        devices.verify(user, first)
        clock.shift(60)
        late = shown(user)
        clock.shift(60)
        with pytest.raises(errors.CodeWrong):
            devices.verify(user, late)

    @pytest.mark.parametrize(
        "code",
        ["", "1", "1234567", "-12345", "+12345", "\uff11\uff12\uff13\uff14\uff15\uff16", "12345x", "x" * 40],
    )
    def test_of_another_shape_is_wrong(self, user: User, enroll: Enroll, code: str) -> None:
        enroll(user)
        with pytest.raises(errors.CodeWrong):
            devices.verify(user, code)

    def test_is_not_tried_at_once_after_a_wrong_one(self, user: User, enroll: Enroll, clock: Any) -> None:
        enroll(user)
        for wait_s in (1, 2, 4, 8):
            with pytest.raises(errors.CodeWrong):
                devices.verify(user, wrong(user))
            with pytest.raises(errors.TooSoon) as caught:
                devices.verify(user, shown(user))
            assert caught.value.details == {"retry_after_s": wait_s}
            clock.shift(wait_s)
        devices.verify(user, shown(user))
        assert Authenticator.objects.get().throttling_failure_count == 0

    @pytest.mark.django_db(transaction=True)
    def test_given_twice_at_once_works_once(self, user: User, enroll: Enroll) -> None:
        recovery = enroll(user)[0]
        for code in (shown(user), recovery):
            won, racer = race(
                lambda code=code: devices.verify(user, code), lambda code=code: devices.verify(user, code)
            )
            assert isinstance(won, Authenticator)
            assert type(racer.error) is errors.CodeWrong
            Authenticator.objects.update(throttling_failure_count=0)


class TestRecoveryCode:
    def test_stands_in_once(self, user: User, enroll: Enroll, clock: Any) -> None:
        codes = enroll(user)
        assert len(set(codes)) == 10
        devices.verify(user, codes[0].upper())
        assert devices.codes_left(user) == 9
        with pytest.raises(errors.CodeWrong):
            devices.verify(user, codes[0])
        clock.shift(1)
        devices.verify(user, codes[1].replace("-", " "))

    def test_is_kept_as_a_hash(self, user: User, enroll: Enroll) -> None:
        code = enroll(user)[0]
        digests = [bytes(row) for row in RecoveryCode.objects.values_list("digest", flat=True)]
        assert {len(digest) for digest in digests} == {32}
        assert not any(code.replace("-", "").encode() in digest for digest in digests)

    def test_of_somebody_else_is_wrong(self, user: User, enroll: Enroll) -> None:
        enroll(user)
        with pytest.raises(errors.CodeWrong):
            devices.verify(user, enroll(factories.make_user("bilal"))[0])

    def test_ends_when_new_ones_are_made(self, user: User, enroll: Enroll) -> None:
        old = enroll(user)[0]
        new = devices.renew_codes(user)
        assert devices.codes_left(user) == 10
        devices.verify(user, new[0])
        with pytest.raises(errors.CodeWrong):
            devices.verify(user, old)


class TestReset:
    @pytest.fixture
    def administrators(self, enroll: Enroll, user: User) -> list[User]:
        """Two who may change users, enrolled like the person."""
        found = [factories.make_user(name, "auth.change_user") for name in ("chand", "dalia")]
        for person in (user, *found):
            enroll(person)
        return found

    def test_by_two_administrators_ends_everything(
        self, user: User, administrators: list[User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        AuthToken.objects.create(user=user)
        theirs, other = Client(), Client()
        theirs.force_login(user)
        other.force_login(administrators[0])
        typed = iter([shown(person) for person in administrators])
        monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
        call_command("reset_second_factor", "amina", "--by=chand", "--by=dalia")
        assert not devices.has_one(user)
        assert RecoveryCode.objects.filter(user=user).count() == 0
        assert AuthToken.objects.filter(user=user).count() == 0
        assert Authenticator.objects.count() == 2
        assert (is_in(theirs), is_in(other)) == (False, True)

    @pytest.mark.parametrize("by", [["chand"], ["chand", "chand"], ["chand", "amina"], ["chand", "emil"]])
    def test_is_refused_to_fewer(
        self, user: User, administrators: list[User], monkeypatch: pytest.MonkeyPatch, by: list[str]
    ) -> None:
        factories.make_user("emil")
        monkeypatch.setattr("getpass.getpass", lambda _: "000000")
        with pytest.raises(CommandError, match="two_administrators_needed"):
            call_command("reset_second_factor", "amina", *(f"--by={name}" for name in by))
        assert devices.has_one(user)

    def test_is_refused_with_a_wrong_code(
        self, user: User, administrators: list[User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        typed = iter([shown(administrators[0]), wrong(administrators[1])])
        monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
        with pytest.raises(CommandError, match="code_wrong"):
            call_command("reset_second_factor", "amina", "--by=chand", "--by=dalia")
        assert devices.has_one(user)
