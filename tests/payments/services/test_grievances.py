"""Grievances: a clock, an owner, the payment, and what the person confirms (R-16)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from govpay.errors import InvalidInput, NotFound
from ledger.models import AuditEvent
from payments.models import Alarm, Enrollment, Grievance, Payment, Program, StatusChange
from payments.services import authority, grievance_clock, grievance_replies, grievances, people, tickets
from payments.services.grievances import GrievanceAboutYou, GrievanceNotOwned
from payments.states import PayoutStatus, StatusConflict
from tests import factories, racing
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
NATIONAL_ID = "35202-7654321-1"


@pytest.fixture
def helpdesk(program: Program) -> User:
    """Hears people."""
    return factories.make_member(program, "helpdesk")


@pytest.fixture
def payment(program: Program, officer: User, approver: User, releaser: User) -> Payment:
    """A line of 50,000 sat whose payout is sent."""
    row: Payment = scenes.furnish(program, officer, approver, releaser)["payment"]
    return row


def lodged(program: Program, **columns: Any) -> grievances.Lodged:
    """Somebody's word at the public page."""
    values = {"reference": "", "national_id": "", "category": "other", "text": "Help."} | columns
    return grievances.lodge_in_person(program_id=program.pk, now=NOW, **values)


def answered(program: Program, by: User) -> grievances.Lodged:
    """A grievance that was answered a moment after NOW."""
    made = lodged(program)
    grievances.take(by=by, grievance_id=made.grievance.pk)
    grievances.answer(by=by, grievance_id=made.grievance.pk, finding="upheld", text="You are right.", now=NOW)
    return made


