"""Gives events their numbers: in each program one after the other, without a gap, and never to one that is not committed.

Whoever changes a status writes the event without a number, and waits for nobody. One numberer at a time then takes what it
sees, which is committed, in the order of writing. A change that commits late gets a later number than those that overtook
it, so that no reader who goes on from the last number misses it; a number whose database transaction fails is given again.
"""

from django.db import connection, transaction

from payments.models import Event

NUMBERING_LOCK = 0x676F7665
AT_ONCE = 10_000
NUMBER = """
WITH waiting AS (
    SELECT change_id, program_id FROM payments_event WHERE number IS NULL ORDER BY change_id LIMIT %(most)s
), last AS (
    SELECT p.program_id,
        (SELECT coalesce(max(e.number), 0) FROM payments_event e WHERE e.program_id = p.program_id) AS number
    FROM (SELECT DISTINCT program_id FROM waiting) p
), given AS (
    SELECT w.change_id, l.number + row_number() OVER (PARTITION BY w.program_id ORDER BY w.change_id) AS number
    FROM waiting w JOIN last l ON l.program_id = w.program_id
)
UPDATE payments_event e SET number = g.number FROM given g WHERE e.change_id = g.change_id
"""


def number() -> int:
    """Number all events that wait, and return how many; those that another numberer is at are left to it."""
    given = 0
    while Event.objects.filter(number=None).exists():
        found = _number_some()
        given += found
        if found < AT_ONCE:
            break
    return given


@transaction.atomic
def _number_some() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [NUMBERING_LOCK])
        if cursor.fetchone() != (True,):
            return 0
        # A statement of its own, whose snapshot sees what the numberer before has committed.
        cursor.execute(NUMBER, {"most": AT_ONCE})
        return int(cursor.rowcount)
