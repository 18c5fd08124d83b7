"""Importing people and a list from files, at once and in the background, against csv.reader plus COPY.

COPY goes into a table without keys, into one with the keys of the file's columns, and into the very tables that the import
writes, with their keys and foreign keys, whose rows were hashed, encrypted and decoded beforehand.
"""

import csv
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Cycle, Disbursement, ImportJob
from payments.services import disbursements, importing, imports, lists, people
from tests import factories
from tests.bench import people as files

PLAIN = (
    "CREATE TABLE bench_plain (reference text, national_id text, full_name text, phone text, address text)"
)
KEYED = (
    "CREATE TABLE bench_keyed (reference text UNIQUE, national_id text UNIQUE, full_name text, phone text,"
    " address text UNIQUE)"
)
PLAIN_LINES = "CREATE TABLE bench_plain_lines (reference text, amount_sat bigint)"
KEYED_LINES = "CREATE TABLE bench_keyed_lines (reference text UNIQUE, amount_sat bigint)"
AMOUNT_SAT = 50_000
FIRST = 50_000_000
# What new rows have in place of the rows that they are made of.
OTHERS = 1_000_000_000
NEW_PEOPLE = {
    "payments_beneficiary": {"id": f"id + {OTHERS}", "identity_hash": "sha256(identity_hash)"},
    "payments_destination": {
        "id": f"id + {OTHERS}",
        "beneficiary_id": f"beneficiary_id + {OTHERS}",
        "script_pubkey": r"'\x0014'::bytea || substr(sha256(script_pubkey), 1, 20)",
    },
    "payments_enrollment": {
        "id": f"id + {OTHERS}",
        "beneficiary_id": f"beneficiary_id + {OTHERS}",
        "reference": "'N' || reference",
    },
}
NULL = r"\N"


class Copies(NamedTuple):
    """The seconds that COPY took into each kind of table."""

    plain_s: float
    keyed_s: float
    same_s: float

    def ratios(self, ours_s: float) -> dict[str, Any]:
        """Return the seconds, and how many times as long ours took."""
        return {
            "copy_s": round(self.plain_s, 3),
            "copy_with_the_same_keys_s": round(self.keyed_s, 3),
            "copy_into_the_same_tables_s": round(self.same_s, 3),
            "import_to_copy": round(ours_s / self.plain_s, 2),
            "import_to_copy_with_the_same_keys": round(ours_s / self.keyed_s, 2),
            "import_to_copy_into_the_same_tables": round(ours_s / self.same_s, 2),
        }


def measure(rows: int) -> dict[str, Any]:
    """Return seconds and ratios; the keyed tables have the unique indexes that the registry and lists cannot do without."""
    folder = Path(settings.BASE_DIR) / "var" / "bench"
    files.write_people(folder / "intake.csv", rows, first=FIRST)
    files.write_people(folder / "intake-job.csv", rows, first=FIRST + rows)
    files.write_list(folder / "lines.csv", rows, AMOUNT_SAT, first=FIRST)
    return {
        "rows": rows,
        "import_to_copy_goal": 4,
        **_people(folder / "intake.csv", folder / "intake-job.csv", rows),
        "lines": _lines(folder / "lines.csv", rows),
    }


def _people(path: Path, of_job: Path, rows: int) -> dict[str, Any]:
    plain = copy_bare(path, PLAIN, "bench_plain")
    keyed = copy_bare(path, KEYED, "bench_keyed")
    program = factories.make_program("INTAKE")
    officer = factories.make_member(program, "officer")

    def load() -> None:
        with path.open("rb") as file:
            loaded = people.import_csv(by=officer, program_id=program.pk, file=file, filename=path.name)
        assert loaded.rows_loaded == rows, loaded

    def ask() -> ImportJob:
        with of_job.open("rb") as file:
            return imports.ask_people(by=officer, program_id=program.pk, file=file, filename=of_job.name)

    ours, _ = _timed(load)
    copies = Copies(plain, keyed, copy_again(path.with_suffix(".rows"), NEW_PEOPLE))
    return {
        "import_s": round(ours, 3),
        **copies.ratios(ours),
        "in_the_background": _job(ask, officer, copies),
    }


