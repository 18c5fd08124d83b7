"""Files: every way in which one can be damaged, and that memory does not grow with it."""

import io

import pytest
from django.contrib.auth.models import User

from payments.models import Intake, Program
from payments.services import people
from tests.memory import peak_bytes
from tests.payments.services.files import count_registry, faults_of, make_csv, make_person, people_csv

GOOD = people_csv(make_person(1), make_person(2))
HEADER, FIRST, SECOND = GOOD.splitlines(keepends=True)
NOTHING = (0, 0, 0)

DAMAGED: list[tuple[str, bytes, list[tuple[int, str, str]]]] = [
    ("nothing", b"", [(0, "", "file_empty")]),
    ("a byte order mark alone", b"\xef\xbb\xbf", [(0, "", "file_empty")]),
    ("a header alone", HEADER, [(0, "", "file_empty")]),
    ("blank lines alone", HEADER + b"\n\r\n", [(0, "", "file_empty")]),
    ("UTF-16 with its mark", GOOD.decode().encode("utf-16"), [(0, "", "encoding")]),
    ("UTF-16 without its mark", GOOD.decode().encode("utf-16-le"), [(0, "", "nul_byte")]),
    ("Latin-1 in row 2", HEADER + FIRST + b"P-2,99123-2,Mu\xf1oz,,x\n", [(2, "", "encoding")]),
    ("Latin-1 in the header", b"r\xe9f\xe9rence\n" + FIRST, [(0, "", "encoding")]),
    ("NUL in row 1", HEADER + FIRST.replace(b"P", b"\0", 1) + SECOND, [(1, "", "nul_byte")]),
    ("a zip file", b"PK\x03\x04\x14\x00\x08\x08" + bytes(range(256)), [(0, "", "nul_byte")]),
    ("an open quote", HEADER + FIRST + b'"' + SECOND, [(2, "", "quote_malformed")]),
    ("text after a quote", HEADER + b'"PEN"1,' + FIRST + SECOND, [(1, "", "quote_malformed")]),
    ("an endless field", HEADER + FIRST + b'"' + b"x\n" * 100_000, [(2, "", "field_too_long")]),
    ("an endless line", HEADER + FIRST + b"x" * 70_000, [(2, "", "line_too_long")]),
    ("an endless line in the middle", HEADER + b"x" * 70_000 + b"\n" + FIRST, [(1, "", "line_too_long")]),
    ("an endless line of three blocks", HEADER + b"x" * 800_000 + b"\n" + FIRST, [(1, "", "line_too_long")]),
    ("carriage returns alone", GOOD.replace(b"\n", b"\r"), [(0, "", "line_end_malformed")]),
    ("a field too few", HEADER + FIRST + b"PEN-000002,x,y,z\n", [(2, "", "row_width")]),
    ("a field too many", HEADER + FIRST.strip() + b",x\n" + SECOND, [(1, "", "row_width")]),
    (
        "a missing column",
        b"reference,national_id,full_name,phone\n" + FIRST,
        [(0, "address", "column_missing")],
    ),
    (
        "an unknown column",
        HEADER.strip() + b",amount_sat\n" + FIRST,
        [(0, "amount_sat", "column_unknown")],
    ),
    (
        "a repeated column",
        HEADER.strip() + b",phone\n" + FIRST,
        [(0, "phone", "column_repeated")],
    ),
    (
        "a column misspelled",
        HEADER.replace(b"phone", b"Phone") + FIRST,
        [(0, "phone", "column_missing"), (0, "column 4", "column_unknown")],
    ),
    ("a thousand columns", b"," * 1_000 + b"\n" + FIRST, [(0, "", "column_unknown")]),
]


def import_file(by: User, program: Program, file: bytes, **options: bool) -> Intake:
    return people.import_csv(by=by, program_id=program.pk, file=io.BytesIO(file), filename="x.csv", **options)


