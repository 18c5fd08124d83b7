"""Records what bitcoin institutions acquired and disposed of: whole files or nothing, and never more out than there is."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from govpay.errors import Forbidden, InvalidInput
from ledger import arrays, audit
from ledger.law import tax
from ledger.models import LotMovement
from ledger.models.lot import MOST_MINOR, MOST_SAT, PERSON, REFERENCE, SCOPE
from ledger.treasury import trust
from ledger.treasury.lots import LotsShort, Movement

RIGHT = "ledger.add_lotmovement"
MOST_ROWS = 200_000
MOST_ERRORS = 100
LOTS_OF_A_TRUST = "{} is a trust: its lots go with its books, by what its board decides and its people elect."
# The day of the first block.
FIRST = datetime(2009, 1, 3, tzinfo=UTC)
# A column an array, in the order of a Movement's fields; returns the number of the first row.
INSERT = """
WITH made AS (
    INSERT INTO ledger_lotmovement (effective_at, kind, amount_sat, value_minor, reference, person, jurisdiction, scope,
        currency, scale, recorded_by_id)
    SELECT m.at, CASE WHEN m.is_acquisition THEN 'acquisition' ELSE 'disposal' END, m.amount_sat, m.value_minor,
        m.reference, m.person, m.jurisdiction, %s::text, %s::text, %s::smallint, %s::integer
    FROM unnest(%s::timestamptz[], %s::bool[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])
        WITH ORDINALITY m (at, is_acquisition, amount_sat, value_minor, reference, person, jurisdiction, place)
    ORDER BY m.place RETURNING id
) SELECT min(id) FROM made
"""
# One writer of an institution at a time, so that two disposals do not take the same lot.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('lots:' || %s, 0))"
SHORT = """
SELECT effective_at, amount_sat, value_minor, reference, -held FROM (
    SELECT m.*, sum(CASE kind WHEN 'acquisition' THEN amount_sat ELSE -amount_sat END)
        OVER (ORDER BY effective_at, id) AS held
    FROM ledger_lotmovement m WHERE scope = %s AND currency = %s AND scale = %s
) m WHERE held < 0 ORDER BY effective_at, id LIMIT 1
"""
# Steps from scope to scope along the index, however many rows each has.
INSTITUTIONS = """
WITH RECURSIVE found AS (
    SELECT min(scope) AS scope FROM ledger_lotmovement
    UNION ALL
    SELECT (SELECT min(scope) FROM ledger_lotmovement WHERE scope > found.scope) FROM found WHERE found.scope IS NOT NULL
) SELECT scope FROM found WHERE scope IS NOT NULL
"""
TAKEN = "SELECT reference FROM ledger_lotmovement WHERE scope = %s AND reference = ANY(%s)"
Error = dict[str, Any]


def record(*, by: User, scope: str, currency: str, scale: int, movements: Sequence[Movement]) -> int:
    """Record movements of an institution in minor units of ``10 ** -scale`` of a currency; return how many.

    Raises Forbidden without the permission ``ledger.add_lotmovement``, InvalidInput for a trust, whose lots go with its
    books, and as `enter`.
    """
    if not by.has_perm(RIGHT):
        raise Forbidden(f"Recording what was acquired and disposed of needs the permission {RIGHT}.")
    if trust.has_books(scope):
        raise InvalidInput.of("scope", "lots_of_a_trust", LOTS_OF_A_TRUST.format(scope))
    return enter(by=by, scope=scope, currency=currency, scale=scale, movements=movements)


@transaction.atomic
def enter(*, by: User, scope: str, currency: str, scale: int, movements: Sequence[Movement]) -> int:
    """Record what was done on the word of others, who were asked for it in another way: a board, three officers of a list.

    At the same moment they count in this order. Raises InvalidInput with row, column and rule of each error, and
    LotsShort for a disposal of more than there is then: then nothing is recorded.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [scope])
    errors = [*_of_the_whole(scope, currency, scale, movements), *_of_rows(scope, movements, timezone.now())]
    if errors:
        raise InvalidInput(f"{errors[0]['message']}", errors=errors[:MOST_ERRORS])
    columns = zip(*movements, strict=True)
    with arrays.cursor(connection) as cursor:
        cursor.execute(INSERT, [scope, currency, scale, by.pk, *map(list, columns)])
        first_id = cursor.fetchone()[0]
    _require_lots(scope, currency, scale)
    audit.record("lots.record", LotMovement.objects.get(pk=first_id), by=by, scope=scope)
    return len(movements)


