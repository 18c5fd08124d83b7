"""Adds the books up: by account, as of an effective time, as known at a recorded time, in a layer."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from ledger.books.accounts import AccountMissing
from ledger.models import Layer


class AccountBalance(NamedTuple):
    """An account with its signed balance and the totals of its debits and credits."""

    code: str
    name: str
    kind: str
    currency: str
    scale: int
    debit: int
    credit: int
    entity: str = ""
    function: str = ""
    object: str = ""
    fund: str = ""
    project: str = ""

    @property
    def balance(self) -> int:
        """Debits minus credits."""
        return self.debit - self.credit


@dataclass(frozen=True)
class TrialBalance:
    """All accounts of a scope; in honest books debits equal credits in each currency."""

    accounts: list[AccountBalance]

    def totals(self) -> dict[str, tuple[int, int]]:
        """Return debits and credits by currency."""
        sums: dict[str, tuple[int, int]] = {}
        for account in self.accounts:
            debit, credit = sums.get(account.currency, (0, 0))
            sums[account.currency] = (debit + account.debit, credit + account.credit)
        return sums

    @property
    def is_balanced(self) -> bool:
        """Tell whether every currency's debits equal its credits."""
        return all(debit == credit for debit, credit in self.totals().values())


BALANCES = """
SELECT a.code, a.name, a.kind, a.currency, a.scale,
    coalesce(sum(p.amount) FILTER (WHERE p.amount > 0), 0)::bigint,
    coalesce(-sum(p.amount) FILTER (WHERE p.amount < 0), 0)::bigint,
    a.entity, a.function, a.object, a.fund, a.project
FROM ledger_account a LEFT JOIN {postings} ON p.account_id = a.id AND p.layer = %(layer)s
WHERE %(scope)s::text IS NULL OR a.scope = %(scope)s
GROUP BY a.id ORDER BY a.code
"""
BALANCE = """
SELECT (SELECT coalesce(sum(p.amount), 0) FROM {postings} WHERE p.account_id = a.id AND p.layer = %(layer)s)::bigint
FROM ledger_account a WHERE a.code = %(code)s
"""
# The join is left out where no time is asked for, so that an index alone answers.
POSTINGS = "ledger_posting p"
POSTINGS_THEN = """
(SELECT p.* FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id
    WHERE (%(as_of)s::timestamptz IS NULL OR e.effective_at <= %(as_of)s)
    AND (%(known_at)s::timestamptz IS NULL OR e.recorded_at <= %(known_at)s)) p
"""

# What ``balance`` returns for now, to be part of a statement that reads more of the same moment: ``code`` and ``layer`` are
# its parameters.
BALANCE_NOW = BALANCE.format(postings=POSTINGS)


def trial_balance(
    scope: str | None = None,
    as_of: datetime | None = None,
    *,
    known_at: datetime | None = None,
    layer: str = Layer.SETTLED,
) -> TrialBalance:
    """Return debits and credits of every account of a scope, or of all, in one query.

    ``as_of`` counts what had taken effect by then, ``known_at`` what had been written by then: the balance of the end of
    October as it was known on the third of November, and as it is known today.
    """
    values = {"scope": scope, "as_of": as_of, "known_at": known_at, "layer": str(layer)}
    with connection.cursor() as cursor:
        cursor.execute(BALANCES.format(postings=_postings(as_of, known_at)), values)
        return TrialBalance([AccountBalance(*row) for row in cursor.fetchall()])


def balance(
    account_code: str,
    as_of: datetime | None = None,
    *,
    known_at: datetime | None = None,
    layer: str = Layer.SETTLED,
) -> int:
    """Return an account's signed balance in its smallest unit, as `trial_balance` does; raise AccountMissing."""
    values = {"code": account_code, "as_of": as_of, "known_at": known_at, "layer": str(layer)}
    with connection.cursor() as cursor:
        cursor.execute(BALANCE.format(postings=_postings(as_of, known_at)), values)
        row = cursor.fetchone()
    if row is None:
        raise AccountMissing(f"The account {account_code} was never opened.", accounts=[account_code])
    return int(row[0])


def _postings(as_of: datetime | None, known_at: datetime | None) -> str:
    return POSTINGS if as_of is None and known_at is None else POSTINGS_THEN
