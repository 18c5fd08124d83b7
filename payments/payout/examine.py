"""Asks the node, before anybody signs, whether it would take a tx, and finds the payments for which it would not."""

from collections.abc import Sequence
from typing import Any

from payments.models import Payment, PayoutTx
from payments.onchain import fee, node, tx
from payments.payout import halving, versions, words


def examine(
    version: PayoutTx, inputs: Sequence[versions.Input], client: node.Node
) -> words.Acceptable | words.CoinGone | words.Poisoned:
    """Return what the node thinks of an unsigned version of these inputs.

    Poisoned names the payments that it refuses each by itself. The node looks at the outputs first and at the signatures
    last, so that a tx which it refuses for its signatures alone is good. What says nothing of the outputs, such as a fee
    that is too low today, is for the send to handle.
    """
    verdict = client.test_unsigned(bytes(version.unsigned_tx))
    if verdict.is_acceptable:
        return words.Acceptable()
    if verdict.lacks_inputs:
        return words.CoinGone(", ".join(str(spent.outpoint) for spent in inputs))
    rows: Any = Payment.objects.filter(payout_id=version.payout_id).order_by("vout")
    lines = [
        (pk, tx.Output(amount_sat, bytes(script or b"")))
        for pk, amount_sat, script in rows.values_list("pk", "amount_sat", "script_pubkey")
    ]

    def is_refused(some: Sequence[halving.Line]) -> bool:
        return not client.test_unsigned(_part(inputs, some, version.fee_sat)).is_acceptable

    refused = halving.find_refused(lines, is_refused)
    return words.Poisoned(tuple(pk for pk, _ in refused), verdict.reason)


def _part(inputs: Sequence[versions.Input], lines: Sequence[halving.Line], fee_sat: int) -> bytes:
    """Return a tx of the same inputs that pays only these lines, and the rest to the first input's own script."""
    own = inputs[0].output.script_pubkey
    outputs = [output for _, output in lines]
    rest_sat = sum(spent.output.amount_sat for spent in inputs) - fee_sat
    rest_sat -= sum(output.amount_sat for output in outputs)
    if rest_sat >= fee.dust_sat(own):
        outputs.append(tx.Output(rest_sat, own))
    return tx.build_unsigned([spent.outpoint for spent in inputs], outputs)
