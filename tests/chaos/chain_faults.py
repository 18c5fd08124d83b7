"""What can go wrong with the node, its blocks, fees and coins; each says how it ends, or that it cannot be now."""

import random
from contextlib import suppress
from typing import Any

from deploy.local.regtest import to_btc
from deploy.local.rpc import Rpc, RpcError
from tests.chaos.fault import End, nothing
from tests.chaos.stage import Stage
from tests.faults.proxy import FORGED
from tests.faults.wire import Mode

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


def reorganize(stage: Stage, draw: random.Random) -> End | None:
    """Each node finds blocks alone; then they meet, and the far one's branch wins."""
    if stage.is_partitioned or not stage.is_node_up():
        return None
    stage.part_nodes()
    stage.far_miner.mine(1)
    with suppress(OSError, RpcError):
        stage.miner.mine(draw.choice([1, 1, 2, 3, 6, 9]))
    return stage.join_nodes


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
