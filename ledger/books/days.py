"""Balances by the day, from what moved on each day and the lines since: as quick behind a million payments as behind one.

The days are added up by a round. Writers hold a lock together from before their entries have ids until they are committed
(ADR 22); whoever holds it alone sees every entry up to the last one, and knows that none of them comes later.
"""

from datetime import date
from typing import NamedTuple

from django.db import connection, transaction

from ledger.books.balances import AccountBalance, TrialBalance
from ledger.models import DayMark, Entry, Layer

# Alone, or not now: nobody who posts waits for it.
LOCK = "SELECT pg_try_advisory_xact_lock(ledger_lock())"
ADD = """
INSERT INTO ledger_daytotal (account_id, layer, day, debit, credit)
SELECT p.account_id, p.layer, (e.effective_at AT TIME ZONE 'UTC')::date,
    coalesce(sum(p.amount) FILTER (WHERE p.amount > 0), 0)::bigint,
    coalesce(-sum(p.amount) FILTER (WHERE p.amount < 0), 0)::bigint
FROM ledger_entry e JOIN ledger_posting p ON p.entry_id = e.id
WHERE e.id > %(after)s::bigint AND e.id <= %(through)s::bigint
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (account_id, layer, day) DO UPDATE
    SET debit = ledger_daytotal.debit + excluded.debit, credit = ledger_daytotal.credit + excluded.credit
"""
# The days and the lines after them, of one moment. Both bounds of the entries are named, so that the planner expects few of
# them, and looks each one's lines up by an index.
STANDING = """
SELECT a.id, a.code, a.name, a.kind, a.scope, a.currency, a.scale,
    coalesce(sum(t.debit), 0)::bigint, coalesce(sum(t.credit), 0)::bigint
FROM ledger_account a LEFT JOIN (
    SELECT d.account_id, d.debit, d.credit FROM ledger_daytotal d
    WHERE d.layer = %(layer)s::text AND (%(at)s::date IS NULL OR d.day <= %(at)s::date)
    UNION ALL
    SELECT p.account_id, greatest(p.amount, 0), greatest(-p.amount, 0)
    FROM ledger_entry e CROSS JOIN LATERAL (
        SELECT account_id, amount FROM ledger_posting WHERE entry_id = e.id AND layer = %(layer)s::text OFFSET 0
    ) p
    WHERE e.id BETWEEN coalesce((SELECT through_entry_id FROM ledger_daymark), 0) + 1 AND (SELECT max(id) FROM ledger_entry)
        AND (%(at)s::date IS NULL OR (e.effective_at AT TIME ZONE 'UTC')::date <= %(at)s::date)
) t ON t.account_id = a.id
WHERE (%(scopes)s::text[] IS NULL OR a.scope = ANY(%(scopes)s::text[]))
    AND (%(account)s::bigint IS NULL OR a.id = %(account)s::bigint)
GROUP BY a.id ORDER BY a.code
"""


class Standing(NamedTuple):
    """An account with the totals of its debits and credits, in whole units of ``10 ** -scale`` of its currency."""

    id: int
    code: str
    name: str
    kind: str
    scope: str
    currency: str
    scale: int
    debit: int
    credit: int

    @property
    def balance(self) -> int:
        """Debits minus credits."""
        return self.debit - self.credit


def standing(
    scopes: list[str] | None = None,
    at: date | None = None,
    *,
    account_id: int | None = None,
    layer: str = Layer.SETTLED,
) -> list[Standing]:
    """Return the accounts of scopes, or of all, or one of them, by code; now, or at the end of a day (UTC)."""
    values = {"scopes": scopes, "at": at, "account": account_id, "layer": str(layer)}
    with connection.cursor() as cursor:
        cursor.execute(STANDING, values)
        return [Standing(*row) for row in cursor.fetchall()]


def trial(scope: str | None = None, at: date | None = None, *, layer: str = Layer.SETTLED) -> TrialBalance:
    """Return what `trial_balance` does, now or at the end of a day (UTC), without reading every line."""
    rows = standing(None if scope is None else [scope], at, layer=layer)
    return TrialBalance(
        [AccountBalance(r.code, r.name, r.kind, r.currency, r.scale, r.debit, r.credit) for r in rows]
    )


def has_work() -> bool:
    """Tell whether there are entries that the days do not hold."""
    return Entry.objects.filter(pk__gt=_through()).exists()


@transaction.atomic
def add_up() -> bool:
    """Add the entries since the last time to the days; False where somebody is writing entries, or adding up, just now."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
        if not cursor.fetchone()[0]:
            return False
        after = _through()
        cursor.execute("SELECT coalesce(max(id), 0) FROM ledger_entry")
        (through,) = cursor.fetchone()
        if through > after:
            cursor.execute(ADD, {"after": after, "through": through})
            DayMark.objects.update_or_create(is_only=True, defaults={"through_entry_id": through})
    return True


def _through() -> int:
    mark = DayMark.objects.first()
    return 0 if mark is None else mark.through_entry_id
