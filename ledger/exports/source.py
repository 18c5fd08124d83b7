"""Reads the journal for exports: one selection, one snapshot, streamed from the server however long it is."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from ledger.models import Elements
from ledger.seals import rows
from ledger.seals.canonical import SealedEntry

# An entry may have a line for each of 500 people, so that few of them fill the memory.
AT_ONCE = 20


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which entries: of a scope, on an account, in a time, as known at one, about some sources, below a sealed size.

    All by default. ``effective_from`` is in, ``effective_before`` is not. ``sealed_size`` takes the first so many leaves of
    the tree, but for those that were blacked out.
    """

    scope: str | None = None
    account: str | None = None
    effective_from: datetime | None = None
    effective_before: datetime | None = None
    known_at: datetime | None = None
    source_refs: Sequence[str] | None = None
    sealed_size: int | None = None

    def values(self) -> dict[str, Any]:
        """Return the parameters of the statements."""
        refs = self.source_refs
        return {
            "scope": self.scope,
            "account": self.account,
            "since": self.effective_from,
            "before": self.effective_before,
            "known_at": self.known_at,
            "refs": None if refs is None else list(refs),
            "size": self.sealed_size,
        }


class Total(NamedTuple):
    """An account in one layer: what stood on it before the first selected entry, and what does after the last.

    ``debit`` and ``credit`` are what its selected lines sum to in between, each as a positive number, and how many they are.
    """

    id: int
    code: str
    name: str
    scope: str
    kind: str
    currency: str
    scale: int
    elements: Elements
    layer: str
    opening: int
    closing: int
    debit: int
    debit_count: int
    credit: int
    credit_count: int


@dataclass(frozen=True)
class Journal:
    """What was selected: each account that it touches, by code and layer, and the entries in order of their ids."""

    selection: Selection
    totals: list[Total]
    entries: Generator[SealedEntry]


CHOSEN = """
(%(scope)s::text IS NULL OR e.scope = %(scope)s)
AND (%(before)s::timestamptz IS NULL OR e.effective_at < %(before)s)
AND (%(known_at)s::timestamptz IS NULL OR e.recorded_at <= %(known_at)s)
AND (%(account)s::text IS NULL OR EXISTS (SELECT FROM ledger_posting q JOIN ledger_account b ON b.id = q.account_id
    WHERE q.entry_id = e.id AND b.code = %(account)s))
AND (%(refs)s::text[] IS NULL OR e.source_ref = ANY(%(refs)s))
"""
ENDS = f"""
{CHOSEN}
AND (%(size)s::bigint IS NULL OR EXISTS (
    SELECT FROM ledger_leaf f JOIN ledger_leafpayload d ON d.leaf_id = f.index
    WHERE f.entry_id = e.id AND f.index < %(size)s))
"""
SINCE = "(%(since)s::timestamptz IS NULL OR e.effective_at >= %(since)s)"
TOTALS = f"""
SELECT a.id, a.code, a.name, a.scope, a.kind, a.currency, a.scale, a.entity, a.function, a.object, a.fund, a.project, t.*
FROM (
    SELECT p.layer, coalesce(sum(p.amount) FILTER (WHERE NOT {SINCE}), 0)::bigint, sum(p.amount)::bigint,
        coalesce(sum(p.amount) FILTER (WHERE {SINCE} AND p.amount > 0), 0)::bigint,
        count(*) FILTER (WHERE {SINCE} AND p.amount > 0),
        coalesce(-sum(p.amount) FILTER (WHERE {SINCE} AND p.amount < 0), 0)::bigint,
        count(*) FILTER (WHERE {SINCE} AND p.amount < 0), p.account_id
    FROM ledger_entry e JOIN ledger_posting p ON p.entry_id = e.id WHERE {ENDS} GROUP BY p.account_id, p.layer
) t JOIN ledger_account a ON a.id = t.account_id ORDER BY a.code, t.layer COLLATE "C" DESC
"""  # noqa: S608 - all parts are constants.
ENTRIES = f"""
SELECT {rows.COLUMNS}, ({rows.LINES_OF} e.id) AS lines FROM ledger_entry e
WHERE {ENDS} AND {SINCE} ORDER BY e.id
"""  # noqa: S608 - all parts are constants.


@contextmanager
def snapshot(*, is_read_only: bool = True) -> Iterator[None]:
    """Read the books as they are at one moment, whatever is posted meanwhile; inside a transaction, as that sees them.

    Whoever needs temporary tables says that it is not read only.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                if is_read_only:
                    cursor.execute("SET TRANSACTION READ ONLY")
        yield


def read(selection: Selection) -> Journal:
    """Return the journal, whose entries are read as they are taken; call and use it inside `snapshot`."""
    with connection.cursor() as cursor:
        cursor.execute(TOTALS, selection.values())
        # The last column is the account's number once more.
        totals = [Total._make([*row[:7], Elements(*row[7:12]), *row[12:19]]) for row in cursor.fetchall()]
    # The totals name every account that the entries touch.
    accounts = rows.Accounts(connection)
    accounts |= {
        str(each.id): (each.code, tuple(each.elements), each.currency, each.scale) for each in totals
    }
    return Journal(selection, totals, _entries(selection, accounts))


def _entries(selection: Selection, accounts: rows.Accounts) -> Generator[SealedEntry]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(ENTRIES, selection.values())
        while chunk := cursor.fetchmany(AT_ONCE):
            for row in chunk:
                yield rows.read_entry(row, accounts)
