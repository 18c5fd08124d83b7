"""Checks staged people against each other and the registry, and enrolls them, set by set in the database."""

from typing import Any

from django.db import connection
from django.utils import timezone

from govpay.errors import InvalidInput
from payments.onchain import address as address_module
from payments.onchain import network
from payments.services import intake

STAGE = "staged_person"
STAGE_COLUMNS = (
    "row, reference, identity_hash, personal, script_pubkey, consent_text_id, consent_date, is_bad"
)
# Two officers' files may hold the same people: from the checks to the commit only one may write the registry.
_LOCK_KEY = 0x67_6F_76_70_61_79_01
# Shared by lists that are being submitted, alone with whoever erases a person: a line's person is known, or refused.
_ERASURE_KEY = 0x67_6F_76_70_61_79_02

# Each finds rows that break a rule: code, column, message, and a SELECT of the row and, where there is one, the
# row that came first. The parameter ``program`` is the program's id.
_TWICE: str = """
    WITH firsts AS (
        SELECT {0} AS value, min(row) AS first FROM staged_person WHERE {0} IS NOT NULL
        GROUP BY {0} HAVING count(*) > 1
    )
    SELECT s.row, firsts.first FROM staged_person s JOIN firsts ON firsts.value = s.{0} WHERE s.row > firsts.first
"""
_CHECKS: list[tuple[str, str, str, str]] = [
    ("reference_duplicate", "reference", "The reference is in the file twice", _TWICE.format("reference")),
    (
        "national_id_duplicate",
        "national_id",
        "The person is in the file twice",
        _TWICE.format("identity_hash"),
    ),
    (
        "destination_shared",
        "address",
        "Two people would be paid at this address",
        """
        WITH firsts AS (
            SELECT script_pubkey, min(row) AS first FROM staged_person WHERE script_pubkey IS NOT NULL
            GROUP BY script_pubkey HAVING count(*) > 1
        )
        SELECT s.row, firsts.first FROM staged_person s JOIN firsts USING (script_pubkey)
        JOIN staged_person f ON f.row = firsts.first
        WHERE s.row > firsts.first AND s.identity_hash IS DISTINCT FROM f.identity_hash
        """,
    ),
    (
        "reference_taken",
        "reference",
        "Somebody is enrolled in the program under this reference",
        """
        SELECT s.row, NULL::int FROM staged_person s JOIN payments_enrollment e
            ON e.program_id = %(program)s AND e.reference = s.reference
        """,
    ),
    (
        "person_enrolled",
        "national_id",
        "The person is enrolled in the program already",
        """
        SELECT s.row, NULL::int FROM staged_person s
        JOIN payments_beneficiary b ON b.identity_hash = s.identity_hash
        JOIN payments_enrollment e ON e.beneficiary_id = b.id AND e.program_id = %(program)s
        """,
    ),
    (
        "destination_shared",
        "address",
        "Somebody else is paid at this address",
        """
        SELECT s.row, NULL::int FROM staged_person s
        JOIN payments_destination d ON d.script_pubkey = s.script_pubkey AND d.is_current
        JOIN payments_beneficiary b ON b.id = d.beneficiary_id
        WHERE b.identity_hash IS DISTINCT FROM s.identity_hash
        """,
    ),
    (
        "destination_differs",
        "address",
        "Another program pays this person at another address; it has to be changed there first",
        """
        SELECT s.row, NULL::int FROM staged_person s
        JOIN payments_beneficiary b ON b.identity_hash = s.identity_hash
        JOIN payments_destination d ON d.beneficiary_id = b.id AND d.is_current
        WHERE d.script_pubkey <> s.script_pubkey AND NOT EXISTS (
            SELECT FROM payments_enrollment e WHERE e.beneficiary_id = b.id AND e.program_id = %(program)s)
        """,
    ),
    (
        "address_missing",
        "address",
        "There is no address",
        """
        SELECT s.row, NULL::int FROM staged_person s JOIN payments_program p ON p.id = %(program)s
        WHERE NOT s.is_bad AND s.script_pubkey IS NULL AND p.claim_term_days IS NULL
        """,
    ),
    (
        "address_is_ours",
        "address",
        "The address belongs to a funding wallet",
        """
        SELECT s.row, NULL::int FROM staged_person s
        JOIN payments_walletscript w ON w.script_pubkey = s.script_pubkey
        """,
    ),
    # Of who was erased and comes back: an old form does not undo what they said since.
    (
        "consent_taken_back",
        "consent_date",
        "The person took their consent back on this day or later",
        """
        SELECT s.row, NULL::int FROM staged_person s
        JOIN payments_beneficiary b ON b.identity_hash = s.identity_hash
        CROSS JOIN LATERAL (
            SELECT is_given, coalesce(said_date, (recorded_at AT TIME ZONE 'UTC')::date) AS said_date
            FROM payments_consent
            WHERE beneficiary_id = b.id AND program_id = %(program)s ORDER BY id DESC LIMIT 1) c
        WHERE NOT c.is_given AND s.consent_date <= c.said_date
        """,
    ),
]

