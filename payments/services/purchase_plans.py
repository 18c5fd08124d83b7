"""Plans to buy bitcoin: one treasurer proposes, another approves, and the law's ceiling is asked both times (R-27)."""

from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from ledger.models.lot import MOST_SAT
from payments.models import Institution, PurchasePlan
from payments.models.inflow import MAX_SOURCE
from payments.prices import reading
from payments.reserve import ceiling
from payments.services import treasurers


class PlanDecided(Conflict):
    """The plan was approved or ended before."""

    code = "plan_decided"


class PlanChanged(Conflict):
    """This is not the plan that was proposed: look again."""

    code = "plan_changed"


@transaction.atomic
def propose(
    *,
    by: User,
    institution_id: int,
    amount_sat: int,
    limit_price: str,
    funding_source: str,
    ends_at: datetime,
    note: str,
) -> PurchasePlan:
    """Ask that an institution may buy so many satoshis until a time, at ``limit_price`` a bitcoin at most, fees included.

    Another treasurer approves it. Raises RoleMissing, InvalidInput, and PolicyRefused with the law where it would be above
    the ceiling, all that was added and planned before counted, InstitutionFull above the institution's own cap.
    """
    treasurers.require(by)
    institution = _institution(institution_id)
    now = timezone.now()
    price = _read(amount_sat, limit_price, funding_source, ends_at, now)
    treasurers.require_note(note)
    ceiling.lock(institution)
    ceiling.require(institution, amount_sat, at=now)
    ceiling.require_cap(institution, amount_sat, at=now)
    made = PurchasePlan.objects.create(
        institution=institution,
        amount_sat=amount_sat,
        currency=institution.currency,
        limit_price=price,
        funding_source=funding_source.strip(),
        ends_at=ends_at,
        note=note.strip(),
        proposed_by=by,
        proposed_at=now,
    )
    audit.record("purchase_plan.propose", made, by=by, scope=institution.scope, reason=made.note)
    return made


@transaction.atomic
def approve(*, by: User, plan_id: int, amount_sat: int) -> PurchasePlan:
    """Agree, as another treasurer, to a plan over the amount that one has seen; the ceiling is asked again.

    Raises RoleMissing, NotFound, SamePersonTwice, PlanDecided, PlanChanged, PolicyRefused.
    """
    treasurers.require(by)
    row = _lock(plan_id)
    if row.proposed_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who proposed the plan must approve it.")
    now = timezone.now()
    if row.state != "proposed" or row.ends_at <= now:
        raise PlanDecided(
            f"The plan is {row.state if row.ends_at > now else 'over'} already.", state=row.state
        )
    if amount_sat != row.amount_sat:
        raise PlanChanged("This is not the amount of the plan; look again.")
    ceiling.require(row.institution, row.amount_sat, at=now)
    ceiling.require_cap(row.institution, row.amount_sat, at=now)
    was = audit.digest(row)
    row.approved_by, row.approved_at = by, now
    row.save(update_fields=["approved_by", "approved_at"])
    audit.record("purchase_plan.approve", row, by=by, scope=row.institution.scope, before=was)
    return row


@transaction.atomic
def end(*, by: User, plan_id: int, note: str) -> PurchasePlan:
    """End a plan for a reason, approved or not; one treasurer is enough, because less is bought.

    Raises RoleMissing, NotFound, PlanDecided, InvalidInput without a reason.
    """
    treasurers.require(by)
    row = _lock(plan_id)
    if row.state == "ended":
        raise PlanDecided("The plan is ended already.", state=row.state)
    treasurers.require_note(note)
    was = audit.digest(row)
    row.ended_by, row.ended_at = by, timezone.now()
    row.save(update_fields=["ended_by", "ended_at"])
    audit.record("purchase_plan.end", row, by=by, scope=row.institution.scope, reason=note, before=was)
    return row


def _lock(plan_id: int) -> PurchasePlan:
    """Lock the institutions under the plan's law, as whoever adds does, and then the plan."""
    institution = Institution.objects.filter(plans=plan_id).first()
    if institution is None:
        raise NotFound("There is no such plan.")
    ceiling.lock(institution)
    rows = PurchasePlan.objects.select_for_update(of=("self",)).select_related("institution")
    return rows.get(pk=plan_id)


def _institution(institution_id: int) -> Institution:
    found = Institution.objects.filter(pk=institution_id).first()
    if found is None:
        raise InvalidInput.of("institution_id", "unknown_institution", "There is no such institution.")
    return found


def _read(amount_sat: int, limit_price: str, source: str, ends_at: datetime, now: datetime) -> Decimal:
    wrong = []
    price = Decimal(0)
    if not 1 <= amount_sat <= MOST_SAT:
        wrong.append(("amount_sat", "out_of_range", f"Give 1 to {MOST_SAT} satoshis."))
    try:
        price = reading.price(limit_price)
    except reading.Unreadable as error:
        wrong.append(("limit_price", error.fault, error.message))
    if not 0 < len(source.strip()) <= MAX_SOURCE:
        wrong.append(
            ("funding_source", "missing", f"Name whose money it is, in {MAX_SOURCE} characters at most.")
        )
    if ends_at <= now:
        wrong.append(("ends_at", "date_over", "The plan would be over already."))
    if wrong:
        raise InvalidInput.of_each(wrong)
    return price
