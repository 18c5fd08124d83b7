"""Builds an evidence pack: everything that ``ledger/verify.py`` needs, out of one snapshot of the database, streamed.

No node is asked: places in blocks and headers were kept when they were read. What the pack is made of is in docs/auditor.md.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from django.db.models import QuerySet

from ledger import exports
from ledger.exports import Selection
from ledger.exports.source import snapshot
from ledger.models import Checkpoint
from ledger.packs import evidence, journal, record, runs
from ledger.packs.selection import Asked, NothingSealed, resolve
from ledger.packs.sink import Sink
from ledger.seals import checkpoints, note

FORMAT = "govpay-pack-1"
MANIFEST, MANIFEST_NOTE = "manifest.sha256", "manifest.note"
EVERY = 1_000
JOURNALS = ("csv", "jsonl", "beancount", "hledger")

# Hears what is done, and how many of how many entries are written.
Progress = Callable[[str, int, int], None]


def build(asked: Asked, sink: Sink, *, now: datetime, progress: Progress) -> dict[str, str]:
    """Write a pack and return the SHA-256 of each of its files, the manifest last.

    Raises NothingSealed, NotFound, InvalidInput before anything is written, and checkpoints.NoSealKey. Memory does not grow
    with the books.
    """
    key = checkpoints.signer()
    with snapshot():
        newest = Checkpoint.objects.select_related("seal").order_by("-seal__size").first()
        if newest is None:
            raise NothingSealed(
                "There is no checkpoint of the books yet, so that a pack could prove nothing."
            )
        selection = resolve(asked, newest)
        _write(asked, selection, sink, now, progress)
    manifest = "".join(f"{digest}  {name}\n" for name, digest in sorted(sink.digests.items())).encode()
    sink.add(MANIFEST, [manifest])
    text = f"{FORMAT}\n{hashlib.sha256(manifest).hexdigest()}\n"
    sink.add(MANIFEST_NOTE, [str(note.Note(text, (key.sign(text),))).encode()])
    return sink.digests


def _write(asked: Asked, selection: Selection, sink: Sink, now: datetime, progress: Progress) -> None:
    backend = evidence.backend()
    counted = journal.count(selection)
    known = Checkpoint.objects.select_related("seal").order_by("seal__size")
    own = str(checkpoints.signer().verifier)
    keys = sorted({own, *known.values_list("verifier", flat=True)})
    facts = {
        "format": FORMAT,
        "keys": keys,
        "made_at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "network": backend.network(),
        "not_sealed": str(counted.younger),
        "selection": {"kind": asked.kind, "name": asked.name or asked.scope},
        "size": str(selection.sealed_size),
    }
    sink.add("pack.json", [record.line(facts)])
    progress("entries", 0, counted.sealed)
    sizes = list(known.values_list("seal__size", flat=True))
    leaves = _counting(journal.leaves(selection, sizes), counted.sealed, progress)
    sink.add("journal/leaves.jsonl", leaves)
    for form in map(exports.get_form, JOURNALS):
        progress(f"journal.{form.suffix}", counted.sealed, counted.sealed)
        texts = exports.journal(selection, form.name)
        sink.add(f"exports/journal.{form.suffix}", (text.encode() for text in texts))
    progress("checkpoints", counted.sealed, counted.sealed)
    heights = _write_checkpoints(backend, known, sink)
    progress("lists and payouts", counted.sealed, counted.sealed)
    for file in backend.files(journal.sources(selection)):
        sink.add(file.name, file.parts)
    for file in backend.headers(heights):
        sink.add(file.name, file.parts)
    progress("reconciliation", counted.sealed, counted.sealed)
    sink.add("reconciliation/runs.jsonl", runs.lines(selection))


def _counting(parts: Iterable[bytes], total: int, progress: Progress) -> Iterator[bytes]:
    for done, part in enumerate(parts, start=1):
        yield part
        if done % EVERY == 0:
            progress("entries", min(done, total), total)


def _write_checkpoints(backend: evidence.Backend, known: "QuerySet[Checkpoint]", sink: Sink) -> list[int]:
    """Write each checkpoint, its witnesses and its anchor; return the heights of the blocks that hold them."""
    heights = []
    for checkpoint in known.prefetch_related("cosignatures"):
        name = f"checkpoints/{checkpoint.seal.size}"
        sink.add(f"{name}.note", [checkpoint.note.encode()])
        witnesses = [record.line({"key": c.verifier, "line": c.line}) for c in checkpoint.cosignatures.all()]
        if witnesses:
            sink.add(f"{name}.witnesses", witnesses)
        anchor = backend.anchor(checkpoint)
        if anchor is not None:
            sink.add(f"{name}.ots", [anchor.ots])
            sink.add(f"{name}.json", [record.line(anchor.beside)])
            heights.append(anchor.beside["block_height"])
    return heights
