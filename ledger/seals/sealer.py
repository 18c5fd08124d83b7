"""The sealer: gives entries their places in the tree in the order of writing, without a gap and without a late arrival.

An entry is taken once its database transaction, and every one that began before the oldest still running, has ended:
``insert_xid < pg_snapshot_xmin``. No entry can appear among those then, so that an order by (``insert_xid``, ``id``) is
final. A higher id would prove nothing: ids are given before the commit, and a slow writer would be skipped for ever.

Once no entry is left, reconciliation runs, what was done with periods and audit events get theirs, the last in the order of
writing too. Nobody who posts waits for it: it reads the books, and writes tables of its own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import transaction
from psycopg.types.datetime import TimestamptzLoader

from ledger import arrays
from ledger.models import AuditEvent, Entry, PeriodChange, ReconciliationRun, Seal
from ledger.seals import canonical, leaf, rows, store, tree

FailPoint = Callable[[str], None]

# One sealer at a time. The lock ends with the database transaction, so that a dead sealer holds nothing.
SEALER_LOCK = 0x676F7374
# Entries of a seal, and lines: an entry may have one for each of 500 people.
MOST, MOST_LINES = 5_000, 100_000
# Entries that are in memory at a time, with their lines.
AT_ONCE = 250

UNSEALED = "NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.entry_id = e.id)"
CHOOSE = f"""
SELECT {rows.COLUMNS}, e.insert_xid, pg_snapshot_xmin(pg_current_snapshot()), ({rows.LINES_OF} e.id)
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
# Runs are few: those without a leaf are looked for whole, whatever cluster counted their transactions.
RUNS = f"""
SELECT {rows.RUN_COLUMNS} FROM ledger_reconciliationrun r
WHERE (r.insert_xid < pg_snapshot_xmin(pg_current_snapshot()) OR r.insert_xid >= pg_snapshot_xmax(pg_current_snapshot()))
    AND NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.run_id = r.id)
ORDER BY r.id LIMIT %(most)s
"""  # noqa: S608 - all parts are constants.
# What is seen is committed, and what is seen later gets a later leaf.
CHANGES = f"""
SELECT {rows.CHANGE_COLUMNS} FROM ledger_periodchange g JOIN ledger_period q ON q.id = g.period_id
WHERE NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.period_change_id = g.id) ORDER BY g.id LIMIT %(most)s
"""  # noqa: S608 - all parts are constants.
EVENTS = f"""
SELECT {rows.EVENT_COLUMNS}, v.insert_xid, pg_snapshot_xmin(pg_current_snapshot()) FROM ledger_auditevent v
WHERE {{final}} AND NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.event_id = v.id)
ORDER BY v.insert_xid, v.id LIMIT %(most)s
"""  # noqa: S608 - all parts are constants.
NEXT_EVENTS = EVENTS.format(
    final="(v.insert_xid, v.id) > (%(xid)s::text::xid8, %(id)s::bigint)"
    " AND v.insert_xid < pg_snapshot_xmin(pg_current_snapshot())"
)
RESTORED_EVENTS = EVENTS.format(
    final="(v.insert_xid < pg_snapshot_xmin(pg_current_snapshot())"
    " OR v.insert_xid >= pg_snapshot_xmax(pg_current_snapshot()))"
)
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
ADD_ENTRIES, ADD_RUNS, ADD_CHANGES, ADD_EVENTS = (
    ADD.format(name) for name in ("entry_id", "run_id", "period_change_id", "event_id")
)


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
        size, entry, is_all = _add_entries(NEXT if is_home else RESTORED, after, start)
        # How far the events are sealed; in another cluster that has to be found anew.
        event = (last.event_xid, last.event_id) if last is not None and is_home else (0, 0)
        if is_all:
            size = _add_runs(size, MOST - (size - start))
            size = _add_changes(size, MOST)
            size, event, is_all_events = _add_events(size, event, is_home=is_home)
            # Until all events of the old cluster are sealed, the next seal looks for them as this one did.
            is_all = is_home or is_all_events
        if size == start:
            return None
        store.grow(start, size)
        made = Seal(start=start, size=size, root=tree.head(store.read, size), cluster=cluster)
        if is_all:
            # Whatever is older than the oldest that runs is sealed, and no entry has the id 0. Without an entry nothing
            # moves that says which entries are sealed.
            stays = last.horizon_xid if last is not None and is_home else 0
            made.horizon_xid, made.horizon_id = entry.xmin if entry else stays, 0
        elif is_home and entry:
            made.horizon_xid, made.horizon_id = entry.xid, entry.id
        else:
            # The next one looks at everything again, until all of the old cluster is sealed.
            made.horizon_xid, made.horizon_id = 0, 0
            made.cluster = last.cluster if last else 0
        made.event_xid, made.event_id = event if made.cluster == cluster else (0, 0)
        failpoint("K18")
        made.save(force_insert=True, using=store.alias())
    return made


