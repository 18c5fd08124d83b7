"""Submits, approves, rejects, releases and cancels disbursements; ``lists`` makes them."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from ledger.law import policy
from payments import doorbell, states
from payments.models import Disbursement, ManifestSignature, Payment, Rail, Role, Signer
from payments.models.history import move
from payments.payout import coins, failpoint, manifest, plan, screening
from payments.selectors import funds
from payments.selectors.funds import InsufficientFunds as InsufficientFunds
from payments.services import (
    approvals,
    authority,
    conversions,
    encumbrances,
    entitlements,
    policies,
    rail_lists,
    registry,
    reissues,
    rolling_caps,
    travel_rule,
)
from payments.states import DisbursementStatus, PaymentStatus, StatusConflict
from payments.trust import legs

MAX_ERRORS = 100


class NothingToPay(Conflict):
    """No line of the list is left."""

    code = "nothing_to_pay"


class ManifestChanged(Conflict):
    """The list is not the one that was agreed to."""

    code = "manifest_changed"


class ManifestUnsigned(Conflict):
    """The approver's key has not signed the manifest, and signers elsewhere ask for it."""

    code = "manifest_unsigned"


def get(*, user: User, disbursement_id: int) -> Disbursement:
    """Return a disbursement of a program the user belongs to; raise NotFound otherwise."""
    found = (
        Disbursement.objects.filter(pk=disbursement_id, program__memberships__user_id=user.pk)
        .select_related("program", "cycle")
        .distinct()
        .first()
    )
    if found is None:
        raise NotFound("There is no such disbursement in your programs.")
    return found


@transaction.atomic
def submit(*, by: User, disbursement_id: int, now: datetime | None = None) -> Disbursement:
    """Copy each person's current destination into the list, hold what a rule speaks against, fix what is agreed to.

    That is the manifest, the fee ceiling and the tier of approvals.

    Raises InvalidInput with one error a line whose person has no destination, whose amount is dust there or goes over a cap,
    and OverCap; nothing is submitted then. Only the officer who made the list may submit it.
    """
    disbursement = lock(by, disbursement_id, (Role.OFFICER,))
    if disbursement.made_by_id != by.pk:
        raise authority.RoleMissing("Only the officer who made the list may submit it.", roles=["officer"])
    now, was = now or timezone.now(), audit.digest(disbursement)
    if disbursement.status == DisbursementStatus.DRAFT:
        terms = policies.current(disbursement.program_id)
        rolling_caps.lock(disbursement, terms.caps)
        registry.lock_known()
        is_bitcoin = disbursement.rail == Rail.BITCOIN
        _copy_destinations(disbursement) if is_bitcoin else rail_lists.prepare(disbursement)
        rolling_caps.check_submission(disbursement, terms.caps, at=now)
        screening.screen(disbursement, now=now)
        disbursement.fee_reserved_sat = _fee_ceiling(disbursement) if is_bitcoin else 0
        disbursement.approval_tier = terms.tier_for(disbursement.total, unit=disbursement.program.unit)
        disbursement.manifest_hash = manifest.compute(disbursement)
    move(
        _row(disbursement),
        old=DisbursementStatus.DRAFT,
        new=DisbursementStatus.SUBMITTED,
        actor_id=by.pk,
        submitted_at=now,
        fee_reserved_sat=disbursement.fee_reserved_sat,
        approval_tier=disbursement.approval_tier,
        manifest_hash=disbursement.manifest_hash,
    )
    approvals.submit(disbursement, by=by, at=now)
    _record("list.submit", disbursement, by, was)
    failpoint.hit("K3")
    return get(user=by, disbursement_id=disbursement_id)


