"""How statements reach the database: bound by the server, which keeps the plans of what is asked again (ADR 52)."""

import pytest
from django.db import connection

from payments.models import Program

pytestmark = pytest.mark.django_db


def prepared(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statement FROM pg_prepared_statements WHERE strpos(statement, %s::text) > 0", [table]
        )
        return [text for (text,) in cursor.fetchall()]


class TestPreparedStatements:
    def test_what_is_asked_again_is_planned_once_whatever_is_asked_for(self) -> None:
        before = prepared("payments_program")
        for code in ("A", "B", "C", "D"):
            assert not Program.objects.filter(code=code, name="asked again").exists()
        (kept,) = set(prepared("payments_program")) - set(before)
        assert '"code" = $' in kept
        assert "asked again" not in kept
