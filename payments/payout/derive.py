"""Derives the status of payouts and disbursements from what blocks say, set-based, and books what follows from it."""

from collections.abc import Sequence
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Case, Count, Exists, F, OuterRef, Q, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from ledger import books, events
from payments import doorbell
from payments.models import (
    Block,
    Disbursement,
    Payment,
    Payout,
    PayoutTx,
    PayoutTxKind,
    StatusChange,
)
from payments.models.history import move
from payments.models.payout import IS_ORPHAN
from payments.payout import alarms, booking, commitments, facts, feerate, release
from payments.payout.store import STUCK
from payments.states import PAYOUT_CLOSED, DisbursementStatus, PaymentStatus, PayoutStatus

log = structlog.get_logger(__name__)

S = PayoutStatus
# The longest way: settled, mined, sent, voided. One more round finds that nothing is left; if not, the next visit goes on.
MOST_ROUNDS = 5
# Its bytes go out again at the next visit.
AT_ONCE: dict[str, Any] = {"due_at": None, "offers": 0, "attempts": 0, "sent_height": None}
# A version that pays is in a block although people gave the payout up.
VOID_LOST = "void_lost"


def derive() -> None:
    """Move payouts to where their facts say they are, and then their lists, whose rows nobody takes after a payout's."""
    _derive_payouts()
    _derive_lists()


@transaction.atomic
def _derive_payouts() -> None:
    """Derive them all; facts change with blocks only, so a tip at which that was done is not looked at again."""
    tip = Block.objects.filter(is_active=True).order_by("-height").first()
    if tip is None:
        return
    if not tip.is_derived:
        moved: set[int] = set()
        voids: set[int] = set()
        for _ in range(MOST_ROUNDS):
            steps = facts.list_steps(tip.height)
            if not steps:
                Block.objects.filter(pk=tip.pk).update(is_derived=True)
                break
            moved.update(_take(steps))
            voids.update(step.payout_id for step in steps if S.VOIDED in (step.old, step.new))
        release.owe_again()
        _level(moved)
        release.release_added(tip.height + 1 - facts.FINAL_DEPTH)
        commitments.follow_payouts(voids)
        commitments.follow_fees(moved)


def _take(steps: Sequence[facts.Step]) -> list[int]:
    """Take the steps, all of one kind at once; return whom it moved. Whoever a worker moved first comes next round."""
    moved: list[int] = []
    kinds: dict[tuple[str, str], list[int]] = {}
    for step in steps:
        kinds.setdefault((step.old, step.new), []).append(step.payout_id)
    for (old, new), asked in kinds.items():
        rows = Payout.objects.filter(pk__in=asked, status=old).order_by("pk").select_for_update()
        ids = list(rows.values_list("pk", flat=True))
        if not ids:
            continue
        if old == S.SETTLED:
            _unsettle(ids)
        move(Payout.objects.filter(pk__in=ids), old=old, new=new, expected=len(ids), **_changes(old, new))
        _follow_up(ids, old, new)
        moved += ids
    return moved


def _changes(old: str, new: str) -> dict[str, Any]:
    """Return the columns that change with the status."""
    changes: dict[str, Any] = {}
    if old == S.SETTLED:
        changes["settlement_entry_id"] = None
    if old in (S.MINED, S.SETTLED, S.VOIDED) and new in (S.SENT, S.VOIDING):
        changes |= AT_ONCE
    if new == S.VOIDED or (new == S.MINED and old != S.SETTLED):
        changes |= {"problem": "", "attempts": 0}
    return changes


def _follow_up(ids: list[int], old: str, new: str) -> None:
    """Do what a change of status brings with it."""
    if new in (S.MINED, S.VOIDED):
        _cease(ids, f"It is {new}.")
    if new == S.MINED:
        release.find_paid_twice(ids)
        orphans = Payout.objects.filter(IS_ORPHAN, parent__in=ids)
        _cease(list(orphans.values_list("pk", flat=True)), "Its parent is in a block as another version.")
    if new == S.SETTLED:
        _settle(ids)
    elif new == S.VOIDED:
        release.release(ids)
    elif old == S.VOIDED:
        release.take_back(ids)
    elif (old, new) == (S.VOIDING, S.MINED):
        _lose_race(ids)
    elif new == S.FROZEN:
        _freeze(ids)
    elif new in (S.SENT, S.VOIDING):
        alarms.clear_all(VOID_LOST, subject="payout", subject_ids=ids, note="Its block was taken away again.")
        for pk in ids:
            doorbell.ring("advance", payout_id=pk)


def _cease(ids: list[int], note: str) -> None:
    """Close the alarms about payouts that need neither a node nor a higher fee any more."""
    for code in (STUCK, feerate.ALARM):
        alarms.clear_all(code, subject="payout", subject_ids=ids, note=note)


