"""What a run does to cases: opens one a break, keeps those it found again, and closes those whose difference vanished."""

from typing import Any

from django.db import connection

from ledger.models import ReconciliationRun

RECONCILIATION = "reconciliation"
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
CLOSE = f"""
WITH closed AS (
    UPDATE ledger_case c SET status = 'closed', closed_at = %(at)s WHERE c.scope = %(scope)s AND c.status <> 'closed'
    AND NOT EXISTS (SELECT FROM recon_break b WHERE {IS_SAME}) RETURNING c.id
)
INSERT INTO ledger_caseevent (case_id, action, actor, note, run_id)
SELECT id, 'closed', %(actor)s, 'The difference is gone.', %(run)s FROM closed
"""  # noqa: S608 - all parts are constants.
FOUND = """
SELECT DISTINCT ON (kind, unit, payment_id, vout) * FROM ledger_break WHERE run_id = %(run)s
ORDER BY kind, unit, payment_id, vout, id
"""
# A proposal is for the figures that it was made for.
REOPEN = f"""
WITH found AS ({FOUND}), reopened AS (
    UPDATE ledger_case c SET status = 'open', closed_at = NULL, resolution = '', note = '', evidence_sha256 = NULL,
        entry_id = NULL, proposed_by_id = NULL, decided_by_id = NULL,
        opened_at = CASE c.status WHEN 'closed' THEN %(at)s ELSE c.opened_at END,
        opened_height = CASE c.status WHEN 'closed' THEN %(height)s ELSE c.opened_height END
    FROM found b WHERE c.scope = %(scope)s AND {IS_SAME} AND c.status <> 'open' AND NOT ({IS_EXPLAINED})
        AND NOT (c.status = 'proposed' AND (c.expected, c.found) = (b.expected, b.found)) RETURNING c.id
)
INSERT INTO ledger_caseevent (case_id, action, actor, note, run_id)
SELECT id, 'reopened', %(actor)s, 'The difference is there again, or another one.', %(run)s FROM reopened
"""  # noqa: S608 - all parts are constants.
SEEN = f"""
WITH found AS ({FOUND})
UPDATE ledger_case c SET last_run_id = %(run)s, expected = b.expected, found = b.found, message = b.message,
    amount_sat = b.amount_sat, payout_id = b.payout_id, txid = b.txid
FROM found b WHERE c.scope = %(scope)s AND {IS_SAME}
"""  # noqa: S608 - all parts are constants.
OPEN = f"""
WITH found AS ({FOUND}), opened AS (
    INSERT INTO ledger_case (scope, kind, unit, payment_id, payout_id, txid, vout, expected, found, message, amount_sat,
        status, first_run_id, last_run_id, opened_at, opened_height, proposal, resolution, note)
    SELECT %(scope)s, b.kind, b.unit, b.payment_id, b.payout_id, b.txid, b.vout, b.expected, b.found, b.message,
        b.amount_sat, 'open', %(run)s, %(run)s, %(at)s, %(height)s, 0, '', ''
    FROM found b WHERE NOT EXISTS (SELECT FROM ledger_case c WHERE c.scope = %(scope)s AND {IS_SAME})
    ORDER BY b.id RETURNING id
)
INSERT INTO ledger_caseevent (case_id, action, actor, note, run_id) SELECT id, 'opened', %(actor)s, '', %(run)s FROM opened
"""  # noqa: S608 - all parts are constants.


def count_explained(scope: str) -> int:
    """Return how many of the breaks in ``recon_break`` people have explained, with these figures."""
    with connection.cursor() as cursor:
        cursor.execute(EXPLAINED, [scope])
        return int(cursor.fetchone()[0])


def follow(run: ReconciliationRun) -> None:
    """Bring the cases of a scope to what a run found, in the database transaction that made ``recon_break``.

    Breaks beyond those that are stored open no case yet; none is closed because of that.
    """
    _apply(run, CLOSE, REOPEN, SEEN, OPEN)


def follow_silence(run: ReconciliationRun) -> None:
    """Open the case of a run that could compare nothing; such a run closes none."""
    _apply(run, REOPEN, SEEN, OPEN)


def _apply(run: ReconciliationRun, *statements: str) -> None:
    values: dict[str, Any] = {
        "scope": run.scope,
        "run": run.pk,
        "at": run.finished_at,
        "height": run.block_height,
        "actor": RECONCILIATION,
    }
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, values)
