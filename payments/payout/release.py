"""Frees what a payout held once it can never confirm, and takes it back should a reorganization undo that."""

from collections.abc import Sequence

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from ledger import books, events
from ledger.conversion import Converted
from payments.models import Payment, Payout, Reservation
from payments.models.history import move
from payments.payout import alarms
from payments.states import PaymentStatus

# Not those that another payout has reserved since: they are that payout's now.
LIVE_AGAIN = """
UPDATE payments_reservation r SET is_live = true WHERE r.payout_id = ANY(%s)
AND NOT EXISTS (SELECT FROM payments_reservation o WHERE (o.txid, o.vout) = (r.txid, r.vout) AND o.is_live)
"""


# What is void although its payout is not any more, unless another list stands in for it: people judge that one first.
OWED_AGAIN = """
SELECT p.id FROM payments_payment p JOIN payments_payout o ON o.id = p.payout_id
WHERE p.status = 'voided' AND o.status <> 'voided' AND NOT EXISTS (
    SELECT FROM payments_payment r WHERE r.reissue_of_id = p.id AND r.status <> 'cancelled')
"""
# Payouts, void once, and those that pay the same people anew, where a block holds both, and one is new there.
PAID_TWICE = """
SELECT o.id, w.program_id, count(*), string_agg(DISTINCT r.payout_id::text, ', ')
FROM payments_payment r JOIN payments_payment p ON p.id = r.reissue_of_id
JOIN payments_payout o ON o.id = p.payout_id JOIN payments_payout n ON n.id = r.payout_id
JOIN payments_wallet w ON w.id = o.wallet_id
WHERE o.status IN ('mined', 'settled') AND n.status IN ('mined', 'settled') AND r.id IN (
    SELECT a.id FROM payments_payment a WHERE a.payout_id = ANY(%(ids)s) AND a.reissue_of_id IS NOT NULL
    UNION SELECT a.id FROM payments_payment b JOIN payments_payment a ON a.reissue_of_id = b.id
    WHERE b.payout_id IN (
        SELECT s.subject_id FROM payments_statuschange s
        WHERE s.subject = 'payout' AND s.subject_id = ANY(%(ids)s) AND s.new = 'voided'))
GROUP BY o.id, w.program_id ORDER BY o.id
"""


def release(payout_ids: list[int]) -> None:
    """Free the outpoints of payouts that are void, and take their payments out of what their lists owe."""
    Reservation.objects.filter(payout__in=payout_ids).update(is_live=False)
    payouts = list(
        Payout.objects.filter(pk__in=payout_ids, disbursement__isnull=False)
        .select_related("wallet")
        .order_by("pk")
    )
    lines = Payment.objects.filter(payout__in=payouts, status=PaymentStatus.PENDING)
    move(lines, old=PaymentStatus.PENDING, new=PaymentStatus.VOIDED, expected=lines.count())
    converted = _converted(payouts)
    entry_ids = books.post(
        events.decommitment(
            program_id=payout.wallet.program_id,
            key=f"decommitment:payout:{payout.pk}:{payout.adjustments}",
            source_ref=f"payout:{payout.pk}",
            amount=payout.payments_sat if payout.payments_minor is None else payout.payments_minor,
            converted=converted.get(payout.pk),
            effective_at=timezone.now(),
            actor=events.ENGINE,
        )
        for payout in payouts
    )
    for payout, entry_id in zip(payouts, entry_ids, strict=True):
        payout.release_entry_id = entry_id
        payout.adjustments += 1
    Payout.objects.bulk_update(payouts, ["release_entry_id", "adjustments"], batch_size=1_000)


def _converted(payouts: Sequence[Payout]) -> dict[int, Converted]:
    """Return what payouts of money pay, by payout: what was converted to it is converted back with it."""
    of_money = [payout.pk for payout in payouts if payout.payments_minor is not None]
    sums = Payment.objects.filter(payout__in=of_money).order_by().values_list("payout")
    rows = sums.annotate(Sum("amount_minor"), Sum("amount_sat"), Sum("remainder_minor"))
    return {payout_id: Converted(*amounts) for payout_id, *amounts in rows}


def release_added(final_height: int) -> None:
    """Free the coins that bumps added to payouts which are final: the version that confirmed may spend none of them."""
    added = Reservation.objects.filter(is_live=True, is_original=False)
    added.filter(payout__mined_height__lte=final_height).update(is_live=False)


def take_back(payout_ids: list[int]) -> None:
    """Owe again what payouts owed that a reorganization of 100 blocks made possible again, and say so."""
    with connection.cursor() as cursor:
        cursor.execute(LIVE_AGAIN, [payout_ids])
    payouts = Payout.objects.filter(pk__in=payout_ids).select_related("wallet").order_by("pk")
    books.reverse_each(
        {
            payout.release_entry_id: f"decommitment-reversed:{payout.release_entry_id}"
            for payout in payouts
            if payout.release_entry_id is not None
        },
        effective_at=timezone.now(),
        memo="A reorganization of the chain undid the void.",
        actor=events.ENGINE,
    )
    Payout.objects.filter(pk__in=payout_ids).update(release_entry_id=None)
    for payout in payouts:
        alarms.sound(
            "void_undone",
            subject="payout",
            subject_id=payout.pk,
            program_id=payout.wallet.program_id,
            message="A reorganization of 100 blocks took away what made this payout void; it may confirm after all.",
        )


def owe_again() -> None:
    """Take payments out of void whose payouts are not void any more, once no other list stands in for them."""
    with connection.cursor() as cursor:
        cursor.execute(OWED_AGAIN)
        ids = [pk for (pk,) in cursor.fetchall()]
    if ids:
        lines = Payment.objects.filter(pk__in=ids)
        move(lines, old=PaymentStatus.VOIDED, new=PaymentStatus.PENDING, expected=len(ids))


def find_paid_twice(mined_ids: list[int]) -> None:
    """Call a person where a payout that was void, and one that pays its people anew, are both in a block."""
    with connection.cursor() as cursor:
        cursor.execute(PAID_TWICE, {"ids": mined_ids})
        found = cursor.fetchall()
    for payout_id, program_id, count, others in found:
        alarms.sound(
            "paid_twice",
            subject="payout",
            subject_id=payout_id,
            program_id=program_id,
            message=f"{count:,} people are paid by payout {payout_id}, which was void, and again by payout {others}.",
        )
