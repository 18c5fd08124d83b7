"""Reports over HTTP: to whom, in which form, and what is refused with which code."""

import csv
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from ledger.models import Account, Entry, Posting
from ledger.reports import documents
from ledger.seals import checkpoints
from tests import factories
from tests.ledger.months import CODES, SCOPE
from tests.ledger.reports.test_pdf import opened

NOVEMBER = {"month": "2026-11"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(entry_ids: list[int]) -> APIClient:
    """The client of one who reads the books of the two months."""
    return client_of(factories.make_user("reader", "ledger.view_entry", "ledger.view_auditevent"))


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def get(client: APIClient, name: str, accept: str = "*/*", **query: object) -> Any:
    """Return a 200 whose body came in pieces."""
    answer: Any = client.get(f"/api/v1/reports/{name}/", query, headers={"accept": accept})
    assert answer.status_code == 200, answer.content
    assert answer.streaming
    answer.body = b"".join(answer.streaming_content)
    return answer


def refusal(client: APIClient, name: str, accept: str = "*/*", **query: object) -> tuple[int, str]:
    answer = client.get(f"/api/v1/reports/{name}/", query, headers={"accept": accept})
    assert answer["Content-Type"] == "application/problem+json"
    body = json.loads(answer.content)
    return answer.status_code, body["errors"][0]["code"] if "errors" in body else body["code"]


class TestAccess:
    @pytest.mark.parametrize("path", ["reports/", "reports/fees/", "reports/journal/"])
    def test_is_for_readers_of_the_books(self, path: str) -> None:
        assert APIClient().get(f"/api/v1/{path}").status_code == 401
        nobody = client_of(factories.make_user("nobody", "ledger.view_account"))
        assert nobody.get(f"/api/v1/{path}").status_code == 403

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_has_no_way_to_write(self, entry_ids: list[int], method: str) -> None:
        client = client_of(
            factories.make_user(
                "controller", "ledger.view_entry", "ledger.view_auditevent", "ledger.add_reconciliationrun"
            )
        )
        before = [model.objects.count() for model in (Account, Entry, Posting)]
        for path in ("reports/", "reports/journal/"):
            assert getattr(client, method)(f"/api/v1/{path}", {}, format="json").status_code == 405
        assert [model.objects.count() for model in (Account, Entry, Posting)] == before


class TestList:
    def test_tells_what_there_is(self, client: APIClient) -> None:
        found = client.get("/api/v1/reports/").json()["reports"]
        assert [row["name"] for row in found] == list(documents.DOCUMENTS)
        assert found[2] == {
            "name": "statement",
            "title": "Statement of a program",
            "meaning": documents.DOCUMENTS["statement"].meaning,
            "parameters": ["scope", "month", "period", "since", "before", "known_at"],
            "needs": ["scope"],
            "forms": [
                {"name": "csv", "media_type": "text/csv"},
                {"name": "jsonl", "media_type": "application/jsonl"},
                {"name": "pdf", "media_type": "application/pdf"},
                {"name": "signed", "media_type": "application/zip"},
            ],
        }


class TestReport:
    def test_comes_as_json_lines_unless_asked_otherwise(self, client: APIClient) -> None:
        answer = get(client, "fees", **NOVEMBER)
        assert answer["Content-Type"] == "application/jsonl"
        head, row, end = map(json.loads, answer.body.decode().splitlines())
        assert (head["report"], row["fees"], end) == ("fees", "701", {"rows": 1})

    @pytest.mark.parametrize(
        ("accept", "query"), [("text/csv", {}), ("*/*", {"format": "csv"}), ("text/csv, */*;q=0.1", {})]
    )
    def test_comes_as_csv_by_header_or_parameter(
        self, client: APIClient, accept: str, query: dict[str, str]
    ) -> None:
        answer = get(client, "statement", accept, scope=SCOPE, **NOVEMBER, **query)
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"] == ('attachment; filename="statement-program-7-2026-11-30.csv"')
        rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
        assert (rows[0]["part"], rows[0]["amount"]) == ("held before", "818766")

    def test_takes_every_time(self, client: APIClient) -> None:
        asked = {
            "since": "2026-11-01T05:00:00+05:00",
            "before": "2026-12-01T00:00:00Z",
            "known_at": "2100-01-01T00:00:00Z",
            "account": CODES.hot_wallet,
            "layer": "settled",
        }
        head, *rows, end = map(json.loads, get(client, "general-ledger", **asked).body.decode().splitlines())
        assert head["since"] == "2026-11-01T00:00:00.000000Z"
        assert [row["balance"] for row in rows] == ["818766", "728066", "728065", "728065"]
        assert end == {"rows": 4}

    def test_names_the_file_in_plain_letters(self, client: APIClient) -> None:
        answer = get(client, "fees", scope='a"b\n;c/خ', **NOVEMBER)
        assert answer["Content-Disposition"] == 'attachment; filename="fees-a-b--c---2026-11-30.jsonl"'

    @pytest.mark.parametrize(
        ("form", "begin"), [("beancount", b"option "), ("hledger", b"commodity "), ("csv", b"entry_id,")]
    )
    def test_gives_the_journal_for_other_programs(self, client: APIClient, form: str, begin: bytes) -> None:
        answer = get(client, "journal", format=form, scope=SCOPE)
        assert answer.body.startswith(begin)
        assert answer["Content-Type"].startswith("text/")

    def test_gives_a_statement_in_its_only_form(self, client: APIClient) -> None:
        answer = get(client, "account-statement", account=CODES.hot_wallet)
        assert answer["Content-Type"] == "application/xml"
        assert answer.body.startswith(b"<?xml ")

    def test_is_signed(self, client: APIClient, settings: Any) -> None:
        settings.GOVPAY_SEAL_KEY = bytes(32)
        document, note = opened(get(client, "fees", format="signed", month="2026-10").body)
        assert document.startswith(b"%PDF-")
        assert checkpoints.signer().verifier.name in note

    @pytest.mark.parametrize(
        ("name", "query", "expected"),
        [
            ("balance-sheet", {}, (404, "unknown_report")),
            ("fees", {"format": "xls"}, (404, "not_found")),
            ("fees", {"format": "beancount"}, (422, "unknown_form")),
            ("general-ledger", {"format": "pdf"}, (422, "unknown_form")),
            ("statement", {}, (422, "required")),
            ("monthly-account", {}, (422, "required")),
            ("account-statement", {}, (422, "required")),
            ("account-statement", {"account": CODES.payable}, (422, "no_statement")),
            ("account-statement", {"account": "Assets:Nowhere"}, (404, "not_found")),
            ("general-ledger", {"account": "Nope"}, (404, "not_found")),
            ("journal", {"account": "Nope"}, (404, "not_found")),
            ("monthly-account", {"month": "9998-01", "format": "signed"}, (409, "time_not_over")),
            ("fees", {"layer": "pending"}, (422, "unknown_parameter")),
            ("fees", {"layer": "gold"}, (400, "invalid_choice")),
            ("fees", {"month": "2026-13"}, (400, "invalid")),
            ("fees", {"month": "2026-11", "before": "2026-12-01T00:00:00Z"}, (422, "invalid")),
            ("fees", {"period": "2026-11"}, (404, "not_found")),
            ("fees", {"since": "yesterday"}, (400, "invalid")),
            ("fees", {"scop": "program:7"}, (400, "unknown_parameter")),
            ("fees", {"scope": "a\0b"}, (400, "null_characters_not_allowed")),
            ("fees", {"scope": "x" * 41}, (400, "max_length")),
        ],
    )
    def test_refuses_what_it_does_not_understand(
        self, client: APIClient, name: str, query: dict[str, str], expected: tuple[int, str]
    ) -> None:
        assert refusal(client, name, **query) == expected

    def test_refuses_to_sign_without_a_key(self, client: APIClient, settings: Any) -> None:
        settings.GOVPAY_SEAL_KEY = None
        assert refusal(client, "fees", format="signed") == (409, "no_seal_key")

    @pytest.mark.parametrize("accept", ["application/json", "image/png"])
    def test_refuses_what_it_cannot_make(self, client: APIClient, accept: str) -> None:
        assert refusal(client, "fees", accept)[0] == 406
