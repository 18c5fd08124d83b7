"""Cases over the API and in the admin: seen by all readers of the books, resolved by two who may."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from ledger.models import Case, Entry, RunStatus
from ledger.reconciliation import cases
from tests import factories
from tests.ledger.witness import World, reconcile

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/api/v1/reconciliation-cases/"
VERBS: dict[str, dict[str, Any]] = {
    "assign": {"owner": "dalia"},
    "propose": {"resolution": "evidence", "note": "A letter."},
    "approve": {"proposal": 1},
    "reject": {"proposal": 1, "note": "No."},
    "withdraw": {"proposal": 1},
}


def api(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def dalia(db: None) -> User:
    return factories.make_user("dalia", "ledger.view_entry", cases.RIGHT)


@pytest.fixture
def omar(db: None) -> User:
    return factories.make_user("omar", "ledger.view_entry", cases.RIGHT)


@pytest.fixture
def auditor(db: None) -> User:
    return factories.make_user("auditor", "ledger.view_entry")


@pytest.fixture
def case(world: World) -> Case:
    world.deposit(9, 70, is_booked=False)
    reconcile()
    return Case.objects.get()


def verb(client: APIClient, case: Case, name: str, **body: Any) -> Any:
    return client.post(f"{LIST}{case.pk}/{name}/", VERBS[name] | body, format="json")


def page(case: Case, name: str = "") -> str:
    url = reverse("admin:ledger_case_change", args=[case.pk])
    return url.replace("change/", f"{name}/") if name else url


class TestApi:
    def test_shows_a_reader_what_is_known(self, case: Case, auditor: User) -> None:
        (found,) = api(auditor).get(LIST, {"status": "open", "kind": "unknown_in"}).json()["results"]
        assert (found["id"], found["found"], found["amount_sat"]) == (case.pk, "70", 70)
        assert (found["age_blocks"], found["age_days"], found["proposal"]) == (0, 0, 0)
        assert api(auditor).get(LIST, {"status": "closed"}).json()["results"] == []
        one = api(auditor).get(f"{LIST}{case.pk}/").json()
        assert [(event["action"], event["run_id"]) for event in one["events"]] == [
            ("opened", case.first_run_id)
        ]
        assert api(auditor).get(f"{LIST}{case.pk + 1}/").status_code == 404

    def test_lets_two_people_book_it_to_suspense(self, case: Case, dalia: User, omar: User) -> None:
        assert verb(api(omar), case, "assign").json()["owner"] == "dalia"
        asked = verb(api(dalia), case, "propose", resolution="suspense", note="Nobody knows.")
        assert (asked.status_code, asked.json()["status"], asked.json()["proposal"]) == (200, "proposed", 1)
        done = verb(api(omar), case, "approve").json()
        assert (done["status"], done["proposed_by"], done["decided_by"]) == ("explained", "dalia", "omar")
        assert Entry.objects.get(pk=done["entry_id"]).kind == "suspense"
        assert reconcile().status == RunStatus.CLEAN

    def test_answers_refusals_with_their_codes(self, case: Case, dalia: User, omar: User) -> None:
        sha256 = "ab" * 32
        assert verb(api(omar), case, "approve").json()["code"] == "case_state"
        assert verb(api(dalia), case, "propose", evidence_sha256=sha256).json()["evidence_sha256"] == sha256
        for client, name, body, status, code in (
            (api(dalia), "approve", {}, 403, "same_person_twice"),
            (api(omar), "approve", {"proposal": 2}, 409, "proposal_stale"),
            (api(omar), "withdraw", {}, 403, "forbidden"),
            (api(omar), "propose", {}, 409, "case_state"),
            (api(omar), "assign", {"owner": "nobody"}, 422, "invalid_input"),
            (api(omar), "approve", {"status": "closed"}, 400, "validation_error"),
            (api(omar), "reject", {"note": ""}, 400, "validation_error"),
        ):
            answer = verb(client, case, name, **body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), name
        assert verb(api(omar), case, "reject").json()["status"] == "open"

    def test_lets_a_reader_change_nothing(self, case: Case, auditor: User) -> None:
        before = Case.objects.values().get()
        for name in VERBS:
            assert verb(api(auditor), case, name).status_code == 403
        assert Case.objects.values().get() == before

    def test_shows_nothing_to_others(self, case: Case) -> None:
        stranger = factories.make_user("stranger", cases.RIGHT)
        assert api(stranger).get(LIST).status_code == 403
        assert verb(api(stranger), case, "propose").status_code == 403

    def test_takes_no_statement_a_row(self, case: Case, world: World, auditor: User) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert api(auditor).get(LIST).status_code == 200
            return len(captured)

        statements()
        few = statements()
        world.mine()
        for number in range(20, 25):
            world.deposit(number, 70, is_booked=False)
        reconcile()
        assert Case.objects.count() == 6
        assert statements() == few


class TestAdmin:
    def test_shows_a_reader_the_case_and_no_verb(self, case: Case, auditor: User) -> None:
        client = browser(auditor)
        assert (
            "Coins received, not booked"
            in client.get(page(case).replace(f"{case.pk}/change/", "")).content.decode()
        )
        text = client.get(page(case)).content.decode()
        assert "70 sat came in and 0 sat are booked for it." in text
        assert "0 blocks, 0 days" in text
        for name in VERBS:
            assert page(case, name) not in text
            assert client.post(page(case, name), VERBS[name]).status_code == 403
        assert Case.objects.get().status == "open"

    def test_lets_two_people_explain_it(self, case: Case, dalia: User, omar: User) -> None:
        first, second = browser(dalia), browser(omar)
        assert page(case, "propose") in first.get(page(case)).content.decode()
        assert first.get(page(case, "propose")).status_code == 200
        assert (
            first.post(page(case, "propose"), VERBS["propose"] | {"evidence_sha256": "x"}).status_code == 422
        )
        assert first.post(page(case, "propose"), VERBS["propose"]).status_code == 302
        offered = first.get(page(case)).content.decode()
        assert (page(case, "approve") in offered, page(case, "withdraw") in offered) == (False, True)
        refused = first.post(page(case, "approve"), VERBS["approve"])
        assert (refused.status_code, "a second person decides" in refused.content.decode()) == (422, True)
        asked = second.get(page(case, "approve")).content.decode()
        assert "Evidence: A letter." in asked
        assert 'name="proposal" value="1"' in asked
        assert second.post(page(case, "approve"), VERBS["approve"]).status_code == 302
        assert Case.objects.get().status == "explained"
        assert reconcile().status == RunStatus.CLEAN

    def test_lets_cases_be_owned_rejected_and_taken_back(self, case: Case, dalia: User, omar: User) -> None:
        first, second = browser(dalia), browser(omar)
        assert second.post(page(case, "assign"), VERBS["assign"]).status_code == 302
        first.post(page(case, "propose"), VERBS["propose"])
        assert second.post(page(case, "reject"), VERBS["reject"]).status_code == 302
        first.post(page(case, "propose"), VERBS["propose"])
        assert first.post(page(case, "withdraw"), {"proposal": 2}).status_code == 302
        found = Case.objects.get()
        assert (found.status, found.owner, found.proposal) == ("open", dalia, 2)

    @pytest.mark.parametrize("number", ["999999", "abc", "9" * 30])
    @pytest.mark.parametrize("name", sorted(VERBS))
    def test_knows_no_verb_of_a_case_that_is_none(
        self, name: str, number: str, case: Case, dalia: User
    ) -> None:
        address = page(case, name).replace(f"/{case.pk}/", f"/{number}/")
        assert browser(dalia).get(address).status_code == 404
