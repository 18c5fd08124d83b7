"""Says which programs the person at the screen belongs to, read once a request, and limits rows to them."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from payments.models import Membership, Program
from payments.models.program import LIMITED


def roles(request: HttpRequest) -> dict[int, frozenset[str]]:
    """Return the roles of the user by program id; empty for somebody who belongs to none."""
    found: dict[int, frozenset[str]] | None = getattr(request, "payment_roles", None)
    if found is None:
        found = {}
        rows = Membership.objects.filter(user_id=request.user.pk or 0).values_list("program_id", "role")
        for program_id, role in rows:
            found[program_id] = found.get(program_id, frozenset()) | {role}
        request.payment_roles = found  # type: ignore[attr-defined]
    return found


def reads(request: HttpRequest, *also: str) -> list[int]:
    """Return the programs that the user reads; help desk and security administrators what is open to them ``also``."""
    hidden = set(LIMITED) - set(also)
    return [program_id for program_id, held in roles(request).items() if held - hidden]


def sees_everything(request: HttpRequest) -> bool:
    """Say whether the user may read every program: a superuser, who still acts in none of them."""
    return bool(request.user.is_active and request.user.is_superuser)


def may_look(request: HttpRequest, *also: str) -> bool:
    """Say whether there is anything of payments to show to the user."""
    user = request.user
    return bool(user.is_active and user.is_staff and (user.is_superuser or reads(request, *also)))


def limit(request: HttpRequest, rows: QuerySet[Any], path: str, *also: str) -> QuerySet[Any]:
    """Return the rows whose program (at the end of the lookup ``path``) the user may read."""
    if sees_everything(request):
        return rows
    return rows.filter(**{f"{path}__in": reads(request, *also)})


def holds(request: HttpRequest, program_id: int, *wanted: str) -> bool:
    """Say whether the user has one of the roles in the program."""
    return request.user.is_active and not roles(request).get(program_id, frozenset()).isdisjoint(wanted)


def programs_as(request: HttpRequest, *wanted: str) -> QuerySet[Program]:
    """Return the programs where the user has one of the roles."""
    ids = [program_id for program_id, held in roles(request).items() if not held.isdisjoint(wanted)]
    return Program.objects.filter(pk__in=ids).order_by("code")
