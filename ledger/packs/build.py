"""Builds an evidence pack: everything that ``ledger/verify.py`` needs, out of one snapshot of the database, streamed.

No node is asked: places in blocks and headers were kept when they were read. What the pack is made of is in docs/auditor.md.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

from django.db.models import F, QuerySet

from ledger import exports
from ledger.exports import Selection
from ledger.exports.source import snapshot
from ledger.models import Checkpoint, Cosignature
from ledger.packs import chosen, evidence, journal, record, runs
from ledger.packs.beside import Beside
from ledger.packs.selection import Asked, NothingSealed, resolve
from ledger.packs.sink import Sink
from ledger.seals import checkpoints, note

FORMAT = "govpay-pack-1"
MANIFEST, MANIFEST_NOTE = "manifest.sha256", "manifest.note"
EVERY = 1_000
# How to check it, and whom it names.
README = Path(__file__).with_name("readme.txt")
JOURNALS = ("csv", "jsonl", "beancount", "hledger")

# Hears what is done, and how many of how many entries are written.
Progress = Callable[[str, int, int], None]


def build(asked: Asked, sink: Sink, *, now: datetime, progress: Progress) -> dict[str, str]:
    """Write a pack and return the SHA-256 of each of its files, the manifest last.

    Raises NothingSealed, NotFound, InvalidInput before anything is written, and checkpoints.NoSealKey. Neither
    the number of statements grows with the pack nor memory, but for a line a file.
    """
    key = checkpoints.signer()
    # Nothing of the books is written; the tables that say what is chosen are temporary.
    with snapshot(is_read_only=False):
        newest = Checkpoint.objects.select_related("seal").order_by("-seal__size").first()
        if newest is None:
            raise NothingSealed(
                "There is no checkpoint of the books yet, so that a pack could prove nothing."
            )
        selection = resolve(asked, newest)
        _write(asked, selection, newest.seal.size, sink, now, progress)
    manifest = "".join(f"{digest}  {name}\n" for name, digest in sorted(sink.digests.items())).encode()
    sink.add(MANIFEST, [manifest])
    text = f"{FORMAT}\n{hashlib.sha256(manifest).hexdigest()}\n"
    sink.add(MANIFEST_NOTE, [str(note.Note(text, (key.sign(text),))).encode()])
    return sink.digests


def _write(
    asked: Asked, selection: Selection, size: int, sink: Sink, now: datetime, progress: Progress
) -> None:
    backend = evidence.backend()
    sealed, younger = chosen.choose(selection)
    known = Checkpoint.objects.select_related("seal").order_by("seal__size")
    own = str(checkpoints.signer().verifier)
    keys = sorted({own, *known.order_by().values_list("verifier", flat=True).distinct()})
    facts = {
        "format": FORMAT,
        "keys": keys,
        "made_at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "network": backend.network(),
        "not_sealed": str(younger),
        "selection": {"kind": asked.kind, "name": asked.name, "scope": asked.scope},
        "size": str(size),
    }
    sink.add("readme.txt", [README.read_bytes()])
    sink.add("pack.json", [record.line(facts)])
    progress("entries", 0, sealed)
    sink.add("journal/leaves.jsonl", _counting(journal.leaves(size), sealed, progress))
    for form in map(exports.get_form, JOURNALS):
        progress(f"journal.{form.suffix}", sealed, sealed)
        texts = exports.journal(selection, form.name)
        sink.add(f"exports/journal.{form.suffix}", (text.encode() for text in texts))
    progress("checkpoints", sealed, sealed)
    _write_checkpoints(backend, known, sink)
    progress("lists and payouts", sealed, sealed)
    for file in backend.files(chosen.numbers):
        sink.add(file.name, file.parts)
    progress("reconciliation", sealed, sealed)
    sink.add("reconciliation/runs.jsonl", runs.lines(selection, chosen.scopes()))


def _counting(parts: Iterable[bytes], total: int, progress: Progress) -> Iterator[bytes]:
    for done, part in enumerate(parts, start=1):
        yield part
        if done % EVERY == 0:
            progress("entries", min(done, total), total)


def _write_checkpoints(backend: evidence.Backend, known: "QuerySet[Checkpoint]", sink: Sink) -> None:
    """Write each checkpoint, its witnesses and its anchor."""
    cosignatures = Cosignature.objects.order_by("checkpoint__seal__size", "pk").annotate(
        size=F("checkpoint__seal__size")
    )
    witnesses = Beside(cosignatures.iterator(chunk_size=EVERY), attrgetter("size"))
    anchors = Beside(backend.anchors(), attrgetter("size"))
    for checkpoint in known.iterator(chunk_size=EVERY):
        size = checkpoint.seal.size
        name = f"checkpoints/{size}"
        sink.add(f"{name}.note", [checkpoint.note.encode()])
        lines = [record.line({"key": c.verifier, "line": c.line}) for c in witnesses.of(size)]
        if lines:
            sink.add(f"{name}.witnesses", lines)
        for anchor in anchors.of(size):
            sink.add(f"{name}.ots", [anchor.ots])
            sink.add(f"{name}.json", [record.line(anchor.beside)])
