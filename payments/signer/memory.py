"""The rules about the past: no payment twice, no input for two payouts, no more a day than the cap.

Every tx ever signed for a payment must share an input with each other one (I1a): then one at most can confirm. This
signer holds to that by its own store, whatever the bundle says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from payments.signer import bundle, store
from payments.signer.config import Config
from payments.signer.refusal import Refusal
from payments.signer.rules import Examined
from payments.signer.store import Signed

VOID = "void"


@dataclass(frozen=True, slots=True)
class Past:
    """What the store knows about a bundle's payout, payments and inputs, and what was spent today (UTC)."""

    earlier: tuple[Signed, ...]
    day_spent_sat: int
    now: datetime
    of_list: store.ListPast


@dataclass(frozen=True, slots=True)
class Judged:
    """A tx that may be signed: the record to append first, unless it was signed before, and notes for the person."""

    record: Signed
    is_repeat: bool
    earlier: tuple[Signed, ...]
    day_spent_sat: int
    notes: tuple[str, ...]


def recall(memory: store.Store, examined: Examined, *, now: datetime) -> Past:
    """Look up what was signed before. A clock that went back does not open another day."""
    newest_at = memory.newest_at()
    now = now if newest_at is None else max(now, newest_at)
    reissued = {paid.line.reissue_of for paid in examined.payments if paid.line.reissue_of is not None}
    earlier = memory.related(
        payout_ids=[examined.bundle.payout_id],
        payment_ids={paid.line.payment_id for paid in examined.payments} | reissued,
        outpoints=examined.inputs,
    )
    of_list = memory.of_list(_list_name(examined)) if examined.manifest else store.ListPast()
    return Past(tuple(earlier), memory.spent_sat(store.stamp(now)[:10]), now, of_list)


def judge(examined: Examined, past: Past, config: Config, *, accepted: Sequence[str] = ()) -> Judged:
    """Check a bundle against the past; raise Refusal with the rule's code.

    ``accepted`` are codes that the person overrules; only those that the configuration names can be.
    """
    for code in accepted:
        if code not in config.caps.may_accept:
            raise Refusal("accept_not_allowed", f"The configuration does not let anybody accept {code}.")
    _check_amounts(examined, past)
    record = _record(examined, past, accepted)
    repeated = [earlier for earlier in past.earlier if earlier.txid == record.txid]
    notes: list[str] = []
    _check_payments(record, past)
    _check_payout(record, past)
    _check_list(examined, record, past.of_list)
    if repeated:
        _check_repeat(record, repeated)
        notes.append("This signer signed this very tx before; it signs it again.")
    notes += _check_inputs(record, past, accepted)
    notes += _check_reissues(examined, past, accepted)
    if past.day_spent_sat + record.spent_sat > config.caps.day_sat:
        raise Refusal(
            "day_cap",
            f"With {past.day_spent_sat} sat signed today, these {record.spent_sat} more are above the cap of "
            f"{config.caps.day_sat} a day.",
        )
    return Judged(record, bool(repeated), past.earlier, past.day_spent_sat, tuple(notes))


def _record(examined: Examined, past: Past, accepted: Sequence[str]) -> Signed:
    given = examined.bundle
    known = {payment_id for earlier in past.earlier for payment_id, _, _ in earlier.payments}
    fees = [earlier.fee_sat for earlier in past.earlier if earlier.payout_id == given.payout_id]
    # A payment counts once, and of a payout's fees the highest: one of its txs at most confirms.
    fresh_sat = sum(p.amount_sat for p in examined.payments if p.line.payment_id not in known)
    return Signed(
        txid=examined.facts.txid,
        payout_id=given.payout_id,
        kind=given.kind,
        inputs=examined.inputs,
        payments=tuple(
            (p.line.payment_id, p.line.script_pubkey.hex(), p.amount_sat) for p in examined.payments
        ),
        fee_sat=examined.fee_sat,
        spent_sat=fresh_sat + max(0, examined.fee_sat - max(fees, default=0)),
        manifest_sha256=examined.manifest.sha256.hex() if examined.manifest else "",
        signed_at=store.stamp(past.now),
        accepted=tuple(accepted),
        listed_in=_list_name(examined) if examined.manifest else "",
        price="" if given.quote is None else f"{given.quote.price} {given.quote.currency}",
    )


def _list_name(examined: Examined) -> str:
    assert examined.manifest is not None
    header = examined.manifest.header
    return f"{header.program}/{header.disbursement_id}"


def _check_amounts(examined: Examined, past: Past) -> None:
    """Refuse two stories about one input: told to one signer, they make a fee that nobody saw."""
    for earlier in past.earlier:
        for outpoint, amount_sat in earlier.inputs.items():
            if examined.inputs.get(outpoint, amount_sat) != amount_sat:
                raise Refusal(
                    "input_amount_changed",
                    f"The input {outpoint} was said to be of {amount_sat} sat before, and now of "
                    f"{examined.inputs[outpoint]}.",
                )


def _check_payments(record: Signed, past: Past) -> None:
    ids = {payment_id for payment_id, _, _ in record.payments}
    for earlier in past.earlier:
        again = ids & {payment_id for payment_id, _, _ in earlier.payments}
        if not again:
            continue
        if not record.inputs.keys() & earlier.inputs.keys():
            raise Refusal(
                "payment_elsewhere",
                f"Payment {min(again)} was signed in {earlier.txid}, with which this tx shares no input: both could "
                "confirm, and it would be paid twice.",
            )
        if earlier.payout_id != record.payout_id:
            raise Refusal(
                "payment_in_other_payout",
                f"Payment {min(again)} was signed in payout {earlier.payout_id}, not {record.payout_id}.",
            )


