"""The reserve through the API: a holding from its proposal to its balances, and who may read (R-28, R-30)."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ledger.models import ReserveScan
from ledger.treasury import reserve
from payments.models import Holding, Program, Proposal, ReserveStatus
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

OURS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
BODY = {"scope": "reserve:1", "name": "Vault", "kind": "addresses", "addresses": [OURS], "note": "Ours."}
PROPOSE = "/api/v1/reserve/proposals/holdings/"


@pytest.fixture
def security(program: Program) -> User:
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "security", "samuel")


def scan(height: int, held: Holding, amount_sat: int) -> ReserveScan:
    """A scan of a block in which the holding's one address has one output."""
    line = reserve.Line(held.scope, held.name, held.pk, "regtest", OURS, "verified", 10_000)
    unspent = reserve.Unspent(OURS, f"{height:064x}", 0, amount_sat, height)
    return reserve.record(
        network="regtest",
        block_hash=f"{height:064x}",
        height=height,
        block_at=timezone.now() - timedelta(hours=1),
        lines=[line],
        unspents=[unspent],
    )


class TestReserve:
    def test_is_proposed_confirmed_and_read_with_its_balances(
        self, api: Api, security: User, second: User, auditor: User
    ) -> None:
        reader = api(auditor)
        made = expect.ok(api(security).post(PROPOSE, BODY), 201)
        assert made["program_id"] is None
        expect.ok(api(second).post(f"/api/v1/proposals/{made['id']}/confirm/", {}))
        (held,) = expect.ok(reader.get("/api/v1/reserve/holdings/?scope=reserve:1"))["results"]
        assert (held["badge"], held["address_count"], held["cap_sat"]) == ("verified", 1, 50_000_000_000)
        assert expect.ok(reader.get(f"/api/v1/reserve/holdings/{held['id']}/")) == held
        assert expect.ok(reader.get("/api/v1/reserve/")) | {"due_at": None} == {
            "state": "waiting",
            "began_at": None,
            "ended_at": None,
            "due_at": None,
            "fault": "",
            "message": "",
            "scan": None,
            "holdings": [],
        }
        lost = scan(90, Holding.objects.get(), 7_000)
        reserve.lose([lost])
        stands = scan(91, Holding.objects.get(), 70_000)
        found = expect.ok(reader.get("/api/v1/reserve/"))
        assert found["scan"]["block_hash"] == stands.block_hash
        assert found["holdings"] == [
            {
                "holding_id": held["id"],
                "scope": "reserve:1",
                "name": "Vault",
                "badge": "verified",
                "amount_sat": 70_000,
                "address_count": 1,
                "reused_count": 0,
                "over_cap_count": 1,
            }
        ]
        scans = expect.ok(reader.get("/api/v1/reserve/scans/"))["results"]
        assert [(row["height"], row["is_lost"]) for row in scans] == [(91, False), (90, True)]
        balances = f"/api/v1/reserve/scans/{stands.pk}/balances/"
        (row,) = expect.ok(reader.get(f"{balances}?is_over_cap=true"))["results"]
        assert (row["address"], row["amount_sat"], row["utxo_count"]) == (OURS, 70_000, 1)
        assert expect.ok(reader.get(f"{balances}?is_reused=true"))["results"] == []
        expect.problem(reader.get("/api/v1/reserve/scans/999/balances/"), 404, "not_found")

    def test_says_why_a_scan_was_inconclusive(self, api: Api, auditor: User) -> None:
        now = timezone.now()
        ReserveStatus.objects.create(
            due_at=now, began_at=now, ended_at=now, fault="node_busy", message="The node is scanning."
        )
        found = expect.ok(api(auditor).get("/api/v1/reserve/"))
        assert (found["state"], found["fault"], found["message"]) == (
            "inconclusive",
            "node_busy",
            "The node is scanning.",
        )

    def test_is_proposed_once_under_one_key(self, api: Api, security: User) -> None:
        headers = {"Idempotency-Key": "once"}
        first = api(security).post(PROPOSE, BODY, headers=headers)
        again = api(security).post(PROPOSE, BODY, headers=headers)
        assert expect.ok(first, 201) == expect.ok(again, 201)
        assert Proposal.objects.count() == 1

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"addresses": ["nonsense"]}, "invalid_input"),
            ({"kind": "descriptor"}, "invalid_input"),
            ({"kind": "descriptor", "addresses": None, "descriptor": "wpkh(xprv)"}, "invalid_descriptor"),
        ],
    )
    def test_refuses_what_is_no_address(
        self, api: Api, security: User, change: dict[str, Any], code: str
    ) -> None:
        body = {name: value for name, value in (BODY | change).items() if value is not None}
        expect.problem(api(security).post(PROPOSE, body), 422, code)
        assert Proposal.objects.count() == 0

    def test_is_hidden_from_the_help_desk_and_set_by_security_alone(
        self, api: Api, program: Program, officer: User
    ) -> None:
        held = factories.make_holding()
        desk = api(factories.make_member(program, "helpdesk", "hina"))
        expect.problem(desk.get("/api/v1/reserve/"), 404, "not_found")
        expect.problem(desk.get(f"/api/v1/reserve/holdings/{held.pk}/"), 404, "not_found")
        assert expect.ok(desk.get("/api/v1/reserve/holdings/"))["results"] == []
        assert expect.ok(desk.get("/api/v1/reserve/scans/"))["results"] == []
        expect.problem(api(officer).post(PROPOSE, BODY), 403, "role_missing")
        assert Proposal.objects.filter(asked__has_key="addresses").count() == 0