@transaction.atomic
def approve(
    *, by: User, disbursement_id: int, manifest_hash: bytes, group: str = "", now: datetime | None = None
) -> Disbursement:
    """Agree to exactly the list with this manifest hash (32 bytes); what a tier's last approver does reserves its funds.

    The allotment is encumbered with that. ``group`` says for which group, where the person is in several. Approvals that
    have expired are given anew to an approved list, whose funds are reserved already. Raises SamePersonTwice,
    ManifestChanged, InsufficientFunds with the figures, StatusConflict, and what approvals.approve does.
    """
    disbursement = lock(by, disbursement_id, (Role.APPROVER,))
    if by.pk == disbursement.made_by_id:
        raise SamePersonTwice("The officer who made a list cannot approve it.")
    now = now or timezone.now()
    is_renewal = disbursement.status == DisbursementStatus.APPROVED and approvals.missing(disbursement, now)
    if not is_renewal:
        _require_status(disbursement, DisbursementStatus.SUBMITTED)
    require_manifest(disbursement, manifest_hash)
    is_complete = approvals.approve(disbursement, by=by, group=group, at=now)
    if is_complete and not is_renewal:
        _reserve(disbursement, by, now)
        failpoint.hit("K4")
    else:
        _record("list.agree", disbursement, by, audit.digest(disbursement))
    return get(user=by, disbursement_id=disbursement_id)


def _reserve(disbursement: Disbursement, by: User, now: datetime) -> None:
    """Set aside what an approved list needs: coins of the wallet, and its part of the allotment."""
    entitlements.take_over(disbursement, by=by, at=now)
    # Lines may have been withdrawn since the list was made; they are neither owed nor paid.
    owed = disbursement.total - _cancelled(disbursement)
    if owed == 0:
        raise NothingToPay("Every line of the list was withdrawn.")
    # How many satoshis money is, is known when it is released; until then its fees alone are set aside.
    owed_sat = owed if disbursement.program.pays_sat else 0
    funds.require(disbursement.program_id, owed_sat, fees_sat=disbursement.fee_reserved_sat or 0)
    was = audit.digest(disbursement)
    move(
        _row(disbursement),
        old=DisbursementStatus.SUBMITTED,
        new=DisbursementStatus.APPROVED,
        actor_id=by.pk,
        approved_by_id=by.pk,
        approved_at=now,
    )
    encumbrances.hold(
        disbursement,
        amount=owed,
        at=now,
        actor=disbursement.made_by.get_username(),
        approver=by.get_username(),
    )
    _record("list.approve", disbursement, by, was)


@transaction.atomic
def reject(*, by: User, disbursement_id: int, note: str) -> Disbursement:
    """Refuse a submitted list for a reason; its people can be listed again."""
    disbursement = lock(by, disbursement_id, (Role.APPROVER,))
    if by.pk == disbursement.made_by_id:
        raise SamePersonTwice("The officer who made a list cannot reject it; withdraw it instead.")
    _close(disbursement, by, DisbursementStatus.REJECTED, note)
    return get(user=by, disbursement_id=disbursement_id)


@transaction.atomic
def release(
    *,
    by: User,
    disbursement_id: int,
    manifest_hash: bytes,
    quote_id: int | None = None,
    now: datetime | None = None,
) -> Disbursement:
    """Let the engine pay an approved list, after checking that it still hashes to what was approved, and book it as owed.

    A list of money is converted by the quote, which no other list was converted by and which still holds. Lines that a rule
    speaks against by now, or whose bitcoin a trust cannot take, are held, and the rest is paid. Where signers elsewhere must
    sign, the approver's key must have signed the manifest: without it they would refuse. Raises SamePersonTwice,
    ManifestChanged, ApprovalExpired, ApprovalForged, OverCap with the figures, StatusConflict, what conversions.choose and
    convert do, and policy.PolicyRefused where the law of the program's profile does not let the state pay in bitcoin on this
    day, or its travel rule asks for what nobody has said.
    """
    disbursement = lock(by, disbursement_id, (Role.RELEASER,))
    if by.pk in (disbursement.made_by_id, disbursement.approved_by_id):
        raise SamePersonTwice("Maker, approver and releaser must be three different people.")
    _require_status(disbursement, DisbursementStatus.APPROVED)
    now = now or timezone.now()
    if disbursement.rail == Rail.BITCOIN:
        policy.require(disbursement.program.policy_profile, policy.Rule.PAY_IN_BTC, at=now)
    rail_lists.require_payable(disbursement)
    require_manifest(disbursement, manifest_hash)
    conversions.choose(disbursement, quote_id, at=now)
    approvals.release(disbursement, by=by, at=now)
    caps = policies.current(disbursement.program_id).caps
    rolling_caps.lock(disbursement, caps)
    rolling_caps.check_release(disbursement, caps, at=now)
    reissues.require_final(Payment.objects.filter(disbursement=disbursement))
    _require_signature(disbursement, by)
    travel_rule.apply(disbursement, by=by, at=now)
    screening.screen(disbursement, now=now)
    was = audit.digest(Disbursement.objects.get(pk=disbursement.pk))
    converted = conversions.convert(disbursement)
    legs.take(disbursement, by=by, at=now, quote=disbursement.quote)
    move(
        _row(disbursement),
        old=DisbursementStatus.APPROVED,
        new=DisbursementStatus.RELEASED,
        actor_id=by.pk,
        released_by_id=by.pk,
        released_at=now,
        **converted,
    )
    entitlements.open_all(disbursement, at=now)
    assert disbursement.approved_by is not None
    people = {"actor": by.get_username(), "approver": disbursement.approved_by.get_username()}
    encumbrances.spend(disbursement, at=now, **people)
    conversions.book(disbursement, at=now, **people)
    _record("list.release", disbursement, by, was)
    doorbell.ring("seal", disbursement_id=disbursement.pk)
    return get(user=by, disbursement_id=disbursement_id)