def institutions() -> list[str]:
    """Return the scopes that have lots, in order."""
    with connection.cursor() as cursor:
        cursor.execute(INSTITUTIONS)
        return [scope for (scope,) in cursor.fetchall()]


def _require_lots(scope: str, currency: str, scale: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SHORT, [scope, currency, scale])
        row = cursor.fetchone()
    if row is not None:
        at, amount_sat, value_minor, reference, short_sat = row
        raise LotsShort.of(Movement(at, False, amount_sat, value_minor, reference), int(short_sat))


def _of_the_whole(scope: str, currency: str, scale: int, movements: Sequence[Movement]) -> Iterator[Error]:
    if not re.fullmatch(SCOPE.strip("^$"), scope):
        yield _error(0, "scope", "invalid", "Name the institution by its scope, such as trust:1.")
    if not re.fullmatch("[A-Z]{3}", currency):
        yield _error(0, "currency", "invalid", "Name the currency by its three capitals (ISO 4217).")
    if not 0 <= scale <= 4:
        yield _error(0, "scale", "invalid", "A minor unit has 0 to 4 digits.")
    elif LotMovement.objects.filter(scope=scope, currency=currency).exclude(scale=scale).exists():
        yield _error(0, "scale", "scale_differs", f"{scope} has {currency} of another scale already.")
    if not 0 < len(movements) <= MOST_ROWS:
        yield _error(0, "", "rows_out_of_range", f"Record 1 to {MOST_ROWS} rows at once.")


def _of_rows(scope: str, movements: Sequence[Movement], now: datetime) -> Iterator[Error]:
    times = Counter(each.reference for each in movements)
    with connection.cursor() as cursor:
        cursor.execute(TAKEN, [scope, list(times)])
        taken = {reference for (reference,) in cursor.fetchall()}
    for row, each in enumerate(movements, start=1):
        if each.at < FIRST:
            yield _error(
                row, "effective_at", "date_too_early", f"There is no bitcoin before {FIRST:%Y-%m-%d}."
            )
        elif each.at > now:
            yield _error(row, "effective_at", "date_to_come", "It has not happened yet.")
        if not 1 <= each.amount_sat <= MOST_SAT:
            yield _error(row, "amount_sat", "out_of_range", f"Give 1 to {MOST_SAT} satoshis.")
        if not 0 <= each.value_minor <= MOST_MINOR:
            yield _error(row, "value_minor", "out_of_range", f"Give 0 to {MOST_MINOR} minor units.")
        if not re.fullmatch(REFERENCE.strip("^$"), each.reference):
            yield _error(row, "reference", "invalid", "Give up to 60 letters, digits and : . _ / -")
        elif times[each.reference] > 1 or each.reference in taken:
            yield _error(row, "reference", "reference_taken", f"{each.reference} is recorded once.")
        if not re.fullmatch(PERSON.strip("^$"), each.person):
            yield _error(row, "person", "invalid", "Name a person by a number, such as enrollment:12.")
        if each.is_acquisition and (each.person or each.jurisdiction):
            yield _error(row, "person", "out_of_place", "Only a disposal names a person or a jurisdiction.")
        if not each.is_acquisition and each.jurisdiction not in tax.TABLES:
            message = f"Name who taxes it: {', '.join(tax.TABLES)}."
            yield _error(row, "jurisdiction", "unknown_jurisdiction", message)


def _error(row: int, column: str, code: str, message: str) -> Error:
    return {"row": row, "column": column, "code": code, "message": message}
