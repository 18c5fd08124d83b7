"""One stack a state directory: its parts start, are replaced by outside ones, and are all gone at the end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from deploy.local import launcher, up
from deploy.local.errors import LocalStackError
from deploy.local.stack import ROOT, Stack
from tests import services

# Starts the services, says so with their ids, and waits to be killed.
RUNNING = """
import sys, time
from pathlib import Path
from deploy.local.stack import Stack
with Stack(Path(sys.argv[1]), durable=False) as stack:
    stack.start_services()
    print(stack.postgres.pid, stack.redis.pid, stack.node.pid, flush=True)
    time.sleep(300)
"""

# Posts an entry as the application, and says who the sealer is to the database.
POSTING = """
from django.db import connections
from django.utils import timezone
from ledger import books, chart, events
chart.open_program(1)
books.post([events.commitment(program_id=1, disbursement_id=1, amount=5, effective_at=timezone.now(), actor="a",
    approver="b")])
with connections["sealer"].cursor() as cursor:
    cursor.execute("SELECT current_user")
    print(cursor.fetchone()[0])
"""


def make_stack(state_dir: Path, outside: dict[str, str] | None = None, *, fresh: bool = False) -> Stack:
    environment = services.outside_environment() | (outside or {})
    return Stack(state_dir, durable=False, fresh=fresh, outside=environment)


class TestStack:
    def test_leaves_no_process_and_no_record(self, state_dir: Path) -> None:
        with make_stack(state_dir) as stack:
            stack.start_services()
            sleeper = stack.start_process("sleeper", ["sleep", "300"])
            assert stack.postgres is not None
            assert stack.redis is not None
            assert stack.node is not None
            pids = [stack.postgres.pid, stack.redis.pid, stack.node.pid, sleeper.pid]
            assert stack.find_ended() is None
        assert [launcher.read_start(pid) for pid in pids] == [None] * 4
        assert not list((state_dir / "run").iterdir())

    def test_keeps_keys_between_runs_and_forgets_them_when_fresh(self, state_dir: Path) -> None:
        names = ("GOVPAY_SECRET_KEY", "GOVPAY_IDENTITY_KEY", "GOVPAY_FIELD_KEYS", "GOVPAY_APPROVAL_KEYS")
        found = []
        for fresh in (False, False, True):
            with make_stack(state_dir, fresh=fresh) as stack:
                found.append([stack.environment()[name] for name in names])
        assert found[0] == found[1]
        assert not set(found[1]) & set(found[2])
        assert (state_dir / "stack.json").stat().st_mode & 0o777 == 0o600

    def test_refuses_a_second_run_in_one_sentence(self, state_dir: Path) -> None:
        with make_stack(state_dir) as first:
            sleeper = first.start_process("sleeper", ["sleep", "300"])
            with (
                pytest.raises(LocalStackError, match=rf"Another run \(process {os.getpid()}\)") as caught,
                make_stack(state_dir),
            ):
                raise AssertionError("entered twice")
            assert "\n" not in str(caught.value)
            assert sleeper.is_running

    def test_leaves_nothing_when_it_is_killed_and_starts_again_at_once(self, state_dir: Path) -> None:
        running = subprocess.Popen(
            [sys.executable, "-c", RUNNING, str(state_dir)],
            stdout=subprocess.PIPE,
            text=True,
            env=services.outside_environment(),
            cwd=ROOT,
        )
        assert running.stdout is not None
        pids = [int(word) for word in running.stdout.readline().split()]
        running.kill()
        running.wait()
        running.stdout.close()
        with make_stack(state_dir) as stack:
            assert [launcher.read_start(pid) for pid in pids] == [None] * 3
            stack.start_services()
            assert stack.postgres is not None
            with psycopg.connect(stack.postgres.app_url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_starts_nothing_that_an_outside_address_replaces(self, state_dir: Path) -> None:
        outside = {
            "DATABASE_URL": "postgres://somebody@db.example/govpay",
            "REDIS_URL": "redis://broker.example/0",
            "GOVPAY_NODE_URL": "http://node.example:18443",
        }
        with make_stack(state_dir, outside) as stack:
            stack.start_services()
            assert (stack.postgres, stack.redis, stack.node) == (None, None, None)
            environment = stack.environment(owner=True)
            assert {name: environment[name] for name in outside} == outside

    def test_migrates_as_the_owner_where_that_one_is_named(self, state_dir: Path) -> None:
        owner = "postgres://owner@db.example/govpay"
        outside = {"DATABASE_URL": "postgres://app@db.example/govpay", "GOVPAY_OWNER_DATABASE_URL": owner}
        with make_stack(state_dir, outside) as stack:
            assert stack.environment()["DATABASE_URL"] == outside["DATABASE_URL"]
            assert stack.environment(owner=True)["DATABASE_URL"] == owner

    def test_seals_the_books_as_a_role_of_its_own(self, state_dir: Path) -> None:
        with make_stack(state_dir) as stack:
            stack.start_services()
            stack.migrate()
            assert stack.manage("shell", "--no-imports", "-c", POSTING).splitlines()[-1] == "govpay_sealer"
            origin, size = stack.manage("seal_books").splitlines()[:2]
            assert (origin, size) == ("govpay/regtest", "1")
            assert stack.manage("verify_seals") == "1 entries, 1 seals, 1 checkpoints: 0 differences.\n"

    def test_refuses_to_stand_in_for_another_network(self, state_dir: Path) -> None:
        with (
            make_stack(state_dir, {"GOVPAY_NETWORK": "signet"}) as stack,
            pytest.raises(LocalStackError, match="name a signet node in GOVPAY_NODE_URL"),
        ):
            stack.start_services()
        assert not (state_dir / "run").exists()

    def test_names_the_part_that_ended_by_itself(self, state_dir: Path) -> None:
        with make_stack(state_dir) as stack:
            sleeper = stack.start_process("sleeper", ["sleep", "300"])
            other = stack.start_process("other", ["sleep", "300"])
            stack.kill(other)
            assert stack.find_ended() is None
            sleeper.send(signal.SIGKILL)
            sleeper.wait(10)
            ended = stack.find_ended()
            assert ended is not None
            assert ended.name == "sleeper"


class TestReadBlockS:
    @pytest.mark.parametrize("raw", ["", "-1", "nan", "1e3", "five"])
    def test_refuses_what_is_not_seconds(self, raw: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_BLOCK_S", raw)
        with pytest.raises(LocalStackError, match="GOVPAY_BLOCK_S must be seconds"):
            up.read_block_s()

    def test_reads_a_part_of_a_second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOVPAY_BLOCK_S", "0.5")
        assert up.read_block_s() == 0.5


class TestEnsureDatabase:
    def test_gives_one_real_server_to_the_whole_run(self) -> None:
        url = services.ensure_database()
        assert services.ensure_database() == url
        with psycopg.connect(url, dbname="postgres") as connection:
            row = connection.execute(
                "SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert row == (True,)
