"""Posts, reverses and adds up journal entries: batched, idempotent, in whole units, never changed afterwards."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from govpay.errors import Conflict, GovPayError, NotFound
from ledger.models import Account, AccountKind, Entry, Posting

MOST = 2**63 - 1


class UnbalancedEntry(GovPayError):
    """The lines do not sum to zero, or one of them is zero, or there are fewer than two."""

    code = "unbalanced_entry"
    http_status = 500


class AccountMissing(GovPayError):
    """A line names an account that was never opened."""

    code = "account_missing"
    http_status = 500


class AccountTaken(Conflict):
    """The code is another scope's account, or of another kind."""

    code = "account_taken"


class IdempotencyConflict(Conflict):
    """The key was used before for other lines."""

    code = "entry_conflict"


class AlreadyReversed(Conflict):
    """The entry has its reversal; it may have only one."""

    code = "already_reversed"


class Line(NamedTuple):
    """A signed amount on an account, perhaps about one payment; debits are positive."""

    account_code: str
    amount: int
    reference: int | None = None


class NewAccount(NamedTuple):
    """An account to open."""

    code: str
    name: str
    kind: AccountKind


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An entry before it is posted; a list of 500 payments is 500 lines with references."""

    kind: str
    scope: str
    idempotency_key: str
    lines: Sequence[Line] = field(repr=False)
    effective_at: datetime
    memo: str = ""
    source_ref: str = ""
    actor: str = ""
    approver: str = ""
    block_hash: str = ""
    block_height: int | None = None
    reversal_of: int | None = None

    def input_hash(self) -> bytes:
        """Return the SHA-256 of what must be the same when the key is used again; times and memos may differ."""
        digest = hashlib.sha256(f"{self.kind}|{self.scope}|{self.source_ref}|{self.reversal_of}\n".encode())
        digest.update("".join(f"{c}|{a}|{r}\n" for c, a, r in self.lines).encode())
        return digest.digest()


INSERT_ENTRIES = """
INSERT INTO ledger_entry (kind, scope, idempotency_key, input_hash, effective_at, memo, source_ref, actor,
    approver, block_hash, block_height, reversal_of_id)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::timestamptz[], %s::text[], %s::text[],
    %s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[]) AS d(kind, scope, key)
