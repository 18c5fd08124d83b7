"""What people ask of the engine: who may, when, twice, and that every refusal moves nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.utils import timezone

from govpay.errors import GovPayError, InvalidInput, NotFound, SamePersonTwice
from payments.models import (
    Intervention,
    Payout,
    Program,
    StatusChange,
)
from payments.payout import intervene
from payments.services import authority, interventions
from payments.states import PayoutStatus, StatusConflict
from tests import factories
from tests.payments.services.asking import (
    add_version,
    figures,
    intervene_done,
    other_payout,
    propose,
    put,
    refused,
)
from tests.racing import race

pytestmark = pytest.mark.django_db

POSSIBLE = {
    "bump": {"committed", "signed", "sent"},
    "child": {"committed", "signed", "sent"},
    "void": {"committed", "signed", "sent", "frozen", "voiding"},
    "thaw": {"frozen"},
}


class TestMatrix:
    @pytest.mark.parametrize("status", PayoutStatus.values)
    @pytest.mark.parametrize("kind", ["bump", "child", "void", "thaw"])
    def test_of_kinds_and_states(self, payout: Payout, treasurer: User, kind: str, status: str) -> None:
        put(payout, status)
        if status in POSSIBLE[kind]:
            assert propose(payout, treasurer, kind).status in ("proposed", "approved")
        else:
            with refused(intervene.InterventionImpossible) as error:
                propose(payout, treasurer, kind)
            assert error.value.details["status"] == status

    @pytest.mark.parametrize("status", PayoutStatus.values)
    @pytest.mark.parametrize("kind", ["void", "thaw"])
    def test_is_judged_again_when_it_is_decided(
        self, payout: Payout, treasurer: User, approver: User, kind: str, status: str
    ) -> None:
        put(payout, "frozen")
        asked = propose(payout, treasurer, kind)
        put(payout, status)
        if status in POSSIBLE[kind]:
            decided = interventions.approve(by=approver, intervention_id=asked.pk)
            assert decided.status == "approved"
        else:
            with refused(intervene.InterventionImpossible):
                interventions.approve(by=approver, intervention_id=asked.pk)

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "auditor"])
    @pytest.mark.parametrize("kind", ["bump", "child", "void", "thaw"])
    def test_of_roles_that_do_not_propose(
        self, payout: Payout, program: Program, kind: str, role: str
    ) -> None:
        put(payout, "frozen" if kind == "thaw" else "sent")
        with refused(authority.RoleMissing):
            propose(payout, factories.make_member(program, role, "somebody"), kind)

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "auditor", "treasurer"])
    @pytest.mark.parametrize("verb", ["approve", "reject"])
    def test_of_roles_that_decide(
        self, payout: Payout, program: Program, treasurer: User, role: str, verb: str
    ) -> None:
        asked = propose(payout, treasurer)
        somebody = factories.make_member(program, role, "somebody")
        decide = getattr(interventions, verb)
        if role in ("approver", "treasurer"):
            decided = decide(by=somebody, intervention_id=asked.pk, note="Seen.")
            assert (decided.status, decided.decided_by) == (f"{verb}ed".replace("ee", "e"), somebody)
        else:
            with refused(authority.RoleMissing):
                decide(by=somebody, intervention_id=asked.pk, note="Seen.")


class TestPropose:
    def test_keeps_the_figures_and_waits_for_a_second_person(
        self, payout: Payout, treasurer: User, rung: list[Any]
    ) -> None:
        shown = figures(payout)
        asked = propose(payout, treasurer, shown=shown)
        assert (asked.status, asked.needs_second, asked.decided_by) == ("proposed", True, None)
        assert (asked.preview, asked.feerate_sat_kvb) == (shown, 3_000)
        assert rung == []
        history = StatusChange.objects.get(subject="intervention")
        assert (history.new, history.note, history.actor) == ("proposed", "Stuck for a day.", treasurer)

    @pytest.mark.parametrize(("added_sat", "is_alone"), [(10_000, True), (10_001, False)])
    @pytest.mark.parametrize("kind", ["bump", "child"])
    def test_of_a_fee_up_to_the_limit_needs_nobody_else(
        self, payout: Payout, treasurer: User, rung: list[Any], kind: str, added_sat: int, is_alone: bool
    ) -> None:
        asked = propose(payout, treasurer, kind, shown=figures(payout, added_sat))
        assert asked.needs_second is not is_alone
        assert asked.status == ("approved" if is_alone else "proposed")
        assert rung == ([("intervene", {"intervention_id": asked.pk})] if is_alone else [])

    def test_adds_up_what_one_person_adds_alone(self, payout: Payout, treasurer: User, second: User) -> None:
        first = propose(payout, treasurer, "bump", shown=figures(payout, 6_000))
        intervene_done(first)
        again = propose(payout, second, "bump", shown=figures(payout, 5_000))
        assert (first.needs_second, again.needs_second) == (False, True)
        interventions.reject(by=treasurer, intervention_id=again.pk, note="No.")
        Intervention.objects.update(payout=other_payout(payout), proposed_at=timezone.now())
        assert propose(payout, treasurer, "bump", shown=figures(payout, 5_000)).needs_second is True

    def test_forgets_what_a_person_added_to_others_after_a_day(self, payout: Payout, treasurer: User) -> None:
        intervene_done(propose(payout, treasurer, "bump", shown=figures(payout, 6_000)))
        Intervention.objects.update(
            payout=other_payout(payout), proposed_at=timezone.now() - timedelta(days=1, seconds=1)
        )
        assert propose(payout, treasurer, "bump", shown=figures(payout, 5_000)).needs_second is False

    @pytest.mark.parametrize("note", ["", "  ", "x" * 301])
    def test_needs_a_reason(self, payout: Payout, treasurer: User, note: str) -> None:
        with refused(InvalidInput):
            propose(payout, treasurer, note=note)

    def test_is_refused_while_another_is_open(
        self, payout: Payout, treasurer: User, second: User, approver: User
    ) -> None:
        asked = propose(payout, treasurer)
        with refused(interventions.InterventionOpen):
            propose(payout, second, "bump")
        interventions.approve(by=approver, intervention_id=asked.pk)
        with refused(interventions.InterventionOpen):
            propose(payout, second)

    def test_is_refused_once_the_payout_has_another_version(self, payout: Payout, treasurer: User) -> None:
        shown = figures(payout)
        add_version(payout)
        with refused(interventions.InterventionStale):
            propose(payout, treasurer, shown=shown)
        with refused(interventions.InterventionStale):
            propose(payout, treasurer, shown=None)

    def test_is_not_found_by_outsiders(self, payout: Payout, outsider: User) -> None:
        with refused(NotFound):
            propose(payout, outsider)
        with refused(NotFound):
            interventions.preview(by=outsider, payout_id=payout.pk, kind="void")

    def test_costs_nothing_where_there_is_no_fee(self, payout: Payout, treasurer: User) -> None:
        put(payout, "frozen")
        with refused(InvalidInput):
            interventions.preview(by=treasurer, payout_id=payout.pk, kind="thaw", feerate_sat_kvb=2_000)

    @pytest.mark.parametrize("feerate_sat_kvb", [None, 999, 50_001])
    def test_of_a_bump_needs_a_feerate_in_the_programs_bounds(
        self, payout: Payout, treasurer: User, feerate_sat_kvb: int | None
    ) -> None:
        with refused(GovPayError) as error:
            interventions.preview(
                by=treasurer, payout_id=payout.pk, kind="bump", feerate_sat_kvb=feerate_sat_kvb
            )
        assert error.value.code == ("invalid_input" if feerate_sat_kvb is None else "feerate_refused")


class TestDecide:
    def test_agrees_and_rings(self, payout: Payout, treasurer: User, second: User, rung: list[Any]) -> None:
        asked = propose(payout, treasurer)
        agreed = interventions.approve(by=second, intervention_id=asked.pk, note="Looked at it.")
        assert (agreed.status, agreed.decided_by) == ("approved", second)
        assert rung == [("intervene", {"intervention_id": asked.pk})]
        last = StatusChange.objects.filter(subject="intervention").latest("pk")
        assert (last.old, last.new, last.actor, last.note) == (
            "proposed",
            "approved",
            second,
            "Looked at it.",
        )

    def test_refuses_the_person_who_proposed_it(self, payout: Payout, treasurer: User) -> None:
        asked = propose(payout, treasurer)
        with refused(SamePersonTwice):
            interventions.approve(by=treasurer, intervention_id=asked.pk)
        with refused(SamePersonTwice):
            interventions.reject(by=treasurer, intervention_id=asked.pk, note="Withdrawn.")

    def test_refuses_the_proposer_in_another_role(
        self, payout: Payout, program: Program, treasurer: User
    ) -> None:
        asked = propose(payout, treasurer)
        factories.change_role(program, treasurer, "approver")
        with refused(SamePersonTwice):
            interventions.approve(by=treasurer, intervention_id=asked.pk)

    def test_rejects_for_a_reason(self, payout: Payout, treasurer: User, approver: User) -> None:
        asked = propose(payout, treasurer)
        with refused(InvalidInput):
            interventions.reject(by=approver, intervention_id=asked.pk, note=" ")
        assert interventions.reject(by=approver, intervention_id=asked.pk, note="Wait.").status == "rejected"
        assert propose(payout, treasurer).status == "proposed"

    def test_is_left_to_others_but_for_who_proposed_it_and_takes_it_back(
        self, payout: Payout, treasurer: User, approver: User, outsider: User
    ) -> None:
        asked = propose(payout, treasurer)
        with refused(InvalidInput):
            interventions.withdraw(by=treasurer, intervention_id=asked.pk, note=" ")
        with refused(interventions.NotTheProposer):
            interventions.withdraw(by=approver, intervention_id=asked.pk, note="Wrong.")
        with refused(NotFound):
            interventions.withdraw(by=outsider, intervention_id=asked.pk, note="Wrong.")
        taken = interventions.withdraw(by=treasurer, intervention_id=asked.pk, note="The wrong payout.")
        assert (taken.status, taken.decided_by) == ("withdrawn", None)
        last = StatusChange.objects.filter(subject="intervention", subject_id=asked.pk).latest("pk")
        assert (last.actor, last.note, last.reason) == (
            treasurer,
            "The wrong payout.",
            "its proposer took it back",
        )
        with refused(StatusConflict):
            interventions.approve(by=approver, intervention_id=asked.pk)
        assert propose(payout, treasurer).status == "proposed"

    @pytest.mark.parametrize("status", ["approved", "rejected", "withdrawn", "done", "failed"])
    def test_is_not_taken_back_once_it_is_decided(
        self, payout: Payout, treasurer: User, approver: User, status: str
    ) -> None:
        asked = propose(payout, treasurer)
        Intervention.objects.update(status=status, decided_by=approver)
        with refused(StatusConflict):
            interventions.withdraw(by=treasurer, intervention_id=asked.pk, note="Late.")

    @pytest.mark.parametrize("status", ["approved", "rejected", "withdrawn", "done", "failed"])
    def test_is_refused_once_it_is_decided(
        self, payout: Payout, treasurer: User, approver: User, second: User, status: str
    ) -> None:
        asked = propose(payout, treasurer)
        Intervention.objects.update(status=status, decided_by=approver)
        for verb in (interventions.approve, interventions.reject):
            with refused(StatusConflict):
                verb(by=second, intervention_id=asked.pk, note="Late.")

    def test_is_refused_after_a_day(self, payout: Payout, treasurer: User, approver: User) -> None:
        asked = propose(payout, treasurer)
        Intervention.objects.update(proposed_at=timezone.now() - timedelta(days=1, seconds=1))
        with refused(interventions.InterventionStale):
            interventions.approve(by=approver, intervention_id=asked.pk)

    def test_is_refused_once_the_payout_has_another_version(
        self, payout: Payout, treasurer: User, approver: User
    ) -> None:
        asked = propose(payout, treasurer)
        add_version(payout)
        with refused(interventions.InterventionStale):
            interventions.approve(by=approver, intervention_id=asked.pk)

    def test_is_not_found_by_outsiders(self, payout: Payout, treasurer: User, outsider: User) -> None:
        asked = propose(payout, treasurer)
        for verb in (interventions.approve, interventions.reject):
            with refused(NotFound):
                verb(by=outsider, intervention_id=asked.pk, note="No.")


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    """The second waits for the first, and finds it decided."""

    @pytest.mark.parametrize("late", ["approve", "reject", "withdraw"])
    def test_decide_once(
        self, payout: Payout, treasurer: User, second: User, approver: User, late: str
    ) -> None:
        asked = propose(payout, treasurer)
        who = treasurer if late == "withdraw" else second
        verb = getattr(interventions, late)
        _, racer = race(
            lambda: interventions.approve(by=approver, intervention_id=asked.pk, note="I looked."),
            lambda: verb(by=who, intervention_id=asked.pk, note="So did I."),
        )
        assert isinstance(racer.error, StatusConflict)
        asked.refresh_from_db()
        assert (asked.status, asked.decided_by) == ("approved", approver)
        changes = StatusChange.objects.filter(subject="intervention", subject_id=asked.pk)
        assert list(changes.order_by("pk").values_list("new", flat=True)) == ["proposed", "approved"]

    def test_ask_for_one_thing_about_a_payout(self, payout: Payout, treasurer: User, second: User) -> None:
        asked, racer = race(lambda: propose(payout, treasurer), lambda: propose(payout, second))
        assert isinstance(racer.error, interventions.InterventionOpen)
        assert Intervention.objects.get() == asked


class TestDatabase:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE payments_intervention SET needs_second = false",
            "UPDATE payments_intervention SET decided_by_id = proposed_by_id",
            "UPDATE payments_intervention SET status = 'approved'",
            "UPDATE payments_intervention SET payout_id = NULL",
            "UPDATE payments_intervention SET kind = 'unhalt'",
        ],
    )
    def test_refuses_what_one_person_would_need(
        self, payout: Payout, treasurer: User, statement: str
    ) -> None:
        propose(payout, treasurer)
        with connection.cursor() as cursor, pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute(statement)

    def test_refuses_a_second_open_one(self, payout: Payout, treasurer: User) -> None:
        asked = propose(payout, treasurer)
        asked.pk = None
        with pytest.raises(IntegrityError, match="intervention_one_open"), transaction.atomic():
            asked.save()
