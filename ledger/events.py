"""The entries of a payment program, each built in one place: what is debited, what is credited, under which key."""

from collections.abc import Sequence
from datetime import datetime

from ledger import rails
from ledger.books import Draft, Line
from ledger.chart import money_accounts, program_accounts, program_scope, scope_accounts, suspense_account
from ledger.conversion import Converted, cleared, legs
from ledger.models import Layer

ENGINE = "engine"
KINDS = (
    "funding",
    "encumbrance",
    "disencumbrance",
    "commitment",
    "decommitment",
    "payout_sent",
    "payout_fee",
    "payout_voided",
    "settlement",
    "suspense",
    "reclassification",
    "cash_release",
    "conversion",
    "trust_capital",
    "trust_trade",
    "trust_promise",
    "trust_owe",
    "trust_pay",
    *rails.KINDS,
)
ENCUMBERED = Layer.ENCUMBERED.value


def funding(
    *,
    program_id: int,
    txid: str,
    vout: int,
    amount_sat: int,
    occurrence: int,
    effective_at: datetime,
    block_hash: str,
    block_height: int,
) -> Draft:
    """A deposit in a block: Dr wallet, Cr appropriation. ``occurrence`` tells a deposit mined again from itself."""
    accounts = program_accounts(program_id)
    return Draft(
        kind="funding",
        scope=program_scope(program_id),
        idempotency_key=f"funding:{txid}:{vout}:{occurrence}",
        lines=[Line(accounts.hot_wallet, amount_sat), Line(accounts.appropriation, -amount_sat)],
        effective_at=effective_at,
        source_ref=f"outpoint:{txid}:{vout}",
        actor=ENGINE,
        block_hash=block_hash,
        block_height=block_height,
    )


def encumbrance(
    *,
    program_id: int,
    disbursement_id: int,
    amount: int,
    occurrence: int,
    effective_at: datetime,
    actor: str,
    approver: str = "",
    memo: str = "",
    in_money: bool = False,
) -> Draft:
    """An approved list holds its part of the allotment: encumbered, Dr transfers, Cr appropriation.

    ``occurrence`` counts what the list encumbered: less of it, when a line is withdrawn, is another entry.
    """
    return Draft(
        kind="encumbrance",
        scope=program_scope(program_id),
        idempotency_key=f"encumbrance:disbursement:{disbursement_id}:{occurrence}",
        lines=_encumbered(program_id, amount, in_money),
        effective_at=effective_at,
        memo=memo,
        source_ref=f"disbursement:{disbursement_id}",
        actor=actor,
        approver=approver,
    )


def disencumbrance(
    *,
    program_id: int,
    disbursement_id: int,
    encumbrance_id: int,
    amount: int,
    effective_at: datetime,
    actor: str,
    in_money: bool = False,
) -> Draft:
    """What a list held of the allotment is free again, in whole, because it is not paid, or not all of it."""
    return Draft(
        kind="disencumbrance",
        scope=program_scope(program_id),
        idempotency_key=f"disencumbrance:entry:{encumbrance_id}",
        lines=_encumbered(program_id, -amount, in_money),
        effective_at=effective_at,
        source_ref=f"disbursement:{disbursement_id}",
        actor=actor,
        reversal_of=encumbrance_id,
    )


def commitment(
    *,
    program_id: int,
    disbursement_id: int,
    amount: int,
    effective_at: datetime,
    actor: str,
    approver: str,
    encumbrance_id: int | None = None,
    memo: str = "",
    in_money: bool = False,
) -> Draft:
    """A released list is owed: Dr transfers, Cr beneficiaries payable. What it held of the allotment is spent with that."""
    accounts = program_accounts(program_id)
    held = [] if encumbrance_id is None else _encumbered(program_id, -amount, in_money)
    return Draft(
        kind="commitment",
        scope=program_scope(program_id),
        idempotency_key=f"commitment:disbursement:{disbursement_id}",
        lines=[*held, Line(accounts.transfers, amount), Line(accounts.payable, -amount)],
        effective_at=effective_at,
        memo=memo,
        source_ref=f"disbursement:{disbursement_id}",
        actor=actor,
        approver=approver,
        reversal_of=encumbrance_id,
    )


def decommitment(
    *,
    program_id: int,
    key: str,
    source_ref: str,
    amount: int,
    effective_at: datetime,
    actor: str,
    converted: Converted | None = None,
) -> Draft:
    """What will not be paid is owed no more: Dr beneficiaries payable, Cr transfers; with what it was ``converted`` to."""
    accounts = program_accounts(program_id)
    undone = [] if converted is None else legs(program_id, converted, sign=-1)
    return Draft(
        kind="decommitment",
        scope=program_scope(program_id),
        idempotency_key=key,
        lines=[Line(accounts.payable, amount), Line(accounts.transfers, -amount), *undone],
        effective_at=effective_at,
        source_ref=source_ref,
        actor=actor,
    )


