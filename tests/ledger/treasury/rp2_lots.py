"""A program that lets rp2 match disposals with lots by FIFO: movements in on standard input, parts out, both as JSON.

It runs in a process of its own, for rp2 changes the decimal context of whoever imports it. A movement is time, whether it is
an acquisition, amount, value and reference; a part is disposal, lot, amount, and the exact gain as text.
"""

import json
import os
import sys
import tempfile
from typing import Any

os.environ |= {"CURRENCY_CODE": "PKR", "LONG_TERM_CAPITAL_GAINS": "365"}

from prezzemolo.avl_tree import AVLTree
from rp2.accounting_engine import AccountingEngine
from rp2.configuration import MAX_DATE, MIN_DATE, Configuration
from rp2.in_transaction import InTransaction
from rp2.input_data import InputData
from rp2.out_transaction import OutTransaction
from rp2.plugin.accounting_method import fifo
from rp2.plugin.country.generic import Generic
from rp2.rp2_decimal import RP2Decimal
from rp2.tax_engine import compute_tax
from rp2.transaction_set import TransactionSet

CONFIGURATION = """
[general]
assets = BTC
exchanges = X
holders = H
[in_header]
timestamp = 0
[out_header]
timestamp = 0
[intra_header]
timestamp = 0
"""


def match(movements: list[list[Any]]) -> list[list[Any]]:
    """Return rp2's parts of the disposals."""
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(CONFIGURATION)
        file.flush()
        configuration = Configuration(file.name, Generic())
    sets = {
        name: TransactionSet(configuration, name, "BTC", MIN_DATE, MAX_DATE)
        for name in ("IN", "OUT", "INTRA")
    }
    for row, (at, is_acquisition, amount, value, reference) in enumerate(movements, start=1):
        price = RP2Decimal(value) / RP2Decimal(amount)
        ids = {"row": row, "unique_id": reference}
        if is_acquisition:
            sets["IN"].add_entry(
                InTransaction(
                    configuration,
                    at,
                    "BTC",
                    "X",
                    "H",
                    "BUY",
                    price,
                    RP2Decimal(amount),
                    fiat_in_no_fee=RP2Decimal(value),
                    **ids,
                )
            )
        else:
            sets["OUT"].add_entry(
                OutTransaction(
                    configuration,
                    at,
                    "BTC",
                    "X",
                    "H",
                    "SELL",
                    price,
                    RP2Decimal(amount),
                    RP2Decimal(0),
                    fiat_out_no_fee=RP2Decimal(value),
                    **ids,
                )
            )
    methods: AVLTree[int, Any] = AVLTree()
    methods.insert_node(1970, fifo.AccountingMethod())
    computed = compute_tax(
        configuration, AccountingEngine(methods), InputData("BTC", sets["IN"], sets["OUT"], sets["INTRA"])
    )
    return [
        [
            part.taxable_event.unique_id,
            part.acquired_lot.unique_id,
            int(part.crypto_amount),
            str(part.fiat_gain),
        ]
        for part in computed.gain_loss_set
    ]


if __name__ == "__main__":
    json.dump(match(json.load(sys.stdin)), sys.stdout)