# Every row was staged with an id for a new person, so that nothing has to be looked up for those who are new.
# The tables are filled in the order of the file: ids and references then grow at the right end of their indexes.
_ENROLL = [
    """
    UPDATE staged_person s SET beneficiary_id = b.id, is_known = true FROM payments_beneficiary b
    WHERE b.identity_hash = s.identity_hash AND NOT s.is_bad
    """,
    """
    INSERT INTO payments_beneficiary (id, identity_hash, personal, created_at)
    SELECT beneficiary_id, identity_hash, personal, %(now)s FROM staged_person WHERE NOT is_bad AND NOT is_known
    """,
    """
    UPDATE payments_beneficiary b SET personal = s.personal, erased_at = NULL FROM staged_person s
    WHERE s.is_known AND NOT s.is_bad AND b.id = s.beneficiary_id AND b.erased_at IS NOT NULL
    """,
    # Who is known and has no address was erased: a new one cools like one that was changed.
    """
    INSERT INTO payments_destination (beneficiary_id, script_pubkey, is_current, created_by_id, created_at, changed_at)
    SELECT beneficiary_id, script_pubkey, true, %(user)s, %(now)s, CASE WHEN is_known THEN %(now)s END
    FROM staged_person s
    WHERE NOT is_bad AND script_pubkey IS NOT NULL AND NOT (is_known AND EXISTS (
        SELECT FROM payments_destination d WHERE d.beneficiary_id = s.beneficiary_id AND d.is_current))
    """,
    """
    INSERT INTO payments_consent
        (program_id, beneficiary_id, text_id, is_given, note, said_date, recorded_by_id, recorded_at)
    SELECT %(program)s, beneficiary_id, consent_text_id, true, '', consent_date, %(user)s, %(now)s
    FROM staged_person WHERE NOT is_bad AND consent_text_id IS NOT NULL
    """,
    """
    INSERT INTO payments_enrollment (program_id, beneficiary_id, reference, created_by_id, created_at)
    SELECT %(program)s, beneficiary_id, reference, %(user)s, %(now)s FROM staged_person WHERE NOT is_bad
    """,
]


def lock() -> None:
    """Let one database transaction at a time write the registry; the lock ends with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])


def lock_known() -> None:
    """Let nobody be erased before this database transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [_ERASURE_KEY])


def lock_to_erase() -> None:
    """Let no list be submitted, and nobody write the registry, before this database transaction ends."""
    lock()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ERASURE_KEY])


def open_stage() -> None:
    """Make the empty staging table, which only this database transaction sees."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.staged_person")
        cursor.execute(
            "CREATE TEMP TABLE staged_person (row int NOT NULL, reference text, identity_hash bytea,"
            " personal bytea, script_pubkey bytea, consent_text_id bigint, consent_date date, is_bad boolean NOT NULL,"
            " is_known boolean NOT NULL DEFAULT false,"
            " beneficiary_id bigint NOT NULL DEFAULT nextval('payments_beneficiary_id_seq')) ON COMMIT DROP"
        )


def close_stage() -> None:
    """Let the planner know how much was staged, and give its sorts and joins room."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE staged_person")
        cursor.execute("SET LOCAL work_mem = '64MB'")


def check(program_id: int, faults: intake.Faults) -> None:
    """Take the registry's lock, note every staged row that clashes with another or with the registry, mark it bad."""
    lock()
    intake.check(STAGE, _CHECKS, {"program": program_id}, faults)


def check_script(script_pubkey: bytes, beneficiary_id: int, faults: intake.Faults) -> None:
    """Note when a script is one of our own, or where somebody else is paid."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM payments_destination WHERE script_pubkey = %s AND is_current"
            " AND beneficiary_id <> %s), EXISTS (SELECT FROM payments_walletscript WHERE script_pubkey = %s)",
            [script_pubkey, beneficiary_id, script_pubkey],
        )
        is_shared, is_ours = cursor.fetchone()
    if is_shared:
        faults.add(0, "address", "destination_shared", "Somebody else is paid at this address.")
    if is_ours:
        faults.add(0, "address", "address_is_ours", "The address belongs to a funding wallet.")


def read_address(text: str, beneficiary_id: int) -> bytes:
    """Return the script of an address that a person might be paid at.

    Raises InvalidInput: it is bad, one of our own, or where somebody else is paid.
    """
    faults = intake.Faults()
    try:
        script_pubkey = address_module.script_from_address(text, network.current())
    except address_module.InvalidAddress as error:
        faults.add(0, "address", error.details["rule"], error.message)
    else:
        check_script(script_pubkey, beneficiary_id, faults)
    if faults.kept:
        raise InvalidInput(faults.kept[0].message, errors=faults.as_errors())
    return script_pubkey


def enroll_staged(program_id: int, user_id: int) -> int:
    """Enroll every staged row that is not bad, and return how many.

    A person whom another program enrolled is the same person: no second one is made, and personal data stays. Who was
    erased is known again. What a row says of their consent is the newest word.
    """
    values: dict[str, Any] = {"program": program_id, "user": user_id, "now": timezone.now()}
    with connection.cursor() as cursor:
        for statement in _ENROLL:
            cursor.execute(statement, values)
            count = cursor.rowcount
    return int(count)
