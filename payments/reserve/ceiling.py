"""What the law lets institutions add to their bitcoin, and what they have added and planned (R-27)."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from django.db import connection
from django.db.models import F, IntegerField, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, Greatest

from govpay.errors import Conflict
from ledger.law import policy
from ledger.law.policy import Provision, Rule
from ledger.models import Badge, LotMovement, MovementKind, ReserveBalance
from ledger.treasury import accumulation, positions, reserve
from ledger.treasury.accumulation import Accumulation
from payments.models import Institution, PurchasePlan, Trust

# Lots of what the board of a trust decided to buy or sell are called after the decision.
TRADED = "trust_decision:"


class InstitutionFull(Conflict):
    """The institution would hold more than two people said that it may."""

    code = "institution_full"


@dataclass(frozen=True)
class Room:
    """What institutions and trusts added under one law since its ceiling is in force, what is planned, and the provision.

    Without a provision the law is not in force now; ``since`` is when it began otherwise.
    """

    provision: Provision | None
    since: datetime | None
    added: Accumulation
    trusts_sat: int
    planned_sat: int

    @property
    def total_sat(self) -> int:
        """What will have been added on net when all plans are carried out."""
        return self.added.net_voluntary_sat + self.trusts_sat + self.planned_sat

    @property
    def left_sat(self) -> int | None:
        """What may still be added; None where there is no ceiling in satoshis."""
        ceiling_sat = None if self.provision is None else self.provision.ceiling_sat
        return None if ceiling_sat is None else ceiling_sat - self.total_sat


def lock(institution: Institution) -> None:
    """Make whoever adds to bitcoin under the same law wait, so that both do not fill what is left."""
    lock_law(institution.policy_profile)
    same = Institution.objects.filter(policy_profile=institution.policy_profile).order_by("pk")
    list(same.select_for_update(no_key=True).values_list("pk", flat=True))


def lock_law(profile_name: str) -> None:
    """Make whoever adds under a law wait; trusts take this alone, after their purse."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('ceiling:' || %s, 0))", [profile_name])


def plans_left(at: datetime) -> QuerySet[Any]:
    """Return the plans that may still be bought under, with ``left_sat``, what is left of each."""
    return with_left(PurchasePlan.objects.filter(approved_at__isnull=False, ended_at=None, ends_at__gt=at))


def with_left(plans: QuerySet[Any]) -> QuerySet[Any]:
    """Add ``bought_sat`` and ``left_sat``: what two people said was bought under each, and what is left of it."""
    bought = Sum("classings__amount_sat", filter=Q(classings__confirmed_at__isnull=False))
    nothing = Value(0, IntegerField())
    counted: QuerySet[Any] = plans.annotate(bought_sat=Coalesce(bought, nothing))
    left: QuerySet[Any] = counted.annotate(left_sat=Greatest(F("amount_sat") - F("bought_sat"), nothing))
    return left


def room(profile_name: str, *, at: datetime) -> Room:
    """Return what has been added and is planned under a law, by all institutions that go by it. Raises UnknownProfile."""
    provision = policy.get_profile(profile_name).find(Rule.ACCUMULATION_CEILING, at)
    since = None if provision is None else datetime.combine(provision.span.first, time(), UTC)
    trusts = set(Trust.objects.filter(policy_profile=profile_name).values_list("scope", flat=True))
    ours = set(Institution.objects.filter(policy_profile=profile_name).values_list("scope", flat=True))
    counted = accumulation.count(since=since, before=at + positions.AHEAD, known_at=at)
    added = accumulation.total(found for scope, found in counted.items() if scope in ours - trusts)
    plans = plans_left(at).filter(institution__policy_profile=profile_name)
    planned_sat = sum(plans.values_list("left_sat", flat=True))
    return Room(provision, since, added, _traded(trusts, since), planned_sat)


def _traded(scopes: set[str], since: datetime | None) -> int:
    """Return what boards of trusts bought less what they sold; what people's legs bring, the public sector had before.

    What a trust sold on net is no room for anybody, another trust included.
    """
    rows = LotMovement.objects.filter(scope__in=scopes, reference__startswith=TRADED)
    if since is not None:
        rows = rows.filter(effective_at__gte=since)
    came = Sum("amount_sat", filter=Q(kind=MovementKind.ACQUISITION), default=0)
    went = Sum("amount_sat", filter=Q(kind=MovementKind.DISPOSAL), default=0)
    nets = rows.order_by().values("scope").annotate(net_sat=came - went)
    return sum(max(int(net_sat), 0) for net_sat in nets.values_list("net_sat", flat=True))


def require(institution: Institution, more_sat: int, *, at: datetime) -> None:
    """Raise PolicyRefused, citing the law, unless so many satoshis may be added besides all that is planned."""
    found = room(institution.policy_profile, at=at)
    policy.require(
        institution.policy_profile, Rule.ACCUMULATION_CEILING, at=at, total_sat=found.total_sat + more_sat
    )


def require_cap(institution: Institution, more_sat: int, *, at: datetime) -> None:
    """Raise InstitutionFull where so many satoshis, besides what it holds and plans, are more than it may hold."""
    if institution.most_sat is None:
        return
    plans = plans_left(at).filter(institution=institution)
    planned_sat = sum(plans.values_list("left_sat", flat=True))
    held_sat = held(institution)
    if held_sat + planned_sat + more_sat > institution.most_sat:
        raise InstitutionFull(
            f"{institution} holds {held_sat} sat and plans {planned_sat} sat; with {more_sat} sat more it would be above"
            f" its cap of {institution.most_sat} sat.",
            held_sat=held_sat,
            planned_sat=planned_sat,
            most_sat=institution.most_sat,
        )


def held(institution: Institution) -> int:
    """Return what is on the verified addresses of an institution by the newest scan that stands."""
    newest = reserve.standing().values("pk")[:1]
    rows = ReserveBalance.objects.filter(scan=newest, scope=institution.scope, badge=Badge.VERIFIED)
    return int(rows.aggregate(sat=Sum("amount_sat"))["sat"] or 0)
