"""Each service comes back after SIGKILL on the same address, keeps what it must, and leaves no process."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis as redis_client
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.local import launcher, ports
from deploy.local import postgres as postgres_module
from deploy.local.errors import LocalStackError
from deploy.local.node import Node
from deploy.local.postgres import Postgres
from deploy.local.redis import Redis
from deploy.local.regtest import Miner


@pytest.fixture
def postgres(state_dir: Path) -> Iterator[Postgres]:
    server = Postgres(state_dir, fsync=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(state_dir: Path) -> Iterator[Redis]:
    server = Redis(state_dir)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def node(state_dir: Path, bitcoind_argv: list[str]) -> Iterator[Node]:
    server = Node(state_dir, bitcoind_argv)
    server.start()
    yield server
    server.stop()


def read_rows(url: str) -> list[tuple[int]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT number FROM kept").fetchall()


class TestPostgres:
    def test_keeps_rows_and_address_over_sigkill_and_restart(self, postgres: Postgres) -> None:
        url, first_pid = postgres.owner_url, postgres.pid
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("INSERT INTO kept VALUES (42)")
        postgres.kill()
        assert launcher.read_start(first_pid) is None
        postgres.start()
        assert postgres.owner_url == url
        assert read_rows(url) == [(42,)]
        postgres.restart(signal.SIGQUIT)
        assert read_rows(url) == [(42,)]

    def test_starts_over_a_lock_file_that_names_a_living_stranger(self, postgres: Postgres) -> None:
        postgres.kill()
        lock = postgres.state_dir / "postgres" / "postmaster.pid"
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        postgres.start()
        with psycopg.connect(postgres.app_url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("govpay_app",)

    def test_is_found_again_with_its_rows_by_the_next_run(self, postgres: Postgres) -> None:
        with psycopg.connect(postgres.owner_url) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        postgres.stop()
        assert not list((postgres.state_dir / "run").iterdir())
        again = Postgres(postgres.state_dir, fsync=False)
        again.start()
        assert again.owner_url == postgres.owner_url
        assert read_rows(again.owner_url) == [(7,)]
        again.stop()

    def test_refuses_a_wrong_password_and_the_application_making_databases(self, postgres: Postgres) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.app_url, password="guess")
        with (
            psycopg.connect(postgres.app_url, autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("CREATE DATABASE other")

    def test_moves_to_a_free_port_when_its_own_is_taken(self, postgres: Postgres) -> None:
        taken = Redis(postgres.state_dir)
        postgres.stop()
        taken._file.write(port=str(postgres.port))
        taken.start()
        old_port = postgres.port
        assert taken.port == old_port
        postgres.start()
        assert postgres.port != old_port
        assert ports.is_open(postgres.port)
        taken.stop()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")
    def test_runs_where_its_user_cannot_enter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        wheel = postgres_module.find_binaries().parent.parent
        packages = closed / "site-packages"
        for name in (f"{wheel.name}/pginstall18", f"{wheel.name}.libs"):
            shutil.copytree(wheel.parent / name, packages / name, symlinks=True)
        monkeypatch.setattr(
            postgres_module, "find_binaries", lambda: packages / wheel.name / "pginstall18" / "bin"
        )
        server = Postgres(closed / "state", fsync=False)
        try:
            server.start()
            with psycopg.connect(server.owner_url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            server.stop()
        finally:
            server.remove()
        assert not server._outside().exists()


class TestRedis:
    def test_comes_back_empty_on_its_address_after_sigkill(self, redis: Redis) -> None:
        url = redis.url
        with redis_client.Redis.from_url(url) as client:
            client.set("a", "b")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        redis.kill()
        redis.start()
        assert redis.url == url
        with redis_client.Redis.from_url(url) as client:
            assert client.dbsize() == 0

    def test_refuses_without_the_password(self, redis: Redis) -> None:
        with (
            redis_client.Redis(host=ports.HOST, port=redis.port, retry=Retry(NoBackoff(), 0)) as client,
            pytest.raises(redis_client.AuthenticationError),
        ):
            client.ping()


class TestNode:
    def test_keeps_chain_wallet_and_address_over_sigkill_and_restart(self, node: Node) -> None:
        url = node.url
        Miner(url).mine(3)
        node.restart()
        Miner(url).mine(2)
        node.kill()
        node.start()
        assert node.url == url
        # Blocks after the last flush may be lost with the power; those before the restart may not.
        assert node.rpc.call("getblockcount") >= 3
        assert node.rpc.call("listwallets") == ["miner"]

    def test_keeps_its_password_from_the_command_line_and_from_others(self, node: Node) -> None:
        with open(f"/proc/{node.pid}/cmdline", "rb") as source:
            words = source.read()
        assert node._password().encode() not in words
        assert (node.data_dir / "bitcoin.conf").stat().st_mode & 0o777 == 0o600

    def test_says_what_the_node_said_when_it_does_not_start(
        self, state_dir: Path, bitcoind_argv: list[str]
    ) -> None:
        broken = Node(state_dir, bitcoind_argv, options={"rpcthreads": "-1", "chain": "main"})
        with pytest.raises(LocalStackError, match="node ended with code 1"):
            broken.start()
        assert not list((state_dir / "run").iterdir())
