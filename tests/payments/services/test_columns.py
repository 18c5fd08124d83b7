"""Which column holds which field: guessed, said by name or by place, refused, and known again; a file goes by it."""

import csv
import io
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now

from ledger.models import AuditEvent
from payments.models import Disbursement, Enrollment, ImportJob, Program, StatusChange
from payments.services import authority, columns, import_files, importing, imports, people
from payments.states import StatusConflict
from tests import factories
from tests.payments.services.files import count_registry, make_csv, make_person, people_csv
from tests.payments.services.test_intake import DAMAGED
from tests.payments.services.test_intake import HEADER as OWN

pytestmark = pytest.mark.django_db

HEADER = ("Sr.", "BENEFICIARY  NAME", "cnic_no", "Mobile No.", "Ref-No", "District", "Bitcoin Address")
NAMES = {
    "reference": "Ref-No",
    "national_id": "cnic_no",
    "full_name": "BENEFICIARY  NAME",
    "phone": "Mobile No.",
    "address": "Bitcoin Address",
}
PLACES = {"reference": 5, "national_id": 3, "full_name": 2, "phone": 4, "address": 7}
FIELDS = people.COLUMNS + people.OPTIONAL


def ministry(*persons: dict[str, str], header: tuple[str, ...] = HEADER) -> bytes:
    names = ("full_name", "national_id", "phone", "reference")
    rows = [
        (str(n), *(person[name] for name in names), "Chitral", person["address"])
        for n, person in enumerate(persons, start=1)
    ]
    return make_csv(header, rows)


def bring(by: User, program: Program, file: bytes, **options: Any) -> ImportJob:
    return imports.ask_people(
        by=by, program_id=program.pk, file=io.BytesIO(file), filename="ministry.csv", **options
    )


def check(job: ImportJob) -> ImportJob:
    importing.run(job.pk)
    return ImportJob.objects.get(pk=job.pk)


def faults_of(refusal: pytest.ExceptionInfo[columns.ColumnsRefused]) -> list[tuple[str, str]]:
    return [(error["column"], error["code"]) for error in refusal.value.details["errors"]]


def acts() -> list[str]:
    events = AuditEvent.objects.filter(action__startswith="import.").order_by("pk")
    return list(events.values_list("action", flat=True))


class TestGuess:
    def test_knows_names_whatever_their_case_spaces_and_signs(self) -> None:
        assert columns.guess(HEADER, FIELDS) == PLACES

    def test_takes_the_own_name_before_any_other(self) -> None:
        assert columns.guess(("Wallet", "Address", "Name", "Full_Name"), FIELDS) == {
            "address": 2,
            "full_name": 4,
        }

    def test_gives_no_column_to_two_fields(self) -> None:
        assert columns.guess(("Amount",), ("amount_sat", "amount_minor")) == {"amount_sat": 1}

    def test_says_nothing_of_what_it_does_not_know(self) -> None:
        assert columns.guess(("", "Ausweis", "Straße"), FIELDS) == {}


