"""What a run does to cases: opens one a break, keeps those it found again, and closes those whose difference vanished."""

from typing import Any

from django.db import connection

from ledger.chart import SUSPENSE
from ledger.models import ReconciliationRun
from ledger.reconciliation import run as runs

RECONCILIATION = "reconciliation"
# A wrong chain breaks everything at once: a run opens so many cases, and the next one goes on.
MOST_CASES_OPENED = 10_000
# The same kind at the same place is the same case.
IS_SAME = """
(c.kind, c.unit) = (b.kind, b.unit) AND c.payment_id IS NOT DISTINCT FROM b.payment_id AND c.vout IS NOT DISTINCT FROM b.vout
"""
# What two people explained is explained for the figures that they saw; an entry that should have mended it has not.
IS_EXPLAINED = """
c.status = 'explained' AND c.resolution = 'evidence' AND (c.expected, c.found) = (left(b.expected, 200), left(b.found, 200))
"""
EXPLAINED = f"""
SELECT count(*) FROM recon_break b JOIN ledger_case c ON c.scope = %s AND {IS_SAME} AND {IS_EXPLAINED}
"""  # noqa: S608 - all parts are constants.
UNCASED = f"""
SELECT greatest(count(*) - %(most)s, 0) FROM (
    SELECT DISTINCT kind, unit, payment_id, vout FROM recon_break b
    WHERE NOT EXISTS (SELECT FROM ledger_case c WHERE c.scope = %(scope)s AND {IS_SAME})
) b
"""  # noqa: S608 - all parts are constants.
# What is asked of suspense is no question to the chain: a run leaves it to the second person.
IS_ABOUT_SUSPENSE = "(c.status = 'proposed' AND c.resolution IN ('account', 'reversal'))"
IS_IN_SUSPENSE = f"""
c.suspense_ref <> '' AND EXISTS (
    SELECT FROM ledger_entry e JOIN ledger_posting p ON p.entry_id = e.id JOIN ledger_account a ON a.id = p.account_id
    WHERE e.source_ref = c.suspense_ref AND e.scope = c.scope AND p.layer = 'settled' AND a.code ~ '{SUSPENSE}'
    HAVING sum(p.amount) <> 0
)
"""
CLOSE = f"""
WITH gone AS (
    SELECT c.id, c.status, {IS_IN_SUSPENSE} AS is_in_suspense FROM ledger_case c
    WHERE c.scope = %(scope)s AND c.status <> 'closed' AND NOT {IS_ABOUT_SUSPENSE}
        AND NOT EXISTS (SELECT FROM recon_break b WHERE {IS_SAME})
), closed AS (
    UPDATE ledger_case c SET status = CASE WHEN g.is_in_suspense THEN 'suspended' ELSE 'closed' END,
        closed_at = CASE WHEN g.is_in_suspense THEN NULL ELSE %(at)s::timestamptz END
    FROM gone g WHERE c.id = g.id AND NOT (g.is_in_suspense AND g.status = 'suspended') RETURNING c.id, c.status
)
INSERT INTO ledger_caseevent (case_id, action, actor, note, run_id)
SELECT id, status, %(actor)s, CASE status WHEN 'closed' THEN 'The difference is gone.'
    ELSE 'The difference is in suspense, and nobody knows what it is.' END, %(run)s FROM closed
"""  # noqa: S608 - all parts are constants.
# Of the breaks at one place the first stands for them.
FOUND = f"""
SELECT DISTINCT ON (kind, unit, payment_id, vout) * FROM (SELECT {runs.COLUMNS} FROM {{breaks}}) b
ORDER BY kind, unit, payment_id, vout, payout_id, txid, expected, found, message
"""  # noqa: S608 - all parts are constants.
# A proposal is for the figures that it was made for, and one about suspense for none that a run finds.
REOPEN = f"""
WITH found AS ({FOUND}), reopened AS (
    UPDATE ledger_case c SET status = 'open', closed_at = NULL, resolution = '', note = '', evidence_sha256 = NULL,
        entry_id = NULL, account_id = NULL, proposed_by_id = NULL, decided_by_id = NULL,
        opened_at = CASE c.status WHEN 'closed' THEN %(at)s ELSE c.opened_at END,
        opened_height = CASE c.status WHEN 'closed' THEN %(height)s ELSE c.opened_height END
    FROM found b WHERE c.scope = %(scope)s AND {IS_SAME} AND c.status <> 'open' AND NOT ({IS_EXPLAINED})
        AND NOT (c.status = 'proposed' AND (c.expected, c.found) = (b.expected, b.found) AND NOT {IS_ABOUT_SUSPENSE})
    RETURNING c.id
)
INSERT INTO ledger_caseevent (case_id, action, actor, note, run_id)
SELECT id, 'reopened', %(actor)s, 'The difference is there again, or another one.', %(run)s FROM reopened
"""  # noqa: S608 - all parts are constants.
# Another run may be opening the same case: whoever comes second waits for it, and leaves it as it is.
OPEN = f"""
WITH found AS ({FOUND}), opened AS (
    INSERT INTO ledger_case (scope, kind, unit, payment_id, payout_id, txid, vout, expected, found, message, amount_sat,
        status, first_run_id, last_run_id, opened_at, opened_height, proposal, resolution, note, suspense_ref)
    SELECT %(scope)s::varchar, b.kind, b.unit, b.payment_id, b.payout_id, b.txid, b.vout, b.expected, b.found, b.message,
        b.amount_sat, 'open', %(run)s, %(run)s, %(at)s, %(height)s, 0, '', '', ''
    FROM found b WHERE NOT EXISTS (SELECT FROM ledger_case c WHERE c.scope = %(scope)s AND {IS_SAME})
    ORDER BY b.kind, b.unit, b.payment_id, b.vout LIMIT %(most)s
    ON CONFLICT ON CONSTRAINT case_once DO NOTHING RETURNING id
)
INSERT INTO ledger_caseevent (case_id, action, actor, note, run_id) SELECT id, 'opened', %(actor)s, '', %(run)s FROM opened
"""  # noqa: S608 - all parts are constants.
SEEN = f"""
WITH found AS ({FOUND})
UPDATE ledger_case c SET last_run_id = %(run)s, expected = b.expected, found = b.found, message = b.message,
    amount_sat = b.amount_sat, payout_id = b.payout_id, txid = b.txid
FROM found b WHERE c.scope = %(scope)s AND c.last_run_id < %(run)s AND {IS_SAME}
"""  # noqa: S608 - all parts are constants.
OF_THE_COMPARISON = "recon_break"
OF_THE_RUN = "ledger_break WHERE run_id = %(run)s"


