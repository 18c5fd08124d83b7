"""Approvals and their rules over the API."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import ApprovalPolicy, Disbursement, Program
from payments.services import policies
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


def rules(**changes: Any) -> dict[str, Any]:
    """A body that proposes something."""
    return {
        "note": "As the regulation says.",
        "approval_days": 5,
        "groups": [{"name": "directors", "members": ["approver-pensions"]}],
        "tiers": [
            {"up_to_sat": 1_000_000, "needs": [{"group": "approvers", "count": 1}]},
            {
                "up_to_sat": None,
                "needs": [{"group": "approvers", "count": 1}, {"group": "directors", "count": 1}],
            },
        ],
        "caps": [{"kind": "maker", "window_days": 1, "most_sat": 5_000_000}],
    } | changes


class TestPolicies:
    def test_are_proposed_by_one_and_confirmed_by_another(
        self, api: Api, program: Program, approver: User
    ) -> None:
        one, other = (factories.make_user(name, policies.RIGHT) for name in ("one", "other"))
        address = f"/api/v1/programs/{program.pk}/approval-policies/"
        made = expect.ok(api(one).post(address, rules()), 201)
        assert (made["state"], made["proposed_by"], made["confirmed_by"]) == ("proposed", "one", None)
        assert made["groups"] == [{"name": "directors", "members": ["approver-pensions"]}]
        assert made["tiers"] == [
            {"up_to_sat": 1_000_000, "up_to_minor": None, "needs": {"approvers": 1}},
            {"up_to_sat": None, "up_to_minor": None, "needs": {"approvers": 1, "directors": 1}},
        ]
        assert made["caps"] == [
            {"kind": "maker", "window_days": 1, "most_sat": 5_000_000, "most_minor": None}
        ]
        one_policy = f"/api/v1/approval-policies/{made['id']}/"
        expect.problem(api(one).post(f"{one_policy}confirm/"), 403, "same_person_twice")
        done = expect.ok(api(other).post(f"{one_policy}confirm/"))
        assert (done["state"], done["confirmed_by"]) == ("confirmed", "other")
        expect.problem(api(other).post(f"{one_policy}drop/"), 409, "policy_decided")
        assert expect.ok(api(approver).get(one_policy)) == done
        assert expect.ok(api(approver).get(address))["results"] == [done]

    def test_name_what_is_no_rule(self, api: Api, program: Program, approver: User) -> None:
        one = factories.make_user("one", policies.RIGHT)
        address = f"/api/v1/programs/{program.pk}/approval-policies/"
        refused = expect.problem(api(one).post(address, rules(groups=[])), 422, "invalid_input")
        assert [(e["row"], e["column"], e["code"]) for e in refused["errors"]] == [
            (2, "tiers", "group_unknown")
        ]
        group = {"name": "directors", "members": []}
        for body in (rules(groups=[group, group]), rules(note=1), rules(status="confirmed"), {}):
            assert api(one).post(address, body).status_code == 400
        assert ApprovalPolicy.objects.count() == 0

    def test_are_for_whoever_holds_the_permission(
        self, api: Api, program: Program, officer: User, approver: User
    ) -> None:
        address = f"/api/v1/programs/{program.pk}/approval-policies/"
        expect.problem(api(officer).post(address, rules()), 403, "forbidden")
        assert ApprovalPolicy.objects.count() == 0


class TestApprovals:
    def test_are_listed_with_what_is_missing_frozen_on_the_list(
        self, api: Api, draft: Disbursement, program: Program, officer: User, approver: User
    ) -> None:
        second = factories.make_member(program, "approver", "second-approver")
        factories.make_policy(program, tiers=[{"up_to_sat": None, "needs": {"approvers": 2}}])
        one = f"/api/v1/disbursements/{draft.pk}/"
        body = expect.ok(api(officer).post(f"{one}submit/"))
        assert (body["approval_tier"]["needs"], body["approval_tier"]["approval_days"]) == (
            {"approvers": 2},
            14,
        )
        agreement = {"manifest_hash": body["manifest_hash"]}
        asked = agreement | {"group": "directors"}
        expect.problem(api(approver).post(f"{one}approve/", asked), 403, "group_missing")
        assert expect.ok(api(approver).post(f"{one}approve/", agreement))["status"] == "submitted"
        expect.problem(api(approver).post(f"{one}approve/", agreement), 409, "already_approved")
        assert expect.ok(api(second).post(f"{one}approve/", agreement))["status"] == "approved"
        rows = expect.ok(api(officer).get(f"{one}approvals/"))["results"]
        assert [(row["step"], row["user"], row["group"]) for row in rows] == [
            ("submit", "officer-pensions", ""),
            ("approve", "approver-pensions", "approvers"),
            ("approve", "second-approver", "approvers"),
        ]

    def test_over_a_cap_are_a_conflict_with_figures(
        self, api: Api, draft: Disbursement, program: Program, officer: User
    ) -> None:
        factories.make_policy(program, caps=[{"kind": "program", "window_days": 1, "most_sat": 179_999}])
        answer = api(officer).post(f"/api/v1/disbursements/{draft.pk}/submit/")
        assert expect.problem(answer, 409, "over_cap")["details"] == {
            "kind": "program",
            "window_days": 1,
            "most_sat": 179_999,
            "earlier_sat": 0,
            "list_sat": 180_000,
        }
