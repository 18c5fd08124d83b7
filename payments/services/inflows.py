"""What came to the reserve and what for: one treasurer classes outputs, another confirms, and lots follow from it (R-27)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound, SamePersonTwice
from ledger import audit
from ledger.models import Inflow, InflowKind
from ledger.models.inflow import ACQUIRED, VOLUNTARY
from ledger.models.lot import MOST_MINOR
from ledger.treasury import movements
from ledger.treasury.lots import Movement, half_even
from payments.models import ClassedInflow, InflowClassing, Institution, PurchasePlan
from payments.models.inflow import MAX_SOURCE, MOST_OUTPUTS
from payments.prices import currency as currencies
from payments.reserve import ceiling, tasks
from payments.services import treasurers

MOST_ERRORS = 100
COIN = 100_000_000
BATCH = 1_000
# One statement for all outputs of a classing.
RECORD = """
INSERT INTO ledger_inflowclass (txid, vout, kind, funding_source, effective_at, reference, lot_reference,
    classed_by_id, confirmed_by_id)
SELECT i.txid, i.vout, c.kind, c.funding_source, coalesce(c.acquired_at, s.block_at), 'classing:' || c.id,
    CASE WHEN c.cost_minor IS NULL THEN '' ELSE 'inflow:' || i.id END, c.given_by_id, c.confirmed_by_id
