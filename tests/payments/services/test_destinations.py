"""Changes of address: two people, a cooling period, and holds on the lines that fall into it; the rest is paid."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from govpay.errors import InvalidInput, NotFound, SamePersonTwice
from payments.models import Destination, DestinationChange, Disbursement, Enrollment, Hold, Payment, Program
from payments.onchain import address
from payments.onchain.network import Network
from payments.payout import rounds, screening
from payments.services import authority, destinations, disbursements, holds, people
from tests import factories, racing
from tests.payments.onchain.test_address import WIF
from tests.payments.services.files import make_address, make_person

pytestmark = pytest.mark.django_db

GOOD = make_person(1)


@pytest.fixture
def enrollment(program: Program, officer: User) -> Enrollment:
    return people.enroll(by=officer, program_id=program.pk, **GOOD)


@pytest.fixture
def second(program: Program) -> User:
    return factories.make_member(program, "officer", "second-officer")


def propose(by: User, enrollment: Enrollment, text: str | None = None) -> DestinationChange:
    text = make_address(2) if text is None else text
    return destinations.propose(by=by, enrollment_id=enrollment.pk, address=text, note="A new telephone.")


def change(enrollment: Enrollment, by: User, confirmed_by: User) -> Destination:
    made = destinations.confirm(by=confirmed_by, change_id=propose(by, enrollment).pk, note="Called back.")
    assert made.destination is not None
    return made.destination


def current(enrollment: Enrollment) -> str:
    found = Destination.objects.get(beneficiary_id=enrollment.beneficiary_id, is_current=True)
    return address.address_from_script(bytes(found.script_pubkey), Network.REGTEST)


class TestPropose:
    def test_pays_at_the_old_address_until_somebody_else_confirms(
        self, enrollment: Enrollment, officer: User
    ) -> None:
        made = propose(officer, enrollment)
        assert (made.outcome, made.proposed_by, made.decided_by) == ("open", officer, None)
        assert current(enrollment) == make_address(1)

    def test_refuses_the_same_address(self, enrollment: Enrollment, officer: User) -> None:
        with pytest.raises(destinations.DestinationUnchanged):
            propose(officer, enrollment, make_address(1).upper())
        assert DestinationChange.objects.count() == 0

    def test_refuses_a_second_proposal_while_one_is_open(
        self, enrollment: Enrollment, officer: User, second: User
    ) -> None:
        propose(officer, enrollment)
        with pytest.raises(destinations.ChangePending):
            propose(second, enrollment, make_address(3))
        assert DestinationChange.objects.count() == 1

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (make_address(2), "destination_shared"),
            ("x", "address_malformed"),
            (WIF, "address_is_secret"),
            ("", "address_missing"),
        ],
    )
    def test_refuses_what_a_file_could_not_hold(
        self, program: Program, enrollment: Enrollment, officer: User, text: str, code: str
    ) -> None:
        people.enroll(by=officer, program_id=program.pk, **make_person(2))
        with pytest.raises(InvalidInput) as refusal:
            propose(officer, enrollment, text)
        assert [error["code"] for error in refusal.value.details["errors"]] == [code]
        assert DestinationChange.objects.count() == 0

    def test_refuses_our_own_addresses(self, program: Program, enrollment: Enrollment, officer: User) -> None:
        script = bytes(program.wallet.scripts.get().script_pubkey)
        with pytest.raises(InvalidInput) as refusal:
            propose(officer, enrollment, address.address_from_script(script, Network.REGTEST))
        assert [error["code"] for error in refusal.value.details["errors"]] == ["address_is_ours"]
        assert DestinationChange.objects.count() == 0

    def test_needs_a_reason(self, enrollment: Enrollment, officer: User) -> None:
        with pytest.raises(InvalidInput):
            destinations.propose(by=officer, enrollment_id=enrollment.pk, address=make_address(2), note=" ")
        assert DestinationChange.objects.count() == 0

    def test_is_for_officers(self, enrollment: Enrollment, approver: User, outsider: User) -> None:
        with pytest.raises(authority.RoleMissing):
            propose(approver, enrollment)
        with pytest.raises(NotFound):
            propose(outsider, enrollment)
        assert DestinationChange.objects.count() == 0


class TestDecide:
    @pytest.mark.parametrize("who", ["approver", "second"])
    def test_keeps_the_old_address_as_history(
        self, enrollment: Enrollment, officer: User, who: str, request: pytest.FixtureRequest
    ) -> None:
        made = change(enrollment, officer, request.getfixturevalue(who))
        old, new = Destination.objects.order_by("pk")
        assert (old.is_current, old.changed_at) == (False, None)
        assert (new.is_current, new.pk) == (True, made.pk)
        assert new.changed_at is not None
        assert current(enrollment) == make_address(2)

    def test_is_not_for_who_proposed_it(self, enrollment: Enrollment, officer: User) -> None:
        made = propose(officer, enrollment)
        for verb in (destinations.confirm, destinations.refuse):
            with pytest.raises(SamePersonTwice):
                verb(by=officer, change_id=made.pk, note="It is me.")
        assert current(enrollment) == make_address(1)

    def test_is_kept_apart_by_the_database_too(self, enrollment: Enrollment, officer: User) -> None:
        made = propose(officer, enrollment)
        with pytest.raises(IntegrityError), transaction.atomic():
            DestinationChange.objects.filter(pk=made.pk).update(
                outcome="confirmed",
                decided_by=officer,
                decided_at=timezone.now(),
                destination=Destination.objects.get(),
            )

    def test_is_for_officers_and_approvers(
        self, enrollment: Enrollment, officer: User, auditor: User, releaser: User, outsider: User
    ) -> None:
        made = propose(officer, enrollment)
        for by in (auditor, releaser):
            with pytest.raises(authority.RoleMissing):
                destinations.confirm(by=by, change_id=made.pk, note="Fine.")
        with pytest.raises(NotFound):
            destinations.confirm(by=outsider, change_id=made.pk, note="Fine.")
        assert current(enrollment) == make_address(1)

    def test_looks_again_whether_somebody_else_is_paid_there(
        self, program: Program, enrollment: Enrollment, officer: User, second: User
    ) -> None:
        made = propose(officer, enrollment)
        people.enroll(by=officer, program_id=program.pk, **make_person(2))
        with pytest.raises(InvalidInput) as refusal:
            destinations.confirm(by=second, change_id=made.pk, note="Fine.")
        assert [error["code"] for error in refusal.value.details["errors"]] == ["destination_shared"]
        assert current(enrollment) == make_address(1)

    def test_refused_or_withdrawn_changes_nothing_and_frees_the_way(
        self, enrollment: Enrollment, officer: User, second: User
    ) -> None:
        made = destinations.refuse(by=second, change_id=propose(officer, enrollment).pk, note="Not him.")
        assert (made.outcome, made.decided_by) == ("refused", second)
        again = destinations.withdraw(by=officer, change_id=propose(officer, enrollment).pk, note="Typing.")
        assert again.outcome == "withdrawn"
        assert current(enrollment) == make_address(1)
        with pytest.raises(destinations.ChangeDecided):
            destinations.confirm(by=second, change_id=made.pk, note="After all.")

    def test_is_withdrawn_by_its_proposer_only(
        self, enrollment: Enrollment, officer: User, second: User
    ) -> None:
        with pytest.raises(authority.RoleMissing):
            destinations.withdraw(by=second, change_id=propose(officer, enrollment).pk, note="No.")
        assert DestinationChange.objects.get().outcome == "open"


@pytest.mark.django_db(transaction=True)
class TestTwoDecide:
    def test_at_once_and_one_of_them_comes_too_late(
        self, program: Program, officer: User, approver: User, second: User
    ) -> None:
        enrollment = people.enroll(by=officer, program_id=program.pk, **GOOD)
        made = propose(officer, enrollment)
        _, loser = racing.race(
            lambda: destinations.confirm(by=approver, change_id=made.pk, note="Called back."),
            lambda: destinations.refuse(by=second, change_id=made.pk, note="Not him."),
        )
        assert isinstance(loser.error, destinations.ChangeDecided)
        assert DestinationChange.objects.get().outcome == "confirmed"


def list_with(program: Program, officer: User, enrollment: Enrollment) -> Disbursement:
    """A draft of three lines, the first of them the person's."""
    made = factories.make_disbursement(program, officer)
    made.payments.filter(line=1).update(beneficiary=enrollment.beneficiary_id)
    return made


