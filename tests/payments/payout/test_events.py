"""The feed: numbers without a gap, given to what is committed only; who goes on from the last one misses nothing."""

from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from payments.models import Disbursement, Event, Program, StatusChange
from payments.payout import events
from payments.selectors import events as selector
from tests import factories, racing


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
