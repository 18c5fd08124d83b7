"""Pure checks over plain facts: what was signed, what the network holds, what was owed."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

OutPoint = tuple[str, int]
# A spend that deep excludes for good whatever else spent the outpoint.
FINAL_DEPTH = 100


@dataclass(frozen=True)
class SignedTx:
    """A tx as bytes say it is: inputs, outputs as (script_pubkey, satoshis) in order; the bytes and their vsize."""

    txid: str
    inputs: frozenset[OutPoint]
    outputs: tuple[tuple[bytes, int], ...]
    raw: bytes = field(default=b"", compare=False, repr=False)
    vsize_vb: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Owed:
    """A released payment: its script and exact satoshis."""

    payment_id: int
    script_pubkey: bytes
    amount_sat: int


class Violation(AssertionError):
    """An invariant does not hold; the message starts with its id."""


def find_dead(
    signed: Iterable[SignedTx], blocks: Sequence[Sequence[SignedTx]], *, depth: int = FINAL_DEPTH
) -> set[str]:
    """Return the signed txs that can never confirm: another tx, ``depth`` blocks deep, spends an input of theirs."""
    buried = blocks[: max(len(blocks) - depth + 1, 0)]
    spenders = {outpoint: tx.txid for block in buried for tx in block for outpoint in tx.inputs}
    every = list(signed)
    dead = {tx.txid for tx in every if any(spenders.get(coin, tx.txid) != tx.txid for coin in tx.inputs)}
    # What spends an output of a dead tx is dead with it.
    while more := {tx.txid for tx in every if any(txid in dead for txid, _ in tx.inputs)} - dead:
        dead |= more
    return dead


def by_script(owed: Iterable[Owed], signed: Iterable[SignedTx]) -> dict[str, list[SignedTx]]:
    """Return the signed txs of each payment, told by its script: for a world in which scripts are unique."""
    found: dict[bytes, list[SignedTx]] = {}
    for tx in signed:
        for script in {script for script, _ in tx.outputs}:
            found.setdefault(script, []).append(tx)
    return {f"payment {payment.payment_id}": found.get(payment.script_pubkey, []) for payment in owed}


def check_pairwise_inputs(
    groups: Mapping[str, Iterable[SignedTx]], dead: Iterable[str] | Callable[[], set[str]] = ()
) -> None:
    """I1a: all txs ever signed for one payment pairwise share an input, or one of the two can never confirm."""
    known: set[str] | None = None
    for name, signed in groups.items():
        for one, other in combinations(signed, 2):
            if one.inputs & other.inputs:
                continue
            if known is None:
                known = dead() if callable(dead) else set(dead)
            if one.txid not in known and other.txid not in known:
                raise Violation(f"I1a: {name} is in {one.txid} and {other.txid}, which share no input")


def check_paid(owed: Iterable[Owed], live: Iterable[SignedTx], *, exactly: bool) -> None:
    """I1b: no payment has two outputs in blocks and memory pool together; with ``exactly``, each has its one.

    Several payments may go to one script: the amounts that are there must be among those that are owed.
    """
    due: dict[bytes, Counter[int]] = {}
    names: dict[tuple[bytes, int], int] = {}
    for payment in owed:
        due.setdefault(payment.script_pubkey, Counter())[payment.amount_sat] += 1
        names[payment.script_pubkey, payment.amount_sat] = payment.payment_id
    paid: dict[bytes, Counter[int]] = {script: Counter() for script in due}
    for tx in live:
        for script, amount_sat in tx.outputs:
            if script in paid:
                paid[script][amount_sat] += 1
    for script, wanted in due.items():
        for amount_sat, count in paid[script].items():
            if amount_sat not in wanted:
                one = next(names[script, other] for other in wanted)
                raise Violation(f"I1b: payment {one} was paid another amount, {amount_sat} sat")
            if count > wanted[amount_sat]:
                raise Violation(f"I1b: payment {names[script, amount_sat]} was paid {count} times")
        for amount_sat, count in wanted.items():
            if exactly and paid[script][amount_sat] != count:
                raise Violation(f"I1b: payment {names[script, amount_sat]} was not paid")


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


def commitment(note: str) -> bytes:
    """Return the script of the output that commits to a checkpoint of the books."""
    return b"\x6a\x20" + hashlib.sha256(note.encode()).digest()


def check_version(
    tx: SignedTx,
    payments: Mapping[int, Owed],
    own_scripts: set[bytes],
    commitments: Collection[bytes] = (),
) -> None:
    """I7: a version pays each payment at the payment's own place, and ourselves with everything else.

    Each seal's commitment that its payout is for is in it once, with 0 satoshis.
    """
    for script in commitments:
        if [output for output in tx.outputs if output[0] == script] != [(script, 0)]:
            raise Violation(f"I7: {tx.txid} does not hold the commitment {script.hex()} once")
    for vout, payment in payments.items():
        found = tx.outputs[vout] if vout < len(tx.outputs) else None
        if found != (payment.script_pubkey, payment.amount_sat):
            raise Violation(f"I7: {tx.txid} does not pay payment {payment.payment_id} at {vout}, but {found}")
    for vout, (script, amount_sat) in enumerate(tx.outputs):
        if vout not in payments and script not in own_scripts and script not in commitments:
            raise Violation(f"I7: {tx.txid} pays {amount_sat} to {script.hex()}, which nobody approved")


def check_reservations(live: Iterable[OutPoint]) -> None:
    """I9: no outpoint is in two live reservations."""
    for outpoint, count in Counter(live).items():
        if count > 1:
            raise Violation(f"I9: {outpoint} is reserved {count} times")


def check_known(spenders: Iterable[SignedTx], stored: Mapping[str, bytes]) -> None:
    """I3: every tx that spends one of our outpoints is stored, byte for byte."""
    for tx in spenders:
        if tx.txid not in stored:
            raise Violation(f"I3: {tx.txid} spends our outpoint and is not stored")
        if stored[tx.txid] != tx.raw:
            raise Violation(f"I3: {tx.txid} spends our outpoint and is not stored byte for byte")


def find_spenders(own_scripts: set[bytes], live: Sequence[SignedTx]) -> list[SignedTx]:
    """Return the live txs that spend outputs to our scripts."""
    ours = {
        (tx.txid, vout) for tx in live for vout, (script, _) in enumerate(tx.outputs) if script in own_scripts
    }
    return [tx for tx in live if tx.inputs & ours]


def check_history(
    subject: str, changes: Sequence[tuple[str, str]], status: str, arrows: set[tuple[str, str]], first: str
) -> None:
    """I13: a row's changes follow each other, each is listed, and the last led to where the row is."""
    at = first
    for old, new in changes:
        if old == "":
            at = ""
        if old != at:
            raise Violation(f"I13: {subject} went from {old} while it was {at or 'not there'}")
        if old != "" and (old, new) not in arrows:
            raise Violation(f"I13: {subject} went from {old} to {new}, which is not listed")
        at = new
    if at != status:
        raise Violation(f"I13: {subject} is {status}, and its history ends in {at}")