def _check_payout(record: Signed, past: Past) -> None:
    for earlier in past.earlier:
        if earlier.payout_id != record.payout_id:
            continue
        if not record.inputs.keys() & earlier.inputs.keys():
            raise Refusal(
                "payout_disjoint",
                f"This tx shares no input with {earlier.txid}, which was signed for the same payout.",
            )
        if VOID not in (record.kind, earlier.kind) and set(record.payments) != set(earlier.payments):
            raise Refusal(
                "payout_differs", f"{earlier.txid} was signed for the same payout and pays otherwise."
            )
        if earlier.kind == VOID and record.kind != VOID:
            raise Refusal("payout_voided", f"This payout was given up: its void {earlier.txid} was signed.")
        if record.kind == earlier.kind == bundle.ORIGINAL and record.txid != earlier.txid:
            raise Refusal("original_twice", f"{earlier.txid} was signed as the original of the same payout.")


def _check_list(examined: Examined, record: Signed, past: store.ListPast) -> None:
    """Hold a list to one manifest and one price for ever, and its payouts to the fees that its approvers agreed to.

    Approvers who are asked to sign "the same list again" would else agree to its people a second time, by other ids.
    """
    if examined.manifest is None:
        return
    if past.manifests - {record.manifest_sha256}:
        raise Refusal(
            "list_differs",
            f"List {record.listed_in} was signed before by another manifest, {min(past.manifests)}.",
        )
    if past.prices - {record.price}:
        raise Refusal(
            "list_price",
            f"List {record.listed_in} was signed before at {min(past.prices)}, and now at {record.price}.",
        )
    others_sat = sum(fee_sat for payout_id, fee_sat in past.fees.items() if payout_id != record.payout_id)
    spent_sat = others_sat + max(record.fee_sat, past.fees.get(record.payout_id, 0))
    ceiling_sat = examined.manifest.header.fee_ceiling_sat
    if spent_sat > ceiling_sat:
        raise Refusal(
            "list_fee_cap",
            f"With this, the payouts of list {record.listed_in} give {spent_sat} sat in fees; its approvers agreed to "
            f"{ceiling_sat}.",
        )


def _check_repeat(record: Signed, repeated: list[Signed]) -> None:
    for earlier in repeated:
        said, before = ((s.payout_id, s.kind, s.inputs, s.payments) for s in (record, earlier))
        if said != before:
            raise Refusal(
                "repeat_differs", "This very tx was signed before, and was then said to be another."
            )


def _check_inputs(record: Signed, past: Past, accepted: Sequence[str]) -> list[str]:
    """Refuse an input without which another payout cannot confirm; one that only a bump of it added may be used."""
    notes = []
    others: dict[int, list[Signed]] = {}
    for earlier in past.earlier:
        if earlier.payout_id != record.payout_id:
            others.setdefault(earlier.payout_id, []).append(earlier)
    for payout_id, txs in others.items():
        # Of a payout that was given up, the void is what must confirm.
        live = [tx for tx in txs if tx.kind == VOID] or txs
        needed = set(live[0].inputs).intersection(*(tx.inputs for tx in live))
        used = record.inputs.keys() & {outpoint for tx in txs for outpoint in tx.inputs}
        for outpoint in sorted(used):
            if outpoint in needed and "input_reused" not in accepted:
                raise Refusal(
                    "input_reused",
                    f"The input {outpoint} is needed by payout {payout_id}, for which {live[-1].txid} was signed.",
                )
            notes.append(f"The input {outpoint} was in a tx of payout {payout_id} before.")
    return notes


def _check_reissues(examined: Examined, past: Past, accepted: Sequence[str]) -> list[str]:
    notes = []
    voided = {earlier.payout_id for earlier in past.earlier if earlier.kind == VOID}
    signed = {payment_id: earlier for earlier in past.earlier for payment_id, _, _ in earlier.payments}
    for paid in examined.payments:
        before = signed.get(paid.line.reissue_of or 0)
        if before is None:
            continue
        if before.payout_id not in voided and "reissue_without_void" not in accepted:
            raise Refusal(
                "reissue_without_void",
                f"Payment {paid.line.payment_id} reissues {paid.line.reissue_of}, which was signed in {before.txid}; "
                "this signer has signed no void of that payout.",
            )
        note = f"Payment {paid.line.payment_id} reissues {paid.line.reissue_of}, signed in {before.txid}."
        if not _excludes(examined, before.payout_id, past):
            note += (
                " The two could both confirm unless the void is buried in the chain: look for it with a node that is not "
                "the server's, before you agree."
            )
        notes.append(note)
    return notes


def _excludes(examined: Examined, payout_id: int, past: Past) -> bool:
    """Tell whether this tx can confirm only where none confirms that pays for a payout that was given up.

    It spends what the void gave back, or shares a coin with each tx that paid.
    """
    txs = [earlier for earlier in past.earlier if earlier.payout_id == payout_id]
    voids = {earlier.txid for earlier in txs if earlier.kind == VOID}
    if any(outpoint.split(":")[0] in voids for outpoint in examined.inputs):
        return True
    return all(examined.inputs.keys() & earlier.inputs.keys() for earlier in txs if earlier.kind != VOID)
