"""Named tokens: made once, shown once, ended by their owner, by an administrator, or by the clock.

A token that signing in gives is nobody's to name: it reaches all that its user does, and ends within hours. Named ones
reach what their scopes say (govpay.api.scopes), never more than their user.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from knox.models import AuthToken

from govpay.errors import Conflict, NotFound
from govpay.models import ApiToken
from ledger import audit

log = structlog.get_logger(__name__)

# What a named token begins with: no hex digit, so that no token of a login does, and scanners for leaked secrets find it.
PREFIX = "govpay"
MOST_LIVE = 20
MOST_DAYS = 366
ADMINISTRATORS = "payments.add_membership"
# How exactly the last use is known: a token in a loop must not write a row each time.
USE_S = 60


class TooManyTokens(Conflict):
    """The user has as many live tokens as one may have; end one first."""

    code = "too_many_tokens"


class TokenEnded(Conflict):
    """The token has ended before."""

    code = "token_ended"


@transaction.atomic
def make(
    *, user: User, name: str, scopes: Sequence[str], days: int, program_id: int | None = None
) -> tuple[ApiToken, str]:
    """Make a token and return its row and the secret, which is kept nowhere; raise TooManyTokens."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if live(user).count() >= MOST_LIVE:
        raise TooManyTokens(f"You have {MOST_LIVE} tokens; end one of them first.", most=MOST_LIVE)
    stored, secret = AuthToken.objects.create(user=user, expiry=timedelta(days=days), prefix=PREFIX)
    made = ApiToken.objects.create(
        token=stored,
        user=user,
        name=name,
        scopes=sorted(set(scopes)),
        program_id=program_id,
        expires_at=stored.expiry,
    )
    audit.record("token.make", made, by=user, scope=_scope(made))
    log.info("token_made", api_token_id=made.pk, user_id=user.pk)
    return made, secret


def visible(user: Any) -> QuerySet[ApiToken]:
    """Return one's own tokens; an administrator's, everybody's."""
    rows = ApiToken.objects.select_related("user", "program", "ended_by")
    return rows if user.has_perm(ADMINISTRATORS) else rows.filter(user_id=user.pk)


def get(*, by: Any, api_token_id: int) -> ApiToken:
    """Return a token that is the user's to end; raise NotFound."""
    found = visible(by).filter(pk=api_token_id).first()
    if found is None:
        raise NotFound("There is no such token of yours.")
    return found


def live(user: Any) -> QuerySet[ApiToken]:
    """Return the user's tokens that open something."""
    return ApiToken.objects.filter(user_id=user.pk, token__isnull=False, expires_at__gt=timezone.now())


@transaction.atomic
def end(*, by: User, api_token_id: int) -> ApiToken:
    """End a token at once; raise NotFound for somebody else's, unless to an administrator, and TokenEnded."""
    found = visible(by).filter(pk=api_token_id).select_for_update(of=["self"]).first()
    if found is None:
        raise NotFound("There is no such token of yours.")
    if not found.is_live:
        raise TokenEnded("The token has ended before.")
    was = audit.digest(found)
    _end(ApiToken.objects.filter(pk=found.pk), by.pk)
    audit.record("token.end", found, by=by, scope=_scope(found), before=was)
    found.refresh_from_db()
    return found


@transaction.atomic
def end_all(*, user_id: int, by_id: int | None = None) -> int:
    """End every token of a user, those of logins too, and return how many; for when what they may do has changed.

    Call it in the database transaction of that change. Nobody (``by_id``) means the rule itself.
    """
    named = _end(ApiToken.objects.filter(user_id=user_id), by_id)
    logins, _ = AuthToken.objects.filter(user_id=user_id).delete()
    by = User.objects.filter(pk=by_id).first() if by_id is not None else None
    audit.record("token.end_all", User(pk=user_id), by=by)
    return named + logins


@transaction.atomic
def end_one(stored: Any) -> None:
    """End the token that a request carries."""
    _end(ApiToken.objects.filter(token_id=stored.pk), stored.user_id)
    AuthToken.objects.filter(pk=stored.pk).delete()


def end_logins(user: Any, *, keep: int) -> None:
    """End the oldest tokens of logins but so many, so that a forgotten script cannot lock its owner out."""
    logins = AuthToken.objects.filter(user=user, api_token=None).order_by("-created")
    AuthToken.objects.filter(pk__in=list(logins.values_list("pk", flat=True)[keep:])).delete()


def use(stored: AuthToken) -> ApiToken | None:
    """Return the row of a named token, after noting, to the minute, that it was used; None when it was just ended."""
    rows = ApiToken.objects.filter(token_id=stored.pk)
    found = rows.first()
    if found is not None:
        before = timezone.now() - timedelta(seconds=USE_S)
        if found.last_used_at is None or found.last_used_at < before:
            rows.filter(Q(last_used_at=None) | Q(last_used_at__lt=before)).update(last_used_at=Now())
    return found


def _scope(made: ApiToken) -> str:
    return made.program.scope if made.program else ""


def _end(rows: QuerySet[ApiToken], by_id: int | None) -> int:
    rows = rows.filter(token__isnull=False)
    ended = dict(rows.values_list("pk", "token_id"))
    ApiToken.objects.filter(pk__in=ended).update(token=None, ended_at=Now(), ended_by_id=by_id)
    AuthToken.objects.filter(pk__in=ended.values()).delete()
    if ended:
        log.info("tokens_ended", api_token_ids=sorted(ended), by_id=by_id)
    return len(ended)