def payout_sent(
    *,
    program_id: int,
    payout_id: int,
    payment_ids: Sequence[int],
    amounts_sat: Sequence[int],
    fee_sat: int,
    effective_at: datetime,
    memo: str = "",
) -> Draft:
    """Signed and stored: Dr in transit, one line a payment in the order of the outputs; Dr network fees; Cr wallet.

    ``memo`` names the outpoint that every version of the payout spends.
    """
    accounts = program_accounts(program_id)
    lines = [
        Line(accounts.in_transit, amount_sat, payment_id)
        for payment_id, amount_sat in zip(payment_ids, amounts_sat, strict=True)
    ]
    lines += [
        Line(accounts.network_fees, fee_sat),
        Line(accounts.hot_wallet, -sum(amounts_sat) - fee_sat),
    ]
    return Draft(
        kind="payout_sent",
        scope=program_scope(program_id),
        idempotency_key=f"payout_sent:payout:{payout_id}",
        lines=lines,
        effective_at=effective_at,
        memo=memo,
        source_ref=f"payout:{payout_id}",
        actor=ENGINE,
    )


def payout_fee(
    *, program_id: int, payout_id: int, added_sat: int, occurrence: int, effective_at: datetime
) -> Draft:
    """Another version of a payout costs more, or less: Dr network fees, Cr wallet. ``occurrence`` counts these."""
    accounts = program_accounts(program_id)
    return Draft(
        kind="payout_fee",
        scope=program_scope(program_id),
        idempotency_key=f"payout_fee:payout:{payout_id}:{occurrence}",
        lines=[Line(accounts.network_fees, added_sat), Line(accounts.hot_wallet, -added_sat)],
        effective_at=effective_at,
        source_ref=f"payout:{payout_id}",
        actor=ENGINE,
    )


def payout_voided(
    *,
    program_id: int,
    payout_id: int,
    payment_ids: Sequence[int],
    amounts_sat: Sequence[int],
    occurrence: int,
    effective_at: datetime,
) -> Draft:
    """What was in transit came back: Dr wallet; Cr in transit, one line a payment. The fee stays an expense."""
    accounts = program_accounts(program_id)
    lines = [
        Line(accounts.in_transit, -amount_sat, payment_id)
        for payment_id, amount_sat in zip(payment_ids, amounts_sat, strict=True)
    ]
    return Draft(
        kind="payout_voided",
        scope=program_scope(program_id),
        idempotency_key=f"payout_voided:payout:{payout_id}:{occurrence}",
        lines=[*lines, Line(accounts.hot_wallet, sum(amounts_sat))],
        effective_at=effective_at,
        source_ref=f"payout:{payout_id}",
        actor=ENGINE,
    )


def settlement(
    *,
    program_id: int,
    payout_id: int,
    amount_sat: int,
    occurrence: int,
    effective_at: datetime,
    block_hash: str,
    block_height: int,
    amount_minor: int | None = None,
) -> Draft:
    """Buried deep enough: Dr beneficiaries payable, Cr in transit. ``occurrence`` counts the times it settled.

    With ``amount_minor`` people are entitled to money, and each of the two clears what stands on the conversion's accounts.
    """
    accounts = program_accounts(program_id)
    lines = [Line(accounts.payable, amount_sat), Line(accounts.in_transit, -amount_sat)]
    if amount_minor is not None:
        lines = cleared(
            money_accounts(program_id), accounts.payable, accounts.in_transit, amount_minor, amount_sat
        )
    return Draft(
        kind="settlement",
        scope=program_scope(program_id),
        idempotency_key=f"settlement:payout:{payout_id}:{occurrence}",
        lines=lines,
        effective_at=effective_at,
        source_ref=f"payout:{payout_id}",
        actor=ENGINE,
        block_hash=block_hash,
        block_height=block_height,
    )


def _encumbered(program_id: int, amount: int, in_money: bool) -> list[Line]:
    accounts = money_accounts(program_id) if in_money else program_accounts(program_id)
    return [
        Line(program_accounts(program_id).transfers, amount, None, ENCUMBERED),
        Line(accounts.appropriation, -amount, None, ENCUMBERED),
    ]


def suspense(
    *,
    scope: str,
    key: str,
    source_ref: str,
    amount_sat: int,
    effective_at: datetime,
    memo: str,
    actor: str,
    approver: str,
    block_hash: str,
    block_height: int | None,
) -> Draft:
    """A movement on the wallet that nobody knows: what came in, Dr wallet, Cr suspense; what went out, the other way."""
    return Draft(
        kind="suspense",
        scope=scope,
        idempotency_key=key,
        lines=[
            Line(scope_accounts(scope).hot_wallet, amount_sat),
            Line(suspense_account(scope), -amount_sat),
        ],
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
        approver=approver,
        block_hash=block_hash,
        block_height=block_height,
    )


def reclassification(
    *,
    scope: str,
    key: str,
    source_ref: str,
    suspended_sat: int,
    account: str,
    effective_at: datetime,
    memo: str,
    actor: str,
    approver: str,
) -> Draft:
    """What stands on suspense for ``source_ref``, debits positive, goes to the account where it belongs."""
    return Draft(
        kind="reclassification",
        scope=scope,
        idempotency_key=key,
        lines=[Line(suspense_account(scope), -suspended_sat), Line(account, suspended_sat)],
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
        approver=approver,
    )
