"""What people prove and fail to prove at the doors is recorded: passwords, codes, lockouts, and who undid them."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from govpay.login import devices, errors
from ledger.models import AuditEvent
from payments.models import Program
from tests import factories
from tests.govpay.login.conftest import Enroll, password, post, shown, wrong

pytestmark = pytest.mark.django_db


@pytest.fixture
def user(program: Program) -> User:
    return factories.make_member(program, "officer", "amina")


def recorded(since: int = 0) -> list[tuple[str, str, str]]:
    """Return action, actor and subject of what was recorded since."""
    rows = AuditEvent.objects.filter(pk__gt=since).order_by("pk")
    return [(row.action, row.actor, row.subject_kind) for row in rows]


def last() -> int:
    return AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def test_a_lockout_is_recorded_once_and_nothing_after_it(user: User) -> None:
    before, client = last(), APIClient()
    for _ in range(9):
        post(client, user.username, "wrong")
    assert recorded(before) == [("login.refuse", "nobody", "user")] * 5 + [("login.lock", "nobody", "user")]
    locked = last()
    password(Client(), user.username)
    assert recorded(locked) == []


def test_a_lockout_of_nobody_names_nobody(user: User) -> None:
    before = last()
    for _ in range(6):
        post(APIClient(), "my secret password", "wrong")
    assert recorded(before) == [("login.refuse", "nobody", "")] * 5 + [("login.lock", "nobody", "")]
    assert not AuditEvent.objects.filter(subject_id__contains="secret").exists()


def test_who_unlocks_somebody_is_recorded(user: User) -> None:
    for _ in range(5):
        post(APIClient(), user.username, "wrong")
    before = last()
    call_command("unlock", user=user.username)
    ((action, actor, subject),) = recorded(before)
    assert (action, actor.partition(":")[0], subject) == ("login.unlock", "command", "user")


def test_an_enrollment_and_each_code_are_recorded(user: User, enroll: Enroll) -> None:
    before = last()
    codes = enroll(user)
    assert [row for row in recorded(before) if row[0] != "token.end_all"] == [
        ("authenticator.begin", "amina", "authenticator"),
        ("code.accept", "amina", "authenticator"),
        ("authenticator.enroll", "amina", "user"),
    ]
    before = last()
    with pytest.raises(errors.CodeWrong):
        devices.verify(user, wrong(user))
    ((action, actor, subject),) = recorded(before)
    assert (action, actor == "amina", subject) == ("code.refuse", False, "authenticator")
    devices.renew_codes(user)
    assert recorded()[-1] == ("recovery_codes.renew", "amina", "user")
    assert len(codes) == 10


def test_a_recovery_code_is_recorded_as_one(user: User, enroll: Enroll) -> None:
    codes = enroll(user)
    before = last()
    devices.verify(user, codes[0])
    assert [action for action, _, _ in recorded(before)] == ["recovery_code.use", "code.accept"]


def test_a_step_up_is_recorded_of_who_gave_the_code(user: User, enroll: Enroll) -> None:
    enroll(user)
    client = APIClient()
    token = post(client, user.username, body={"otp": shown(user)}).json()["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    before = last()
    answer: Any = client.post("/api/v1/auth/step-up/", {"otp": wrong(user)}, format="json")
    assert answer.status_code == 403
    assert recorded(before) == [("code.refuse", "nobody", "authenticator")]


def test_both_who_agree_to_a_reset_are_recorded(user: User, enroll: Enroll) -> None:
    agreed = []
    for name in ("bilal", "chen"):
        person = factories.make_user(name, "auth.change_user")
        enroll(person)
        agreed.append((person, shown(person)))
    before = last()
    devices.reset(user, agreed=agreed)
    resets = [
        (actor, subject) for action, actor, subject in recorded(before) if action == "authenticator.reset"
    ]
    assert resets == [("bilal", "user"), ("chen", "user")]
