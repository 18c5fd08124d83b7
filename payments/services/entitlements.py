"""Lines whose people have no address yet: set aside at submission, owed from the release on, then listed or expired.

Such a line is in its list's manifest with no script, so that no tx can ever pay it: what a person claims is paid by a line
of a later list, which three people make, approve and release like any other. The money stays with the first list until the
second is approved, and goes back if nobody claims it in time (ADR 47).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from govpay.errors import Conflict, NotFound
from ledger import audit
from payments import doorbell
from payments.models import (
    Cycle,
    Disbursement,
    Entitlement,
    Hold,
    HoldRule,
    Payment,
    Role,
    Wallet,
)
from payments.models.history import move
from payments.services import authority, drafts, encumbrances
from payments.states import ENTITLEMENT_OPEN, DisbursementStatus, EntitlementStatus, PaymentStatus

# No kind of address takes less.
LEAST_SAT = 546
AT_ONCE = 5_000
HELD_NOTE = "The person has brought no address yet."
WITHOUT_ADDRESS = """
SELECT p.id FROM payments_payment p
WHERE p.disbursement_id = %s AND p.script_pubkey IS NULL AND p.status IN ('pending', 'held')
    AND coalesce(p.amount_sat >= %s, true) AND NOT EXISTS (SELECT FROM payments_entitlement e WHERE e.paid_by_id = p.id)
ORDER BY p.id FOR UPDATE
"""
OPEN = """
WITH opened AS (
    INSERT INTO payments_entitlement (payment_id, status, opened_at, expires_at)
    SELECT p.id, 'waiting', %(at)s, %(at)s + make_interval(days => %(days)s) FROM payments_payment p
    JOIN payments_hold h ON h.payment_id = p.id AND h.rule = 'unclaimed' AND h.ended_at IS NULL
    WHERE p.disbursement_id = %(list)s AND p.status = 'held' AND p.script_pubkey IS NULL ORDER BY p.id
    RETURNING id, status
)
INSERT INTO payments_statuschange (subject, subject_id, old, new, reason, note, at)
SELECT 'entitlement', id, '', status, 'its list was released', '', clock_timestamp() FROM opened ORDER BY id
"""
# A program that stopped to take claims after the list was submitted.
DAYS = 90


class NothingClaimed(Conflict):
    """Nobody on the list has claimed anything that no other list pays."""

    code = "nothing_claimed"


class EntitlementGone(Conflict):
    """What a line of the list pays was withdrawn since the list was made."""

    code = "entitlement_gone"


class Expired(NamedTuple):
    """What went back: lines, and how much in the program's own unit."""

    lines: int
    amount: int


def set_aside(disbursement: Disbursement) -> None:
    """Hold the lines of a list that is being submitted whose people have no address, if its program lets them claim."""
    if disbursement.program.claim_term_days is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(WITHOUT_ADDRESS, [disbursement.pk, LEAST_SAT])
        ids = [pk for (pk,) in cursor.fetchall()]
    if not ids:
        return
    pending = Payment.objects.filter(pk__in=ids, status=PaymentStatus.PENDING)
    pending_ids = list(pending.order_by("pk").values_list("pk", flat=True))
    if pending_ids:
        move(
            pending,
            old=PaymentStatus.PENDING,
            new=PaymentStatus.HELD,
            note=HELD_NOTE,
            expected=len(pending_ids),
            locked_ids=pending_ids,
        )
    Hold.place(ids, rule=HoldRule.UNCLAIMED, note=HELD_NOTE)


def open_all(disbursement: Disbursement, *, at: datetime) -> None:
    """Let people claim what was set aside in a list that is being released."""
    days = disbursement.program.claim_term_days or DAYS
    with connection.cursor() as cursor:
        cursor.execute(OPEN, {"list": disbursement.pk, "at": at, "days": days})


def withdraw(payment: Payment, *, by: User, at: datetime) -> None:
    """End the entitlement of a line that people take back, if it has one that is open."""
    row = Entitlement.objects.select_for_update().filter(payment=payment, status__in=ENTITLEMENT_OPEN).first()
    if row is not None:
        _move([row.pk], row.status, EntitlementStatus.WITHDRAWN, actor_id=by.pk, ended_at=at)


