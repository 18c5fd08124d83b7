"""The broker at start-up: a Redis that may evict what is queued is refused (F8), one that is down is waited for."""

from collections.abc import Iterator

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from govpay import broker
from tests import services
from tests.govpay.test_health import closed_port


@pytest.fixture
def server() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(services.ensure_redis()) as found:
        yield found
        found.config_set("maxmemory-policy", "noeviction")


class TestCheck:
    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
    def test_refuses_a_redis_that_evicts(self, policy: str, server: redis.Redis) -> None:
        server.config_set("maxmemory-policy", policy)
        with pytest.raises(ImproperlyConfigured, match=f"evicts keys .{policy}."):
            broker.check_at_start()

    def test_takes_one_that_keeps_everything(self, server: redis.Redis) -> None:
        server.config_set("maxmemory-policy", "noeviction")
        broker.check_at_start()

    def test_waits_for_one_that_is_down(self, settings: object) -> None:
        settings.REDIS_URL = f"redis://127.0.0.1:{closed_port()}/0"  # type: ignore[attr-defined]
        broker.check_at_start()