FROM payments_inflowclassing c
JOIN payments_classedinflow o ON o.classing_id = c.id
JOIN ledger_inflow i ON i.id = o.inflow_id
JOIN ledger_reservescan s ON s.id = i.scan_id
WHERE c.id = %s ORDER BY i.id
"""
Wrong = tuple[str, str, str]


class ClassingDecided(Conflict):
    """The classing was confirmed or withdrawn before."""

    code = "classing_decided"


class ClassingChanged(Conflict):
    """This is not what was classed: look again."""

    code = "classing_changed"


class InflowsGone(Conflict):
    """The block in which some of the outputs were seen left the chain meanwhile."""

    code = "inflows_gone"


class PlanExceeded(Conflict):
    """The purchase is not what its plan allows; ``details['rule']`` says why.

    Rules: plan_not_approved, plan_over, plan_amount, plan_price.
    """

    code = "plan_exceeded"


@transaction.atomic
def give(
    *,
    by: User,
    inflow_ids: Sequence[int],
    kind: str,
    note: str,
    funding_source: str = "",
    plan_id: int | None = None,
    cost_minor: int | None = None,
    acquired_at: datetime | None = None,
) -> InflowClassing:
    """Say what outputs of one institution came for; it counts once another treasurer has confirmed it.

    What is acquired (purchase, mining, forfeiture, donation) has a cost in minor units of the institution's currency,
    which may be zero, and a time. A purchase names the plan under which it was bought, whose funding source is its own.

    Raises RoleMissing, InvalidInput with each row (a place in ``inflow_ids``) and rule, PolicyRefused with the law where the
    class is blocked, PlanExceeded.
    """
    treasurers.require(by)
    treasurers.require_note(note)
    _lock_institution(inflow_ids)
    outputs = _outputs(inflow_ids, kind)
    institution = _institution(outputs)
    plan = _plan(plan_id, institution, kind)
    source = plan.funding_source if plan is not None else funding_source.strip()
    _require_whole(kind, source, funding_source, plan, cost_minor, acquired_at)
    made = InflowClassing(
        institution=institution,
        kind=kind,
        funding_source=source,
        plan=plan,
        output_count=len(outputs),
        amount_sat=sum(each.amount_sat for each in outputs),
        cost_minor=cost_minor,
        acquired_at=acquired_at,
        note=note.strip(),
        given_by=by,
        given_at=timezone.now(),
    )
    _require_lawful(made, at=made.given_at)
    made.save()
    ClassedInflow.objects.bulk_create(
        (ClassedInflow(classing=made, inflow=each) for each in outputs), batch_size=BATCH
    )
    audit.record("inflow.class", made, by=by, scope=institution.scope, reason=made.note)
    return made


@transaction.atomic
def confirm(*, by: User, classing_id: int, amount_sat: int) -> InflowClassing:
    """Agree, as another treasurer, to what outputs came for, over the satoshis that one has seen; lots are recorded then.

    What is acquired is recorded as one acquisition an output, so that each lot leads to the output that arrived; for that
    one needs the right to record lots. Raises RoleMissing, NotFound, SamePersonTwice, ClassingDecided, ClassingChanged,
    InflowsGone, and what `give` and ``movements.record`` refuse: then nothing is booked.
    """
    treasurers.require(by)
    row = _lock(classing_id)
    if row.given_by_id == by.pk:
        raise SamePersonTwice("Somebody else than the person who classed the outputs must confirm it.")
    if amount_sat != row.amount_sat:
        raise ClassingChanged("This is not what the outputs add up to; look again.")
    outputs = list(Inflow.objects.standing().filter(pk__in=row.outputs.values("inflow")).order_by("pk"))
    if len(outputs) != row.output_count:
        raise InflowsGone(
            "The block of some of these outputs left the chain; withdraw it, and class them anew."
        )
    now = timezone.now()
    _require_lawful(row, at=now)
    was = audit.digest(row)
    row.confirmed_by, row.confirmed_at = by, now
    row.save(update_fields=["confirmed_by", "confirmed_at"])
    row.outputs.update(is_open=False)
    with connection.cursor() as cursor:
        cursor.execute(RECORD, [row.pk])
    audit.record("inflow.confirm_class", row, by=by, scope=row.institution.scope, before=was)
    if row.cost_minor is not None:
        currency = row.institution.currency
        movements.record(
            by=by,
            scope=row.institution.scope,
            currency=currency,
            scale=currencies.scale(currency),
            movements=_lots(row, outputs),
        )
    tasks.tell(now)
    return row


@transaction.atomic
def withdraw(*, by: User, classing_id: int, note: str) -> InflowClassing:
    """Take a classing back, for a reason, that nobody has confirmed; any treasurer may. Raises as `confirm`."""
    treasurers.require(by)
    row = _lock(classing_id)
    treasurers.require_note(note)
    was = audit.digest(row)
    row.withdrawn_by, row.withdrawn_at = by, timezone.now()
    row.save(update_fields=["withdrawn_by", "withdrawn_at"])
    row.outputs.update(is_open=False)
    audit.record("inflow.withdraw_class", row, by=by, scope=row.institution.scope, reason=note, before=was)
    return row


def _lock_institution(ids: Sequence[int]) -> None:
    """Lock the institution of the first output before any is looked at: all are of one, or it is refused."""
    found = Institution.objects.filter(
        scope__in=Inflow.objects.filter(pk__in=ids[:1]).values("scope")
    ).first()
    if found is not None:
        ceiling.lock(found)


def _outputs(ids: Sequence[int], kind: str) -> list[Inflow]:
    """Return the outputs in order; raise InvalidInput with the row of each that is none, waits already, or has a lot."""
    if not 0 < len(ids) <= MOST_OUTPUTS:
        raise InvalidInput.of(
            "inflow_ids", "rows_out_of_range", f"Class 1 to {MOST_OUTPUTS:,} outputs at once."
        )
    found: dict[int, Any] = {
        row.pk: row for row in Inflow.objects.standing().classed().filter(pk__in=ids).order_by("pk")
    }
    open_ones = ClassedInflow.objects.filter(inflow__in=found, is_open=True)
    waiting = dict(open_ones.values_list("inflow_id", "classing_id"))
    errors, seen = [], set()
    for place, pk in enumerate(ids, start=1):
        if pk not in found:
            errors.append(
                _error(place, "unknown_inflow", f"There is no output {pk} that a scan which stands found.")
            )
        elif pk in seen:
            errors.append(_error(place, "inflow_twice", f"Output {pk} is there twice."))
        elif pk in waiting:
            errors.append(
                _error(place, "inflow_waits", f"Output {pk} waits in classing {waiting[pk]} already.")
            )
        elif found[pk].lot_reference:
            text = f"Output {pk} is recorded as the lot {found[pk].lot_reference}, which stays."
            errors.append(_error(place, "inflow_booked", text))
        elif kind in ACQUIRED and not found[pk].amount_sat:
            errors.append(_error(place, "nothing_acquired", f"Output {pk} has no satoshis."))
        elif ids[0] in found and found[pk].scope != found[ids[0]].scope:
            errors.append(_error(place, "institutions_differ", f"Output {pk} is of {found[pk].scope}."))
        seen.add(pk)
    if errors:
        raise InvalidInput(str(errors[0]["message"]), errors=errors[:MOST_ERRORS])
    return list(found.values())


def _institution(outputs: Sequence[Inflow]) -> Institution:
    scope = outputs[0].scope
    found = Institution.objects.filter(scope=scope).first()
    if found is None:
        message = f"Nobody has said under which law {scope} is: two security administrators set it up first."
        raise InvalidInput.of("inflow_ids", "unknown_institution", message)
    return found


def _plan(plan_id: int | None, institution: Institution, kind: str) -> PurchasePlan | None:
    if (plan_id is None) == (kind == InflowKind.PURCHASE):
        raise InvalidInput.of("plan_id", "plan_of_purchases", "A purchase, and nothing else, names its plan.")
    if plan_id is None:
        return None
    found = PurchasePlan.objects.filter(pk=plan_id, institution=institution).first()
    if found is None:
        raise InvalidInput.of("plan_id", "unknown_plan", f"{institution} has no such plan.")
    return found


def _require_whole(
    kind: str,
    source: str,
    given_source: str,
    plan: PurchasePlan | None,
    cost_minor: int | None,
    acquired_at: datetime | None,
) -> None:
    wrong: list[Wrong] = []
    if not 0 < len(source) <= MAX_SOURCE:
        text = f"Name whose money it is, or whose bitcoin it was, in {MAX_SOURCE} characters at most."
        wrong.append(("funding_source", "missing", text))
    if plan is not None and given_source.strip() not in ("", plan.funding_source):
        text = f"The plan is funded by {plan.funding_source}."
        wrong.append(("funding_source", "source_of_plan", text))
    if kind in ACQUIRED:
        if cost_minor is None:
            wrong.append(("cost_minor", "missing", "Say what it cost in minor units; it may be 0."))
        elif not 0 <= cost_minor <= MOST_MINOR:
            wrong.append(("cost_minor", "out_of_range", f"Give 0 to {MOST_MINOR} minor units."))
        if acquired_at is None:
            wrong.append(("acquired_at", "missing", "Say when it was acquired."))
        elif acquired_at < movements.FIRST:
            wrong.append(
                ("acquired_at", "date_too_early", f"There is no bitcoin before {movements.FIRST:%Y-%m-%d}.")
            )
        elif acquired_at > timezone.now():
            wrong.append(("acquired_at", "date_to_come", "It has not happened yet."))
    elif cost_minor is not None or acquired_at is not None:
        text = "What is moved, or held for a client, is not acquired: it has no cost and no time of its own."
        wrong.append(("cost_minor", "out_of_place", text))
    if wrong:
        raise InvalidInput.of_each(wrong)


def _require_lawful(row: InflowClassing, *, at: datetime) -> None:
    """Raise PolicyRefused where the law blocks it, PlanExceeded where the plan does not allow it."""
    if row.plan is not None:
        _require_plan(row, row.plan)
        # While the plan stands, what it leaves is counted as planned.
        is_planned = row.plan.ends_at > at
        ceiling.require(row.institution, 0 if is_planned else row.amount_sat, at=at)
    elif row.kind in VOLUNTARY:
        ceiling.require(row.institution, row.amount_sat, at=at)


def _require_plan(row: InflowClassing, plan: PurchasePlan) -> None:
    if plan.state != "approved":
        raise _exceeded(plan, "plan_not_approved", f"{plan} is {plan.state}, not approved.".capitalize())
    assert row.acquired_at is not None
    assert row.cost_minor is not None
    assert plan.approved_at is not None
    if not plan.approved_at <= row.acquired_at < plan.ends_at:
        text = (
            f"It was not bought between the plan's approval, {plan.approved_at}, and its end, {plan.ends_at}."
        )
        raise _exceeded(plan, "plan_over", text)
    left_sat = ceiling.with_left(PurchasePlan.objects.filter(pk=plan.pk)).get().left_sat
    if row.amount_sat > left_sat:
        raise _exceeded(
            plan, "plan_amount", f"The plan has {left_sat} sat left, and this is {row.amount_sat} sat."
        )
    scale = currencies.scale(plan.currency)
    # cost / amount <= price, in integers and the decimals of the price.
    if row.cost_minor * COIN > plan.limit_price * row.amount_sat * 10**scale:
        text = (
            f"It cost more than {plan.limit_price.normalize():f} {plan.currency} a bitcoin, the plan's limit."
        )
        raise _exceeded(plan, "plan_price", text)


def _exceeded(plan: PurchasePlan, rule: str, message: str) -> PlanExceeded:
    return PlanExceeded(message, rule=rule, plan_id=plan.pk)


def _lots(row: InflowClassing, outputs: Sequence[Inflow]) -> list[Movement]:
    """Return an acquisition an output; the parts of the cost add up to the whole."""
    assert row.acquired_at is not None
    assert row.cost_minor is not None
    found, before_sat, before_minor = [], 0, 0
    for each in outputs:
        before_sat += each.amount_sat
        upto_minor = half_even(row.cost_minor * before_sat, row.amount_sat)
        found.append(
            Movement(row.acquired_at, True, each.amount_sat, upto_minor - before_minor, f"inflow:{each.pk}")
        )
        before_minor = upto_minor
    return found


def _lock(classing_id: int) -> InflowClassing:
    """Lock the institutions under the law, as whoever adds does, and then the classing."""
    institution = Institution.objects.filter(classings=classing_id).first()
    if institution is None:
        raise NotFound("There is no such classing.")
    ceiling.lock(institution)
    rows = InflowClassing.objects.select_for_update(of=("self",)).select_related("institution", "plan")
    row = rows.get(pk=classing_id)
    if row.state != "given":
        raise ClassingDecided(f"The classing is {row.state} already.", state=row.state)
    return row


def _error(row: int, code: str, message: str) -> dict[str, Any]:
    return {"row": row, "column": "inflow_ids", "code": code, "message": message}
