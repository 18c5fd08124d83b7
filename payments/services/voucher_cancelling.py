"""Takes a voucher back: one person asks, another decides, and another voucher may stand in for it."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments.models import Disbursement, Role, Voucher, history
from payments.models.history import move
from payments.services import authority, rail_legs
from payments.states import VOUCHER_LIVE, StatusConflict, VoucherStatus

ASKERS, DECIDERS = (Role.OFFICER,), (Role.OFFICER, Role.APPROVER)


class CancelNotAsked(Conflict):
    """Nobody has asked for the voucher to be cancelled."""

    code = "cancel_not_asked"


class CancelAsked(Conflict):
    """Somebody has asked for it already; another person decides."""

    code = "cancel_asked"


@transaction.atomic
def ask(*, by: User, voucher_id: int, note: str, now: datetime | None = None) -> Voucher:
    """Ask, for a reason, for a voucher to be cancelled; it counts until another person has decided.

    Raises NotFound, RoleMissing, InvalidInput without a reason, StatusConflict for one that is over, CancelAsked.
    """
    row = _lock(by, voucher_id, ASKERS)
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    if row.cancel_asked_by_id is not None:
        raise CancelAsked("Somebody has asked for it already; another person decides.")
    was = audit.digest(row)
    Voucher.objects.filter(pk=row.pk).update(
        cancel_asked_by=by, cancel_asked_at=now or timezone.now(), cancel_note=note.strip()[:300]
    )
    audit.record(
        "voucher.ask_to_cancel", row, by=by, scope=f"program:{row.program_id}", reason=note, before=was
    )
    row.refresh_from_db()
    return row


@transaction.atomic
def cancel(*, by: User, voucher_id: int, is_replaced: bool, now: datetime | None = None) -> Voucher:
    """Cancel, as a second person, a voucher that somebody has asked for; return it, or what stands in for it.

    Without a replacement what it was to pay is void with that, and another list may pay it. Raises NotFound, RoleMissing,
    CancelNotAsked, SamePersonTwice, StatusConflict.
    """
    row = _lock(by, voucher_id, DECIDERS)
    if row.cancel_asked_by_id is None:
        raise CancelNotAsked("Nobody has asked for it.")
    if row.cancel_asked_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who asked for it must decide.")
    now, was = now or timezone.now(), audit.digest(row)
    move(
        Voucher.objects.filter(pk=row.pk),
        old=row.status,
        new=VoucherStatus.CANCELLED,
        actor_id=by.pk,
        note=row.cancel_note,
        cancelled_by=by,
        ended_at=now,
    )
    audit.record("voucher.cancel", row, by=by, scope=f"program:{row.program_id}", before=was)
    if is_replaced and row.expires_at > now:
        return _replace(row, by, now)
    disbursement = Disbursement.objects.select_related("program").get(pk=row.payment.disbursement_id)
    rail_legs.give_back(
        disbursement,
        [row.payment_id],
        key=f"voucher:{row.pk}",
        source_ref=f"voucher:{row.pk}",
        at=now,
        actor=by.get_username(),
        note=f"The voucher was cancelled: {row.cancel_note}"[:200],
        memo="The voucher was cancelled.",
    )
    row.refresh_from_db()
    return row


def _replace(row: Voucher, by: User, now: datetime) -> Voucher:
    made = Voucher.objects.create(
        program_id=row.program_id,
        payment_id=row.payment_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        made_at=now,
        expires_at=row.expires_at,
        replaces=row,
    )
    history.begin(made, reason="it stands in for one that was cancelled", actor_id=by.pk)
    audit.record("voucher.replace", made, by=by, scope=f"program:{row.program_id}")
    return made


def _lock(by: User, voucher_id: int, roles: tuple[str, ...]) -> Voucher:
    mine = Voucher.objects.filter(pk=voucher_id, program__memberships__user_id=by.pk)
    found = mine.values_list("program_id", "payment__disbursement_id").first()
    if found is None:
        raise NotFound("There is no such voucher in your programs.")
    program_id, list_id = found
    authority.require(user=by, program_id=program_id, roles=roles)
    Disbursement.objects.select_for_update(no_key=True).get(pk=list_id)
    row = Voucher.objects.select_for_update(of=("self",)).select_related("payment").get(pk=voucher_id)
    if row.status not in VOUCHER_LIVE:
        raise StatusConflict(f"The voucher is {row.status}.", subject="voucher", status=row.status)
    return row
