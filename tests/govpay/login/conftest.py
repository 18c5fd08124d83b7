"""A clock that stands until it is moved, and the authenticator in somebody's hand."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from django_otp.oath import TOTP
from knox.models import AuthToken
from rest_framework.test import APIClient

from govpay.login import devices, keys
from govpay.models import Authenticator
from tests import factories
from tests.govpay.login.software_key import SoftwareKey

Enroll = Callable[[User], list[str]]
LOGIN = "/api/v1/auth/login/"
ADMIN_LOGIN = "/admin/login/"
CODE = "/admin/login/code/"


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    """A clock in the middle of a time step."""
    with time_machine.travel(datetime(2026, 11, 29, 12, 0, 10, tzinfo=UTC), tick=False) as found:
        cache.clear()
        yield found


@pytest.fixture
def required(settings: Any) -> None:
    """Everybody needs a second factor."""
    settings.GOVPAY_SECOND_FACTOR = "required"


@pytest.fixture
def enroll(clock: Any) -> Enroll:
    """Enrolls somebody, lets the step of that code pass, and returns the recovery codes."""

    def enrolled(user: User) -> list[str]:
        devices.begin(user)
        codes = devices.confirm(user, shown(user, confirmed=False))
        clock.shift(30)
        return codes

    return enrolled


def shown(user: User, *, confirmed: bool = True) -> str:
    """What the authenticator shows now."""
    device = Authenticator.objects.get(user=user, confirmed=confirmed)
    totp = TOTP(bytes.fromhex(device.secret["key"]))
    totp.time = timezone.now().timestamp()
    return f"{totp.token():06}"


def wrong(user: User) -> str:
    """What the authenticator does not show now, nor the step before or after."""
    device = Authenticator.objects.get(user=user, confirmed=True)
    totp = TOTP(bytes.fromhex(device.secret["key"]))
    near = set()
    for step_s in (-30, 0, 30):
        totp.time = timezone.now().timestamp() + step_s
        near.add(totp.token())
    return next(f"{n:06}" for n in range(10) if n not in near)


def post(client: APIClient, username: str, password: str = factories.PASSWORD, **more: Any) -> Any:
    """Sign in over the API, perhaps with a code."""
    body = {"username": username, "password": password, **more.pop("body", {})}
    return client.post(LOGIN, body, format="json", **more)


def password(client: Client, username: str, given: str = factories.PASSWORD, **more: Any) -> Any:
    """Sign in to the admin as far as the password goes."""
    return client.post(ADMIN_LOGIN, {"username": username, "password": given}, **more)


def is_in(client: Client) -> bool:
    """Say whether the admin's first page opens."""
    return client.get("/admin/").status_code == 200


@pytest.fixture
def keys_on(settings: Any) -> None:
    """The installation has an address of its own, and so takes security keys."""
    settings.GOVPAY_ORIGIN = "https://pay.example.gov"
    settings.GOVPAY_KEY_DOMAIN = "pay.example.gov"


def bearer(user: User) -> APIClient:
    """A client with a token that no code was given for."""
    client = APIClient()
    _, token = AuthToken.objects.create(user=user)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    client.default_format = "json"
    return client


def add_key(user: User, name: str = "stick") -> SoftwareKey:
    """Give somebody a security key."""
    made = SoftwareKey()
    keys.add(user, name=name, credential=made.make(keys.question_for_new(user)))
    return made
