"""The sealer: gives entries their places in the tree in the order of writing, without a gap and without a late arrival.

An entry is taken once its database transaction, and every one that began before the oldest still running, has ended:
``insert_xid < pg_snapshot_xmin``. No entry can appear among those then, so that an order by (``insert_xid``, ``id``) is
final. A higher id would prove nothing: ids are given before the commit, and a slow writer would be skipped for ever.

Once no entry is left, reconciliation runs get theirs. Nobody who posts waits for it: it reads entries and runs, and writes
tables of its own.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction

from ledger.models import Entry, ReconciliationRun, Seal
from ledger.seals import canonical, leaf, store, tree
from ledger.seals.canonical import SealedEntry, SealedLine, SealedRun

FailPoint = Callable[[str], None]

# One sealer at a time. The lock ends with the database transaction, so that a dead sealer holds nothing.
SEALER_LOCK = 0x676F7374
# Entries of a seal, and of them at a time in memory.
MOST = 5_000
# An entry may have a line for each of 500 people, so that few of them fill the memory.
AT_ONCE = 20

LINES_OF = """
SELECT json_agg(json_build_array(a.code, json_build_array(a.entity, a.function, a.object, a.fund, a.project), a.currency,
    a.scale, p.layer, p.amount::text, p.reference::text) ORDER BY p.id) AS lines
FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id WHERE p.entry_id =
"""
# Unsealed entries in order of writing, each with its lines.
LINES = f"""
SELECT c.*, l.lines FROM chosen c CROSS JOIN LATERAL (
    {LINES_OF} c.id
) l ORDER BY c.insert_xid, c.id
"""  # noqa: S608 - all parts are constants.
COLUMNS = """
e.id, e.kind, e.scope, e.idempotency_key, e.input_hash, e.effective_at, e.original_at, e.recorded_at, e.memo,
e.source_ref, e.actor, e.approver, e.block_hash, e.block_height, e.reversal_of_id
"""
UNSEALED = "NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.entry_id = e.id)"
# Materialized: lines are read for the chosen entries only, whatever the planner believes of their number.
NEXT = f"""
WITH chosen AS MATERIALIZED (
    SELECT {COLUMNS}, e.insert_xid, pg_snapshot_xmin(pg_current_snapshot()) AS xmin FROM ledger_entry e
    WHERE (e.insert_xid, e.id) > (%(xid)s::text::xid8, %(id)s::bigint)
    AND e.insert_xid < pg_snapshot_xmin(pg_current_snapshot()) AND {UNSEALED}
    ORDER BY e.insert_xid, e.id LIMIT %(most)s
) {LINES}
"""  # noqa: S608 - all parts are constants.
# After a restore into another cluster the xids of old entries say nothing: all that are not running here count.
RESTORED = f"""
WITH chosen AS MATERIALIZED (
    SELECT {COLUMNS}, e.insert_xid, pg_snapshot_xmin(pg_current_snapshot()) AS xmin FROM ledger_entry e
    WHERE (e.insert_xid < pg_snapshot_xmin(pg_current_snapshot())
        OR e.insert_xid >= pg_snapshot_xmax(pg_current_snapshot())) AND {UNSEALED}
    ORDER BY e.insert_xid, e.id LIMIT %(most)s
) {LINES}
"""  # noqa: S608 - all parts are constants.
RUN_COLUMNS = """
r.id, r.scope, r.status, r.reason, r.is_full, r.previous_id, r.block_hash, r.block_height, r.books_mark, r.counts::text,
r.totals::text, r.break_count, r.explained_count, r.digest, r.started_at, r.finished_at
"""
# Runs are few: those without a leaf are looked for whole, whatever cluster counted their transactions.
RUNS = f"""
SELECT {RUN_COLUMNS} FROM ledger_reconciliationrun r
WHERE (r.insert_xid < pg_snapshot_xmin(pg_current_snapshot()) OR r.insert_xid >= pg_snapshot_xmax(pg_current_snapshot()))
    AND NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.run_id = r.id)
