"""The global stop: who may throw and lift it, and what moves meanwhile."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, NotFound, SamePersonTwice
from payments import doorbell
from payments.models import (
    Alarm,
    Disbursement,
    Heartbeat,
    Payout,
    Program,
    ScriptPurpose,
    Stop,
    Wallet,
    WalletScript,
)
from payments.payout import guard, rounds, seal
from payments.services import authority, disbursements, stops
from tests import factories

pytestmark = pytest.mark.django_db

# The books are sealed whatever else stands still.


def reading(released: Disbursement) -> list[tuple[str, dict[str, int]]]:
    """What the sweep rings for in any case: to seal the books, to add them up and to compare them moves nothing."""
    return [("seal_books", {}), ("add_up_books", {}), ("reconcile", {"program_id": released.program_id})]


@pytest.fixture(autouse=True)
def _clocks_were_looked_at(db: None, settings: Any) -> None:
    """The sweep rings for that once a while, whatever stands still."""
    Heartbeat.beat("grievances")
    settings.GOVPAY_TRANSPARENCY_S = 0


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    factories.fund(program)
    made = disbursements.submit(by=officer, disbursement_id=factories.make_disbursement(program, officer).pk)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
    disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
    return Disbursement.objects.select_related("program__wallet").get(pk=made.pk)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, int]]]:
    """Every doorbell that was rung, in order."""
    found: list[tuple[str, dict[str, int]]] = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **ids: found.append((task, ids)))
    return found


class TestThrow:
    @pytest.mark.parametrize("role", ["treasurer", "auditor"])
    def test_is_open_to_treasurer_and_auditor(self, program: Program, role: str) -> None:
        by = factories.make_member(program, role)
        stop = stops.throw(by=by, reason=" A payee says that she was paid twice. ")
        assert (stop.is_open, stop.thrown_by, stop.reason) == (
            True,
            by,
            "A payee says that she was paid twice.",
        )
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject) == ("engine_stopped", "engine")
        assert by.get_username() in alarm.message

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser"])
    def test_is_refused_to_the_other_roles(self, program: Program, role: str) -> None:
        with pytest.raises(authority.RoleMissing):
            stops.throw(by=factories.make_member(program, role), reason="No.")
        assert (Stop.objects.count(), Alarm.objects.count()) == (0, 0)

    def test_is_open_to_whoever_holds_the_permission(self) -> None:
        stops.throw(by=factories.make_user("guard", "payments.add_stop"), reason="Fire.")
        assert Stop.objects.count() == 1

    def test_is_refused_to_a_treasurer_whose_account_is_closed(self, treasurer: User) -> None:
        treasurer.is_active = False
        treasurer.save()
        with pytest.raises(authority.RoleMissing):
            stops.throw(by=treasurer, reason="No.")
        assert Stop.objects.count() == 0

    @pytest.mark.parametrize(("reason", "code"), [("  ", "missing"), ("x" * 301, "too_long")])
    def test_needs_a_reason_that_fits(self, treasurer: User, reason: str, code: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            stops.throw(by=treasurer, reason=reason)
        assert refusal.value.details["errors"][0]["code"] == code
        assert Stop.objects.count() == 0

    def test_is_refused_while_a_stop_is_open(self, treasurer: User, auditor: User) -> None:
        stops.throw(by=treasurer, reason="First.")
        with pytest.raises(stops.AlreadyStopped):
            stops.throw(by=auditor, reason="Second.")
        assert Stop.objects.get().reason == "First."


class TestLift:
    def test_is_for_another_treasurer_and_rings_for_the_work_that_waited(
        self, program: Program, auditor: User, treasurer: User, rung: list[tuple[str, dict[str, int]]]
    ) -> None:
        stop = stops.throw(by=auditor, reason="Look.")
        lifted = stops.lift(by=treasurer, stop_id=stop.pk, reason="Looked; she was paid once.")
        assert (lifted.is_open, lifted.lifted_by) == (False, treasurer)
        assert Alarm.objects.get().closed_at == lifted.lifted_at or Alarm.objects.get().closed_at is not None
        assert rung == [("sweep", {})]

    def test_is_refused_to_the_person_who_threw_it(self, treasurer: User) -> None:
        stop = stops.throw(by=treasurer, reason="Look.")
        with pytest.raises(SamePersonTwice):
            stops.lift(by=treasurer, stop_id=stop.pk, reason="Never mind.")
        with pytest.raises(IntegrityError, match="stop_lifted_by_another"), transaction.atomic():
            Stop.objects.update(is_open=False, lifted_by=treasurer, lifted_at=timezone.now())
        assert Stop.objects.get().is_open
        assert Alarm.objects.get().closed_at is None

    def test_is_refused_to_an_auditor(self, treasurer: User, auditor: User) -> None:
        stop = stops.throw(by=treasurer, reason="Look.")
        with pytest.raises(authority.RoleMissing):
            stops.lift(by=auditor, stop_id=stop.pk, reason="Fine.")
        assert Stop.objects.get().is_open

    def test_tells_the_others_that_there_is_no_such_stop(self, treasurer: User, officer: User) -> None:
        stop = stops.throw(by=treasurer, reason="Look.")
        with pytest.raises(NotFound):
            stops.lift(by=officer, stop_id=stop.pk, reason="Fine.")
        assert Stop.objects.get().is_open

    def test_happens_once(self, program: Program, auditor: User, treasurer: User) -> None:
        stop = stops.throw(by=auditor, reason="Look.")
        stops.lift(by=treasurer, stop_id=stop.pk, reason="Looked.")
        second = factories.make_member(program, "treasurer", "second-treasurer")
        with pytest.raises(stops.StopLifted):
            stops.lift(by=second, stop_id=stop.pk, reason="Looked again.")
        assert Stop.objects.get().lift_reason == "Looked."


class TestStoppedEngine:
    def test_seals_nothing(self, released: Disbursement, treasurer: User) -> None:
        stops.throw(by=treasurer, reason="Look.")
        with pytest.raises(guard.EngineStopped, match="Look"):
            seal.seal_next(released, feerate_sat_kvb=1_000)
        assert Payout.objects.count() == 0

    def test_is_not_rung_by_the_sweep(
        self, released: Disbursement, treasurer: User, rung: list[tuple[str, dict[str, int]]]
    ) -> None:
        rounds.sweep()
        assert rung == [("seal", {"disbursement_id": released.pk}), *reading(released)]
        rung.clear()
        stops.throw(by=treasurer, reason="Look.")
        rounds.sweep()
        assert rung == reading(released)


class TestHaltedWallet:
    def halt(self, released: Disbursement) -> Wallet:
        wallet = released.program.wallet
        guard.halt(wallet, guard.HaltCode.WALLET_CHANGED, "The node has another wallet.")
        return Wallet.objects.get(pk=wallet.pk)

    def test_seals_nothing_and_is_alarmed(self, released: Disbursement) -> None:
        wallet = self.halt(released)
        assert (wallet.halt_code, wallet.halt_reason) == ("wallet_changed", "The node has another wallet.")
        with pytest.raises(guard.WalletHalted, match="another wallet"):
            seal.seal_next(released, feerate_sat_kvb=1_000)
        assert Payout.objects.count() == 0
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject, alarm.subject_id, alarm.program) == (
            "wallet_changed",
            "wallet",
            wallet.pk,
            released.program,
        )

    def test_keeps_its_first_reason_unless_the_database_was_restored(self, released: Disbursement) -> None:
        self.halt(released)
        guard.halt(released.program.wallet, guard.HaltCode.SECOND_INSTALLATION, "Somebody else.")
        assert Wallet.objects.get().halt_code == "wallet_changed"
        guard.halt(released.program.wallet, guard.HaltCode.DATABASE_RESTORED, "Older than the node.")
        assert Wallet.objects.get().halt_code == "database_restored"
        assert set(Alarm.objects.values_list("code", flat=True)) == {
            "wallet_changed",
            "second_installation",
            "database_restored",
        }

    def test_is_not_rung_by_the_sweep(
        self, released: Disbursement, rung: list[tuple[str, dict[str, int]]]
    ) -> None:
        wallet = released.program.wallet
        WalletScript.objects.create(
            wallet=wallet, script_pubkey=factories.make_script(), purpose=ScriptPurpose.CHANGE
        )
        payout_id = seal.seal_next(released, feerate_sat_kvb=1_000)
        rung.clear()
        rounds.sweep()
        assert rung == [("advance", {"payout_id": payout_id}), *reading(released)]
        self.halt(released)
        rung.clear()
        rounds.sweep()
        assert rung == reading(released)
