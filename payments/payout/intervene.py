"""Carries out what people agreed to: builds the tx, or lets a payout or a wallet go on, and says so in one commit."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from govpay.errors import Conflict, GovPayError
from ledger import audit
from payments import doorbell
from payments.models import Intervention, InterventionKind, Payout, PayoutTx, Wallet
from payments.models.history import move
from payments.onchain import node
from payments.payout import alarms, bump, child, guard, thaw, versions, void
from payments.payout.ports import FailPoint, LeaseLost
from payments.payout.store import PostgresStore
from payments.states import InterventionStatus, PayoutStatus

log = structlog.get_logger(__name__)
S = PayoutStatus
K = InterventionKind

# In which states of a payout each can be asked for, and carried out.
POSSIBLE: dict[str, tuple[str, ...]] = {
    K.BUMP: bump.BUMPABLE,
    K.CHILD: bump.BUMPABLE,
    K.VOID: void.VOIDABLE,
    K.THAW: (S.FROZEN,),
}
# What was looked at so long ago is not what would be built now: people look again.
VALID_FOR = timedelta(days=1)
OPEN = (InterventionStatus.PROPOSED, InterventionStatus.APPROVED)
_PREVIEWS: dict[str, Callable[[int, int, node.Node], dict[str, Any]]] = {
    K.CHILD: child.preview,
    K.VOID: void.preview,
}

# Writes what was planned, in a database transaction that holds the rows of wallet and payout, and the payout's lease.
Write = Callable[[Payout], PayoutTx | None]


class InterventionImpossible(Conflict):
    """What is asked for cannot be done in the present state."""

    code = "intervention_impossible"


class DearerThanApproved(Conflict):
    """It would cost more, or spend more, than what people looked at and agreed to."""

    code = "dearer_than_approved"


def require_possible(kind: str, payout: Payout) -> None:
    """Raise InterventionImpossible unless a payout in this state can be asked for it."""
    *others, last = POSSIBLE[kind]
    if payout.status not in POSSIBLE[kind]:
        raise InterventionImpossible(
            f"Payout {payout.pk} is {payout.status}; a {InterventionKind(kind).label.lower()} needs one that is"
            f" {', '.join(others)}{' or ' if others else ''}{last}.",
            kind=kind,
            status=payout.status,
            needed=list(POSSIBLE[kind]),
        )


def preview(
    kind: str, payout: Payout, feerate_sat_kvb: int, client: node.Node, *, over_pending: bool = False
) -> dict[str, Any]:
    """Return the figures of what would be built now. It asks the node: call it outside any database transaction."""
    require_possible(kind, payout)
    if kind == K.BUMP:
        shown = bump.preview(payout.pk, feerate_sat_kvb, client, over_pending=over_pending)
        return shown | {"over_pending": over_pending}
    if kind in _PREVIEWS:
        return _PREVIEWS[kind](payout.pk, feerate_sat_kvb, client)
    return {"problem": payout.problem, "status_after": thaw.target(payout)}


def preview_of_wallet(wallet: Wallet, client: node.Node) -> dict[str, Any]:
    """Return why a wallet is halted; raise while it is not, and guard.WalletHalted while the cause stands."""
    if wallet.halted_at is None:
        raise InterventionImpossible("The wallet is not halted.", kind=K.UNHALT.value)
    guard.check_wallet(wallet, client)
    return {
        "halt_code": wallet.halt_code,
        "halt_reason": wallet.halt_reason,
        "halted_at": wallet.halted_at.isoformat(),
    }


def carry_out(intervention_id: int, client: node.Node, *, failpoint: FailPoint) -> None:
    """Do what was agreed to, once; harmless to repeat, and to break off anywhere.

    Everything is looked at before the one database transaction that writes it all. What is refused there, or in it,
    fails the intervention and moves nothing else. Errors that pass (a node that does not answer) are raised, and it
    waits for the next ring.
    """
    found = (
        Intervention.objects.select_related("wallet__program", "payout")
        .filter(pk=intervention_id, status=InterventionStatus.APPROVED)
        .first()
    )
    if found is None:
        return
    try:
        if found.payout_id is None:
            _lift_halt(found, client, failpoint)
        elif found.kind in (K.BUMP, K.CHILD):
            _raise_fee(found, found.payout_id, client)
        else:
            _visit(found, found.payout_id, client, failpoint)
    except GovPayError as error:
        # A halt whose cause stands does not pass by waiting.
        if isinstance(error, node.NodeError) or (error.is_transient and found.payout_id is not None):
            raise
        fail(found, error.message)


def _raise_fee(found: Intervention, payout_id: int, client: node.Node) -> None:
    """Let the builders write the version; they take the lease, and this one's end is part of their commit."""

    def agree(version: PayoutTx) -> None:
        if not _is_approved(found):
            raise InterventionImpossible("Somebody else has carried it out, or given it up.")
        _require_no_dearer(found, version.fee_sat, _added_inputs(found, version))
        _finish(found, version)

    client.load_wallet(found.wallet.name)
    rate = found.feerate_sat_kvb or 0
    if found.kind == K.CHILD:
        version = child.build(payout_id, rate, client, then=agree)
    else:
        over_pending = bool(found.preview.get("over_pending"))
        version = bump.build(payout_id, rate, client, over_pending=over_pending, then=agree)
    doorbell.ring("advance", payout_id=version.payout_id)


