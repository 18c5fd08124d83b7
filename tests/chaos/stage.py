"""The stack that is broken: services behind proxies, two nodes that hear of each other, workers, a receiver of alarms."""

import os
import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg

from deploy.local import bitcoind, process
from deploy.local.node import Node
from deploy.local.regtest import Miner
from deploy.local.rpc import RpcError
from deploy.local.stack import DEBIAN_CACHE, Stack
from tests.faults.proxy import NodeProxy
from tests.faults.wire import Proxy
from tests.payments.payout.receiver import SECRET, Receiver, take

WORKERS = ("worker1", "worker2")
LEASE_S = 4
RHYTHM = {
    "GOVPAY_LEASE_S": str(LEASE_S),
    "GOVPAY_NODE_TIMEOUT_S": "3",
    "GOVPAY_SWEEP_S": "1",
    "GOVPAY_FOLLOW_S": "1",
}
FINAL_DEPTH = 100
OUTSIDE = ("DATABASE_URL", "REDIS_URL", "GOVPAY_NODE_URL", "GOVPAY_FAILPOINT")


class Stage:
    """Starts everything, says who is where, and puts back what a fault took away."""

    def __init__(self, state_dir: Path, *, seed: int) -> None:
        self.state_dir = state_dir
        self.seed = seed
        outside = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
        self.stack = Stack(state_dir, fresh=True, durable=False, outside=outside | RHYTHM)
        self.workers: dict[str, process.Process] = {}
        self.beats: dict[str, process.Process] = {}
        self.is_partitioned = False
        # Whether blocks have room for anybody's tx, and which txs strangers made of our coins.
        self.has_room = True
        self.stolen: set[str] = set()
        # Why the last block could not be found, if it could not.
        self.no_block = ""
        self._exits = ExitStack()

    def __enter__(self) -> "Stage":
        self._exits.enter_context(self.stack)
        self.receiver = Receiver()
        self._exits.callback(self.receiver.close)
        self.stack.outside["GOVPAY_ALARM_WEBHOOK_URL"] = self.receiver.url
        self.stack.outside["GOVPAY_ALARM_WEBHOOK_SECRET"] = SECRET
        try:
            self._start()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _start(self) -> None:
        argv = bitcoind.find(DEBIAN_CACHE)
        self.near = Node(self.state_dir / "near", argv, listen=True)
        self.far = Node(self.state_dir / "far", argv)
        for node in (self.near, self.far):
            self._exits.callback(node.kill)
            node.start()
        self.node_proxy = self._exits.enter_context(NodeProxy(self.near.url, seed=self.seed))
        # The node that the engine knows is named first, so that the stack starts none of its own.
        self.stack.outside["GOVPAY_NODE_URL"] = self.node_proxy.url
        self.stack.start_services()
        assert self.stack.postgres is not None
        assert self.stack.redis is not None
        self.postgres, self.redis = self.stack.postgres, self.stack.redis
        self.database_proxy = self._exits.enter_context(Proxy(self.postgres.app_url, seed=self.seed))
        self.redis_proxy = self._exits.enter_context(Proxy(self.redis.url, seed=self.seed))
        self.stack.migrate()
        self.connect_nodes()
        self.miner, self.far_miner = Miner(self.near.url), Miner(self.far.url)

    # Workers

    def start_worker(self, name: str, **extra: str) -> None:
        """Start a worker whose every connection goes through a proxy."""
        through = {"DATABASE_URL": self.database_proxy.url, "REDIS_URL": self.redis_proxy.url}
        self.workers[name] = self.stack.start_worker(name, **through, **extra)

    def end_worker(self, name: str) -> None:
        """Kill a worker with its children, if it is there."""
        found = self.workers.pop(name, None)
        if found is not None:
            self.stack.kill(found)

    def start_beat(self, name: str = "beat") -> None:
        """Start a scheduler."""
        words = ["beat", f"--schedule={self.state_dir / name}", "--pidfile=", "--loglevel=INFO"]
        argv = [sys.executable, "-m", "celery", "-A", "govpay", *words]
        self.beats[name] = self.stack.start_process(name, argv, REDIS_URL=self.redis_proxy.url)

    def end_beat(self, name: str) -> None:
        """Kill a scheduler, if it is there."""
        found = self.beats.pop(name, None)
        if found is not None:
            self.stack.kill(found)

    def children(self, name: str) -> list[int]:
        """Return the process ids of a worker's pool."""
        pid = self.workers[name].pid
        with suppress(OSError):
            return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    # Nodes

    def connect_nodes(self) -> None:
        """Let the nodes find each other, unless they are parted on purpose."""
        with suppress(OSError, RpcError):
            if not self.is_partitioned and not self.far.rpc.call("getconnectioncount"):
                self.far.rpc.call("addnode", f"127.0.0.1:{self.near.peer_port}", "onetry")

    def part_nodes(self) -> None:
        """Cut the far node off."""
        self.is_partitioned = True
        self.far.rpc.call("setnetworkactive", False)

    def join_nodes(self) -> None:
        """Let the far node's branch win, and join them."""
        with suppress(OSError, RpcError):
            lead = self.near.rpc.call("getblockcount") - self.far.rpc.call("getblockcount")
            self.far_miner.mine(max(lead, 0) + 1)
        self.far.rpc.call("setnetworkactive", True)
        self.is_partitioned = False
        self.connect_nodes()

    def is_node_up(self) -> bool:
        """Tell whether the engine's node runs."""
        return self.near.process is not None and self.near.process.is_running

    def mine(self, blocks: int, *, is_empty: bool = False) -> None:
        """Let the engine's node find blocks, if it runs: of all that waits, or ``is_empty``, as while there is no room."""
        if not self.is_node_up():
            return
        try:
            if self.has_room and not is_empty:
                self.miner.mine(blocks)
            else:
                for _ in range(blocks):
                    self.miner.mine_only([])
            self.no_block = ""
        except (OSError, RpcError) as error:
            self.no_block = str(error)
            # A node that was restarted may have unloaded the miner's wallet.
            with suppress(OSError, RpcError):
                self.miner = Miner(self.near.url)

    def bury(self) -> None:
        """Put so many blocks on top of each other, on both nodes, that what they hold is final."""
        if self.is_partitioned or not self.is_node_up():
            return
        self.mine(1)
        self.mine(FINAL_DEPTH)
        with suppress(OSError, RpcError):
            # The node writes its chain out, so that no kill makes it forget all of them.
            self.near.rpc.call("gettxoutsetinfo")

    # Everything

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Own SQL as the owner, directly."""
        with psycopg.connect(self.postgres.owner_url, autocommit=True) as database:
            return database.execute(query).fetchall()  # type: ignore[arg-type]

    def signal_group(self, name: str, number: int) -> None:
        """Send a signal to a worker and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.workers[name].pid, number)

    def heal(self) -> None:
        """Put everything back: proxies, services, nodes, workers and scheduler."""
        self.has_room = True
        self.receiver.usual = take
        for proxy in (self.node_proxy, self.database_proxy, self.redis_proxy):
            proxy.heal()
        for name in list(self.workers):
            self.signal_group(name, signal.SIGCONT)
        if self.postgres.process is None or not self.postgres.process.is_running:
            self.postgres.start()
        if self.redis.process is None or not self.redis.process.is_running:
            self.redis.start()
        if self.near.options or not self.is_node_up():
            self.near.kill()
            self.near.options.clear()
            self.near.start()
        if self.is_partitioned:
            self.join_nodes()
        for name in set(self.workers) - set(WORKERS):
            self.end_worker(name)
        for name in WORKERS:
            if name not in self.workers or not self.workers[name].is_running:
                self.end_worker(name)
                self.start_worker(name)
        for name in set(self.beats) - {"beat"}:
            self.end_beat(name)
        if "beat" not in self.beats or not self.beats["beat"].is_running:
            self.end_beat("beat")
            self.start_beat()
        self.connect_nodes()
