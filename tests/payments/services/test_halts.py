"""What two people lift: a frozen payout, a halted wallet; and what nobody decided in time."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from govpay.errors import NotFound, SamePersonTwice
from payments.models import (
    Alarm,
    Intervention,
    Payout,
    PayoutTxKind,
    Program,
    StatusChange,
    Wallet,
)
from payments.payout import intervene, thaw
from payments.payout.store import PostgresStore
from payments.services import authority, interventions
from tests import factories
from tests.payments.services.asking import (
    add_version,
    other_payout,
    propose,
    put,
    refused,
    state,
)

pytestmark = pytest.mark.django_db


class _NoNode:
    """A node that must not be asked."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the node was asked for {name}")


def nowhere(point: str) -> None:
    """No fail point."""


@pytest.fixture
def thawed(payout: Payout, treasurer: User, approver: User) -> Intervention:
    """Two people agreed that the frozen payout goes on."""
    put(payout, "frozen")
    Payout.objects.update(problem="A stranger spent its coin.", attempts=7)
    asked = propose(payout, treasurer, "thaw")
    return interventions.approve(by=approver, intervention_id=asked.pk)


class TestThaw:
    def carry_out(self, found: Intervention) -> Payout:
        node: Any = _NoNode()
        intervene.carry_out(found.pk, node, failpoint=nowhere)
        return Payout.objects.get(pk=found.payout_id)

    def test_lets_stored_bytes_go_out_again(self, thawed: Intervention, approver: User) -> None:
        payout = self.carry_out(thawed)
        assert (payout.status, payout.problem, payout.attempts) == ("signed", "", 0)
        thawed.refresh_from_db()
        assert thawed.status == "done"
        last = StatusChange.objects.filter(subject="payout").latest("pk")
        assert (last.old, last.new, last.actor) == ("frozen", "signed", approver)

    def test_sends_what_was_never_signed_back_to_its_signer(
        self, program: Program, payout: Payout, treasurer: User, approver: User
    ) -> None:
        bare = other_payout(payout)
        version = add_version(bare)
        put(bare, "frozen")
        bare.refresh_from_db()
        asked = propose(bare, treasurer, "thaw", shown={"problem": "", "status_after": "committed"})
        interventions.approve(by=approver, intervention_id=asked.pk)
        after = self.carry_out(asked)
        assert (after.status, after.current) == ("committed", version)

    def test_keeps_given_up_what_was_given_up(self, thawed: Intervention, payout: Payout) -> None:
        add_version(payout, PayoutTxKind.VOID)
        assert self.carry_out(thawed).status == "voiding"

    def test_does_nothing_the_second_time(self, thawed: Intervention) -> None:
        self.carry_out(thawed)
        before = state()
        self.carry_out(thawed)
        assert state() == before

    def test_gives_way_to_a_worker_that_has_the_payout(self, thawed: Intervention, payout: Payout) -> None:
        PostgresStore().lease(payout.pk)
        before = state()
        assert self.carry_out(thawed).status == "frozen"
        assert state() == before

    @pytest.mark.parametrize("status", ["mined", "settled", "voided"])
    def test_fails_once_the_payout_went_on_by_itself(
        self, thawed: Intervention, payout: Payout, status: str
    ) -> None:
        put(payout, status)
        assert self.carry_out(thawed).status == status
        thawed.refresh_from_db()
        assert (thawed.status, f"is {status}" in thawed.failure) == ("failed", True)
        alarm = Alarm.objects.get(code="intervention_failed")
        assert (alarm.code, alarm.subject, alarm.subject_id) == ("intervention_failed", "payout", payout.pk)

    def test_is_for_the_target_that_the_preview_names(self, payout: Payout) -> None:
        assert thaw.target(payout) == "signed"


class TestExpire:
    def test_gives_up_what_is_open_for_a_day(self, payout: Payout, treasurer: User) -> None:
        asked = propose(payout, treasurer)
        intervene.expire()
        asked.refresh_from_db()
        assert asked.status == "proposed"
        Intervention.objects.update(proposed_at=timezone.now() - timedelta(days=1, seconds=1))
        intervene.expire()
        asked.refresh_from_db()
        assert (asked.status, asked.failure) == (
            "failed",
            "It was not carried out within a day; look at the figures again.",
        )

    def test_gives_up_what_the_payout_has_overtaken(
        self, payout: Payout, treasurer: User, approver: User
    ) -> None:
        asked = propose(payout, treasurer)
        interventions.approve(by=approver, intervention_id=asked.pk)
        put(payout, "mined")
        intervene.expire()
        asked.refresh_from_db()
        assert (asked.status, asked.failure) == ("failed", "The payout is mined now.")
        intervene.expire()
        assert Alarm.objects.get(code="intervention_failed").times == 1


@pytest.fixture
def halted(program: Program) -> Iterator[Wallet]:
    """The program's wallet, halted."""
    Wallet.objects.filter(program=program).update(
        halted_at=timezone.now(), halt_code="wallet_changed", halt_reason="Another wallet."
    )
    return Wallet.objects.get(program=program)


class TestUnhalt:
    def ask(self, wallet: Wallet, by: User) -> Intervention:
        assert wallet.halted_at is not None
        shown = {
            "halt_code": wallet.halt_code,
            "halt_reason": wallet.halt_reason,
            "halted_at": wallet.halted_at.isoformat(),
        }
        return interventions.propose_unhalt(
            by=by, program_id=wallet.program_id, note="The right wallet is back.", shown=shown
        )

    def test_waits_for_a_second_person(self, halted: Wallet, treasurer: User, second: User) -> None:
        asked = self.ask(halted, treasurer)
        assert (asked.status, asked.needs_second, asked.payout) == ("proposed", True, None)
        with refused(SamePersonTwice):
            interventions.approve(by=treasurer, intervention_id=asked.pk)
        assert interventions.approve(by=second, intervention_id=asked.pk).status == "approved"

    def test_is_refused_twice_and_without_a_halt(self, halted: Wallet, treasurer: User, second: User) -> None:
        self.ask(halted, treasurer)
        with refused(interventions.InterventionOpen):
            self.ask(halted, second)
        Intervention.objects.update(status="rejected", decided_by=second)
        Wallet.objects.update(halted_at=None, halt_code="", halt_reason="")
        with refused(interventions.InterventionStale):
            self.ask(halted, treasurer)

    def test_is_refused_when_it_was_halted_anew(self, halted: Wallet, treasurer: User) -> None:
        Wallet.objects.update(halted_at=timezone.now())
        with refused(interventions.InterventionStale):
            self.ask(halted, treasurer)

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "auditor"])
    def test_is_refused_to_other_roles(self, halted: Wallet, program: Program, role: str) -> None:
        with refused(authority.RoleMissing):
            self.ask(halted, factories.make_member(program, role, "somebody"))

    def test_is_not_found_by_outsiders(self, halted: Wallet, outsider: User) -> None:
        with refused(NotFound):
            self.ask(halted, outsider)
        with refused(NotFound):
            interventions.look_at_halt(by=outsider, program_id=halted.program_id)
