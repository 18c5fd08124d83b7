"""What a classing must be: outputs that can be classed, all fields that its kind needs, and within the law and its plan."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from govpay.errors import Conflict, InvalidInput
from ledger.models import Inflow, InflowKind
from ledger.models.inflow import ACQUIRED, VOLUNTARY
from ledger.models.lot import MOST_MINOR
from ledger.treasury import movements, trust
from payments.models import ClassedInflow, InflowClassing, Institution, PurchasePlan
from payments.models.inflow import MAX_SOURCE, MOST_OUTPUTS
from payments.prices import currency as currencies
from payments.reserve import ceiling

MOST_ERRORS = 100
COIN = 100_000_000
Wrong = tuple[str, str, str]


class PlanExceeded(Conflict):
    """The purchase is not what its plan allows; ``details['rule']`` says why.

    Rules: plan_not_approved, plan_over, plan_amount, plan_price.
    """

    code = "plan_exceeded"


def outputs_of(ids: Sequence[int], kind: str) -> list[Inflow]:
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


def institution_of(outputs: Sequence[Inflow]) -> Institution:
    """Return whose outputs they are; raise InvalidInput while nobody has said under which law it is."""
    scope = outputs[0].scope
    found = Institution.objects.filter(scope=scope).first()
    if found is None:
        message = f"Nobody has said under which law {scope} is: two security administrators set it up first."
        raise InvalidInput.of("inflow_ids", "unknown_institution", message)
    return found


def require_no_trust(institution: Institution, kind: str) -> None:
    """Raise InvalidInput where something would be acquired for a trust, whose lots go with its books."""
    if kind in ACQUIRED and trust.has_books(institution.scope):
        raise InvalidInput.of("kind", "lots_of_a_trust", movements.LOTS_OF_A_TRUST.format(institution.scope))


def plan_of(plan_id: int | None, institution: Institution, kind: str) -> PurchasePlan | None:
    """Return the plan of a purchase, and None of anything else; raise InvalidInput where that does not fit."""
    if (plan_id is None) == (kind == InflowKind.PURCHASE):
        raise InvalidInput.of("plan_id", "plan_of_purchases", "A purchase, and nothing else, names its plan.")
    if plan_id is None:
        return None
    found = PurchasePlan.objects.filter(pk=plan_id, institution=institution).first()
    if found is None:
        raise InvalidInput.of("plan_id", "unknown_plan", f"{institution} has no such plan.")
    return found


def require_whole(
    kind: str,
    source: str,
    given_source: str,
    plan: PurchasePlan | None,
    cost_minor: int | None,
    acquired_at: datetime | None,
) -> None:
    """Raise InvalidInput with each field that a classing of the kind lacks, or that is out of place."""
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


def require_lawful(row: InflowClassing, *, at: datetime) -> None:
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


def _error(row: int, code: str, message: str) -> dict[str, Any]:
    return {"row": row, "column": "inflow_ids", "code": code, "message": message}
