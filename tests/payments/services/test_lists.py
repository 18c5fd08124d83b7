"""Lists come in whole or not at all: what refuses one, and that nothing is left behind then."""

import io
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections

from govpay.errors import InvalidInput, NotFound
from payments.models import Cycle, Intake, Payment, Program
from payments.services import authority, disbursements, lists
from tests import factories
from tests.payments.onchain.test_amount import BAD_SAT
from tests.payments.services.files import count_payments, faults_of, list_csv

NOTHING = (0, 0)
CYCLE = {"period": "2026-11", "purpose": "pension"}
# What a damaged line does to the whole file, where the amount alone would have been a fault of the row.
FILE_CODES = {"1\x00": ("", "nul_byte"), "9" * 1_000_000: ("", "line_too_long")}


@pytest.fixture
def people(program: Program) -> list[str]:
    """The references of three people, paid at P2WPKH, P2WPKH and P2PKH."""
    scripts = [None, None, b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"]
    return [factories.make_enrollment(program, script_pubkey=script).reference for script in scripts]


def upload(by: User, program: Program, *rows: tuple[str, str], **changes: Any) -> Intake:
    """A list whose control totals are right unless changed."""
    sums = sum(int(sat) for _, sat in rows if sat.isascii() and sat.isdigit() and len(sat) < 20)
    options = CYCLE | {"expected_count": len(rows), "expected_total_sat": sums} | changes
    return lists.create_from_csv(
        by=by, program_id=program.pk, file=io.BytesIO(list_csv(*rows)), filename="list.csv", **options
    )


def send(by: User, program: Program, rows: list[Any], **changes: Any) -> Intake:
    """The same as JSON."""
    options = CYCLE | {"expected_count": len(rows), "expected_total_sat": 0} | changes
    return lists.create_from_rows(by=by, program_id=program.pk, rows=rows, **options)


def assert_refused(intake: Intake, faults: list[tuple[int, str, str]], payments: Any = NOTHING) -> None:
    assert intake.status == "refused"
    assert faults_of(intake) == faults
    assert intake.rows_loaded == 0
    assert not hasattr(intake, "disbursement")
    assert count_payments() == payments
    if payments == NOTHING:
        assert Cycle.objects.count() == 0


class TestCreateFromCsv:
    def test_makes_a_draft(self, program: Program, officer: User, people: list[str]) -> None:
        intake = upload(officer, program, (people[1], "51601"), (people[0], "294"), (people[2], "546"))
        assert (intake.status, intake.rows_total, intake.rows_loaded, intake.rows_refused) == (
            "loaded",
            3,
            3,
            0,
        )
        made = intake.disbursement
        assert (made.status, made.payment_count, made.total_sat) == ("draft", 3, 52_441)
        assert (made.made_by, made.program, str(made.cycle)) == (officer, program, "2026-11 pension")
        lines = Payment.objects.order_by("line").values_list(
            "line", "beneficiary__enrollments__reference", "amount_sat", "status", "cycle_id"
        )
        assert list(lines) == [
            (1, people[1], 51_601, "pending", made.cycle_id),
            (2, people[0], 294, "pending", made.cycle_id),
            (3, people[2], 546, "pending", made.cycle_id),
        ]

    def test_makes_what_can_be_submitted(self, program: Program, officer: User, people: list[str]) -> None:
        made = upload(officer, program, (people[0], "1000")).disbursement
        assert disbursements.submit(by=officer, disbursement_id=made.pk).status == "submitted"

    @pytest.mark.parametrize(("text", "rule"), [*BAD_SAT, ("0", "amount_zero"), ("293", "amount_dust")])
    def test_refuses_bad_amounts(
        self, program: Program, officer: User, people: list[str], text: str, rule: str
    ) -> None:
        intake = upload(officer, program, (people[0], "1000"), (people[1], text))
        column, code = FILE_CODES.get(text, ("amount_sat", rule))
        assert_refused(intake, [(2, column, code)])

    def test_measures_dust_by_the_script(self, program: Program, officer: User, people: list[str]) -> None:
        intake = upload(officer, program, (people[0], "545"), (people[2], "545"))
        assert_refused(intake, [(2, "amount_sat", "amount_dust")])

    @pytest.mark.parametrize(
        ("reference", "code"),
        [("", "reference_missing"), ("=1", "reference_malformed"), ("NOBODY", "reference_unknown")],
    )
    def test_refuses_bad_references(
        self, program: Program, officer: User, people: list[str], reference: str, code: str
    ) -> None:
        intake = upload(officer, program, (people[0], "1000"), (reference, "1000"))
        assert_refused(intake, [(2, "reference", code)])
        assert (intake.rows_total, intake.rows_refused) == (2, 1)

    def test_knows_nobody_of_another_program(self, program: Program, officer: User) -> None:
        other = factories.make_enrollment(factories.make_program(code="OTHER"))
        assert_refused(
            upload(officer, program, (other.reference, "1000")), [(1, "reference", "reference_unknown")]
        )

    def test_refuses_a_person_twice_and_names_both_rows(
        self, program: Program, officer: User, people: list[str]
    ) -> None:
        intake = upload(officer, program, (people[1], "1000"), (people[0], "1000"), (people[1], "2000"))
        assert_refused(intake, [(3, "reference", "reference_duplicate")])
        assert intake.errors.get().message == "The person is in the list twice (also in row 1)."

    @pytest.mark.parametrize(
        ("control", "fault", "message"),
        [
            (
                {"expected_count": 3},
                (0, "", "control_count"),
                "The list has 2 rows; the control total says 3.",
            ),
            (
                {"expected_total_sat": 2_999},
                (0, "amount_sat", "control_total"),
                "The list sums to 3000 sat; the control total says 2999 sat.",
            ),
        ],
    )
    def test_refuses_control_totals_that_disagree(
        self,
        program: Program,
        officer: User,
        people: list[str],
        control: dict[str, int],
        fault: tuple[int, str, str],
        message: str,
    ) -> None:
        intake = upload(officer, program, (people[0], "1000"), (people[1], "2000"), **control)
        assert_refused(intake, [fault])
        assert intake.errors.get().message == message

    def test_refuses_more_than_all_the_money(
        self, program: Program, officer: User, people: list[str]
    ) -> None:
        most = "2100000000000000"
        intake = upload(officer, program, (people[0], most), (people[1], most))
        assert_refused(intake, [(0, "amount_sat", "total_too_large")])

    def test_refuses_people_of_another_list_of_the_cycle(
        self, program: Program, officer: User, people: list[str]
    ) -> None:
        upload(officer, program, (people[0], "1000"))
        intake = upload(officer, program, (people[1], "1000"), (people[0], "2000"))
        assert_refused(intake, [(2, "reference", "person_in_cycle")], (1, 1))

    def test_takes_them_once_the_other_list_is_withdrawn(
        self, program: Program, officer: User, people: list[str]
    ) -> None:
        made = upload(officer, program, (people[0], "1000")).disbursement
        disbursements.cancel(by=officer, disbursement_id=made.pk, note="wrong amounts")
        assert upload(officer, program, (people[0], "1000")).status == "loaded"
        assert count_payments() == (2, 2)

    def test_refuses_the_same_file_again(self, program: Program, officer: User, people: list[str]) -> None:
        upload(officer, program, (people[0], "1000"))
        assert_refused(upload(officer, program, (people[0], "1000")), [(0, "", "file_seen_before")], (1, 1))

    def test_takes_the_same_file_for_the_next_month(
        self, program: Program, officer: User, people: list[str]
    ) -> None:
        upload(officer, program, (people[0], "1000"))
        assert upload(officer, program, (people[0], "1000"), period="2026-12").status == "loaded"
        assert upload(officer, program, (people[0], "1000"), purpose="heating").status == "loaded"
        assert count_payments() == (3, 3)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"period": ""}, "period_malformed"),
            ({"period": "2026/11"}, "period_malformed"),
            ({"period": "1" * 21}, "period_malformed"),
            ({"period": None}, "period_malformed"),
            ({"purpose": "Pension"}, "purpose_malformed"),
            ({"purpose": "pension\n"}, "purpose_malformed"),
            ({"purpose": "p" * 41}, "purpose_malformed"),
        ],
    )
    def test_refuses_bad_cycles(
        self, program: Program, officer: User, people: list[str], changes: dict[str, Any], code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            upload(officer, program, (people[0], "1000"), **changes)
        assert [error["code"] for error in refusal.value.details["errors"]] == [code]
        assert (count_payments(), Intake.objects.count()) == (NOTHING, 0)

    @pytest.mark.parametrize(
        ("file", "faults"),
        [
            (b"", [(0, "", "file_empty")]),
            (b"reference,amount_sat\n", [(0, "", "file_empty")]),
            (
                b"reference,amount\nA,1\n",
                [(0, "amount_sat", "column_missing"), (0, "amount", "column_unknown")],
            ),
            (b"reference,amount_sat,approved_by\nA,1,2\n", [(0, "approved_by", "column_unknown")]),
            (b"reference,amount_sat\nA\n", [(1, "", "row_width")]),
            (b"reference,amount_sat\nA,1\nB,\xff\n", [(2, "", "encoding")]),
        ],
    )
    def test_refuses_damaged_files(
        self, program: Program, officer: User, file: bytes, faults: list[tuple[int, str, str]]
    ) -> None:
        intake = lists.create_from_csv(
            by=officer,
            program_id=program.pk,
            file=io.BytesIO(file),
            filename="x.csv",
            expected_count=1,
            expected_total_sat=1,
            **CYCLE,
        )
        assert_refused(intake, faults)

    def test_needs_an_officer(self, program: Program, approver: User, people: list[str]) -> None:
        with pytest.raises(authority.RoleMissing):
            upload(approver, program, (people[0], "1000"))
        assert (count_payments(), Intake.objects.count()) == (NOTHING, 0)

    def test_hides_the_program_from_outsiders(
        self, program: Program, outsider: User, people: list[str]
    ) -> None:
        with pytest.raises(NotFound):
            upload(outsider, program, (people[0], "1000"))
        assert (count_payments(), Intake.objects.count()) == (NOTHING, 0)

    def test_leaves_the_last_word_to_the_constraint(
        self, program: Program, officer: User, people: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload(officer, program, (people[0], "1000"))
        # As if the other list had been written between the check and the insert.
        monkeypatch.setattr("payments.services.lines.check", lambda *_: None)
        intake = upload(officer, program, (people[1], "1000"), (people[0], "2000"))
        assert_refused(intake, [(2, "reference", "person_in_cycle")], (1, 1))
        assert intake.rows_refused == 1


class TestCreateFromRows:
    def test_makes_a_draft(self, program: Program, officer: User, people: list[str]) -> None:
        rows = [
            {"reference": people[0], "amount_sat": 1_000},
            {"amount_sat": "2000", "reference": people[1]},
        ]
        intake = send(officer, program, rows, expected_total_sat=3_000)
        assert (intake.status, intake.disbursement.total_sat, count_payments()) == ("loaded", 3_000, (1, 2))

    @pytest.mark.parametrize(
        ("value", "rule"),
        [
            *BAD_SAT,
            (None, "amount_missing"),
            (0, "amount_zero"),
            (-1, "amount_negative"),
            (1.0, "amount_malformed"),
            (Decimal("1000"), "amount_malformed"),
            (float("inf"), "amount_malformed"),
            (float("nan"), "amount_malformed"),
            (True, "amount_malformed"),
            ([1_000], "amount_malformed"),
            ({"sat": 1_000}, "amount_malformed"),
            (293, "amount_dust"),
            (2_100_000_000_000_001, "amount_too_large"),
            (2**63, "amount_too_large"),
            (10**400, "amount_too_large"),
        ],
    )
    def test_refuses_bad_amounts(
        self, program: Program, officer: User, people: list[str], value: object, rule: str
    ) -> None:
        intake = send(officer, program, [{"reference": people[0], "amount_sat": value}])
        assert [fault for fault in faults_of(intake) if fault[0]] == [(1, "amount_sat", rule)]
        assert (intake.status, count_payments()) == ("refused", NOTHING)

    @pytest.mark.parametrize(
        ("row", "faults"),
        [
            ({}, [(1, "reference", "reference_missing"), (1, "amount_sat", "amount_missing")]),
            ({"reference": 1, "amount_sat": 1_000}, [(1, "reference", "reference_malformed")]),
            ({"reference": "A\x00", "amount_sat": 1_000}, [(1, "reference", "reference_malformed")]),
            ({"reference": "A", "amount_sat": 1_000, "status": "released"}, [(1, "", "row_width")]),
            (["A", 1_000], [(1, "", "row_width")]),
            (None, [(1, "", "row_width")]),
        ],
    )
    def test_refuses_bad_rows(
        self, program: Program, officer: User, row: Any, faults: list[tuple[int, str, str]]
    ) -> None:
        intake = send(officer, program, [row], expected_total_sat=1_000)
        assert_refused(intake, faults)
        assert intake.rows_refused == 1

    def test_refuses_no_rows(self, program: Program, officer: User) -> None:
        assert_refused(send(officer, program, []), [(0, "", "file_empty")])

    def test_refuses_the_same_rows_again(self, program: Program, officer: User, people: list[str]) -> None:
        rows = [{"reference": people[0], "amount_sat": 1_000}]
        send(officer, program, rows, expected_total_sat=1_000)
        again = send(officer, program, rows, expected_total_sat=1_000)
        assert_refused(again, [(0, "", "file_seen_before")], (1, 1))


@pytest.mark.django_db(transaction=True)
class TestCreateTwiceAtOnce:
    def test_pays_each_person_in_one_of_the_lists(self) -> None:
        program = factories.make_program()
        officer = factories.make_member(program, "officer")
        references = [factories.make_enrollment(program).reference for _ in range(6)]
        both_have_staged = threading.Barrier(2, timeout=20)
        results: list[Intake] = []

        def make(chosen: list[str]) -> None:
            rows = [(reference, "1000") for reference in chosen]
            results.append(upload(officer, program, *rows, progress=lambda _: both_have_staged.wait()))
            connections.close_all()

        orders = (references[:4], references[:1:-1])
        threads = [threading.Thread(target=make, args=(order,)) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(intake.status for intake in results) == ["loaded", "refused"]
        (refused,) = [intake for intake in results if intake.status == "refused"]
        assert [code for _, _, code in faults_of(refused)] == ["person_in_cycle", "person_in_cycle"]
        assert count_payments() == (1, 4)
        connection.close()
