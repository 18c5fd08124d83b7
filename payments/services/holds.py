"""Stops, resumes and withdraws single payments of a list, while the rest goes on."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from payments import doorbell
from payments.models import Disbursement, Hold, HoldRule, Payment, Role
from payments.models.history import move
from payments.models.hold import JUDGED
from payments.payout import agreed, alarms
from payments.services import authority, encumbrances, entitlements
from payments.states import DisbursementStatus, PaymentStatus

OFFICERS = (Role.OFFICER, Role.APPROVER, Role.RELEASER)


class PaymentSealed(Conflict):
    """The payment is in a payout; a signer may have seen it, so it cannot be stopped any more."""

    code = "payment_sealed"


class HoldStands(Conflict):
    """A rule that no officer may judge still speaks against the payment."""

    code = "hold_stands"


@transaction.atomic
def hold(*, by: User, payment_id: int, note: str) -> Payment:
    """Stop one payment for a stated reason; raise PaymentSealed once it is in a payout."""
    payment = _lock(by, payment_id)
    if payment.sent_at is not None:
        raise PaymentSealed(f"Payment {payment.pk} is on its way by {payment.rail} already.")
    if payment.payout_id is not None:
        raise PaymentSealed(f"Payment {payment.pk} is in payout {payment.payout_id} already.")
    _move(payment, by, PaymentStatus.PENDING, PaymentStatus.HELD, note, act="payment.hold")
    Hold.place([payment.pk], rule=HoldRule.OFFICER, note=note, by_id=by.pk)
    return Payment.objects.get(pk=payment_id)


@transaction.atomic
def hold_many(*, by: User, disbursement_id: int, payment_ids: Sequence[int], note: str) -> int:
    """Stop payments of one list, all or none, for a stated reason; return how many.

    As many statements for a thousand as for one. Raises InvalidInput with every payment that cannot be held, by its place.
    """
    program_id = Disbursement.objects.values_list("program_id", flat=True).filter(pk=disbursement_id).first()
    if program_id is None:
        raise NotFound("There is no such list in your programs.")
    authority.require(user=by, program_id=program_id, roles=OFFICERS)
    _require_note(note)
    # As in hold_still.
    of_these = Disbursement.objects.select_for_update(no_key=True).get(pk=disbursement_id)
    of_list = Payment.objects.filter(disbursement_id=disbursement_id, pk__in=payment_ids)
    found = {row.pk: row for row in of_list.order_by("pk").select_for_update(of=("self",))}
    errors = [
        {"row": row, "column": "payments", "code": code, "message": message}
        for row, pk in enumerate(payment_ids, start=1)
        for code, message in _obstacles(found.get(pk), is_repeated=pk in payment_ids[: row - 1])
    ]
    if errors:
        raise InvalidInput(
            f"No payment was held: {len(errors):,} of {len(payment_ids):,} cannot be.", errors=errors
        )
    move(
        Payment.objects.filter(pk__in=found),
        old=PaymentStatus.PENDING,
        new=PaymentStatus.HELD,
        actor_id=by.pk,
        note=note,
        expected=len(found),
        locked_ids=sorted(found),
    )
    Hold.place(sorted(found), rule=HoldRule.OFFICER, note=note, by_id=by.pk)
    audit.record("disbursement.hold", of_these, by=by, scope=f"program:{program_id}", reason=note)
    return len(found)


def _obstacles(payment: Payment | None, *, is_repeated: bool) -> Iterator[tuple[str, str]]:
    """Yield the first reason, if any, why a payment of a list cannot be held."""
    if payment is None:
        yield "payment_unknown", "The list has no such payment."
    elif is_repeated:
        yield "payment_repeated", "The payment is named twice."
    elif payment.sent_at is not None:
        yield PaymentSealed.code, f"The payment is on its way by {payment.rail} already."
    elif payment.payout_id is not None:
        yield PaymentSealed.code, f"The payment is in payout {payment.payout_id} already."
    elif payment.status != PaymentStatus.PENDING:
        yield "status_conflict", f"The payment is {payment.status}."


@transaction.atomic
def resume(*, by: User, payment_id: int, note: str) -> Payment:
    """Let a held payment go on; a second person must say so, and for a rule's hold not the one who made the list.

    Raises HoldStands while a rule holds it that ends by itself or on appeal.
    """
    payment = _lock(by, payment_id)
    _require_second_person(payment, by)
    _require_judged(payment, by)
    _move(payment, by, PaymentStatus.HELD, PaymentStatus.PENDING, note, act="payment.resume")
    _end(payment, by)
    if payment.disbursement.status == DisbursementStatus.RELEASED:
        doorbell.ring("seal", disbursement_id=payment.disbursement_id)
    return Payment.objects.get(pk=payment_id)


@transaction.atomic
def withdraw(*, by: User, payment_id: int, note: str) -> Payment:
    """Take a held payment out of its list for good, and free what was held or owed for it; a second person must say so."""
    payment = _lock(by, payment_id)
    _require_second_person(payment, by)
    # What the release converted of it is written with that, for whoever adds up what was taken back.
    found = agreed.converted(payment, payment.disbursement.quote)
    written: dict[str, Any] = (
        {} if found is None else {"amount_sat": found.amount_sat, "remainder_minor": found.remainder_minor}
    )
    _move(payment, by, PaymentStatus.HELD, PaymentStatus.CANCELLED, note, act="payment.withdraw", **written)
    _end(payment, by)
    entitlements.withdraw(payment, by=by, at=timezone.now())
    if payment.disbursement.status in (DisbursementStatus.APPROVED, DisbursementStatus.RELEASED):
        encumbrances.free(
            payment.disbursement,
            amount=payment.amount,
            converted=found,
            key=f"decommitment:payment:{payment.pk}",
            source_ref=f"payment:{payment.pk}",
            at=timezone.now(),
            actor=by.get_username(),
        )
        doorbell.ring("follow")
    return Payment.objects.get(pk=payment_id)


def _lock(by: User, payment_id: int) -> Payment:
    """Lock the payment and, before it, its disbursement, so that it cannot be released or closed meanwhile."""
    found = Payment.objects.filter(
        pk=payment_id, disbursement__program__memberships__user_id=by.pk
    ).values_list("disbursement_id", "disbursement__program_id")
    row = found.first()
    if row is None:
        raise NotFound("There is no such payment in your programs.")
    _, program_id = row
    authority.require(user=by, program_id=program_id, roles=OFFICERS)
    return hold_still(payment_id)


def hold_still(payment_id: int) -> Payment:
    """Lock a payment's list, and then the payment, until the database transaction ends."""
    disbursement_id = Payment.objects.values_list("disbursement_id", flat=True).get(pk=payment_id)
    # Sealing holds payments and then refers to their list: a lock that forbids references would be a deadlock.
    Disbursement.objects.select_for_update(no_key=True).get(pk=disbursement_id)
    return (
        Payment.objects.select_for_update(of=("self",))
        .select_related("disbursement__program")
        .get(pk=payment_id)
    )


