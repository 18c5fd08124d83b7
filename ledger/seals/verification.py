"""Checks every seal against what is stored: bytes, salts, hashes, rows, heads and signatures; says what is wrong and where.

It reads everything once, in order, and keeps the right edge of the tree only. The stored bytes are compared both with
their hash and with the entry's row as it is now, in the version that the bytes name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import transaction

from ledger.models import Checkpoint, Redaction, Seal, Subtree
from ledger.seals import canonical, checkpoints, leaf, note, rows, sealer, store, tree

AT_ONCE = 500
LEAVES = f"""
SELECT c.*, l.lines FROM (
    SELECT {rows.COLUMNS}, f.index, f.entry_id, f.hash, s.salt, d.payload, f.run_id, {rows.RUN_COLUMNS},
        f.period_change_id, {rows.CHANGE_COLUMNS}, f.event_id, {rows.EVENT_COLUMNS}
    FROM ledger_leaf f LEFT JOIN ledger_leafsalt s ON s.leaf_id = f.index
    LEFT JOIN ledger_reconciliationrun r ON r.id = f.run_id
    LEFT JOIN ledger_periodchange g ON g.id = f.period_change_id LEFT JOIN ledger_period q ON q.id = g.period_id
    LEFT JOIN ledger_auditevent v ON v.id = f.event_id
    LEFT JOIN ledger_leafpayload d ON d.leaf_id = f.index LEFT JOIN ledger_entry e ON e.id = f.entry_id
    ORDER BY f.index
) c LEFT JOIN LATERAL (
    {rows.LINES_OF} c.entry_id
) l ON true ORDER BY c.index
"""  # noqa: S608 - all parts are constants.
SKIPPED = f"""
SELECT e.id FROM ledger_entry e WHERE (e.insert_xid, e.id) <= (%s::text::xid8, %s::bigint) AND {sealer.UNSEALED}
ORDER BY e.id
"""  # noqa: S608 - all parts are constants.
# By the last seal after which no entry was left, all runs had their leaves too.
SKIPPED_RUNS = """
SELECT r.id FROM ledger_reconciliationrun r WHERE r.insert_xid < %s::text::xid8
    AND NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.run_id = r.id) ORDER BY r.id
"""
# A change is older than the seal that was made after it by as long as the sealer may have waited for older writers.
SKIPPED_CHANGES = """
SELECT g.id FROM ledger_periodchange g WHERE g.recorded_at < %s - interval '1 hour'
    AND NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.period_change_id = g.id) ORDER BY g.id
"""
SKIPPED_EVENTS = """
SELECT v.id FROM ledger_auditevent v WHERE (v.insert_xid, v.id) <= (%s::text::xid8, %s::bigint)
    AND NOT EXISTS (SELECT FROM ledger_leaf f WHERE f.event_id = v.id) ORDER BY v.id
