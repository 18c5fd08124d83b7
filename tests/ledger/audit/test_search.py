"""Events are searched over the API and in the admin by whoever may read them, and exported without anybody's words."""

import csv
import hashlib
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from ledger import audit
from ledger.models import AuditEvent, Door
from payments.models import Program
from tests import factories

pytestmark = pytest.mark.django_db

LIST = "/api/v1/audit-events/"
ADMIN = "/admin/ledger/auditevent/"
RIGHTS = ("ledger.view_auditevent", "ledger.view_entry")


@pytest.fixture
def reader(db: None) -> User:
    return factories.make_user("reader", *RIGHTS)


@pytest.fixture
def events(program: Program, officer: User, approver: User) -> list[AuditEvent]:
    """Three acts of two people through two doors."""
    made = factories.make_disbursement(program, officer)
    with audit.through(Door.API, request_id="r-1"):
        first = audit.record("list.submit", made, by=officer, scope=program.scope)
        second = audit.record(
            "list.approve", made, by=approver, scope=program.scope, reason="=Seen, all of it"
        )
    with audit.through(Door.ADMIN):
        third = audit.record("stop.throw", by=officer)
    return [first, second, third]


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


class TestApi:
    def test_shows_all_of_an_event(self, reader: User, events: list[AuditEvent]) -> None:
        event = events[1]
        event.refresh_from_db()
        body = client_of(reader).get(f"{LIST}{event.pk}/").json()
        assert body == {
            "id": event.pk,
            "recorded_at": event.recorded_at.isoformat().replace("+00:00", "Z"),
            "actor": event.actor,
            "actor_id": event.actor_id,
            "door": "api",
            "action": "list.approve",
            "subject_kind": "disbursement",
            "subject_id": event.subject_id,
            "scope": event.scope,
            "request_id": "r-1",
            "reason": "=Seen, all of it",
            "before_sha256": None,
            "after_sha256": bytes(event.after_sha256 or b"").hex(),
            "leaf": None,
        }
        assert client_of(reader).get(f"{LIST}{2**62}/").status_code == 404

    def test_finds_by_who_what_of_what_where_and_when(self, reader: User, events: list[AuditEvent]) -> None:
        first, second, third = events
        first.refresh_from_db()
        at, tick = first.recorded_at, timedelta(microseconds=1)
        for query, found in (
            ({"actor": first.actor}, [third, first]),
            ({"action": "list.approve"}, [second]),
            ({"subject": first.subject}, [second, first]),
            ({"subject": "disbursement"}, [second, first]),
            ({"subject": "disbursement:0"}, []),
            ({"scope": first.scope, "door": "api"}, [second, first]),
            ({"request_id": "r-1"}, [second, first]),
            ({"since": (at + tick).isoformat(), "door": "api"}, [second]),
            ({"before": (at + tick).isoformat(), "door": "api"}, [first]),
        ):
            answer = client_of(reader).get(LIST, query).json()
            ids = [row["id"] for row in answer["results"] if row["id"] >= first.pk]
            assert ids == [event.pk for event in found], query

    def test_goes_through_all_page_by_page(self, reader: User, events: list[AuditEvent]) -> None:
        client, url, seen = client_of(reader), f"{LIST}?page_size=2", []
        while url:
            body = client.get(url).json()
            seen += [row["id"] for row in body["results"]]
            url = body["next"]
        assert seen == list(AuditEvent.objects.order_by("-pk").values_list("pk", flat=True))

    def test_asks_as_much_for_many_as_for_few(self, reader: User, events: list[AuditEvent]) -> None:
        client = client_of(reader)
        client.get(LIST)
        with CaptureQueriesContext(connection) as few:
            client.get(LIST, {"page_size": 2})
        for number in range(30):
            audit.record(f"act.number_{'abcdefghijklmnopqrstuvwxyzabcdef'[number]}", by=reader)
        with CaptureQueriesContext(connection) as many:
            body = client.get(LIST, {"page_size": 30}).json()
        assert len(body["results"]) == 30
        assert len(many) == len(few)

    def test_is_closed_to_who_reads_the_books_only(self, events: list[AuditEvent]) -> None:
        client = client_of(factories.make_user("bookkeeper", "ledger.view_entry"))
        for address in (LIST, f"{LIST}{events[0].pk}/", "/api/v1/reports/audit/"):
            assert client.get(address).status_code == 403
        names = [report["name"] for report in client.get("/api/v1/reports/").json()["reports"]]
        assert "audit" not in names

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_lets_nobody_write(self, reader: User, method: str) -> None:
        assert getattr(client_of(reader), method)(LIST, {}).status_code == 405


