"""Periods opened, closed and sealed over the API: by two people, once a key, and never by who only reads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from ledger import chart, periods, selectors
from ledger.models import Period, PeriodChange
from tests import factories

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
LIST = "/api/v1/periods/"
NEXT = {"name": "2026-11", "ends_at": "2099-01-01T00:00:00Z"}

pytestmark = pytest.mark.django_db


def send(user: User, path: str, key: str | None = None, **body: Any) -> Any:
    client = APIClient()
    client.force_authenticate(user)
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(f"{LIST}{path}", body, format="json", headers=headers)


def get(user: User, path: str) -> Any:
    client = APIClient()
    client.force_authenticate(user)
    return client.get(f"{LIST}{path}")


def stored() -> tuple[list[str], list[tuple[str, str]]]:
    """What the database holds of periods, and what was done with them by whom."""
    names = list(Period.objects.order_by("pk").values_list("name", flat=True))
    return names, list(PeriodChange.objects.order_by("pk").values_list("status", "actor"))


@pytest.fixture
def dalia() -> User:
    """Closes."""
    return factories.make_user("dalia", periods.RIGHT, "ledger.view_entry")


@pytest.fixture
def emil() -> User:
    """Seals."""
    return factories.make_user("emil", periods.RIGHT, "ledger.view_entry")


@pytest.fixture
def auditor() -> User:
    """Looks."""
    return factories.make_user("auditor", "ledger.view_entry")


@pytest.fixture
def october(dalia: User) -> Period:
    """October is over and open."""
    chart.open_program(7)
    return periods.open_next(by=dalia, name="2026-10", ends_at=NOVEMBER)


class TestTwoPeople:
    def test_open_close_reopen_and_seal(self, dalia: User, emil: User) -> None:
        opened = send(dalia, "", name="2026-10", ends_at="2026-11-01T00:00:00Z")
        body = opened.json()
        assert (opened.status_code, body["status"], body["opened_by"], body["changes"]) == (
            201,
            "open",
            "dalia",
            [],
        )
        path = f"{body['id']}/"
        for verb, note, status in (
            ("close", "All in", "closing"),
            ("reopen", "One is missing", "open"),
            ("close", "", "closing"),
        ):
            done = send(dalia, f"{path}{verb}/", note=note)
            assert (done.status_code, done.json()["status"]) == (200, status)
            assert done.json()["changes"][-1]["note"] == note
        figures = get(emil, f"{path}figures/").json()
        assert (figures["entry_count"], len(figures["digest"])) == (0, 64)
        sealed = send(emil, f"{path}seal/", digest=figures["digest"], note="Looked at").json()
        last = sealed["changes"][-1]
        assert (sealed["status"], last["actor"], last["note"], last["digest"], last["leaf"]) == (
            "sealed",
            "emil",
            "Looked at",
            figures["digest"],
            None,
        )
        assert sealed == get(emil, path).json()
        assert periods.is_as_sealed(selectors.get_period("2026-10"))

    def test_are_not_one(self, dalia: User, october: Period) -> None:
        send(dalia, f"{october.pk}/close/")
        digest = get(dalia, f"{october.pk}/figures/").json()["digest"]
        refused = send(dalia, f"{october.pk}/seal/", digest=digest)
        assert (refused.status_code, refused.json()["code"]) == (403, "same_person_twice")
        assert stored() == (["2026-10"], [("closing", "dalia")])


class TestRefusals:
    def test_have_codes(self, dalia: User, emil: User, october: Period) -> None:
        november = send(dalia, "", name="2026-11", ends_at="2026-11-02T00:00:00Z").json()["id"]
        december = send(dalia, "", **NEXT | {"name": "2026-12"}).json()["id"]
        for verb, pk, body, code in (
            ("reopen", october.pk, {}, "period_state"),
            ("seal", october.pk, {"digest": "00" * 32}, "period_state"),
            ("close", november, {}, "period_order"),
            ("close", december, {}, "period_not_over"),
        ):
            refused = send(emil, f"{pk}/{verb}/", **body)
            assert (refused.status_code, refused.json()["code"]) == (409, code), verb
        figures = get(emil, f"{october.pk}/figures/")
        assert (figures.status_code, figures.json()["code"]) == (409, "period_state")
        send(dalia, f"{october.pk}/close/")
        refused = send(emil, f"{october.pk}/seal/", digest="00" * 32)
        assert (refused.status_code, refused.json()["code"]) == (409, "period_changed")
        for verb in ("close", "reopen", "seal"):
            unknown = send(
                emil, f"{december + 1}/{verb}/", **({"digest": "00" * 32} if verb == "seal" else {})
            )
            assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found"), verb
        assert stored()[1] == [("closing", "dalia")]

    @pytest.mark.parametrize(
        ("verb", "body", "status", "field"),
        [
            ("", NEXT | {"name": ""}, 400, "name"),
            ("", NEXT | {"name": " x"}, 422, "name"),
            ("", NEXT | {"name": "2026-10"}, 422, "name"),
            ("", NEXT | {"name": "x" * 31}, 400, "name"),
            ("", NEXT | {"ends_at": "soon"}, 400, "ends_at"),
            ("", NEXT | {"ends_at": "2026-10-31T00:00:00Z"}, 422, "ends_at"),
            ("", {"name": "2026-11"}, 400, "ends_at"),
            ("", NEXT | {"status": "sealed"}, 400, "status"),
            ("close", {"note": "x" * 301}, 400, "note"),
            ("close", {"notes": "x"}, 400, "notes"),
            ("reopen", {"note": None}, 400, "note"),
            ("seal", {}, 400, "digest"),
            ("seal", {"digest": "AB" * 32}, 400, "digest"),
        ],
    )
    def test_name_the_field(
        self, dalia: User, october: Period, verb: str, body: dict[str, Any], status: int, field: str
    ) -> None:
        refused = send(dalia, f"{october.pk}/{verb}/" if verb else "", **body)
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error.get("field") or error.get("column")) == (status, field)
        assert stored() == (["2026-10"], [])


class TestRights:
    def test_let_an_auditor_read_and_no_more(self, auditor: User, dalia: User, october: Period) -> None:
        periods.close(by=dalia, name="2026-10")
        digest = get(auditor, f"{october.pk}/figures/").json()["digest"]
        assert digest == periods.figures(october).digest.hex()
        refused = [send(auditor, "", **NEXT)]
        refused += [send(auditor, f"{october.pk}/{verb}/", note="x") for verb in ("close", "reopen")]
        # The door refuses before it reads the body.
        refused += [send(auditor, f"{october.pk}/seal/", **body) for body in ({"digest": digest}, {})]
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(403, "forbidden")}
        assert stored() == (["2026-10"], [("closing", "dalia")])

    def test_show_nothing_to_who_does_not_read_the_books(self, october: Period) -> None:
        stranger = factories.make_user("stranger", periods.RIGHT)
        assert get(stranger, f"{october.pk}/figures/").status_code == 403
        assert send(stranger, f"{october.pk}/close/").status_code == 403
        assert send(stranger, "", **NEXT).status_code == 403
        assert stored() == (["2026-10"], [])


class TestKeys:
    def test_do_what_comes_twice_once(self, dalia: User, emil: User, october: Period) -> None:
        def twice(user: User, path: str, key: str, **body: Any) -> None:
            first, again = (send(user, path, key, **body) for _ in range(2))
            assert (first.status_code // 100, again.status_code) == (2, first.status_code)
            assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
            other = send(user, path, key, **body | {"note": "Something else."})
            assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")

        twice(dalia, "", "open", **NEXT)
        twice(dalia, f"{october.pk}/close/", "close")
        twice(dalia, f"{october.pk}/reopen/", "reopen", note="One is missing")
        twice(dalia, f"{october.pk}/close/", "close-again", note="Now")
        digest = get(emil, f"{october.pk}/figures/").json()["digest"]
        twice(emil, f"{october.pk}/seal/", "seal", digest=digest)
        assert stored() == (
            ["2026-10", "2026-11"],
            [("closing", "dalia"), ("open", "dalia"), ("closing", "dalia"), ("sealed", "emil")],
        )
