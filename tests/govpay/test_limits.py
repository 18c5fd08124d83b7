"""Limits of requests: exact under concurrency, by a clock of the test's own, and open while Redis is away."""

import secrets
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from govpay import tokens
from govpay.api import limits
from payments.models import Program
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

ME = "/api/v1/auth/me/"


class Clock:
    """Stands still until somebody moves it, and begins anywhere, so that no test meets another's counts."""

    def __init__(self) -> None:
        self.now_us = 10**15 + secrets.randbelow(10**14)

    def __call__(self) -> int:
        return self.now_us

    def pass_ms(self, ms: int) -> None:
        self.now_us += ms * 1_000


@pytest.fixture
def queues(_broker: redis.Redis) -> redis.Redis:
    """What the limits are counted in."""
    return _broker


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, queues: redis.Redis) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(limits, "now_us", made)
    monkeypatch.setitem(limits._rest, "until", 0.0)
    forget(queues)
    yield made
    forget(queues)


def forget(broker: redis.Redis) -> None:
    for key in broker.scan_iter("govpay:rate:*"):
        broker.delete(key)


def rates(settings: Any, **those: int) -> None:
    settings.GOVPAY_RATES = settings.GOVPAY_RATES | those


class TestTake:
    def test_lets_a_minutes_worth_through_at_once_and_then_evenly(self, clock: Clock, settings: Any) -> None:
        rates(settings, reads=6)
        found = [limits.take("reads", "user:1") for _ in range(7)]
        assert found == [(True, left, 0) for left in (5, 4, 3, 2, 1, 0)] + [(False, 0, 10)]
        clock.pass_ms(9_999)
        assert limits.take("reads", "user:1") == (False, 0, 1)
        clock.pass_ms(1)
        assert limits.take("reads", "user:1") == (True, 0, 0)
        assert limits.take("reads", "user:1") == (False, 0, 10)
        clock.pass_ms(60_000)
        assert limits.take("reads", "user:1") == (True, 5, 0)

    def test_counts_each_limit_and_each_user_apart(self, clock: Clock, settings: Any) -> None:
        rates(settings, reads=1, writes=1)
        pairs = [("reads", "user:1"), ("writes", "user:1"), ("reads", "user:2")]
        assert [limits.take(*pair) for pair in pairs] == [(True, 0, 0)] * 3
        assert [limits.take(*pair) for pair in pairs] == [(False, 0, 60)] * 3

    def test_is_exact_however_many_ask_at_once(self, clock: Clock, settings: Any) -> None:
        rates(settings, reads=20)
        begin = threading.Barrier(10)

        def ask(_: int) -> int:
            begin.wait()
            return sum(taken.may for _ in range(10) if (taken := limits.take("reads", "user:1")))

        with ThreadPoolExecutor(10) as pool:
            assert sum(pool.map(ask, range(10))) == 20

    def test_goes_by_the_clock_of_redis_otherwise(
        self, clock: Clock, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "now_us", lambda: -1)
        # One a minute: only a test that took a minute could be let through twice.
        rates(settings, reads=1)
        assert limits.take("reads", "user:1") == (True, 0, 0)
        taken = limits.take("reads", "user:1")
        assert taken is not None
        assert not taken.may
        assert 0 < taken.wait_s <= 60

    def test_leaves_nothing_behind_in_redis_once_it_is_earned(
        self, clock: Clock, settings: Any, queues: redis.Redis
    ) -> None:
        rates(settings, reads=60)
        limits.take("reads", "user:1")
        assert 0 < queues.pttl("govpay:rate:reads:user:1") <= 1_000

    def test_limits_nothing_where_the_setting_is_zero(self, clock: Clock) -> None:
        assert limits.take("reads", "user:1") is None


