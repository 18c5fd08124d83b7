"""Imports in the background: stored, checked in parts, looked at, confirmed, and nothing counts before that."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now

from govpay.errors import InvalidInput, NotFound
from ledger.models import AuditEvent
from payments import doorbell, tasks
from payments.models import (
    Disbursement,
    Enrollment,
    ImportFault,
    ImportJob,
    ImportPart,
    ImportRow,
    Intake,
    Membership,
    Program,
    StatusChange,
)
from payments.models.encrypted import FieldUnreadable
from payments.payout import rounds
from payments.selectors import imports as selector
from payments.services import authority, import_files, importing, imports, people
from payments.states import StatusConflict
from tests import factories, racing
from tests.memory import peak_bytes
from tests.payments.onchain.test_address import REFUSED_ON_REGTEST
from tests.payments.services import test_people
from tests.payments.services.files import (
    count_payments,
    count_registry,
    list_csv,
    make_address,
    make_csv,
    make_person,
    people_csv,
)
from tests.payments.services.test_intake import DAMAGED

NOTHING = (0, 0, 0)
GOOD = make_person(1)


def bring(by: User, program: Program, file: bytes, **options: Any) -> ImportJob:
    return imports.ask_people(
        by=by, program_id=program.pk, file=io.BytesIO(file), filename="people.csv", **options
    )


def bring_list(by: User, program: Program, *rows: tuple[str, str], **changes: Any) -> ImportJob:
    asked: dict[str, Any] = {
        "period": "2026-11",
        "purpose": "pension",
        "file": io.BytesIO(list_csv(*rows)),
        "filename": "list.csv",
        "expected_count": len(rows),
        "expected_total_sat": sum(int(amount) for _, amount in rows),
    }
    return imports.ask_list(by=by, program_id=program.pk, **asked | changes)


def check(job: ImportJob) -> ImportJob:
    """A worker comes by."""
    importing.run(job.pk)
    return again(job)


def again(job: ImportJob) -> ImportJob:
    return ImportJob.objects.get(pk=job.pk)


def confirm(by: User, job: ImportJob) -> ImportJob:
    imports.confirm(by=by, job_id=job.pk)
    return check(job)


def faults_of(job: ImportJob) -> list[tuple[int, str, str]]:
    return list(job.faults.values_list("row", "column", "code"))


def error_file(by: User, job: ImportJob) -> list[list[str]]:
    _, lines = imports.errors(by=by, job_id=job.pk)
    return list(csv.reader(io.StringIO("".join(lines))))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of some rows each, so that a small file has several."""
    monkeypatch.setattr(import_files, "PART_BYTES", 300)


