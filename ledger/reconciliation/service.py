"""Reconciles scopes: asks the sources for one block, compares in one snapshot, and stores the run."""

import time
from datetime import datetime, timedelta

import structlog
from django.db import OperationalError, connection
from django.utils import timezone

from govpay.errors import GovPayError, NotFound
from ledger.models import ReconciliationRun, RunStatus, RunUnderWay
from ledger.reconciliation import evidence, reading, run, standing
from ledger.reconciliation.progress import Hear, Progress, say_nothing

log = structlog.get_logger(__name__)

# The node, the follower and the claims must stand at one block; a new block may come at any moment.
ATTEMPTS = 20
WAIT_S = 0.5
SERIALIZATION_FAILURE = "40001"


def reconcile(
    *, scope: str | None, now: datetime, is_full: bool = False, hear: Hear = say_nothing
) -> list[ReconciliationRun]:
    """Compare claims, books and blocks of one scope, or of all, and return a stored run for each.

    Only what changed since the last run is read, and what that one left open; with ``is_full`` all of it, which proves
    the runs before. A source that is stale, silent or on another chain makes a run inconclusive, never clean. ``hear``
    is told what goes on. Raises NotFound for a scope that nobody testifies about. Call it outside database transactions.
    """
    backend = evidence.backend()
    scopes = backend.scopes()
    if scope is not None and scope not in scopes:
        raise NotFound(f"There is no scope {scope!r} to reconcile.", scope=scope)
    return [
        _Attempts(backend, name, now, is_full, hear).conclude()
        for name in (scopes if scope is None else [scope])
    ]


def give_up(*, scope: str, started_at: datetime, reason: str) -> ReconciliationRun:
    """Store a run that proves nothing, and why: it could not be concluded."""
    log.warning("reconciliation_inconclusive", scope=scope, reason=reason)
    RunUnderWay.objects.filter(scope=scope, started_at=started_at).delete()
    heading = run.Heading(scope=scope, started_at=started_at, finished_at=max(started_at, timezone.now()))
    return standing.store_inconclusive(heading, reason)


class _Attempts:
    """The attempts at one run."""

    def __init__(
        self, backend: evidence.Backend, scope: str, now: datetime, is_full: bool, hear: Hear
    ) -> None:
        self.backend, self.scope, self.now = backend, scope, now
        # What a caller's transaction wrote itself has no place in the order of snapshots.
        self.is_full = is_full or connection.in_atomic_block
        self.reading: reading.Reading | None = None
        self.started_s = time.monotonic()
        self.progress = Progress(scope, now, is_full=self.is_full, hear=hear)

    def conclude(self) -> ReconciliationRun:
        """Try until the sources stand at one block, and return a run in any case."""
        found = self._conclude()
        self.progress.end()
        return found

    def _conclude(self) -> ReconciliationRun:
        reason = ""
        try:
            for attempt in range(ATTEMPTS):
                if attempt:
                    self.progress.say(f"{reason} Trying again.")
                    time.sleep(WAIT_S)
                try:
                    return self._try()
                except evidence.SourceStale as error:
                    reason = error.message
                    self._keep_what_holds(error)
            return self._conclude_nothing(reason)
        except GovPayError as error:
            return self._conclude_nothing(error.message)
        finally:
            self._forget()

    def _try(self) -> ReconciliationRun:
        self.progress.say("reading blocks")
        chain = self.backend.chain(self.scope)
        if self.reading is None:
            self.reading = reading.begin(self.backend, self.scope, is_full=self.is_full)
        self.reading.read_to(chain, self.progress)
        waiting = list(self.backend.waiting(self.scope))
        self.progress.say(f"asking the node for what is unspent at block {chain.height}")
        utxo = self.backend.utxos(self.scope, chain)
        if utxo.block_hash != chain.block_hash:
            raise evidence.SourceStale(f"The node moved from block {chain.block_hash} to {utxo.block_hash}.")
        self.progress.say("comparing")
        sources = standing.Sources(self.backend, self.scope, chain, utxo, waiting, self.reading)
        try:
            found = standing.compare(sources, self.now, self._finished_at)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != SERIALIZATION_FAILURE:
                raise
            raise standing.Overtaken("Another run of the scope was faster.") from error
        if found.status == RunStatus.BREAKS:
            log.error("reconciliation_breaks", scope=self.scope, run_id=found.pk, **found.counts)
        return found

    def _keep_what_holds(self, error: evidence.SourceStale) -> None:
        """Keep what was read for the next attempt, unless the chain or another run took away what it goes on from."""
        is_cut_off = isinstance(error, standing.Overtaken) and not (self.reading and self.reading.is_full)
        if is_cut_off or isinstance(error, evidence.ChainForked):
            self._forget()

    def _conclude_nothing(self, reason: str) -> ReconciliationRun:
        return give_up(scope=self.scope, started_at=self.now, reason=reason)

    def _finished_at(self) -> datetime:
        return self.now + timedelta(seconds=time.monotonic() - self.started_s)

    def _forget(self) -> None:
        if self.reading is not None:
            self.reading.close()
            self.reading = None
