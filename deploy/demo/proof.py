"""Looks every payment up in the blocks, with the node's own decoding: paid exactly once, or the difference."""

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from deploy.local.regtest import to_sat
from deploy.local.rpc import Rpc

COLUMNS = ("payment_id", "address", "amount_sat", "txid", "vout", "block_hash")


def write_payments(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write where each payment is, for whoever checks it without our code."""
    with path.open("w", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([row["id"], *(row[name] for name in COLUMNS[1:])])


def find_differences(path: Path, node: Rpc) -> list[str]:
    """Compare the file with every block; return one sentence a difference, none when all were paid exactly once."""
    outputs: dict[tuple[str, int], tuple[str, int, str]] = {}
    times: Counter[str] = Counter()
    for height in range(1, node.call("getblockcount") + 1):
        block = node.call("getblock", node.call("getblockhash", height), 2)
        for tx in block["tx"]:
            for output in tx["vout"]:
                address = output["scriptPubKey"].get("address", "")
                sat = to_sat(Decimal(output["value"]))
                outputs[tx["txid"], output["n"]] = (address, sat, block["hash"])
                times[address] += 1
    differences = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found = outputs.get((row["txid"], int(row["vout"] or -1)))
            wanted = (row["address"], int(row["amount_sat"]), row["block_hash"])
            if found != wanted:
                differences.append(f"payment {row['payment_id']}: the chain holds {found}, not {wanted}")
            if times[row["address"]] != 1:
                differences.append(f"payment {row['payment_id']} was paid {times[row['address']]} times")
    return differences
