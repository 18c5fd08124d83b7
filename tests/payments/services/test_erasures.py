"""Two people destroy what is known of a person; what the books need stays, and nobody is paid twice by coming back."""

import io
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import Forbidden, InvalidInput, NotFound, SamePersonTwice
from payments.models import (
    Beneficiary,
    Destination,
    Disbursement,
    Election,
    Enrollment,
    Erasure,
    Grievance,
    Hold,
    IntakeError,
    Message,
    Payment,
    PersonCode,
    Program,
    Trust,
    TrustLeg,
)
from payments.services import (
    destinations,
    disbursements,
    elections,
    erasures,
    grievance_replies,
    grievances,
    people,
)
from payments.trust import following
from tests import factories, racing
from tests.holders import Holder
from tests.payments.trust.conftest import Three, elect_all, give_price, release
from tests.payments.trust.test_legs import settle

COLUMNS = "reference,national_id,full_name,phone,address"
ID = "AB-1234567"


@pytest.fixture
def eraser(program: Program) -> User:
    """A member with the permission to erase."""
    user = factories.make_user("eraser", erasures.PERMISSION)
    program.memberships.create(user=user, role="auditor", granted_by=factories.make_administrator())
    return user


def enroll(program: Program, officer: User, reference: str = "P-1", holder: str = "asha") -> Enrollment:
    return people.enroll(
        by=officer,
        program_id=program.pk,
        reference=reference,
        national_id=ID,
        full_name="Asha Khan",
        phone="+923001234567",
        address=Holder(holder).address,
    )


@pytest.fixture
def enrollment(program: Program, officer: User) -> Enrollment:
    return enroll(program, officer)


def ask(by: User, enrollment: Enrollment) -> Erasure:
    return erasures.ask(by=by, enrollment_id=enrollment.pk, note="Asked in writing.")


def erase(officer: User, eraser: User, enrollment: Enrollment) -> Erasure:
    return erasures.confirm(by=eraser, erasure_id=ask(officer, enrollment).pk, note="Checked.")


def listed(program: Program, officer: User, enrollment: Enrollment, **columns: object) -> Payment:
    made = factories.make_disbursement(program, officer, amounts_sat=[50_000], **columns)  # type: ignore[arg-type]
    made.payments.update(beneficiary=enrollment.beneficiary)
    return made.payments.get()


@pytest.mark.django_db
class TestConfirm:
    def test_destroys_what_is_known_and_keeps_the_hash_and_the_scripts(
        self, program: Program, enrollment: Enrollment, officer: User, eraser: User
    ) -> None:
        before = Beneficiary.objects.get()
        done = erase(officer, eraser, enrollment)
        after = Beneficiary.objects.get()
        assert (done.outcome, done.decided_by, after.erased_at) == ("erased", eraser, done.decided_at)
        assert after.personal == {"full_name": "", "phone": ""}
        assert bytes(after.identity_hash) == bytes(before.identity_hash)
        assert Enrollment.objects.count() == 0
        assert list(Destination.objects.values_list("is_current", flat=True)) == [False]
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(b)::text FROM payments_beneficiary b")
            assert "Asha" not in cursor.fetchone()[0]

    def test_is_another_persons_with_the_permission(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User, eraser: User
    ) -> None:
        erasure = ask(officer, enrollment)
        with pytest.raises(Forbidden):
            erasures.confirm(by=approver, erasure_id=erasure.pk, note="Checked.")
        outsider = factories.make_user("elsewhere", erasures.PERMISSION)
        with pytest.raises(NotFound):
            erasures.confirm(by=outsider, erasure_id=erasure.pk, note="Checked.")
        both = factories.make_user("both", erasures.PERMISSION)
        factories.change_role(program, both, "officer")
        Erasure.objects.update(asked_by=both)
        with pytest.raises(SamePersonTwice):
            erasures.confirm(by=both, erasure_id=erasure.pk, note="Checked.")
        assert Beneficiary.objects.get().personal["full_name"] == "Asha Khan"

    def test_is_kept_to_two_people_by_the_database_too(self, enrollment: Enrollment, officer: User) -> None:
        ask(officer, enrollment)
        with pytest.raises(IntegrityError), transaction.atomic():
            Erasure.objects.update(outcome="erased", decided_by=officer, decided_at=timezone.now())

    def test_happens_once(self, enrollment: Enrollment, officer: User, eraser: User) -> None:
        done = erase(officer, eraser, enrollment)
        with pytest.raises(erasures.ErasureDecided):
            erasures.refuse(by=eraser, erasure_id=done.pk, note="After all.")

    def test_needs_a_reason(self, enrollment: Enrollment, officer: User, eraser: User) -> None:
        with pytest.raises(InvalidInput):
            erasures.ask(by=officer, enrollment_id=enrollment.pk, note=" ")
        erasure = ask(officer, enrollment)
        with pytest.raises(InvalidInput):
            erasures.confirm(by=eraser, erasure_id=erasure.pk, note="")
        assert Enrollment.objects.count() == 1


