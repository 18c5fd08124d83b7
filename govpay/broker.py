"""The broker: refuses one that evicts what is queued, and mends how kombu's Redis transport meets loss and garbage."""

from typing import Any

import redis
import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu.transport.redis import Channel, Empty

log = structlog.get_logger(__name__)

KEEPING = "noeviction"

_connparams = Channel._connparams
_receive_one = Channel._receive_one
_brpop_read = Channel._brpop_read


def _connparams_of_open_channel(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Say that a closed channel has no connection as an error of the connection, which every caller expects.

    kombu 5.7 raises AttributeError there, when a finished task is acknowledged, or its message given back, on the channel
    of before: the worker dies of it, or stays without consuming anything.
    """
    if self.connection is None or self.connection.client is None:
        raise ConnectionError("The channel was closed with its connection to Redis.")
    return _connparams(self, *args, **kwargs)


def _receive_one_that_came(self: Any, client: Any) -> Any:
    """Read a broadcast only when one is there, and say at once that the connection was lost.

    kombu 5.7 asks for the next message when the connection becomes readable, as it does when it is lost. redis-py 8 then
    connects anew by itself and waits for a message without end, and the worker consumes nothing until one comes.
    """
    try:
        if client.connection is None or not client.connection.can_read(timeout=0):
            raise Empty
    except self.connection_errors:
        self._in_listen = None
        raise
    return _receive_one(self, client)


def _brpop_read_of_a_message(self: Any, **options: Any) -> Any:
    """Drop what is no message, which was taken from the queue already.

    kombu 5.7 lets the error of reading it end the worker, so that whoever writes a word into the queue stops the work.
    """
    try:
        return _brpop_read(self, **options)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        log.exception("message_unreadable", error=type(error).__name__)
        return True


def mend() -> None:
    """Put the mends in place; once or several times is the same."""
    Channel._connparams = _connparams_of_open_channel
    Channel._receive_one = _receive_one_that_came
    Channel._brpop_read = _brpop_read_of_a_message


def check_at_start() -> None:
    """Raise ImproperlyConfigured when Redis may evict keys; one that is down is not asked, it may come back."""
    if not settings.REDIS_URL.startswith(("redis://", "rediss://")):
        return
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2) as broker:
            policy = broker.info("memory").get("maxmemory_policy", KEEPING)
    except redis.RedisError:
        return
    if policy != KEEPING:
        raise ImproperlyConfigured(
            f"Redis evicts keys ({policy}), so that it would lose queued work unseen: set maxmemory-policy {KEEPING}."
        )
