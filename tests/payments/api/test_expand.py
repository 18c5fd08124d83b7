"""Pages in either direction, and what a row may be shown with besides: at the same cost however many rows there are."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Program
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.api.test_queries import grow_payments

pytestmark = pytest.mark.django_db


def address(furnished: dict[str, Any]) -> str:
    return f"/api/v1/disbursements/{furnished['disbursement'].pk}/payments/"


class TestOrdering:
    def test_turns_the_pages_round(self, api: Api, program: Program, officer: User) -> None:
        made = factories.make_disbursement(program, officer, amounts_sat=[1_000] * 5)
        where = f"/api/v1/disbursements/{made.pk}/payments/?page_size=2&ordering="
        for ordering, expected in (("line", [1, 2, 3, 4, 5]), ("-line", [5, 4, 3, 2, 1])):
            lines, following = [], f"{where}{ordering}"
            while following is not None:
                page = expect.ok(api(officer).get(following))
                lines += [row["line"] for row in page["results"]]
                following = page["next"]
            assert lines == expected

    @pytest.mark.parametrize(
        "ordering", ["", "amount_sat", "--line", "line,id", "id;", "beneficiary__personal"]
    )
    def test_is_by_the_one_column_only(
        self, api: Api, furnished: dict[str, Any], officer: User, ordering: str
    ) -> None:
        refused = api(officer).get(address(furnished), {"ordering": ordering})
        (error,) = expect.problem(refused, 400, "validation_error")["errors"]
        assert (error["field"], error["code"]) == ("ordering", "ordering_invalid")


class TestExpand:
    def test_shows_each_payment_with_its_payout(
        self, api: Api, furnished: dict[str, Any], officer: User
    ) -> None:
        client = api(officer)
        rows = expect.ok(client.get(f"{address(furnished)}?expand=payout"))["results"]
        payout = expect.ok(client.get(f"/api/v1/payouts/{furnished['payout'].pk}/"))
        shown = [row.get("payout") for row in rows]
        assert [one and one["id"] for one in shown] == [payout["id"], payout["id"], None]
        assert shown[0] == {name: payout[name] for name in shown[0]}
        assert "payout" not in expect.ok(client.get(address(furnished)))["results"][0]

    def test_costs_one_query_however_many_rows(
        self, api: Api, furnished: dict[str, Any], officer: User
    ) -> None:
        client = api(officer)

        def count(query: str) -> int:
            with CaptureQueriesContext(connection) as queries:
                expect.ok(client.get(f"{address(furnished)}{query}"))
            return len(queries)

        plain, expanded = count(""), count("?expand=payout")
        grow_payments(furnished, officer)
        assert (count(""), count("?expand=payout")) == (plain, expanded)
        assert expanded == plain + 1

    @pytest.mark.parametrize("asked", ["", "person", "payout,person", "payout,,"])
    def test_refuses_what_there_is_not(
        self, api: Api, furnished: dict[str, Any], officer: User, asked: str
    ) -> None:
        refused = api(officer).get(address(furnished), {"expand": asked})
        (error,) = expect.problem(refused, 400, "validation_error")["errors"]
        assert (error["field"], error["code"]) == ("expand", "expand_invalid")

    def test_is_an_unknown_parameter_elsewhere(self, api: Api, officer: User) -> None:
        refused = api(officer).get("/api/v1/programs/?expand=payout")
        (error,) = expect.problem(refused, 400, "validation_error")["errors"]
        assert error["code"] == "unknown_parameter"
