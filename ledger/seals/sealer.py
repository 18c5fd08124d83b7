"""The sealer: gives entries their places in the tree in the order of writing, without a gap and without a late arrival.

An entry is taken once its database transaction, and every one that began before the oldest still running, has ended:
``insert_xid < pg_snapshot_xmin``. No entry can appear among those then, so that an order by (``insert_xid``, ``id``) is
final. A higher id would prove nothing: ids are given before the commit, and a slow writer would be skipped for ever.

Once no entry is left, reconciliation runs and what was done with periods get theirs. Nobody who posts waits for it: it
reads the books, and writes tables of its own.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db import transaction

from ledger import arrays
from ledger.models import Entry, PeriodChange, ReconciliationRun, Seal
from ledger.seals import canonical, leaf, store, tree
from ledger.seals.canonical import SealedChange, SealedEntry, SealedLine, SealedRun

FailPoint = Callable[[str], None]

# One sealer at a time. The lock ends with the database transaction, so that a dead sealer holds nothing.
SEALER_LOCK = 0x676F7374
# Entries of a seal, and lines: an entry may have one for each of 500 people.
MOST, MOST_LINES = 5_000, 100_000
# Entries, and lines, that are in memory at a time.
AT_ONCE, LINES_AT_ONCE = 500, 10_000

COLUMNS = """
e.id, e.kind, e.scope, e.idempotency_key, e.input_hash, e.effective_at, e.original_at, e.recorded_at, e.memo,
e.source_ref, e.actor, e.approver, e.block_hash, e.block_height, e.reversal_of_id
"""
# The planner shall not begin with all accounts, which it does where nobody has counted the lines yet.
LINES_OF = """
SELECT json_agg(json_build_array(a.code, json_build_array(a.entity, a.function, a.object, a.fund, a.project), a.currency,
    a.scale, p.layer, p.amount::text, p.reference::text) ORDER BY p.id) AS lines
FROM ledger_posting p CROSS JOIN LATERAL (SELECT * FROM ledger_account WHERE id = p.account_id OFFSET 0) a
WHERE p.entry_id =
"""
ENTRIES = f"SELECT {COLUMNS}, ({LINES_OF} e.id) FROM ledger_entry e WHERE e.id = ANY(%s)"  # noqa: S608 - constants.
UNSEALED = "NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.entry_id = e.id)"
CHOOSE = f"""
SELECT e.id, e.insert_xid, pg_snapshot_xmin(pg_current_snapshot()),
    (SELECT count(*) FROM ledger_posting p WHERE p.entry_id = e.id)
FROM ledger_entry e WHERE {{final}} AND {UNSEALED} ORDER BY e.insert_xid, e.id LIMIT %(most)s
"""  # noqa: S608 - all parts are constants.
NEXT = CHOOSE.format(
    final="(e.insert_xid, e.id) > (%(xid)s::text::xid8, %(id)s::bigint)"
    " AND e.insert_xid < pg_snapshot_xmin(pg_current_snapshot())"
)
# After a restore into another cluster the xids of old entries say nothing: all that are not running here count.
RESTORED = CHOOSE.format(
    final="(e.insert_xid < pg_snapshot_xmin(pg_current_snapshot())"
    " OR e.insert_xid >= pg_snapshot_xmax(pg_current_snapshot()))"
)
# Entries are chosen in the order of an index until a seal is full. The planner, which believes that nearly all are sealed,
# would read and sort all of them for each seal.
DETOURS = dict.fromkeys(
    ("enable_sort", "enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"), "off"
) | {"max_parallel_workers_per_gather": "0"}
IN_ORDER = "; ".join(f"SET LOCAL {name} = {value}" for name, value in DETOURS.items())
AS_EVER = "; ".join(f"SET LOCAL {name} TO DEFAULT" for name in DETOURS)
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
CHANGE_COLUMNS = """
g.id, q.name, q.ends_at, g.status, g.actor, g.note, g.through_entry_id, g.digest, g.recorded_at
"""
# What is seen is committed, and what is seen later gets a later leaf.
CHANGES = f"""
SELECT {CHANGE_COLUMNS} FROM ledger_periodchange g JOIN ledger_period q ON q.id = g.period_id
WHERE NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.period_change_id = g.id) ORDER BY g.id LIMIT %(most)s
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
ADD_ENTRIES, ADD_RUNS, ADD_CHANGES = (ADD.format(name) for name in ("entry_id", "run_id", "period_change_id"))
# Where a row has the entry's input hash, and what follows the entry.
DIGEST, XID = 4, 15


def ignore(point: str) -> None:
    """Pass a kill point."""


