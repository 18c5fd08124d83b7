"""Real processes on the real stack: workers killed at each kill point while others finish, and starts that are refused."""

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from deploy.local.errors import LocalStackError
from deploy.local.regtest import Miner
from deploy.local.stack import Stack
from tests import schema, services
from tests.invariants import installation
from tests.payments.payout import receiver as receivers
from tests.regtest import queue

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, Redis and bitcoind of its own, with short leases; workers come and go with each test."""
    outside = services.outside_environment() | {
        "GOVPAY_NODE_TIMEOUT_S": "2",
        "GOVPAY_LEASE_S": "3",
        "GOVPAY_SWEEP_S": "1",
        "GOVPAY_FOLLOW_S": "1",
    }
    for name in ("DATABASE_URL", "REDIS_URL", "GOVPAY_NODE_URL"):
        outside.pop(name, None)
    state = services.ensure_state_dir() / f"workers-{os.getpid()}"
    with Stack(state, fresh=True, durable=False, outside=outside) as running:
        running.start_services()
        schema.fill(running)
        play(running, "open_program()")
        running.start_beat()
        yield running


@pytest.fixture(scope="module")
def miner(stack: Stack) -> Miner:
    """Who makes blocks."""
    return Miner(stack.environment()["GOVPAY_NODE_URL"])


def play(stack: Stack, words: str) -> None:
    """Have something done on the stage, in a process of its own with the stack's settings."""
    stack.manage("shell", "-c", f"from tests.regtest import stage; stage.{words}", owner=True)


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Poll till the condition holds; fail with what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen in {timeout_s} s")
        time.sleep(0.1)


def ask(stack: Stack, query: str, *values: object) -> list[tuple[object, ...]]:
    """Own SQL as the owner."""
    assert stack.postgres is not None
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:
        return database.execute(query, values).fetchall()  # type: ignore[arg-type]


def settle(stack: Stack, miner: Miner) -> None:
    """Mine until the newest list is completed, then let the checker judge database and node."""

    def is_completed() -> bool:
        miner.mine(1)
        (row,) = ask(stack, "SELECT status FROM payments_disbursement ORDER BY id DESC LIMIT 1")
        return row == ("completed",)

    wait_for("settlement", is_completed)
    assert stack.postgres is not None
    installation.judge(stack.postgres.owner_url, stack.environment()["GOVPAY_NODE_URL"], exactly=True)


class TestKilledWorker:
    @pytest.mark.parametrize("point", ["K5", "K6", "K7"])
    def test_leaves_nothing_unpaid_and_pays_nobody_twice(
        self, point: str, stack: Stack, miner: Miner, tmp_path: Path
    ) -> None:
        marker = tmp_path / "killed"
        victim = stack.start_worker(f"victim-{point}", GOVPAY_FAILPOINT=f"{point}:halt:{marker}")
        release(stack, point)
        wait_for(f"the worker's arrival at {point}", marker.exists)
        stack.kill(victim)
        rescuer = stack.start_worker(f"rescuer-{point}")
        settle(stack, miner)
        stack.kill(rescuer)


# Every point at which a worker may have touched the outside world, each blow, one worker and two. The short form has
# each point once, and between them each blow with each number of workers.
POINTS = ("K8", "K9", "K10", "K11", "K12", "K13", "K14", "K15", "K16")
BLOWS = ("child", "parent", "flushall")
WHOLE = list(itertools.product(POINTS, BLOWS, (1, 2)))
SHORT = [(point, BLOWS[n % 3], 1 + n % 2) for n, point in enumerate(POINTS)]


