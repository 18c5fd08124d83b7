"""Writes down what a run found: the run, its breaks, and a digest by which two runs can be compared."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from ledger.models import ReconciliationRun, RunStatus
from ledger.reconciliation.match import Result

# A wrong chain or a lost table breaks everything at once; the counts stay true, the rows stop here.
MOST_BREAKS_STORED = 10_000
FETCH = 2_000

ORDERED = """
SELECT kind, payment_id, payout_id, txid, vout, expected, found, message FROM recon_break
ORDER BY kind, payment_id NULLS LAST, payout_id NULLS LAST, txid, vout NULLS LAST, expected, found
"""
STORE = f"""
INSERT INTO ledger_break (run_id, kind, payment_id, payout_id, txid, vout, expected, found, message)
SELECT %s, kind, payment_id, payout_id, txid, vout, left(expected, 200), left(found, 200), left(message, 300)
FROM ({ORDERED}) b LIMIT %s
"""  # noqa: S608 - both parts are constants.


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What a run compared, where and when."""

    scope: str
    block_hash: str = ""
    block_height: int | None = None
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a run concluded."""

    status: RunStatus
    reason: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)


def store_result(heading: Heading, result: Result) -> ReconciliationRun:
    """Store a finished comparison with its breaks, in the database transaction that made ``recon_break``."""
    status = RunStatus.BREAKS if result.break_count else RunStatus.CLEAN
    verdict = Verdict(status=status, counts=result.counts, totals=result.totals)
    digest = _digest(heading, verdict)
    with connection.chunked_cursor() as cursor:
        cursor.execute(ORDERED)
        while rows := cursor.fetchmany(FETCH):
            for row in rows:
                digest.update(_canonical(row))
    run = _create(heading, verdict, digest.digest())
    if result.break_count:
        with connection.cursor() as cursor:
            cursor.execute(STORE, [run.pk, MOST_BREAKS_STORED])
    return run


def store_inconclusive(heading: Heading, reason: str) -> ReconciliationRun:
    """Store a run that could not compare anything, and why; it is never clean."""
    verdict = Verdict(status=RunStatus.INCONCLUSIVE, reason=reason[:300])
    return _create(heading, verdict, _digest(heading, verdict).digest())


def _digest(heading: Heading, verdict: Verdict) -> "hashlib._Hash":
    """Start the SHA-256 over what was found; when it was looked for makes no difference."""
    return hashlib.sha256(
        _canonical(
            {
                "version": 1,
                "scope": heading.scope,
                "block_hash": heading.block_hash,
                "block_height": heading.block_height,
                "status": verdict.status.value,
                "reason": verdict.reason,
                "counts": verdict.counts,
                "totals": verdict.totals,
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
        block_hash=heading.block_hash,
        block_height=heading.block_height,
        counts=verdict.counts,
        totals=verdict.totals,
        digest=digest,
        started_at=heading.started_at,
        finished_at=heading.finished_at,
    )
