"""Mends how kombu's Redis transport meets a connection that is lost while a worker has messages in hand."""

from typing import Any

from kombu.transport.redis import Channel

_connparams = Channel._connparams


def _connparams_of_open_channel(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Say that a closed channel has no connection as an error of the connection, which every caller expects.

    kombu 5.7 raises AttributeError there, when a finished task is acknowledged, or its message given back, on the channel
    of before: the worker dies of it, or stays without consuming anything.
    """
    if self.connection is None or self.connection.client is None:
        raise ConnectionError("The channel was closed with its connection to Redis.")
    return _connparams(self, *args, **kwargs)


def mend() -> None:
    """Put the mend in place; once or several times is the same."""
    Channel._connparams = _connparams_of_open_channel