def claim(enrollment_id: int, *, actor_id: int | None = None) -> int:
    """Mark what a person waits for in a program as claimed, now that they have an address; return how much it was."""
    rows = Entitlement.objects.waiting().filter(
        payment__beneficiary__enrollments=enrollment_id,
        payment__disbursement__program__enrollments=enrollment_id,
    )
    ids = _lock(rows)
    _move(ids, EntitlementStatus.WAITING, EntitlementStatus.CLAIMED, actor_id=actor_id)
    return len(ids)


@transaction.atomic
def list_claimed(*, by: User, disbursement_id: int) -> Disbursement:
    """Make a draft of what people on a list have claimed by now: the same amounts in the same cycle, linked line by line.

    People who got an address in another way have claimed too. Raises NotFound, RoleMissing, NothingClaimed.
    """
    mine = Disbursement.objects.filter(pk=disbursement_id, program__memberships__user_id=by.pk)
    original = mine.distinct().first()
    if original is None:
        raise NotFound("There is no such disbursement in your programs.")
    authority.require(user=by, program_id=original.program_id, roles=(Role.OFFICER,))
    # Two lists of one cycle are made one after the other, so that nobody is in both.
    cycle = Cycle.objects.select_for_update(no_key=True).get(pk=original.cycle_id)
    of_list = Entitlement.objects.filter(payment__disbursement=original)
    _move(
        _lock(of_list.waiting().with_address()),
        EntitlementStatus.WAITING,
        EntitlementStatus.CLAIMED,
        actor_id=by.pk,
    )
    unpaid = Q(paid_by=None) | Q(paid_by__status=PaymentStatus.CANCELLED)
    claimed = of_list.filter(
        ~_is_paid_in(cycle), unpaid, status__in=(EntitlementStatus.CLAIMED, EntitlementStatus.LISTED)
    )
    rows = list(claimed.select_related("payment").order_by("payment__line"))
    if not rows:
        raise NothingClaimed("Nobody on the list has claimed anything that no other list pays.")
    _lock(claimed)
    made = _draft(by, original, cycle, rows)
    audit.record("entitlement.list", made, by=by, scope=original.program.scope)
    return made


def take_over(disbursement: Disbursement, *, by: User, at: datetime) -> None:
    """Take what an approved list's lines pay out of the lists that held it, before this one sets the same money aside.

    The caller holds this list's row. Raises EntitlementGone where people withdrew such a line since.
    """
    lines = Payment.objects.filter(disbursement=disbursement).exclude(status=PaymentStatus.CANCELLED)
    mine = Entitlement.objects.filter(paid_by__in=lines)
    if not mine.exists():
        return
    ids = mine.order_by().values_list("payment__disbursement_id", flat=True).distinct()
    originals = Disbursement.objects.filter(pk__in=list(ids)).order_by("pk")
    locked = list(originals.select_for_update(of=("self",), no_key=True).select_related("program"))
    # After the lists, and before their payments.
    Wallet.objects.lock().get(program_id=disbursement.program_id)
    for original in locked:
        of_list = mine.filter(payment__disbursement=original)
        rows = list(
            of_list.select_for_update(of=("payment", "self")).select_related("payment").order_by("payment")
        )
        gone = [row.payment.line for row in rows if row.status == EntitlementStatus.WITHDRAWN]
        if gone:
            raise EntitlementGone(
                f"Lines of list {original.pk} that this list pays were withdrawn: {', '.join(map(str, gone[:20]))}.",
                disbursement_id=original.pk,
                lines=gone[:100],
            )
        # What an earlier list had taken over, and was withdrawn with it, is not held any more.
        held = [row for row in rows if row.status == EntitlementStatus.CLAIMED]
        _move(
            [row.pk for row in held],
            EntitlementStatus.CLAIMED,
            EntitlementStatus.LISTED,
            actor_id=by.pk,
            ended_at=at,
        )
        note = f"List {disbursement.pk} pays it."
        _free(
            original, [row.payment for row in held], at=at, actor=by.get_username(), note=note, actor_id=by.pk
        )