@pytest.mark.django_db
class TestElections:
    """Who has elected a trust's currency may be erased too, but not while a trust owes them."""

    @pytest.fixture
    def trust(self) -> Trust:
        return factories.make_trust(cash_minor=1_449_988)

    def test_stay_without_the_person_and_are_never_changed_else(
        self, enrollment: Enrollment, officer: User, eraser: User, trust: Trust
    ) -> None:
        asked = {"choice": "currency", "trust_id": trust.pk, "currency": "PKR", "note": "Asha told me."}
        made = elections.elect(by=officer, enrollment_id=enrollment.pk, **asked)
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            Election.objects.filter(pk=made.pk).update(note="Another.")
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            Election.objects.filter(pk=made.pk).update(enrollment=None, note="", choice="bitcoin", purse=None)
        erase(officer, eraser, enrollment)
        made.refresh_from_db()
        assert (made.enrollment_id, made.note, made.choice) == (None, "", "currency")
        assert not Enrollment.objects.exists()

    def test_said_with_a_code_go_the_same_way_and_the_message_with_the_digits_is_gone(
        self, enrollment: Enrollment, officer: User, eraser: User, trust: Trust
    ) -> None:
        now = timezone.now()
        code = PersonCode.objects.create(
            enrollment=enrollment, code_hash=bytes(32), made_at=now, expires_at=now + timedelta(minutes=10)
        )
        elections.keep(
            Election(
                enrollment=enrollment, choice="currency", purse=trust.purses.get(), code=code, made_at=now
            )
        )
        Message.objects.create(
            program=enrollment.program,
            person_code=code,
            kind="person_code",
            channel="sms",
            content={"to": "+923001234567", "subject": "", "text": "123456"},
            message_id=uuid4(),
            made_at=now,
            due_at=now,
            expires_at=now + timedelta(minutes=10),
        )
        erase(officer, eraser, enrollment)
        assert not Message.objects.exists()
        assert list(PersonCode.objects.values_list("enrollment", flat=True)) == [None]
        assert Election.objects.get().code_id == code.pk

    @pytest.mark.parametrize("leg", ["owed", "instructed"])
    def test_are_carried_out_first_where_a_trust_owes_the_person(
        self,
        program: Program,
        enrollment: Enrollment,
        officer: User,
        approver: User,
        releaser: User,
        eraser: User,
        trust: Trust,
        leg: str,
    ) -> None:
        give_price("28100000")
        factories.fund(program, 1_000_000)
        draft = listed(program, officer, enrollment).disbursement
        elect_all(draft, trust, officer)
        release(draft, Three(officer, approver, releaser))
        settle(draft)
        following.follow(trust.pk)
        rows = TrustLeg.objects.filter(payment__disbursement=draft)
        rows.update(status=leg)
        with pytest.raises(erasures.PaymentsOpen, match="Trusts owe the person currency for payments: 1"):
            ask(officer, enrollment)
        rows.update(status="paid")
        assert erase(officer, eraser, enrollment).outcome == "erased"


@pytest.mark.django_db
class TestRefusals:
    @pytest.mark.parametrize("verb", ["refuse", "withdraw"])
    def test_leave_everything_as_it_was(
        self, enrollment: Enrollment, officer: User, eraser: User, verb: str
    ) -> None:
        erasure = ask(officer, enrollment)
        by = eraser if verb == "refuse" else officer
        getattr(erasures, verb)(by=by, erasure_id=erasure.pk, note="Not now.")
        assert Beneficiary.objects.get().personal["full_name"] == "Asha Khan"
        ask(officer, enrollment)

    def test_of_a_second_request(self, enrollment: Enrollment, officer: User) -> None:
        ask(officer, enrollment)
        with pytest.raises(erasures.ErasureOpen):
            ask(officer, enrollment)

    def test_while_a_payment_is_open_in_any_program_and_not_when_it_is_withdrawn(
        self, program: Program, enrollment: Enrollment, officer: User, eraser: User
    ) -> None:
        erasure = ask(officer, enrollment)
        payment = listed(factories.make_program("SCHOOLS"), officer, enrollment)
        with pytest.raises(erasures.PaymentsOpen) as refused:
            erasures.confirm(by=eraser, erasure_id=erasure.pk, note="Checked.")
        assert refused.value.details == {"payments": 1}
        assert Enrollment.objects.filter(pk=enrollment.pk).exists()
        Payment.objects.filter(pk=payment.pk).update(status="cancelled")
        assert erasures.confirm(by=eraser, erasure_id=erasure.pk, note="Checked.").outcome == "erased"

    def test_while_a_change_of_address_waits(self, enrollment: Enrollment, officer: User) -> None:
        change = destinations.propose(
            by=officer, enrollment_id=enrollment.pk, address=Holder("bilal").address, note="New."
        )
        with pytest.raises(
            erasures.DecisionsOpen, match=f"To be ended first: change of address {change.pk}."
        ):
            ask(officer, enrollment)

    def test_while_a_grievance_runs_whose_words_go_too_once_it_has_ended(
        self, program: Program, enrollment: Enrollment, officer: User, eraser: User
    ) -> None:
        lodged = grievances.lodge(
            by=officer,
            program_id=program.pk,
            category="other",
            text="I am Asha.",
            contact="+923001234567",
            enrollment_id=enrollment.pk,
        )
        with pytest.raises(erasures.DecisionsOpen) as refused:
            ask(officer, enrollment)
        assert refused.value.details == {"open": [f"grievance {lodged.grievance.pk}"]}
        grievance_replies.withdraw(grievance_id=lodged.grievance.pk, secret=lodged.secret)
        erase(officer, eraser, enrollment)
        row = Grievance.objects.get()
        assert (row.said, row.enrollment_id) == ({"text": "", "contact": ""}, None)


