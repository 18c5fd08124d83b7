"""Wakes the follower when the node says that a block came, and notices when the scheduler is dead."""

import time

import structlog
from django.conf import settings
from django.db import OperationalError, close_old_connections

from govpay.errors import GovPayError
from payments.onchain import node, notices
from payments.payout import dispatch, rounds

log = structlog.get_logger(__name__)

# Without a notice the listener looks up this often whether a block is still owed and whether the sweep is late.
TICK_S = 1.0
# How often the node is asked again where it publishes, in case it moved, or had nothing to say.
ASK_S = 60
# Another process follows at this moment; it may have passed the tip before the block came.
AGAIN_S = 0.05


def listen() -> None:
    """Listen for ever. Everything still works without, by polling; with it a block is read at once."""
    begin = time.monotonic()
    while True:
        url = _find_url()
        if not url:
            _pause(ASK_S, begin)
            continue
        log.info("listening_for_blocks", url=url)
        with notices.BlockNotices(url) as heard:
            # A block may have come before the subscription did.
            hear(heard, is_owed=True, until=time.monotonic() + ASK_S, begin=begin)


def hear(heard: notices.BlockNotices, *, is_owed: bool, until: float, begin: float) -> None:
    """Follow at once whenever something is heard, until that time of the monotonic clock."""
    while time.monotonic() < until:
        is_owed |= heard.wait(AGAIN_S if is_owed else TICK_S)
        close_old_connections()
        if is_owed:
            is_owed = not dispatch.follow()
        _watch(begin)


def _find_url() -> str:
    if settings.GOVPAY_NODE_ZMQ_URL:
        return str(settings.GOVPAY_NODE_ZMQ_URL)
    client = node.connect()
    try:
        return notices.find_url(client)
    except GovPayError as error:
        log.warning("node_not_asked_for_notices", code=error.code, reason=error.message)
        return ""
    finally:
        client.close()


def _pause(seconds: float, begin: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(TICK_S)
        close_old_connections()
        _watch(begin)


def _watch(begin: float) -> None:
    """Look whether sweeps still come, once this process is old enough to have seen one."""
    if time.monotonic() - begin < rounds.late_s():
        return
    try:
        rounds.watch()
    except OperationalError as error:
        log.warning("database_waits", task="watch", error=type(error).__name__)
