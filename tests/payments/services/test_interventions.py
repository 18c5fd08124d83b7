"""What people ask of the engine: who may, when, twice, and that every refusal moves nothing."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.utils import timezone

from govpay.errors import GovPayError, InvalidInput, NotFound, SamePersonTwice
from payments import doorbell
from payments.models import (
    Alarm,
    Intervention,
    Membership,
    Payout,
    PayoutTx,
    PayoutTxKind,
    Program,
    StatusChange,
    Wallet,
)
from payments.payout import intervene, thaw
from payments.payout.store import PostgresStore
from payments.services import authority, interventions
from payments.states import PayoutStatus, StatusConflict
from tests import factories
from tests.payments.admin import scenes
from tests.racing import race

pytestmark = pytest.mark.django_db

POSSIBLE = {
    "bump": {"committed", "signed", "sent"},
    "child": {"committed", "signed", "sent"},
    "void": {"committed", "signed", "sent", "frozen", "voiding"},
    "thaw": {"frozen"},
}


@pytest.fixture
def payout(program: Program, officer: User, approver: User, releaser: User) -> Payout:
    """A payout that was sent."""
    found: Payout = scenes.furnish(program, officer, approver, releaser)["payout"]
    Intervention.objects.all().delete()
    return found


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "treasurer", "second-treasurer")


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, int]]]:
    """The doorbells that were rung."""
    found: list[tuple[str, dict[str, int]]] = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **ids: found.append((task, ids)))
    return found


def figures(payout: Payout, added_sat: int = 500, **changed: Any) -> dict[str, Any]:
    """What a preview shows."""
    assert payout.current is not None
    return {
        "old_txid": payout.current.txid,
        "old_fee_sat": 1_234,
        "new_fee_sat": 1_234 + added_sat,
        "fee_added_sat": added_sat,
        "added_inputs": [],
        "spent_inputs": [f"{payout.anchor_txid}:0"],
        "child_id": None,
        "feerate_sat_kvb": 3_000,
    } | changed


def propose(payout: Payout, by: User, kind: str = "void", **given: Any) -> Intervention:
    """Ask for it."""
    given = {"note": "Stuck for a day.", "shown": figures(payout)} | given
    return interventions.propose(by=by, payout_id=payout.pk, kind=kind, **given)


def put(payout: Payout, status: str) -> None:
    """Where the engine might have brought it."""
    Payout.objects.filter(pk=payout.pk).update(status=status)


def state() -> tuple[Any, ...]:
    """What a refusal must not move."""
    return (
        list(Payout.objects.order_by("pk").values()),
        list(PayoutTx.objects.order_by("pk").values_list("pk", "kind")),
        list(Intervention.objects.order_by("pk").values()),
        StatusChange.objects.count(),
        list(Wallet.objects.order_by("pk").values()),
        Alarm.objects.count(),
    )


class _Refusal:
    """Checks that the block is refused and that nothing moved."""

    def __init__(self, error: type[GovPayError]) -> None:
        self.expected = pytest.raises(error)
        self.error = error

    def __enter__(self) -> Any:
        self.before = state()
        return self.expected.__enter__()

    def __exit__(self, *args: Any) -> Any:
        result = self.expected.__exit__(*args)
        assert state() == self.before
        return result


refused = _Refusal


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


def intervene_done(found: Intervention) -> None:
    """As if the engine had carried it out, without a new version."""
    Intervention.objects.filter(pk=found.pk).update(status="done")


def other_payout(payout: Payout) -> Payout:
    """Another payout of the same wallet."""
    found = Payout.objects.exclude(pk=payout.pk).filter(wallet=payout.wallet).first()
    return found or Payout.objects.create(
        kind="consolidation",
        wallet=payout.wallet,
        status="settled",
        payment_count=0,
        payments_sat=0,
        manifest_hash=bytes(32),
        anchor_txid="ab" * 32,
        anchor_vout=0,
    )


def add_version(payout: Payout, kind: str = "bump", *, raw: bytes | None = None) -> PayoutTx:
    """Another version of it, the newest."""
    number = PayoutTx.objects.count()
    version = PayoutTx.objects.create(
        payout=payout,
        kind=kind,
        txid=f"{number:064x}",
        unsigned_tx=b"\x02",
        raw=raw,
        fee_sat=2_000,
        fee_added_sat=766,
        change_sat=0,
        vsize_vb=617,
        feerate_sat_kvb=3_241,
    )
    Payout.objects.filter(pk=payout.pk).update(current=version)
    return version


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
        Membership.objects.create(
            program=program, user=treasurer, role="approver", granted_by=factories.make_administrator()
        )
        asked = propose(payout, treasurer)
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