class TestRedisAway:
    def test_limits_nothing_and_is_not_asked_again_for_a_while(
        self, clock: Clock, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rates(settings, reads=1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            assert [limits.take("reads", "user:1") for _ in range(5)] == [None] * 5
            silent.settimeout(1)
            silent.accept()[0].close()
            silent.setblocking(False)
            with pytest.raises(BlockingIOError):
                silent.accept()
        monkeypatch.setitem(limits._rest, "until", 0.0)
        settings.REDIS_URL = "redis://127.0.0.1:9/0"
        assert limits.take("reads", "user:1") is None

    @pytest.mark.django_db
    def test_lets_officers_go_on(self, clock: Clock, settings: Any, api: Api, officer: User) -> None:
        rates(settings, reads=1, address=1)
        settings.REDIS_URL = "redis://127.0.0.1:9/0"
        for _ in range(3):
            answer = api(officer).get(ME)
            expect.ok(answer)
            assert "RateLimit" not in answer


@pytest.mark.django_db
class TestUser:
    def test_is_told_how_it_stands_and_when_to_come_again(
        self, clock: Clock, settings: Any, api: Api, officer: User
    ) -> None:
        rates(settings, reads=2)
        client = api(officer)
        answer = client.get(ME)
        assert (answer["RateLimit-Policy"], answer["RateLimit"]) == ('"reads";q=2;w=60', '"reads";r=1;t=0')
        client.get(ME)
        answer = client.get(ME)
        expect.problem(answer, 429, "throttled")
        assert (answer["RateLimit"], answer["Retry-After"]) == ('"reads";r=0;t=30', "30")
        clock.pass_ms(30_000)
        expect.ok(client.get(ME))

    def test_is_counted_once_whichever_token_carries_the_request(
        self, clock: Clock, settings: Any, officer: User
    ) -> None:
        rates(settings, reads=1)
        carried = [tokens.make(user=officer, name=f"t{n}", scopes=["read"], days=1)[1] for n in range(2)]
        answers = [
            APIClient().get("/api/v1/programs/", headers={"authorization": f"Bearer {token}"})
            for token in carried
        ]
        assert [answer.status_code for answer in answers] == [200, 429]

    def test_is_not_held_up_by_another(
        self, clock: Clock, settings: Any, api: Api, officer: User, approver: User
    ) -> None:
        rates(settings, reads=1)
        expect.ok(api(officer).get(ME))
        expect.problem(api(officer).get(ME), 429, "throttled")
        expect.ok(api(approver).get(ME))

    def test_reads_and_writes_and_exports_apart(
        self, clock: Clock, settings: Any, api: Api, program: Program, officer: User
    ) -> None:
        rates(settings, reads=1, writes=1, exports=1)
        client, reader = api(officer), api(factories.make_user("reader", "ledger.view_entry"))
        lists = f"/api/v1/programs/{program.pk}/disbursements/"
        named = [
            (lambda: client.get(ME), "reads"),
            (lambda: client.post(lists, {}), "writes"),
            (lambda: reader.get("/api/v1/reports/fees/"), "exports"),
        ]
        for call, limit in named:
            assert call()["RateLimit"] == f'"{limit}";r=0;t=0'
        for call, _ in named:
            expect.problem(call(), 429, "throttled")
        expect.ok(reader.get(ME))

    def test_changes_nothing_when_it_is_too_much(
        self, clock: Clock, settings: Any, api: Api, program: Program
    ) -> None:
        rates(settings, writes=1)
        client = api(factories.make_member(program, "treasurer", "tariq"))
        first = client.post("/api/v1/stops/", {"reason": "A drill."})
        expect.ok(first, 201)
        expect.problem(client.post(f"/api/v1/stops/{first.json()['id']}/lift/", {}), 429, "throttled")


@pytest.mark.django_db
class TestAddress:
    def test_is_counted_before_any_token_is_looked_at(
        self, clock: Clock, settings: Any, django_assert_num_queries: Any
    ) -> None:
        rates(settings, address=3)
        client = APIClient()
        for n in range(3):
            answer = client.get(ME, headers={"authorization": f"Bearer {'a' * 40}{n}"})
            assert answer.status_code == 401
        with django_assert_num_queries(0):
            answer = client.get(ME, headers={"authorization": f"Bearer {'a' * 41}"})
        expect.problem(answer, 429, "throttled")
        assert (answer["RateLimit"], answer["Retry-After"]) == ('"address";r=0;t=20', "20")

    def test_is_another_for_whom_a_proxy_vouches(self, clock: Clock, settings: Any) -> None:
        rates(settings, address=1)

        def ask(forwarded: str) -> int:
            return int(APIClient().get(ME, headers={"x-forwarded-for": forwarded}).status_code)

        assert [ask("192.0.2.1"), ask("192.0.2.2")] == [401, 429]
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
        assert [ask("192.0.2.1"), ask("192.0.2.2"), ask("192.0.2.2")] == [401, 401, 429]

    def test_is_not_kept_in_redis(self, clock: Clock, settings: Any, queues: redis.Redis) -> None:
        rates(settings, address=1)
        APIClient().get(ME)
        (key,) = queues.scan_iter("govpay:rate:*")
        assert key.startswith(b"govpay:rate:address:address:")
        assert b"127.0.0.1" not in key

    def test_of_a_monitor_may_ask_after_health_as_often_as_it_likes(
        self, clock: Clock, settings: Any
    ) -> None:
        rates(settings, address=1, reads=1)
        answers = [APIClient().get("/health/") for _ in range(3)]
        assert all(answer.status_code != 429 for answer in answers)
