"""What came to the reserve and what for: one treasurer classes outputs, another confirms, and lots follow from it (R-27)."""

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from govpay.errors import Conflict, NotFound, SamePersonTwice
from ledger import audit
from ledger.models import Inflow
from ledger.treasury import movements
from ledger.treasury.lots import Movement, half_even
from payments.models import ClassedInflow, InflowClassing, Institution
from payments.prices import currency as currencies
from payments.reserve import ceiling, tasks
from payments.services import classing_rules, treasurers

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


class ClassingDecided(Conflict):
    """The classing was confirmed or withdrawn before."""

    code = "classing_decided"


class ClassingChanged(Conflict):
    """This is not what was classed: look again."""

    code = "classing_changed"


class InflowsGone(Conflict):
    """The block in which some of the outputs were seen left the chain meanwhile."""

    code = "inflows_gone"


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
    outputs = classing_rules.outputs_of(inflow_ids, kind)
    institution = classing_rules.institution_of(outputs)
    classing_rules.require_no_trust(institution, kind)
    plan = classing_rules.plan_of(plan_id, institution, kind)
    source = plan.funding_source if plan is not None else funding_source.strip()
    classing_rules.require_whole(kind, source, funding_source, plan, cost_minor, acquired_at)
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
    classing_rules.require_lawful(made, at=made.given_at)
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
    classing_rules.require_lawful(row, at=now)
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
