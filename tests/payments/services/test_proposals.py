"""Proposals: two people, what they saw and nothing else, in time, and a registry that takes another kind."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, NotFound, SamePersonTwice
from payments.models import Program, Proposal, StatusChange
from payments.selectors import proposals as selector
from payments.services import proposals
from payments.services.authority import RoleMissing
from payments.services.change import Kind
from payments.states import StatusConflict
from tests import factories, racing

pytestmark = pytest.mark.django_db


@pytest.fixture
def security(program: Program) -> User:
    """Proposes."""
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    """Confirms."""
    return factories.make_member(program, "security", "samuel")


def propose(by: User, program: Program, **rules: Any) -> Proposal:
    """Ask for rules, two blocks sooner unless others are given."""
    asked = rules or {"target_blocks": 4}
    return proposals.propose_rules(by=by, program_id=program.pk, asked=asked, note="Lists are late.")


def rules_of(program: Program) -> tuple[int, int, int | None]:
    """What the tests below change."""
    program.refresh_from_db()
    return program.target_blocks, program.feerate_ceiling_sat_kvb, program.feerate_patient_sat_kvb


class TestRules:
    def test_change_when_another_confirms(self, program: Program, security: User, second: User) -> None:
        made = propose(security, program, target_blocks=4, feerate_patient_sat_kvb=9_000, coins_wanted=4)
        assert (made.before, made.after) == (
            {"target_blocks": 6, "feerate_patient_sat_kvb": None},
            {"target_blocks": 4, "feerate_patient_sat_kvb": 9_000},
        )
        assert rules_of(program) == (6, 50_000, None)
        done = proposals.confirm(by=second, proposal_id=made.pk, note="Agreed.")
        assert (done.status, done.decided_by) == ("confirmed", second)
        assert rules_of(program) == (4, 50_000, 9_000)
        changes = StatusChange.objects.filter(subject="proposal", subject_id=made.pk).order_by("pk")
        assert list(changes.values_list("old", "new", "actor", "note")) == [
            ("", "proposed", security.pk, "Lists are late."),
            ("proposed", "confirmed", second.pk, "Agreed."),
        ]

    @pytest.mark.parametrize(
        ("asked", "column", "code"),
        [
            ({"target_blocks": 0}, "target_blocks", "invalid"),
            ({"feerate_floor_sat_kvb": 60_000}, "", "invalid"),
            ({"target_blocks": 6}, "", "nothing_changes"),
            ({"network": "main"}, "network", "unknown_rule"),
            ({"created_by": 1}, "created_by", "unknown_rule"),
        ],
    )
    def test_that_make_no_sense_are_refused(
        self, program: Program, security: User, asked: dict[str, Any], column: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            propose(security, program, **asked)
        error = refusal.value.details["errors"][0]
        assert (error["column"], error["code"]) == (column, code)
        assert Proposal.objects.count() == 0
        assert rules_of(program) == (6, 50_000, None)

    def test_are_stale_once_one_of_them_has_changed(
        self, program: Program, security: User, second: User
    ) -> None:
        first, other = propose(security, program), propose(second, program, target_blocks=2)
        apart = propose(security, program, feerate_ceiling_sat_kvb=60_000)
        proposals.confirm(by=second, proposal_id=first.pk)
        with pytest.raises(proposals.ProposalStale):
            proposals.confirm(by=security, proposal_id=other.pk)
        proposals.confirm(by=second, proposal_id=apart.pk)
        assert rules_of(program) == (4, 60_000, None)
        assert Proposal.objects.get(pk=other.pk).status == "proposed"

    def test_are_checked_again_against_the_others(
        self, program: Program, security: User, second: User
    ) -> None:
        patient = propose(security, program, feerate_patient_sat_kvb=40_000)
        proposals.confirm(
            by=second, proposal_id=propose(security, program, feerate_ceiling_sat_kvb=30_000).pk
        )
        with pytest.raises(InvalidInput):
            proposals.confirm(by=second, proposal_id=patient.pk)
        assert rules_of(program) == (6, 30_000, None)


class TestTwoPeople:
    def test_are_told_apart_by_id(self, program: Program, security: User) -> None:
        made = propose(security, program)
        renamed = factories.rename(security, "another-name")
        for decide in (proposals.confirm, proposals.reject):
            with pytest.raises(SamePersonTwice):
                decide(by=renamed, proposal_id=made.pk, note="Mine.")
        assert rules_of(program) == (6, 50_000, None)

    def test_are_the_databases_rule_too(self, program: Program, security: User) -> None:
        made = propose(security, program)
        for columns in (
            {"status": "confirmed"},
            {"status": "confirmed", "decided_by": security, "decided_at": timezone.now()},
            {"decided_by": security, "decided_at": timezone.now()},
        ):
            with pytest.raises(IntegrityError), transaction.atomic():
                Proposal.objects.filter(pk=made.pk).update(**columns)

    def test_both_hold_the_role_when_they_act(self, program: Program, security: User, second: User) -> None:
        made = propose(security, program)
        second.memberships.all().delete()
        with pytest.raises(NotFound):
            proposals.confirm(by=second, proposal_id=made.pk)
        for role in ("officer", "auditor", "treasurer"):
            with pytest.raises(RoleMissing):
                propose(factories.make_member(program, role), program)

    def test_of_another_program_find_nothing(self, program: Program, security: User) -> None:
        made = propose(security, program)
        stranger = factories.make_member(factories.make_program("OTHER"), "security", "stranger")
        with pytest.raises(NotFound):
            proposals.confirm(by=stranger, proposal_id=made.pk)
        with pytest.raises(NotFound):
            propose(stranger, program)
        assert rules_of(program) == (6, 50_000, None)


class TestEnd:
    def test_a_week_after_it_was_proposed(self, program: Program, security: User, second: User) -> None:
        made = propose(security, program)
        assert made.expires_at - made.proposed_at < timedelta(days=7, seconds=1)
        Proposal.objects.filter(pk=made.pk).update(expires_at=timezone.now())
        with pytest.raises(proposals.ProposalExpired):
            proposals.confirm(by=second, proposal_id=made.pk)
        assert rules_of(program) == (6, 50_000, None)
        assert list(selector.waiting_for(second)) == []
        assert selector.visible(second).get().is_expired is True

    def test_is_one(self, program: Program, security: User, second: User) -> None:
        refused, taken_back, confirmed = (propose(security, program, target_blocks=n) for n in (1, 2, 3))
        with pytest.raises(InvalidInput):
            proposals.reject(by=second, proposal_id=refused.pk, note=" ")
        with pytest.raises(proposals.NotTheProposer):
            proposals.withdraw(by=second, proposal_id=taken_back.pk, note="No.")
        proposals.reject(by=second, proposal_id=refused.pk, note="Too soon.")
        proposals.withdraw(by=security, proposal_id=taken_back.pk, note="Wrong.")
        proposals.confirm(by=second, proposal_id=confirmed.pk)
        for made in (refused, taken_back, confirmed):
            for decide in (proposals.confirm, proposals.reject):
                with pytest.raises(StatusConflict):
                    decide(by=second, proposal_id=made.pk, note="Again.")
            with pytest.raises(StatusConflict):
                proposals.withdraw(by=security, proposal_id=made.pk, note="Again.")
        assert rules_of(program)[0] == 3


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.mark.parametrize("same", [True, False])
    def test_one_of_two_confirmations_counts(self, same: bool) -> None:
        program = factories.make_program()
        security, second, third = (
            factories.make_member(program, "security", name) for name in ("sana", "samuel", "saul")
        )
        made = propose(security, program)
        other = made if same else propose(security, program, target_blocks=5)

        def confirm(by: User, proposal: Proposal) -> Callable[[], object]:
            return lambda: proposals.confirm(by=by, proposal_id=proposal.pk)

        _, late = racing.race(confirm(second, made), confirm(third, other))
        assert isinstance(late.error, StatusConflict if same else proposals.ProposalStale)
        assert rules_of(program)[0] == 4


class TestRegistry:
    def test_takes_another_kind_of_no_program(
        self, program: Program, security: User, second: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lamp = {"color": "red"}
        kind = Kind(
            "lamp",
            "Color of the lamp",
            current=lambda proposal: dict(lamp),
            change=lambda proposal, before: before | proposal.asked,
            apply=lambda proposal, by: lamp.update(proposal.asked),
        )
        monkeypatch.setitem(proposals.KINDS, kind.name, kind)
        made = proposals.propose(
            by=security, program_id=None, kind="lamp", asked={"color": "green"}, note="Go."
        )
        assert list(selector.waiting_for(second)) == [made]
        officer = factories.make_member(program, "officer")
        assert list(selector.visible(officer)) == []
        with pytest.raises(RoleMissing):
            proposals.propose(by=officer, program_id=None, kind="lamp", asked={}, note="Go.")
        with pytest.raises(NotFound):
            proposals.confirm(by=officer, proposal_id=made.pk)
        proposals.confirm(by=second, proposal_id=made.pk)
        assert lamp == {"color": "green"}
