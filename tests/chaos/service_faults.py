"""What can go wrong with workers, the scheduler, Redis and PostgreSQL; each says how it ends, or that it cannot be now."""

import os
import random
import signal
from contextlib import suppress

import psycopg
import redis

from tests.chaos.fault import End, nothing
from tests.chaos.stage import WORKERS, Stage
from tests.faults.wire import Mode
from tests.payments.payout import receiver


def kill_child(stage: Stage, draw: random.Random) -> End | None:
    name = draw.choice(WORKERS)
    if name not in stage.workers:
        return None
    for pid in stage.children(name):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return nothing


def kill_parent(stage: Stage, draw: random.Random) -> End | None:
    """Its children live on for a while, as they do when the system takes the parent for its memory."""
    name = draw.choice(WORKERS)
    if name not in stage.workers:
        return None
    with suppress(ProcessLookupError):
        os.kill(stage.workers[name].pid, signal.SIGKILL)
    return lambda: restart_worker(stage, name)


def kill_group(stage: Stage, draw: random.Random) -> End:
    for name in WORKERS:
        stage.end_worker(name)
    return lambda: [restart_worker(stage, name) for name in WORKERS] and None


def restart_worker(stage: Stage, name: str) -> None:
    """Start a worker anew."""
    stage.end_worker(name)
    stage.start_worker(name)


def stop_worker(stage: Stage, draw: random.Random) -> End | None:
    name = draw.choice(WORKERS)
    if name not in stage.workers:
        return None
    stage.signal_group(name, signal.SIGSTOP)
    return lambda: stage.signal_group(name, signal.SIGCONT) if name in stage.workers else None


def reckless_worker(stage: Stage, draw: random.Random) -> End:
    """A third worker dies at one kill point in eight that it passes."""
    stage.end_worker("reckless")
    stage.start_worker("reckless", GOVPAY_FAILPOINT="*%12:kill:")
    return lambda: stage.end_worker("reckless")


def ring_fifty_times(stage: Stage, draw: random.Random) -> End | None:
    """Deliver the task of one open payout fifty times."""
    from celery import current_app
    from kombu.exceptions import OperationalError

    rows = stage.ask("SELECT id FROM payments_payout WHERE status NOT IN ('settled', 'unsealed', 'voided')")
    if not rows:
        return None
    payout_id = draw.choice(rows)[0]
    try:
        for _ in range(50):
            current_app.send_task("payments.tasks.advance", kwargs={"payout_id": payout_id})
    except (OperationalError, OSError):
        return None
    return nothing


def flush_redis(stage: Stage, draw: random.Random) -> End:
    with suppress(redis.RedisError), redis.Redis.from_url(stage.redis.url) as broker:
        broker.flushall()
    return nothing


def kill_redis(stage: Stage, draw: random.Random) -> End:
    stage.redis.kill()
    return stage.redis.start


def slow_redis(stage: Stage, draw: random.Random) -> End:
    stage.redis_proxy.fail(Mode.DELAY, times=None, delay_s=0.3, jitter_s=0.3)
    return stage.redis_proxy.heal


def cut_redis(stage: Stage, draw: random.Random) -> End:
    stage.redis_proxy.fail(draw.choice([Mode.RESET, Mode.DROP, Mode.TRUNCATE]), times=draw.randint(1, 5))
    stage.redis_proxy.cut()
    return stage.redis_proxy.heal


def crash_postgres(stage: Stage, draw: random.Random) -> End:
    stage.postgres.restart(signal.SIGQUIT)
    return nothing


def end_backends(stage: Stage, draw: random.Random) -> End:
    with psycopg.connect(stage.postgres.superuser_url, autocommit=True) as database:
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'govpay_app'"
        )
    return nothing


def lose_commits(stage: Stage, draw: random.Random) -> End:
    mode = draw.choice([Mode.SWALLOW, Mode.RESET, Mode.DROP])
    stage.database_proxy.fail(mode, times=draw.randint(1, 6), when=b"COMMIT")
    return stage.database_proxy.heal


def slow_postgres(stage: Stage, draw: random.Random) -> End:
    stage.database_proxy.fail(Mode.DELAY, times=None, delay_s=0.05, jitter_s=0.05)
    return stage.database_proxy.heal


def kill_beat(stage: Stage, draw: random.Random) -> End:
    stage.end_beat("beat")
    return lambda: None if "beat" in stage.beats else stage.start_beat()


def second_beat(stage: Stage, draw: random.Random) -> End:
    stage.end_beat("beat2")
    stage.start_beat("beat2")
    return lambda: stage.end_beat("beat2")


def spoil_receiver(stage: Stage, draw: random.Random) -> End:
    """Let the receiver of alarms refuse, break off or hang."""

    def mend() -> None:
        stage.receiver.usual = receiver.take

    stage.receiver.usual = draw.choice([receiver.status(503), receiver.raw(b""), stage.receiver.hang])
    return mend