def seal(*, failpoint: FailPoint = ignore, at_most: int | None = None) -> list[Seal]:
    """Seal all entries that are final now, or so many seals of them, and return the seals.

    None when nothing is to be sealed, or another sealer is at it.
    """
    made: list[Seal] = []
    while len(made) != at_most and (found := seal_next(failpoint=failpoint)) is not None:
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
        after = {"xid": last.horizon_xid, "id": last.horizon_id} if last and is_home else {}
        chosen, is_all = _choose(NEXT if is_home else RESTORED, after)
        size = start
        for part in _in_parts(chosen):
            _add_entries(part, size)
            size += len(part)
        if is_all:
            size = _add_runs(size, MOST - len(chosen))
            size = _add_changes(size, MOST)
        if size == start:
            return None
        store.grow(start, size)
        made = Seal(start=start, size=size, root=tree.head(store.read, size), cluster=cluster)
        if is_all:
            # Whatever is older than the oldest that runs is sealed, and no entry has the id 0. Without an entry nothing
            # moves that says which entries are sealed.
            stays = last.horizon_xid if last is not None and is_home else 0
            made.horizon_xid, made.horizon_id = chosen[-1].xmin if chosen else stays, 0
        elif is_home:
            made.horizon_xid, made.horizon_id = chosen[-1].xid, chosen[-1].id
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
    """Tell whether entries, runs or changes of periods wait for the sealer, perhaps only for an older writer to end."""
    last = newest()
    waiting = Entry.objects.using(store.alias())
    if last is not None:
        waiting = waiting.filter(insert_xid__gte=last.horizon_xid)
    runs = ReconciliationRun.objects.using(store.alias()).filter(leaf=None)
    changes = PeriodChange.objects.using(store.alias()).filter(leaf=None)
    return waiting.filter(leaf=None).exists() or runs.exists() or changes.exists()


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


def read_change(row: Sequence[Any]) -> SealedChange:
    """Return a period's change from a row of CHANGE_COLUMNS."""
    change = SealedChange._make(row)
    return change._replace(digest=None if change.digest is None else bytes(change.digest))


def _is_only_one() -> bool:
    with store.database().cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEALER_LOCK])
        return bool(cursor.fetchone()[0])


def _cluster() -> int:
    with store.database().cursor() as cursor:
        cursor.execute(CLUSTER)
        return int(cursor.fetchone()[0])


class _Chosen(NamedTuple):
    """An entry whose turn it is, the snapshot in which it is final, and how many lines it has."""

    id: int
    xid: int
    xmin: int
    lines: int


def _choose(query: str, values: dict[str, Any]) -> tuple[list[_Chosen], bool]:
    """Return the entries of the next seal in order, and whether they are all that are final."""
    with store.database().cursor() as cursor:
        cursor.execute(IN_ORDER)
        cursor.execute(query, values | {"most": MOST})
        rows = cursor.fetchall()
        cursor.execute(AS_EVER)
    chosen: list[_Chosen] = []
    lines = 0
    for pk, xid, xmin, count in rows:
        lines += count
        if chosen and lines > MOST_LINES:
            return chosen, False
        chosen.append(_Chosen(pk, int(xid), int(xmin), count))
    return chosen, len(chosen) < MOST


def _in_parts(chosen: list[_Chosen]) -> Iterator[list[int]]:
    """Yield the entries' ids in order, so many at a time as may be in memory."""
    part: list[int] = []
    lines = 0
    for entry in chosen:
        if part and (len(part) == AT_ONCE or lines + entry.lines > LINES_AT_ONCE):
            yield part
            part, lines = [], 0
        part.append(entry.id)
        lines += entry.lines
    if part:
        yield part


def _add_entries(entry_ids: list[int], start: int) -> None:
    """Add a leaf an entry."""
    with store.database().cursor() as cursor:
        cursor.execute(ENTRIES, [entry_ids])
        found = {row[0]: canonical.encode(read_entry(row)) for row in cursor.fetchall()}
    _add(ADD_ENTRIES, start, entry_ids, [found[pk] for pk in entry_ids])


def _add_runs(start: int, most: int) -> int:
    """Add a leaf a run; return the new size."""
    with store.database().cursor() as cursor:
        cursor.execute(RUNS, {"most": most})
        runs = [read_run(row) for row in cursor.fetchall()]
    if runs:
        _add(ADD_RUNS, start, [run.id for run in runs], [canonical.encode_run(run) for run in runs])
    return start + len(runs)


def _add_changes(start: int, most: int) -> int:
    """Add a leaf a period's change; return the new size."""
    with store.database().cursor() as cursor:
        cursor.execute(CHANGES, {"most": most})
        changes = [read_change(row) for row in cursor.fetchall()]
    if changes:
        payloads = [canonical.encode_change(change) for change in changes]
        _add(ADD_CHANGES, start, [change.id for change in changes], payloads)
    return start + len(changes)


def _add(statement: str, start: int, ids: list[int], payloads: list[bytes]) -> None:
    salts = [leaf.new_salt() for _ in payloads]
    hashes = [leaf.digest(salt, payload) for salt, payload in zip(salts, payloads, strict=True)]
    with arrays.cursor(store.database()) as cursor:
        cursor.execute(statement, [list(range(start, start + len(ids))), ids, hashes, salts, payloads])
