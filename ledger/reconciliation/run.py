"""Writes down what a run found: the run, its breaks, and a digest by which two runs can be compared."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from ledger.models import Break, BreakKind, ReconciliationRun, RunStatus
from ledger.reconciliation.match import Result

# A wrong chain or a lost table breaks everything at once; the counts stay true, the rows stop here.
MOST_BREAKS_STORED = 10_000
FETCH = 2_000

COLUMNS = """
kind, unit, amount_sat, payment_id, payout_id, txid, vout, left(expected, 200) AS expected, left(found, 200) AS found,
left(message, 300) AS message
"""
ORDER = """
ORDER BY kind COLLATE "C", unit COLLATE "C", payment_id NULLS LAST, payout_id NULLS LAST, txid COLLATE "C", vout NULLS LAST,
    expected COLLATE "C", found COLLATE "C", message COLLATE "C"
"""
ORDERED = f"SELECT * FROM (SELECT {COLUMNS} FROM recon_break) b {ORDER}"  # noqa: S608 - all parts are constants.
STORED = f"SELECT * FROM (SELECT {COLUMNS} FROM ledger_break WHERE run_id = %s) b {ORDER}"  # noqa: S608
STORE = f"""
INSERT INTO ledger_break (run_id, kind, unit, amount_sat, payment_id, payout_id, txid, vout, expected, found, message)
SELECT %s, b.* FROM ({ORDERED}) b LIMIT %s
"""  # noqa: S608 - both parts are constants.


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What a run compared, where and when, and from which run's watermarks on."""

    scope: str
    is_full: bool = True
    previous_id: int | None = None
    block_hash: str = ""
    block_height: int | None = None
    books_mark: str = ""
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a run concluded."""

    status: RunStatus
    reason: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    break_count: int = 0
    explained_count: int = 0
    uncased_count: int = 0


def store_result(
    heading: Heading, result: Result, explained_count: int, uncased_count: int
) -> ReconciliationRun:
    """Store a finished comparison with its breaks, in the database transaction that made ``recon_break``.

    It is clean when people have explained whatever breaks there are.
    """
    verdict = Verdict(
        status=RunStatus.BREAKS if result.break_count > explained_count else RunStatus.CLEAN,
        counts=result.counts,
        totals=result.totals,
        break_count=result.break_count,
        explained_count=explained_count,
        uncased_count=uncased_count,
    )
    run = _create(heading, verdict, _add_breaks(_digest(heading, verdict), ORDERED))
    if result.break_count:
        with connection.cursor() as cursor:
            cursor.execute(STORE, [run.pk, MOST_BREAKS_STORED])
    return run


def store_inconclusive(heading: Heading, reason: str) -> ReconciliationRun:
    """Store a run that could not compare anything, and why, as its one break; it is never clean."""
    counts = {BreakKind.STALE_SOURCE.value: 1}
    verdict = Verdict(status=RunStatus.INCONCLUSIVE, reason=reason[:300], counts=counts, break_count=1)
    run = _create(heading, verdict, _digest(heading, verdict).digest())
    Break.objects.create(run=run, kind=BreakKind.STALE_SOURCE, message=reason[:300])
    return run


def is_intact(run: ReconciliationRun) -> bool:
    """Tell whether a stored run and its breaks still give its digest, as far as its breaks were stored.

    Runs whose digest was taken in an older version, or whose breaks were too many to be stored, cannot be told.
    """
    heading = Heading(
        scope=run.scope,
        block_hash=run.block_hash,
        block_height=run.block_height,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )
    verdict = Verdict(
        status=RunStatus(run.status),
        reason=run.reason,
        counts=run.counts,
        totals=run.totals,
        explained_count=run.explained_count,
    )
    digest = _digest(heading, verdict)
    if run.status == RunStatus.INCONCLUSIVE:
        return digest.digest() == bytes(run.digest)
    return _add_breaks(digest, STORED, run.pk) == bytes(run.digest)


def _add_breaks(digest: "hashlib._Hash", query: str, *values: int) -> bytes:
    """Go on with the digest over the breaks in their order, and return it."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(FETCH):
            for row in rows:
                digest.update(_canonical(row))
    return digest.digest()


def _digest(heading: Heading, verdict: Verdict) -> "hashlib._Hash":
    """Start the SHA-256 over what was found; when, and how much had to be read for it, makes no difference."""
    return hashlib.sha256(
        _canonical(
            {
                "version": 2,
                "scope": heading.scope,
                "block_hash": heading.block_hash,
                "block_height": heading.block_height,
                "status": verdict.status.value,
                "reason": verdict.reason,
                "counts": verdict.counts,
                "totals": verdict.totals,
                "explained_count": verdict.explained_count,
            }
        )
    )


def _canonical(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def _create(heading: Heading, verdict: Verdict, digest: bytes) -> ReconciliationRun:
    return ReconciliationRun.objects.create(
        scope=heading.scope,
        status=verdict.status,
        reason=verdict.reason,
        is_full=heading.is_full,
        previous_id=heading.previous_id,
        block_hash=heading.block_hash,
        block_height=heading.block_height,
        books_mark=heading.books_mark,
        counts=verdict.counts,
        totals=verdict.totals,
        break_count=verdict.break_count,
        explained_count=verdict.explained_count,
        uncased_count=verdict.uncased_count,
        digest=digest,
        started_at=heading.started_at,
        finished_at=heading.finished_at,
    )
