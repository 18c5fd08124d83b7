"""Rules of approval: proposed whole by one person, in force once another confirmed them, and what is no rule."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from govpay.errors import Forbidden, InvalidInput, NotFound, SamePersonTwice
from payments.models import ApprovalPolicy, Program
from payments.services import policies
from tests import factories
from tests.racing import race

pytestmark = pytest.mark.django_db

NONE: dict[str, Any] = {"note": "As the regulation says.", "groups": {}, "tiers": [], "caps": []}
TWO = [{"up_to_sat": None, "needs": {"approvers": 2}}]


@pytest.fixture
def one() -> User:
    return factories.make_user("one", policies.RIGHT)


@pytest.fixture
def other() -> User:
    return factories.make_user("other", policies.RIGHT)


class TestPropose:
    def test_changes_nothing_before_somebody_else_confirms(
        self, program: Program, one: User, other: User
    ) -> None:
        made = policies.propose(by=one, program_id=program.pk, **NONE | {"tiers": TWO})
        assert (made.state, policies.current(program.pk)) == ("proposed", policies.Terms())
        with pytest.raises(SamePersonTwice):
            policies.confirm(by=one, policy_id=made.pk)
        assert policies.current(program.pk) == policies.Terms()
        assert policies.confirm(by=other, policy_id=made.pk).state == "confirmed"
        assert policies.current(program.pk).tier_for(1) == {
            "policy": made.pk,
            "up_to_sat": None,
            "needs": {"approvers": 2},
            "days": 14,
        }

    def test_needs_the_permission(self, program: Program, officer: User, one: User) -> None:
        made = policies.propose(by=one, program_id=program.pk, **NONE)
        for act in (
            lambda: policies.propose(by=officer, program_id=program.pk, **NONE),
            lambda: policies.confirm(by=officer, policy_id=made.pk),
            lambda: policies.drop(by=officer, policy_id=made.pk),
        ):
            with pytest.raises(Forbidden, match=r"payments\.add_approvalpolicy"):
                act()
        assert ApprovalPolicy.objects.get().state == "proposed"

    def test_waits_for_the_one_before(self, program: Program, one: User, other: User) -> None:
        made = policies.propose(by=one, program_id=program.pk, **NONE)
        with pytest.raises(policies.PolicyOpen):
            policies.propose(by=other, program_id=program.pk, **NONE)
        assert policies.drop(by=one, policy_id=made.pk).state == "dropped"
        policies.propose(by=other, program_id=program.pk, **NONE)
        assert ApprovalPolicy.objects.count() == 2

    def test_is_decided_once(self, program: Program, one: User, other: User) -> None:
        made = factories.make_policy(program)
        for verb in (policies.confirm, policies.drop):
            with pytest.raises(policies.PolicyDecided):
                verb(by=other, policy_id=made.pk)
        with pytest.raises(NotFound):
            policies.drop(by=one, policy_id=made.pk + 1)

    def test_of_oneself_is_refused_by_the_database(self, program: Program) -> None:
        made = factories.make_policy(program)
        with pytest.raises(IntegrityError, match="approvalpolicy_two_people"), transaction.atomic():
            ApprovalPolicy.objects.filter(pk=made.pk).update(confirmed_by=made.proposed_by)

    @pytest.mark.parametrize(
        ("rules", "row", "column", "code"),
        [
            ({"note": " "}, 0, "note", "missing"),
            ({"approval_days": 0}, 0, "approval_days", "out_of_bounds"),
            ({"groups": {"approvers": []}}, 0, "groups", "group_malformed"),
            ({"groups": {"The Board": []}}, 0, "groups", "group_malformed"),
            ({"groups": {"board": ["officer-pensions"]}}, 0, "groups", "member_no_approver"),
            ({"groups": {"board": ["approver-pensions"] * 2}}, 0, "groups", "member_twice"),
            ({"tiers": [{"up_to_sat": 5, "needs": {"approvers": 1}}]}, 0, "tiers", "tiers_incomplete"),
            ({"tiers": TWO * 2}, 0, "tiers", "tiers_incomplete"),
            (
                {"tiers": [{"up_to_sat": 0, "needs": {"approvers": 1}}, *TWO]},
                1,
                "tiers",
                "amount_out_of_bounds",
            ),
            ({"tiers": [{"up_to_sat": None, "needs": {}}]}, 1, "tiers", "needs_nobody"),
            ({"tiers": [{"up_to_sat": None, "needs": {"board": 1}}]}, 1, "tiers", "group_unknown"),
            (
                {
                    "groups": {"board": ["approver-pensions"]},
                    "tiers": [{"up_to_sat": None, "needs": {"board": 2}}],
                },
                1,
                "tiers",
                "group_too_small",
            ),
            ({"caps": [{"kind": "day", "window_days": 1, "most_sat": 1}]}, 1, "caps", "kind_unknown"),
            (
                {"caps": [{"kind": "maker", "window_days": 0, "most_sat": 1}]},
                1,
                "caps",
                "window_out_of_bounds",
            ),
            (
                {"caps": [{"kind": "maker", "window_days": 1, "most_sat": 0}]},
                1,
                "caps",
                "amount_out_of_bounds",
            ),
            ({"caps": [{"kind": "maker", "window_days": 1, "most_sat": 1}] * 2}, 0, "caps", "cap_twice"),
        ],
    )
    def test_names_what_is_no_rule(
        self,
        rules: dict[str, Any],
        row: int,
        column: str,
        code: str,
        program: Program,
        officer: User,
        approver: User,
        one: User,
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            policies.propose(by=one, program_id=program.pk, **NONE | rules)
        errors = refusal.value.details["errors"]
        assert [(e["row"], e["column"], e["code"]) for e in errors] == [(row, column, code)]
        assert ApprovalPolicy.objects.count() == 0


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_leave_one_proposal(self, program: Program) -> None:
        one, other = (factories.make_user(name, policies.RIGHT) for name in ("one", "other"))
        _, racer = race(
            lambda: policies.propose(by=one, program_id=program.pk, **NONE),
            lambda: policies.propose(by=other, program_id=program.pk, **NONE),
        )
        assert isinstance(racer.error, policies.PolicyOpen)
        assert ApprovalPolicy.objects.get().proposed_by == one