def statuses(disbursement: Disbursement) -> list[str]:
    return list(disbursement.payments.order_by("line").values_list("status", flat=True))


def take_through(made: Disbursement, officer: User, approver: User, releaser: User) -> Disbursement:
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
    return disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)


class TestCooling:
    def test_holds_the_line_and_pays_the_rest(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program)
        destination = change(enrollment, officer, approver)
        made = take_through(list_with(program, officer, enrollment), officer, approver, releaser)
        assert statuses(made) == ["held", "pending", "pending"]
        hold = Hold.objects.get()
        assert (hold.rule, hold.subject_id, hold.placed_by) == ("destination_cooling", destination.pk, None)
        assert "may be paid from" in hold.note

    def test_ends_by_itself_and_the_line_goes_on(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program)
        destination = change(enrollment, officer, approver)
        made = take_through(list_with(program, officer, enrollment), officer, approver, releaser)
        assert list(rounds.lists_to_review()) == []
        Destination.objects.filter(pk=destination.pk).update(
            changed_at=timezone.now() - timedelta(hours=72, seconds=1)
        )
        found = list(screening.lists_to_review(now=timezone.now(), most=10))
        assert found == [made.pk]
        screening.review(made.pk)
        screening.review(made.pk)
        assert statuses(made) == ["pending", "pending", "pending"]
        hold = Hold.objects.get()
        assert (hold.ended_at is not None, hold.ended_by) == (True, None)
        assert list(screening.lists_to_review(now=timezone.now(), most=10)) == []

    def test_lasts_as_long_as_the_program_says(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User
    ) -> None:
        Program.objects.filter(pk=program.pk).update(destination_cooling_s=0)
        change(enrollment, officer, approver)
        made = list_with(program, officer, enrollment)
        disbursements.submit(by=officer, disbursement_id=made.pk)
        assert statuses(made) == ["pending", "pending", "pending"]

    def test_does_not_apply_to_the_first_address(
        self, program: Program, enrollment: Enrollment, officer: User
    ) -> None:
        made = list_with(program, officer, enrollment)
        disbursements.submit(by=officer, disbursement_id=made.pk)
        assert statuses(made) == ["pending", "pending", "pending"]

    def test_is_not_for_an_officer_to_cut_short(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User
    ) -> None:
        change(enrollment, officer, approver)
        made = list_with(program, officer, enrollment)
        disbursements.submit(by=officer, disbursement_id=made.pk)
        line = made.payments.get(line=1)
        with pytest.raises(holds.HoldStands) as refusal:
            holds.resume(by=approver, payment_id=line.pk, note="He is in a hurry.")
        assert refusal.value.details["rules"] == ["destination_cooling"]
        assert statuses(made) == ["held", "pending", "pending"]

    def test_is_not_lifted_from_a_line_that_an_officer_holds_as_well(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User
    ) -> None:
        destination = change(enrollment, officer, approver)
        made = list_with(program, officer, enrollment)
        line = made.payments.get(line=1)
        holds.hold(by=officer, payment_id=line.pk, note="He moved abroad.")
        disbursements.submit(by=officer, disbursement_id=made.pk)
        assert set(line.holds.values_list("rule", flat=True)) == {"officer", "destination_cooling"}
        Destination.objects.filter(pk=destination.pk).update(changed_at=timezone.now() - timedelta(days=4))
        screening.review(made.pk)
        assert statuses(made) == ["held", "pending", "pending"]
        holds.resume(by=approver, payment_id=line.pk, note="He came back.")
        assert statuses(made) == ["pending", "pending", "pending"]


