"""Derives the status of payouts and disbursements from what blocks say, set-based, and books what follows from it."""

from typing import Any

from django.db import transaction
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.utils import timezone

from ledger import books, events
from payments.models import (
    Block,
    Disbursement,
    Payment,
    Payout,
    PayoutTx,
    PayoutTxKind,
    Reservation,
    StatusChange,
)
from payments.models.history import move
from payments.payout import booking
from payments.states import PAYOUT_CLOSED, DisbursementStatus, PaymentStatus, PayoutStatus

S = PayoutStatus
MOST_CONFIRMATIONS = 100
# Its bytes go out again at the next visit.
AT_ONCE: dict[str, Any] = {"due_at": None, "offers": 0, "attempts": 0}
# A spend buried this deep is final: what it excludes is dead (I1a).
FINAL_DEPTH = 100

# A coin of the original is spent by a tx that pays none of the payout's payments, so that no version can confirm.
SPENT_OTHERWISE = """
EXISTS (
    SELECT FROM payments_reservation r JOIN payments_coin c ON (c.txid, c.vout) = (r.txid, r.vout)
    JOIN payments_block b ON b.block_hash = c.spent_block_hash
    WHERE r.payout_id = payments_payout.id AND r.is_original AND b.height <= %s
    AND NOT EXISTS (
        SELECT FROM payments_payouttx t
        WHERE t.payout_id = r.payout_id AND t.txid = c.spent_by_txid AND t.kind <> 'void')
)
"""


@transaction.atomic
def derive() -> None:
    """Move payouts to where their facts say they are, and their disbursements with them."""
    tip = Block.objects.filter(is_active=True).order_by("-height").first()
    if tip is None:
        return
    settles = Q(disbursement__isnull=True, mined_height__isnull=False) | Q(
        mined_height__lte=tip.height + 1 - F("disbursement__program__confirmations_settled")
    )
    # No program asks for more: the index then spares the look at everything that was ever settled.
    shallow = Q(mined_height__gt=tip.height + 1 - MOST_CONFIRMATIONS)
    versions = PayoutTx.objects.filter(payout=OuterRef("pk"))
    voids = versions.filter(kind=PayoutTxKind.VOID)
    payouts = Payout.objects.order_by("pk").annotate(
        is_given_up=Exists(voids), is_void_mined=Exists(voids.filter(txid=OuterRef("mined_txid")))
    )
    pays = Q(mined_height__isnull=False, is_void_mined=False)
    _unsettle(payouts.filter(~pays, status=S.SETTLED, is_given_up=False), S.SENT)
    _unsettle(payouts.filter(~pays, status=S.SETTLED, is_given_up=True), S.VOIDING)
    _unsettle(payouts.filter(shallow & ~settles, status=S.SETTLED), S.MINED)
    _move_each(payouts.filter(~pays, status=S.MINED, is_given_up=False), S.MINED, S.SENT, **AT_ONCE)
    _move_each(payouts.filter(~pays, status=S.MINED, is_given_up=True), S.MINED, S.VOIDING, **AT_ONCE)
    for old in (S.COMMITTED, S.SIGNED, S.SENT, S.FROZEN, S.VOIDING):
        _move_each(payouts.filter(pays, status=old), old, S.MINED, problem="")
    _level(payouts)
    _settle(payouts.filter(settles & pays, status=S.MINED))
    _void(payouts, tip.height + 1 - FINAL_DEPTH)
    _close_disbursements()


def _move_each(rows: QuerySet[Payout], old: str, new: str, **changes: Any) -> list[int]:
    """Lock and move the rows; return their ids."""
    ids = list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))
    if ids:
        move(Payout.objects.filter(pk__in=ids), old=old, new=new, expected=len(ids), **changes)
    return ids


def _level(payouts: QuerySet[Payout]) -> None:
    """Level the books of payouts for which another version speaks than the one that is booked."""
    speaking = Coalesce(
        Subquery(
            PayoutTx.objects.filter(payout=OuterRef("pk"), txid=OuterRef("mined_txid")).values("fee_sat")
        ),
        Subquery(
            PayoutTx.objects.filter(payout=OuterRef("pk"), raw__isnull=False)
            .exclude(kind=PayoutTxKind.VOID)
            .order_by("-pk")
            .values("fee_sat")[:1]
        ),
        0,
    )
    is_unlevel = ~Q(booked_fee_sat=F("speaking_sat")) | ~Q(
        is_void_mined=Case(When(void_entry_id__isnull=True, then=False), default=True)
    )
    rows = payouts.exclude(status__in=PAYOUT_CLOSED).annotate(speaking_sat=speaking).filter(is_unlevel)
    for payout in rows.select_for_update(of=("self",)).select_related("wallet"):
        booking.level(payout)


