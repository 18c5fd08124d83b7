"""Books what a payout costs: once when it is first signed, and levelled whenever another version speaks for it."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from ledger import books, events
from payments.models import Payment, Payout, PayoutTx, PayoutTxKind, Signer, SigningRequest
from payments.onchain import fee
from payments.payout import alarms

SPEAKING = """
SELECT p.id, coalesce(m.kind = 'void', p.status = 'voided'),
    coalesce(m.fee_sat, CASE WHEN p.status <> 'voided' AND NOT orphaned THEN n.fee_sat END, 0), n.fee_sat IS NOT NULL
FROM payments_payout p
LEFT JOIN payments_payout parent ON parent.id = p.parent_id
CROSS JOIN LATERAL (SELECT coalesce(parent.mined_txid <> p.anchor_txid, false) AS orphaned) o
LEFT JOIN LATERAL (
    SELECT t.kind, t.fee_sat FROM payments_payouttx t WHERE t.payout_id = p.id AND t.txid = p.mined_txid LIMIT 1
) m ON true
LEFT JOIN LATERAL (
    SELECT t.fee_sat FROM payments_payouttx t
    WHERE t.payout_id = p.id AND t.raw IS NOT NULL AND t.kind <> 'void' ORDER BY t.id DESC LIMIT 1
) n ON true
WHERE p.id = ANY(%s)
"""


def keep_signed(payout: Payout, version: PayoutTx, raw: bytes, *, weight: int) -> None:
    """Store a version's signed bytes, and book them: in the same database transaction, before any node sees them.

    ``weight`` is that of the signed tx. The caller holds the payout's row.
    """
    is_first = version.kind != PayoutTxKind.VOID and not _paying(payout).exists()
    PayoutTx.objects.filter(pk=version.pk, raw__isnull=True).update(
        raw=raw, signed_at=timezone.now(), vsize_vb=fee.vsize(weight)
    )
    requests = SigningRequest.objects.filter(version=version, completed_at=None)
    if payout.wallet.signer == Signer.PSBT and requests.update(completed_at=timezone.now()):
        alarms.clear("signing_overdue", subject="payout", subject_id=payout.pk, note="It is signed.")
    if is_first:
        _book_sent(payout, version)
    if not is_first or payout.mined_txid is not None:
        level([payout])


def level(payouts: Sequence[Payout]) -> None:
    """Make the books hold the fee, and the payments in transit, of the version that speaks for each payout.

    That is the one in a block, else the newest signed one that pays; a void speaks only from a block, and a payout
    that can never confirm costs nothing, nor does a child while its parent is in a block as another version than the one
    whose change it spends. The caller holds the payouts' rows; their wallets were read with them.
    """
    spoken = _speaking([payout.pk for payout in payouts])
    now = timezone.now()
    changed: list[Payout] = []
    drafts: list[books.Draft] = []
    voided: list[Payout] = []
    undone: list[Payout] = []
    for payout in payouts:
        is_void, fee_sat, has_paid = spoken[payout.pk]
        before = payout.adjustments
        if fee_sat != payout.booked_fee_sat:
            payout.adjustments += 1
            drafts.append(
                events.payout_fee(
                    program_id=payout.wallet.program_id,
                    payout_id=payout.pk,
                    added_sat=fee_sat - payout.booked_fee_sat,
                    occurrence=payout.adjustments,
                    effective_at=now,
                )
            )
            payout.booked_fee_sat = fee_sat
        if is_void and payout.void_entry_id is None and payout.payment_count and has_paid:
            payout.adjustments += 1
            voided.append(payout)
        elif not is_void and payout.void_entry_id is not None:
            undone.append(payout)
        if payout.adjustments != before or payout in undone[-1:]:
            changed.append(payout)
    if not changed:
        return
    books.post(drafts)
    _book_voids(voided)
    _reverse_voids(undone)
    Payout.objects.bulk_update(changed, ["booked_fee_sat", "adjustments", "void_entry_id"], batch_size=1_000)


def _speaking(payout_ids: list[int]) -> dict[int, tuple[bool, int, bool]]:
    """Return of each payout whether the speaking version is a void, its fee, and whether any that pays was signed."""
    with connection.cursor() as cursor:
        cursor.execute(SPEAKING, [payout_ids])
        return {pk: (is_void, fee_sat, has_paid) for pk, is_void, fee_sat, has_paid in cursor.fetchall()}


def _paying(payout: Payout) -> QuerySet[PayoutTx]:
    return PayoutTx.objects.filter(payout=payout, raw__isnull=False).exclude(kind=PayoutTxKind.VOID)


def _book_sent(payout: Payout, version: PayoutTx) -> None:
    rows: Any = Payment.objects.filter(payout=payout).order_by("vout")
    lines = list(rows.values_list("pk", "amount_sat"))
    books.post(
        [
            events.payout_sent(
                program_id=payout.wallet.program_id,
                payout_id=payout.pk,
                payment_ids=[payment_id for payment_id, _ in lines],
                amounts_sat=[amount_sat for _, amount_sat in lines],
                fee_sat=version.fee_sat,
                effective_at=timezone.now(),
                # With this, line n of the sealed entry is output n of whichever version spends the outpoint.
                memo=f"Spends {payout.anchor_txid}:{payout.anchor_vout}",
            )
        ]
    )
    payout.booked_fee_sat += version.fee_sat
    payout.save(update_fields=["booked_fee_sat"])


def _book_voids(payouts: list[Payout]) -> None:
    lines: dict[int, list[tuple[int, int]]] = {payout.pk: [] for payout in payouts}
    rows: Any = Payment.objects.filter(payout__in=payouts).order_by("payout", "vout")
    for payout_id, payment_id, amount_sat in rows.values_list("payout", "pk", "amount_sat"):
        lines[payout_id].append((payment_id, amount_sat))
    entry_ids = books.post(
        events.payout_voided(
            program_id=payout.wallet.program_id,
            payout_id=payout.pk,
            payment_ids=[payment_id for payment_id, _ in lines[payout.pk]],
            amounts_sat=[amount_sat for _, amount_sat in lines[payout.pk]],
            occurrence=payout.adjustments,
            effective_at=timezone.now(),
        )
        for payout in payouts
    )
    for payout, entry_id in zip(payouts, entry_ids, strict=True):
        payout.void_entry_id = entry_id


def _reverse_voids(payouts: list[Payout]) -> None:
    books.reverse_each(
        {
            payout.void_entry_id: f"payout_voided-reversed:{payout.void_entry_id}"
            for payout in payouts
            if payout.void_entry_id is not None
        },
        effective_at=timezone.now(),
        memo="A reorganization of the chain took the void away.",
        actor=events.ENGINE,
    )
    for payout in payouts:
        payout.void_entry_id = None
