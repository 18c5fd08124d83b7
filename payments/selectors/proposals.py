"""Reads proposed changes of rules and roles, and which of them wait for somebody."""

from typing import Any

from django.db.models import BooleanField, Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Now

from payments.models import Membership, Proposal, Role
from payments.selectors import scope
from payments.states import ProposalStatus


def visible(user: Any) -> QuerySet[Proposal]:
    """Return the proposals of the programs that the user reads or administers; ``waits_for_me`` marks whose turn it is.

    What is about no program is for the security administrators of any.
    """
    mine = Q(program_id__in=scope.programs(user, Role.SECURITY)) | (Q(program=None) & Exists(_holds(user)))
    rows = Proposal.objects.filter(mine).select_related("program", "about", "proposed_by", "decided_by")
    return rows.annotate(
        waits_for_me=Case(When(_waits(user), then=True), default=False, output_field=BooleanField()),
        is_expired=Case(
            When(status=ProposalStatus.PROPOSED, expires_at__lte=Now(), then=Value(True)),
            default=False,
            output_field=BooleanField(),
        ),
    )


def waiting_for(user: Any) -> QuerySet[Proposal]:
    """Return what the user may confirm or reject now."""
    return visible(user).filter(_waits(user))


def _holds(user: Any) -> QuerySet[Membership]:
    return Membership.objects.filter(user_id=user.pk, role=Role.SECURITY)


def _waits(user: Any) -> Q:
    decides = Exists(_holds(user).filter(program_id=OuterRef("program_id")))
    of_none = Q(program=None) & Exists(_holds(user))
    is_open = Q(status=ProposalStatus.PROPOSED, expires_at__gt=Now())
    is_mine = Q(proposed_by_id=user.pk) | Q(about_id=user.pk, about__isnull=False)
    return (Q(decides) | of_none) & is_open & ~is_mine
