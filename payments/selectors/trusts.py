"""Reads convertibility trusts: their money and boards, what boards were asked, and the legs that they took."""

from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from govpay.errors import NotFound
from payments.models import Election, Instead, Payment, Trust, TrustDecision, TrustLeg, TrustPurse, TrustSeat
from payments.selectors import prices, scope
from payments.services import board
from payments.states import DecisionStatus


def may_read(user: Any) -> bool:
    """Say whether the user reads trusts: who reads prices, and members of boards."""
    return prices.may_read(user) or on_a_board(user)


def on_a_board(user: Any) -> bool:
    """Say whether the user is on any trust's board now."""
    return bool(user.is_active and TrustSeat.objects.filter(user_id=user.pk, ended_at=None).exists())


def require(*, user: Any, **ids: int) -> None:
    """Raise NotFound for whoever reads no trusts: they are of no program."""
    if not may_read(user):
        raise NotFound("There is no such thing in your programs.")


def trusts() -> QuerySet[Trust]:
    """Return the trusts with their money and the seats of their boards, newest first."""
    seats = TrustSeat.objects.filter(ended_at=None).select_related("user").order_by("user__username")
    return (
        Trust.objects.select_related("proposal")
        .prefetch_related(
            Prefetch("purses", TrustPurse.objects.order_by("currency")),
            Prefetch("seats", seats, to_attr="board"),
        )
        .order_by("-pk")
    )


def purses() -> QuerySet[TrustPurse]:
    """Return the money of each trust in each currency, which people may elect."""
    return TrustPurse.objects.select_related("trust").order_by("trust", "currency")


def chosen_instead(payment: Payment) -> Instead | None:
    """Return what the person of a line chose that no trust took, or None."""
    legs = TrustLeg.objects.filter(payment=payment).exclude(instead="")
    found = legs.values_list("instead", flat=True).first()
    return None if found is None else Instead(found)


def decisions() -> QuerySet[TrustDecision]:
    """Return what boards were asked, with the signatures, newest first."""
    rows = TrustDecision.objects.select_related("trust", "made_by").prefetch_related("votes__user")
    return rows.order_by("-pk")


def legs(user: Any) -> QuerySet[TrustLeg]:
    """Return the legs of the trusts on whose board the user is, and of the programs that the user reads, newest first."""
    mine = TrustSeat.objects.filter(user_id=user.pk, ended_at=None).values("trust_id")
    seen = Q(trust__in=mine) | Q(payment__disbursement__program__in=scope.programs(user))
    return TrustLeg.objects.filter(seen).select_related("purse", "trust", "quote").order_by("-pk")


def elections(enrollment_id: int) -> QuerySet[Election]:
    """Return what a person elected, the last first; that one counts."""
    rows = Election.objects.filter(enrollment=enrollment_id).select_related("purse__trust", "made_by")
    return rows.order_by("-pk")


def waiting_for(user: Any) -> list[TrustDecision]:
    """Return what waits for the user's signature as a second member."""
    mine = TrustSeat.objects.filter(user_id=user.pk, ended_at=None).values("trust_id")
    rows = decisions().filter(trust__in=mine, status=DecisionStatus.OPEN)
    return list(rows.exclude(votes__user=user.pk).order_by("pk"))


def may_sign(user: Any, row: TrustDecision) -> bool:
    """Say whether the user may sign it as a second member."""
    return row.status == DecisionStatus.OPEN and (
        board.is_member(user, row.trust_id) and all(vote.user_id != user.pk for vote in row.votes.all())
    )
