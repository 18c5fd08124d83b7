"""How statements reach the database: bound by the server, which keeps the plans of what is asked again (ADR 52)."""

import pytest
from django.contrib.auth.models import User
from django.db import connection

from govpay.cursor import MOST_PARAMETERS
from ledger import audit
from ledger.models import AuditEvent
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


class TestManyRows:
    """A statement has room for 65,535 parameters; a list of 100,000 people has more."""

    COUNT = 7_000

    def test_are_looked_up(self) -> None:
        made = User.objects.create(username="the last one")
        ids = [*range(-MOST_PARAMETERS, 0), made.pk]
        assert list(User.objects.filter(pk__in=ids)) == [made]

    def test_are_written_with_bytes_and_recorded(self) -> None:
        User.objects.bulk_create(
            User(username=f"user {number} of 100%", first_name="it's \\ 'one' %s")
            for number in range(self.COUNT)
        )
        found = dict.fromkeys(User.objects.values_list("pk", flat=True), "program:1")
        # Eleven columns, two of them bytes, which Django does not write as arrays.
        audit.record_all("test.many", User, found)
        events = AuditEvent.objects.filter(action="test.many")
        assert (len(found), events.count()) == (self.COUNT, self.COUNT)
        assert {len(event.after_sha256) for event in events[:10]} == {32}
        assert User.objects.filter(first_name="it's \\ 'one' %s").count() == self.COUNT

    def test_with_text_that_looks_like_a_statement_stay_text(self) -> None:
        nasty = "'; DROP TABLE auth_user; -- %s %(x)s $1 \\"
        User.objects.create(username=nasty)
        names = [*map(str, range(MOST_PARAMETERS)), nasty]
        assert User.objects.get(username__in=names).username == nasty
