"""The cursor of every statement: bound by the server, or, where there is more than its protocol takes, in its text."""

from typing import Any

from django.db.backends.postgresql.base import ServerBindingCursor  # type: ignore[attr-defined]
from psycopg import ClientCursor

# How many parameters a statement may have: their count has 16 bits (PostgreSQL, "Message Formats", Bind).
MOST_PARAMETERS = 65_535


class Cursor(ServerBindingCursor):  # type: ignore[misc, valid-type]
    """Binds as ADR 52 has it, so that plans are kept; a statement about tens of thousands of rows is planned once anyway."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Execute a statement with any number of parameters."""
        if params is not None and len(params) > MOST_PARAMETERS:
            query, params = ClientCursor(self.connection).mogrify(query, params), None
        return super().execute(query, params, **options)
