"""Moves a scope from where it stood to where it stands: one comparison, one run, and the watermarks of the next."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from ledger.models import ReconciliationRun, Standing
from ledger.reconciliation import following, match, run, tables, touched
from ledger.reconciliation.evidence import Backend, ChainFacts, SourceStale, UtxoFact
from ledger.reconciliation.reading import Reading, cluster
from ledger.reconciliation.spool import TABLES

MARK = "SELECT pg_current_snapshot()::text"


class Overtaken(SourceStale):
    """Another run of the scope ended meanwhile; this one begins again where that one stands."""

    code = "run_overtaken"


class Sources(NamedTuple):
    """What the sources said of one block: its place, what is unspent, what waits, and the blocks that were read."""

    backend: Backend
    scope: str
    chain: ChainFacts
    utxo: UtxoFact
    waiting: Sequence[str]
    reading: Reading


@transaction.atomic
def compare(sources: Sources, now: datetime, finished_at: Callable[[], datetime]) -> ReconciliationRun:
    """Compare in one snapshot of claims and books, and store the run with the watermarks that it reached.

    Raises SourceStale if the follower has moved on by then, and Overtaken where another run has; a full run goes on from
    none, and is overtaken only while both compare.
    """
    with connection.cursor() as cursor:
        # Inside a caller's transaction this is too late, and one statement after another must do.
        if not connection.savepoint_ids:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # Of a worker that is gone no statement must go on for an hour, and hold what its session has locked.
        cursor.execute("SET LOCAL client_connection_check_interval = '1s'")
        cursor.execute(MARK)
        (mark,) = cursor.fetchone()
    # Whoever waits for this row and sees it changed is told by PostgreSQL, and whoever comes later by the run.
    found = Standing.objects.select_for_update().get(pk=sources.reading.standing_id)
    if found.run_id != sources.reading.run_id and not sources.reading.is_full:
        raise Overtaken("Another run of the scope was faster.")
    if sources.backend.read_tip() != sources.chain.block_hash:
        raise SourceStale(f"The follower moved on from block {sources.chain.block_hash}.")
    begun = sources.reading
    scope = touched.Scope(sources.scope, found.pk, begun.is_full, found.books_mark, begun.height)
    _take_in(scope, found, sources)
    result = match.match(scope, found, sources.utxo, now)
    heading = run.Heading(
        scope=sources.scope,
        is_full=begun.is_full,
        previous_id=found.run_id,
        block_hash=sources.chain.block_hash,
        block_height=sources.chain.height,
        books_mark=mark,
        started_at=now,
        finished_at=finished_at(),
    )
    explained, uncased = following.count_explained(sources.scope), following.count_uncased(sources.scope)
    stored = run.store_result(heading, result, explained, uncased)
    following.follow(stored)
    found.run, found.books_mark, found.cluster = stored, mark, cluster()
    found.block_height, found.block_hash = sources.chain.height, sources.chain.block_hash
    found.save()
    return stored


def store_inconclusive(heading: run.Heading, reason: str) -> ReconciliationRun:
    """Store a run that could not compare anything; the watermarks stay where they are."""
    with transaction.atomic():
        stored = run.store_inconclusive(heading, reason)
        following.follow_silence(stored)
        return stored


def _take_in(scope: touched.Scope, found: Standing, sources: Sources) -> None:
    """Load all that is to be compared, and add up what changed of blocks and books."""
    tables.create()
    if scope.is_full:
        found.entry_count = found.booked_sat = found.unspent_sat = found.unspent_count = 0
        touched.forget(scope)
        gone = touched.Moved(0, 0)
    else:
        touched.look_up()
        gone = touched.leave(scope)
    with connection.cursor() as cursor:
        for table, columns in TABLES.items():
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)") as copy:
                for chunk in sources.reading.spool.chunks(table):
                    copy.write(chunk)
    come = touched.arrive(scope)
    tables.load(sources.backend, scope, sources.waiting)
    entry_count, booked_sat = touched.totals(scope)
    found.entry_count += entry_count
    found.booked_sat += booked_sat
    found.unspent_sat += gone.amount_sat + come.amount_sat
    found.unspent_count += gone.coin_count + come.coin_count
