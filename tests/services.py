"""Real services for a test run: PostgreSQL and Redis before Django reads its settings, a node on demand.

A pytest plugin (`-p tests.services`). Their state is ``var/test/<process>``, gone at the end; DATABASE_URL,
REDIS_URL and GOVPAY_NODE_URL replace them. Of a run in several processes (`-n 2`) each has its own.
"""

import atexit
import os
import secrets
import shutil
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import bitcoind, launcher
from deploy.local.node import Node
from deploy.local.postgres import Postgres
from deploy.local.redis import Redis
from deploy.local.stack import DEBIAN_CACHE, ROOT

RUNS = ROOT / "var" / "test"
# What the process that starts the others has set for itself.
FIRST_ONES = "GOVPAY_TESTS_FIRST_ONES"
for _name in os.environ.pop(FIRST_ONES, "").split():
    del os.environ[_name]
OUTSIDE = dict(os.environ)
# A node that relays nothing keeps no estimates either: what a test pays must not depend on the tests before it.
NO_ESTIMATES = {"blocksonly": "1", "walletbroadcast": "1", "maxmempool": "300"}


@dataclass(frozen=True)
class NodeService:
    """A regtest node to test on: ``node`` is None when GOVPAY_NODE_URL names an outside one."""

    url: str
    node: Node | None


class _Session:
    """What this process has started."""

    def __init__(self) -> None:
        self.state_dir: Path | None = None
        self.postgres: Postgres | None = None
        self.redis: Redis | None = None
        self.node: Node | None = None


_session = _Session()


def ensure_database() -> str:
    """Return the address of a real PostgreSQL, as the role that owns the tables and may create databases."""
    outside = os.environ.get("DATABASE_URL")
    if outside and _session.postgres is None:
        return outside
    if _session.postgres is None:
        started = Postgres(ensure_state_dir(), fsync=False)
        started.start()
        _session.postgres = started
    return _session.postgres.owner_url


def has_own_postgres() -> bool:
    """Tell whether `ensure_database` started a server here."""
    return _session.postgres is not None


def get_postgres() -> Postgres:
    """Return the server behind `ensure_database`, for tests that break it; raise when it is outside."""
    ensure_database()
    if _session.postgres is None:
        raise LookupError("DATABASE_URL names an outside server, which tests must not break.")
    return _session.postgres


def ensure_redis() -> str:
    """Return the address of a real Redis."""
    outside = os.environ.get("REDIS_URL")
    if outside and _session.redis is None:
        return outside
    if _session.redis is None:
        started = Redis(ensure_state_dir())
        started.start()
        _session.redis = started
    return _session.redis.url


def get_redis() -> Redis:
    """Return the server behind `ensure_redis`; raise when it is an outside one."""
    ensure_redis()
    if _session.redis is None:
        raise LookupError("REDIS_URL names an outside server, which tests must not break.")
    return _session.redis


def ensure_node() -> NodeService:
    """Return a real regtest node."""
    outside = os.environ.get("GOVPAY_NODE_URL")
    if outside and _session.node is None:
        return NodeService(outside, None)
    if _session.node is None:
        started = Node(ensure_state_dir(), bitcoind.find(DEBIAN_CACHE), options=NO_ESTIMATES)
        started.start()
        _session.node = started
    return NodeService(_session.node.url, _session.node)


def drop_node() -> None:
    """End the node and delete its chain and wallets: the next test that asks has a new one."""
    if _session.node is not None:
        _session.node.kill()
        _delete(_session.node.data_dir)
        _session.node = None


def ensure_state_dir() -> Path:
    """Return this process's own directory, made at first; those of processes that are gone are deleted."""
    if _session.state_dir is None:
        RUNS.mkdir(parents=True, exist_ok=True)
        _delete_abandoned()
        _session.state_dir = RUNS / f"{os.getpid()}-{launcher.read_start(os.getpid())}"
        _session.state_dir.mkdir()
        atexit.register(stop_all, os.getpid())
    return _session.state_dir


def stop_all(owner_pid: int | None = None) -> None:
    """Stop what was started and delete its state; a forked child, which shares the list, does nothing."""
    if owner_pid is not None and owner_pid != os.getpid():
        return
    for service in (_session.node, _session.redis):
        if service is not None:
            service.kill()
    if _session.postgres is not None:
        _session.postgres.stop(signal.SIGQUIT)
        _session.postgres.remove()
    if _session.state_dir is not None:
        _delete(_session.state_dir)
    _session.__init__()  # type: ignore[misc]


def _delete_abandoned() -> None:
    for folder in RUNS.iterdir():
        pid, _, start = folder.name.partition("-")
        if pid.isdigit() and start.isdigit() and launcher.read_start(int(pid)) != int(start):
            _delete(folder)


def _delete(folder: Path) -> None:
    # A killed server's children may still write for a moment; a second run may delete the same folder.
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def prepare_environment() -> None:
    """Set what the settings read; what is set already stays."""
    # The width of somebody's terminal must not change what commands print.
    os.environ.pop("COLUMNS", None)
    os.environ.setdefault("DATABASE_URL", ensure_database())
    os.environ.setdefault("REDIS_URL", ensure_redis())
    os.environ.setdefault("GOVPAY_NETWORK", "regtest")
    # Their stories are told without codes; tests of the login switch it on.
    os.environ.setdefault("GOVPAY_SECOND_FACTOR", "optional")
    os.environ.setdefault("GOVPAY_SECRET_KEY", secrets.token_urlsafe(48))
    os.environ.setdefault("GOVPAY_IDENTITY_KEY", secrets.token_hex(32))
    os.environ.setdefault("GOVPAY_FIELD_KEYS", "k1:" + secrets.token_hex(32))
    os.environ.setdefault("GOVPAY_APPROVAL_KEYS", "k1:" + secrets.token_hex(32))


def outside_environment() -> dict[str, str]:
    """Return the environment as it was before `prepare_environment`: for a Stack with services of its own."""
    return dict(OUTSIDE)


# A wrapper comes before pytest-django's own hook, which loads the settings.
@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """Start the database and the broker first."""
    prepare_environment()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Give each file of tests a node of its own: one for all ends with thousands of coins, and reorganizes for minutes."""
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path:
            drop_node()


def pytest_xdist_setupnodes() -> None:
    """Let the processes that run parts of the tests begin where this one began."""
    os.environ[FIRST_ONES] = " ".join(os.environ.keys() - OUTSIDE.keys() - {FIRST_ONES})


def pytest_unconfigure() -> None:
    """Stop with the test run rather than at the interpreter's end only."""
    stop_all()