def _require_second_person(payment: Payment, by: User) -> None:
    if payment.holds.filter(ended_at=None, placed_by=by).exists():
        raise SamePersonTwice("Somebody else than the person who held the payment must decide.")


def _require_judged(payment: Payment, by: User) -> None:
    rules = set(payment.holds.filter(ended_at=None).values_list("rule", flat=True))
    standing = sorted(rules.difference(JUDGED))
    if standing:
        raise HoldStands(
            f"What holds the payment is not for an officer to judge: {', '.join(standing)}.", rules=standing
        )
    if (
        rules.intersection((HoldRule.DESTINATION_SHARED, HoldRule.TITLE_MISMATCH))
        and payment.disbursement.made_by_id == by.pk
    ):
        raise SamePersonTwice(
            "Somebody else than the person who made the list must judge what a rule has held."
        )


def _end(payment: Payment, by: User) -> None:
    payment.holds.filter(ended_at=None).update(ended_by=by, ended_at=timezone.now())


def _require_note(note: str) -> None:
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")


def _move(payment: Payment, by: User, old: str, new: str, note: str, *, act: str, **changes: Any) -> None:
    _require_note(note)
    was = audit.digest(payment)
    move(Payment.objects.filter(pk=payment.pk), old=old, new=new, actor_id=by.pk, note=note, **changes)
    scope = payment.disbursement.program.scope
    audit.record(act, payment, by=by, scope=scope, reason=note, before=was)
    if old == PaymentStatus.HELD:
        alarms.clear("payment_refused", subject="payment", subject_id=payment.pk, note=note)
