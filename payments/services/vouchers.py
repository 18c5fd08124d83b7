"""Pays released lists by voucher: printed with a code that is shown once, redeemed by an agent, or back when nobody comes.

A voucher pays one payment, and of a payment's vouchers one counts. An agent who types too many codes that are none is locked
out. What expires or is cancelled goes back to the program's cash by entry, and may be paid in another way then.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from govpay.errors import Conflict, Forbidden, NotFound, SamePersonTwice
from ledger import audit
from payments.models import Disbursement, Rail, Role, Voucher, VoucherDesk
from payments.models.history import move
from payments.payout import guard, seal
from payments.services import authority, rail_legs, voucher_codes
from payments.states import VOUCHER_LIVE, DisbursementStatus, VoucherStatus

V = VoucherStatus
# Where a program does not say for how long people may come.
DAYS = 90
# Slips of one print, and vouchers that expire at a time.
SLIPS_AT_ONCE, AT_ONCE = 500, 5_000
# So many codes that are none within the window lock a desk.
MOST_MISSES, WINDOW, LOCKED = 5, timedelta(minutes=15), timedelta(hours=1)
OPEN = f"""
WITH made AS (
    INSERT INTO payments_voucher (program_id, payment_id, status, amount_minor, currency, made_at, expires_at, cancel_note)
    SELECT %(program)s, p.id, 'waiting', p.amount, %(currency)s::varchar, %(at)s, %(until)s, '' FROM payments_payment p
    WHERE p.disbursement_id = %(list)s AND p.status = 'pending' AND p.sent_at IS NULL AND {seal.STILL_VOID} ORDER BY p.id
    RETURNING id, payment_id, status
), history AS (
    INSERT INTO payments_statuschange (subject, subject_id, old, new, reason, note, at)
    SELECT 'voucher', id, '', status, 'its list was released', '', clock_timestamp() FROM made ORDER BY id
), marked AS (
    UPDATE payments_payment p SET sent_at = %(at)s FROM made m WHERE p.id = m.payment_id
)
SELECT payment_id FROM made
"""  # noqa: S608 - a text of our own


class VoucherRefused(Conflict):
    """No voucher of the program that can be paid has this code; it is counted."""

    code = "voucher_refused"


class VoucherGone(Conflict):
    """The voucher was redeemed, has expired, or was cancelled; ``details`` says which."""

    code = "voucher_gone"


class DeskLocked(Forbidden):
    """Too many codes that are none were typed at this desk; it opens again by itself."""

    code = "desk_locked"


class Slip(NamedTuple):
    """What is printed for a person, once: their reference, the code, how much, and until when."""

    voucher_id: int
    reference: str
    code: str
    amount_minor: int
    currency: str
    expires_at: datetime


@transaction.atomic
def send(disbursement_id: int, *, now: datetime | None = None) -> int:
    """Make the vouchers of everything in a released list that is cleared and has none yet; return how many.

    Raises ApprovalForged: the list waits then.
    """
    now = now or timezone.now()
    rows = Disbursement.objects.select_for_update(of=("self",)).select_related("program", "cycle")
    disbursement = rows.get(pk=disbursement_id, rail=Rail.VOUCHER)
    if disbursement.status != DisbursementStatus.RELEASED:
        return 0
    rail_legs.require_agreed(disbursement)
    values: dict[str, Any] = {
        "program": disbursement.program_id,
        "currency": disbursement.program.currency,
        "list": disbursement.pk,
        "at": now,
        "until": now + timedelta(days=disbursement.program.claim_term_days or DAYS),
    }
    with connection.cursor() as cursor:
        cursor.execute(OPEN, values)
        ids = [pk for (pk,) in cursor.fetchall()]
    if ids:
        rail_legs.send(
            disbursement,
            ids,
            key=f"vouchers:{min(ids)}",
            source_ref=f"disbursement:{disbursement.pk}",
            at=now,
            memo_from=lambda first: f"Vouchers of list {disbursement.pk}, from line {first}",
        )
        audit.record(
            "voucher.make", disbursement, scope=disbursement.program.scope, reason=f"{len(ids):,} vouchers"
        )
    return len(ids)


@transaction.atomic
def issue(*, by: User, disbursement_id: int, now: datetime | None = None) -> list[Slip]:
    """Make the codes of some hundred vouchers of a list that have none yet, and return them: this once and never again.

    Raises NotFound, RoleMissing. Slips that were lost are cancelled by two people, and replaced.
    """
    mine = Disbursement.objects.filter(pk=disbursement_id, program__memberships__user_id=by.pk)
    disbursement = mine.select_related("program").distinct().first()
    if disbursement is None:
        raise NotFound("There is no such disbursement in your programs.")
    authority.require(user=by, program_id=disbursement.program_id, roles=(Role.OFFICER,))
    now = now or timezone.now()
    waiting = Voucher.objects.filter(
        payment__disbursement=disbursement, status=V.WAITING, expires_at__gt=now
    ).order_by("payment__line")
    rows = list(waiting.select_for_update(of=("self",), skip_locked=True)[:SLIPS_AT_ONCE])
    codes = {row.pk: voucher_codes.make() for row in rows}
    for row in rows:
        row.code_hash = voucher_codes.digest(voucher_codes.read(codes[row.pk]))
    ids = [row.pk for row in rows]
    if ids:
        _keep_hashes(rows)
        move(
            Voucher.objects.filter(pk__in=ids),
            old=V.WAITING,
            new=V.ISSUED,
            actor_id=by.pk,
            expected=len(ids),
            issued_by=by,
            issued_at=now,
        )
    reason = f"{len(ids):,} vouchers"
    audit.record("voucher.issue", disbursement, by=by, scope=disbursement.program.scope, reason=reason)
    references = dict(
        Voucher.objects.filter(
            pk__in=ids, payment__beneficiary__enrollments__program_id=disbursement.program_id
        ).values_list("pk", "payment__beneficiary__enrollments__reference")
    )
    return [
        Slip(
            row.pk, references.get(row.pk, ""), codes[row.pk], row.amount_minor, row.currency, row.expires_at
        )
        for row in rows
    ]


def redeem(*, by: User, program_id: int, code: str, now: datetime | None = None) -> Voucher:
    """Take a voucher's code for its money, as a paying agent of the program; what it pays has arrived with that.

    Raises NotFound, RoleMissing, CodeMistyped, VoucherGone with what became of it, SamePersonTwice for who printed it,
    VoucherRefused for a code that no voucher of the program has, which is counted, DeskLocked after too many of these, and
    EngineStopped: then nothing is counted.
    Call it outside a database transaction: what is counted stays when the refusal goes out.
    """
    authority.require(user=by, program_id=program_id, roles=(Role.AGENT,))
    guard.require_runs()
    plain = voucher_codes.read(code)
    now = now or timezone.now()
    with transaction.atomic():
        desk = _desk(by, program_id, now)
        if desk.locked_until is not None and desk.locked_until > now:
            raise DeskLocked(
                f"Too many codes were wrong; this desk opens again at {desk.locked_until:%H:%M} UTC.",
                until=desk.locked_until.isoformat(),
            )
        list_id = _list_with(program_id, plain)
        if list_id is not None:
            return _pay(by, list_id, plain, now)
        _count(desk, by, now)
    raise VoucherRefused("No voucher of the program has this code.")


@transaction.atomic
def expire(disbursement_id: int, *, now: datetime | None = None) -> int:
    """Take back what nobody has redeemed of a list in time, some thousand vouchers at a time; return how many."""
    now = now or timezone.now()
    rows = Disbursement.objects.select_for_update(of=("self",), no_key=True).select_related("program")
    disbursement = rows.get(pk=disbursement_id)
    due = over(now).filter(payment__disbursement=disbursement).order_by("pk")
    found = list(due.select_for_update(of=("self",))[:AT_ONCE])
    for status in VOUCHER_LIVE:
        ids = [row.pk for row in found if row.status == status]
        if ids:
            move(
                Voucher.objects.filter(pk__in=ids),
                old=status,
                new=V.EXPIRED,
                expected=len(ids),
                ended_at=now,
            )
    if found:
        rail_legs.give_back(
            disbursement,
            [row.payment_id for row in found],
            key=f"vouchers:{found[0].pk}",
            source_ref=f"disbursement:{disbursement.pk}",
            at=now,
            actor="engine",
            note="Nobody redeemed it in time.",
            memo="Nobody redeemed it in time.",
        )
        reason = f"{len(found):,} vouchers"
        audit.record("voucher.expire", disbursement, scope=disbursement.program.scope, reason=reason)
    return len(found)


def over(now: datetime) -> QuerySet[Voucher]:
    """Return the vouchers whose term is over."""
    return Voucher.objects.filter(status__in=VOUCHER_LIVE, expires_at__lte=now)


def _keep_hashes(rows: Sequence[Voucher]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_voucher v SET code_hash = g.hash FROM unnest(%s::bigint[], %s::bytea[]) AS g(id, hash)"
            " WHERE v.id = g.id",
            [[row.pk for row in rows], [row.code_hash for row in rows]],
        )


def _list_with(program_id: int, plain: str) -> int | None:
    rows = Voucher.objects.filter(program_id=program_id, code_hash=voucher_codes.digest(plain))
    return rows.values_list("payment__disbursement_id", flat=True).first()


def _pay(by: User, list_id: int, plain: str, now: datetime) -> Voucher:
    # As everywhere: the list before what it pays.
    disbursement = Disbursement.objects.select_for_update(of=("self",), no_key=True).get(pk=list_id)
    row = Voucher.objects.select_for_update(of=("self",)).get(code_hash=voucher_codes.digest(plain))
    if row.status != V.ISSUED:
        raise VoucherGone(
            f"The voucher is {row.status}.",
            status=row.status,
            at=row.ended_at.isoformat() if row.ended_at else "",
        )
    if row.expires_at <= now:
        raise VoucherGone(f"The voucher has expired on {row.expires_at:%Y-%m-%d}.", status="expired")
    if row.issued_by_id == by.pk:
        raise SamePersonTwice("Who printed a voucher does not pay it out.")
    was = audit.digest(row)
    move(
        Voucher.objects.filter(pk=row.pk),
        old=V.ISSUED,
        new=V.REDEEMED,
        actor_id=by.pk,
        redeemed_by=by,
        ended_at=now,
    )
    rail_legs.settle(
        disbursement,
        [row.payment_id],
        key=f"voucher:{row.pk}",
        source_ref=f"voucher:{row.pk}",
        at=now,
        actor=by.get_username(),
        memo=f"Voucher {row.pk}",
    )
    audit.record("voucher.redeem", row, by=by, scope=f"program:{row.program_id}", before=was)
    row.refresh_from_db()
    return row


def _desk(by: User, program_id: int, now: datetime) -> VoucherDesk:
    """Return an agent's desk, locked: whoever types at two machines at once is counted once after the other."""
    VoucherDesk.objects.get_or_create(program_id=program_id, agent=by, defaults={"counted_from": now})
    return VoucherDesk.objects.select_for_update().get(program_id=program_id, agent=by)


def _count(desk: VoucherDesk, by: User, now: datetime) -> None:
    """Count a code that is none; too many within the window lock the desk."""
    is_new = desk.counted_from + WINDOW <= now
    misses = 1 if is_new else desk.misses + 1
    VoucherDesk.objects.filter(pk=desk.pk).update(
        misses=misses,
        counted_from=now if is_new else F("counted_from"),
        locked_until=now + LOCKED if misses >= MOST_MISSES else None,
    )
    audit.record("voucher.miss", desk, by=by, scope=f"program:{desk.program_id}")
