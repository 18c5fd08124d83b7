"""What our plans pay in fees, against walletcreatefundedpsbt for the same payments, coins and feerate."""

import random
from typing import Any

from deploy.local.regtest import to_btc
from deploy.local.rpc import Rpc
from deploy.local.stack import Stack
from payments.onchain import address, network
from payments.payout import coins, plan
from tests import factories
from tests.bench import pay
from tests.regtest.ministry import Ministry

SIZES = (1, 2, 5, 10, 30, 100, 200, 500)
# Twice for each size: what one coin carries, and what takes several.
SHARES = (0.3, 4.0)
COINS = 120


def measure(stack: Stack) -> dict[str, Any]:
    """Return our fees as shares of the node's, over all cases: for the same inputs, and where both choose freely."""
    drawn = random.Random(7)
    # In the long run as now, as the node's wallet is told below: neither saves inputs for better days.
    ministry = Ministry.open(deposits_sat=[], code="FEES", coins_wanted=1)
    amounts = [int(drawn.lognormvariate(13, 1)) + 20_000 for _ in range(COINS)]
    for at in range(0, COINS, 20):
        for amount_sat in amounts[at : at + 20]:
            ministry.miner.fund([ministry.funding_address()], amount_sat)
        ministry.mine(1)
    wallet = ministry.program.wallet
    theirs = Rpc(stack.environment()["GOVPAY_NODE_URL"], wallet=wallet.name)
    typical_sat = sorted(amounts)[COINS // 2]
    ours_sat, same_sat, free_sat, worst = 0, 0, 0, 0.0
    for size in SIZES:
        for share in SHARES:
            each_sat = max(int(share * typical_sat / size), 600)
            lines = [plan.Line(n, factories.make_script(), each_sat) for n in range(size)]
            terms = coins.terms(wallet, 1_000 * pay.FEERATE_SAT_VB)
            offered = coins.free(wallet, size * each_sat, feerate_sat_kvb=terms.feerate_sat_kvb)
            planned = plan.fund(lines, offered, terms)
            same = node_fee_sat(theirs, planned, is_free=False)
            ours_sat += planned.fee_sat
            same_sat += same
            free_sat += node_fee_sat(theirs, planned, is_free=True)
            worst = max(worst, abs(planned.fee_sat - same) / same)
    return {
        "cases": len(SIZES) * len(SHARES),
        "ours_sat": ours_sat,
        "node_same_inputs_sat": same_sat,
        "node_chooses_freely_sat": free_sat,
        "same_inputs_difference_percent": round(100 * (ours_sat - same_sat) / same_sat, 3),
        "same_inputs_worst_percent": round(100 * worst, 3),
        "free_choice_difference_percent": round(100 * (ours_sat - free_sat) / free_sat, 3),
        "difference_goal_percent": 0.5,
    }


def node_fee_sat(wallet: Rpc, planned: plan.Plan, *, is_free: bool) -> int:
    """Return the fee of the node's own tx for the plan's payments, with the plan's coins or with any of the wallet's."""
    inputs = [{"txid": coin.outpoint.txid, "vout": coin.outpoint.vout} for coin in planned.coins]
    outputs = [
        {address.address_from_script(line.script_pubkey, network.current()): to_btc(line.amount_sat)}
        for line in planned.lines
    ]
    options = {"fee_rate": str(pay.FEERATE_SAT_VB), "change_type": "bech32", "add_inputs": is_free}
    funded = wallet.call("walletcreatefundedpsbt", [] if is_free else inputs, outputs, 0, options)
    return int(funded["fee"] * 100_000_000)