@pytest.mark.django_db
class TestReturn:
    def test_is_the_same_person_noticed_and_at_an_address_that_cools(
        self, program: Program, enrollment: Enrollment, officer: User, approver: User, eraser: User
    ) -> None:
        erase(officer, eraser, enrollment)
        file = f"{COLUMNS}\nP-2,{ID},Asha K.,,{Holder('bilal').address}\n"
        made = people.import_csv(
            by=officer, program_id=program.pk, file=io.BytesIO(file.encode()), filename="people.csv"
        )
        assert (made.rows_loaded, made.rows_refused) == (1, 0)
        assert list(IntakeError.objects.values_list("row", "code")) == [(1, "person_erased")]
        person = Beneficiary.objects.get()
        assert person.pk == enrollment.beneficiary_id
        assert (person.personal["full_name"], person.erased_at) == ("Asha K.", None)
        back = Enrollment.objects.get()
        payment = listed(program, officer, back)
        disbursements.submit(by=officer, disbursement_id=payment.disbursement_id)
        assert Hold.objects.get().rule == "destination_cooling"

    def test_pays_nobody_a_second_time_in_a_cycle(
        self, program: Program, enrollment: Enrollment, officer: User, eraser: User
    ) -> None:
        first = listed(program, officer, enrollment)
        Payment.objects.filter(pk=first.pk).update(status="cancelled")
        erase(officer, eraser, enrollment)
        # As if it had been paid: the person of the line is the same person for good.
        Payment.objects.filter(pk=first.pk).update(status="pending")
        back = enroll(program, officer, "P-2")
        with pytest.raises(IntegrityError), transaction.atomic():
            listed(program, officer, back)


@pytest.mark.django_db(transaction=True)
class TestRace:
    def draft(self, program: Program, officer: User) -> Disbursement:
        return factories.make_disbursement(program, officer, amounts_sat=[50_000])

    def submit(self, draft: Disbursement, officer: User, enrollment: Enrollment) -> str:
        """Put the person on the list and submit it, in one database transaction."""
        with transaction.atomic():
            draft.payments.update(beneficiary=enrollment.beneficiary)
            return disbursements.submit(by=officer, disbursement_id=draft.pk).status

    def test_of_an_erasure_behind_a_list_is_lost(
        self, program: Program, enrollment: Enrollment, officer: User, eraser: User
    ) -> None:
        erasure, draft = ask(officer, enrollment), self.draft(program, officer)
        won, loser = racing.race(
            lambda: self.submit(draft, officer, enrollment),
            lambda: erasures.confirm(by=eraser, erasure_id=erasure.pk, note="Checked."),
        )
        assert won == "submitted"
        assert isinstance(loser.error, erasures.PaymentsOpen)
        assert Beneficiary.objects.get(pk=enrollment.beneficiary_id).erased_at is None

    def test_of_a_list_behind_an_erasure_pays_nobody(
        self, program: Program, enrollment: Enrollment, officer: User, eraser: User
    ) -> None:
        erasure, draft = ask(officer, enrollment), self.draft(program, officer)
        won, loser = racing.race(
            lambda: erasures.confirm(by=eraser, erasure_id=erasure.pk, note="Checked.").outcome,
            lambda: self.submit(draft, officer, enrollment),
        )
        assert won == "erased"
        assert isinstance(loser.error, InvalidInput)
        assert loser.error.details["errors"][0]["code"] == "destination_missing"
        assert Disbursement.objects.get(pk=draft.pk).status == "draft"
