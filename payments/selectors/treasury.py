"""Reads what people and the law say of the reserve: institutions and their exposure, inflows, classings, plans, proofs."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from ledger.models import Inflow
from payments.models import InflowClassing, Institution, Membership, PurchasePlan, ReserveProof
from payments.reserve import ceiling, exposure
from payments.reserve.exposure import Exposure, Float
from payments.selectors import prices


def institutions() -> QuerySet[Institution]:
    """Return every institution."""
    return Institution.objects.order_by("-pk")


def exposure_of(institution: Institution) -> Exposure:
    """Return what an institution holds and risks now, and the room that its law leaves."""
    return next(row for row in exposure.exposures(timezone.now()) if row.institution.pk == institution.pk)


def floats(user: Any) -> list[Float]:
    """Return the payment float of the programs that the user reads."""
    mine = set(Membership.objects.reading(user, *prices.READERS).values_list("program_id", flat=True))
    return [each for each in exposure.floats() if each.program.pk in mine]


def inflows() -> QuerySet[Any]:
    """Return every output that a scan which stands found, with its newest class."""
    rows: QuerySet[Any] = Inflow.objects.standing().classed()
    return rows.select_related("scan").order_by("-pk")


def classings() -> QuerySet[InflowClassing]:
    """Return every classing with its people."""
    people = ("institution", "plan", "given_by", "confirmed_by", "withdrawn_by")
    return InflowClassing.objects.select_related(*people).order_by("-pk")


def outputs_of(classing: InflowClassing) -> QuerySet[Any]:
    """Return the outputs of a classing, those of blocks that left the chain among them."""
    rows: QuerySet[Any] = Inflow.objects.classed()
    return rows.filter(pk__in=classing.outputs.values("inflow")).select_related("scan").order_by("pk")


def plans() -> QuerySet[Any]:
    """Return every plan with its people, what was bought under it, and what is left."""
    people = ("institution", "proposed_by", "approved_by", "ended_by")
    return ceiling.with_left(PurchasePlan.objects.select_related(*people)).order_by("-pk")


def proofs() -> QuerySet[ReserveProof]:
    """Return every proof with its people and its scan."""
    return ReserveProof.objects.select_related("scan", "asked_by", "answered_by").order_by("-pk")
