"""Outcomes and baselines over HTTP."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import OutcomeBaseline, Program
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

COST: dict[str, Any] = {"figure": "cost_share", "numerator": 16, "denominator": 1_000, "source": "A report"}


def address(program: Program, rest: str = "") -> str:
    return f"/api/v1/programs/{program.pk}/outcomes/{rest}"


class TestOutcomes:
    def test_shows_every_figure_with_both_its_numbers(
        self, api: Api, furnished: dict[str, Any], program: Program, auditor: User
    ) -> None:
        body = expect.ok(api(auditor).get(address(program)))
        found = {row["figure"]: row for row in body["figures"]}
        assert len(found) == 12
        settled = found["settled_share"]
        assert (settled["numerator"], settled["denominator"], settled["seconds"]) == (0, 3, None)
        assert settled["name"] == "Approved payments that are settled"

    def test_takes_a_span_of_time(
        self, api: Api, furnished: dict[str, Any], program: Program, auditor: User
    ) -> None:
        body = expect.ok(
            api(auditor).get(address(program, "?since=2020-01-01T00:00:00Z&before=2021-01-01T00:00:00Z"))
        )
        assert body["since"] == "2020-01-01T00:00:00Z"
        assert {row["denominator"] for row in body["figures"]} == {0}

    def test_refuses_a_span_that_ends_before_it_begins(
        self, api: Api, program: Program, auditor: User
    ) -> None:
        answer = api(auditor).get(address(program, "?since=2021-01-01T00:00:00Z&before=2020-01-01T00:00:00Z"))
        body = expect.problem(answer, 400, "validation_error")
        assert [(error["field"], error["code"]) for error in body["errors"]] == [("before", "span_empty")]


class TestBaselines:
    def test_stands_beside_the_outcome(self, api: Api, program: Program) -> None:
        client = api(factories.make_member(program, "treasurer"))
        made = expect.ok(client.post(address(program, "baselines/"), COST), 201)
        found = {row["figure"]: row["baseline"] for row in expect.ok(client.get(address(program)))["figures"]}
        assert found["cost_share"] == made
        assert found["cost_per_payment"] is None

    def test_counts_once_for_one_key(self, api: Api, program: Program) -> None:
        client = api(factories.make_member(program, "treasurer"))
        for _ in range(2):
            expect.ok(client.post(address(program, "baselines/"), COST, HTTP_IDEMPOTENCY_KEY="one"), 201)
        assert OutcomeBaseline.objects.count() == 1

    def test_needs_the_treasurer(self, api: Api, program: Program, officer: User) -> None:
        expect.problem(api(officer).post(address(program, "baselines/"), COST), 403, "role_missing")