"""
# The column after those of an entry; the next are entry_id, hash, salt, payload, run_id and the columns of a run, then the
# same of a period's change and of an audit event.
INDEX = rows.AFTER
HASH, RUN, CHANGE, EVENT, END = INDEX + 2, INDEX + 5, INDEX + 22, INDEX + 32, INDEX + 46


class Finding(NamedTuple):
    """Something that is wrong: a stable code, the entry it is about where it is about one, and a sentence."""

    code: str
    entry_id: int | None
    message: str


@dataclass
class Report:
    """What was read, and what is wrong with it; without findings all is as it was sealed."""

    entries: int = 0
    seals: int = 0
    checkpoints: int = 0
    findings: list[Finding] = field(default_factory=list)


def verify(*, keys: Sequence[str] = ()) -> Report:
    """Check all seals as of one moment; ``keys`` are verifiers to trust besides the installation's own.

    Raises note.NoteRefused for a key that is none. The time is linear in the entries, and memory does not grow.
    """
    trusted = {key: note.Verifier.parse(key) for key in [*keys, *checkpoints.own_keys()]}
    report = Report()
    with transaction.atomic(using=store.alias(), durable=True):
        with store.database().cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        report.findings += _Walk(report).findings()
        report.findings += _skipped()
        report.findings += _checkpoints(report, trusted)
    return report


class _Walk:
    """Goes over the leaves in order, and meets the seals and the whole subtrees on the way."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.edge = tree.Frontier()
        self.sealed = 0
        # Of each level the hashes that are no whole subtree of the next one yet, and how many of those there were.
        self.open: list[list[bytes]] = [[]]
        self.whole = 0

    def findings(self) -> Iterator[Finding]:
        seals = Seal.objects.using(store.alias()).order_by("size").iterator(AT_ONCE)
        seal = next(seals, None)
        accounts = rows.Accounts(store.database())
        for row in _rows():
            index, digest = row[INDEX], bytes(row[HASH])
            if index != self.edge.size:
                yield Finding(
                    "leaf_missing", None, f"Leaf {self.edge.size} is not there; the next one is {index}."
                )
                return
            yield from _leaf(row, accounts)
            self.edge.add(digest)
            yield from self._subtrees(digest)
            if seal is not None and seal.size == self.edge.size:
                yield from self._seal(seal)
                seal = next(seals, None)
        self.report.entries = self.edge.size
        if seal is not None:
            message = f"A seal is over {seal.size} entries, and there are {self.edge.size} leaves."
            yield Finding("leaf_missing", None, message)
        if self.sealed < self.edge.size:
            message = f"There are {self.edge.size} leaves, and seals over {self.sealed} of them."
            yield Finding("seal_missing", None, message)
        stored = Subtree.objects.using(store.alias()).count()
        if stored != self.whole:
            yield Finding(
                "subtree_changed", None, f"{self.whole} subtrees are whole, and {stored} are stored."
            )

    def _seal(self, seal: Seal) -> Iterator[Finding]:
        self.report.seals += 1
        if seal.start != self.sealed:
            message = f"The seal over {seal.size} entries begins at {seal.start}, not at {self.sealed}."
            yield Finding("seal_changed", None, message)
        if bytes(seal.root) != self.edge.head():
            message = f"The leaves do not give the head of the seal over {seal.size} entries."
            yield Finding("seal_changed", None, message)
        self.sealed = seal.size

    def _subtrees(self, digest: bytes) -> Iterator[Finding]:
        self.open[0].append(digest)
        level = 0
        while len(self.open[level]) == tree.FANOUT:
            found = tree.fold(self.open[level])
            self.open[level] = []
            level += 1
            self.whole += 1
            if level == len(self.open):
                self.open.append([])
            self.open[level].append(found)
            index = (self.edge.size >> (tree.LEVEL_BITS * level)) - 1
            stored = Subtree.objects.using(store.alias()).filter(level=level, index=index).first()
            if stored is None or bytes(stored.hash) != found:
                message = f"The stored hash of subtree {index} of level {level} is not that of its leaves."
                yield Finding("subtree_changed", None, message)


def _rows() -> Iterator[tuple[Any, ...]]:
    with store.database().chunked_cursor() as cursor:
        cursor.execute(LEAVES)
        while chunk := cursor.fetchmany(AT_ONCE):
            yield from chunk


def _leaf(row: tuple[Any, ...], accounts: rows.Accounts) -> Iterator[Finding]:
    """Compare the stored bytes of a leaf with its hash, and with the entry or the run."""
    entry_id, digest, salt, payload, run_id = row[INDEX + 1 : RUN + 1]
    kind, name = _name(entry_id, run_id, row[CHANGE], row[EVENT])
    if salt is None and payload is None and _is_redacted(row[INDEX]):
        return
    if salt is None or payload is None:
        yield Finding("bytes_missing", entry_id, f"The sealed bytes, or the salt, of {name} are gone.")
        return
    salt, payload = bytes(salt), bytes(payload)
    if len(salt) != leaf.SALT_BYTES or leaf.digest(salt, payload) != bytes(digest):
        message = f"The sealed bytes of {name} are not those of its leaf {row[INDEX]}."
        yield Finding("bytes_changed", entry_id, message)
        return
    if all(row[first] is None for first in (0, RUN + 1, CHANGE + 1, EVENT + 1)):
        message = f"{name.capitalize()} is sealed and no longer in the books."
        yield Finding(f"{kind}_missing", entry_id, message)
        return
    try:
        if entry_id is not None:
            now = _encode(rows.read_entry(row, accounts), payload)
        elif run_id is not None:
            now = canonical.encode_run(rows.read_run(row[RUN + 1 : CHANGE]))
        elif row[CHANGE] is not None:
            now = canonical.encode_change(rows.read_change(row[CHANGE + 1 : EVENT]))
        else:
            now = canonical.encode_event(rows.read_event(row[EVENT + 1 : END]))
    except canonical.UnknownVersion as error:
        yield Finding("version_unknown", entry_id, f"{name.capitalize()}: {error}")
        return
    if now != payload:
        then, found = canonical.heading_of(payload), canonical.heading_of(now)
        names = ", ".join(sorted(name for name in found if found[name] != then.get(name))) or "lines"
        message = f"{name.capitalize()} is no longer what was sealed: {names}."
        yield Finding(f"{kind}_changed", entry_id, message)