class TestExport:
    def test_is_csv_that_no_spreadsheet_runs(self, reader: User, events: list[AuditEvent]) -> None:
        root = User.objects.create_user("=cmd()")
        audit.record("stop.lift", by=root)
        answer = client_of(reader).get("/api/v1/reports/audit/?format=csv")
        text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == AuditEvent.objects.count()
        assert rows[-1]["actor"] == "'=cmd()"
        (approval,) = [row for row in rows if row["action"] == "list.approve"]
        assert approval["reason_sha256"] == hashlib.sha256(b"=Seen, all of it").hexdigest()
        assert approval["after_sha256"] == bytes(events[1].after_sha256 or b"").hex()
        assert "Seen" not in text

    def test_is_json_lines_of_a_program_by_command_too(
        self, events: list[AuditEvent], capsys: pytest.CaptureFixture[str]
    ) -> None:
        scope = events[0].scope
        call_command("report", "audit", "--scope", scope, "--format", "jsonl")
        head, *rows, tail = map(json.loads, capsys.readouterr().out.splitlines())
        assert head["report"] == "audit"
        assert [row["action"] for row in rows][-2:] == ["list.submit", "list.approve"]
        assert {row["scope"] for row in rows} == {scope}
        assert tail == {"rows": AuditEvent.objects.filter(scope=scope).count()}


class TestAdmin:
    def browser(self, user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    def test_searches_and_leads_to_the_subject(self, reader: User, events: list[AuditEvent]) -> None:
        client, event = self.browser(reader), events[1]
        for query in ({"q": event.subject}, {"q": event.actor}, {"q": "r-1"}, {"action": "list.approve"}):
            page = client.get(ADMIN, query).content.decode()
            assert f"Event {event.pk}" in page, query
            assert f"Event {events[2].pk}" not in page
            assert f"/admin/payments/disbursement/{event.subject_id}/change/" in page
        page = client.get(f"{ADMIN}{event.pk}/change/").content.decode()
        assert "=Seen, all of it" in page
        assert bytes(event.after_sha256 or b"").hex() in page
        assert "Not sealed yet." in page
        assert "/history/" not in page

    def test_finds_an_action_and_leads_to_the_export(self, reader: User, events: list[AuditEvent]) -> None:
        client = self.browser(reader)
        page = client.get(ADMIN, {"q": events[1].action}).content.decode()
        assert f"Event {events[1].pk}" in page
        assert f"{ADMIN}export/" in page
        assert client.get(f"{ADMIN}export/")["Location"] == "/admin/ledger/account/reports/audit/"

    def test_asks_as_much_for_many_as_for_few(self, reader: User, events: list[AuditEvent]) -> None:
        client = self.browser(reader)
        client.get(ADMIN)
        with CaptureQueriesContext(connection) as few:
            client.get(ADMIN)
        for letter in "abcdefghijklmnopqrstuvwxyz":
            audit.record(f"act.{letter}", by=reader)
        with CaptureQueriesContext(connection) as many:
            page = client.get(ADMIN).content.decode()
        assert "act z" in page
        assert len(many) == len(few)

    def test_is_closed_to_others_and_to_changes(self, reader: User, events: list[AuditEvent]) -> None:
        stranger = self.browser(factories.make_user("bookkeeper", "ledger.view_entry"))
        assert stranger.get(ADMIN).status_code == 403
        assert stranger.get("/admin/ledger/account/reports/audit/").status_code == 404
        client = self.browser(reader)
        before: Any = list(AuditEvent.objects.filter(pk=events[0].pk).values())
        for address in ("add/", f"{events[0].pk}/change/", f"{events[0].pk}/delete/"):
            assert client.post(f"{ADMIN}{address}", {"actor": "x"}).status_code == 403
        assert list(AuditEvent.objects.filter(pk=events[0].pk).values()) == before
