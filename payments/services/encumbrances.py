"""What approved lists hold of a program's allotment: encumbered at approval, spent at release, free again otherwise.

One entry holds it at a time, and one other entry ends that; the index on what an entry undoes decides between two people.
Lists that were approved before there were encumbrances hold nothing: their approval booked what is owed at once.
Each step takes the list's commitment along, which counts its fee ceiling too (``payments.payout.commitments``).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet

from ledger import books, chart, events
from ledger.conversion import Converted
from ledger.models import Entry, Layer, Posting
from payments.models import Disbursement, Payment
from payments.payout import commitments


class Standing(NamedTuple):
    """The entry that holds a part of the allotment for a list, and how much, in the program's own unit."""

    entry_id: int
    amount: int


def standing(disbursement: Disbursement) -> Standing | None:
    """Return what a list holds now; lock the list before acting on it."""
    held = Posting.objects.filter(
        entry__in=_entries(disbursement).filter(reversed_by=None), layer=Layer.ENCUMBERED, amount__gt=0
    )
    found = held.values_list("entry_id", "amount").first()
    return None if found is None else Standing(*found)


def hold(disbursement: Disbursement, *, amount: int, at: datetime, actor: str, approver: str = "") -> None:
    """Hold so much, in the program's own unit, for a list that is being approved; raise what ``commitments.commit`` does."""
    commitments.commit(disbursement, at=at)
    books.post([_draft(disbursement, amount, at, actor, approver)])


def spend(disbursement: Disbursement, *, at: datetime, actor: str, approver: str) -> None:
    """Owe the people of a list that is being released what the list holds; it holds nothing afterwards.

    Raises what ``commitments.spend`` does.
    """
    commitments.spend(disbursement, at=at)
    held = standing(disbursement)
    if held is None:
        return
    books.post(
        [
            events.commitment(
                program_id=disbursement.program_id,
                disbursement_id=disbursement.pk,
                amount=held.amount,
                effective_at=at,
                actor=actor,
                approver=approver,
                encumbrance_id=held.entry_id,
                memo=agreed(disbursement),
                in_money=not disbursement.program.pays_sat,
            )
        ]
    )


def free(
    disbursement: Disbursement,
    *,
    amount: int,
    key: str,
    source_ref: str,
    at: datetime,
    actor: str,
    converted: Converted | None = None,
) -> None:
    """Free so much of a list: of what it holds, or, where it is owed already, of what it owes, under this key.

    What was ``converted`` of it is converted back at the same price.
    """
    commitments.follow([disbursement.pk])
    held = standing(disbursement)
    if held is None:
        books.post(
            [
                events.decommitment(
                    program_id=disbursement.program_id,
                    key=key,
                    source_ref=source_ref,
                    amount=amount,
                    effective_at=at,
                    actor=actor,
                    converted=converted,
                )
            ]
        )
        return
    freed = events.disencumbrance(
        program_id=disbursement.program_id,
        disbursement_id=disbursement.pk,
        encumbrance_id=held.entry_id,
        amount=held.amount,
        effective_at=at,
        actor=actor,
        in_money=not disbursement.program.pays_sat,
    )
    left = held.amount - amount
    books.post([freed, *([_draft(disbursement, left, at, actor)] if left else [])])


def free_lines(disbursement: Disbursement, lines: Sequence[Payment], *, at: datetime, actor: str) -> None:
    """Owe no more what lines of a released list are, each under its own key, so that none is freed twice."""
    commitments.follow([disbursement.pk])
    books.post(
        events.decommitment(
            program_id=disbursement.program_id,
            key=f"decommitment:payment:{line.pk}",
            source_ref=f"payment:{line.pk}",
            amount=line.amount,
            effective_at=at,
            actor=actor,
            converted=converted(line),
        )
        for line in lines
    )


def converted(line: Payment) -> Converted | None:
    """Return what a line of money that is withdrawn was converted to, or None."""
    if line.amount_minor is None or line.amount_sat is None or line.remainder_minor is None:
        return None
    return Converted(line.amount_minor, line.amount_sat, line.remainder_minor)


def _draft(
    disbursement: Disbursement, amount: int, at: datetime, actor: str, approver: str = ""
) -> books.Draft:
    return events.encumbrance(
        program_id=disbursement.program_id,
        disbursement_id=disbursement.pk,
        amount=amount,
        occurrence=_entries(disbursement).count() + 1,
        effective_at=at,
        actor=actor,
        approver=approver,
        memo=agreed(disbursement),
        in_money=not disbursement.program.pays_sat,
    )


def agreed(disbursement: Disbursement) -> str:
    """Name the manifest that people agreed to, so that it is sealed with the books and anchored with them."""
    return f"Manifest {bytes(disbursement.manifest_hash or b'').hex()}"


def _entries(disbursement: Disbursement) -> QuerySet[Entry]:
    return Entry.objects.filter(
        kind="encumbrance",
        scope=chart.program_scope(disbursement.program_id),
        source_ref=f"disbursement:{disbursement.pk}",
    )
