"""Records who signed in, out, or in vain, who was locked out, whose password is new, and what Django's admin forms did."""

from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_save

from ledger import audit
from ledger.models import Door

FORMS = {ADDITION: "admin.add", CHANGE: "admin.change", DELETION: "admin.delete"}


def connect() -> None:
    """Listen to what Django says of who signs out, and to what its own forms note; the rest is told by the lockout."""
    post_save.connect(_edited, sender=LogEntry, dispatch_uid="audit")
    user_logged_out.connect(_ended, dispatch_uid="audit")


def accept(user: User) -> None:
    """Record that somebody signed in, in the database transaction that forgets their failures."""
    audit.record("login.accept", user, by=user)


def refuse(username: Any, *, is_last: bool) -> None:
    """Record a refused login in the database transaction that counts it, and that it locks out whoever tries on.

    It is told of the account that was tried: a name that nobody has may be a password.
    """
    user = find(username)
    audit.record("login.refuse", user)
    if is_last:
        audit.record("login.lock", user)


def find(username: Any) -> User | None:
    """Return the user of a name that somebody typed."""
    if not isinstance(username, str) or "\0" in username:
        return None
    return User.objects.filter(username=username).first()


class PasswordRecorder:
    """Stands among the validators, which Django tells of every password that was set; it refuses none."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Accept every password."""

    def password_changed(self, password: str, user: User) -> None:
        """Record that the password is another one; in the admin people change their own."""
        with transaction.atomic():
            is_own = audit.here().door == Door.ADMIN
            audit.record("password.change", user, by=user if is_own else None)

    def get_help_text(self) -> str:
        """Ask for nothing."""
        return ""


def _edited(instance: LogEntry, **_: Any) -> None:
    """Record what a form of Django's own did to users, groups and tokens, in the database transaction of the form."""
    row = None if instance.is_deletion() else instance.get_edited_object()
    with transaction.atomic():
        # The key of anything else may be a secret, as that of a token is.
        subject = row if isinstance(row, User | Group) else instance
        audit.record(FORMS[instance.action_flag], subject, by=instance.user)


def _ended(user: User | None, **_: Any) -> None:
    # Whoever was not signed in may sign out as well.
    if user is not None:
        with transaction.atomic():
            audit.record("login.end", user, by=user)
