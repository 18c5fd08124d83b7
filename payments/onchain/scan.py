"""Finds what a block does to us: outputs to our scripts, and spends of our outpoints."""

from collections.abc import Container, Iterator
from typing import NamedTuple

from payments.onchain import block as block_module
from payments.onchain import tx


class Movement(NamedTuple):
    """What one tx of a block received for us and spent of ours; one of the two is never empty."""

    tx: tx.Tx
    received: tuple[tuple[tx.OutPoint, tx.Output], ...]
    spent: tuple[tx.OutPoint, ...]


def movements(
    block: block_module.Block, scripts: Container[bytes], outpoints: Container[tx.OutPoint]
) -> Iterator[Movement]:
    """Yield the txs that pay our scripts or spend our outpoints, in block order.

    ``outpoints`` are ours before the block. What the block itself pays us counts too: it may be spent in the
    same block.
    """
    ours_in_block: set[tx.OutPoint] = set()
    for found in block.txs:
        spent = tuple(i for i in found.inputs if i in ours_in_block or i in outpoints)
        received = tuple(
            (tx.OutPoint(found.txid, vout), output)
            for vout, output in enumerate(found.outputs)
            if output.script_pubkey in scripts
        )
        ours_in_block.update(outpoint for outpoint, _ in received)
        if spent or received:
            yield Movement(found, received, spent)
