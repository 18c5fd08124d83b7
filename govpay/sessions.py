"""Sessions of the admin, each with the user it belongs to, so that all of a user's can be ended at once.

As Django's documentation extends its sessions in the database, with a column more.
"""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore

from govpay.models import UserSession


class SessionStore(DatabaseSessionStore):
    """Keeps sessions as UserSession rows."""

    @classmethod
    def get_model_class(cls) -> type[UserSession]:  # type: ignore[override]
        """Return the table with the user's column."""
        return UserSession

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        """Return the row for the session, with whoever is signed in."""
        row: Any = super().create_model_instance(data)
        row.user_id = data.get(SESSION_KEY)
        return row
