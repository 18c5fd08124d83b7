"""Projections and costs elsewhere over HTTP."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import CostBaseline, Program
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

COST: dict[str, Any] = {
    "name": "M-Pesa",
    "numerator": 16,
    "denominator": 1_000,
    "source": "GiveDirectly",
    "measured_date": "2014-01-01",
}


def address(program: Program, rest: str = "") -> str:
    return f"/api/v1/programs/{program.pk}/projection/{rest}"


class TestProjection:
    def test_shows_blocks_hours_sizes_and_costs(self, api: Api, program: Program, auditor: User) -> None:
        asked = "?p2wpkh=10200000&amount_minor=1450000&currency=PKR&price_minor=2810000000"
        body = expect.ok(api(auditor).get(address(program, asked)))
        costs = body.pop("costs")
        assert body == {
            "people": 10_200_000,
            "payouts": 20_400,
            "vsize_vb": 318_484_800,
            "blocks": 319,
            "hours": "53.2",
            "block_share_percent": 100,
            "amount_sat": 51_601,
            "currency": "PKR",
            "price_minor": 2_810_000_000,
            "comparisons": [],
        }
        assert [cost["feerate_sat_vb"] for cost in costs] == [1, 5, 20, 50]
        assert costs[1] == {
            "feerate_sat_vb": 5,
            "fee_sat": 1_592_424_000,
            "fee_per_payment_sat": "156.120",
            "fee_per_payment_minor": "4386.972",
            "share": "0.003026",
        }

    def test_shows_no_share_and_no_currency_that_nobody_gave(
        self, api: Api, program: Program, auditor: User
    ) -> None:
        body = expect.ok(api(auditor).get(address(program, "?p2tr=1")))
        assert {(cost["share"], cost["fee_per_payment_minor"]) for cost in body["costs"]} == {(None, None)}
        assert (body["amount_sat"], body["currency"], body["price_minor"]) == (None, "", None)

    def test_is_of_the_people_who_are_enrolled_where_nobody_says_how_many(
        self, api: Api, program: Program, auditor: User
    ) -> None:
        expect.problem(api(auditor).get(address(program)), 422, "invalid_input")
        for _ in range(3):
            factories.make_enrollment(program)
        body = expect.ok(api(auditor).get(address(program)))
        assert (body["people"], body["payouts"]) == (3, 1)

    @pytest.mark.parametrize(
        ("asked", "status", "code", "field"),
        [
            ("?p2wpkh=9999999999&p2tr=9999999999", 422, "invalid_input", None),
            ("?p2wpkh=-1", 400, "validation_error", "p2wpkh"),
            ("?p2wpkh=1e9", 400, "validation_error", "p2wpkh"),
            ("?people=5", 400, "validation_error", "people"),
            ("?p2wpkh=5&block_share_percent=0", 400, "validation_error", "block_share_percent"),
            ("?p2wpkh=5&currency=pkr", 400, "validation_error", "currency"),
            ("?p2wpkh=5&amount_minor=5", 422, "invalid_input", None),
        ],
    )
    def test_refuses_what_is_no_question(
        self,
        api: Api,
        program: Program,
        auditor: User,
        asked: str,
        status: int,
        code: str,
        field: str | None,
    ) -> None:
        body = expect.problem(api(auditor).get(address(program, asked)), status, code)
        if field is not None:
            assert [error["field"] for error in body["errors"]] == [field]


class TestBaselines:
    def test_stands_beside_the_projection(self, api: Api, program: Program) -> None:
        client = api(factories.make_member(program, "treasurer"))
        made = expect.ok(client.post(address(program, "baselines/"), COST), 201)
        body = expect.ok(client.get(address(program, "?p2wpkh=1000&amount_sat=100000")))
        (found,) = body["comparisons"]
        assert found["baseline"] == made
        assert (found["cost_per_payment_sat"], found["why_not"]) == ("1600.000", "")
        assert found["times"][0] == {"feerate_sat_vb": 1, "times": "51.243"}
        body = expect.ok(client.get(address(program, "?p2wpkh=1000")))
        assert body["comparisons"][0]["cost_per_payment_sat"] is None
        assert [row["times"] for row in body["comparisons"][0]["times"]] == [None] * 4

    def test_counts_once_for_one_key(self, api: Api, program: Program) -> None:
        client = api(factories.make_member(program, "treasurer"))
        for _ in range(2):
            expect.ok(client.post(address(program, "baselines/"), COST, HTTP_IDEMPOTENCY_KEY="one"), 201)
        assert CostBaseline.objects.count() == 1

    def test_needs_the_treasurer(self, api: Api, program: Program, officer: User) -> None:
        expect.problem(api(officer).post(address(program, "baselines/"), COST), 403, "role_missing")
