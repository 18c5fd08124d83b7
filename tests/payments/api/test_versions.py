"""ETags: what is shown has one, and a change that names one is made to exactly that or not at all."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.api import versions
from payments.models import DestinationChange, Disbursement, Program
from payments.services import disbursements
from tests import factories, racing
from tests.govpay import routes
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


def address(disbursement: Disbursement) -> str:
    return f"/api/v1/disbursements/{disbursement.pk}/"


class TestRead:
    def test_marks_one_thing_with_a_version_that_stays(
        self, api: Api, draft: Disbursement, officer: User
    ) -> None:
        first, second = (api(officer).get(address(draft)) for _ in range(2))
        assert first["ETag"] == second["ETag"]
        assert first["ETag"][0] == first["ETag"][-1] == '"'
        disbursements.submit(by=officer, disbursement_id=draft.pk)
        assert api(officer).get(address(draft))["ETag"] != first["ETag"]

    def test_is_short_for_who_has_it_already(self, api: Api, draft: Disbursement, officer: User) -> None:
        client = api(officer)
        known = client.get(address(draft))["ETag"]
        for header in (known, f"W/{known}", f'"other", {known}', "*"):
            again = client.get(address(draft), headers={"if-none-match": header})
            assert (again.status_code, again.content, again["ETag"]) == (304, b"", known)
        disbursements.submit(by=officer, disbursement_id=draft.pk)
        expect.ok(client.get(address(draft), headers={"if-none-match": known}))

    def test_leaves_pages_without(self, api: Api, program: Program, officer: User) -> None:
        assert "ETag" not in api(officer).get("/api/v1/programs/").headers

    def test_differs_where_people_are_shown_different_things(
        self, api: Api, program: Program, officer: User, approver: User
    ) -> None:
        person = factories.make_enrollment(program)
        tags = {api(user).get(f"/api/v1/enrollments/{person.pk}/")["ETag"] for user in (officer, approver)}
        assert len(tags) == 2


class TestChange:
    def test_is_made_to_what_was_looked_at(self, api: Api, draft: Disbursement, officer: User) -> None:
        client = api(officer)
        seen = client.get(address(draft))["ETag"]
        made = client.post(f"{address(draft)}submit/", headers={"if-match": seen})
        assert expect.ok(made)["status"] == "submitted"

    @pytest.mark.parametrize("header", ['"stale"', "garbage", "", 'W/"x"'])
    def test_of_something_else_is_refused_and_moves_nothing(
        self, api: Api, draft: Disbursement, officer: User, header: str
    ) -> None:
        client = api(officer)
        seen = client.get(address(draft))["ETag"]
        refused = client.post(f"{address(draft)}submit/", headers={"if-match": header})
        assert expect.problem(refused, 412, "version_changed")["details"] == {"etag": seen}
        assert Disbursement.objects.get().status == "draft"

    def test_takes_whatever_is_there_for_a_star(self, api: Api, draft: Disbursement, officer: User) -> None:
        expect.ok(api(officer).post(f"{address(draft)}submit/", headers={"if-match": "*"}))

    def test_that_is_repeated_is_answered_as_the_first_time(
        self, api: Api, draft: Disbursement, officer: User
    ) -> None:
        client = api(officer)
        headers = {"if-match": client.get(address(draft))["ETag"], "idempotency-key": "once"}
        first, again = (client.post(f"{address(draft)}submit/", headers=headers) for _ in range(2))
        assert expect.ok(first) == expect.ok(again)
        assert again["Idempotency-Replayed"] == "true"

    def test_of_an_address_where_somebody_is_paid_is_lost_to_nobody(
        self, api: Api, program: Program, officer: User, approver: User
    ) -> None:
        person = factories.make_enrollment(program)
        client, where = api(officer), f"/api/v1/enrollments/{person.pk}/"
        seen = client.get(where)["ETag"]
        new = {"address": "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "note": "A new telephone."}
        made = expect.ok(client.post(f"{where}destination-changes/", new, headers={"if-match": seen}), 201)
        confirmed = api(approver).post(
            f"/api/v1/destination-changes/{made['id']}/confirm/", {"note": "Called back."}
        )
        expect.ok(confirmed)
        before = DestinationChange.objects.count()
        refused = client.post(f"{where}destination-changes/", new, headers={"if-match": seen})
        expect.problem(refused, 412, "version_changed")
        assert DestinationChange.objects.count() == before

    def test_names_no_version_where_there_is_none(self, api: Api, officer: User) -> None:
        client = api(officer)
        for where in ("programs/", "stops/"):
            refused = client.post(f"/api/v1/{where}", {}, headers={"if-match": '"x"'})
            expect.problem(refused, 400, "if_match_unsupported")

    def test_is_refused_stale_at_every_address_that_names_one_thing(
        self, api: Api, furnished: dict[str, Any], everybody: User
    ) -> None:
        client = api(everybody)
        tried = set()
        for method, route in routes.operations():
            names = routes.names(route)
            if method == "POST" and versions.are_kept(names):
                where = route.format_map({name: furnished[name.removesuffix("_id")].pk for name in names})
                answer = client.post(where, {}, headers={"if-match": '"stale"'})
                expect.problem(answer, 412, "version_changed")
                tried.update(names)
        assert tried == {
            "disbursement_id",
            "enrollment_id",
            "grievance_id",
            "intervention_id",
            "payment_id",
        }


@pytest.mark.django_db(transaction=True)
def test_nothing_comes_between_the_comparison_and_the_change(
    api: Api, program: Program, officer: User
) -> None:
    factories.fund(program)
    draft = factories.make_disbursement(program, officer)
    client = api(officer)
    seen = client.get(address(draft))["ETag"]

    def submit_as_seen() -> Any:
        return client.post(f"{address(draft)}submit/", headers={"if-match": seen})

    def submit() -> Disbursement:
        return disbursements.submit(by=officer, disbursement_id=draft.pk)

    _, late = racing.race(submit, submit_as_seen)
    assert late.error is None
    expect.problem(late.result, 412, "version_changed")