class TestMatrix:
    @pytest.mark.parametrize(
        ("point", "blow", "count"), WHOLE if "GOVPAY_WHOLE_MATRIX" in os.environ else SHORT
    )
    def test_of_kill_points_and_blows_pays_everybody_once(
        self, point: str, blow: str, count: int, stack: Stack, miner: Miner, tmp_path: Path
    ) -> None:
        """The first worker that comes to the point halts there and gets the blow; the other, if there is one, works on."""
        marker, name = tmp_path / "halted", f"{point}-{blow}-{count}"
        workers = [
            stack.start_worker(f"{name}-{n}", GOVPAY_FAILPOINT=f"{point}:halt:{marker}") for n in range(count)
        ]
        release(stack, name)
        if point in ("K13", "K14", "K15", "K16"):
            wait_for("the payouts", lambda: statuses(stack, name) == ["sent"] * 3)
        if point == "K13":
            miner.mine(1)
        elif point in ("K14", "K15", "K16"):
            play(stack, "bump()")
        wait_for(f"a worker's arrival at {point}", lambda: marker.exists() and bool(marker.read_text()))
        child = int(marker.read_text())
        if blow == "flushall":
            assert stack.redis is not None
            with redis.Redis.from_url(stack.redis.url) as client:
                client.flushall()
        if blow == "parent":
            (victim,) = [worker for worker in workers if worker.pid == parent_of(child)]
            os.kill(victim.pid, signal.SIGKILL)
            if count == 1:
                workers.append(stack.start_worker(f"{name}-again"))
        else:
            os.kill(child, signal.SIGKILL)
        settle(stack, miner)
        assert statuses(stack, name) == ["settled"] * 3
        kinds = ask(stack, f"SELECT v.kind, count(*) {OF_LIST} GROUP BY 1 ORDER BY 1", name)
        assert kinds == ([("bump", 1)] if point in ("K14", "K15", "K16") else []) + [("original", 3)]
        for worker in workers:
            stack.kill(worker)


OF_LIST = """
FROM payments_payout p JOIN payments_payouttx v ON v.payout_id = p.id
JOIN payments_disbursement d ON d.id = p.disbursement_id JOIN payments_cycle c ON c.id = d.cycle_id WHERE c.period = %s
"""


def statuses(stack: Stack, period: str) -> list[object]:
    """Return the statuses of a list's payouts."""
    rows = ask(stack, f"SELECT p.status {OF_LIST} AND v.kind = 'original' ORDER BY p.id", period)
    return [status for (status,) in rows]


def parent_of(pid: int) -> int:
    """Return the parent's process id."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def sweeps(stack: Stack) -> object:
    """Return when a worker swept last, by the database's clock."""
    rows = ask(stack, "SELECT beat_at FROM payments_heartbeat WHERE name = 'sweep'")
    return rows[0][0] if rows else None


def wait_for_a_sweep(stack: Stack, timeout_s: float = 30) -> None:
    """Wait until a worker sweeps anew: it consumes."""
    before = sweeps(stack)
    wait_for("a sweep", lambda: sweeps(stack) != before, timeout_s)


def release(stack: Stack, period: str) -> None:
    """Release a list of 30 people in three payouts."""
    play(stack, f"release({period!r})")


class TestBroker:
    def test_restarted_five_times_has_every_worker_consume_again_within_30_s(
        self, stack: Stack, miner: Miner
    ) -> None:
        assert stack.redis is not None
        workers = [stack.start_worker("f7work", queues=("work",)), stack.start_rounds()]
        wait_for_a_sweep(stack, 60)
        for _ in range(5):
            stack.redis.restart()
            wait_for_a_sweep(stack)
        release(stack, "F7")
        settle(stack, miner)
        for worker in workers:
            assert worker.is_running
            stack.kill(worker)

    def test_that_lost_all_messages_delays_a_list_by_one_sweep(self, stack: Stack, miner: Miner) -> None:
        assert stack.redis is not None
        release(stack, "F5")
        with redis.Redis.from_url(stack.redis.url) as client:
            assert client.llen("work") > 0
            client.flushall()
            assert client.dbsize() == 0
        worker = stack.start_worker("f5")
        settle(stack, miner)
        stack.kill(worker)


