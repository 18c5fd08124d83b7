"""The feed: numbers without a gap, given to what is committed only; who goes on from the last one misses nothing."""

from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from payments import states
from payments.models import Disbursement, Entitlement, Event, Program, StatusChange
from payments.payout import events
from payments.selectors import events as selector
from payments.services import disbursements, entitlements, grievance_replies, grievances
from tests import claiming, factories, racing
from tests.payments.admin import scenes


def feed(program: Program, after: int = 0) -> list[tuple[int, str]]:
    """Number and type of what a reader sees who goes on from a number."""
    rows = selector.of_program(program.pk).filter(number__gt=after).order_by("number")
    return [(row["number"], row["type"]) for row in rows]


def change(disbursement: Disbursement, new: str) -> StatusChange:
    """Something happened to a list."""
    return StatusChange.objects.create(
        subject="disbursement", subject_id=disbursement.pk, old="x", new=new, reason="r"
    )


@pytest.fixture
def draft(program: Program, officer: User) -> Disbursement:
    """A list that nothing happened to."""
    return factories.make_disbursement(program, officer, amounts_sat=[1_000])


@pytest.mark.django_db
class TestNumber:
    def test_counts_each_program_from_one(self, program: Program, officer: User, draft: Disbursement) -> None:
        other = factories.make_program("OTHER")
        theirs = factories.make_disbursement(other, officer, amounts_sat=[1_000])
        for row, new in [(draft, "a"), (theirs, "b"), (draft, "c")]:
            change(row, new)
        assert events.number() == 3
        change(theirs, "d")
        assert events.number() == 1
        assert events.number() == 0
        assert feed(program) == [(1, "disbursement.a"), (2, "disbursement.c")]
        assert feed(other) == [(1, "disbursement.b"), (2, "disbursement.d")]

    def test_goes_on_in_batches(
        self, program: Program, draft: Disbursement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events, "AT_ONCE", 2)
        for new in "abcde":
            change(draft, new)
        assert events.number() == 5
        assert feed(program) == [(n, f"disbursement.{new}") for n, new in enumerate("abcde", start=1)]

    def test_is_given_once(self, draft: Disbursement) -> None:
        change(draft, "a")
        events.number()
        for columns in ({"number": 7}, {"number": None}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Event.objects.update(**columns)
        assert Event.objects.get().number == 1

    def test_of_what_was_rolled_back_is_given_again(self, program: Program, draft: Disbursement) -> None:
        with transaction.atomic():
            change(draft, "a")
            assert events.number() == 1
            transaction.set_rollback(True)
        change(draft, "b")
        events.number()
        assert feed(program) == [(1, "disbursement.b")]


@pytest.mark.django_db
class TestSubjects:
    @pytest.mark.parametrize("subject", states.TRANSITIONS)
    def test_that_are_fed_write_an_event_and_no_others(
        self, subject: str, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        row = scenes.furnish(program, officer, approver, releaser)[
            {"import": "importjob", "decision": "trustdecision", "leg": "trustleg"}.get(subject, subject)
        ]
        events.number()
        last = len(feed(program))
        StatusChange.objects.create(subject=subject, subject_id=row.pk, old="a", new="b", reason="r")
        events.number()
        assert feed(program, after=last) == ([(last + 1, f"{subject}.b")] if subject in states.FED else [])


@pytest.mark.django_db
class TestClaims:
    @pytest.fixture
    def released(self, program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
        """A list of three people, of whom the second and third have no address; all of it was told."""
        factories.fund(program, 1_000_000)
        draft = claiming.waiting_list(program, officer, amounts_sat=[50_000, 60_000, 70_000], without=[2, 3])
        released = claiming.release(draft, officer, approver, releaser)
        events.number()
        return released

    def told(self, program: Program, after: int) -> list[tuple[str, int, str]]:
        """Type, line of the first list and old status of each event behind a number that is of an entitlement."""
        events.number()
        lines = dict(Entitlement.objects.values_list("pk", "payment__line"))
        rows = selector.of_program(program.pk).filter(number__gt=after, change__subject="entitlement")
        return [(row["type"], lines[row["subject_id"]], row["old"]) for row in rows.order_by("number")]

    def test_tell_who_waits_once_the_list_is_released(self, program: Program, released: Disbursement) -> None:
        assert self.told(program, 0) == [("entitlement.waiting", 2, ""), ("entitlement.waiting", 3, "")]

    def test_tell_what_was_claimed_and_what_went_back(
        self, program: Program, released: Disbursement, officer: User, approver: User
    ) -> None:
        last = len(feed(program))
        claiming.bring_address(released, 2, officer)
        over = Entitlement.objects.get(payment__line=3).expires_at
        entitlements.expire(released.pk, now=over)
        assert self.told(program, last) == [
            ("entitlement.claimed", 2, "waiting"),
            ("entitlement.expired", 3, "waiting"),
        ]
        made = entitlements.list_claimed(by=officer, disbursement_id=released.pk)
        last = len(feed(program))
        hashed = claiming.submit(made, officer)
        disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=hashed)
        assert self.told(program, last) == [("entitlement.listed", 2, "claimed")]

    def test_that_are_rolled_back_are_not_told(
        self, program: Program, released: Disbursement, officer: User
    ) -> None:
        last = len(feed(program))
        with transaction.atomic():
            claiming.bring_address(released, 2, officer)
            transaction.set_rollback(True)
        assert self.told(program, last) == []


@pytest.mark.django_db
def test_a_grievance_is_told_from_its_lodging_to_its_end(program: Program) -> None:
    helpdesk = factories.make_member(program, "helpdesk")
    made = grievances.lodge_in_person(
        program_id=program.pk, reference="", national_id="", category="other", text="Help."
    )
    number = made.grievance.pk
    grievances.take(by=helpdesk, grievance_id=number)
    grievances.answer(by=helpdesk, grievance_id=number, finding="upheld", text="You are right.")
    grievance_replies.agree(grievance_id=number, secret=made.secret)
    events.number()
    assert feed(program) == [
        (n, f"grievance.{new}") for n, new in enumerate(["lodged", "working", "answered", "closed"], start=1)
    ]
    by = [actor for (actor,) in StatusChange.objects.order_by("pk").values_list("actor")]
    assert by == [None, helpdesk.pk, helpdesk.pk, None]


@pytest.mark.django_db
def test_what_happened_before_claims_were_told_is_behind_all_that_was(
    program: Program, draft: Disbursement
) -> None:
    """A database from before migration 0048, and what that migration fills in."""
    made = grievances.lodge_in_person(
        program_id=program.pk, reference="", national_id="", category="other", text="Help."
    )
    Event.objects.all().delete()
    change(draft, "a")
    events.number()
    fill = import_module("payments.migrations.0048_events_of_claims_and_grievances").FILL
    for _ in range(2):
        with connection.cursor() as cursor:
            cursor.execute(fill)
        events.number()
        assert feed(program) == [(1, "disbursement.a"), (2, "grievance.lodged")]
    assert Event.objects.get(number=2).change.subject_id == made.grievance.pk


def outside() -> psycopg.Connection:
    """A second connection to the same database."""
    return psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None, "context": None})