def _name(
    entry_id: int | None, run_id: int | None, change_id: int | None, event_id: int | None
) -> tuple[str, str]:
    """Return what kind of thing a leaf is of, and its name."""
    if entry_id is not None:
        return "entry", f"entry {entry_id}"
    if run_id is not None:
        return "run", f"run {run_id}"
    return (
        ("period", f"period change {change_id}") if change_id is not None else ("event", f"event {event_id}")
    )


def _encode(entry: canonical.SealedEntry, payload: bytes) -> bytes:
    """Return the bytes of an entry in the version of what was sealed.

    An account that had no elements then may have been classified since, once: its lines were sealed without.
    """
    version = canonical.version_of(payload)
    now = canonical.encode(entry, version)
    then = canonical.elements_of(payload)
    if now == payload or len(then) != len(entry.lines):
        return now
    lines = [
        line if any(elements) else line._replace(elements=elements)
        for line, elements in zip(entry.lines, then, strict=True)
    ]
    return canonical.encode(entry._replace(lines=lines), version)


def _is_redacted(index: int) -> bool:
    return Redaction.objects.using(store.alias()).filter(leaf=index).exists()


def _skipped() -> Iterator[Finding]:
    last = sealer.newest()
    if last is None:
        return
    with store.database().cursor() as cursor:
        cursor.execute(SKIPPED, [last.horizon_xid, last.horizon_id])
        for (entry_id,) in cursor:
            message = f"Entry {entry_id} should be sealed, by the order of writing, and is not."
            yield Finding("entry_unsealed", entry_id, message)
        cursor.execute(SKIPPED_EVENTS, [last.event_xid, last.event_id])
        for (event_id,) in cursor:
            message = f"Event {event_id} should be sealed, by the order of writing, and is not."
            yield Finding("event_unsealed", None, message)
        if last.horizon_id == 0:
            cursor.execute(SKIPPED_RUNS, [last.horizon_xid])
            for (run_id,) in cursor:
                message = f"Run {run_id} should be sealed, by the order of writing, and is not."
                yield Finding("run_unsealed", None, message)
            cursor.execute(SKIPPED_CHANGES, [last.sealed_at])
            for (change_id,) in cursor:
                message = f"Period change {change_id} should be sealed, and is not."
                yield Finding("period_unsealed", None, message)


def _checkpoints(report: Report, trusted: dict[str, note.Verifier]) -> Iterator[Finding]:
    rows = Checkpoint.objects.using(store.alias()).select_related("seal").order_by("seal__size")
    for row in rows.iterator(AT_ONCE):
        report.checkpoints += 1
        name = f"The checkpoint over {row.seal.size} entries"
        if row.verifier not in trusted:
            message = f"{name} is signed by {row.verifier}, which nobody said to trust."
            yield Finding("key_unknown", None, message)
            continue
        try:
            signed = note.Note.parse(row.note)
            signed.require(trusted[row.verifier])
            head = note.TreeHead.parse(signed.text)
            for line in row.cosignatures.order_by("pk"):
                witness = note.Note(signed.text, (note.parse_signature(line.line),))
                witness.require(note.Verifier.parse(line.verifier))
        except note.NoteRefused as error:
            yield Finding("checkpoint_changed", None, f"{name}: {error.message}")
            continue
        said = (trusted[row.verifier].name, row.seal.size, bytes(row.seal.root))
        if (head.origin, head.size, head.root) != said:
            yield Finding("checkpoint_changed", None, f"{name} says something else than its seal.")
