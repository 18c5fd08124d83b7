"""Makes blocks, coins and reorganizations on a regtest node: `python -m deploy.local.regtest --every 5`."""

import argparse
import os
import sys
import time
from decimal import Decimal
from typing import Any

from deploy.local.errors import LocalStackError
from deploy.local.rpc import Rpc, RpcError

WALLET = "miner"
SAT = Decimal("0.00000001")
FEERATE_SAT_VB = 2
MATURITY = 101
NOT_FOUND, ALREADY_LOADED = -18, -35


class Miner:
    """The owner of the chain's new coins; refuses every chain but regtest."""

    def __init__(self, node_url: str) -> None:
        self.node = Rpc(node_url)
        self.wallet = Rpc(node_url, wallet=WALLET)
        chain = self.node.call("getblockchaininfo")["chain"]
        if chain != "regtest":
            raise LocalStackError(f"The node follows {chain}; blocks are made on regtest only.")
        self._ensure_wallet()

    def mine(self, count: int, address: str | None = None) -> list[str]:
        """Mine blocks, to a fresh address unless one is given; return their hashes."""
        return list(self.node.call("generatetoaddress", count, address or self.make_address()))

    def mine_only(self, raw_txs: list[str]) -> str:
        """Mine one block of exactly these txs (hex, or txids in the mempool); return its hash."""
        return str(self.node.call("generateblock", self.make_address(), raw_txs)["hash"])

    def make_address(self) -> str:
        """Return a fresh P2WPKH address: the same one twice would rebuild an invalidated block."""
        return str(self.wallet.call("getnewaddress", "", "bech32"))

    def fund(self, addresses: list[str], amount_sat: int) -> str:
        """Send this amount to each (distinct) address in one tx and return its txid; mines coins if short."""
        needed_sat = amount_sat * len(addresses) + 100 * FEERATE_SAT_VB * len(addresses) + 100_000
        self._ensure_coins(needed_sat)
        funded = self.wallet.call(
            "walletcreatefundedpsbt",
            outputs=[{address: to_btc(amount_sat)} for address in addresses],
            # Left to the wallet it is sometimes 21, which this software's policy takes for a token and refuses.
            locktime=0,
            options={"fee_rate": str(FEERATE_SAT_VB), "change_type": "bech32", "add_inputs": True},
        )
        signed = self.wallet.call("walletprocesspsbt", funded["psbt"])
        final = self.node.call("finalizepsbt", signed["psbt"])
        if not final["complete"]:
            raise LocalStackError("The miner's wallet could not sign its own tx.")
        return str(self.node.call("sendrawtransaction", final["hex"]))

    def reorg(self, depth: int, new_blocks: int, *, with_mempool: bool = True) -> list[str]:
        """Undo the last ``depth`` blocks and mine others in their place; return the new hashes.

        Deeper than ten, the node does not put the undone txs back. ``with_mempool=False`` mines empty blocks.
        """
        height = int(self.node.call("getblockcount"))
        self.node.call("invalidateblock", self.node.call("getblockhash", height - depth + 1))
        if with_mempool:
            return self.mine(new_blocks)
        return [self.mine_only([]) for _ in range(new_blocks)]

    def _ensure_wallet(self) -> None:
        if WALLET in self.node.call("listwallets"):
            return
        try:
            self.node.call("loadwallet", WALLET, True)
        except RpcError as error:
            if error.code == NOT_FOUND:
                self.node.call("createwallet", wallet_name=WALLET, descriptors=True, load_on_startup=True)
            elif error.code != ALREADY_LOADED:
                raise

    def _ensure_coins(self, needed_sat: int) -> None:
        # The subsidy halves every 150 blocks, so a chain that is very old has nothing left to give.
        for _ in range(30):
            if self._spendable_sat() >= needed_sat:
                return
            is_new = int(self.node.call("getblockcount")) < MATURITY
            self.mine(MATURITY if is_new else 20)
        raise LocalStackError(f"The regtest chain cannot give {needed_sat} sat any more; start a fresh one.")

    def _spendable_sat(self) -> int:
        return to_sat(self.wallet.call("getbalances")["mine"]["trusted"])


def to_btc(amount_sat: int) -> Decimal:
    """Return satoshis as the node's unit, exactly."""
    return amount_sat * SAT


def to_sat(amount: Any) -> int:
    """Return the node's unit as satoshis; raise when it is not a whole number of them."""
    value = Decimal(amount) / SAT
    if value != value.to_integral_value():
        raise ValueError(f"{amount} is not a whole number of satoshis")
    return int(value)


def main() -> int:
    """Mine a block every few seconds till ended; a node that is away for a while is waited for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=float, required=True, metavar="SECONDS")
    every_s = parser.parse_args().every
    url = os.environ["GOVPAY_NODE_URL"]
    miner: Miner | None = None
    while True:
        try:
            miner = miner or Miner(url)
            block = miner.mine(1)[0]
            print(f"block {miner.node.call('getblockcount')} {block}", flush=True)
        except (OSError, RpcError) as error:
            print(f"no block: {error}", flush=True)
            # A restarted node may have unloaded the wallet.
            miner = None
        time.sleep(every_s)


if __name__ == "__main__":
    sys.exit(main())
