"""What can go wrong: each fault has the ids it stands for, how it begins, and how it ends."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import redis

from deploy.local.regtest import to_btc
from deploy.local.rpc import Rpc, RpcError
from tests.chaos.stage import LEASE_S, WORKERS, Stage
from tests.faults.proxy import FORGED
from tests.faults.wire import Mode

End = Callable[[], None]
# What a stranger pays, from a little more than a payout to more than any void may cost.
STRANGERS_FEE_SAT = (4_000, 20_000)
RESERVED = """
SELECT p.anchor_txid, p.anchor_vout, c.amount_sat, w.name FROM payments_payout p
JOIN payments_coin c ON (c.txid, c.vout) = (p.anchor_txid, p.anchor_vout) JOIN payments_wallet w ON w.id = p.wallet_id
WHERE p.status IN ('committed', 'signed', 'sent') AND c.spent_by_txid IS NULL ORDER BY p.id
"""
FREE = """
SELECT c.txid, c.vout, c.amount_sat, w.name FROM payments_coin c JOIN payments_wallet w ON w.id = c.wallet_id
WHERE c.spent_by_txid IS NULL AND c.amount_sat > 100000 AND NOT EXISTS (
    SELECT FROM payments_reservation r WHERE (r.txid, r.vout) = (c.txid, c.vout) AND r.is_live) ORDER BY c.id
"""


@dataclass(frozen=True)
class Fault:
    """A fault by name: ids of the fault list, its weight in the draw, and how long it lasts at least and at most.

    ``begin`` returns how it ends, or None when it could not happen now.
    """

    name: str
    ids: str
    begin: Callable[[Stage, random.Random], End | None]
    weight: int = 2
    least_s: float = 0.5
    most_s: float = 3.0


def nothing() -> None:
    """End a fault that is over already."""


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


def kill_node(stage: Stage, draw: random.Random) -> End:
    stage.near.kill()
    return lambda: None if stage.is_node_up() else stage.near.start()


def raise_min_relay(stage: Stage, draw: random.Random) -> End:
    """What pays less than the new least feerate is evicted when the node starts."""
    stage.near.restart(minrelaytxfee="0.00005")
    return lambda: restart_node(stage)


def forget_pool(stage: Stage, draw: random.Random) -> End:
    stage.near.stop()
    (stage.near.data_dir / "regtest" / "mempool.dat").unlink(missing_ok=True)
    stage.near.start()
    return nothing


def restart_node(stage: Stage) -> None:
    """Start the node with its usual settings."""
    stage.near.stop()
    stage.near.options.clear()
    stage.near.start()


def unload_wallet(stage: Stage, draw: random.Random) -> End | None:
    try:
        for name in stage.near.rpc.call("listwallets"):
            if name != "miner":
                stage.near.rpc.call("unloadwallet", name)
    except (OSError, RpcError):
        return None
    return nothing


def fill_blocks(stage: Stage, draw: random.Random) -> End:
    """Others pay more for every byte of the blocks that come: whoever waits must outbid, be given up, or wait on."""
    stage.has_room = False

    def end() -> None:
        stage.has_room = True

    return end


def steal_coin(stage: Stage, draw: random.Random) -> End | None:
    """Somebody else who has the wallet's keys spends a coin, one that a payout waits for if there is one."""
    rows = stage.ask(RESERVED) if draw.random() < 0.8 else stage.ask(FREE)
    if not rows or stage.is_partitioned:
        return None
    txid, vout, amount_sat, name = draw.choice(rows)
    left_sat = amount_sat - draw.randint(*STRANGERS_FEE_SAT)
    wallet = Rpc(stage.near.url, wallet=name)
    try:
        paid = {stage.miner.make_address(): to_btc(left_sat)}
        raw = wallet.call("createrawtransaction", [{"txid": txid, "vout": vout}], [paid])
        signed = wallet.call("signrawtransactionwithwallet", raw)
        if not signed["complete"]:
            return None
        stage.stolen.add(wallet.call("decoderawtransaction", signed["hex"])["txid"])
        if draw.random() < 0.5:
            stage.miner.mine_only([signed["hex"]])
        else:
            wallet.call("sendrawtransaction", signed["hex"], 0)
    except (OSError, RpcError):
        return None
    return nothing