@transaction.atomic
def cancel(*, by: User, disbursement_id: int, note: str, now: datetime | None = None) -> Disbursement:
    """Withdraw a list that was not released; what an approved list held of the allotment is free again."""
    disbursement = lock(by, disbursement_id, (Role.OFFICER, Role.APPROVER, Role.RELEASER))
    states.reason_of("disbursement", disbursement.status, DisbursementStatus.CANCELLED)
    was_approved = disbursement.status == DisbursementStatus.APPROVED
    if not was_approved and disbursement.made_by_id != by.pk:
        raise authority.RoleMissing("Only the officer who made the list may withdraw it.", roles=["officer"])
    left = disbursement.total - _cancelled(disbursement)
    _close(disbursement, by, DisbursementStatus.CANCELLED, note)
    if was_approved and left:
        encumbrances.free(
            disbursement,
            amount=left,
            key=f"decommitment:disbursement:{disbursement.pk}",
            source_ref=f"disbursement:{disbursement.pk}",
            at=now or timezone.now(),
            actor=by.get_username(),
        )
    return get(user=by, disbursement_id=disbursement_id)


def _record(act: str, disbursement: Disbursement, by: User, was: bytes | None, reason: str = "") -> None:
    audit.record(act, disbursement, by=by, scope=disbursement.program.scope, reason=reason, before=was)


def _row(disbursement: Disbursement) -> QuerySet[Disbursement]:
    return Disbursement.objects.filter(pk=disbursement.pk)


def hold_still(disbursement_id: int) -> None:
    """Lock a list until the database transaction ends, as every change of it does."""
    Disbursement.objects.select_for_update().get(pk=disbursement_id)


def lock(by: User, disbursement_id: int, roles: tuple[str, ...]) -> Disbursement:
    """Return a disbursement, locked until the database transaction ends; raise NotFound, RoleMissing."""
    disbursement = get(user=by, disbursement_id=disbursement_id)
    authority.require(user=by, program_id=disbursement.program_id, roles=roles)
    return (
        Disbursement.objects.select_for_update(of=("self",))
        .select_related("program", "cycle", "made_by", "approved_by")
        .get(pk=disbursement_id)
    )


def _require_status(disbursement: Disbursement, status: str) -> None:
    if disbursement.status != status:
        raise StatusConflict(
            f"The disbursement is {disbursement.status}, not {status}.",
            subject="disbursement",
            status=disbursement.status,
            needed=status,
        )


def require_manifest(disbursement: Disbursement, agreed: bytes) -> None:
    """Raise ManifestChanged unless the list in the database hashes to what was agreed to and what was submitted."""
    computed = manifest.compute(disbursement)
    if not (agreed == computed == bytes(disbursement.manifest_hash or b"")):
        raise ManifestChanged(
            "The list is not the one you looked at; open it again and compare.",
            given=agreed.hex(),
            computed=computed.hex(),
        )