ORDER BY r.id LIMIT %(most)s
"""  # noqa: S608 - all parts are constants.
CLUSTER = "SELECT system_identifier FROM pg_control_system()"
ADD = """
WITH added AS MATERIALIZED (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[], %s::bytea[])
        AS d(index, of, hash, salt, payload)
), leaves AS (
    INSERT INTO ledger_leaf (index, {}, hash) SELECT index, of, hash FROM added
), salts AS (
    INSERT INTO ledger_leafsalt (leaf_id, salt) SELECT index, salt FROM added
)
INSERT INTO ledger_leafpayload (leaf_id, payload) SELECT index, payload FROM added
"""
ADD_ENTRIES, ADD_RUNS = ADD.format("entry_id"), ADD.format("run_id")
# Where a row has the entry's input hash, and what follows the entry.
DIGEST, XID, XMIN = 4, 15, 16


def ignore(point: str) -> None:
    """Pass a kill point."""


def seal(*, failpoint: FailPoint = ignore) -> list[Seal]:
    """Seal all entries that are final now, and return the seals; none when another sealer is at it."""
    made = []
    while (found := seal_next(failpoint=failpoint)) is not None:
        made.append(found)
    return made


def seal_next(*, failpoint: FailPoint = ignore) -> Seal | None:
    """Seal the next entries in one database transaction; None when there are none, or another sealer is at it."""
    with transaction.atomic(using=store.alias()):
        if not _is_only_one():
            return None
        last = newest()
        cluster = _cluster()
        start = last.size if last else 0
        is_home = last is not None and last.cluster == cluster
        values = {"most": MOST}
        if last is not None and is_home:
            values |= {"xid": last.horizon_xid, "id": last.horizon_id}
        size, end = _add_leaves(NEXT if is_home else RESTORED, values, start)
        is_last = size - start < MOST
        if is_last:
            size = _add_runs(size, MOST - (size - start))
        if size == start:
            return None
        store.grow(start, size)
        # Without an entry nothing moves that says which entries are sealed.
        (xid, entry_id), xmin = end or ((0, 0), last.horizon_xid if last is not None and is_home else 0)
        made = Seal(start=start, size=size, root=tree.head(store.read, size), cluster=cluster)
        if is_last:
            # Whatever is older than the oldest that runs is sealed, and no entry has the id 0.
            made.horizon_xid, made.horizon_id = xmin, 0
        elif is_home:
            made.horizon_xid, made.horizon_id = xid, entry_id
        else:
            # The next one looks at everything again, until all of the old cluster is sealed.
            made.horizon_xid, made.horizon_id = 0, 0
            made.cluster = last.cluster if last else 0
        failpoint("K18")
        made.save(force_insert=True, using=store.alias())
    return made


def newest() -> Seal | None:
    """Return the seal over all leaves."""
    return Seal.objects.using(store.alias()).order_by("-size").first()


def has_work() -> bool:
    """Tell whether entries or runs wait for the sealer, perhaps only for an older writer to end."""
    last = newest()
    waiting = Entry.objects.using(store.alias())
    if last is not None:
        waiting = waiting.filter(insert_xid__gte=last.horizon_xid)
    runs = ReconciliationRun.objects.using(store.alias()).filter(leaf=None)
    return waiting.filter(leaf=None).exists() or runs.exists()


def read_entry(row: Sequence[Any]) -> SealedEntry:
    """Return an entry from a row of COLUMNS, ..., lines."""
    lines = [
        SealedLine._make([*line[:-2], int(line[-2]), None if line[-1] is None else int(line[-1])])
        for line in row[-1] or ()
    ]
    return SealedEntry._make([*row[:DIGEST], bytes(row[DIGEST]), *row[DIGEST + 1 : XID], lines])


def read_run(row: Sequence[Any]) -> SealedRun:
    """Return a run from a row of RUN_COLUMNS."""
    run = SealedRun._make(row)
    counts, totals = (json.loads(str(text)) for text in (run.counts, run.totals))
    return run._replace(counts=counts, totals=totals, digest=bytes(run.digest))


def _is_only_one() -> bool:
    with store.database().cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEALER_LOCK])
        return bool(cursor.fetchone()[0])


def _cluster() -> int:
    with store.database().cursor() as cursor:
        cursor.execute(CLUSTER)
        return int(cursor.fetchone()[0])


def _add_leaves(
    query: str, values: dict[str, Any], start: int
) -> tuple[int, tuple[tuple[int, int], int] | None]:
    """Add a leaf an entry; return the new size, and the last entry's (xid, id) with the snapshot's xmin."""
    size, end = start, None
    # On the server's side: what is in memory does not grow with the seal.
    with store.database().chunked_cursor() as rows, store.database().cursor() as writer:
        rows.execute(query, values)
        while chunk := rows.fetchmany(AT_ONCE):
            payloads = [canonical.encode(read_entry(row)) for row in chunk]
            _add(writer, ADD_ENTRIES, size, [row[0] for row in chunk], payloads)
            size += len(chunk)
            end = (int(chunk[-1][XID]), chunk[-1][0]), int(chunk[-1][XMIN])
    return size, end


def _add_runs(start: int, most: int) -> int:
    """Add a leaf a run; return the new size."""
    with store.database().cursor() as cursor:
        cursor.execute(RUNS, {"most": most})
        runs = [read_run(row) for row in cursor.fetchall()]
        if runs:
            _add(
                cursor, ADD_RUNS, start, [run.id for run in runs], [canonical.encode_run(run) for run in runs]
            )
    return start + len(runs)


def _add(cursor: Any, statement: str, start: int, ids: list[int], payloads: list[bytes]) -> None:
    salts = [leaf.new_salt() for _ in payloads]
    hashes = [leaf.digest(salt, payload) for salt, payload in zip(salts, payloads, strict=True)]
    cursor.execute(statement, [list(range(start, start + len(ids))), ids, hashes, salts, payloads])