def _added_inputs(found: Intervention, version: PayoutTx) -> set[str]:
    """Return what a version spends besides the inputs, or the change, of the version that people looked at."""
    old_txid = found.preview["old_txid"]
    old = PayoutTx.objects.get(txid=old_txid, payout__wallet=found.wallet_id)
    kept = {spent.outpoint for spent in versions.inputs_of(old)}
    spent = {spent.outpoint for spent in versions.inputs_of(version)}
    approved = {f"{coin['txid']}:{coin['vout']}" for coin in found.preview["added_inputs"]}
    return {str(outpoint) for outpoint in spent - kept if outpoint.txid != old_txid} - approved


def _visit(found: Intervention, payout_id: int, client: node.Node, failpoint: FailPoint) -> None:
    """Write it under the payout's lease; give way to a worker that has the payout, the sweep rings again."""
    store = PostgresStore()
    token = store.lease(payout_id)
    if token is None:
        return
    try:
        write = _prepare(found, payout_id, client)
        failpoint("K14-planned")
        with transaction.atomic():
            Wallet.objects.lock().get(pk=found.wallet_id)
            with store.fenced(payout_id, token) as payout:
                if not _is_approved(found):
                    return
                require_possible(found.kind, payout)
                version = write(payout)
                _finish(found, version)
        failpoint("K14")
    except LeaseLost:
        return
    finally:
        store.unlease(payout_id, token)
    doorbell.ring("advance", payout_id=payout_id)


def _prepare(found: Intervention, payout_id: int, client: node.Node) -> Write:
    """Look at the world, compare with what was approved, and return what writes it."""
    if found.kind == K.VOID:
        client.load_wallet(found.wallet.name)
        planned = void.prepare(payout_id, found.feerate_sat_kvb or 0, client)
        inputs = [str(spent.outpoint) for spent in planned.inputs]
        _require_no_dearer(found, planned.fee_sat, added=set(inputs) - set(found.preview["spent_inputs"]))
        return lambda payout: _void(found, payout, planned)

    def let_go(payout: Payout) -> None:
        thaw.thaw(payout, actor_id=found.decided_by_id, note=found.note)

    return let_go


def _require_no_dearer(found: Intervention, fee_sat: int, added: set[str]) -> None:
    shown = found.preview
    # A new child's preview gives the fee of parent and child together.
    is_new_child = found.kind == K.CHILD and shown["child_id"] is None
    approved_sat = shown["fee_added_sat" if is_new_child else "new_fee_sat"]
    if fee_sat > approved_sat or added:
        raise DearerThanApproved(
            f"It would cost {fee_sat} sat now and spend {len(added)} further coins; {approved_sat} sat were agreed to.",
            fee_sat=fee_sat,
            approved_sat=approved_sat,
            added_inputs=sorted(added),
        )


