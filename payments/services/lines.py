"""Checks a staged list against itself, the registry and its cycle, and writes its payments."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db import connection

from payments.models import Cycle, Disbursement, Program
from payments.onchain import amount, fee
from payments.services import intake, person_rows
from payments.states import PaymentStatus

STAGE = "staged_line"
STAGE_COLUMNS = "row, reference, amount, is_bad"
# One script of each length there is; the length alone says what is dust.
DUST = " ".join(
    f"WHEN {len(s)} THEN {fee.dust_sat(s)}"
    for s in (
        b"\x00\x14" + bytes(20),
        b"\x00\x20" + bytes(32),
        b"\xa9\x14" + bytes(21),
        b"\x76\xa9\x14" + bytes(22),
    )
)

# Each finds rows that break a rule, by code, column and message, as registry does for people.
_CHECKS = [
    (
        "reference_duplicate",
        "reference",
        "The person is in the list twice",
        """
        WITH firsts AS (
            SELECT reference, min(row) AS first FROM staged_line WHERE reference IS NOT NULL
            GROUP BY reference HAVING count(*) > 1
        )
        SELECT s.row, firsts.first FROM staged_line s JOIN firsts USING (reference) WHERE s.row > firsts.first
        """,
    ),
    (
        "reference_unknown",
        "reference",
        "Nobody is enrolled in the program under this reference",
        """
        SELECT s.row, NULL::int FROM staged_line s LEFT JOIN payments_enrollment e
            ON e.program_id = %(program)s AND e.reference = s.reference
        WHERE s.reference IS NOT NULL AND e.id IS NULL
        """,
    ),
    (
        "amount_dust",
        "amount_sat",
        "The amount is below what the network relays to this person's kind of address",
        f"""
        SELECT s.row, NULL::int FROM staged_line s JOIN payments_enrollment e
            ON e.program_id = %(program)s AND e.reference = s.reference
        JOIN payments_destination d ON d.beneficiary_id = e.beneficiary_id AND d.is_current
        WHERE s.amount < CASE length(d.script_pubkey) {DUST} END
        """,  # noqa: S608 - numbers of our own
    ),
    (
        "person_in_cycle",
        "reference",
        "Another list pays this person in the same period for the same purpose",
        """
        SELECT s.row, NULL::int FROM staged_line s JOIN payments_enrollment e
            ON e.program_id = %(program)s AND e.reference = s.reference
        JOIN payments_payment p ON p.cycle_id = %(cycle)s AND p.beneficiary_id = e.beneficiary_id
            AND p.status <> 'cancelled'
        """,
    ),
]


def stage(
    source: intake.Source,
    read_amount: Callable[[Any], int],
    faults: intake.Faults,
    progress: intake.Progress | None,
    *,
    column: str,
) -> None:
    """COPY the list into a staging table, noting what is wrong with single values; ``column`` has the amounts."""
    open_stage()
    intake.stage(STAGE, STAGE_COLUMNS, stage_lines(source, read_amount, faults, column=column), progress)
    close_stage()


def open_stage() -> None:
    """Make the empty staging table, which only this database transaction sees."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.staged_line")
        cursor.execute(
            "CREATE TEMP TABLE staged_line (row int NOT NULL, reference text, amount bigint,"
            " is_bad boolean NOT NULL) ON COMMIT DROP"
        )


def close_stage() -> None:
    """Let the planner know how much was staged, and give its sorts and joins room."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE staged_line")
        cursor.execute("SET LOCAL work_mem = '64MB'")


def stage_lines(
    source: Iterable[tuple[int, Sequence[Any]]],
    read_amount: Callable[[Any], int],
    faults: intake.Faults,
    *,
    column: str,
) -> Iterator[str]:
    """Yield rows as COPY reads them into STAGE_COLUMNS, noting what is wrong with single values."""
    for row, values in source:
        if not values:
            yield f"{row}\t\\N\t\\N\tt\n"
            continue
        reference, found = person_rows.read_reference(row, values[0], faults), None
        try:
            found = read_amount(values[1])
        except amount.InvalidAmount as error:
            faults.add(row, column, error.details["rule"], error.message)
        if found == 0:
            faults.add(row, column, "amount_zero", "The amount is zero.")
        if reference and found:
            yield f"{row}\t{reference}\t{found}\tf\n"
        else:
            yield f"{row}\t{reference or _NULL}\t{found or _NULL}\tt\n"


_NULL = "\\N"


def check(program: Program, cycle: Cycle, faults: intake.Faults) -> None:
    """Note every line that clashes with another, with the registry, or with a list of the same cycle.

    What is dust is known of satoshis only: of money it shows when a release converts it.
    """
    rules = [rule for rule in _CHECKS if program.pays_sat or rule[0] != "amount_dust"]
    intake.check(STAGE, rules, {"program": program.pk, "cycle": cycle.pk}, faults)


def total() -> tuple[int, int]:
    """Return the sum of the amounts that could be read, in the program's unit, and how many they are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(amount), 0), count(amount) FROM staged_line")
        found, count = cursor.fetchone()
    return int(found), int(count)


def insert_payments(disbursement: Disbursement, faults: intake.Faults) -> None:
    """Write the lines; the unique constraint has the last word on who is in the cycle already."""
    with connection.cursor() as cursor:
        own = f"amount_{disbursement.program.unit}"
        cursor.execute(
            f"INSERT INTO payments_payment (disbursement_id, cycle_id, line, beneficiary_id, {own}, status)"  # noqa: S608
            " SELECT %s, %s, s.row, e.beneficiary_id, s.amount, %s FROM staged_line s"
            " JOIN payments_enrollment e ON e.program_id = %s AND e.reference = s.reference"
            " ORDER BY s.row ON CONFLICT DO NOTHING",
            [disbursement.pk, disbursement.cycle_id, PaymentStatus.PENDING, disbursement.program_id],
        )
        if cursor.rowcount == disbursement.payment_count:
            return
        missing = (
            "SELECT s.row, NULL::int FROM staged_line s WHERE NOT EXISTS (SELECT FROM payments_payment p"
            " WHERE p.disbursement_id = %(disbursement)s AND p.line = s.row)"
        )
    rule = ("person_in_cycle", "reference", "Another list pays this person in the same cycle", missing)
    intake.check(STAGE, [rule], {"disbursement": disbursement.pk}, faults)
