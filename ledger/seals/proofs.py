"""Proofs over the tree that whoever reads the books may ask for: that an entry is in it, and that it only grew."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import connection

from govpay.errors import Conflict, InvalidInput, NotFound
from ledger.models import Checkpoint, Entry, Leaf, Seal
from ledger.seals import checkpoints, store, tree

HEADER = "c2sp.org/tlog-proof@v1"


class NotSealedYet(Conflict):
    """No checkpoint that was asked for covers the entry."""

    code = "not_sealed"


@dataclass(frozen=True)
class Inclusion:
    """That a leaf is in the tree of a checkpoint; ``salt`` and ``payload`` are None where they were blacked out."""

    checkpoint: Checkpoint
    index: int
    leaf_hash: bytes
    path: Sequence[bytes]
    salt: bytes | None
    payload: bytes | None

    def __str__(self) -> str:
        """Return the proof as text (C2SP tlog-proof): index, path and signed checkpoint, to be checked by anybody."""
        steps = "".join(f"{base64.b64encode(step).decode()}\n" for step in self.path)
        return f"{HEADER}\nindex {self.index}\n{steps}\n{checkpoints.text_of(self.checkpoint)}"


@dataclass(frozen=True)
class Consistency:
    """That the tree over ``new_size`` leaves begins with the one over ``old_size``."""

    old_size: int
    new_size: int
    old_head: bytes
    new_head: bytes
    path: Sequence[bytes]


def of_entry(entry_id: int, size: int | None = None) -> Inclusion:
    """Prove that an entry is in the tree of the checkpoint over so many leaves, or of the newest one.

    Raises NotFound without such an entry or checkpoint, NotSealedYet where the checkpoint does not cover it, and
    store.SealsBroken.
    """
    if not Entry.objects.filter(pk=entry_id).exists():
        raise NotFound(f"There is no entry {entry_id}.")
    over = Checkpoint.objects.select_related("seal")
    checkpoint = (
        over.order_by("-seal__size").first() if size is None else over.filter(seal__size=size).first()
    )
    if checkpoint is None and size is not None:
        raise NotFound(f"No checkpoint has {size} entries.")
    leaf = Leaf.objects.select_related("salt", "payload").filter(entry=entry_id).first()
    if checkpoint is None or leaf is None or leaf.index >= checkpoint.seal.size:
        raise NotSealedYet(f"Entry {entry_id} is not in that checkpoint; a later one will cover it.")
    salt, payload = getattr(leaf, "salt", None), getattr(leaf, "payload", None)
    return Inclusion(
        checkpoint=checkpoint,
        index=leaf.index,
        leaf_hash=bytes(leaf.hash),
        path=tree.prove_inclusion(_read(), leaf.index, checkpoint.seal.size),
        salt=None if salt is None else bytes(salt.salt),
        payload=None if payload is None else bytes(payload.payload),
    )


def between(old_size: int, new_size: int) -> Consistency:
    """Prove that the tree over so many leaves continues a smaller one; raise InvalidInput, store.SealsBroken."""
    newest = Seal.objects.order_by("-size").first()
    most = newest.size if newest is not None else 0
    for column, value, least, limit in (("new", new_size, 1, most), ("old", old_size, 1, new_size)):
        if not least <= value <= limit:
            message = f"A size from {least} to {limit} is needed; {most} leaves are sealed."
            raise InvalidInput(
                message, errors=[{"row": 0, "column": column, "code": "invalid", "message": message}]
            )
    read = _read()
    return Consistency(
        old_size=old_size,
        new_size=new_size,
        old_head=tree.head(read, old_size),
        new_head=tree.head(read, new_size),
        path=tree.prove_consistency(read, old_size, new_size),
    )


def _read() -> tree.Read:
    return partial(store.read_from, connection)
