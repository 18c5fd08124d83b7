"""Derives the status of payouts and disbursements from what blocks say, set-based, and books what follows from it."""

from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from ledger import books, events
from payments.models import Block, Disbursement, Payment, Payout, StatusChange
from payments.models.history import move
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus

S = PayoutStatus
MOST_CONFIRMATIONS = 100


@transaction.atomic
def derive() -> None:
    """Move payouts to where their facts say they are, and their disbursements with them."""
    tip = Block.objects.filter(is_active=True).order_by("-height").first()
    if tip is None:
        return
    deep_enough = Q(mined_height__lte=tip.height + 1 - F("disbursement__program__confirmations_settled"))
    # No program asks for more: the index then spares the look at everything that was ever settled.
    shallow = Q(mined_height__gt=tip.height + 1 - MOST_CONFIRMATIONS)
    payouts = Payout.objects.order_by("pk")
    _unsettle(payouts.filter(status=S.SETTLED, mined_height=None), S.SENT)
    _unsettle(payouts.filter(shallow, ~deep_enough, status=S.SETTLED), S.MINED)
    _move_each(payouts.filter(status=S.MINED, mined_height=None), S.MINED, S.SENT, due_at=None)
    for old in (S.SIGNED, S.SENT, S.FROZEN):
        _move_each(payouts.filter(status=old, mined_height__isnull=False), old, S.MINED, problem="")
    _settle(payouts.filter(deep_enough, status=S.MINED))
    _close_disbursements()


def _move_each(rows: QuerySet[Payout], old: str, new: str, **changes: Any) -> list[int]:
    """Lock and move the rows; return their ids."""
    ids = list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))
    if ids:
        move(Payout.objects.filter(pk__in=ids), old=old, new=new, expected=len(ids), **changes)
    return ids


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
    settled = Payout.objects.filter(pk__in=ids).select_related("wallet").order_by("pk")
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
        changes: dict[str, Any] = {"due_at": None} if new == S.SENT else {}
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
    unsettled = Payout.objects.filter(disbursement=OuterRef("pk")).exclude(status__in=[S.SETTLED, S.UNSEALED])
    released = Disbursement.objects.filter(status=DisbursementStatus.RELEASED)
    for pk in released.exclude(Exists(unsettled)).exclude(Exists(unpaid)).values_list("pk", flat=True):
        move(
            Disbursement.objects.filter(pk=pk),
            old=DisbursementStatus.RELEASED,
            new=DisbursementStatus.COMPLETED,
            completed_at=timezone.now(),
        )
    open_payouts = Payout.objects.exclude(status__in=[S.SETTLED, S.UNSEALED])
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