def _lines(path: Path, rows: int) -> dict[str, Any]:
    plain = copy_bare(path, PLAIN_LINES, "bench_plain_lines")
    keyed = copy_bare(path, KEYED_LINES, "bench_keyed_lines")
    program = ImportJob.objects.latest("pk").program
    officer = factories.make_member(program, "officer", "lines-officer")
    asked: dict[str, Any] = {
        "by": officer,
        "program_id": program.pk,
        "purpose": "bench",
        "filename": path.name,
        "expected_count": rows,
        "expected_total_sat": rows * AMOUNT_SAT,
    }

    def load() -> None:
        with path.open("rb") as file:
            loaded = lists.create_from_csv(period="at-once", file=file, **asked)
        assert loaded.rows_loaded == rows, loaded

    def ask() -> ImportJob:
        with path.open("rb") as file:
            return imports.ask_list(period="in-the-background", file=file, **asked)

    ours, _ = _timed(load)
    copies = Copies(plain, keyed, copy_again(path.with_suffix(".rows"), _new_payments(program)))
    return {
        "import_s": round(ours, 3),
        **copies.ratios(ours),
        "in_the_background": _job(ask, officer, copies),
        "deciding": _decide(program, officer),
    }


def _decide(program: Any, officer: Any) -> dict[str, Any]:
    """Return statements and seconds of submitting, approving and releasing the list."""
    made = Disbursement.objects.get(program=program, cycle__period="at-once")
    # Its lines and any fee that they may cost.
    factories.fund(program, 2 * made.total_sat)
    found, agreed = {}, {}
    for verb, by in (
        (disbursements.submit, officer),
        (disbursements.approve, factories.make_member(program, "approver", "lines-approver")),
        (disbursements.release, factories.make_member(program, "releaser", "lines-releaser")),
    ):
        with CaptureQueriesContext(connection) as sent:
            seconds, made = _timed(partial(verb, by=by, disbursement_id=made.pk, **agreed))
        agreed = {"manifest_hash": bytes(made.manifest_hash)}
        found[verb.__name__] = {"statements": len(sent), "s": round(seconds, 3)}
    return found


def _new_payments(program: Any) -> dict[str, dict[str, str]]:
    """Return what another list's payments have in place of those of the one there is."""
    made = Disbursement.objects.get(program=program)
    made.cycle = Cycle.objects.create(program=program, period="copied", purpose="bench")
    record = made.intake
    record.pk = made.pk = None
    record.save(force_insert=True)
    made.intake = record
    made.save(force_insert=True)
    others = {"id": f"id + {OTHERS}", "disbursement_id": str(made.pk), "cycle_id": str(made.cycle.pk)}
    return {"payments_payment": others}


def _job(ask: Callable[[], ImportJob], officer: Any, copies: Copies) -> dict[str, Any]:
    """Return the seconds of each step of a job: stored in the request, checked and written by a worker."""
    stored, job = _timed(ask)
    checked, _ = _timed(lambda: importing.run(job.pk))
    imports.confirm(by=officer, job_id=job.pk)
    written, _ = _timed(lambda: importing.run(job.pk))
    job.refresh_from_db()
    assert job.status == "done", (job.status, job.message)
    return {
        "store_s": round(stored, 3),
        "check_s": round(checked, 3),
        "write_s": round(written, 3),
        **copies.ratios(stored + checked + written),
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    made = work()
    return time.perf_counter() - begin, made


def copy_bare(path: Path, create: str, table: str) -> float:
    """Read with csv.reader, write with COPY, commit; return the seconds."""
    with psycopg.connect(**_database()) as database:
        database.execute(create)
        database.commit()
        begin = time.perf_counter()
        with path.open(newline="") as file, database.cursor() as cursor:
            reader = csv.reader(file)
            next(reader)
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for row in reader:
                    copy.write_row(row)
        database.commit()
        return time.perf_counter() - begin


def copy_again(path: Path, tables: dict[str, dict[str, str]]) -> float:
    """Write the tables' rows to files, with other keys; return the seconds of reading those and COPY."""
    with psycopg.connect(**_database()) as database:
        files_of = {}
        for table, others in tables.items():
            files_of[table] = path.with_suffix(f".{table}.csv")
            names = [
                str(column[0])
                for column in database.execute(f"SELECT * FROM {table} LIMIT 0").description or ()
            ]
            chosen = ", ".join(others.get(name, name) for name in names)
            query = (
                f"COPY (SELECT {chosen} FROM {table} ORDER BY id) TO STDOUT WITH (FORMAT csv, NULL '{NULL}')"
            )
            with files_of[table].open("wb") as file, database.cursor() as cursor, cursor.copy(query) as rows:
                for block in rows:
                    file.write(block)
        database.commit()
        begin = time.perf_counter()
        for table, found in files_of.items():
            with (
                found.open(newline="") as text,
                database.cursor() as cursor,
                cursor.copy(f"COPY {table} FROM STDIN") as copy,
            ):
                for row in csv.reader(text):
                    copy.write_row([None if value == NULL else value for value in row])
        database.commit()
        return time.perf_counter() - begin


def _database() -> dict[str, Any]:
    found = settings.DATABASES["default"]
    return {
        "host": found["HOST"],
        "port": found["PORT"],
        "user": found["USER"],
        "password": found["PASSWORD"],
        "dbname": found["NAME"],
    }
