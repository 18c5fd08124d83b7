"""What becomes of payments on other rails than bitcoin: sent, settled, or dead and back, by sets and in the books.

A payment has one leg at a time. Dead means that it can never arrive: the bank has rejected its line, or its voucher has
expired or was cancelled. The database takes a payment for void only then, so that nothing else is proof.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from ledger import books, rails
from payments import doorbell
from payments.models import Disbursement, Payment
from payments.models.history import move
from payments.payout import agreed, manifest
from payments.services import encumbrances
from payments.states import PaymentStatus

# Lines of an entry, and payments that are moved at a time.
AT_ONCE = 5_000


def require_agreed(disbursement: Disbursement) -> None:
    """Raise ApprovalForged unless people approved and released the list as it stands in the database, line by line."""
    agreed.of(disbursement).require_released()
    if manifest.compute(disbursement) != bytes(disbursement.manifest_hash or b""):
        raise agreed.ApprovalForged(
            f"List {disbursement.pk} is not what people agreed to: its lines were changed. Nothing of it is paid.",
            disbursement_id=disbursement.pk,
        )


def send(
    disbursement: Disbursement,
    ids: Sequence[int],
    *,
    key: str,
    source_ref: str,
    at: datetime,
    memo_from: Callable[[int], str],
) -> None:
    """Book payments as in transit whose leg was made, in entries of some thousand lines, by the payments' numbers.

    ``memo_from`` says the memo of the entry that begins with this one of them, counted from 1.
    """
    rails.open_transit(disbursement.program_id)
    for part, rows in enumerate(_parts(disbursement, ids), start=1):
        books.post(
            [
                rails.sent(
                    program_id=disbursement.program_id,
                    key=f"{key}:{part}",
                    source_ref=source_ref,
                    payment_ids=[pk for pk, _ in rows],
                    amounts=[amount for _, amount in rows],
                    effective_at=at,
                    actor="engine",
                    memo=memo_from((part - 1) * AT_ONCE + 1),
                )
            ]
        )


def settle(
    disbursement: Disbursement,
    ids: Sequence[int],
    *,
    key: str,
    source_ref: str,
    at: datetime,
    actor: str,
    memo: str = "",
) -> None:
    """Clear what is payable of payments that have arrived; the list may be complete with that."""
    for part, rows in enumerate(_parts(disbursement, ids), start=1):
        pks = [pk for pk, _ in rows]
        Payment.objects.filter(pk__in=pks).update(settled_at=at)
        books.post(
            [
                rails.settled(
                    program_id=disbursement.program_id,
                    key=f"{key}:{part}",
                    source_ref=source_ref,
                    payment_ids=pks,
                    amounts=[amount for _, amount in rows],
                    effective_at=at,
                    actor=actor,
                    memo=memo,
                )
            ]
        )
    if ids:
        doorbell.ring("follow")


def give_back(
    disbursement: Disbursement,
    ids: Sequence[int],
    *,
    key: str,
    source_ref: str,
    at: datetime,
    actor: str,
    note: str,
    memo: str,
) -> None:
    """Take back payments whose leg is dead: out of transit and out of what is owed; void, another list may pay them.

    The caller holds the list's row. ``note`` may have people's words, and stays in the history; ``memo`` leaves with the
    books (ADR 32).
    """
    for part, rows in enumerate(_parts(disbursement, ids), start=1):
        pks = [pk for pk, _ in rows]
        books.post(
            [
                rails.returned(
                    program_id=disbursement.program_id,
                    key=f"{key}:{part}",
                    source_ref=source_ref,
                    payment_ids=pks,
                    amounts=[amount for _, amount in rows],
                    effective_at=at,
                    actor=actor,
                    memo=memo,
                )
            ]
        )
        lines = Payment.objects.filter(pk__in=pks)
        move(lines, old=PaymentStatus.PENDING, new=PaymentStatus.VOIDED, note=note, expected=len(pks))
        encumbrances.free_lines(disbursement, list(lines), at=at, actor=actor)
    if ids:
        doorbell.ring("follow")


def _parts(disbursement: Disbursement, ids: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """Yield payments and their amounts, by number, some thousand at a time."""
    left = iter(sorted(ids))
    while chunk := list(islice(left, AT_ONCE)):
        rows = Payment.objects.filter(pk__in=chunk, disbursement=disbursement).order_by("pk")
        yield list(rows.values_list("pk", "amount"))
