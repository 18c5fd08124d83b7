"""Who acts on what is of no program and about money: a treasurer of any one, for a reason."""

from django.contrib.auth.models import User

from govpay.errors import InvalidInput
from payments.models import Role
from payments.services import authority

ROLES = (Role.TREASURER,)
MAX_NOTE = 300


def require(user: User) -> None:
    """Raise RoleMissing unless the user is a treasurer of a program."""
    authority.require_anywhere(user, ROLES)


def require_note(note: str) -> None:
    """Raise InvalidInput unless a reason was given, of a length that is kept."""
    if not note.strip():
        raise InvalidInput.of("note", "missing", "Say why.")
    if len(note.strip()) > MAX_NOTE:
        raise InvalidInput.of("note", "too_long", f"The note has more than {MAX_NOTE} characters.")
