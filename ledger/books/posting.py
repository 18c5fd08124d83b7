"""Posts entries: a batch with one statement, each entry once, none of them dated before a seal."""

from collections import defaultdict
from collections.abc import Iterable

from django.db import connection, transaction

from govpay.errors import Conflict
from ledger import arrays
from ledger.books import accounts
from ledger.books.draft import Draft, UnbalancedEntry
from ledger.models import Entry


class IdempotencyConflict(Conflict):
    """The key was used before for another entry."""

    code = "entry_conflict"


class AlreadyUndone(Conflict):
    """The entry was reversed, settled or dropped by another; that happens once."""

    code = "already_undone"


class PeriodSealed(Conflict):
    """The date lies in a period that is sealed."""

    code = "period_sealed"


# Entries and their lines in one statement, which is how the database wants them. The marks are read inside it, after its
# trigger has the lock under which periods change.
INSERT = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::timestamptz[], %s::timestamptz[], %s::bool[],
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int4[], %s::int8[]) WITH ORDINALITY
        AS d(kind, scope, key, hash, at, original, keeps, memo, source, actor, approver, block, height, undone, number)
), written AS (
    INSERT INTO ledger_entry (kind, scope, idempotency_key, input_hash, effective_at, original_at, memo, source_ref, actor,
        approver, block_hash, block_height, reversal_of_id)
    SELECT kind, scope, key, hash, CASE WHEN is_late THEN open_from ELSE at END,
        CASE WHEN is_late THEN coalesce(original, at) ELSE original END, memo, source, actor, approver, block, height, undone
    FROM given, ledger_marks() m, LATERAL (SELECT at < open_from AND NOT keeps AS is_late) l
    -- One order for all: two batches with the same keys wait for each other instead of dying in a deadlock.
    ORDER BY key
    ON CONFLICT DO NOTHING RETURNING idempotency_key, id
), lines AS (
    INSERT INTO ledger_posting (entry_id, account_id, amount, reference, layer)
    SELECT w.id, l.account, l.amount, l.reference, l.layer
    FROM unnest(%s::int8[], %s::int8[], %s::int8[], %s::int8[], %s::text[]) WITH ORDINALITY
        AS l(entry, account, amount, reference, layer, number)
    JOIN given g ON g.number = l.entry JOIN written w ON w.idempotency_key = g.key
    ORDER BY l.number
)
SELECT idempotency_key, id FROM written
"""


@transaction.atomic
def post(drafts: Iterable[Draft]) -> list[int]:
    """Post entries and return their ids in order; those whose key and lines are known already are not posted again.

    Raises UnbalancedEntry, AccountMissing, SamePersonTwice where who acted approves it too, IdempotencyConflict where a key
    comes with another entry, AlreadyUndone where another entry undoes the same one, and PeriodSealed where a date that
    somebody chose is; nothing is posted then. All postings go in with one statement, whose trigger demands zero per entry,
    layer and currency.
    """
    batch = list(drafts)
    if not batch:
        return []
    for draft in batch:
        draft.check()
    if len({draft.idempotency_key for draft in batch}) != len(batch):
        raise IdempotencyConflict("One batch uses an idempotency key twice.")
    known_accounts = accounts.find({line.account_code for draft in batch for line in draft.lines})
    _check_currencies(batch, known_accounts)
    _check_dates(batch)
    hashes = [draft.input_hash() for draft in batch]
    new = _insert([*_columns(batch, hashes), *_lines(batch, known_accounts)])
    known = _known(batch, hashes, new)
    return [new.get(draft.idempotency_key) or known[draft.idempotency_key] for draft in batch]


def _check_currencies(batch: list[Draft], found: dict[str, accounts.Known]) -> None:
    if len({account.currency for account in found.values()}) < 2:
        return
    for draft in batch:
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for line in draft.lines:
            sums[line.layer, found[line.account_code].currency] += line.amount
        for (_, currency), total in sums.items():
            if total:
                raise UnbalancedEntry(f"{draft.idempotency_key}: the {currency} lines sum to {total}.")


def _check_dates(batch: list[Draft]) -> None:
    """Raise PeriodSealed for a date that somebody chose and that is sealed, unless the entry stands already."""
    chosen = {draft.idempotency_key: draft for draft in batch if draft.keeps_date}
    if not chosen:
        return
    with connection.cursor() as cursor:
        # What is open now is still open at the insert.
        cursor.execute("SELECT pg_advisory_xact_lock_shared(ledger_lock())")
        cursor.execute("SELECT nullif(sealed_until, '-infinity') FROM ledger_marks()")
        (sealed_until,) = cursor.fetchone()
    late = [key for key, draft in chosen.items() if sealed_until and draft.effective_at < sealed_until]
    for key in set(late) - set(
        Entry.objects.filter(idempotency_key__in=late).values_list("idempotency_key", flat=True)
    ):
        raise PeriodSealed(
            f"{key} is dated {chosen[key].effective_at.isoformat()}; the books are sealed up to"
            f" {sealed_until.isoformat()}.",
            sealed_until=sealed_until.isoformat(),
        )


def _insert(columns: list[list[object]]) -> dict[str, int]:
    """Write entries and lines; return the ids of the entries that are new, by their keys."""
    with arrays.cursor(connection) as cursor:
        cursor.execute(INSERT, columns)
        return dict(cursor.fetchall())


def _columns(batch: list[Draft], hashes: list[bytes]) -> list[list[object]]:
    return [
        [draft.kind for draft in batch],
        [draft.scope for draft in batch],
        [draft.idempotency_key for draft in batch],
        list(hashes),
        [draft.effective_at for draft in batch],
        [draft.original_at for draft in batch],
        [draft.keeps_date for draft in batch],
        [draft.memo for draft in batch],
        [draft.source_ref for draft in batch],
        [draft.actor for draft in batch],
        [draft.approver for draft in batch],
        [draft.block_hash for draft in batch],
        [draft.block_height for draft in batch],
        [draft.reversal_of for draft in batch],
    ]


def _lines(batch: list[Draft], found: dict[str, accounts.Known]) -> list[list[object]]:
    rows = [
        (number, found[code].id, amount, reference, layer)
        for number, draft in enumerate(batch, start=1)
        for code, amount, reference, layer in draft.lines
    ]
    return [list(column) for column in zip(*rows, strict=True)]


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
            raise IdempotencyConflict(
                f"The key {key} was used before for another entry.", key=key, entry_id=pk
            )
        known[key] = pk
    for key, (draft, _) in rest.items():
        # Neither new nor known: the index that allows one undoing an entry turned it away.
        if key not in known:
            raise AlreadyUndone(f"Entry {draft.reversal_of} is undone already.", entry_id=draft.reversal_of)
    return known