def enrolled(program: Program, officer: User) -> Enrollment:
    """Somebody whose national id is known."""
    return people.enroll(
        by=officer,
        program_id=program.pk,
        reference="A-1",
        national_id=NATIONAL_ID,
        full_name="Amina Khan",
        phone="",
        address="bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    )


class TestTickets:
    def test_have_130_bits_of_which_only_a_hash_is_kept(self, program: Program) -> None:
        made = lodged(program)
        assert len(made.secret.replace("-", "")) == 26
        assert tickets.digest(made.secret) == bytes(made.grievance.secret_hash)
        assert made.secret.encode() not in b"".join(
            bytes(v) if isinstance(v, memoryview) else str(v).encode()
            for v in Grievance.objects.values_list().get()
        )

    def test_are_read_however_they_are_typed(self) -> None:
        secret = "0" + "1" * 25
        assert tickets.digest("o" + "il" * 12 + "I") == tickets.digest(secret) != b""
        assert tickets.digest(f" {secret[:5].lower()}-{secret[5:]} ") == tickets.digest(secret)

    @pytest.mark.parametrize("text", ["", "0" * 25, "0" * 27, "U" * 26, "\u0660" * 26, "0" * 100_000])
    def test_that_are_none_have_no_hash(self, text: str) -> None:
        assert tickets.digest(text) == b""


class TestLodge:
    def test_starts_the_clock_of_the_program(self, program: Program) -> None:
        Program.objects.filter(pk=program.pk).update(grievance_due_days=14)
        made = lodged(program, category="deduction", received_sat=40_000, contact="+92 300 1234567").grievance
        row = Grievance.objects.get(pk=made.pk)
        assert (row.status, row.due_at, row.owner) == ("lodged", NOW + timedelta(days=14), None)
        assert (row.category, row.received_sat, row.is_proved) == ("deduction", 40_000, False)
        assert row.said == {"text": "Help.", "contact": "+92 300 1234567"}
        assert AuditEvent.objects.filter(action="grievance.lodge", subject_id=str(row.pk)).count() == 1

    def test_keeps_words_encrypted(self, program: Program) -> None:
        lodged(program, text="Amina says so.")
        with connection.cursor() as cursor:
            cursor.execute("SELECT said FROM payments_grievance")
            assert b"Amina" not in bytes(cursor.fetchone()[0])

    def test_knows_who_proves_to_be_a_person_of_the_program(self, program: Program, officer: User) -> None:
        person = enrolled(program, officer)
        row = lodged(program, reference="A-1", national_id="35202 7654321 1").grievance
        assert (row.is_proved, row.enrollment, row.payment) == (True, person, None)

    @pytest.mark.parametrize(
        ("reference", "national_id"),
        [("A-1", "35202-7654321-2"), ("A-2", NATIONAL_ID), ("A-1", ""), ("", "")],
    )
    def test_takes_it_all_the_same_where_reference_and_id_do_not_fit(
        self, program: Program, officer: User, reference: str, national_id: str
    ) -> None:
        enrolled(program, officer)
        row = lodged(program, reference=reference, national_id=national_id).grievance
        assert (row.is_proved, row.enrollment, row.payment) == (False, None, None)

    @pytest.mark.parametrize(
        ("columns", "code"),
        [
            ({"text": " "}, "missing"),
            ({"text": "x" * 2_001}, "too_long"),
            ({"text": "a\0b"}, "malformed"),
            ({"category": "rant"}, "category_unknown"),
            ({"contact": "a\nb"}, "contact_malformed"),
            ({"received_sat": -1}, "amount_out_of_range"),
            ({"received_sat": 2**62}, "amount_out_of_range"),
        ],
    )
    def test_names_what_is_malformed(self, program: Program, columns: dict[str, Any], code: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            lodged(program, **columns)
        assert [error["code"] for error in refusal.value.details["errors"]] == [code]
        assert Grievance.objects.count() == 0

    def test_at_the_help_desk_names_person_and_payment(
        self, program: Program, helpdesk: User, payment: Payment
    ) -> None:
        person = Enrollment.objects.get(beneficiary=payment.beneficiary)
        made = grievances.lodge(
            by=helpdesk,
            program_id=program.pk,
            category="not_received",
            text="Nothing came.",
            enrollment_id=person.pk,
            payment_id=payment.pk,
        ).grievance
        assert (made.is_proved, made.enrollment, made.payment, made.lodged_by) == (
            True,
            person,
            payment,
            helpdesk,
        )

    def test_at_the_help_desk_refuses_others_and_other_programs(
        self, program: Program, payment: Payment, approver: User, outsider: User, helpdesk: User
    ) -> None:
        values = {"program_id": program.pk, "category": "other", "text": "Help."}
        with pytest.raises(authority.RoleMissing):
            grievances.lodge(by=approver, **values)
        with pytest.raises(NotFound):
            grievances.lodge(by=outsider, **values)
        elsewhere = factories.make_enrollment(Program.objects.get(code="OTHER"))
        with pytest.raises(InvalidInput):
            grievances.lodge(by=helpdesk, enrollment_id=elsewhere.pk, **values)
        another = factories.make_enrollment(program)
        with pytest.raises(InvalidInput):
            grievances.lodge(by=helpdesk, enrollment_id=another.pk, payment_id=payment.pk, **values)
        assert Grievance.objects.filter(lodged_by__in=[approver, outsider, helpdesk]).count() == 0


class TestWork:
    def test_has_an_owner_and_an_answer(self, program: Program, helpdesk: User) -> None:
        made = answered(program, helpdesk)
        row = Grievance.objects.get(pk=made.grievance.pk)
        assert (row.status, row.owner, row.finding, row.answered_at) == ("answered", helpdesk, "upheld", NOW)
        assert row.answer == {"text": "You are right."}
        changes = StatusChange.objects.filter(subject="grievance", subject_id=row.pk).order_by("pk")
        assert list(changes.values_list("new", "actor")) == [
            ("lodged", None),
            ("working", helpdesk.pk),
            ("answered", helpdesk.pk),
        ]

    def test_goes_to_whoever_takes_it_last(self, program: Program, helpdesk: User, officer: User) -> None:
        made = lodged(program).grievance
        grievances.take(by=helpdesk, grievance_id=made.pk)
        assert grievances.take(by=officer, grievance_id=made.pk).owner == officer
        with pytest.raises(GrievanceNotOwned):
            grievances.answer(by=helpdesk, grievance_id=made.pk, finding="upheld", text="Yes.")
        assert Grievance.objects.get(pk=made.pk).status == "working"

    def test_is_not_answered_by_whom_it_is_about(
        self, program: Program, officer: User, helpdesk: User, payment: Payment
    ) -> None:
        made = lodged(program).grievance
        grievances.take(by=officer, grievance_id=made.pk)
        grievances.link(by=officer, grievance_id=made.pk, payment_id=payment.pk)
        with pytest.raises(GrievanceAboutYou):
            grievances.answer(by=officer, grievance_id=made.pk, finding="not_upheld", text="No.")
        with pytest.raises(GrievanceAboutYou):
            grievances.link(by=officer, grievance_id=made.pk)
        grievances.take(by=helpdesk, grievance_id=made.pk)
        with pytest.raises(GrievanceAboutYou):
            grievances.take(by=officer, grievance_id=made.pk)
        assert Grievance.objects.get(pk=made.pk).owner == helpdesk
        done = grievances.answer(by=helpdesk, grievance_id=made.pk, finding="upheld", text="Yes.")
        assert done.status == "answered"

    def test_compares_what_the_person_received_with_the_chain(
        self, program: Program, helpdesk: User, payment: Payment
    ) -> None:
        made = lodged(program, received_sat=45_000).grievance
        grievances.take(by=helpdesk, grievance_id=made.pk)
        linked = grievances.link(by=helpdesk, grievance_id=made.pk, payment_id=payment.pk)
        assert (linked.paid_sat, linked.missing_sat) == (0, -45_000)
        assert payment.payout is not None
        type(payment.payout).objects.filter(pk=payment.payout_id).update(status=PayoutStatus.MINED)
        row = Grievance.objects.get(pk=made.pk)
        assert (row.paid_sat, row.missing_sat) == (50_000, 5_000)

    @pytest.mark.parametrize("role", ["approver", "releaser", "treasurer", "auditor", "security", "signer"])
    def test_is_of_help_desk_and_officers(self, program: Program, role: str) -> None:
        made = lodged(program).grievance
        with pytest.raises(authority.RoleMissing):
            grievances.take(by=factories.make_member(program, role), grievance_id=made.pk)
        assert Grievance.objects.get(pk=made.pk).status == "lodged"

    def test_is_hidden_from_others(self, program: Program, outsider: User) -> None:
        with pytest.raises(NotFound):
            grievances.take(by=outsider, grievance_id=lodged(program).grievance.pk)

    def test_ends_with_the_answer(self, program: Program, helpdesk: User) -> None:
        made = answered(program, helpdesk).grievance
        for act in (
            lambda: grievances.take(by=helpdesk, grievance_id=made.pk),
            lambda: grievances.link(by=helpdesk, grievance_id=made.pk),
            lambda: grievances.answer(by=helpdesk, grievance_id=made.pk, finding="upheld", text="Again."),
        ):
            with pytest.raises(StatusConflict):
                act()


class TestPerson:
    def test_reads_it_by_number_and_code_alone(self, program: Program) -> None:
        made, other = lodged(program), lodged(program)
        assert (
            grievance_replies.read(grievance_id=made.grievance.pk, secret=made.secret.lower())
            == made.grievance
        )
        messages = set()
        for number, secret in [
            (made.grievance.pk, other.secret),
            (made.grievance.pk, ""),
            (made.grievance.pk, "0" * 26),
            (2**62, made.secret),
        ]:
            with pytest.raises(NotFound) as refusal:
                grievance_replies.read(grievance_id=number, secret=secret)
            messages.add(refusal.value.message)
        assert len(messages) == 1

    def test_agrees_and_confirms_an_amount(self, program: Program, helpdesk: User) -> None:
        made = answered(program, helpdesk)
        row = grievance_replies.agree(
            grievance_id=made.grievance.pk, secret=made.secret, received_sat=50_000, now=NOW
        )
        assert (row.status, row.received_sat, row.ended_at) == ("closed", 50_000, NOW)
        with pytest.raises(StatusConflict):
            grievance_replies.disagree(grievance_id=made.grievance.pk, secret=made.secret, text="No.")

    def test_disagrees_and_gets_another_clock(self, program: Program, helpdesk: User) -> None:
        made = answered(program, helpdesk)
        later = NOW + timedelta(days=3)
        row = grievance_replies.disagree(
            grievance_id=made.grievance.pk, secret=made.secret, text="Still wrong.", now=later
        )
        assert (row.status, row.owner, row.due_at) == ("working", helpdesk, later + timedelta(days=30))
        assert row.said["text"] == "Help.\n\nStill wrong."

    def test_takes_it_back_before_the_answer(self, program: Program, helpdesk: User) -> None:
        made = lodged(program)
        row = grievance_replies.withdraw(grievance_id=made.grievance.pk, secret=made.secret, now=NOW)
        assert (row.status, row.ended_at) == ("withdrawn", NOW)
        with pytest.raises(StatusConflict):
            grievance_replies.withdraw(grievance_id=made.grievance.pk, secret=made.secret)
        after = answered(program, helpdesk)
        with pytest.raises(StatusConflict):
            grievance_replies.withdraw(grievance_id=after.grievance.pk, secret=after.secret)


class TestClock:
    def test_sounds_once_for_what_is_overdue_and_is_still_with_the_answer(
        self, program: Program, helpdesk: User
    ) -> None:
        made = lodged(program).grievance
        grievance_clock.watch(NOW + timedelta(days=30) - timedelta(seconds=1))
        assert not Alarm.objects.exists()
        for _ in range(2):
            grievance_clock.watch(NOW + timedelta(days=32))
        alarm = Alarm.objects.get(code="grievance_overdue", subject="grievance", subject_id=made.pk)
        assert (alarm.program, alarm.times, alarm.closed_at) == (program, 1, None)
        grievances.take(by=helpdesk, grievance_id=made.pk)
        grievances.answer(by=helpdesk, grievance_id=made.pk, finding="not_upheld", text="No.")
        alarm.refresh_from_db()
        assert alarm.closed_at is not None

    def test_closes_what_nobody_says_anything_to(self, program: Program, helpdesk: User) -> None:
        made = answered(program, helpdesk).grievance
        grievance_clock.watch(NOW + timedelta(days=30) - timedelta(seconds=1))
        assert Grievance.objects.get(pk=made.pk).status == "answered"
        grievance_clock.watch(NOW + timedelta(days=30))
        row = Grievance.objects.get(pk=made.pk)
        assert (row.status, row.ended_at) == ("closed", NOW + timedelta(days=30))


class TestDatabase:
    @pytest.mark.parametrize(
        "change",
        [
            "status = 'answered'",
            "status = 'closed', ended_at = now()",
            "due_at = due_at + interval '1 year'",
            "is_proved = true",
            "secret_hash = '\\x00'",
            "category = 'deduction'",
            "received_sat = -1",
            "ended_at = now()",
        ],
    )
    def test_refuses_what_no_service_does(self, program: Program, change: str) -> None:
        pk = lodged(program).grievance.pk
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE payments_grievance SET {change} WHERE id = %s", [pk])


class TestRaces:
    @pytest.mark.django_db(transaction=True)
    def test_answer_and_withdrawal_end_it_once(self, program: Program, helpdesk: User) -> None:
        made = lodged(program)
        pk = made.grievance.pk
        grievances.take(by=helpdesk, grievance_id=pk)
        _, second = racing.race(
            lambda: grievance_replies.withdraw(grievance_id=pk, secret=made.secret),
            lambda: grievances.answer(by=helpdesk, grievance_id=pk, finding="upheld", text="Yes."),
        )
        assert isinstance(second.error, StatusConflict)
        assert Grievance.objects.get(pk=pk).status == "withdrawn"
