"""The reserve's acts through the API: an institution, what came and what for, plans, proofs, and who may do what."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ledger.models import Inflow, LotMovement
from payments.models import InflowClassing, Institution, Program, PurchasePlan, ReserveProof
from payments.onchain import reserves, tx
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

OURS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OFFICE = {
    "scope": "reserve:1",
    "name": "Reserve Office",
    "policy_profile": "sandbox",
    "currency": "USD",
    "var_window_days": 365,
    "var_quantile_bps": 9_500,
    "note": "Set up.",
}
COIN = 100_000_000


@pytest.fixture
def security(program: Program) -> User:
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "security", "samuel")


@pytest.fixture
def tara(program: Program) -> User:
    return factories.make_member(program, "treasurer", "tara")


@pytest.fixture
def tom(program: Program) -> User:
    user = factories.make_user("tom", "ledger.add_lotmovement")
    program.memberships.create(user=user, role="treasurer", granted_by=user)
    return user


class TestInstitution:
    def test_is_refused_with_a_window_that_never_has_as_many_days_as_its_quantile_takes(
        self, api: Api, security: User
    ) -> None:
        """Its limit of what may be lost would be watched by nobody, and say so to nobody."""
        asked = OFFICE | {"var_window_days": 99, "var_quantile_bps": 9_900, "most_var_bps": 500}
        propose = "/api/v1/reserve/proposals/institutions/"
        body = expect.problem(api(security).post(propose, asked), 422, "invalid_input")
        assert [(error["column"], error["code"]) for error in body["errors"]] == [
            ("var_window_days", "window_too_short")
        ]
        expect.ok(api(security).post(propose, asked | {"var_window_days": 100}), 201)

    def test_is_proposed_confirmed_changed_and_read_with_its_exposure(
        self, api: Api, security: User, second: User, auditor: User
    ) -> None:
        propose = "/api/v1/reserve/proposals/institutions/"
        made = expect.ok(api(security).post(propose, OFFICE), 201)
        expect.ok(api(second).post(f"/api/v1/proposals/{made['id']}/confirm/", {}))
        (row,) = expect.ok(api(auditor).get("/api/v1/reserve/institutions/?scope=reserve:1"))["results"]
        assert (row["policy_profile"], row["most_sat"]) == ("sandbox", None)
        changed = expect.ok(
            api(security).post(propose, {"institution_id": row["id"], "most_sat": 5, "note": "Less."}), 201
        )
        assert (changed["before"]["most_sat"], changed["after"]["most_sat"]) == (None, 5)
        found = expect.ok(api(auditor).get(f"/api/v1/reserve/institutions/{row['id']}/"))
        assert (found["position"], found["breaches"]) == (None, {})
        assert found["room"]["ruling"] == "allowed"
        assert found["var"]["broken_rule"] == "too_few_prices"

    @pytest.mark.parametrize(
        ("change", "column", "code"),
        [
            ({"scope": None}, "scope", "missing"),
            ({"scope": "No Scope"}, "", "invalid"),
            ({"most_share_bps": 5}, "", "invalid"),
        ],
    )
    def test_names_the_field_that_is_wrong(
        self, api: Api, security: User, change: dict[str, Any], column: str, code: str
    ) -> None:
        body = {name: value for name, value in (OFFICE | change).items() if value is not None}
        answer = api(security).post("/api/v1/reserve/proposals/institutions/", body)
        problem = expect.problem(answer, 422, "invalid_input")
        assert [(each["column"], each["code"]) for each in problem["errors"]] == [(column, code)]
        assert Institution.objects.count() == 0


class TestInflows:
    def test_are_classed_by_one_and_confirmed_by_another(
        self, api: Api, tara: User, tom: User, auditor: User
    ) -> None:
        held, _ = factories.make_holding(), factories.make_institution()
        factories.make_scan(held, [(1, OURS, 700), (2, OURS, 300)])
        reader = api(auditor)
        rows = expect.ok(reader.get("/api/v1/reserve/inflows/?is_classed=false"))["results"]
        assert [(row["amount_sat"], row["kind"]) for row in rows] == [(300, None), (700, None)]
        body = {
            "inflow_ids": [row["id"] for row in rows],
            "kind": "mining",
            "funding_source": "Plant",
            "cost_minor": 10,
            "acquired_at": (timezone.now() - timedelta(hours=1)).isoformat(),
            "note": "Mined.",
        }
        headers = {"Idempotency-Key": "once"}
        made = expect.ok(api(tara).post("/api/v1/reserve/classings/", body, headers=headers), 201)
        assert expect.ok(api(tara).post("/api/v1/reserve/classings/", body, headers=headers), 201) == made
        assert InflowClassing.objects.count() == 1
        address = f"/api/v1/reserve/classings/{made['id']}/"
        expect.problem(api(tara).post(f"{address}confirm/", {"amount_sat": 1_000}), 403, "same_person_twice")
        expect.problem(api(tom).post(f"{address}confirm/", {"amount_sat": 999}), 409, "classing_changed")
        done = expect.ok(api(tom).post(f"{address}confirm/", {"amount_sat": 1_000}))
        assert (done["state"], done["confirmed_by"]) == ("confirmed", "tom")
        expect.problem(api(tom).post(f"{address}withdraw/", {"note": "No."}), 409, "classing_decided")
        assert LotMovement.objects.count() == 2
        assert expect.ok(reader.get("/api/v1/reserve/inflows/?is_classed=false"))["results"] == []
        kinds = expect.ok(reader.get("/api/v1/reserve/inflows/?kind=mining"))["results"]
        assert [row["lot"] for row in kinds] == [f"inflow:{row['id']}" for row in kinds]
        assert expect.ok(reader.get("/api/v1/reserve/classings/?is_waiting=true"))["results"] == []

    def test_that_the_law_blocks_answer_with_it(self, api: Api, tara: User) -> None:
        held = factories.make_holding()
        factories.make_institution(policy_profile="el-salvador-2025")
        factories.make_scan(held, [(1, OURS, 700)])
        body = {
            "inflow_ids": [Inflow.objects.get().pk],
            "kind": "mining",
            "funding_source": "Plant",
            "cost_minor": 0,
            "acquired_at": timezone.now().isoformat(),
            "note": "Mined.",
        }
        problem = expect.problem(api(tara).post("/api/v1/reserve/classings/", body), 409, "policy_refused")
        assert problem["details"]["ceiling_sat"] == 0
        assert InflowClassing.objects.count() == 0

    def test_may_be_withdrawn(self, api: Api, tara: User, tom: User) -> None:
        held, _ = factories.make_holding(), factories.make_institution()
        factories.make_scan(held, [(1, OURS, 700)])
        body = {
            "inflow_ids": [Inflow.objects.get().pk],
            "kind": "client_deposit",
            "funding_source": "Ana",
            "note": "x",
        }
        made = expect.ok(api(tara).post("/api/v1/reserve/classings/", body), 201)
        done = expect.ok(api(tom).post(f"/api/v1/reserve/classings/{made['id']}/withdraw/", {"note": "No."}))
        assert done["state"] == "withdrawn"


class TestPlans:
    def test_are_approved_by_another_and_ended(self, api: Api, tara: User, tom: User, officer: User) -> None:
        office = factories.make_institution()
        body = {
            "institution_id": office.pk,
            "amount_sat": COIN,
            "limit_price": "100000.5",
            "funding_source": "Line 7",
            "ends_at": (timezone.now() + timedelta(days=3)).isoformat(),
            "note": "As decided.",
        }
        expect.problem(api(officer).post("/api/v1/reserve/plans/", body), 403, "role_missing")
        made = expect.ok(api(tara).post("/api/v1/reserve/plans/", body), 201)
        assert (made["state"], made["limit_price"], made["left_sat"]) == ("proposed", "100000.5", COIN)
        address = f"/api/v1/reserve/plans/{made['id']}/"
        expect.problem(api(tara).post(f"{address}approve/", {"amount_sat": COIN}), 403, "same_person_twice")
        assert expect.ok(api(tom).post(f"{address}approve/", {"amount_sat": COIN}))["state"] == "approved"
        assert expect.ok(api(tom).get("/api/v1/reserve/plans/?is_waiting=true"))["results"] == []
        room = expect.ok(api(tom).get(f"/api/v1/reserve/institutions/{office.pk}/"))["room"]
        assert (room["planned_sat"], room["left_sat"]) == (COIN, None)
        assert expect.ok(api(tara).post(f"{address}end/", {"note": "Enough."}))["state"] == "ended"

    def test_above_the_ceiling_answer_with_the_law(self, api: Api, tara: User) -> None:
        office = factories.make_institution(policy_profile="el-salvador-2025")
        body = {
            "institution_id": office.pk,
            "amount_sat": 1,
            "limit_price": "1",
            "funding_source": "Line 7",
            "ends_at": (timezone.now() + timedelta(days=3)).isoformat(),
            "note": "x",
        }
        problem = expect.problem(api(tara).post("/api/v1/reserve/plans/", body), 409, "policy_refused")
        assert problem["details"]["law"].startswith("Arrangement under the Extended Fund Facility")
        assert PurchasePlan.objects.count() == 0


class TestProofs:
    def test_are_asked_for_and_handed_out_to_be_signed(self, api: Api, security: User, auditor: User) -> None:
        held = factories.make_holding()
        factories.make_scan(held, [(1, OURS, 700)])
        body = {"scope": "reserve:1", "message": "Audit 7f3a"}
        made = expect.ok(api(security).post("/api/v1/reserve/proofs/", body), 201)
        assert (made["state"], made["output_count"], made["amount_sat"]) == ("asked", 1, 700)
        address = f"/api/v1/reserve/proofs/{made['id']}/"
        file = expect.ok(api(auditor).get(f"{address}file/"))
        assert (file["tx"], file["outputs"]) == (
            "",
            [{"txid": f"{1:064x}", "vout": 0, "address": OURS, "amount_sat": 700}],
        )
        unsigned = bytes(ReserveProof.objects.get().unsigned_tx)
        assert tx.inputs_of(unsigned) == [reserves.commitment("Audit 7f3a"), tx.OutPoint(f"{1:064x}", 0)]
        expect.problem(api(security).post(f"{address}answer/", {"signed": file["psbt"]}), 403, "role_missing")
        again = expect.problem(api(security).post("/api/v1/reserve/proofs/", body), 422, "invalid_input")
        assert again["errors"][0]["code"] == "asked_before"


class TestSplit:
    def test_proposes_fresh_addresses_under_the_cap(self, api: Api, auditor: User) -> None:
        held = factories.make_holding(cap_sat=COIN)
        factories.make_scan(held, [])
        address = f"/api/v1/reserve/holdings/{held.pk}/split/"
        found = expect.ok(api(auditor).get(f"{address}?amount_sat={COIN}"))
        assert found == {"parts": [{"address": OURS, "amount_sat": COIN}]}
        refused = expect.problem(
            api(auditor).get(f"{address}?amount_sat={COIN + 1}"), 409, "too_few_addresses"
        )
        assert refused["details"] == {"needed": 2, "there": 1}
        expect.problem(api(auditor).get(address), 400, "validation_error")


class TestFloats:
    def test_are_of_the_users_programs(self, api: Api, program: Program, auditor: User) -> None:
        factories.fund(program, 5_000)
        other = factories.make_program("OTHER")
        factories.fund(other, 9_000)
        found = expect.ok(api(auditor).get("/api/v1/reserve/floats/"))["floats"]
        assert [(row["program_id"], row["float_sat"], row["cycle_sat"]) for row in found] == [
            (program.pk, 5_000, None)
        ]


def test_all_of_it_is_hidden_from_the_help_desk(api: Api, program: Program) -> None:
    office = factories.make_institution()
    desk = api(factories.make_member(program, "helpdesk", "hina"))
    for name in ("institutions", "inflows", "classings", "plans", "proofs"):
        assert expect.ok(desk.get(f"/api/v1/reserve/{name}/"))["results"] == []
    for name in (f"institutions/{office.pk}/", "floats/", "holdings/1/split/?amount_sat=1000"):
        expect.problem(desk.get(f"/api/v1/reserve/{name}"), 404, "not_found")
