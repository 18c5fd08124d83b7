"""Consent that files of people bring: to which version and when, both or neither, and never against what was said since."""

from datetime import date, timedelta
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import InvalidInput
from payments.models import Consent, ConsentText, Enrollment, ImportJob, Intake, Program
from payments.models.consent import latest_date
from payments.selectors import imports as selector
from payments.services import consents, erasures, importing, imports, people
from tests import factories
from tests.payments.services.files import count_registry, faults_of, make_csv, make_person, people_csv

pytestmark = pytest.mark.django_db

BOTH = people.OPTIONAL
AGREED = {"consent_version": "2026-1", "consent_date": "2026-11-02"}
FOR_YEARS = "2999-01-01"


@pytest.fixture
def text(program: Program, officer: User) -> ConsentText:
    return consents.publish(by=officer, program_id=program.pk, version="2026-1", text="We keep your name.")


def load(by: User, program: Program, file: bytes, **options: Any) -> Intake:
    return people.import_csv(
        by=by, program_id=program.pk, file=BytesIO(file), filename="people.csv", **options
    )


def said() -> list[tuple[Any, ...]]:
    """Reference, version, date, who recorded it, of each word."""
    rows = Consent.objects.order_by("pk").values_list(
        "beneficiary__enrollments__reference", "text__version", "said_date", "is_given", "recorded_by"
    )
    return list(rows)


class TestFile:
    def test_records_who_agreed_to_what_and_when(
        self, program: Program, officer: User, text: ConsentText
    ) -> None:
        rows = [make_person(1, **AGREED), make_person(2), make_person(3, **AGREED, phone="")]
        made = load(officer, program, people_csv(*rows, optional=BOTH))
        assert (made.rows_loaded, made.rows_refused) == (3, 0)
        day = date(2026, 11, 2)
        assert said() == [
            ("PEN-000001", "2026-1", day, True, officer.pk),
            ("PEN-000003", "2026-1", day, True, officer.pk),
        ]

    def test_may_have_the_columns_anywhere(self, program: Program, officer: User, text: ConsentText) -> None:
        columns = ("consent_date", *reversed(people.COLUMNS), "consent_version")
        person = make_person(1, **AGREED)
        assert (
            load(officer, program, make_csv(columns, [[person[name] for name in columns]])).rows_loaded == 1
        )
        assert [row[1:3] for row in said()] == [("2026-1", date(2026, 11, 2))]

    def test_may_lack_them(self, program: Program, officer: User, text: ConsentText) -> None:
        assert load(officer, program, people_csv(make_person(1))).rows_loaded == 1
        assert said() == []

    @pytest.mark.parametrize("column", BOTH)
    def test_may_not_have_one_of_them_filled_in(
        self, program: Program, officer: User, text: ConsentText, column: str
    ) -> None:
        (other,) = set(BOTH) - {column}
        made = load(officer, program, people_csv(make_person(1, **AGREED), optional=[column]))
        assert faults_of(made) == [(1, other, f"{other}_missing")]
        assert (count_registry(), said()) == ((0, 0, 0), [])

    @pytest.mark.parametrize(
        ("changes", "faults"),
        [
            ({"consent_version": "2026-2"}, [("consent_version", "consent_version_unknown")]),
            ({"consent_version": "2026-1 "}, [("consent_version", "consent_version_unknown")]),
            ({"consent_version": "a\tb\\N"}, [("consent_version", "consent_version_unknown")]),
            ({"consent_date": "02.11.2026"}, [("consent_date", "consent_date_malformed")]),
            ({"consent_date": "2026-11-31"}, [("consent_date", "consent_date_malformed")]),
            ({"consent_date": "2026-W45-1"}, [("consent_date", "consent_date_malformed")]),
            ({"consent_date": "20261102"}, [("consent_date", "consent_date_malformed")]),
            ({"consent_date": "٢٠٢٦-١١-٠٢"}, [("consent_date", "consent_date_malformed")]),  # noqa: RUF001
            ({"consent_date": "0000-01-01"}, [("consent_date", "consent_date_malformed")]),
            ({"consent_date": FOR_YEARS}, [("consent_date", "consent_date_future")]),
            (
                {"consent_version": "x", "consent_date": "y"},
                [("consent_version", "consent_version_unknown"), ("consent_date", "consent_date_malformed")],
            ),
        ],
    )
    def test_is_refused_by_row_field_and_rule(
        self,
        program: Program,
        officer: User,
        text: ConsentText,
        changes: dict[str, str],
        faults: list[tuple[str, str]],
    ) -> None:
        rows = [make_person(1, **AGREED), make_person(2, **AGREED | changes)]
        made = load(officer, program, people_csv(*rows, optional=BOTH))
        assert (made.status, faults_of(made)) == ("refused", [(2, *fault) for fault in faults])
        assert (count_registry(), said()) == ((0, 0, 0), [])
        made = load(officer, program, people_csv(*rows, optional=BOTH), accept_partial=True)
        assert (made.rows_loaded, [row[0] for row in said()]) == (1, ["PEN-000001"])

    def test_knows_no_text_of_another_program(
        self, program: Program, officer: User, text: ConsentText
    ) -> None:
        other = factories.make_program("OTHER")
        theirs = factories.make_member(other, "officer")
        made = load(theirs, other, people_csv(make_person(1, **AGREED), optional=BOTH))
        assert faults_of(made) == [(1, "consent_version", "consent_version_unknown")]

    def test_may_have_the_day_of_a_place_where_it_is_tomorrow(
        self, program: Program, officer: User, text: ConsentText
    ) -> None:
        latest = latest_date(timezone.now())
        rows = [
            make_person(n, consent_version="2026-1", consent_date=str(latest + timedelta(days=n)))
            for n in range(2)
        ]
        made = load(officer, program, people_csv(*rows, optional=BOTH))
        assert faults_of(made) == [(2, "consent_date", "consent_date_future")]


