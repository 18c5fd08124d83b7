"""Pure checks over plain facts: what was signed, what the network holds, what was owed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

OutPoint = tuple[str, int]


@dataclass(frozen=True)
class SignedTx:
    """A tx as bytes say it is: inputs, and outputs as (script_pubkey, satoshis) in order."""

    txid: str
    inputs: frozenset[OutPoint]
    outputs: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True)
class Owed:
    """A released payment: its script and exact satoshis. Scripts are unique among the payments of one check."""

    payment_id: int
    script_pubkey: bytes
    amount_sat: int


class Violation(AssertionError):
    """An invariant does not hold; the message starts with its id."""


def check_pairwise_inputs(owed: Iterable[Owed], signed: Iterable[SignedTx]) -> None:
    """I1a: all txs ever signed for one payment pairwise share an input."""
    by_script: dict[bytes, list[SignedTx]] = {}
    for tx in signed:
        for script, _ in tx.outputs:
            by_script.setdefault(script, []).append(tx)
    for payment in owed:
        for one, other in combinations(by_script.get(payment.script_pubkey, []), 2):
            if not one.inputs & other.inputs:
                raise Violation(
                    f"I1a: payment {payment.payment_id} is in {one.txid} and {other.txid}, which share no input"
                )


def check_paid(owed: Iterable[Owed], live: Iterable[SignedTx], *, exactly: bool) -> None:
    """I1b: no payment has two outputs in blocks and memory pool together; with ``exactly``, each has its one."""
    outputs = Counter(output for tx in live for output in tx.outputs)
    scripts = Counter(script for tx in live for script, _ in tx.outputs)
    for payment in owed:
        right = outputs[(payment.script_pubkey, payment.amount_sat)]
        if scripts[payment.script_pubkey] > 1:
            raise Violation(
                f"I1b: payment {payment.payment_id} was paid {scripts[payment.script_pubkey]} times"
            )
        if scripts[payment.script_pubkey] != right:
            raise Violation(f"I1b: payment {payment.payment_id} was paid another amount")
        if exactly and right != 1:
            raise Violation(f"I1b: payment {payment.payment_id} was not paid")


def check_outputs_approved(
    owed: Iterable[Owed], own_scripts: Iterable[bytes], signed: Iterable[SignedTx]
) -> None:
    """I7: every output of every signed tx is an approved payment or our own change."""
    approved = {(payment.script_pubkey, payment.amount_sat) for payment in owed}
    own = set(own_scripts)
    for tx in signed:
        for script, amount_sat in tx.outputs:
            if script not in own and (script, amount_sat) not in approved:
                raise Violation(f"I7: {tx.txid} pays {amount_sat} to {script.hex()}, which nobody approved")


def check_reservations(live: Iterable[OutPoint]) -> None:
    """I9: no outpoint is in two live reservations."""
    for outpoint, count in Counter(live).items():
        if count > 1:
            raise Violation(f"I9: {outpoint} is reserved {count} times")


def check_known(ours_spent_by: Mapping[str, bytes], stored: Mapping[str, bytes]) -> None:
    """I3: every tx that spends one of our outpoints is stored, byte for byte."""
    for txid, raw in ours_spent_by.items():
        if stored.get(txid) != raw:
            raise Violation(f"I3: {txid} spends our outpoint and is not stored as it is")