def reorganize(stage: Stage, draw: random.Random) -> End | None:
    """Each node finds blocks alone; then they meet, and the far one's branch wins."""
    if stage.is_partitioned or not stage.is_node_up():
        return None
    stage.part_nodes()
    stage.far_miner.mine(1)
    with suppress(OSError, RpcError):
        stage.miner.mine(draw.choice([1, 1, 2, 3, 6, 9]))
    return stage.join_nodes


METHODS = (
    *("sendrawtransaction", "sendrawtransaction", "walletprocesspsbt", "walletprocesspsbt"),
    *(
        "gettxout",
        "getblock",
        "getblockhash",
        "testmempoolaccept",
        "gettxspendingprevout",
        "getrawchangeaddress",
    ),
    *("getblockchaininfo", "listwallets", "*"),
)


def fail_calls(stage: Stage, draw: random.Random) -> End:
    method = draw.choice(METHODS)
    mode = draw.choice([*(mode.value for mode in Mode if mode != Mode.PASS), *FORGED, "cut_json", "other"])
    delay_s = 0.02 if mode == Mode.DRIP else 4.0
    stage.node_proxy.fail(method, mode, times=draw.choice([1, 2, 5, None]), delay_s=delay_s)
    return lambda: stage.node_proxy.heal(method)


def refuse_fee(stage: Stage, draw: random.Random) -> End:
    reason = draw.choice(
        ["min relay fee not met, 100 < 200", "mempool min fee not met, 100 < 200", "mempool full"]
    )
    stage.node_proxy.refuse("sendrawtransaction", -26, reason, times=draw.randint(1, 3))
    return lambda: stage.node_proxy.heal("sendrawtransaction")


def swing_estimate(stage: Stage, draw: random.Random) -> End:
    feerate: Any = draw.choice([None, 0, 0.00001, 0.0001, 0.0004, 0.01, 9.9])
    found = (
        {"errors": ["Insufficient data"], "blocks": 0}
        if feerate is None
        else {"feerate": feerate, "blocks": 2}
    )
    stage.node_proxy.answer("estimatesmartfee", found)
    return lambda: stage.node_proxy.heal("estimatesmartfee")


def kill_beat(stage: Stage, draw: random.Random) -> End:
    stage.end_beat("beat")
    return lambda: None if "beat" in stage.beats else stage.start_beat()


def second_beat(stage: Stage, draw: random.Random) -> End:
    stage.end_beat("beat2")
    stage.start_beat("beat2")
    return lambda: stage.end_beat("beat2")


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


CATALOG = (
    Fault("kill a worker's child", "F1", kill_child, 4),
    Fault("kill a worker's parent", "F1", kill_parent),
    Fault("kill every worker", "F2", kill_group, 1),
    Fault("stop a worker past its lease", "F4", stop_worker, 2, LEASE_S + 0.5, LEASE_S + 2),
    Fault("a worker that dies at kill points", "F1 K1-K20", reckless_worker, 4, 3, 6),
    Fault("deliver a task fifty times", "F3", ring_fifty_times),
    Fault("flush Redis", "F5", flush_redis),
    Fault("kill Redis", "F5 F6 F7", kill_redis),
    Fault("cut Redis connections", "F7", cut_redis),
    Fault("slow Redis", "F39", slow_redis, 1),
    Fault("restart PostgreSQL immediate", "F9", crash_postgres),
    Fault("end PostgreSQL backends", "F9 F11", end_backends),
    Fault("lose commits or their replies", "F10", lose_commits, 3),
    Fault("slow PostgreSQL", "F39", slow_postgres, 1),
    Fault("fail calls of the node", "F12-F16", fail_calls, 10),
    Fault("kill the node", "F17 F19", kill_node),
    Fault("unload the wallet", "F18", unload_wallet),
    Fault("reorganize 1 to 10 blocks", "F22 F23 F25 F27", reorganize, 5, 1, 3),
    Fault("blocks without room", "F28", fill_blocks, 4, 6, 10),
    Fault("a stranger spends a coin", "F25 F26", steal_coin, 1),
    Fault("forget the memory pool", "F31 F33", forget_pool),
    Fault("raise the least relay feerate", "F32", raise_min_relay, 1),
    Fault("refuse a fee", "F31 F32", refuse_fee),
    Fault("swing the fee estimate", "F49", swing_estimate, 3),
    Fault("kill the scheduler", "F41", kill_beat, 1),
    Fault("a second scheduler", "F41", second_beat, 1),
)