class TestCraftedMessages:
    def test_in_the_queue_have_nothing_done_and_end_no_worker(
        self, stack: Stack, miner: Miner, tmp_path: Path
    ) -> None:
        """A27: whoever can write to the broker can ring, and nothing more."""
        assert stack.redis is not None
        play(stack, "approve('A27-WAITS')")
        ((waiting,),) = ask(stack, "SELECT max(id) FROM payments_disbursement")
        marker = tmp_path / "ran"
        crafted = [
            queue.message("payments.tasks.seal", {"disbursement_id": waiting}),
            queue.message("payments.tasks.seal", {"disbursement_id": -1}),
            queue.message("payments.tasks.seal", {"disbursement_id": "1; DROP TABLE payments_payment"}),
            queue.message("payments.tasks.seal", {"disbursement_id": waiting, "approved_by": 1}),
            queue.message("payments.tasks.advance", {"payout_id": 2**70}),
            queue.message("os.system", {"command": f"touch {marker}"}),
            queue.pickled(f"touch {marker}"),
            *(b"no message", b"\xff\xfe", b"[]", b"{}", b"null", b'{"properties": {"delivery_tag": 1}}'),
        ]
        worker = stack.start_worker("a27")
        with redis.Redis.from_url(stack.redis.url) as client:
            client.lpush("work", *crafted)
            wait_for("the messages to be taken", lambda: client.llen("work") == 0)
        release(stack, "A27")
        settle(stack, miner)
        assert worker.is_running
        stack.kill(worker)
        assert not marker.exists()
        assert ask(stack, "SELECT status FROM payments_disbursement WHERE id = %s", waiting) == [
            ("approved",)
        ]
        assert ask(stack, "SELECT id FROM payments_payout WHERE disbursement_id = %s", waiting) == []


class TestTwoBeats:
    def test_pay_nobody_twice(self, stack: Stack, miner: Miner) -> None:
        words = ["celery", "-A", "govpay", "beat", f"--schedule={stack.state_dir / 'beat2'}", "--pidfile="]
        second = stack.start_process("beat2", [sys.executable, "-m", *words])
        workers = [stack.start_worker(f"f41-{number}") for number in (1, 2)]
        release(stack, "F41")
        settle(stack, miner)
        assert statuses(stack, "F41") == ["settled"] * 3
        for process in (second, *workers):
            stack.kill(process)


class TestHungNode:
    def test_holds_up_neither_the_sweep_nor_what_comes_after_it(self, stack: Stack, miner: Miner) -> None:
        assert stack.node is not None
        workers = [stack.start_worker("hung", queues=("work",)), stack.start_rounds()]
        wait_for_a_sweep(stack, 60)
        release(stack, "HUNG")
        os.kill(stack.node.pid, signal.SIGSTOP)
        try:
            for _ in range(4):
                wait_for_a_sweep(stack, 15)
        finally:
            os.kill(stack.node.pid, signal.SIGCONT)
        settle(stack, miner)
        for worker in workers:
            stack.kill(worker)


# Opens or closes an alarm that is about nothing.
DRILL = "from payments.payout import alarms; alarms.{}('payout_stuck', subject='drill', subject_id=7, {}='Drill.')"