@transaction.atomic
def expire(disbursement_id: int, *, now: datetime | None = None) -> Expired:
    """Give back what nobody has claimed of a list in time, some thousand lines at a time; return how much it was."""
    at = now or timezone.now()
    rows = Disbursement.objects.select_for_update(of=("self",), no_key=True).select_related("program")
    disbursement = rows.get(pk=disbursement_id)
    due = Entitlement.objects.over(at).filter(payment__disbursement=disbursement)
    locked = due.select_for_update(of=("payment", "self")).select_related("payment").order_by("payment")
    found = list(locked[:AT_ONCE])
    _move([row.pk for row in found], EntitlementStatus.WAITING, EntitlementStatus.EXPIRED, ended_at=at)
    lines = [row.payment for row in found]
    _free(disbursement, lines, at=at, actor="engine", note="Nobody claimed it in time.")
    amount = sum(line.amount for line in lines)
    if found:
        reason = f"{len(found)} lines of {amount} {disbursement.program.currency}"
        audit.record("entitlement.expire", disbursement, scope=disbursement.program.scope, reason=reason)
    return Expired(len(found), amount)


def _is_paid_in(cycle: Cycle) -> Exists:
    """Say whether another line of the cycle pays the person: the constraint payment_person_once_a_cycle as a condition."""
    lines = Payment.objects.filter(cycle=cycle, beneficiary=OuterRef("payment__beneficiary"))
    counting = lines.exclude(status__in=[PaymentStatus.CANCELLED, PaymentStatus.VOIDED])
    return Exists(counting.exclude(status=PaymentStatus.HELD, script_pubkey=None))


def _lock(rows: QuerySet[Entitlement]) -> list[int]:
    return list(rows.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))


def _move(ids: Sequence[int], old: str, new: str, *, actor_id: int | None = None, **changes: Any) -> None:
    if ids:
        rows = Entitlement.objects.filter(pk__in=ids)
        move(rows, old=old, new=new, expected=len(ids), actor_id=actor_id, **changes)


def _free(
    disbursement: Disbursement,
    lines: Sequence[Payment],
    *,
    at: datetime,
    actor: str,
    note: str,
    actor_id: int | None = None,
) -> None:
    """Take lines out of a released list whose row is locked, and owe them no more."""
    if not lines:
        return
    assert disbursement.status == DisbursementStatus.RELEASED, disbursement.status
    ids = [line.pk for line in lines]
    move(
        Payment.objects.filter(pk__in=ids),
        old=PaymentStatus.HELD,
        new=PaymentStatus.CANCELLED,
        actor_id=actor_id,
        note=note,
        expected=len(ids),
    )
    Hold.objects.filter(payment__in=ids, ended_at=None).update(ended_at=at, ended_by_id=actor_id)
    encumbrances.free_lines(disbursement, lines, at=at, actor=actor)
    doorbell.ring("follow")


def _draft(by: User, original: Disbursement, cycle: Cycle, rows: Sequence[Entitlement]) -> Disbursement:
    text = ",".join(str(row.payment_id) for row in rows)
    # Made again after it was withdrawn, it is another list of the same lines.
    times = Disbursement.objects.filter(cycle=cycle).count()
    made = drafts.make(
        by=by,
        original=original,
        cycle=cycle,
        count=len(rows),
        total=sum(row.payment.amount for row in rows),
        lines=f"govpay-claims-1\n{times}\n{text}",
    )
    lines = Payment.objects.bulk_create(
        Payment(
            disbursement=made,
            cycle=cycle,
            line=line,
            beneficiary_id=row.payment.beneficiary_id,
            **original.program.amounts("amount", row.payment.amount),
        )
        for line, row in enumerate(rows, start=1)
    )
    for row, line in zip(rows, lines, strict=True):
        row.paid_by = line
    Entitlement.objects.bulk_update(rows, ["paid_by"], batch_size=1_000)
    return made
