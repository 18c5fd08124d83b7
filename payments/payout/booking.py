"""Books what a payout costs: once when it is first signed, and levelled whenever another version speaks for it."""

from django.db.models import QuerySet
from django.utils import timezone

from ledger import books, events
from payments.models import Payment, Payout, PayoutTx, PayoutTxKind, SigningRequest
from payments.onchain import fee
from payments.payout import alarms
from payments.states import PayoutStatus


def keep_signed(payout: Payout, version: PayoutTx, raw: bytes, *, weight: int) -> None:
    """Store a version's signed bytes, and book them: in the same database transaction, before any node sees them.

    ``weight`` is that of the signed tx. The caller holds the payout's row.
    """
    is_first = version.kind != PayoutTxKind.VOID and not _paying(payout).exists()
    PayoutTx.objects.filter(pk=version.pk, raw__isnull=True).update(
        raw=raw, signed_at=timezone.now(), vsize_vb=fee.vsize(weight)
    )
    SigningRequest.objects.filter(version=version, completed_at=None).update(completed_at=timezone.now())
    alarms.clear("signing_overdue", subject="payout", subject_id=payout.pk, note="It is signed.")
    if is_first:
        _book_sent(payout, version)
    level(payout)


def level(payout: Payout) -> None:
    """Make the books hold the fee, and the payments in transit, of the version that speaks for the payout.

    That is the one in a block, else the newest signed one that pays; a void speaks only from a block, and a payout
    that can never confirm costs nothing. The caller holds the payout's row.
    """
    is_void, fee_sat = _speaking(payout)
    if fee_sat != payout.booked_fee_sat:
        entry = events.payout_fee(
            program_id=payout.wallet.program_id,
            payout_id=payout.pk,
            added_sat=fee_sat - payout.booked_fee_sat,
            occurrence=payout.adjustments + 1,
            effective_at=timezone.now(),
        )
        books.post([entry])
        payout.booked_fee_sat, payout.adjustments = fee_sat, payout.adjustments + 1
    if is_void and payout.void_entry_id is None and payout.payment_count and _paying(payout).exists():
        payout.adjustments += 1
        payout.void_entry_id = _book_void(payout)
    elif not is_void and payout.void_entry_id is not None:
        books.reverse(
            payout.void_entry_id,
            idempotency_key=f"payout_voided-reversed:{payout.void_entry_id}",
            effective_at=timezone.now(),
            memo="A reorganization of the chain took the void away.",
            actor="engine",
        )
        payout.void_entry_id = None
    payout.save(update_fields=["booked_fee_sat", "adjustments", "void_entry_id"])


def _speaking(payout: Payout) -> tuple[bool, int]:
    """Return whether the speaking version is a void, and its fee."""
    if payout.mined_txid is not None:
        mined = PayoutTx.objects.get(payout=payout, txid=payout.mined_txid)
        return mined.kind == PayoutTxKind.VOID, mined.fee_sat
    if payout.status == PayoutStatus.VOIDED:
        return True, 0
    return False, _paying(payout).order_by("-pk").values_list("fee_sat", flat=True).first() or 0


def _paying(payout: Payout) -> QuerySet[PayoutTx]:
    return PayoutTx.objects.filter(payout=payout, raw__isnull=False).exclude(kind=PayoutTxKind.VOID)


def _book_sent(payout: Payout, version: PayoutTx) -> None:
    payment_ids, amounts_sat = _lines(payout)
    books.post(
        [
            events.payout_sent(
                program_id=payout.wallet.program_id,
                payout_id=payout.pk,
                payment_ids=payment_ids,
                amounts_sat=amounts_sat,
                fee_sat=version.fee_sat,
                effective_at=timezone.now(),
            )
        ]
    )
    payout.booked_fee_sat += version.fee_sat
    payout.save(update_fields=["booked_fee_sat"])


def _book_void(payout: Payout) -> int:
    payment_ids, amounts_sat = _lines(payout)
    (entry_id,) = books.post(
        [
            events.payout_voided(
                program_id=payout.wallet.program_id,
                payout_id=payout.pk,
                payment_ids=payment_ids,
                amounts_sat=amounts_sat,
                occurrence=payout.adjustments,
                effective_at=timezone.now(),
            )
        ]
    )
    return entry_id


def _lines(payout: Payout) -> tuple[list[int], list[int]]:
    lines = list(Payment.objects.filter(payout=payout).order_by("vout").values_list("pk", "amount_sat"))
    return [pk for pk, _ in lines], [amount_sat for _, amount_sat in lines]
