"""Who may do what in which program."""

from django.contrib.auth.models import User

from govpay.errors import Forbidden, NotFound
from payments.models import Membership, Role


class RoleMissing(Forbidden):
    """The user belongs to the program but lacks the role."""

    code = "role_missing"


def require_anywhere(user: User, roles: tuple[str, ...]) -> None:
    """Raise RoleMissing unless the user has one of the roles in any program: for what is about no program."""
    if not user.is_active or not Membership.objects.filter(user_id=user.pk, role__in=roles).exists():
        names = " or ".join(Role(role).label.lower() for role in roles)
        raise RoleMissing(f"This needs the role of {names} in a program.", roles=list(roles))


def require(*, user: User, program_id: int, roles: tuple[str, ...]) -> None:
    """Raise NotFound unless the user belongs to the program, RoleMissing unless with one of the roles."""
    held = set(
        Membership.objects.filter(user_id=user.pk, program_id=program_id).values_list("role", flat=True)
    )
    if not held:
        raise NotFound("There is no such program, or you are not one of its officers.")
    if not user.is_active or held.isdisjoint(roles):
        names = " or ".join(Role(role).label.lower() for role in roles)
        raise RoleMissing(f"This needs the role of {names} in the program.", roles=list(roles))
