"""The feed over the API: a program's own, by number, and as dear at its end as at its start."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Disbursement, Program, StatusChange
from payments.payout import events
from payments.services import disbursements, grievances
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


def address(program: Program) -> str:
    return f"/api/v1/programs/{program.pk}/events/"


def test_tells_what_became_of_a_list(
    api: Api, program: Program, approved: Disbursement, releaser: User
) -> None:
    client = api(releaser)
    events.number()
    seen = expect.ok(client.get(address(program)))["results"]
    assert [(row["number"], row["type"], row["subject_id"]) for row in seen] == [
        (1, "disbursement.submitted", approved.pk),
        (2, "disbursement.approved", approved.pk),
    ]
    assert set(seen[0]) == {"number", "type", "subject", "subject_id", "old", "new", "at"}
    agreed = bytes(approved.manifest_hash or b"")
    disbursements.release(by=releaser, disbursement_id=approved.pk, manifest_hash=agreed)
    assert expect.ok(client.get(f"{address(program)}?after=0"))["results"] == seen
    assert expect.ok(client.get(f"{address(program)}?after=2"))["results"] == []
    events.number()
    (row,) = expect.ok(client.get(f"{address(program)}?after=2"))["results"]
    assert (row["number"], row["old"], row["new"]) == (3, "approved", "released")


def test_is_for_those_who_belong_to_the_program(api: Api, program: Program, outsider: User) -> None:
    expect.problem(api(outsider).get(address(program)), 404, "not_found")


def test_is_read_of_one_subject(api: Api, program: Program, draft: Disbursement, officer: User) -> None:
    made = grievances.lodge_in_person(
        program_id=program.pk, reference="", national_id="", category="other", text="Help."
    ).grievance
    StatusChange.objects.create(subject="disbursement", subject_id=draft.pk, old="a", new="b", reason="r")
    events.number()
    (row,) = expect.ok(api(officer).get(f"{address(program)}?subject=grievance"))["results"]
    assert (row["type"], row["subject_id"], row["old"]) == ("grievance.lodged", made.pk, "")


@pytest.mark.parametrize("query", ["after=-1", "after=x", "subject=people", "number=1"])
def test_refuses_what_it_does_not_know(api: Api, program: Program, officer: User, query: str) -> None:
    expect.problem(api(officer).get(f"{address(program)}?{query}"), 400, "validation_error")


def test_is_read_in_pages_without_a_gap_at_a_constant_cost(
    api: Api, program: Program, draft: Disbursement, officer: User
) -> None:
    StatusChange.objects.bulk_create(
        StatusChange(subject="disbursement", subject_id=draft.pk, old="a", new="b", reason="r")
        for _ in range(15)
    )
    events.number()
    client: Any = api(officer)
    where, numbers, costs = f"{address(program)}?page_size=4", [], set()
    while where is not None:
        with CaptureQueriesContext(connection) as queries:
            page = expect.ok(client.get(where))
        numbers += [row["number"] for row in page["results"]]
        costs.add(len(queries))
        where = page["next"]
    assert numbers == list(range(1, 16))
    assert len(costs) == 1
    with CaptureQueriesContext(connection) as queries:
        expect.ok(client.get(f"{address(program)}?page_size=15"))
    assert {len(queries)} == costs