-- One order for all: two batches with the same keys wait for each other instead of dying in a deadlock.
ORDER BY d.key
ON CONFLICT DO NOTHING RETURNING idempotency_key, id
"""
INSERT_POSTINGS = """
INSERT INTO ledger_posting (entry_id, account_id, amount, reference)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
"""


@transaction.atomic
def post(drafts: Iterable[Draft]) -> list[int]:
    """Post entries and return their ids in order; those whose key and lines are known already are not posted again.

    Raises UnbalancedEntry, AccountMissing, IdempotencyConflict where a key comes with other lines, and
    AlreadyReversed where another entry mirrors the same one; nothing is posted then. All postings go in with one
    statement, whose trigger demands zero per entry and currency.
    """
    batch = list(drafts)
    if not batch:
        return []
    for draft in batch:
        _check(draft)
    if len({draft.idempotency_key for draft in batch}) != len(batch):
        raise IdempotencyConflict("One batch uses an idempotency key twice.")
    accounts = _account_ids({line.account_code for draft in batch for line in draft.lines})
    hashes = [draft.input_hash() for draft in batch]
    with connection.cursor() as cursor:
        cursor.execute(INSERT_ENTRIES, _columns(batch, hashes))
        new = dict(cursor.fetchall())
        rows = [
            (new[draft.idempotency_key], accounts[line.account_code], line.amount, line.reference)
            for draft in batch
            if draft.idempotency_key in new
            for line in draft.lines
        ]
        if rows:
            cursor.execute(INSERT_POSTINGS, [list(column) for column in zip(*rows, strict=True)])
    known = _known(batch, hashes, new)
    return [new.get(draft.idempotency_key) or known[draft.idempotency_key] for draft in batch]


def _check(draft: Draft) -> None:
    amounts = [line.amount for line in draft.lines]
    if any(type(amount) is not int or amount == 0 or abs(amount) > MOST for amount in amounts):
        raise UnbalancedEntry(f"{draft.idempotency_key}: an amount is zero, no integer or too large.")
    if len(amounts) < 2 or sum(amounts) != 0:
        raise UnbalancedEntry(
            f"{draft.idempotency_key}: the lines sum to {sum(amounts)}.", lines=len(amounts)
        )


def _columns(batch: list[Draft], hashes: list[bytes]) -> list[list[object]]:
    return [
        [draft.kind for draft in batch],
        [draft.scope for draft in batch],
        [draft.idempotency_key for draft in batch],
        list(hashes),
        [draft.effective_at for draft in batch],
        [draft.memo for draft in batch],
        [draft.source_ref for draft in batch],
        [draft.actor for draft in batch],
        [draft.approver for draft in batch],
        [draft.block_hash for draft in batch],
        [draft.block_height for draft in batch],
        [draft.reversal_of for draft in batch],
    ]


def _account_ids(codes: set[str]) -> dict[str, int]:
    found = dict(Account.objects.filter(code__in=codes).values_list("code", "pk"))
    missing = sorted(codes - set(found))
    if missing:
        raise AccountMissing(f"These accounts were never opened: {', '.join(missing)}.", accounts=missing)
    return found


def _known(batch: list[Draft], hashes: list[bytes], new: dict[str, int]) -> dict[str, int]:
    """Return the ids of entries that stood already, after comparing what was posted under each key."""
    rest = {
        draft.idempotency_key: (draft, digest)
        for draft, digest in zip(batch, hashes, strict=True)
        if draft.idempotency_key not in new
    }
    rows = Entry.objects.filter(idempotency_key__in=rest).values_list("idempotency_key", "pk", "input_hash")
    known = {}
    for key, pk, digest in rows if rest else ():
        if bytes(digest) != rest[key][1]:
            raise IdempotencyConflict(f"The key {key} was used before for other lines.", key=key, entry_id=pk)
        known[key] = pk
    for key, (draft, _) in rest.items():
        # Neither new nor known: the index that allows one reversal an entry turned it away.
        if key not in known:
            raise AlreadyReversed(
                f"Entry {draft.reversal_of} is reversed already.", entry_id=draft.reversal_of
            )
    return known


def reverse(
    entry_id: int,
    *,
    idempotency_key: str,
    effective_at: datetime,
    memo: str,
    actor: str,
    approver: str = "",
) -> int:
    """Post the mirror of an entry, once, and return its id; raise AlreadyReversed under another key."""
    (reversal_id,) = reverse_each(
        {entry_id: idempotency_key}, effective_at=effective_at, memo=memo, actor=actor, approver=approver
    )
    return reversal_id


@transaction.atomic
def reverse_each(
    keys: Mapping[int, str], *, effective_at: datetime, memo: str, actor: str, approver: str = ""
) -> list[int]:
    """Post the mirrors of entries, each once under its key, in one batch; return their ids in the order of ``keys``.

    Raises NotFound, and AlreadyReversed where an entry was reversed under another key; nothing is posted then.
    """
    entries = Entry.objects.in_bulk(list(keys))
    for entry_id in keys:
        if entry_id not in entries:
            raise NotFound(f"There is no entry {entry_id}.")
    for done in Entry.objects.filter(reversal_of__in=keys).only("reversal_of", "idempotency_key"):
        if done.idempotency_key != keys[done.reversal_of_id or 0]:
            raise AlreadyReversed(
                f"Entry {done.reversal_of_id} is reversed already.", entry_id=done.reversal_of_id
            )
    lines: dict[int, list[Line]] = {entry_id: [] for entry_id in keys}
    postings = Posting.objects.filter(entry__in=keys).order_by("pk")
    for entry_id, code, amount, reference in postings.values_list(
        "entry", "account__code", "amount", "reference"
    ):
        lines[entry_id].append(Line(code, -amount, reference))
    return post(
        Draft(
            kind=f"{entries[entry_id].kind}_reversal",
            scope=entries[entry_id].scope,
            idempotency_key=key,
            lines=lines[entry_id],
            effective_at=effective_at,
            memo=memo,
            source_ref=entries[entry_id].source_ref,
            actor=actor,
            approver=approver,
            block_hash=entries[entry_id].block_hash,
            block_height=entries[entry_id].block_height,
            reversal_of=entry_id,
        )
        for entry_id, key in keys.items()
    )


def open_accounts(scope: str, accounts: Iterable[NewAccount]) -> None:
    """Open satoshi accounts; those that exist stay as they are. Raises AccountTaken for one of another scope or kind."""
    wanted = {new.code: new for new in accounts}
    Account.objects.bulk_create(
        (Account(code=new.code, name=new.name, kind=new.kind, scope=scope) for new in wanted.values()),
        ignore_conflicts=True,
    )
    for account in Account.objects.filter(code__in=wanted):
        if (account.scope, account.kind) != (scope, wanted[account.code].kind):
            raise AccountTaken(
                f"The account {account.code} belongs to {account.scope}.", account=account.code
            )


class AccountBalance(NamedTuple):
    """An account with its signed balance and the totals of its debits and credits."""

    code: str
    name: str
    kind: str
    currency: str
    scale: int
    debit: int
    credit: int

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
    coalesce(-sum(p.amount) FILTER (WHERE p.amount < 0), 0)::bigint
FROM ledger_account a LEFT JOIN {postings} ON p.account_id = a.id
WHERE %(scope)s::text IS NULL OR a.scope = %(scope)s
GROUP BY a.id ORDER BY a.code
"""
BALANCE = """
SELECT (SELECT coalesce(sum(p.amount), 0) FROM {postings} WHERE p.account_id = a.id)::bigint
FROM ledger_account a WHERE a.code = %(code)s
"""
# The join is left out where no time is asked for, so that an index alone answers.
POSTINGS = "ledger_posting p"
POSTINGS_THEN = """
(SELECT p.* FROM ledger_posting p JOIN ledger_entry e ON e.id = p.entry_id WHERE e.effective_at <= %(at)s) p
"""


def trial_balance(scope: str | None = None, at: datetime | None = None) -> TrialBalance:
    """Return debits and credits of every account of a scope, or of all, at a time or now, in one query."""
    query = BALANCES.format(postings=POSTINGS if at is None else POSTINGS_THEN)
    with connection.cursor() as cursor:
        cursor.execute(query, {"scope": scope, "at": at})
        return TrialBalance([AccountBalance(*row) for row in cursor.fetchall()])


def balance(account_code: str, at: datetime | None = None) -> int:
    """Return an account's signed balance in its smallest unit; raise AccountMissing."""
    query = BALANCE.format(postings=POSTINGS if at is None else POSTINGS_THEN)
    with connection.cursor() as cursor:
        cursor.execute(query, {"code": account_code, "at": at})
        row = cursor.fetchone()
    if row is None:
        raise AccountMissing(f"The account {account_code} was never opened.", accounts=[account_code])
    return int(row[0])
