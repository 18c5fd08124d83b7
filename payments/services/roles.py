"""Gives and ends roles: by an administrator while a program is set up, by two security administrators from then on."""

from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction

from govpay.errors import Conflict, Forbidden, NotFound, SamePersonTwice
from ledger import audit
from payments.models import Membership, Program, Proposal, Role
from payments.models.roles import INCOMPATIBLE
from payments.services import sessions
from payments.services.change import Kind, program_of

# So many security administrators make a program's own authority: one proposes, another confirms.
ENOUGH = 2


class MembershipExists(Conflict):
    """The user holds the role already."""

    code = "membership_exists"


class MembershipMissing(Conflict):
    """The user does not hold the role."""

    code = "membership_missing"


class IncompatibleRoles(Conflict):
    """One person may not hold both roles in a program."""

    code = "incompatible_roles"


class RolesByProposal(Conflict):
    """The program has two security administrators: from now on they give its roles."""

    code = "roles_by_proposal"


class SecurityShort(Conflict):
    """Fewer than two security administrators would be left, and nobody could confirm what the other proposes."""

    code = "security_administrators_short"


@transaction.atomic
def grant(*, by: User, program_id: int, user: User, role: str) -> Membership:
    """Give a user a role in a program that is being set up; the user signs in anew.

    Raises Forbidden without ``payments.add_membership``, RolesByProposal once two security administrators are there,
    SamePersonTwice, MembershipExists, IncompatibleRoles.
    """
    if not by.has_perm("payments.add_membership"):
        raise Forbidden("Giving a role needs the permission payments.add_membership.")
    _lock_program(program_id)
    if is_set_up(program_id):
        raise RolesByProposal(
            "The program has two security administrators: one of them proposes the role, another confirms it."
        )
    _require_somebody_else(by, user)
    _require_free(_held(program_id, user), user, role)
    return _give(by, program_id, user, role)


def is_set_up(program_id: int) -> bool:
    """Say whether enough active security administrators are there, so that roles go by proposals."""
    return _count_security(program_id) >= ENOUGH


def _current(proposal: Proposal) -> dict[str, Any]:
    program_id = program_of(proposal)
    _lock_program(program_id)
    user, _ = _whose(proposal)
    return {"roles": _held(program_id, user)}


def _change_by_grant(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    user, role = _whose(proposal)
    _require_somebody_else(proposal.proposed_by, user)
    _require_free(before["roles"], user, role)
    return {"roles": sorted([*before["roles"], role])}


def _apply_grant(proposal: Proposal, by: User) -> None:
    user, role = _whose(proposal)
    _give(by, program_of(proposal), user, role)


def _change_by_revocation(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    user, role = _whose(proposal)
    if role not in before["roles"]:
        raise MembershipMissing(f"{user} is not {Role(role).label.lower()} of this program.")
    if role == Role.SECURITY and _count_security(program_of(proposal), but=user) < ENOUGH:
        raise SecurityShort(
            "Two other security administrators must be left; give somebody else the role first."
        )
    return {"roles": [other for other in before["roles"] if other != role]}


def _apply_revocation(proposal: Proposal, by: User) -> None:
    user, role = _whose(proposal)
    with connection.cursor() as cursor:
        # The trigger that keeps what ended asks who ended it.
        cursor.execute("SELECT set_config('govpay.acting_user', %s, true)", [str(by.pk)])
    ended = Membership.objects.select_related("program").get(
        program_id=program_of(proposal), user=user, role=role
    )
    was = audit.digest(ended)
    Membership.objects.filter(pk=ended.pk).delete()
    audit.record("membership.end", ended, by=by, scope=ended.program.scope, before=was)
    sessions.end(user, by=by)


def _require_somebody_else(by: User, user: User) -> None:
    if by.pk == user.pk:
        raise SamePersonTwice("Nobody gives a role to themselves.")


def _require_free(held: list[str], user: User, role: str) -> None:
    if role in held:
        raise MembershipExists(f"{user} is {Role(role).label.lower()} of this program already.")
    for other in held:
        why = INCOMPATIBLE.get(frozenset({other, str(role)}))
        if why is not None:
            raise IncompatibleRoles(
                f"{user} is {Role(other).label.lower()} of this program: {why}", roles=[other, str(role)]
            )


def _give(by: User, program_id: int, user: User, role: str) -> Membership:
    made = Membership.objects.create(program_id=program_id, user=user, role=Role(role), granted_by=by)
    audit.record("membership.grant", made, by=by, scope=made.program.scope)
    sessions.end(user, by=by)
    return made


def _held(program_id: int, user: User) -> list[str]:
    rows = Membership.objects.filter(program_id=program_id, user_id=user.pk)
    return sorted(rows.values_list("role", flat=True))


def _count_security(program_id: int, *, but: User | None = None) -> int:
    rows = Membership.objects.filter(program_id=program_id, role=Role.SECURITY, user__is_active=True)
    return (rows if but is None else rows.exclude(user=but)).count()


def _whose(proposal: Proposal) -> tuple[User, str]:
    user: User = proposal.about  # type: ignore[assignment]
    return user, str(proposal.asked["role"])


def _lock_program(program_id: int) -> None:
    """Let one change of the program's roles be made at a time, so that its security administrators are counted right."""
    if not Program.objects.select_for_update(no_key=True).filter(pk=program_id).exists():
        raise NotFound("There is no such program.")


GRANT = Kind("grant", "New role", _current, _change_by_grant, _apply_grant)
REVOCATION = Kind("revocation", "End of a role", _current, _change_by_revocation, _apply_revocation)