class TestPeople:
    def test_count_only_once_an_officer_confirms(self, program: Program, officer: User) -> None:
        job = bring(officer, program, people_csv(*(make_person(n) for n in range(1, 31))))
        assert (job.status, job.rows_total, job.rows_done, count_registry()) == ("waiting", 30, 0, NOTHING)
        job = check(job)
        assert (job.status, job.rows_done, job.errors_count, count_registry()) == ("ready", 30, 0, NOTHING)
        assert Intake.objects.count() == 0
        other = factories.make_member(program, "officer", "second")
        job = confirm(other, job)
        assert (job.status, job.confirmed_by, count_registry()) == ("done", other, (30, 30, 30))
        assert (job.intake.status, job.intake.rows_loaded) == ("loaded", 30)
        found = Enrollment.objects.select_related("beneficiary").get(reference="PEN-000002")
        assert found.beneficiary.personal == {"full_name": "عائشہ Muñoz 2", "phone": "+923000000002"}
        assert list(StatusChange.objects.filter(subject="import").values_list("new", flat=True)) == [
            "checking",
            "ready",
            "loading",
            "done",
        ]

    def test_are_shown_masked_before(self, program: Program, officer: User) -> None:
        job = check(bring(officer, program, people_csv(*(make_person(n) for n in range(1, 31)))))
        rows = selector.preview(job)
        assert [row["row"] for row in rows] == list(range(1, 21))
        assert rows[0] == {
            "row": 1,
            "reference": "PEN-000001",
            "full_name": "ع•••• M•••• 1",
            "phone": "•" * 11 + "01",
            "address": make_address(1),
            "consent_version": None,
            "consent_date": None,
            "amount_minor": None,
            "amount_sat": None,
        }

    def test_are_refused_whole_with_every_bad_row(self, program: Program, officer: User) -> None:
        rows = [GOOD, make_person(2, address="x"), make_person(3, phone="1", full_name="")]
        job = check(bring(officer, program, people_csv(*rows)))
        assert (job.status, job.code, job.errors_count) == ("refused", "rows_refused", 2)
        assert faults_of(job) == [
            (2, "address", "address_malformed"),
            (3, "phone", "phone_malformed"),
            (3, "full_name", "full_name_missing"),
        ]
        assert (job.intake.status, job.intake.rows_refused, job.intake.errors.count()) == ("refused", 2, 3)
        with pytest.raises(StatusConflict):
            imports.confirm(by=officer, job_id=job.pk)
        assert count_registry() == NOTHING

    def test_leave_the_bad_rows_out_when_asked_to(self, program: Program, officer: User) -> None:
        file = people_csv(GOOD, make_person(2, address="x"), make_person(1))
        job = check(bring(officer, program, file, accept_partial=True))
        assert (job.status, job.errors_count) == ("ready", 2)
        assert [row["row"] for row in selector.preview(job)] == [1]
        job = confirm(officer, job)
        assert (job.status, job.errors_count, count_registry()) == ("done", 2, (1, 1, 1))
        assert (job.intake.rows_loaded, job.intake.rows_refused) == (1, 2)
        assert list(job.intake.errors.values_list("row", "code")) == [
            (2, "address_malformed"),
            (3, "reference_duplicate"),
            (3, "national_id_duplicate"),
        ]

    def test_are_refused_without_one_good_row(self, program: Program, officer: User) -> None:
        job = check(bring(officer, program, people_csv(make_person(1, address="")), accept_partial=True))
        assert (job.status, count_registry()) == ("refused", NOTHING)

    def test_are_checked_again_against_what_came_meanwhile(self, program: Program, officer: User) -> None:
        job = check(bring(officer, program, people_csv(GOOD, make_person(2))))
        people.enroll(by=officer, program_id=program.pk, **make_person(2))
        job = confirm(officer, job)
        assert (job.status, job.code) == ("refused", "reference_taken")
        assert {code for _, _, code in faults_of(job)} == {"reference_taken", "person_enrolled"}
        assert count_registry() == (1, 1, 1)

    def test_are_refused_when_the_same_file_was_loaded_before(self, program: Program, officer: User) -> None:
        jobs = [check(bring(officer, program, people_csv(GOOD))) for _ in range(2)]
        assert [job.status for job in jobs] == ["ready", "ready"]
        assert confirm(officer, jobs[0]).status == "done"
        assert confirm(officer, jobs[1]).code == "file_seen_before"
        third = check(bring(officer, program, people_csv(GOOD)))
        assert (third.status, third.code, count_registry()) == ("refused", "file_seen_before", (1, 1, 1))

    def test_meet_their_control_total_where_there_is_one(self, program: Program, officer: User) -> None:
        job = check(bring(officer, program, people_csv(GOOD), expected_count=2))
        assert (job.status, job.code, count_registry()) == ("refused", "control_count", NOTHING)

    def test_are_not_enrolled_by_who_lost_the_role(self, program: Program, officer: User) -> None:
        job = check(bring(officer, program, people_csv(GOOD)))
        imports.confirm(by=officer, job_id=job.pk)
        Membership.objects.filter(user=officer).update(role="auditor")
        assert (check(job).code, count_registry()) == ("role_missing", NOTHING)