class TestReturn:
    """Somebody who was erased and is enrolled anew: what they took back stays taken back."""

    def erased(self, program: Program, officer: User, day: date | None) -> dict[str, str]:
        """A person who took their consent back, was erased, and is about to come back."""
        person = make_person(1)
        people.enroll(by=officer, program_id=program.pk, **person)
        row = Enrollment.objects.get()
        for is_given in (True, False):
            consents.record(
                by=officer, enrollment_id=row.pk, version="2026-1", is_given=is_given, said_date=day
            )
        eraser = factories.make_user("eraser", erasures.PERMISSION)
        program.memberships.create(user=eraser, role="auditor", granted_by=factories.make_administrator())
        asked = erasures.ask(by=officer, enrollment_id=row.pk, note="They asked for it.")
        erasures.confirm(by=eraser, erasure_id=asked.pk, note="Done.")
        return person

    @pytest.mark.parametrize(("given", "loaded"), [("2026-11-01", 0), ("2026-11-02", 0), ("2026-11-03", 1)])
    def test_takes_only_a_form_from_after_the_day_that_it_was_taken_back(
        self, program: Program, officer: User, text: ConsentText, given: str, loaded: int
    ) -> None:
        person = self.erased(program, officer, date(2026, 11, 2)) | AGREED | {"consent_date": given}
        made = load(officer, program, people_csv(person, optional=BOTH))
        assert made.rows_loaded == loaded
        assert Consent.objects.order_by("-pk")[0].is_given == bool(loaded)
        if not loaded:
            assert faults_of(made) == [(1, "consent_date", "consent_taken_back")]

    def test_counts_the_day_of_recording_where_there_was_no_form(
        self, program: Program, officer: User, text: ConsentText
    ) -> None:
        today = str(timezone.now().date())
        person = self.erased(program, officer, None) | AGREED | {"consent_date": today}
        made = load(officer, program, people_csv(person, optional=BOTH))
        assert faults_of(made) == [(1, "consent_date", "consent_taken_back")]


class TestBackground:
    def checked(self, by: User, program: Program, file: bytes) -> ImportJob:
        job = imports.ask_people(by=by, program_id=program.pk, file=BytesIO(file), filename="people.csv")
        importing.run(job.pk)
        return ImportJob.objects.get(pk=job.pk)

    def test_is_previewed_and_counts_once_confirmed(
        self, program: Program, officer: User, text: ConsentText
    ) -> None:
        rows = [make_person(1, **AGREED), make_person(2)]
        job = self.checked(officer, program, people_csv(*rows, optional=BOTH))
        assert job.status == "ready"
        shown = [(row["consent_version"], row["consent_date"]) for row in selector.preview(job)]
        assert shown == [("2026-1", date(2026, 11, 2)), (None, None)]
        assert said() == []
        imports.confirm(by=officer, job_id=job.pk)
        importing.run(job.pk)
        assert [row[:3] for row in said()] == [("PEN-000001", "2026-1", date(2026, 11, 2))]

    def test_previews_people_who_bring_an_address_later(self, program: Program, officer: User) -> None:
        Program.objects.filter(pk=program.pk).update(claim_term_days=90)
        job = self.checked(officer, program, people_csv(make_person(1, address=""), make_person(2)))
        assert [row["address"] is None for row in selector.preview(job)] == [True, False]


class TestDate:
    def test_is_kept_with_what_was_said_and_never_lies_ahead(
        self, program: Program, officer: User, text: ConsentText
    ) -> None:
        row = factories.make_enrollment(program)
        asked: dict[str, Any] = {
            "by": officer,
            "enrollment_id": row.pk,
            "version": "2026-1",
            "is_given": True,
        }
        with pytest.raises(InvalidInput) as refused:
            consents.record(**asked, said_date=date.fromisoformat(FOR_YEARS))
        assert [(e["column"], e["code"]) for e in refused.value.details["errors"]] == [
            ("said_date", "date_future")
        ]
        made = consents.record(**asked, said_date=date(2026, 11, 2))
        assert Consent.objects.get().said_date == date(2026, 11, 2)
        with pytest.raises(IntegrityError, match="consent_said_before_it_was_recorded"), transaction.atomic():
            Consent.objects.filter(pk=made.pk).update(said_date=date.fromisoformat(FOR_YEARS))
