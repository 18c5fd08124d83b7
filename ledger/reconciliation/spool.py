"""Keeps what blocks say on disk while nodes are asked, so that no database transaction waits for them."""

import csv
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

from ledger.reconciliation.evidence import ChainTx

CHUNK = 256 * 1024
TABLES = ("recon_tx", "recon_output", "recon_spend")


class Spool:
    """Three temporary files, each ready to be copied into its table; memory stays flat."""

    def __init__(self) -> None:
        self._files: dict[str, IO[str]] = {
            # A csv file is text with its line ends untouched; it is deleted with the last reference.
            table: tempfile.TemporaryFile("w+", encoding="ascii", newline="")  # noqa: SIM115
            for table in TABLES
        }

    def add(self, txs: Iterable[ChainTx]) -> None:
        """Append txs as they come."""
        tx_row, output_row, spend_row = (csv.writer(self._files[table]).writerow for table in TABLES)
        for tx in txs:
            tx_row((tx.txid, tx.block_hash, tx.block_height, tx.input_count))
            for output in tx.outputs:
                script = "\\x" + output.script_pubkey.hex()
                output_row((tx.txid, output.vout, script, output.amount_sat, int(output.is_ours)))
            for spent in tx.spends:
                spend_row((tx.txid, spent.txid, spent.vout, spent.amount_sat))

    def chunks(self, table: str) -> Iterator[str]:
        """Yield a table's rows as text in pieces."""
        file = self._files[table]
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk

    def close(self) -> None:
        """Delete the files."""
        for file in self._files.values():
            file.close()
