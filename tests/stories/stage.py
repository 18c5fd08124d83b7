"""The stack of `make up` under the stories: who may sign in, the node and the miner by their handles, and coins."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import up
from deploy.local.regtest import Miner
from deploy.local.stack import Stack
from tests import services

BLOCK_S = 1.0
# Everybody needs a second factor, as in a real installation; a code counts for the shortest time that is allowed, so that
# the stories meet the page that asks for one. The rest is what would take a reader's patience.
SETTINGS = {
    "GOVPAY_SECOND_FACTOR": "required",
    "GOVPAY_STEP_UP_S": "20",
    "GOVPAY_LOGIN_FAILURES": "3",
    "GOVPAY_SEAL_EVERY_S": "5",
    "GOVPAY_CHECKPOINT_EVERY_S": "10",
    "GOVPAY_TRANSPARENCY_S": "5",
    "GOVPAY_NODE_TIMEOUT_S": "4",
    "GOVPAY_LEASE_S": "5",
    "GOVPAY_PRICES_S": "5",
    "GOVPAY_SWEEP_S": "1",
}


class Stage:
    """A fresh stack that runs, in a directory of its own; a context manager."""

    def __init__(self, state_dir: Path) -> None:
        outside = services.outside_environment()
        # Where sources of prices that are files lie.
        self.prices = state_dir.with_name(f"{state_dir.name}-prices")
        settings = up.settings_of(outside) | SETTINGS | {"GOVPAY_PRICE_FOLDER": str(self.prices)}
        self.stack = Stack(state_dir, fresh=True, durable=False, outside=outside, settings=settings)
        self.passwords: dict[str, str] = {}

    def __enter__(self) -> "Stage":
        self.stack.__enter__()
        try:
            logins, parts = up.start(self.stack, BLOCK_S)
        except BaseException:
            self.stack.stop()
            raise
        self.passwords = dict(re.findall(r"^  .{22} (\S+) +(\S+)$", logins, re.MULTILINE))
        self._miner = next(part for part in parts if part.name == "miner")
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.stop()

    @property
    def url(self) -> str:
        """Where the web process answers."""
        return self.stack.web_url

    def deposit(self, address: str, amounts_sat: list[int]) -> None:
        """Send coins to a program's funding address; the miner's next block confirms them."""
        miner = Miner(self.stack.environment()["GOVPAY_NODE_URL"])
        for amount_sat in amounts_sat:
            miner.fund([address], amount_sat)

    @contextmanager
    def without_blocks(self) -> Iterator[None]:
        """Let the miner rest: what is sent stays in the memory pool."""
        self._miner.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._miner.send(signal.SIGCONT)

    @contextmanager
    def without_node(self) -> Iterator[None]:
        """Let the node be dead for a while."""
        node = self.stack.node
        assert node is not None
        node.stop()
        try:
            yield
        finally:
            node.start()
