"""Blacking out over the API: one person asks, another agrees, readers of the books see who and why."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from ledger import periods
from ledger.models import LeafPayload, LeafSalt, Redaction, RedactionRequest
from ledger.seals import redaction, sealer
from tests import factories
from tests.ledger import statements
from tests.ledger.seals.scene import post

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")

LIST = "/api/v1/redactions/"
WHY = "The memo named a person."


def client(user: User) -> APIClient:
    made = APIClient()
    made.force_authenticate(user)
    return made


def send(user: User, path: str = "", key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client(user).post(f"{LIST}{path}", body, format="json", headers=headers)


def kept() -> tuple[int, int, int, int]:
    return (
        LeafSalt.objects.count(),
        LeafPayload.objects.count(),
        RedactionRequest.objects.count(),
        Redaction.objects.count(),
    )


@pytest.fixture
def ids() -> list[int]:
    """Three sealed entries: leaves 0 to 2."""
    found = post("a", "b", "c")
    sealer.seal()
    return found


@pytest.fixture
def clerk(ids: list[int]) -> User:
    """Asks."""
    return factories.make_user("clerk", "ledger.view_entry", redaction.RIGHT)


@pytest.fixture
def judge(ids: list[int]) -> User:
    """Agrees."""
    return factories.make_user("judge", "ledger.view_entry", redaction.RIGHT)


@pytest.fixture
def auditor(ids: list[int]) -> User:
    """Looks."""
    return factories.make_user("auditor", "ledger.view_entry")


class TestTwoPeople:
    def test_ask_and_agree(self, ids: list[int], clerk: User, judge: User, auditor: User) -> None:
        answer = send(clerk, entry_id=ids[1], why=WHY)
        asked = answer.json()
        datetime.fromisoformat(asked["asked_at"])
        assert (answer.status_code, asked) == (
            201,
            {
                "id": asked["id"],
                "leaf": 1,
                "entry_id": ids[1],
                "run_id": None,
                "period_id": None,
                "event_id": None,
                "why": WHY,
                "asked_by": "clerk",
                "asked_at": asked["asked_at"],
                "approved_by": None,
                "redacted_at": None,
                "is_redacted": False,
            },
        )
        assert kept() == (3, 3, 1, 0)
        agreed = send(judge, f"{asked['id']}/agree/")
        done = agreed.json()
        assert agreed.status_code == 200
        assert done == asked | {
            "approved_by": "judge",
            "redacted_at": done["redacted_at"],
            "is_redacted": True,
        }
        assert datetime.fromisoformat(done["redacted_at"]) == Redaction.objects.get().redacted_at
        assert kept() == (2, 2, 1, 1)
        assert client(auditor).get(f"{LIST}{asked['id']}/").json() == done

    def test_black_out_the_note_of_a_period_by_its_leaf(self, clerk: User, judge: User) -> None:
        closer = factories.make_user("closer", periods.RIGHT)
        period = periods.open_next(by=closer, name="old", ends_at=datetime(2020, 1, 1, tzinfo=UTC))
        periods.close(by=closer, name="old", note="A name slipped in.")
        sealer.seal()
        shown = client(clerk).get(f"/api/v1/periods/{period.pk}/").json()
        assert shown["changes"][0]["leaf"] == 3
        asked = send(clerk, leaf=3, why="A name.").json()
        assert (asked["leaf"], asked["entry_id"], asked["period_id"]) == (3, None, period.pk)
        assert send(judge, f"{asked['id']}/agree/").json()["is_redacted"] is True
        # Three entries and two audit events: what opened the period, and what closed it.
        assert kept() == (5, 5, 1, 1)

    def test_are_not_one(self, ids: list[int], clerk: User) -> None:
        asked = send(clerk, entry_id=ids[1], why=WHY).json()["id"]
        refused = send(clerk, f"{asked}/agree/")
        assert (refused.status_code, refused.json()["code"]) == (403, "same_person_twice")
        assert kept() == (3, 3, 1, 0)


class TestRefusals:
    def test_have_codes(self, ids: list[int], clerk: User, judge: User) -> None:
        first, second = (send(clerk, entry_id=ids[1], why=WHY).json()["id"] for _ in range(2))
        send(judge, f"{first}/agree/")
        (young,) = post("young")
        for refused, status, code in (
            (send(judge, f"{second}/agree/"), 409, "already_redacted"),
            (send(clerk, entry_id=ids[1], why=WHY), 409, "already_redacted"),
            (send(clerk, entry_id=young, why=WHY), 404, "not_found"),
            (send(clerk, leaf=99, why=WHY), 404, "not_found"),
            (send(judge, f"{second + 1}/agree/"), 404, "not_found"),
            (client(clerk).get(f"{LIST}{second + 1}/"), 404, "not_found"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert kept() == (2, 2, 2, 1)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"entry_id": 1}, "why"),
            ({"entry_id": 1, "why": "  "}, "why"),
            ({"entry_id": 1, "why": "x" * 301}, "why"),
            ({"why": WHY}, "entry_id"),
            ({"entry_id": 1, "leaf": 1, "why": WHY}, "entry_id"),
            ({"entry_id": 0, "why": WHY}, "entry_id"),
            ({"leaf": -1, "why": WHY}, "leaf"),
            ({"leaf": 2**63, "why": WHY}, "leaf"),
            ({"leaf": 1, "why": WHY, "approved_by": "judge"}, "approved_by"),
        ],
    )
    def test_name_the_field(self, clerk: User, body: dict[str, Any], field: str) -> None:
        refused = send(clerk, **body)
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["field"]) == (400, field)
        assert kept() == (3, 3, 0, 0)

    def test_take_nothing_with_the_agreement(self, ids: list[int], clerk: User, judge: User) -> None:
        asked = send(clerk, entry_id=ids[1], why=WHY).json()["id"]
        refused = send(judge, f"{asked}/agree/", leaf=2)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "leaf")
        assert kept() == (3, 3, 1, 0)


class TestRights:
    def test_let_an_auditor_read_and_no_more(self, ids: list[int], clerk: User, auditor: User) -> None:
        asked = send(clerk, entry_id=ids[1], why=WHY).json()
        assert client(auditor).get(LIST).json()["results"] == [asked]
        for refused in (
            send(auditor, entry_id=ids[2], why=WHY),
            # The door refuses before it reads the body.
            send(auditor),
            send(auditor, f"{asked['id']}/agree/"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert kept() == (3, 3, 1, 0)

    def test_show_nothing_to_who_does_not_read_the_books(self, ids: list[int], clerk: User) -> None:
        asked = send(clerk, entry_id=ids[1], why=WHY).json()["id"]
        stranger = factories.make_user("stranger", redaction.RIGHT)
        for path in ("", f"{asked}/"):
            assert client(stranger).get(f"{LIST}{path}").status_code == 403
        assert send(stranger, entry_id=ids[2], why=WHY).status_code == 403
        assert send(stranger, f"{asked}/agree/").status_code == 403
        assert kept() == (3, 3, 1, 0)


class TestList:
    def test_is_filtered_by_entry_and_by_what_waits(
        self, ids: list[int], clerk: User, judge: User, auditor: User
    ) -> None:
        first, second, twin = (send(clerk, entry_id=ids[n], why=WHY).json()["id"] for n in (0, 1, 0))
        send(judge, f"{first}/agree/")

        def found(**query: Any) -> list[int]:
            return [row["id"] for row in client(auditor).get(LIST, query).json()["results"]]

        assert found() == [twin, second, first]
        assert found(is_redacted="false") == [second]
        assert found(is_redacted="true") == found(entry=ids[0]) == [twin, first]
        assert client(auditor).get(LIST, {"entry": "x"}).json()["errors"][0]["field"] == "entry"

    def test_takes_no_statement_a_row(self, ids: list[int], clerk: User, auditor: User) -> None:
        send(clerk, entry_id=ids[0], why=WHY)
        few = statements.count(lambda: client(auditor).get(LIST))
        for entry_id in ids:
            send(clerk, entry_id=entry_id, why=WHY)
        assert statements.count(lambda: client(auditor).get(LIST)) == few == 1


class TestKeys:
    def test_do_what_comes_twice_once(self, ids: list[int], clerk: User, judge: User) -> None:
        first, again = (send(clerk, "", "ask", entry_id=ids[1], why=WHY) for _ in range(2))
        assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
        assert send(clerk, "", "ask", entry_id=ids[2], why=WHY).json()["code"] == "idempotency_key_reused"
        path = f"{first.json()['id']}/agree/"
        done, replayed = (send(judge, path, "agree") for _ in range(2))
        assert (done.status_code, replayed.status_code) == (200, 200)
        assert (replayed.json(), replayed.headers["Idempotency-Replayed"]) == (done.json(), "true")
        assert kept() == (2, 2, 1, 1)