class TestBadInputs:
    """What refuses a row or a file that is loaded at once refuses it here, by the same codes."""

    @pytest.mark.parametrize(
        ("file", "faults"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED]
    )
    def test_damaged_files(
        self, program: Program, officer: User, file: bytes, faults: list[tuple[int, str, str]]
    ) -> None:
        job = check(bring(officer, program, file))
        assert (job.status, count_registry()) == ("refused", NOTHING)
        assert sorted(faults_of(job)) == sorted(faults)
        assert len(error_file(officer, job)) == 1 + len({row for row, _, _ in faults})

    @pytest.mark.parametrize(("text", "rule"), REFUSED_ON_REGTEST)
    def test_bad_addresses(self, program: Program, officer: User, text: str, rule: str) -> None:
        job = check(bring(officer, program, people_csv(GOOD, make_person(2, address=text))))
        damage = next((code for mark, code in test_people.FILE_CODES.items() if mark in text), None)
        column, code = damage or ("address", rule)
        assert (job.status, faults_of(job), count_registry()) == ("refused", [(2, column, code)], NOTHING)

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("-1", "amount_negative"),
            ("0", "amount_zero"),
            ("0.000000001", "amount_fraction"),
            ("1e-8", "amount_malformed"),
            ("NaN", "amount_malformed"),
            ("Infinity", "amount_malformed"),
            ("-0", "amount_negative"),
            ("1e400", "amount_malformed"),
            ("2100000000000001", "amount_too_large"),
            (str(2**63), "amount_too_large"),
            ("1_000", "amount_malformed"),
            (" 1 ", "amount_malformed"),
            ("１０００", "amount_malformed"),  # noqa: RUF001
            ("١٠٠٠", "amount_malformed"),  # noqa: RUF001
            ("1,5", "amount_malformed"),
            ("$1", "amount_malformed"),
            ("0x10", "amount_malformed"),
            ("", "amount_missing"),
            ("293", "amount_dust"),
        ],
    )
    def test_bad_amounts(self, program: Program, officer: User, text: str, code: str) -> None:
        person = factories.make_enrollment(program)
        job = check(
            bring_list(
                officer, program, (person.reference, "293"), expected_count=1, file=amounts(person, text)
            )
        )
        assert (job.status, faults_of(job), count_payments()) == (
            "refused",
            [(1, "amount_sat", code)],
            (0, 0),
        )

    @pytest.mark.parametrize(
        ("changes", "column", "code"),
        [
            ({"reference": "PEN-000001"}, "reference", "reference_duplicate"),
            ({"national_id": "99123 0000001 1"}, "national_id", "national_id_duplicate"),
            ({"address": make_address(1).upper()}, "address", "destination_shared"),
        ],
    )
    @pytest.mark.usefixtures("small_parts")
    def test_duplicates_in_different_parts(
        self, program: Program, officer: User, changes: dict[str, str], column: str, code: str
    ) -> None:
        rows = [*(make_person(n) for n in range(1, 20)), make_person(99, **changes)]
        job = check(bring(officer, program, people_csv(*rows)))
        assert job.parts.count() > 4
        assert (job.status, faults_of(job)) == ("refused", [(20, column, code)])
        assert job.faults.get().message.endswith("(also in row 1).")

    def test_columns_in_another_order_are_none(self, program: Program, officer: User) -> None:
        order = list(reversed(people.COLUMNS))
        file = make_csv(order, [[GOOD[column] for column in order]])
        assert check(bring(officer, program, file)).status == "ready"


def amounts(person: Enrollment, text: str) -> io.BytesIO:
    return io.BytesIO(list_csv((person.reference, text)))