class TestWebhook:
    @pytest.fixture
    def receiver(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[receivers.Receiver]:
        """Who is told of alarms, while this test lasts; what earlier tests left open is none of its business."""
        ask(stack, "UPDATE payments_alarm SET closed_at = now() WHERE closed_at IS NULL RETURNING id")
        made = receivers.Receiver()
        monkeypatch.setitem(stack.outside, "GOVPAY_ALARM_WEBHOOK_URL", made.url)
        monkeypatch.setitem(stack.outside, "GOVPAY_ALARM_WEBHOOK_SECRET", receivers.SECRET)
        yield made
        made.close()

    def test_to_a_receiver_that_hangs_holds_up_neither_the_sweep_nor_a_payout(
        self, stack: Stack, miner: Miner, receiver: receivers.Receiver
    ) -> None:
        receiver.answers = [receiver.hang] * 100
        workers = [stack.start_worker("hook", queues=("work",)), stack.start_rounds()]
        stack.manage("shell", "-c", DRILL.format("sound", "message"))
        wait_for("the message", lambda: bool(receiver.messages))
        release(stack, "HOOK")
        for _ in range(4):
            wait_for_a_sweep(stack, 15)
        settle(stack, miner)
        hung = (
            "SELECT attempts > 0, delivered_at FROM payments_alarmdelivery"
            " JOIN payments_alarm a ON a.id = alarm_id WHERE subject = 'drill'"
        )
        assert ask(stack, hung) == [(True, None)]
        stack.manage("shell", "-c", DRILL.format("clear", "note"))
        ask(stack, "UPDATE payments_alarmdelivery SET delivered_at = now() RETURNING id")
        for worker in workers:
            stack.kill(worker)

    def test_that_a_dead_worker_sent_is_sent_again_with_the_same_id(
        self, stack: Stack, receiver: receivers.Receiver, tmp_path: Path
    ) -> None:
        """K20 with real workers: one dies after it sent, the next sends the same message, and goes on with the next."""
        marker = tmp_path / "killed"
        victim = stack.start_worker("victim-K20", GOVPAY_FAILPOINT=f"K20:halt:{marker}")
        stack.manage("shell", "-c", DRILL.format("sound", "message"))
        wait_for("the worker's arrival at K20", marker.exists)
        stack.kill(victim)
        ((alarm_id,),) = ask(stack, "SELECT max(id) FROM payments_alarm WHERE subject = 'drill'")
        assert receiver.said == [("alarm.opened", alarm_id)]
        stack.manage("shell", "-c", DRILL.format("clear", "note"))
        ask(stack, "UPDATE payments_alarmdelivery SET due_at = now() RETURNING id")
        rescuer = stack.start_worker("rescuer-K20")
        wait_for("the closing", lambda: ("alarm.closed", alarm_id) in receiver.said)
        stack.kill(rescuer)
        first, again, closed = (
            message for message in receiver.messages if message.content["data"]["alarm_id"] == alarm_id
        )
        assert (first.id, first.body) == (again.id, again.body)
        assert closed.content["type"] == "alarm.closed"
        waiting = f"SELECT count(*) FROM payments_alarmdelivery WHERE alarm_id = {alarm_id} AND delivered_at IS NULL"
        wait_for("the note that it was taken", lambda: ask(stack, waiting) == [(0,)])


class TestStart:
    def test_of_a_worker_is_refused_on_another_chain(self, stack: Stack) -> None:
        lost = stack.start_worker("lost", GOVPAY_NETWORK="signet")
        wait_for("the worker's end", lambda: not lost.is_running)
        stack.processes.remove(lost)
        assert lost.poll() == 1
        assert "The worker does not start: The node follows chain 'regtest'" in lost.tail(40)

    def test_of_the_web_process_is_refused_on_another_chain(self, stack: Stack) -> None:
        words = ["gunicorn", "govpay.wsgi:application", "--bind=127.0.0.1:0", "--no-control-socket"]
        lost = stack.start_process("lostweb", [sys.executable, "-m", *words], GOVPAY_NETWORK="testnet4")
        wait_for("the web process's end", lambda: not lost.is_running)
        stack.processes.remove(lost)
        assert lost.poll() not in (0, None)
        assert "The node follows chain 'regtest'" in lost.log.read_text()

    def test_of_anything_is_refused_on_the_main_network(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(stack.outside, "GOVPAY_NETWORK", "mainnet")
        with pytest.raises(LocalStackError, match="GOVPAY_NETWORK names the main network"):
            stack.manage("check")

    def test_of_anything_is_refused_with_a_lease_that_an_rpc_may_outlive(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(stack.outside, "GOVPAY_LEASE_S", "2")
        rule = r"GOVPAY_LEASE_S \(2 s\) must be longer than GOVPAY_NODE_TIMEOUT_S \(2 s\)"
        with pytest.raises(LocalStackError, match=rule):
            stack.manage("check")

    def test_of_a_worker_is_refused_with_a_fail_point_outside_regtest(self, stack: Stack) -> None:
        lost = stack.start_worker("unsafe", GOVPAY_NETWORK="signet", GOVPAY_FAILPOINT="K9:kill:x")
        wait_for("the worker's end", lambda: not lost.is_running)
        stack.processes.remove(lost)
        assert "GOVPAY_FAILPOINT may be set on regtest only" in lost.tail(40)
