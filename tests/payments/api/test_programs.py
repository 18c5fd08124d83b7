"""Programs through the API: who makes them, who works in them, what they hold."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Membership, NodeStatus, Program, Wallet
from payments.onchain import address, network
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


class TestCreate:
    def test_makes_a_program_with_defaults_and_rules(self, api: Api) -> None:
        body = {"code": "FLOOD-24", "name": "Flood relief", "confirmations_settled": 3}
        made = expect.ok(api(factories.make_administrator()).post("/api/v1/programs/", body), 201)
        assert (made["code"], made["currency"], made["network"]) == ("FLOOD-24", "sat", "regtest")
        assert (made["confirmations_settled"], made["group_max_payments"]) == (3, 500)
        assert Wallet.objects.get(program_id=made["id"]).name == "govpay-flood-24"

    @pytest.mark.parametrize(
        ("body", "status", "code", "where"),
        [
            ({"code": "x", "name": "N"}, 422, "invalid_input", "code"),
            ({"code": "OTHER", "name": "N"}, 422, "invalid_input", "code"),
            (
                {"code": "ABC", "name": "N", "feerate_floor_sat_kvb": 90_000},
                422,
                "invalid_input",
                "",
            ),
            ({"code": "ABC"}, 400, "validation_error", "name"),
            ({"code": "ABC", "name": "N", "target_blocks": "6.0"}, 400, "validation_error", "target_blocks"),
            ({"code": "ABC", "name": "N", "network": "main"}, 400, "validation_error", "network"),
        ],
    )
    def test_refuses_rules_that_make_no_sense(
        self, api: Api, outsider: User, body: dict[str, Any], status: int, code: str, where: str
    ) -> None:
        before = Program.objects.count()
        response = api(factories.make_administrator()).post("/api/v1/programs/", body)
        error = expect.problem(response, status, code)["errors"][0]
        assert error["field" if status == 400 else "column"] == where
        assert Program.objects.count() == before

    def test_refuses_officers(self, api: Api, officer: User) -> None:
        response = api(officer).post("/api/v1/programs/", {"code": "MINE", "name": "Mine"})
        expect.problem(response, 403, "forbidden")
        assert Program.objects.count() == 1


class TestRead:
    def test_lists_only_ones_own(self, api: Api, program: Program, officer: User, outsider: User) -> None:
        mine = expect.ok(api(officer).get("/api/v1/programs/"))["results"]
        assert [row["code"] for row in mine] == ["PENSIONS"]
        theirs = expect.ok(api(outsider).get("/api/v1/programs/"))["results"]
        assert [row["code"] for row in theirs] == ["OTHER"]

    def test_shows_an_administrator_which_programs_there_are_and_nothing_in_them(
        self, api: Api, program: Program
    ) -> None:
        client = api(factories.make_administrator())
        assert [row["code"] for row in expect.ok(client.get("/api/v1/programs/"))["results"]] == ["PENSIONS"]
        expect.ok(client.get(f"/api/v1/programs/{program.pk}/"))
        for part in ("funds", "wallet", "enrollments", "disbursements", "intakes"):
            expect.problem(client.get(f"/api/v1/programs/{program.pk}/{part}/"), 404, "not_found")

    def test_tells_the_funds(self, api: Api, program: Program, auditor: User) -> None:
        factories.fund(program, 1_000_000)
        funds = expect.ok(api(auditor).get(f"/api/v1/programs/{program.pk}/funds/"))
        assert funds == {"booked_sat": 1_000_000, "reserved_sat": 0, "available_sat": 1_000_000}

    def test_tells_where_to_fund(self, api: Api, program: Program, officer: User) -> None:
        shown = expect.ok(api(officer).get(f"/api/v1/programs/{program.pk}/wallet/"))
        script = bytes(program.wallet.scripts.get().script_pubkey)
        assert shown["is_ready"] is True
        assert shown["funding_address"] == address.address_from_script(script, network.current())
        assert shown["reason"] == ""

    def test_tells_why_there_is_no_address_yet(self, api: Api) -> None:
        program = factories.make_program(is_ready=False)
        officer = factories.make_member(program, "officer")
        NodeStatus.objects.create(network="regtest", is_ok=False, code="node_down", message="Nobody answers.")
        shown = expect.ok(api(officer).get(f"/api/v1/programs/{program.pk}/wallet/"))
        assert (shown["is_ready"], shown["funding_address"], shown["ready_at"]) == (False, None, None)
        assert shown["reason"].endswith("Nobody answers.")


class TestMembers:
    def test_an_administrator_gives_a_role(self, api: Api, program: Program, outsider: User) -> None:
        client = api(factories.make_administrator())
        address = f"/api/v1/programs/{program.pk}/members/"
        body = {"username": outsider.username, "role": "auditor"}
        made = expect.ok(client.post(address, body), 201)
        assert (made["username"], made["role"], made["granted_by"]) == (
            outsider.username,
            "auditor",
            "administrator",
        )
        expect.problem(client.post(address, body), 409, "membership_exists")
        assert [m["role"] for m in expect.ok(client.get(address))["results"]] == ["auditor"]

    def test_refuses_members_without_telling_who_exists(
        self, api: Api, program: Program, officer: User, outsider: User
    ) -> None:
        before = Membership.objects.count()
        for name in (outsider.username, "nobody"):
            body = {"username": name, "role": "officer"}
            response = api(officer).post(f"/api/v1/programs/{program.pk}/members/", body)
            expect.problem(response, 403, "forbidden")
        assert Membership.objects.count() == before

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"username": "nobody", "role": "officer"}, 422, "invalid_input"),
            ({"username": "nobody", "role": "king"}, 400, "validation_error"),
            ({"username": "nobody"}, 400, "validation_error"),
        ],
    )
    def test_refuses_unknown_users_and_roles(
        self, api: Api, program: Program, body: dict[str, Any], status: int, code: str
    ) -> None:
        client = api(factories.make_administrator())
        expect.problem(client.post(f"/api/v1/programs/{program.pk}/members/", body), status, code)
        assert Membership.objects.count() == 0
