"""Keeps what blocks say on disk while nodes are asked, so that no database transaction waits for them."""

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO

from ledger.reconciliation.evidence import ChainBlock

CHUNK = 256 * 1024
TABLES = {
    "ledger_readblock": "standing_id, height, block_hash, at",
    "ledger_readtx": "standing_id, txid, block_height, input_count",
    "ledger_readoutput": "standing_id, txid, vout, script_pubkey, amount_sat, is_ours",
    "ledger_readspend": "standing_id, from_txid, from_vout, txid, amount_sat",
}


class Spool:
    """A temporary file for each table, ready to be copied into it; memory stays flat."""

    def __init__(self, standing_id: int) -> None:
        self.standing_id = standing_id
        self.blocks = 0
        self._files: dict[str, IO[str]] = {
            # A csv file is text with its line ends untouched; it is deleted with the last reference.
            table: tempfile.TemporaryFile("w+", encoding="ascii", newline="")  # noqa: SIM115
            for table in TABLES
        }

    def add(self, blocks: Iterable[ChainBlock]) -> None:
        """Append blocks as they come. What a stranger's tx pays to others is nobody's business here."""
        block_row, tx_row, output_row, spend_row = (
            csv.writer(self._files[table]).writerow for table in TABLES
        )
        for file in self._files.values():
            # Another attempt may have stopped in the middle of them.
            file.seek(0, os.SEEK_END)
        me = self.standing_id
        for block in blocks:
            self.blocks += 1
            at = datetime.fromtimestamp(block.time_s, tz=UTC).isoformat()
            block_row((me, block.height, block.block_hash, at))
            for tx in block.txs:
                tx_row((me, tx.txid, block.height, tx.input_count))
                for output in tx.outputs:
                    if output.is_ours or tx.spends:
                        script = "\\x" + output.script_pubkey.hex()
                        output_row((me, tx.txid, output.vout, script, output.amount_sat, int(output.is_ours)))
                for spent in tx.spends:
                    spend_row((me, spent.txid, spent.vout, tx.txid, spent.amount_sat))

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
