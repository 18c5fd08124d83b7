"""Chooses on which rail a list is paid, and takes it as far as it goes there once it is released (R-20)."""

from django.contrib.auth.models import User
from django.db import transaction

from govpay.errors import Conflict, GovPayError, InvalidInput
from ledger import audit
from payments.models import Disbursement, Payment, Rail, Role
from payments.payout import agreed, dispatch, guard
from payments.services import authority, disbursements, rail_files, vouchers
from payments.states import DisbursementStatus, StatusConflict


class RailNeedsMoney(Conflict):
    """The program owes satoshis; banks and paying agents pay money."""

    code = "rail_needs_money"


@transaction.atomic
def choose(*, by: User, disbursement_id: int, rail: str) -> Disbursement:
    """Say, as who made it, how a draft is paid, and its lines with it; in bitcoin unless somebody says so.

    Moving payments that are dead to another rail is this, of the draft that reissues them. Raises NotFound, RoleMissing,
    StatusConflict, InvalidInput for no rail, and RailNeedsMoney for a program that owes satoshis.
    """
    disbursement = disbursements.lock(by, disbursement_id, (Role.OFFICER,))
    if disbursement.made_by_id != by.pk:
        raise authority.RoleMissing("Only the officer who made the list may choose.", roles=["officer"])
    if rail not in Rail.values:
        raise InvalidInput.of("rail", "rail_unknown", f"A rail is one of {', '.join(Rail.values)}.")
    if disbursement.status != DisbursementStatus.DRAFT:
        raise StatusConflict(
            f"The disbursement is {disbursement.status}, not draft.",
            subject="disbursement",
            status=disbursement.status,
        )
    if rail != Rail.BITCOIN and disbursement.program.pays_sat:
        raise RailNeedsMoney(f"{disbursement.program.code} owes satoshis, which no bank and no agent pays.")
    was = audit.digest(disbursement)
    Disbursement.objects.filter(pk=disbursement.pk).update(rail=rail)
    Payment.objects.filter(disbursement=disbursement).update(rail=rail)
    audit.record("list.choose_rail", disbursement, by=by, scope=disbursement.program.scope, before=was)
    disbursement.refresh_from_db()
    return disbursement


def pay(disbursement_id: int) -> None:
    """Take a released list as far as it goes on its rail; harmless to repeat. What keeps it waiting stands on the list."""
    disbursement = Disbursement.objects.get(pk=disbursement_id)
    if disbursement.rail == Rail.BITCOIN:
        dispatch.seal(disbursement_id=disbursement_id)
        return
    if guard.is_stopped():
        return
    send = rail_files.send if disbursement.rail == Rail.BANK else vouchers.send
    try:
        send(disbursement_id)
    except GovPayError as error:
        Disbursement.objects.filter(pk=disbursement_id).update(problem=error.message[:300])
        if isinstance(error, agreed.ApprovalForged):
            agreed.alarm(error)
        return
    Disbursement.objects.filter(pk=disbursement_id).exclude(problem="").update(problem="")