class TestSaid:
    def test_by_name_a_file_goes_by_it(self, program: Program, officer: User) -> None:
        job = bring(officer, program, ministry(make_person(1), make_person(2)), names=NAMES)
        assert (job.status, job.columns, job.rows_total) == ("waiting", PLACES, 2)
        job = check(job)
        assert (job.status, job.errors_count) == ("ready", 0)
        imports.confirm(by=officer, job_id=job.pk)
        assert (check(job).status, count_registry()) == ("done", (2, 2, 2))
        found = Enrollment.objects.select_related("beneficiary").get(reference="PEN-000002")
        assert found.beneficiary.personal == {"full_name": "عائشہ Muñoz 2", "phone": "+923000000002"}

    @pytest.mark.parametrize(
        ("changes", "faults"),
        [
            ({"phone": "Telefon"}, [("phone", "column_unknown")]),
            ({"phone": "Ref-No"}, [("reference", "column_shared"), ("phone", "column_shared")]),
            ({"amount_sat": "Sr."}, [("amount_sat", "field_unknown")]),
            ({"phone": None}, [("phone", "column_missing")]),
        ],
    )
    def test_by_name_is_refused_with_the_field_and_nothing_is_left(
        self,
        program: Program,
        officer: User,
        changes: Mapping[str, str | None],
        faults: list[tuple[str, str]],
    ) -> None:
        names = {field: name for field, name in {**NAMES, **changes}.items() if name is not None}
        with pytest.raises(columns.ColumnsRefused) as refusal:
            bring(officer, program, ministry(make_person(1)), names=names)
        assert faults_of(refusal) == faults
        assert (ImportJob.objects.count(), AuditEvent.objects.filter(action="import.ask").count()) == (0, 0)

    def test_by_a_name_that_is_there_twice_is_refused(self, program: Program, officer: User) -> None:
        header = ("Ref-No", *HEADER[1:])
        with pytest.raises(columns.ColumnsRefused) as refusal:
            bring(officer, program, ministry(make_person(1), header=header), names=NAMES)
        assert faults_of(refusal) == [("reference", "column_repeated")]

    def test_of_a_file_that_cannot_be_read_leaves_the_word_to_the_worker(
        self, program: Program, officer: User
    ) -> None:
        for file, code in ((b"", "file_empty"), (b"\xff\xfea\x00", "encoding")):
            assert check(bring(officer, program, file, names=NAMES)).code == code

    def test_finds_what_is_wrong_in_rows_by_the_fields_names(self, program: Program, officer: User) -> None:
        file = ministry(make_person(1), make_person(2, phone="1"), make_person(1, address="x"))
        job = check(bring(officer, program, file, names=NAMES))
        assert list(job.faults.values_list("row", "column", "code")) == [
            (2, "phone", "phone_malformed"),
            (3, "address", "address_malformed"),
            (3, "reference", "reference_duplicate"),
            (3, "national_id", "national_id_duplicate"),
        ]
        fields, found = imports.bad_rows(by=officer, job_id=job.pk)
        assert fields == list(people.COLUMNS)
        assert [(bad.row, bad.values[0], bad.values[3]) for bad in found] == [
            (2, "PEN-000002", "1"),
            (3, "PEN-000001", "+923000000001"),
        ]
        # The file of errors has the fields' names, and comes back without a word about columns.
        _, lines = imports.errors(by=officer, job_id=job.pk)
        rows = list(csv.reader(io.StringIO("".join(lines))))
        assert rows[0] == [*people.COLUMNS, "code", "message"]
        assert rows[1][:5] == [make_person(2, phone="1")[name] for name in people.COLUMNS]

    def test_leaves_rows_far_down_to_the_file_of_errors(
        self, program: Program, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(import_files, "PART_BYTES", 300)
        monkeypatch.setattr(import_files, "SHOWN_PARTS", 2)
        file = ministry(*(make_person(n, phone="1") for n in range(1, 20)))
        job = check(bring(officer, program, file, names=NAMES))
        _, found = imports.bad_rows(by=officer, job_id=job.pk)
        assert [bad.row for bad in found] == [*range(1, 20)]
        assert (len(found[0].values), len(found[18].values)) == (5, 0)
        _, lines = imports.errors(by=officer, job_id=job.pk)
        assert [row[3] for row in csv.reader(io.StringIO("".join(lines)))] == ["phone", *["1"] * 19]

    def test_finds_the_values_of_a_row_that_is_too_short(self, program: Program, officer: User) -> None:
        file = ministry(make_person(1)) + b"2,Short Row,99123-0000002-1\n"
        job = check(bring(officer, program, file, names=NAMES))
        _, found = imports.bad_rows(by=officer, job_id=job.pk)
        assert [(bad.row, bad.values, bad.faults[0][1]) for bad in found] == [
            (2, ["", "99123-0000002-1", "Short Row", "", ""], "row_width")
        ]

    def test_reads_a_file_without_a_header_no_better(self, program: Program, officer: User) -> None:
        file = people_csv(make_person(1), make_person(2)).partition(b"\n")[2]
        job = bring(officer, program, file, may_ask=True)
        assert job.status == "mapping"
        assert b"PEN-000001" not in repr(ImportJob.objects.filter(pk=job.pk).values()).encode()


class TestAsked:
    def test_waits_for_an_officer_and_goes_on(self, program: Program, officer: User) -> None:
        job = bring(officer, program, ministry(make_person(1)), may_ask=True)
        assert (job.status, job.columns) == ("mapping", None)
        assert check(job).status == "mapping"
        rows = imports.sample(by=officer, job_id=job.pk)
        assert (rows[0], rows[1][4]) == ([*HEADER], "PEN-000001")
        job = imports.say_columns(by=officer, job_id=job.pk, places=PLACES)
        assert (job.status, job.columns, check(job).status) == ("waiting", PLACES, "ready")
        assert acts()[:3] == [
            "import.ask",
            "import.look",
            "import.map",
        ]
        assert StatusChange.objects.filter(subject="import", new="waiting").get().actor == officer

    def test_is_not_where_the_header_has_the_fields_names(self, program: Program, officer: User) -> None:
        order = list(reversed(FIELDS[:6]))
        file = make_csv(order, [[make_person(1).get(name, "") for name in order]])
        assert bring(officer, program, file, may_ask=True).status == "waiting"

    @pytest.mark.parametrize("file", [b"", b"\n1,2\n", b"\xff\xfea\x00", b",".join([b"a"] * 51)])
    def test_is_not_where_no_column_can_be_told(self, program: Program, officer: User, file: bytes) -> None:
        assert check(bring(officer, program, file, may_ask=True)).status == "refused"

    @pytest.mark.parametrize(
        ("changes", "faults"),
        [
            ({"phone": 3}, [("national_id", "column_shared"), ("phone", "column_shared")]),
            ({"phone": 8}, [("phone", "column_unknown")]),
            ({"phone": 0}, [("phone", "column_unknown")]),
            ({"consent_version": 1, "nothing": 6}, [("nothing", "field_unknown")]),
        ],
    )
    def test_refuses_and_goes_on_waiting(
        self, program: Program, officer: User, changes: dict[str, int], faults: list[tuple[str, str]]
    ) -> None:
        job = bring(officer, program, ministry(make_person(1)), may_ask=True)
        with pytest.raises(columns.ColumnsRefused) as refusal:
            imports.say_columns(by=officer, job_id=job.pk, places=PLACES | changes)
        assert faults_of(refusal) == faults
        job.refresh_from_db()
        assert (job.status, job.columns, StatusChange.objects.count()) == ("mapping", None, 0)

    def test_is_asked_of_officers_and_once(self, program: Program, officer: User, auditor: User) -> None:
        job = bring(officer, program, ministry(make_person(1)), may_ask=True)
        for call in (
            lambda: imports.sample(by=auditor, job_id=job.pk),
            lambda: imports.say_columns(by=auditor, job_id=job.pk, places=PLACES),
        ):
            with pytest.raises(authority.RoleMissing):
                call()
        imports.say_columns(by=officer, job_id=job.pk, places=PLACES)
        with pytest.raises(StatusConflict):
            imports.say_columns(by=officer, job_id=job.pk, places=PLACES)

    def test_of_a_list_is_answered_by_its_maker(self, program: Program, officer: User) -> None:
        person = factories.make_enrollment(program)
        job = imports.ask_list(
            by=officer,
            program_id=program.pk,
            period="2026-11",
            purpose="pension",
            file=io.BytesIO(f"Amount,Ref No,District\n5000,{person.reference},Dir\n".encode()),
            filename="list.csv",
            expected_count=1,
            expected_total_sat=5_000,
            may_ask=True,
        )
        places = columns.guess(["Amount", "Ref No", "District"], sum(import_files.fields(job), ()))
        assert places == {"reference": 2, "amount_sat": 1}
        other = factories.make_member(program, "officer", "second")
        with pytest.raises(imports.NotTheMaker):
            imports.say_columns(by=other, job_id=job.pk, places=places)
        imports.say_columns(by=officer, job_id=job.pk, places=places)
        assert check(job).status == "ready"
        imports.confirm(by=officer, job_id=job.pk)
        assert (check(job).status, Disbursement.objects.get().total_sat) == ("done", 5_000)

    def test_is_given_up_when_nobody_answers(self, program: Program, officer: User) -> None:
        old, new = (bring(officer, program, ministry(make_person(n)), may_ask=True) for n in (1, 2))
        ImportJob.objects.filter(pk=old.pk).update(made_at=Now() - timedelta(days=8))
        imports.forget()
        old.refresh_from_db()
        assert (old.status, old.code, old.parts.count()) == ("cancelled", "not_confirmed", 0)
        assert old.message == "Nobody said what its columns hold for 7 days."
        new.refresh_from_db()
        assert (new.status, new.parts.count()) == ("mapping", 1)

    def test_can_be_undone_and_nothing_of_the_file_is_left(self, program: Program, officer: User) -> None:
        job = bring(officer, program, ministry(make_person(1)), may_ask=True)
        job = imports.cancel(by=officer, job_id=job.pk)
        assert (job.status, job.parts.count(), job.columns, job.header_mac) == ("cancelled", 0, None, None)
        assert acts() == [
            "import.ask",
            "import.cancel",
        ]
        with pytest.raises(imports.ImportEmptied):
            imports.sample(by=officer, job_id=job.pk)


class TestBadInputs:
    """What refuses a file that goes by its own header refuses it here, by the same row, field and code."""

    @pytest.mark.parametrize(
        ("file", "faults"),
        [case[1:] for case in DAMAGED if case[1].startswith(OWN)],
        ids=[case[0] for case in DAMAGED if case[1].startswith(OWN)],
    )
    def test_damaged_files_with_names_of_their_own(
        self, program: Program, officer: User, file: bytes, faults: list[tuple[int, str, str]]
    ) -> None:
        names = {field: field for field in people.COLUMNS} | {"national_id": "CNIC no"}
        file = file.replace(b"national_id", b"CNIC no", 1)
        job = check(bring(officer, program, file, names=names))
        assert (job.status, count_registry()) == ("refused", (0, 0, 0))
        assert sorted(job.faults.values_list("row", "column", "code")) == faults

    @pytest.mark.parametrize(
        ("file", "faults"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED]
    )
    def test_damaged_files_whose_columns_may_be_asked(
        self, program: Program, officer: User, file: bytes, faults: list[tuple[int, str, str]]
    ) -> None:
        job = check(bring(officer, program, file, may_ask=True))
        if job.status == "mapping":
            # Nothing but the names is wrong, and that is what is asked.
            assert {code for _, _, code in faults} <= {"column_missing", "column_unknown", "column_repeated"}
        else:
            assert (job.status, count_registry()) == ("refused", (0, 0, 0))
            assert sorted(job.faults.values_list("row", "column", "code")) == sorted(faults)


class TestRemembered:
    def test_is_what_was_said_last_of_the_very_header_in_the_program(
        self, program: Program, officer: User
    ) -> None:
        for places in (PLACES, PLACES | {"consent_version": 6}):
            job = bring(officer, program, ministry(make_person(1)), may_ask=True)
            imports.say_columns(by=officer, job_id=job.pk, places=places)
        assert columns.remembered(program.pk, "people", HEADER) == PLACES | {"consent_version": 6}
        assert columns.remembered(program.pk, "lines", HEADER) is None
        assert columns.remembered(program.pk, "people", HEADER[1:]) is None
        other = factories.make_program("OTHER")
        assert columns.remembered(other.pk, "people", HEADER) is None
