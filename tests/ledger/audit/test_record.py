"""Acts are recorded in the database transaction of what was done, under the door they came through."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from celery import signals
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse

from govpay.middleware import AuditDoor
from ledger import audit
from ledger.models import AuditEvent, Door, Period

pytestmark = pytest.mark.django_db


@pytest.fixture
def clerk() -> User:
    return User.objects.create_user("clerk")


@pytest.fixture
def period() -> Period:
    return Period.objects.create(name="2026-01", ends_at=datetime(2026, 2, 1, tzinfo=UTC), opened_by="clerk")


class TestRecord:
    def test_says_who_did_what_when_why_and_through_which_door(self, clerk: User, period: Period) -> None:
        with audit.through(Door.ADMIN, request_id="r-1"):
            made = audit.record(
                "period.open", period, by=clerk, scope="program:7", reason="  It is time. ", before=b"\1" * 32
            )
        row = AuditEvent.objects.values().get()
        with connection.cursor() as cursor:
            cursor.execute("SELECT now(), clock_timestamp(), pg_current_xact_id()::text::bigint")
            began, ends, xid = cursor.fetchone()
        assert began <= row.pop("recorded_at") <= ends
        assert row == {
            "id": made.pk,
            "actor": "clerk",
            "actor_id": str(clerk.pk),
            "door": "admin",
            "action": "period.open",
            "subject_kind": "period",
            "subject_id": str(period.pk),
            "scope": "program:7",
            "request_id": "r-1",
            "reason": "It is time.",
            "before_sha256": b"\1" * 32,
            "after_sha256": audit.digest(period),
            "insert_xid": xid,
        }

    def test_is_taken_back_with_what_was_done(self, clerk: User) -> None:
        def fail() -> None:
            audit.record("period.open", by=clerk)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            transaction.atomic(fail)()
        assert not AuditEvent.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_is_refused_outside_a_database_transaction(self) -> None:
        with pytest.raises(AssertionError, match="outside a database transaction"):
            audit.record("period.open")
        assert not AuditEvent.objects.exists()

    def test_takes_the_program_for_the_actor_where_nobody_is_named(self) -> None:
        with audit.through(Door.TASK, actor=audit.ENGINE):
            found = audit.record("intervention.finish")
        assert (found.actor, found.actor_id, found.door) == ("engine", "", "task")

    def test_keeps_no_more_of_a_reason_than_has_room(self) -> None:
        assert audit.record("period.open", reason="x" * 500).reason == "x" * 300


class TestDigest:
    def test_is_of_the_row_as_canonical_json(self, period: Period) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(t)::text FROM ledger_period t")
            state = json.loads(cursor.fetchone()[0])
        text = json.dumps(dict(sorted(state.items())), separators=(",", ":"))
        assert audit.digest(period) == hashlib.sha256(text.encode()).digest()

    def test_is_of_what_the_database_holds(self, period: Period) -> None:
        before = audit.digest(period)
        period.name = "2026-02"
        assert audit.digest(period) == before

    def test_changes_with_the_row(self, clerk: User) -> None:
        before = audit.digest(clerk)
        User.objects.update(first_name="Claudia")
        assert audit.digest(clerk) != before

    def test_of_no_row_is_none(self, clerk: User) -> None:
        gone = User(pk=clerk.pk)
        clerk.delete()
        assert audit.digest(gone) is None


class TestDoor:
    @pytest.mark.parametrize(("path", "door"), [("/admin/x/", "admin"), ("/api/v1/auth/login/", "api")])
    def test_of_a_request_follows_from_its_path(self, path: str, door: str) -> None:
        def answer(request: HttpRequest) -> HttpResponse:
            return HttpResponse(f"{audit.here().door} {audit.here().actor}")

        request = HttpRequest()
        request.path = path
        assert AuditDoor(answer)(request).content.decode() == f"{door} nobody"
        assert audit.here().door == "command"

    def test_of_a_task_is_the_engines(self) -> None:
        signals.task_prerun.send(sender=None, task_id="7f-1")
        inside = audit.here()
        signals.task_postrun.send(sender=None)
        assert inside == audit.Context(Door.TASK, "engine", "7f-1")
        assert audit.here().door == "command"

    @pytest.mark.parametrize(
        ("arguments", "actor"),
        [
            (["/srv/govpay/manage.py", "reconcile", "--full"], "command:reconcile"),
            (["/usr/bin/pytest", "-q"], "command:pytest"),
            ([], "command:unknown"),
        ],
    )
    def test_outside_is_the_command_that_was_started(
        self, arguments: list[str], actor: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.argv", arguments)
        assert audit.here() == audit.Context(Door.COMMAND, actor)

    @pytest.mark.parametrize("sent", ["a b", "x" * 65, "Ayesha Khan", "<1>"])
    def test_keeps_no_request_id_that_is_none(self, sent: str) -> None:
        with audit.through(Door.API, request_id=sent):
            assert audit.here().request_id == ""
