"""Suspense: what nobody knows is booked to it where it is seen, and out of it once somebody does, by two people each."""

import hashlib

from django.contrib.auth.models import User
from django.db.models import QuerySet, Sum
from django.utils import timezone

from govpay.errors import Conflict
from ledger import books, chart, events
from ledger.models import Account, BreakKind, Case, Entry, Layer, Posting, ReadBlock, ReadTx

# Movements on the wallet that nobody knows may be booked to suspense until somebody does.
UNKNOWN = (BreakKind.UNKNOWN_IN, BreakKind.UNKNOWN_OUT, BreakKind.UNAUTHORIZED_SPEND)
KINDS = ("suspense", "reclassification")


class NothingSuspended(Conflict):
    """Nothing stands on suspense for the case any more."""

    code = "nothing_suspended"


def lines(case: Case) -> "QuerySet[Posting, Posting]":
    """Return the lines on suspense that are about a case."""
    return Posting.objects.filter(
        entry__source_ref=case.suspense_ref,
        entry__scope=case.scope,
        account__code=chart.suspense_account(case.scope),
        layer=Layer.SETTLED,
    )


def standing_sat(case: Case) -> int:
    """Return what stands on suspense for a case, debits positive; zero where nothing does."""
    return int(lines(case).aggregate(total=Sum("amount"))["total"] or 0) if case.suspense_ref else 0


def account_codes(scope: str) -> list[str]:
    """Return where suspense may go. The wallet and what is in transit are not among them: the chain alone moves those."""
    known = chart.scope_accounts(scope)
    return [
        known.appropriation,
        known.payable,
        known.transfers,
        known.network_fees,
        chart.losses_account(scope),
    ]


def find_account(scope: str, code: str) -> Account | None:
    """Return the account where suspense may go, opened where it never was, or None for any other code."""
    if code not in account_codes(scope):
        return None
    if code == chart.losses_account(scope):
        chart.open_losses(scope)
    return Account.objects.get(code=code)


def bookings(case: Case) -> "QuerySet[Entry, Entry]":
    """Return what was booked to suspense for a case, or out of it, and not undone; oldest first."""
    return Entry.objects.filter(
        scope=case.scope, source_ref=case.suspense_ref, kind__in=KINDS, reversed_by=None
    ).order_by("pk")


def book(case: Case, by: User) -> Entry:
    """Book the movement where it is seen, against suspense."""
    chart.open_suspense(case.scope)
    txid = case.found if case.kind == BreakKind.UNKNOWN_OUT else case.txid
    mined = ReadTx.objects.filter(standing__scope=case.scope, txid=txid).first()
    block = mined and ReadBlock.objects.filter(standing=mined.standing_id, height=mined.block_height).first()
    assert case.amount_sat is not None  # It was looked at when it was proposed.
    draft = events.suspense(
        scope=case.scope,
        key=f"suspense:case:{case.pk}:{case.proposal}",
        source_ref=f"output:{case.txid}:{case.vout}"
        if case.kind == BreakKind.UNAUTHORIZED_SPEND
        else case.unit,
        amount_sat=case.amount_sat,
        effective_at=timezone.now(),
        memo=_memo(case),
        actor=_proposer(case),
        approver=by.get_username(),
        block_hash=block.block_hash if block else "",
        block_height=block.height if block else None,
    )
    return Entry.objects.get(pk=books.post([draft])[0])


def move(case: Case, by: User) -> Entry:
    """Move all that stands on suspense for a case to the account that was proposed; raise NothingSuspended."""
    assert case.account is not None
    suspended_sat = standing_sat(case)
    if not suspended_sat:
        raise NothingSuspended(f"Nothing stands on suspense for case {case.pk} any more.")
    draft = events.reclassification(
        scope=case.scope,
        key=f"reclassification:case:{case.pk}:{case.proposal}",
        source_ref=case.suspense_ref,
        suspended_sat=suspended_sat,
        account=case.account.code,
        effective_at=timezone.now(),
        memo=_memo(case),
        actor=_proposer(case),
        approver=by.get_username(),
    )
    return Entry.objects.get(pk=books.post([draft])[0])


def undo(case: Case, by: User) -> Entry:
    """Reverse the booking that was proposed; raise AlreadyUndone."""
    assert case.entry_id is not None
    reversal_id = books.reverse(
        case.entry_id,
        idempotency_key=f"reversal:case:{case.pk}:{case.proposal}",
        effective_at=timezone.now(),
        memo=_memo(case),
        actor=_proposer(case),
        approver=by.get_username(),
    )
    return Entry.objects.get(pk=reversal_id)


def _memo(case: Case) -> str:
    """Return what the entry says of the case: entries leave in packs, and what people write may name somebody (ADR 32)."""
    return f"Case {case.pk}, note {hashlib.sha256(case.note.encode()).hexdigest()}"


def _proposer(case: Case) -> str:
    assert case.proposed_by is not None
    return case.proposed_by.get_username()