INSERT = """
INSERT INTO payments_statuschange (subject, subject_id, old, new, reason, note, at)
VALUES ('disbursement', %s, '', 'late', 'r', '', now())
"""


@pytest.mark.django_db(transaction=True)
def test_a_change_that_commits_late_is_behind_those_that_overtook_it(program: Program, officer: User) -> None:
    draft = factories.make_disbursement(program, officer, amounts_sat=[1_000])
    with outside() as late:
        late.execute(INSERT, [draft.pk])
        change(draft, "early")
        assert events.number() == 1
        assert feed(program) == [(1, "disbursement.early")]
        late.commit()
    assert events.number() == 1
    assert feed(program, after=1) == [(2, "disbursement.late")]


@pytest.mark.django_db(transaction=True)
def test_two_who_number_at_once_give_no_number_twice(program: Program, officer: User) -> None:
    draft = factories.make_disbursement(program, officer, amounts_sat=[1_000])
    change(draft, "a")
    seen: list[Any] = []

    with transaction.atomic():
        assert events.number() == 1
        racer = racing.Racer(lambda: seen.append(events.number()))
        racer.start()
        racer.join(racing.DEADLINE_S)
    assert (racer.error, seen) == (None, [0])
    assert feed(program) == [(1, "disbursement.a")]
