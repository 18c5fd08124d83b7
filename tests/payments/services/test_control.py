"""People prove that they control an address: the challenge binds person, program and address, expires, and counts once."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput, NotFound
from payments.models import (
    AddressProof,
    Destination,
    DestinationChange,
    Disbursement,
    Enrollment,
    Hold,
    Program,
    ProofNeeded,
)
from payments.onchain import message
from payments.payout import rounds, screening
from payments.services import authority, control, destinations, disbursements
from tests import factories
from tests.holders import Holder

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha() -> Holder:
    return Holder("asha")


@pytest.fixture
def enrollment(program: Program, asha: Holder) -> Enrollment:
    made = factories.make_enrollment(program)
    Destination.objects.filter(beneficiary=made.beneficiary).update(script_pubkey=asha.p2wpkh)
    return made


def demand(program: Program, needed: ProofNeeded) -> None:
    Program.objects.filter(pk=program.pk).update(destination_proof=needed.value, destination_cooling_s=0)


def ask(by: User, enrollment: Enrollment, holder: Holder) -> AddressProof:
    return control.ask(by=by, enrollment_id=enrollment.pk, address=holder.address)


def submitted(program: Program, officer: User, enrollment: Enrollment) -> Disbursement:
    """A submitted list of one line, to the enrolled person."""
    made = factories.make_disbursement(program, officer, amounts_sat=[50_000])
    made.payments.update(beneficiary=enrollment.beneficiary)
    return disbursements.submit(by=officer, disbursement_id=made.pk)


class TestAsk:
    def test_says_who_and_where_and_until_when_in_one_line(
        self, program: Program, enrollment: Enrollment, officer: User, asha: Holder
    ) -> None:
        proof = ask(officer, enrollment, asha)
        start, _, nonce = proof.challenge.rpartition(", ")
        assert start == (
            f"govpay regtest: person {enrollment.beneficiary_id} of {program.code} controls {asha.address},"
            f" until {proof.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        )
        assert len(nonce) == 32
        assert proof.challenge.isascii()
        assert proof.challenge.isprintable()
        assert proof.expires_at == (proof.asked_at + timedelta(days=7)).replace(microsecond=0)

    def test_never_gives_the_same_challenge_twice(
        self, enrollment: Enrollment, officer: User, asha: Holder
    ) -> None:
        assert len({ask(officer, enrollment, asha).challenge for _ in range(3)}) == 3

    def test_refuses_an_address_of_somebody_else(
        self, program: Program, enrollment: Enrollment, officer: User, asha: Holder
    ) -> None:
        other = factories.make_enrollment(program)
        with pytest.raises(InvalidInput) as refused:
            ask(officer, other, asha)
        assert refused.value.details["errors"][0]["code"] == "destination_shared"
        assert AddressProof.objects.count() == 0

    def test_is_for_officers_and_approvers_of_the_program(
        self, enrollment: Enrollment, approver: User, releaser: User, outsider: User, asha: Holder
    ) -> None:
        ask(approver, enrollment, asha)
        with pytest.raises(authority.RoleMissing):
            ask(releaser, enrollment, asha)
        with pytest.raises(NotFound):
            ask(outsider, enrollment, asha)


class TestRecord:
    @pytest.mark.parametrize("form", ["bip322", "legacy"])
    def test_keeps_a_signature_of_the_address(
        self, enrollment: Enrollment, officer: User, approver: User, asha: Holder, form: str
    ) -> None:
        proof = ask(officer, enrollment, asha)
        sign = asha.sign if form == "bip322" else asha.sign_legacy
        signed = sign(proof.challenge)
        done = control.record(by=approver, proof_id=proof.pk, signature=f" {signed}\n")
        assert (done.signature, done.form, done.recorded_by) == (signed, form, approver)
        with pytest.raises(control.ControlProved):
            control.record(by=approver, proof_id=proof.pk, signature=signed)

    def test_keeps_nothing_of_what_proves_nothing(
        self, program: Program, enrollment: Enrollment, officer: User, asha: Holder
    ) -> None:
        proof, other = ask(officer, enrollment, asha), ask(officer, enrollment, asha)
        for signed in (Holder("bilal").sign(proof.challenge), asha.sign(other.challenge), "nothing"):
            with pytest.raises(message.ProofRefused):
                control.record(by=officer, proof_id=proof.pk, signature=signed)
        proof.refresh_from_db()
        assert (proof.signature, proof.proved_at) == ("", None)

    def test_refuses_what_comes_too_late(self, enrollment: Enrollment, officer: User, asha: Holder) -> None:
        proof = ask(officer, enrollment, asha)
        signed = asha.sign(proof.challenge)
        with pytest.raises(control.ChallengeExpired):
            control.record(by=officer, proof_id=proof.pk, signature=signed, now=proof.expires_at)
        in_time = proof.expires_at - timedelta(seconds=1)
        assert control.record(by=officer, proof_id=proof.pk, signature=signed, now=in_time).form == "bip322"

    def test_is_kept_whole_by_the_database_too(
        self, enrollment: Enrollment, officer: User, asha: Holder
    ) -> None:
        proof = ask(officer, enrollment, asha)
        found = AddressProof.objects.filter(pk=proof.pk)
        for changes in (
            {"proved_at": timezone.now()},
            {"signature": "x"},
            {
                "signature": "x",
                "form": "bip322",
                "recorded_by": officer,
                "proved_at": proof.expires_at + timedelta(seconds=1),
            },
        ):
            with pytest.raises(IntegrityError), transaction.atomic():
                found.update(**changes)


class TestDemand:
    def propose(self, officer: User, enrollment: Enrollment, holder: Holder) -> DestinationChange:
        return destinations.propose(
            by=officer, enrollment_id=enrollment.pk, address=holder.address, note="A new telephone."
        )

    def test_of_changed_addresses_lets_none_be_confirmed_without_a_proof(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User
    ) -> None:
        demand(program, ProofNeeded.CHANGED)
        bilal = Holder("bilal")
        change = self.propose(officer, enrollment, bilal)
        with pytest.raises(control.ControlProofMissing) as refused:
            destinations.confirm(by=approver, change_id=change.pk, note="Called back.")
        assert isinstance(refused.value, Conflict)
        proof = ask(officer, enrollment, bilal)
        control.record(by=officer, proof_id=proof.pk, signature=bilal.sign(proof.challenge))
        confirmed = destinations.confirm(by=approver, change_id=change.pk, note="Called back.")
        assert confirmed.outcome == "confirmed"

    def test_is_not_met_by_a_proof_of_another_address_person_or_program(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User, asha: Holder
    ) -> None:
        demand(program, ProofNeeded.CHANGED)
        bilal = Holder("bilal")
        change = self.propose(officer, enrollment, bilal)
        elsewhere, stranger = factories.make_program("SCHOOLS"), factories.make_enrollment(program)
        factories.change_role(elsewhere, officer, "officer")
        there = Enrollment.objects.create(
            program=elsewhere, beneficiary=enrollment.beneficiary, reference="P-1", created_by=officer
        )
        for asked, holder in ((enrollment, asha), (there, bilal), (stranger, bilal)):
            proof = ask(officer, asked, holder)
            control.record(by=officer, proof_id=proof.pk, signature=holder.sign(proof.challenge))
        with pytest.raises(control.ControlProofMissing):
            destinations.confirm(by=approver, change_id=change.pk, note="Called back.")

    @pytest.mark.parametrize(
        ("needed", "held"), [(ProofNeeded.NEVER, 0), (ProofNeeded.CHANGED, 0), (ProofNeeded.ALWAYS, 1)]
    )
    def test_of_every_address_holds_the_lines_until_it_is_met(
        self,
        program: Program,
        enrollment: Enrollment,
        officer: User,
        asha: Holder,
        needed: ProofNeeded,
        held: int,
    ) -> None:
        demand(program, needed)
        made = submitted(program, officer, enrollment)
        assert list(Hold.objects.values_list("rule", flat=True)) == ["control_unproved"] * held
        if held:
            proof = ask(officer, enrollment, asha)
            control.record(by=officer, proof_id=proof.pk, signature=asha.sign(proof.challenge))
            assert [ring.ids for ring in rounds.lists_to_review()] == [{"disbursement_id": made.pk}]
            screening.review(made.pk)
        assert made.payments.get().status == "pending"

    def test_also_holds_what_was_changed_before_there_was_a_demand(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User
    ) -> None:
        change = self.propose(officer, enrollment, Holder("bilal"))
        destinations.confirm(by=approver, change_id=change.pk, note="Called back.")
        demand(program, ProofNeeded.CHANGED)
        made = submitted(program, officer, enrollment)
        assert made.payments.get().status == "held"