class TestList:
    @pytest.fixture
    def references(self, program: Program) -> list[str]:
        return [factories.make_enrollment(program).reference for _ in range(3)]

    def test_is_made_once_it_is_confirmed(
        self, program: Program, officer: User, references: list[str]
    ) -> None:
        job = check(bring_list(officer, program, *((r, "1000") for r in references), is_urgent=True))
        assert (job.status, job.total, count_payments()) == ("ready", 3_000, (0, 0))
        assert selector.preview(job)[2]["amount_sat"] == 1_000
        job = confirm(officer, job)
        made = Disbursement.objects.get()
        assert (job.status, job.intake.disbursement) == ("done", made)
        assert (made.status, made.payment_count, made.total_sat, made.made_by, made.is_urgent) == (
            "draft",
            3,
            3_000,
            officer,
            True,
        )

    def test_is_confirmed_by_who_brought_it(
        self, program: Program, officer: User, references: list[str]
    ) -> None:
        job = check(bring_list(officer, program, (references[0], "1000")))
        with pytest.raises(imports.NotTheMaker):
            imports.confirm(by=factories.make_member(program, "officer", "second"), job_id=job.pk)
        assert (again(job).status, count_payments()) == ("ready", (0, 0))

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"expected_count": 4}, "control_count"),
            ({"expected_total_sat": 3_001}, "control_total"),
        ],
    )
    def test_is_refused_when_control_totals_disagree(
        self, program: Program, officer: User, references: list[str], changes: dict[str, int], code: str
    ) -> None:
        job = check(bring_list(officer, program, *((r, "1000") for r in references), **changes))
        assert (job.status, job.code, count_payments()) == ("refused", code, (0, 0))

    def test_is_refused_when_another_list_pays_somebody_meanwhile(
        self, program: Program, officer: User, references: list[str]
    ) -> None:
        jobs = [
            check(bring_list(officer, program, (references[0], "1000"), (other, "1000")))
            for other in references[1:]
        ]
        assert confirm(officer, jobs[0]).status == "done"
        late = confirm(officer, jobs[1])
        assert (late.status, late.code, late.errors_count) == ("refused", "person_in_cycle", 1)
        assert error_file(officer, late)[1][:3] == [references[0], "1000", "person_in_cycle"]
        assert count_payments() == (1, 2)

    def test_makes_no_cycle_before(self, program: Program, officer: User, references: list[str]) -> None:
        check(bring_list(officer, program, (references[0], "1000"), period="2030-01"))
        assert program.cycles.count() == 0

    def test_refuses_a_period_at_once(self, program: Program, officer: User) -> None:
        with pytest.raises(InvalidInput):
            bring_list(officer, program, ("A", "1"), period="?")
        assert ImportJob.objects.count() == 0


class TestRecord:
    def test_has_who_brought_confirmed_and_read_the_errors(
        self, program: Program, officer: User, outsider: User
    ) -> None:
        job = check(
            bring(officer, program, people_csv(GOOD, make_person(2, address="x")), accept_partial=True)
        )
        imports.errors(by=officer, job_id=job.pk)
        confirm(officer, job)
        other = imports.cancel(by=officer, job_id=bring(officer, program, people_csv(GOOD)).pk)
        for act in (imports.errors, imports.confirm, imports.cancel):
            with pytest.raises(NotFound):
                act(by=outsider, job_id=job.pk)
        events = AuditEvent.objects.filter(subject_kind="importjob", actor=officer.username).order_by("pk")
        assert list(events.values_list("action", "subject_id", "actor", "scope")) == [
            (f"import.{action}", str(pk), officer.username, f"program:{program.pk}")
            for action, pk in (
                ("ask", job.pk),
                ("errors", job.pk),
                ("confirm", job.pk),
                ("ask", other.pk),
                ("cancel", other.pk),
            )
        ]