def _void(payouts: QuerySet[Payout], final_height: int) -> None:
    """Give up payouts that can never confirm: their payments may be reissued, and are owed no more in this list."""
    otherwise = RawSQL(SPENT_OTHERWISE, [final_height])  # noqa: S611 - the statement is a constant.
    open_ones = payouts.filter(status__in=[S.COMMITTED, S.SIGNED, S.SENT, S.FROZEN, S.VOIDING])
    dead = open_ones.annotate(is_dead=otherwise).filter(is_dead=True)
    for old, ids in _by_status(dead).items():
        _move_each(Payout.objects.filter(pk__in=ids).order_by("pk"), old, S.VOIDED, problem="")
        for payout in (
            Payout.objects.filter(pk__in=ids).select_related("wallet", "disbursement").order_by("pk")
        ):
            booking.level(payout)
            _release(payout)


def _by_status(rows: QuerySet[Payout]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for pk, status in rows.values_list("pk", "status"):
        found.setdefault(status, []).append(pk)
    return found


def _release(payout: Payout) -> None:
    """Free the outpoints of a payout that is void, and take its payments out of what its list owes."""
    Reservation.objects.filter(payout=payout).update(is_live=False)
    if payout.disbursement_id is None:
        return
    lines = Payment.objects.filter(payout=payout, status=PaymentStatus.PENDING)
    move(lines, old=PaymentStatus.PENDING, new=PaymentStatus.VOIDED, expected=payout.payment_count)
    books.post(
        [
            events.decommitment(
                program_id=payout.wallet.program_id,
                key=f"decommitment:payout:{payout.pk}",
                source_ref=f"payout:{payout.pk}",
                amount_sat=payout.payments_sat,
                effective_at=timezone.now(),
                actor=events.ENGINE,
            )
        ]
    )


def _settle(rows: QuerySet[Payout]) -> None:
    """Clear what was in transit and what was payable, one entry a payout, in one batch."""
    ids = _move_each(rows, S.MINED, S.SETTLED)
    if not ids:
        return
    # A payout that a reorganization unsettles and that settles again is booked again, under a key of its own.
    times = dict(
        StatusChange.objects.filter(subject="payout", subject_id__in=ids, new=S.SETTLED)
        .values_list("subject_id")
        .annotate(Count("pk"))
    )
    settled = Payout.objects.filter(pk__in=ids, payment_count__gt=0).select_related("wallet").order_by("pk")
    now = timezone.now()
    entry_ids = books.post(
        events.settlement(
            program_id=payout.wallet.program_id,
            payout_id=payout.pk,
            amount_sat=payout.payments_sat,
            occurrence=times[payout.pk],
            effective_at=now,
            block_hash=payout.mined_block_hash or "",
            block_height=payout.mined_height or 0,
        )
        for payout in settled
    )
    for payout, entry_id in zip(settled, entry_ids, strict=True):
        payout.settlement_entry_id = entry_id
    Payout.objects.bulk_update(settled, ["settlement_entry_id"])


def _unsettle(rows: QuerySet[Payout], new: str) -> None:
    """Mirror the settlement entries of payouts that a reorganization made shallow or took away."""
    ids = list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))
    now = timezone.now()
    booked = Payout.objects.filter(pk__in=ids, settlement_entry_id__isnull=False)
    for entry_id in booked.values_list("settlement_entry_id", flat=True):
        assert entry_id is not None
        books.reverse(
            entry_id,
            idempotency_key=f"settlement-reversed:{entry_id}",
            effective_at=now,
            memo="A reorganization of the chain unsettled the payout.",
            actor="engine",
        )
    if ids:
        changes: dict[str, Any] = {} if new == S.MINED else dict(AT_ONCE)
        move(
            Payout.objects.filter(pk__in=ids),
            old=S.SETTLED,
            new=new,
            expected=len(ids),
            settlement_entry_id=None,
            **changes,
        )


def _close_disbursements() -> None:
    """Complete released lists that have nothing left to pay or settle, and reopen those that have again."""
    unpaid = Payment.objects.filter(
        Q(payout__isnull=True) & ~Q(status=PaymentStatus.CANCELLED), disbursement=OuterRef("pk")
    )
    unsettled = Payout.objects.filter(disbursement=OuterRef("pk")).exclude(status__in=PAYOUT_CLOSED)
    released = Disbursement.objects.filter(status=DisbursementStatus.RELEASED)
    for pk in released.exclude(Exists(unsettled)).exclude(Exists(unpaid)).values_list("pk", flat=True):
        move(
            Disbursement.objects.filter(pk=pk),
            old=DisbursementStatus.RELEASED,
            new=DisbursementStatus.COMPLETED,
            completed_at=timezone.now(),
        )
    open_payouts = Payout.objects.exclude(status__in=PAYOUT_CLOSED)
    reopened = Disbursement.objects.filter(
        status=DisbursementStatus.COMPLETED, pk__in=open_payouts.values("disbursement")
    )
    for pk in reopened.values_list("pk", flat=True):
        move(
            Disbursement.objects.filter(pk=pk),
            old=DisbursementStatus.COMPLETED,
            new=DisbursementStatus.RELEASED,
            completed_at=None,
        )
