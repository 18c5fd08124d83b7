"""Importing people from a file, against csv.reader plus COPY of the same file."""

import csv
import time
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from payments.services import people
from tests import factories
from tests.bench import people as files

PLAIN = (
    "CREATE TABLE bench_plain (reference text, national_id text, full_name text, phone text, address text)"
)
KEYED = (
    "CREATE TABLE bench_keyed (reference text UNIQUE, national_id text UNIQUE, full_name text, phone text,"
    " address text UNIQUE)"
)


def measure(rows: int) -> dict[str, Any]:
    """Return seconds and ratios; the keyed table has the three unique indexes that the registry cannot do without."""
    path = Path(settings.BASE_DIR) / "var" / "bench" / "intake.csv"
    files.write_people(path, rows, first=50_000_000)
    plain = copy_bare(path, PLAIN, "bench_plain")
    keyed = copy_bare(path, KEYED, "bench_keyed")
    program = factories.make_program("INTAKE")
    officer = factories.make_member(program, "officer")
    begin = time.perf_counter()
    with path.open("rb") as file:
        loaded = people.import_csv(by=officer, program_id=program.pk, file=file, filename=path.name)
    ours = time.perf_counter() - begin
    assert loaded.rows_loaded == rows, loaded
    return {
        "rows": rows,
        "import_s": round(ours, 3),
        "copy_s": round(plain, 3),
        "copy_with_the_same_keys_s": round(keyed, 3),
        "import_to_copy": round(ours / plain, 2),
        "import_to_copy_goal": 4,
        "import_to_copy_with_the_same_keys": round(ours / keyed, 2),
    }


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


def _database() -> dict[str, Any]:
    found = settings.DATABASES["default"]
    return {
        "host": found["HOST"],
        "port": found["PORT"],
        "user": found["USER"],
        "password": found["PASSWORD"],
        "dbname": found["NAME"],
    }