def count_explained(scope: str) -> int:
    """Return how many of the breaks in ``recon_break`` people have explained, with these figures."""
    with connection.cursor() as cursor:
        cursor.execute(EXPLAINED, [scope])
        return int(cursor.fetchone()[0])


def count_uncased(scope: str) -> int:
    """Return for how many places in ``recon_break`` this run will open no case, because it opens so many already."""
    with connection.cursor() as cursor:
        cursor.execute(UNCASED, {"scope": scope, "most": MOST_CASES_OPENED})
        return int(cursor.fetchone()[0])


def follow(run: ReconciliationRun) -> None:
    """Bring the cases of a scope to what a run found, in the database transaction that made ``recon_break``.

    Of new ones it opens so many at most; the run says for how many places there is none yet.
    """
    _apply(run, OF_THE_COMPARISON, CLOSE, REOPEN, OPEN, SEEN)


def follow_silence(run: ReconciliationRun) -> None:
    """Open the case of a run that could compare nothing; such a run closes none."""
    _apply(run, OF_THE_RUN, REOPEN, OPEN, SEEN)


def _apply(run: ReconciliationRun, breaks: str, *statements: str) -> None:
    values: dict[str, Any] = {
        "scope": run.scope,
        "run": run.pk,
        "at": run.finished_at,
        "height": run.block_height,
        "actor": RECONCILIATION,
        "most": MOST_CASES_OPENED,
    }
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.format(breaks=breaks), values)