class TestShared:
    @pytest.fixture
    def made(self, program: Program, enrollment: Enrollment, officer: User, approver: User) -> Disbursement:
        """A list in which somebody is paid where another person was paid before."""
        Program.objects.filter(pk=program.pk).update(destination_cooling_s=0)
        factories.fund(program)
        change(enrollment, officer, approver)
        other = people.enroll(by=officer, program_id=program.pk, **make_person(9, address=make_address(1)))
        return disbursements.submit(by=officer, disbursement_id=list_with(program, officer, other).pk)

    def test_holds_the_line_and_names_the_other_person(
        self, made: Disbursement, enrollment: Enrollment
    ) -> None:
        assert statuses(made) == ["held", "pending", "pending"]
        hold = Hold.objects.get()
        assert (hold.rule, hold.subject_id) == ("destination_shared", enrollment.beneficiary_id)

    def test_is_judged_by_somebody_else_than_the_maker_and_not_held_again(
        self, made: Disbursement, officer: User, approver: User, releaser: User
    ) -> None:
        line = made.payments.get(line=1)
        with pytest.raises(SamePersonTwice):
            holds.resume(by=officer, payment_id=line.pk, note="They are married.")
        assert statuses(made) == ["held", "pending", "pending"]
        holds.resume(by=approver, payment_id=line.pk, note="They are married; seen the papers.")
        agreed = bytes(made.manifest_hash or b"")
        disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
        disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
        assert statuses(made) == ["pending", "pending", "pending"]
        assert Hold.objects.get().ended_by == approver

    def test_found_only_after_the_submission_is_held_inside_the_release(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program)
        made = disbursements.submit(
            by=officer, disbursement_id=factories.make_disbursement(program, officer).pk
        )
        agreed = bytes(made.manifest_hash or b"")
        disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
        line = made.payments.get(line=2)
        other = factories.make_enrollment(program)
        Destination.objects.create(
            beneficiary=other.beneficiary,
            script_pubkey=line.script_pubkey,
            is_current=False,
            created_by=officer,
        )
        disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
        assert statuses(made) == ["pending", "held", "pending"]
        assert Payment.objects.get(pk=line.pk).holds.get().subject_id == other.beneficiary_id


class TestScreening:
    def test_asks_as_often_for_many_lines_as_for_few(self, program: Program, officer: User) -> None:
        counts = []
        for n, period in ((2, "2026-01"), (40, "2026-02")):
            made = factories.make_disbursement(program, officer, amounts_sat=[50_000] * n, period=period)
            for line in made.payments.all():
                Destination.objects.filter(beneficiary=line.beneficiary_id).update(changed_at=timezone.now())
            with CaptureQueriesContext(connection) as asked:
                disbursements.submit(by=officer, disbursement_id=made.pk)
            counts.append(len(asked))
            assert set(statuses(made)) == {"held"}
        assert counts[0] == counts[1]