def newest() -> Seal | None:
    """Return the seal over all leaves."""
    return Seal.objects.using(store.alias()).order_by("-size").first()


def has_work() -> bool:
    """Tell whether anything waits for the sealer, perhaps only for an older writer to end."""
    last = newest()
    waiting = Entry.objects.using(store.alias())
    if last is not None:
        waiting = waiting.filter(insert_xid__gte=last.horizon_xid)
    runs = ReconciliationRun.objects.using(store.alias()).filter(leaf=None)
    changes = PeriodChange.objects.using(store.alias()).filter(leaf=None)
    events = AuditEvent.objects.using(store.alias()).filter(leaves=None)
    if last is not None:
        events = events.filter(insert_xid__gte=last.event_xid)
    return waiting.filter(leaf=None).exists() or runs.exists() or changes.exists() or events.exists()


def _is_only_one() -> bool:
    with store.database().cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEALER_LOCK])
        return bool(cursor.fetchone()[0])


def _cluster() -> int:
    with store.database().cursor() as cursor:
        cursor.execute(CLUSTER)
        return int(cursor.fetchone()[0])


class _Last(NamedTuple):
    """The last entry of a seal, and the oldest transaction that still ran when it was read."""

    id: int
    xid: int
    xmin: int


def _add_entries(query: str, values: dict[str, Any], start: int) -> tuple[int, _Last | None, bool]:
    """Add a leaf an entry in order until the seal is full; return the new size, the last, and whether it was all."""
    accounts = rows.Accounts(store.database())
    size, lines, last = start, 0, None
    with store.database().chunked_cursor() as cursor:
        # The driver's own, which is compiled; Django's takes longer than encoding the entry.
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        with store.database().cursor() as settings:
            settings.execute(IN_ORDER)
            cursor.execute(query, values | {"most": MOST})
            settings.execute(AS_EVER)
        while chunk := cursor.fetchmany(AT_ONCE):
            ids: list[int] = []
            payloads: list[bytes] = []
            for row in chunk:
                entry = rows.read_entry(row, accounts)
                lines += len(entry.lines)
                is_full = last is not None and lines > MOST_LINES
                if is_full:
                    break
                ids.append(entry.id)
                payloads.append(canonical.encode(entry))
                last = _Last(entry.id, int(row[rows.AFTER]), int(row[rows.AFTER + 1]))
            _add(ADD_ENTRIES, size, ids, payloads)
            size += len(ids)
            if is_full:
                return size, last, False
    return size, last, size - start < MOST


def _add_runs(start: int, most: int) -> int:
    """Add a leaf a run; return the new size."""
    with store.database().cursor() as cursor:
        cursor.execute(RUNS, {"most": most})
        runs = [rows.read_run(row) for row in cursor.fetchall()]
    if runs:
        _add(ADD_RUNS, start, [run.id for run in runs], [canonical.encode_run(run) for run in runs])
    return start + len(runs)


def _add_changes(start: int, most: int) -> int:
    """Add a leaf a period's change; return the new size."""
    with store.database().cursor() as cursor:
        cursor.execute(CHANGES, {"most": most})
        changes = [rows.read_change(row) for row in cursor.fetchall()]
    if changes:
        payloads = [canonical.encode_change(change) for change in changes]
        _add(ADD_CHANGES, start, [change.id for change in changes], payloads)
    return start + len(changes)


def _add_events(start: int, after: tuple[int, int], *, is_home: bool) -> tuple[int, tuple[int, int], bool]:
    """Add a leaf an event in order; return the new size, how far all are sealed, and whether it was all."""
    with store.database().cursor() as cursor:
        values = {"xid": after[0], "id": after[1], "most": MOST}
        cursor.execute(NEXT_EVENTS if is_home else RESTORED_EVENTS, values)
        found = cursor.fetchall()
    if not found:
        return start, after, True
    events = [rows.read_event(row[:-2]) for row in found]
    payloads = [canonical.encode_event(event) for event in events]
    _add(ADD_EVENTS, start, [event.id for event in events], payloads)
    xid, xmin = map(int, found[-1][-2:])
    is_all = len(found) < MOST
    # No event has the id 0.
    through = (xmin, 0) if is_all else (xid, events[-1].id)
    return start + len(found), through, is_all


def _add(statement: str, start: int, ids: list[int], payloads: list[bytes]) -> None:
    salts = [leaf.new_salt() for _ in payloads]
    hashes = [leaf.digest(salt, payload) for salt, payload in zip(salts, payloads, strict=True)]
    with arrays.cursor(store.database()) as cursor:
        cursor.execute(statement, [list(range(start, start + len(ids))), ids, hashes, salts, payloads])
