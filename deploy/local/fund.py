"""Sends coins of the regtest miner to an address: `make fund ADDRESS=… SAT=…`."""

import argparse
import os
import sys

from deploy.local.errors import LocalStackError
from deploy.local.regtest import Miner
from deploy.local.rpc import RpcError


def main() -> int:
    """Make the deposits, each in a tx of its own, and mine the block that confirms them."""
    parser = argparse.ArgumentParser(prog="make fund", description=__doc__)
    parser.add_argument("address")
    parser.add_argument("sat", type=int, help="satoshis of each deposit")
    parser.add_argument("--times", type=int, default=1, help="number of deposits, at most 20")
    asked = parser.parse_args()
    if not 1 <= asked.times <= 20 or asked.sat < 1:
        parser.error("SAT must be at least 1, TIMES from 1 to 20.")
    try:
        miner = Miner(os.environ["GOVPAY_NODE_URL"])
        txids = [miner.fund([asked.address], asked.sat) for _ in range(asked.times)]
        block = miner.mine(1)[0]
    except (LocalStackError, RpcError, OSError) as error:
        print(f"No deposit was made: {error}", file=sys.stderr)
        return 1
    for txid in txids:
        print(f"{asked.sat} sat to {asked.address} in {txid}")
    print(f"confirmed by block {block}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
