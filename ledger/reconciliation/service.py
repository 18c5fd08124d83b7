"""Reconciles scopes: asks the sources for one block, compares in one snapshot, and stores the run."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction

from govpay.errors import GovPayError, NotFound
from ledger.models import ReconciliationRun, RunStatus
from ledger.reconciliation import evidence, match, run, tables
from ledger.reconciliation.spool import Spool

log = structlog.get_logger(__name__)

# The node, the follower and the claims must stand at one block; a new block may come at any moment.
ATTEMPTS = 20
WAIT_S = 0.5

Report = Callable[[str], None]


def reconcile(*, scope: str | None, now: datetime, report: Report | None = None) -> list[ReconciliationRun]:
    """Compare claims, books and blocks of one scope, or of all, and return a stored run for each.

    A source that is stale, silent or on another chain makes a run inconclusive, never clean. ``report`` hears what
    goes on. Raises NotFound for a scope that nobody testifies about. Call it outside database transactions.
    """
    backend = evidence.backend()
    scopes = backend.scopes()
    if scope is not None and scope not in scopes:
        raise NotFound(f"There is no scope {scope!r} to reconcile.", scope=scope)
    return [
        _reconcile_one(backend, name, now, report or (lambda text: None))
        for name in (scopes if scope is None else [scope])
    ]


def _reconcile_one(backend: evidence.Backend, scope: str, now: datetime, report: Report) -> ReconciliationRun:
    started_s = time.monotonic()
    walk, spool = backend.walk(scope), Spool()
    reason = ""
    try:
        for attempt in range(ATTEMPTS):
            if attempt:
                report(f"{scope}: {reason} Trying again.")
                time.sleep(WAIT_S)
            try:
                report(f"{scope}: reading blocks")
                chain = backend.chain(scope)
                spool.add(walk.read_to(chain))
                report(f"{scope}: asking the node for what is unspent at block {chain.height}")
                utxo = backend.utxos(scope)
                if utxo.block_hash != chain.block_hash:
                    raise evidence.SourceStale(
                        f"The node moved from block {chain.block_hash} to {utxo.block_hash}."
                    )
                report(f"{scope}: comparing")
                return _compare(backend, scope, chain, utxo, spool, now, started_s)
            except evidence.ChainForked as error:
                reason = error.message
                spool.close()
                walk, spool = backend.walk(scope), Spool()
            except evidence.SourceStale as error:
                reason = error.message
        return _conclude_nothing(scope, reason, now, started_s)
    except GovPayError as error:
        return _conclude_nothing(scope, error.message, now, started_s)
    finally:
        spool.close()


@transaction.atomic
def _compare(
    backend: evidence.Backend,
    scope: str,
    chain: evidence.ChainFacts,
    utxo: evidence.UtxoFact,
    spool: Spool,
    now: datetime,
    started_s: float,
) -> ReconciliationRun:
    """Compare in one snapshot of claims and books; raise SourceStale if the follower has moved on by then."""
    with connection.cursor() as cursor:
        # Inside a caller's transaction this is too late, and one statement after another must do.
        if not connection.savepoint_ids:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    if backend.read_tip() != chain.block_hash:
        raise evidence.SourceStale(f"The follower moved on from block {chain.block_hash}.")
    tables.load(backend, scope, spool)
    result = match.match(scope, utxo)
    heading = run.Heading(
        scope=scope,
        block_hash=chain.block_hash,
        block_height=chain.height,
        started_at=now,
        finished_at=_finished_at(now, started_s),
    )
    stored = run.store_result(heading, result)
    if stored.status == RunStatus.BREAKS:
        log.error("reconciliation_breaks", scope=scope, run_id=stored.pk, **result.counts)
    return stored


def _conclude_nothing(scope: str, reason: str, now: datetime, started_s: float) -> ReconciliationRun:
    log.warning("reconciliation_inconclusive", scope=scope, reason=reason)
    heading = run.Heading(scope=scope, started_at=now, finished_at=_finished_at(now, started_s))
    return run.store_inconclusive(heading, reason)


def _finished_at(now: datetime, started_s: float) -> datetime:
    return now + timedelta(seconds=time.monotonic() - started_s)