class TestCsvSource:
    @pytest.mark.parametrize("accept_partial", [False, True])
    @pytest.mark.parametrize(
        ("file", "faults"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED]
    )
    def test_refuses_damaged_files(
        self,
        program: Program,
        officer: User,
        file: bytes,
        faults: list[tuple[int, str, str]],
        accept_partial: bool,
    ) -> None:
        intake = import_file(officer, program, file, accept_partial=accept_partial)
        if faults[0][2] == "row_width" and accept_partial:
            assert (intake.status, intake.rows_loaded) == ("loaded", 1)
        else:
            assert (intake.status, intake.rows_loaded, count_registry()) == ("refused", 0, NOTHING)
        assert sorted(faults_of(intake)) == sorted(faults)

    def test_never_repeats_a_row_that_stands_where_the_header_should(
        self, program: Program, officer: User
    ) -> None:
        intake = import_file(officer, program, FIRST + SECOND)
        said = " ".join(
            f"{column} {message}" for column, message in intake.errors.values_list("column", "message")
        )
        assert intake.errors.filter(code="column_unknown").count() == 5
        for field in make_person(1).values():
            assert field not in said

    @pytest.mark.parametrize(
        "file",
        [
            b"\xef\xbb\xbf" + GOOD,
            GOOD.replace(b"\n", b"\r\n"),
            HEADER + FIRST.replace(b"\n", b"\r\n") + SECOND,
            GOOD.rstrip(b"\n"),
            GOOD + b"\n\n",
            HEADER + b"\n" + FIRST + SECOND,
            b",".join(b'"' + field + b'"' for field in HEADER.strip().split(b",")) + b"\n" + FIRST + SECOND,
        ],
        ids=["mark", "crlf", "mixed", "no last newline", "blank lines at the end", "blank line", "quoted"],
    )
    def test_takes_what_spreadsheets_write(self, program: Program, officer: User, file: bytes) -> None:
        intake = import_file(officer, program, file)
        assert (intake.status, intake.rows_total, count_registry()) == ("loaded", 2, (2, 2, 2))

    def test_reads_a_line_of_the_length_that_is_allowed(self, program: Program, officer: User) -> None:
        intake = import_file(officer, program, people_csv(make_person(1, full_name="x" * 60_000)))
        assert faults_of(intake) == [(1, "full_name", "full_name_too_long")]

    def test_reads_across_blocks(
        self, program: Program, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("payments.services.csv_source.BLOCK_BYTES", 7)
        intake = import_file(officer, program, b"\xef\xbb\xbf" + GOOD)
        assert (intake.status, count_registry()) == ("loaded", (2, 2, 2))

    def test_keeps_a_safe_file_name(self, program: Program, officer: User) -> None:
        name = "../../etc/" + "x" * 300 + "\x1b[2J.csv"
        intake = people.import_csv(by=officer, program_id=program.pk, file=io.BytesIO(b""), filename=name)
        assert intake.filename == "x" * 200


class TestMemory:
    """Ten times the rows may take half a megabyte more: the lines of one write differ, nothing else."""

    BOUND = 512 * 1024

    @pytest.mark.parametrize("is_good", [True, False], ids=["good", "bad"])
    def test_stays_flat(
        self, program: Program, officer: User, monkeypatch: pytest.MonkeyPatch, is_good: bool
    ) -> None:
        # Errors are kept up to a limit of their own, which would hide behind ten thousand rows.
        monkeypatch.setattr("payments.services.intake.MAX_KEPT", 500)
        changes = {} if is_good else {"address": ""}
        peaks = []
        for start, count in ((0, 1), (100_000, 2_000), (200_000, 20_000)):
            rows = (make_person(n, **changes) for n in range(start, start + count))
            file = io.BytesIO(make_csv(people.COLUMNS, ([*row.values()] for row in rows)))
            peaks.append(
                peak_bytes(
                    lambda file=file: people.import_csv(
                        by=officer, program_id=program.pk, file=file, filename="x.csv"
                    )
                )
            )
        assert Intake.objects.filter(status="loaded" if is_good else "refused").count() == 3
        assert peaks[2] - peaks[1] < self.BOUND