def _require_signature(disbursement: Disbursement, releaser: User) -> None:
    signed = ManifestSignature.objects.filter(
        disbursement=disbursement, manifest_sha256=disbursement.manifest_hash
    )
    if signed.filter(key__user=releaser).exists():
        raise SamePersonTwice("Who signed the manifest as an approver cannot release the list.")
    # Signers elsewhere sign txs alone.
    if disbursement.rail != Rail.BITCOIN or disbursement.program.wallet.signer != Signer.PSBT:
        return
    assert disbursement.approved_by_id is not None
    if not signed.filter(key__user_id=disbursement.approved_by_id, key__retired_at=None).exists():
        raise ManifestUnsigned(
            "The approver has not signed the manifest with their key yet, and the signers pay nothing without it.",
            approved_by=disbursement.approved_by_id,
        )


def _close(disbursement: Disbursement, by: User, status: str, note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    old, was = disbursement.status, audit.digest(disbursement)
    move(_row(disbursement), old=old, new=status, actor_id=by.pk, note=note)
    act = "list.reject" if status == DisbursementStatus.REJECTED else "list.cancel"
    _record(act, disbursement, by, was, note)
    for line_status in (PaymentStatus.PENDING, PaymentStatus.HELD):
        lines = Payment.objects.filter(disbursement=disbursement, status=line_status)
        count = lines.count()
        if count:
            move(
                lines, old=line_status, new=PaymentStatus.CANCELLED, actor_id=by.pk, note=note, expected=count
            )


def _cancelled(disbursement: Disbursement) -> int:
    lines = Payment.objects.filter(disbursement=disbursement, status=PaymentStatus.CANCELLED)
    return lines.aggregate(total=Sum("amount"))["total"] or 0


def _copy_destinations(disbursement: Disbursement) -> None:
    """Copy everybody's current destination, or that of the trust they elected; refuse people without one and dust."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_payment p SET destination_id = d.id, script_pubkey = d.script_pubkey"
            " FROM payments_destination d"
            " WHERE p.disbursement_id = %s AND d.beneficiary_id = p.beneficiary_id AND d.is_current",
            [disbursement.pk],
        )
    legs.ask(disbursement, at=timezone.now())
    entitlements.set_aside(disbursement)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT line, CASE WHEN script_pubkey IS NULL THEN 'destination_missing' ELSE 'amount_dust' END"
            " FROM payments_payment p WHERE disbursement_id = %s AND NOT EXISTS (SELECT FROM payments_hold h"
            " WHERE h.payment_id = p.id AND h.rule = 'unclaimed' AND h.ended_at IS NULL)"
            " AND (script_pubkey IS NULL OR amount_sat <"
            " CASE length(script_pubkey) WHEN 22 THEN 294 WHEN 34 THEN 330 WHEN 23 THEN 540 ELSE 546 END)"
            " ORDER BY line LIMIT %s",
            [disbursement.pk, MAX_ERRORS],
        )
        wrong = cursor.fetchall()
    if wrong:
        messages = {
            "destination_missing": "This person has no address to be paid at.",
            "amount_dust": "The amount is below what the network relays to this kind of address.",
        }
        raise InvalidInput(
            f"{len(wrong)} lines or more cannot be paid as they are; nothing was submitted.",
            errors=[{"row": r, "column": "", "code": c, "message": messages[c]} for r, c in wrong],
        )


def _fee_ceiling(disbursement: Disbursement) -> int:
    """Return the most satoshis that fees may cost: every output and group at the ceiling rate."""
    program = disbursement.program
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(9 + length(script_pubkey)), 0) FROM payments_payment WHERE disbursement_id = %s",
            [disbursement.pk],
        )
        (output_vb,) = cursor.fetchone()
    return plan.fee_ceiling_sat(
        payment_count=disbursement.payment_count,
        output_vb=int(output_vb),
        group_max_payments=program.group_max_payments,
        group_max_vsize_vb=program.group_max_vsize_vb,
        terms=coins.terms(program.wallet, program.feerate_ceiling_sat_kvb),
    )
