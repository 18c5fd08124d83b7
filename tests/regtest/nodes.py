"""Nodes for tests that break them: two that hear each other or do not, and one with options of its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import bitcoind
from deploy.local.node import Node
from deploy.local.regtest import Miner
from deploy.local.stack import DEBIAN_CACHE


@contextmanager
def running(state_dir: Path, *, listen: bool = False, **options: str) -> Iterator[Node]:
    """Run a node of its own."""
    state_dir.mkdir(parents=True, exist_ok=True)
    started = Node(state_dir, bitcoind.find(DEBIAN_CACHE), listen=listen, options=options)
    started.start()
    try:
        yield started
    finally:
        started.kill()


@dataclass
class Pair:
    """Two nodes on one chain."""

    ours: Node
    theirs: Node

    @classmethod
    @contextmanager
    def started(cls, state_dir: Path, **options: str) -> "Iterator[Pair]":
        """Run two nodes that are connected and share a chain with mature coins; options are for ours."""
        with (
            running(state_dir / "ours", **options) as ours,
            running(state_dir / "theirs", listen=True) as theirs,
        ):
            pair = cls(ours, theirs)
            pair.join()
            # A new node takes no old blocks from one that prunes.
            Miner(theirs.url).mine(101)
            pair.wait_until_same()
            yield pair

    def join(self) -> None:
        """Let them hear each other, and wait until one chain has won."""
        self.ours.rpc.call("addnode", f"127.0.0.1:{self.theirs.peer_port}", "onetry")
        wait_for("the connection", lambda: bool(self.theirs.rpc.call("getconnectioncount")))

    def part(self) -> None:
        """Cut them off from each other."""
        for peer in self.ours.rpc.call("getpeerinfo"):
            self.ours.rpc.call("disconnectnode", "", peer["id"])
        wait_for("the cut", lambda: not self.theirs.rpc.call("getconnectioncount"))

    def wait_until_same(self) -> None:
        """Wait until both have the same tip."""
        wait_for(
            "one tip",
            lambda: self.ours.rpc.call("getbestblockhash") == self.theirs.rpc.call("getbestblockhash"),
        )


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Poll till the condition holds; fail with what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come in {timeout_s} s")
        time.sleep(0.05)