def _void(found: Intervention, payout: Payout, planned: void.Plan) -> PayoutTx:
    version = void.write(payout, planned)
    changes: dict[str, Any] = {"problem": "", "due_at": None, "attempts": 0}
    rows = Payout.objects.filter(pk=payout.pk, lease_token=payout.lease_token)
    if payout.status == S.VOIDING:
        # Given up already: this void only outbids the one before it.
        rows.update(**changes)
    else:
        move(
            rows,
            old=payout.status,
            new=S.VOIDING,
            actor_id=found.decided_by_id,
            note=found.note,
            **changes,
        )
    return version


def _lift_halt(found: Intervention, client: node.Node, failpoint: FailPoint) -> None:
    guard.check_wallet(found.wallet, client)
    failpoint("K14-planned")
    with transaction.atomic():
        wallet = Wallet.objects.lock().get(pk=found.wallet_id)
        if not _is_approved(found):
            return
        if wallet.halted_at is None or wallet.halted_at.isoformat() != found.preview["halted_at"]:
            raise InterventionImpossible(
                "The wallet is not halted for the reason that was looked at any more."
            )
        Wallet.objects.filter(pk=wallet.pk).update(halted_at=None, halt_code="", halt_reason="")
        alarms.clear(wallet.halt_code, subject="wallet", subject_id=wallet.pk, note=f"Lifted: {found.note}")
        _finish(found, None)
    failpoint("K14")
    doorbell.ring("sweep")


def _is_approved(found: Intervention) -> bool:
    """Lock the intervention and tell whether it still waits for the engine."""
    row = Intervention.objects.select_for_update(of=("self",)).get(pk=found.pk)
    return row.status == InterventionStatus.APPROVED


def _finish(found: Intervention, version: PayoutTx | None) -> None:
    was = audit.digest(found)
    move(
        Intervention.objects.filter(pk=found.pk),
        old=InterventionStatus.APPROVED,
        new=InterventionStatus.DONE,
        note=version.txid if version else "",
        version=version,
        failure="",
    )
    audit.record("intervention.finish", found, scope=found.wallet.program.scope, before=was)
    alarms.clear("intervention_failed", note=f"Intervention {found.pk} was carried out.", **_subject(found))


@transaction.atomic
def fail(found: Intervention, reason: str) -> None:
    """Give an open intervention up for a reason, with an alarm; nothing else is changed."""
    row = Intervention.objects.select_for_update(of=("self",)).get(pk=found.pk)
    if row.status not in OPEN:
        return
    log.warning("intervention_failed", intervention_id=row.pk, kind=row.kind, reason=reason)
    was = audit.digest(row)
    move(
        Intervention.objects.filter(pk=row.pk),
        old=row.status,
        new=InterventionStatus.FAILED,
        note=reason,
        failure=reason[:300],
    )
    scope = found.wallet.program.scope
    audit.record("intervention.fail", row, scope=scope, reason=reason, before=was)
    alarms.sound(
        "intervention_failed",
        program_id=found.wallet.program_id,
        message=f"{InterventionKind(row.kind).label} {row.pk} failed: {reason}",
        **_subject(found),
    )


def expire() -> None:
    """Give up what is open for too long, and what the payout's own way has overtaken."""
    overtaken = Q(pk__in=[])
    for kind, statuses in POSSIBLE.items():
        overtaken |= Q(kind=kind) & ~Q(payout__status__in=statuses)
    old = Q(proposed_at__lt=Now() - VALID_FOR)
    rows = Intervention.objects.filter(old | overtaken, status__in=OPEN).select_related(
        "wallet__program", "payout"
    )
    for found in rows.order_by("pk"):
        if found.payout is not None and found.payout.status not in POSSIBLE[found.kind]:
            fail(found, f"The payout is {found.payout.status} now.")
        else:
            fail(found, "It was not carried out within a day; look at the figures again.")


def _subject(found: Intervention) -> dict[str, Any]:
    if found.payout_id is None:
        return {"subject": "wallet", "subject_id": found.wallet_id}
    return {"subject": "payout", "subject_id": found.payout_id}
