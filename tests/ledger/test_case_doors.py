"""Cases over the API and in the admin: seen by all readers of the books, resolved by two who may."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from ledger import books, chart
from ledger.models import Case, CaseEvent, Entry, RunStatus
from ledger.reconciliation import cases, following
from tests import factories
from tests.ledger import statements, witness
from tests.ledger.witness import World, reconcile

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/api/v1/reconciliation-cases/"
ACCOUNT = chart.program_accounts(witness.PROGRAM).appropriation
SHA256 = "ab" * 32
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


def suspend(case: Case, dalia: User, omar: User) -> Case:
    """Book the case to suspense, and let a run look."""
    cases.propose(by=dalia, case_id=case.pk, resolution="suspense", note="Nobody knows.")
    cases.approve(by=omar, case_id=case.pk, proposal=1)
    reconcile()
    return cases.get(case.pk)


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

    def test_lets_two_people_move_it_out_of_suspense(
        self, case: Case, dalia: User, omar: User, auditor: User
    ) -> None:
        suspend(case, dalia, omar)
        shown = api(auditor).get(f"{LIST}{case.pk}/").json()
        assert (shown["status"], shown["suspense_sat"], shown["suspense_ref"]) == (
            "suspended",
            -70,
            case.unit,
        )
        asked = {"resolution": "account", "note": "The treasury's.", "account": ACCOUNT}
        refused = verb(api(dalia), case, "propose", **asked)
        assert (refused.status_code, refused.json()["errors"][0]["column"]) == (422, "evidence_sha256")
        found = verb(api(dalia), case, "propose", **asked, evidence_sha256=SHA256).json()
        assert (found["status"], found["account"], found["proposal"]) == ("proposed", ACCOUNT, 2)
        assert verb(api(dalia), case, "approve", proposal=2).json()["code"] == "same_person_twice"
        done = verb(api(omar), case, "approve", proposal=2).json()
        assert (done["status"], done["suspense_sat"]) == ("explained", 0)
        assert Entry.objects.get(pk=done["entry_id"]).kind == "reclassification"
        reconcile()
        assert api(auditor).get(f"{LIST}{case.pk}/").json()["status"] == "closed"
        undone = {"resolution": "reversal", "note": "Not so.", "entry_id": done["entry_id"]}
        assert verb(api(omar), case, "propose", **undone).json()["status"] == "proposed"
        assert verb(api(dalia), case, "approve", proposal=3).json()["suspense_sat"] == -70

    def test_does_what_comes_twice_under_one_key_once(self, case: Case, dalia: User, omar: User) -> None:
        def send(user: User, name: str, key: str, **body: Any) -> Any:
            url, content = f"{LIST}{case.pk}/{name}/", VERBS[name] | body
            return api(user).post(url, content, format="json", headers={"Idempotency-Key": key})

        suspense = {"resolution": "suspense", "note": "Nobody knows."}
        for user, name, body in (
            (omar, "assign", {}),
            (dalia, "propose", {}),
            (omar, "reject", {}),
            (dalia, "propose", {"note": "Another letter."}),
            (dalia, "withdraw", {"proposal": 2}),
            (dalia, "propose", suspense),
            (omar, "approve", {"proposal": 3}),
        ):
            key = f"{name}-{body}".replace(" ", "")
            first, again = (send(user, name, key, **body) for _ in range(2))
            assert (first.status_code, again.status_code) == (200, 200)
            assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
            other = send(user, name, key, **body | {"note": "Something else."})
            assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        actions = CaseEvent.objects.filter(case=case).order_by("pk").values_list("action", flat=True)
        assert list(actions)[1:] == [
            "assigned",
            "proposed",
            "rejected",
            "proposed",
            "withdrawn",
            "proposed",
            "approved",
        ]
        assert books.balance("Liabilities:Suspense:P7") == -70

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
        few = statements.count(lambda: api(auditor).get(LIST))
        world.mine()
        for number in range(20, 25):
            world.deposit(number, 70, is_booked=False)
        reconcile()
        assert Case.objects.count() == 6
        assert statements.count(lambda: api(auditor).get(LIST)) == few == 1


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
        for name in (*VERBS, "move", "undo"):
            assert page(case, name) not in text
            assert client.post(page(case, name), VERBS.get(name, {})).status_code == 403
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

    def test_lets_two_people_move_it_out_of_suspense(
        self, case: Case, dalia: User, omar: User, auditor: User
    ) -> None:
        case = suspend(case, dalia, omar)
        first, second = browser(dalia), browser(omar)
        text = first.get(page(case)).content.decode()
        assert ("In suspense" in text, "-70 sat" in text) == (True, True)
        assert page(case, "move") in text
        asked = first.get(page(case, "move")).content.decode()
        assert "On suspense stands a credit of 70 sat." in asked
        assert f'<option value="{ACCOUNT}">' in asked
        wanted = {"account": ACCOUNT, "note": "The treasury's.", "evidence_sha256": SHA256}
        for wrong in ({"account": "Assets:HotWallet:P7"}, {"evidence_sha256": ""}, {"note": ""}):
            assert first.post(page(case, "move"), wanted | wrong).status_code == 422
        assert first.post(page(case, "move"), wanted).status_code == 302
        meaning = f"The treasury&#x27;s. What stands on suspense, a credit of 70 sat, moves to {ACCOUNT}."
        assert meaning in second.get(page(case, "approve")).content.decode()
        assert second.post(page(case, "approve"), {"proposal": 2}).status_code == 302
        reconcile()
        found = cases.get(case.pk)
        assert (found.status, books.balance(ACCOUNT)) == ("closed", -1_000_070)
        assert page(case, "undo") in first.get(page(case)).content.decode()
        seen = browser(auditor).get(page(case)).content.decode()
        assert (page(case, "undo") in seen, "reclassification" in seen) == (False, True)

    def test_lets_two_people_undo_a_booking(self, case: Case, dalia: User, omar: User) -> None:
        case = suspend(case, dalia, omar)
        asked = browser(dalia).get(page(case, "undo")).content.decode()
        assert f"Entry {case.entry_id}: suspense" in asked
        wanted = {"entry_id": case.entry_id, "note": "It is a deposit."}
        assert browser(dalia).post(page(case, "undo"), wanted | {"entry_id": 1}).status_code == 422
        assert browser(dalia).post(page(case, "undo"), wanted).status_code == 302
        assert (
            f"Entry {case.entry_id} is reversed." in browser(omar).get(page(case, "approve")).content.decode()
        )
        assert browser(omar).post(page(case, "approve"), {"proposal": 2}).status_code == 302
        reconcile()
        assert cases.get(case.pk).status == "open"

    def test_tells_nothing_of_a_case_to_who_does_not_read_the_books(self, case: Case, dalia: User) -> None:
        stranger = browser(factories.make_user("stranger", cases.RIGHT))
        cases.propose(by=dalia, case_id=case.pk, resolution="evidence", note="A secret letter.")
        before = Case.objects.values().get()
        for name in (*VERBS, "move", "undo"):
            for answer in (
                stranger.get(page(case, name)),
                stranger.post(page(case, name), VERBS.get(name, {})),
            ):
                assert answer.status_code == 403, name
                assert "secret" not in answer.content.decode()
        assert Case.objects.values().get() == before

    @pytest.mark.parametrize("number", ["999999", "abc", "9" * 30])
    @pytest.mark.parametrize("name", sorted([*VERBS, "move", "undo"]))
    def test_knows_no_verb_of_a_case_that_is_none(
        self, name: str, number: str, case: Case, dalia: User
    ) -> None:
        address = page(case, name).replace(f"/{case.pk}/", f"/{number}/")
        assert browser(dalia).get(address).status_code == 404


class TestRunsThatFoundTooMuch:
    def test_say_how_many_breaks_have_no_case_yet(
        self, world: World, auditor: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(following, "MOST_CASES_OPENED", 1)
        for number in (9, 10, 11):
            world.deposit(number, 70, is_booked=False)
        run = reconcile()
        shown = api(auditor).get(f"/api/v1/reconciliation-runs/{run.pk}/").json()
        assert (shown["break_count"], shown["uncased_count"]) == (3, 2)
        url = reverse("admin:ledger_reconciliationrun_change", args=[run.pk])
        text = browser(auditor).get(url).content.decode()
        assert "Cases that it found last, and 2 that the next runs open" in text