class TestErrorFile:
    def test_has_the_rows_with_code_and_message_harmless_to_spreadsheets(
        self, program: Program, officer: User
    ) -> None:
        rows = [GOOD, make_person(2, full_name="=1+1", address="x", phone="1"), make_person(1)]
        job = check(bring(officer, program, people_csv(*rows)))
        header, second, third = error_file(officer, job)
        assert header == [*people.COLUMNS, "code", "message"]
        assert second[:6] == [
            "PEN-000002",
            "99123-0000002-1",
            "'=1+1",
            "1",
            "x",
            "phone_malformed; address_malformed",
        ]
        assert second[6].startswith("Row 2: phone: A phone number has")
        assert third[5] == "reference_duplicate; national_id_duplicate"

    def test_shows_what_there_is_of_a_row_of_another_width(self, program: Program, officer: User) -> None:
        job = check(bring(officer, program, people_csv(GOOD) + b"PEN-2,x\nA,B,C,D,E,F,G\n"))
        assert [row[:6] for row in error_file(officer, job)[1:]] == [
            ["PEN-2", "x", "", "", "", "row_width"],
            ["A", "B", "C", "D", "E", "row_width"],
        ]

    @pytest.mark.parametrize("optional", [people.OPTIONAL, people.OPTIONAL[1:]])
    def test_has_the_columns_that_the_file_has(
        self, program: Program, officer: User, optional: tuple[str, ...]
    ) -> None:
        rows = [make_person(1, consent_date="y", consent_version="x"), make_person(2)]
        file = people_csv(*rows, optional=optional) + b"PEN-3\n"
        header, *bad = error_file(officer, check(bring(officer, program, file)))
        assert header == [*people.COLUMNS, *optional, "code", "message"]
        shown = {"consent_date": "y", "consent_version": "x"}
        empty = [""] * len(optional)
        assert [row[5:-2] for row in bad] == [[shown[name] for name in optional], empty]

    def test_names_rows_whose_faults_are_not_kept(
        self, program: Program, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("payments.services.intake.MAX_KEPT", 3)
        job = check(bring(officer, program, people_csv(*(make_person(n, address="") for n in range(1, 6)))))
        assert job.errors_count == 5
        assert [row[5] for row in error_file(officer, job)[1:]] == [
            *["address_missing"] * 3,
            *["error_not_kept"] * 2,
        ]

    @pytest.mark.parametrize("role", ["approver", "releaser", "auditor"])
    def test_is_for_officers_of_the_program(
        self, program: Program, officer: User, outsider: User, role: str
    ) -> None:
        job = check(bring(officer, program, people_csv(make_person(1, address="x"))))
        with pytest.raises(authority.RoleMissing):
            imports.errors(by=factories.make_member(program, role), job_id=job.pk)
        with pytest.raises(NotFound):
            imports.errors(by=outsider, job_id=job.pk)


class TestTemplate:
    @pytest.mark.parametrize(("kind", "columns"), [("people", 7), ("lines", 2)])
    def test_has_a_header_and_an_example_row(self, kind: str, columns: int) -> None:
        header, example = csv.reader(io.StringIO(import_files.template(kind)))
        assert header == [*import_files.COLUMNS[kind], *import_files.OPTIONAL[kind]]
        assert len(example) == columns

    def test_of_people_enrolls_nobody(self, program: Program, officer: User) -> None:
        job = check(bring(officer, program, import_files.template("people").encode()))
        assert (job.status, faults_of(job)) == ("refused", [(1, "address", "address_malformed")])


class TestAsk:
    @pytest.mark.parametrize("role", ["approver", "releaser", "auditor"])
    def test_needs_an_officer(self, program: Program, role: str) -> None:
        member = factories.make_member(program, role)
        for ask in (
            lambda: bring(member, program, b"x"),
            lambda: bring_list(member, program, ("A", "1")),
        ):
            with pytest.raises(authority.RoleMissing):
                ask()
        assert (ImportJob.objects.count(), ImportPart.objects.count()) == (0, 0)

    def test_hides_the_program_from_outsiders(self, program: Program, outsider: User) -> None:
        with pytest.raises(NotFound):
            bring(outsider, program, b"x")

    @pytest.mark.usefixtures("small_parts")
    def test_refuses_a_file_above_the_limit(self, program: Program, officer: User, settings: Any) -> None:
        settings.GOVPAY_IMPORT_MAX_BYTES = 1_024
        with pytest.raises(import_files.FileTooLarge):
            bring(officer, program, b"x" * 1_025)
        assert (ImportJob.objects.count(), ImportPart.objects.count()) == (0, 0)
        assert bring(officer, program, b"x" * 1_024).size_bytes == 1_024

    def test_is_bounded_for_a_person(self, program: Program, officer: User) -> None:
        for _ in range(imports.MOST_OPEN):
            bring(officer, program, b"x")
        with pytest.raises(imports.TooManyImports):
            bring(officer, program, b"x")

    @pytest.mark.usefixtures("small_parts")
    def test_keeps_the_file_encrypted_and_each_part_in_its_place(
        self, program: Program, officer: User
    ) -> None:
        file = people_csv(*(make_person(n) for n in range(1, 10)))
        job = bring(officer, program, file)
        with connection.cursor() as cursor:
            cursor.execute("SELECT data FROM payments_importpart ORDER BY number")
            stored = b"".join(bytes(data) for (data,) in cursor.fetchall())
        for secret in ("Muñoz", "9230000", "99123", "PEN-", "full_name"):
            assert secret.encode() not in stored
        assert b"".join(iter(import_files.Stored(job.pk).read, b"")) == file
        first, second = job.parts.order_by("number")[:2]
        ImportPart.objects.filter(pk=first.pk).update(data=second.data)
        with pytest.raises(FieldUnreadable):
            import_files.Stored(job.pk).read()


class TestCancel:
    def test_deletes_the_file_and_its_rows(self, program: Program, officer: User) -> None:
        for job in (bring(officer, program, people_csv(GOOD)), check(bring(officer, program, b"x,\n"))):
            if job.status == "refused":
                with pytest.raises(StatusConflict):
                    imports.cancel(by=officer, job_id=job.pk)
                continue
            assert imports.cancel(by=officer, job_id=job.pk).status == "cancelled"
            assert (job.parts.count(), job.rows.count()) == (0, 0)
            assert (check(job).status, count_registry()) == ("cancelled", NOTHING)

    def test_refuses_what_is_being_written(self, program: Program, officer: User) -> None:
        job = check(bring(officer, program, people_csv(GOOD)))
        imports.confirm(by=officer, job_id=job.pk)
        with pytest.raises(StatusConflict):
            imports.cancel(by=officer, job_id=job.pk)
        assert check(job).status == "done"

    def test_stops_a_worker_between_parts(
        self, program: Program, officer: User, small_parts: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = bring(officer, program, people_csv(*(make_person(n) for n in range(1, 20))))
        part = importing._check_part

        def cancelled(*args: Any) -> None:
            part(*args)
            if again(job).status == "checking":
                imports.cancel(by=officer, job_id=job.pk)

        monkeypatch.setattr(importing, "_check_part", cancelled)
        job = check(job)
        assert (job.status, ImportRow.objects.count(), count_registry()) == ("cancelled", 0, NOTHING)


class TestWorkers:
    def test_are_found_work_by_the_sweep(self, program: Program, officer: User) -> None:
        job = bring(officer, program, people_csv(GOOD))
        assert list(rounds.imports_to_run()) == [doorbell.Ring("run_import", {"job_id": job.pk})]
        check(job)
        assert list(rounds.imports_to_run()) == []
        imports.confirm(by=officer, job_id=job.pk)
        assert len(list(rounds.imports_to_run())) == 1

    def test_give_up_what_killed_them(self, program: Program, officer: User) -> None:
        job = bring(officer, program, people_csv(GOOD))
        ImportJob.objects.filter(pk=job.pk).update(attempts=3)
        job = check(job)
        assert (job.status, job.code, count_registry()) == ("refused", "worker_died", NOTHING)

    def test_write_nothing_once_the_lease_is_lost(
        self, program: Program, officer: User, small_parts: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = bring(officer, program, people_csv(*(make_person(n) for n in range(1, 20))))
        part = importing._check_part

        def late(*args: Any) -> None:
            part(*args)
            ImportJob.objects.filter(pk=job.pk).update(lease_token=99)

        monkeypatch.setattr(importing, "_check_part", late)
        job = check(job)
        assert job.status == "checking"
        assert ImportRow.objects.count() == job.rows_done < 10


class TestForget:
    def test_deletes_files_after_a_while_and_keeps_what_became_of_them(
        self, program: Program, officer: User, settings: Any
    ) -> None:
        settings.GOVPAY_IMPORT_KEPT_DAYS = 2
        bad = check(bring(officer, program, people_csv(make_person(1, address="x"))))
        kept = check(bring(officer, program, people_csv(make_person(2, address="x"))))
        idle = check(bring(officer, program, people_csv(GOOD)))
        long_ago = Now() - timedelta(days=3)
        ImportJob.objects.filter(pk__in=[bad.pk, idle.pk]).update(checked_at=long_ago)
        ImportJob.objects.filter(pk=bad.pk).update(finished_at=long_ago)
        tasks.prune()
        for job, status, code in ((bad, "refused", "rows_refused"), (idle, "cancelled", "not_confirmed")):
            now = again(job)
            assert (now.status, now.code, now.emptied_at is None) == (status, code, False)
            assert (now.parts.count(), now.rows.count(), now.faults.count()) == (0, 0, 0)
            with pytest.raises(imports.ImportEmptied):
                imports.errors(by=officer, job_id=job.pk)
        assert bad.intake.errors.count() == 1
        assert len(error_file(officer, kept)) == 2


@pytest.mark.django_db(transaction=True)
class TestConfirmTwiceAtOnce:
    def test_writes_once(self) -> None:
        program = factories.make_program()
        officers = [factories.make_member(program, "officer", name) for name in ("one", "two")]
        job = check(bring(officers[0], program, people_csv(GOOD)))
        _, racer = racing.race(
            lambda: imports.confirm(by=officers[0], job_id=job.pk),
            lambda: imports.confirm(by=officers[1], job_id=job.pk),
        )
        assert isinstance(racer.error, StatusConflict)
        assert again(job).confirmed_by == officers[0]
        importing.run(job.pk)
        importing.run(job.pk)
        assert (again(job).status, count_registry(), Intake.objects.count()) == ("done", (1, 1, 1), 1)

    def test_is_taken_by_one_worker_while_another_has_it(self) -> None:
        program = factories.make_program()
        officer = factories.make_member(program, "officer")
        job = check(bring(officer, program, people_csv(GOOD)))
        imports.confirm(by=officer, job_id=job.pk)
        first = importing._claim(job.pk)
        assert first is not None
        assert importing._claim(job.pk) is None
        importing._load(first)
        assert (again(job).status, again(job).attempts, count_registry()) == ("done", 1, (1, 1, 1))


class TestPersonalData:
    CANARY = "Zebulon Canary"

    def test_is_in_no_log_and_no_task(
        self,
        program: Program,
        officer: User,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        sent: list[Any] = []
        monkeypatch.setattr(current_app, "send_task", lambda *args, **kwargs: sent.append((args, kwargs)))
        caplog.set_level("DEBUG")
        rows = [
            make_person(1, full_name=self.CANARY),
            make_person(2, full_name=self.CANARY, national_id="CANARY?1", phone="CANARY"),
        ]
        with django_capture_on_commit_callbacks(execute=True):
            job = check(bring(officer, program, people_csv(*rows), accept_partial=True))
            confirm(officer, job)
            error_file(officer, job)
            tasks.prune()
        assert [kwargs for _, kwargs in sent] == [{"kwargs": {"job_id": job.pk}}] * 2
        out, err = capfd.readouterr()
        assert "CANARY" not in (caplog.text + out + err + str(sent)).upper()
        kept = [*ImportFault.objects.values_list("message", flat=True), again(job).message]
        assert "CANARY" not in " ".join(kept).upper()


class Generated(io.RawIOBase):
    """A file that is made while it is read, so that the test itself holds none of it."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (line := next(self._lines, b"")):
            self._rest += line
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


class TestMemory:
    """Ten times the rows may take a megabyte more, on the way in, in the check, in the load and in the error file."""

    BOUND = 1024 * 1024

    @pytest.mark.parametrize("is_good", [True, False], ids=["good", "bad"])
    def test_stays_flat(
        self, program: Program, officer: User, monkeypatch: pytest.MonkeyPatch, is_good: bool
    ) -> None:
        monkeypatch.setattr("payments.services.intake.MAX_KEPT", 200)
        monkeypatch.setattr(import_files, "PART_BYTES", 32 * 1024)
        changes = {} if is_good else {"address": ""}
        peaks = []
        for start, count in ((0, 1), (100_000, 2_000), (200_000, 20_000)):
            peaks.append(peak_bytes(lambda: self._work(officer, program, start, count, changes)))  # noqa: B023
        assert ImportJob.objects.filter(status="done" if is_good else "refused").count() == 3
        assert peaks[2] - peaks[1] < self.BOUND

    def _work(self, by: User, program: Program, start: int, count: int, changes: dict[str, str]) -> None:
        rows = (people_csv(make_person(n, **changes)) for n in range(start, start + count))
        header = people_csv()
        lines = (line.removeprefix(header) for line in rows)
        file: Any = Generated(part for block in ([header], lines) for part in block)
        job = check(imports.ask_people(by=by, program_id=program.pk, file=file, filename="x.csv"))
        if job.status == "ready":
            confirm(by, job)
        else:
            _, errors = imports.errors(by=by, job_id=job.pk)
            assert sum(1 for _ in errors) == count + 1
