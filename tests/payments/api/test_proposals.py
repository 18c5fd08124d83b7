"""Proposals through the API: one security administrator asks, another confirms, and everybody signs in anew."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Membership, Program, Proposal
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def security(program: Program) -> User:
    """Proposes."""
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    """Confirms."""
    return factories.make_member(program, "security", "samuel")


def rules(api: Api, by: User, program: Program, **asked: Any) -> Any:
    """Ask for rules."""
    body = {"rules": asked, "note": "Lists are late."}
    return api(by).post(f"/api/v1/programs/{program.pk}/proposals/rules/", body)


def role(api: Api, by: User, program: Program, **columns: Any) -> Any:
    """Ask for a role."""
    body = {"kind": "grant", "role": "officer", "note": "New here."} | columns
    return api(by).post(f"/api/v1/programs/{program.pk}/proposals/roles/", body)


class TestRules:
    def test_change_once_another_confirms(
        self, api: Api, program: Program, security: User, second: User
    ) -> None:
        made = expect.ok(rules(api, security, program, target_blocks=4, coins_wanted=4), 201)
        assert (made["kind"], made["status"], made["username"]) == ("rules", "proposed", None)
        assert (made["before"], made["after"]) == ({"target_blocks": 6}, {"target_blocks": 4})
        inbox = expect.ok(api(second).get("/api/v1/proposals/?waits_for_me=true"))["results"]
        assert [row["id"] for row in inbox] == [made["id"]]
        assert expect.ok(api(security).get("/api/v1/proposals/?waits_for_me=true"))["results"] == []
        address = f"/api/v1/proposals/{made['id']}/confirm/"
        expect.problem(api(security).post(address, {}), 403, "same_person_twice")
        done = expect.ok(api(second).post(address, {"note": "Agreed."}))
        assert (done["status"], done["decided_by"], done["waits_for_me"]) == ("confirmed", "samuel", False)
        assert Program.objects.get(pk=program.pk).target_blocks == 4
        expect.problem(api(second).post(address, {}), 409, "status_conflict")
        said = expect.ok(api(second).get(f"/api/v1/proposals/{made['id']}/history/"))["results"]
        assert [(row["new"], row["actor"]) for row in said] == [("proposed", "sana"), ("confirmed", "samuel")]

    @pytest.mark.parametrize(
        ("asked", "status", "code"),
        [
            ({"target_blocks": 0}, 400, "validation_error"),
            ({"network": "main"}, 400, "validation_error"),
            ({"feerate_floor_sat_kvb": 90_000}, 422, "invalid_input"),
            ({"target_blocks": 6}, 422, "invalid_input"),
            ({}, 422, "invalid_input"),
        ],
    )
    def test_are_refused_with_their_field(
        self, api: Api, program: Program, security: User, asked: dict[str, Any], status: int, code: str
    ) -> None:
        expect.problem(rules(api, security, program, **asked), status, code)
        assert Proposal.objects.count() == 0

    def test_stand_for_members_to_read_and_for_nobody_else_to_propose(
        self, api: Api, program: Program, security: User, officer: User, outsider: User
    ) -> None:
        made = expect.ok(rules(api, security, program, target_blocks=4), 201)
        assert expect.ok(api(officer).get(f"/api/v1/proposals/{made['id']}/"))["waits_for_me"] is False
        expect.problem(api(officer).post(f"/api/v1/proposals/{made['id']}/confirm/", {}), 403, "role_missing")
        expect.problem(rules(api, officer, program, target_blocks=4), 403, "role_missing")
        expect.problem(rules(api, outsider, program, target_blocks=4), 404, "not_found")
        assert Program.objects.get(pk=program.pk).target_blocks == 6


class TestRoles:
    def test_are_given_and_end_by_two(
        self, api: Api, program: Program, security: User, second: User, outsider: User
    ) -> None:
        made = expect.ok(role(api, security, program, username=outsider.username), 201)
        assert (made["username"], made["after"]) == (outsider.username, {"roles": ["officer"]})
        theirs = api(outsider)
        expect.ok(api(second).post(f"/api/v1/proposals/{made['id']}/confirm/", {}))
        expect.problem(theirs.get("/api/v1/auth/me/"), 401, "authentication_failed")
        assert Membership.objects.filter(program=program, user=outsider).count() == 1
        ended = expect.ok(role(api, second, program, username=outsider.username, kind="revocation"), 201)
        expect.ok(api(security).post(f"/api/v1/proposals/{ended['id']}/confirm/", {}))
        assert Membership.objects.filter(program=program, user=outsider).count() == 0

    def test_that_exclude_each_other_are_refused(
        self, api: Api, program: Program, security: User, officer: User
    ) -> None:
        response = role(api, security, program, username=officer.username, role="approver")
        expect.problem(response, 409, "incompatible_roles")
        assert Proposal.objects.count() == 0

    def test_are_no_administrators_to_give_any_more(
        self, api: Api, program: Program, security: User, second: User, outsider: User
    ) -> None:
        body = {"username": outsider.username, "role": "officer"}
        client = api(factories.make_administrator())
        response = client.post(f"/api/v1/programs/{program.pk}/members/", body)
        expect.problem(response, 409, "roles_by_proposal")
        assert Membership.objects.filter(program=program).count() == 2

    def test_tell_nobody_else_who_exists(
        self, api: Api, program: Program, officer: User, security: User
    ) -> None:
        for name in (security.username, "nobody"):
            expect.problem(role(api, officer, program, username=name), 403, "role_missing")
        expect.problem(role(api, security, program, username="nobody"), 422, "invalid_input")

    def test_are_withdrawn_and_rejected_for_a_reason(
        self, api: Api, program: Program, security: User, second: User, outsider: User
    ) -> None:
        first, other = (
            expect.ok(role(api, security, program, username=outsider.username), 201)["id"] for _ in range(2)
        )
        expect.problem(
            api(second).post(f"/api/v1/proposals/{first}/withdraw/", {"note": "No."}), 403, "not_the_proposer"
        )
        done = expect.ok(api(security).post(f"/api/v1/proposals/{first}/withdraw/", {"note": "Wrong."}))
        assert done["status"] == "withdrawn"
        expect.problem(api(second).post(f"/api/v1/proposals/{other}/reject/", {}), 400, "validation_error")
        done = expect.ok(api(second).post(f"/api/v1/proposals/{other}/reject/", {"note": "No."}))
        assert done["status"] == "rejected"
        assert Membership.objects.filter(program=program, user=outsider).count() == 0