def _settle(ids: list[int]) -> None:
    """Clear what was in transit and what was payable, one entry a payout, in one batch."""
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
            amount_minor=payout.payments_minor,
            occurrence=times[payout.pk],
            effective_at=now,
            block_hash=payout.mined_block_hash or "",
            block_height=payout.mined_height or 0,
        )
        for payout in settled
    )
    for payout, entry_id in zip(settled, entry_ids, strict=True):
        payout.settlement_entry_id = entry_id
    Payout.objects.bulk_update(settled, ["settlement_entry_id"], batch_size=1_000)


def _unsettle(ids: list[int]) -> None:
    """Mirror the settlement entries of payouts that a reorganization made shallow or took away."""
    booked = Payout.objects.filter(pk__in=ids, settlement_entry_id__isnull=False)
    books.reverse_each(
        {
            entry_id: f"settlement-reversed:{entry_id}"
            for entry_id in booked.values_list("settlement_entry_id", flat=True)
            if entry_id is not None
        },
        effective_at=timezone.now(),
        memo="A reorganization of the chain unsettled the payout.",
        actor="engine",
    )


def _lose_race(ids: list[int]) -> None:
    """Tell people that a payout which they gave up pays after all: there is nothing to reissue."""
    for payout in Payout.objects.filter(pk__in=ids).select_related("wallet").order_by("pk"):
        alarms.sound(
            VOID_LOST,
            subject="payout",
            subject_id=payout.pk,
            program_id=payout.wallet.program_id,
            message=f"Its void came too late: {payout.mined_txid} is in a block and pays its people.",
        )


def _freeze(ids: list[int]) -> None:
    """Say which tx in a block spends a coin of each payout. Whoever read the block has halted the wallet if it had to."""
    for payout in Payout.objects.filter(pk__in=ids).select_related("wallet").order_by("pk"):
        txid = facts.stranger(payout.pk)
        reason = (
            f"A coin of payout {payout.pk} is spent by {txid}, which is in a block and is no version of it."
        )
        Payout.objects.filter(pk=payout.pk).update(problem=reason)
        log.error("payout_conflicted", payout_id=payout.pk, txid=txid)
        alarms.sound(
            "payout_conflicted",
            subject="payout",
            subject_id=payout.pk,
            program_id=payout.wallet.program_id,
            message=reason,
        )


def _level(moved: set[int]) -> None:
    """Level the books of payouts for which another version speaks than the one that is booked."""
    of_payout = PayoutTx.objects.filter(payout=OuterRef("pk"))
    newest = of_payout.filter(raw__isnull=False).exclude(kind=PayoutTxKind.VOID).order_by("-pk")
    speaking = Coalesce(
        Subquery(of_payout.filter(txid=OuterRef("mined_txid")).values("fee_sat")[:1]),
        Case(When(~IS_ORPHAN, then=Subquery(newest.values("fee_sat")[:1]))),
        0,
    )
    is_void_mined = Exists(of_payout.filter(kind=PayoutTxKind.VOID, txid=OuterRef("mined_txid")))
    is_unlevel = ~Q(booked_fee_sat=F("speaking_sat")) | ~Q(
        is_void_mined=Case(When(void_entry_id__isnull=True, then=False), default=True)
    )
    unlevel = (
        Payout.objects.exclude(status__in=PAYOUT_CLOSED)
        .annotate(speaking_sat=speaking, is_void_mined=is_void_mined)
        .filter(is_unlevel)
        .values_list("pk", flat=True)
    )
    ids = moved.union(unlevel)
    rows = Payout.objects.filter(pk__in=ids).order_by("pk").select_for_update(of=("self",))
    booking.level(list(rows.select_related("wallet")))


@transaction.atomic
def _derive_lists() -> None:
    """Complete released lists that have nothing left to pay or settle, and reopen those that have again."""
    unpaid = Payment.objects.filter(
        Q(payout__isnull=True, settled_at__isnull=True)
        & (~Q(status=PaymentStatus.CANCELLED) & ~Q(status=PaymentStatus.VOIDED)),
        disbursement=OuterRef("pk"),
    )
    unsettled = Payout.objects.filter(disbursement=OuterRef("pk")).exclude(status__in=PAYOUT_CLOSED)
    released = Disbursement.objects.filter(status=DisbursementStatus.RELEASED)
    done = released.exclude(Exists(unsettled)).exclude(Exists(unpaid))
    _move_lists(list(done.values_list("pk", flat=True)), DisbursementStatus.COMPLETED, timezone.now())
    open_payouts = Payout.objects.exclude(status__in=PAYOUT_CLOSED)
    reopened = Disbursement.objects.filter(
        status=DisbursementStatus.COMPLETED, pk__in=open_payouts.values("disbursement")
    )
    _move_lists(list(reopened.values_list("pk", flat=True)), DisbursementStatus.RELEASED, None)


def _move_lists(ids: list[int], new: str, completed_at: Any) -> None:
    old = DisbursementStatus.RELEASED if new == DisbursementStatus.COMPLETED else DisbursementStatus.COMPLETED
    if ids:
        rows = Disbursement.objects.filter(pk__in=ids)
        move(rows, old=old, new=new, expected=len(ids), completed_at=completed_at)
        commitments.follow(ids)
