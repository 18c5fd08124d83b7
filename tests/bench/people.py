"""Files of invented people and lists, written as streams."""

import csv
import hashlib
from pathlib import Path

from payments.onchain import address, network


def write_people(path: Path, count: int, *, first: int = 0) -> None:
    """Write people with ids of their own and P2WPKH addresses that nobody has the keys of."""
    with path.open("w", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(["reference", "national_id", "full_name", "phone", "address"])
        for number in range(first, first + count):
            script = b"\x00\x14" + hashlib.sha256(f"bench {number}".encode()).digest()[:20]
            writer.writerow(
                [
                    f"B{number:08}",
                    f"35202{number:08}",
                    f"Person Number {number}",
                    f"+92300{number:07}",
                    address.address_from_script(script, network.Network.REGTEST),
                ]
            )


def write_list(path: Path, count: int, amount_sat: int, *, first: int = 0) -> None:
    """Write a list that pays each of them the same."""
    with path.open("w", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(["reference", "amount_sat"])
        writer.writerows([f"B{number:08}", amount_sat] for number in range(first, first + count))
