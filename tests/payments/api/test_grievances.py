"""Grievances through the API: the help desk takes down, takes and answers; others see no word of it."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Grievance, Program
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

NEW = {
    "category": "deduction",
    "text": "The agent kept a part.",
    "contact": "0300 1234567",
    "received_sat": 40_000,
}


@pytest.fixture
def helpdesk(program: Program) -> User:
    """Hears people."""
    return factories.make_member(program, "helpdesk")


def lodge(api: Api, by: User, program: Program, **columns: Any) -> Any:
    """Take down what a person says."""
    return api(by).post(f"/api/v1/programs/{program.pk}/grievances/", NEW | columns)


class TestLife:
    def test_is_taken_down_linked_and_answered(
        self, api: Api, program: Program, helpdesk: User, furnished: dict[str, Any]
    ) -> None:
        made = expect.ok(lodge(api, helpdesk, program), 201)
        assert (made["status"], made["text"], made["received_sat"]) == ("lodged", NEW["text"], 40_000)
        assert len(made.pop("secret")) == 31
        client, address = api(helpdesk), f"/api/v1/grievances/{made['id']}/"
        assert expect.ok(client.get(address)) == made
        taken = expect.ok(client.post(f"{address}take/", {}))
        assert (taken["status"], taken["owner"]) == ("working", helpdesk.username)
        payment = furnished["payment"].pk
        linked = expect.ok(client.post(f"{address}link/", {"payment_id": payment}))
        assert (linked["payment_id"], linked["paid_sat"], linked["missing_sat"]) == (payment, 0, -40_000)
        body = {"finding": "upheld", "text": "You are right."}
        done = expect.ok(client.post(f"{address}answer/", body))
        assert (done["status"], done["finding"], done["answer"]) == ("answered", "upheld", "You are right.")
        history = expect.ok(client.get(f"{address}history/"))["results"]
        assert [row["new"] for row in history] == ["lodged", "working", "answered"]

    def test_is_found_by_filters(self, api: Api, program: Program, helpdesk: User) -> None:
        first = expect.ok(lodge(api, helpdesk, program), 201)["id"]
        second = expect.ok(lodge(api, helpdesk, program, category="other"), 201)["id"]
        client, address = api(helpdesk), f"/api/v1/programs/{program.pk}/grievances/"
        for query, ids in (
            ("", [second, first]),
            ("?category=other", [second]),
            ("?status=working", []),
            ("?is_overdue=false", [second, first]),
            ("?is_overdue=true", []),
        ):
            assert [row["id"] for row in expect.ok(client.get(address + query))["results"]] == ids, query

    def test_is_bound_to_a_version(self, api: Api, program: Program, helpdesk: User) -> None:
        client = api(helpdesk)
        address = f"/api/v1/grievances/{expect.ok(lodge(api, helpdesk, program), 201)['id']}/"
        etag = client.get(address)["ETag"]
        assert client.post(f"{address}take/", {}, headers={"if-match": etag}).status_code == 200
        stale = client.post(
            f"{address}answer/", {"finding": "upheld", "text": "x"}, headers={"if-match": etag}
        )
        expect.problem(stale, 412, "version_changed")


class TestWords:
    @pytest.mark.parametrize(
        ("role", "reads"),
        [
            ("officer", True),
            ("auditor", True),
            ("approver", False),
            ("releaser", False),
            ("treasurer", False),
        ],
    )
    def test_are_for_who_answers_or_examines(
        self, api: Api, program: Program, helpdesk: User, role: str, reads: bool
    ) -> None:
        made = expect.ok(lodge(api, helpdesk, program), 201)
        reader = factories.make_member(program, role, "reader")
        row = expect.ok(api(reader).get(f"/api/v1/grievances/{made['id']}/"))
        listed = expect.ok(api(reader).get(f"/api/v1/programs/{program.pk}/grievances/"))["results"][0]
        assert row == listed
        assert (row["text"], row["contact"]) == ((NEW["text"], NEW["contact"]) if reads else (None, None))

    def test_are_not_for_the_security_administrator(self, api: Api, program: Program, helpdesk: User) -> None:
        made = expect.ok(lodge(api, helpdesk, program), 201)
        reader = factories.make_member(program, "security")
        expect.problem(api(reader).get(f"/api/v1/grievances/{made['id']}/"), 404, "not_found")


class TestRefusals:
    def test_name_role_and_owner(self, api: Api, program: Program, helpdesk: User, approver: User) -> None:
        expect.problem(lodge(api, approver, program), 403, "role_missing")
        address = f"/api/v1/grievances/{expect.ok(lodge(api, helpdesk, program), 201)['id']}/answer/"
        body = {"finding": "upheld", "text": "Yes."}
        expect.problem(api(helpdesk).post(address, body), 409, "grievance_not_owned")
        assert Grievance.objects.get().status == "lodged"

    @pytest.mark.parametrize(
        "columns",
        [
            {"category": "rant"},
            {"received_sat": -1},
            {"received_sat": 1.5},
            {"text": "x" * 2_001},
            {"status": "closed"},
            {"owner": "x"},
            {"is_proved": True},
        ],
    )
    def test_name_fields(self, api: Api, program: Program, helpdesk: User, columns: dict[str, Any]) -> None:
        expect.problem(lodge(api, helpdesk, program, **columns), 400, "validation_error")
        assert Grievance.objects.count() == 0
