"""What a pack is of, in temporary tables that go with the transaction: whatever its length, no list of ids is in memory."""

from django.db import connection
from django.db.models.expressions import RawSQL

from ledger.exports import Selection
from ledger.exports.source import CHOSEN

CREATE = """
CREATE TEMP TABLE pack_entry (leaf bigint PRIMARY KEY, scope text, source_ref text) ON COMMIT DROP;
CREATE TEMP TABLE pack_scope (scope text PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE pack_source (noun text, id bigint, PRIMARY KEY (noun, id)) ON COMMIT DROP;
CREATE TEMP TABLE pack_leaf (index bigint PRIMARY KEY) ON COMMIT DROP;
"""
ALL = ("pack_entry", "pack_scope", "pack_source", "pack_leaf")
# A transaction around several packs reuses the names.
DROP = "DROP TABLE IF EXISTS " + ", ".join(f"pg_temp.{table}" for table in ALL)
SINCE = "AND (%(since)s::timestamptz IS NULL OR e.effective_at >= %(since)s)"
ENTRIES = f"""
INSERT INTO pack_entry SELECT f.index, e.scope, e.source_ref
FROM ledger_entry e JOIN ledger_leaf f ON f.entry_id = e.id AND f.index < %(size)s WHERE {CHOSEN} {SINCE}
"""  # noqa: S608 - all parts are constants.
# Those of the entries; where entries were not asked for by what they are about, also those that have runs and no entries.
SCOPES = """
INSERT INTO pack_scope SELECT scope FROM pack_entry
UNION SELECT scope FROM ledger_reconciliationrun
    WHERE %(refs)s::text[] IS NULL AND (%(scope)s::text IS NULL OR scope = %(scope)s)
"""
SOURCES = """
INSERT INTO pack_source SELECT DISTINCT split_part(source_ref, ':', 1), split_part(source_ref, ':', 2)::bigint
FROM pack_entry WHERE source_ref ~ '^[a-z]+:[1-9][0-9]{0,17}$'
"""
# Besides the entries, the reconciliation runs of the scopes, all that was done with periods, and audit events: of what the
# entries are about, or in the time and the scopes, and those of no scope.
LEAVES = """
INSERT INTO pack_leaf SELECT leaf FROM pack_entry
UNION ALL SELECT f.index FROM ledger_leaf f JOIN ledger_reconciliationrun r ON r.id = f.run_id
    JOIN pack_scope s ON s.scope = r.scope
    WHERE f.index < %(size)s AND (%(since)s::timestamptz IS NULL OR r.finished_at >= %(since)s)
    AND (%(before)s::timestamptz IS NULL OR r.finished_at < %(before)s)
UNION ALL SELECT f.index FROM ledger_leaf f WHERE f.period_change_id IS NOT NULL AND f.index < %(size)s
UNION ALL SELECT f.index FROM ledger_leaf f JOIN ledger_auditevent v ON v.id = f.event_id
    WHERE f.event_id IS NOT NULL AND f.index < %(size)s
    AND (%(refs)s::text[] IS NULL OR v.subject_kind || ':' || v.subject_id = ANY(%(refs)s))
    AND (%(scope)s::text IS NULL OR v.scope IN ('', %(scope)s))
    AND (%(since)s::timestamptz IS NULL OR v.recorded_at >= %(since)s)
    AND (%(before)s::timestamptz IS NULL OR v.recorded_at < %(before)s)
"""
YOUNGER = f"""
SELECT count(*) FROM ledger_entry e WHERE {CHOSEN} {SINCE}
AND NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.entry_id = e.id AND f.index < %(size)s)
"""  # noqa: S608 - all parts are constants.


def choose(selection: Selection) -> tuple[int, int]:
    """Fill the tables inside a transaction; return how many entries are in the pack, and how many are younger."""
    with connection.cursor() as cursor:
        cursor.execute(DROP)
        cursor.execute(CREATE)
        cursor.execute(ENTRIES, selection.values())
        sealed = cursor.rowcount
        cursor.execute(SCOPES, selection.values())
        cursor.execute(SOURCES)
        cursor.execute(LEAVES, selection.values())
        # The planner knows nothing of a table that was just filled.
        cursor.execute("ANALYZE " + ", ".join(ALL))
        cursor.execute(YOUNGER, selection.values())
        return sealed, cursor.fetchone()[0]


def scopes() -> RawSQL:
    """Return the scopes whose runs are in the pack, as a subquery."""
    return RawSQL("SELECT scope FROM pack_scope", [])


def numbers(noun: str) -> RawSQL:
    """Return the numbers of what the entries are about, such as the 12 of ``payout:12``, as a subquery."""
    return RawSQL("SELECT id FROM pack_source WHERE noun = %s", [noun])
