"""The broker at start-up: a Redis that may evict what is queued is refused (F8), one that is down is waited for."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import kombu
import pytest
import redis
from django.conf import settings
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


class TestBroadcasts:
    """Of a channel as a worker listens on it; what hangs here would hang the worker's main process."""

    @pytest.fixture
    def channel(self) -> Iterator[Any]:
        options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
        with kombu.Connection(services.ensure_redis(), transport_options=options) as connection:
            channel = connection.default_channel
            channel._fanout_queues["listener"] = ("shout", "")
            channel.active_fanout_queues.add("listener")
            connection.transport.cycle.on_poll_start()
            self.read_until_quiet(channel)
            yield channel

    @staticmethod
    def read_until_quiet(channel: Any) -> None:
        """Read what answers the subscription."""
        while channel.subclient.connection.can_read(timeout=1):
            channel._receive()

    def test_of_a_lost_connection_are_not_waited_for(self, channel: Any, server: redis.Redis) -> None:
        assert server.client_kill_filter(_type="pubsub") == 1
        failed: list[Exception] = []

        def receive() -> None:
            try:
                channel._receive()
            except channel.connection_errors as error:
                failed.append(error)

        reader = threading.Thread(target=receive, daemon=True)
        reader.start()
        reader.join(20)
        assert not reader.is_alive()
        assert len(failed) == 1

    def test_that_did_not_come_are_not_waited_for(self, channel: Any) -> None:
        reader = threading.Thread(target=channel._receive, daemon=True)
        reader.start()
        reader.join(20)
        assert not reader.is_alive()

    def test_that_came_are_delivered(self, channel: Any, server: redis.Redis) -> None:
        delivered: list[object] = []
        channel._deliver_fanout_message = lambda message, exchange: delivered.append((exchange, message))
        server.publish("/0.shout", json.dumps({"a": 1}))
        assert channel.subclient.connection.can_read(timeout=20)
        channel._receive()
        assert delivered == [("shout", {"a": 1})]
