"""Checkpoints: signs heads of the tree as notes that anybody can check, and takes witnesses' lines under them.

Only a head whose leaves are committed is signed. Salts are random: had a crash taken a signed head's leaves back, the next
head of that size would be another one, and two signed heads of one size are what a log must never have.
"""

import hashlib
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from govpay.errors import Conflict, NotFound
from ledger.models import Checkpoint, Cosignature, Seal
from ledger.seals import note, sealer, store, tree
from ledger.seals.sealer import FailPoint, ignore


class NoSealKey(Conflict):
    """The installation has no key to sign checkpoints with."""

    code = "no_seal_key"


def signer() -> note.Signer:
    """Return the installation's key, named as its log; raise NoSealKey."""
    if settings.GOVPAY_SEAL_KEY is None:
        raise NoSealKey("GOVPAY_SEAL_KEY is not set, so that no checkpoint can be signed.")
    return note.Signer(settings.GOVPAY_SEAL_ORIGIN, settings.GOVPAY_SEAL_KEY)


def own_keys() -> list[str]:
    """Return the public half of the installation's key, if it has one."""
    return [] if settings.GOVPAY_SEAL_KEY is None else [str(signer().verifier)]


def issue(*, failpoint: FailPoint = ignore) -> Checkpoint | None:
    """Sign the newest seal's head, once, and return its checkpoint; None when nothing is sealed yet.

    Raises NoSealKey, and store.SealsBroken when the tree no longer gives that head, or does not continue the one that was
    signed before; nothing is signed then.
    """
    seal = sealer.newest()
    if seal is None:
        return None
    known = _all().filter(seal=seal).first()
    if known is not None:
        return known
    key = signer()
    _require_continued(seal)
    text = str(note.TreeHead(key.name, seal.size, bytes(seal.root)))
    signed = str(note.Note(text, (key.sign(text),)))
    failpoint("K18")
    # Ed25519 gives one signature of one text: whoever was faster wrote the same note.
    Checkpoint.objects.using(store.alias()).bulk_create(
        [Checkpoint(seal=seal, note=signed, verifier=str(key.verifier))], ignore_conflicts=True
    )
    return _all().get(seal=seal)


def is_due(every_s: int) -> bool:
    """Tell whether a key is there, a newer head than the last signed one, and that one so old, by the database's clock."""
    seal, last = sealer.newest(), newest()
    if settings.GOVPAY_SEAL_KEY is None or seal is None or (last is not None and last.seal_id == seal.pk):
        return False
    if last is None:
        return True
    return not _all().filter(pk=last.pk, signed_at__gt=Now() - timedelta(seconds=every_s)).exists()


def newest() -> Checkpoint | None:
    """Return the checkpoint over the most entries."""
    return _all().order_by("-seal__size").first()


def get(size: int | None = None) -> Checkpoint:
    """Return the checkpoint over so many entries, or the newest; raise NotFound."""
    found = newest() if size is None else _all().filter(seal__size=size).first()
    if found is None:
        raise NotFound(
            "There is no checkpoint yet." if size is None else f"No checkpoint has {size} entries."
        )
    return found


def text_of(checkpoint: Checkpoint) -> str:
    """Return the note with the witnesses' lines."""
    lines = checkpoint.cosignatures.order_by("pk").values_list("line", flat=True)
    return checkpoint.note + "".join(f"{line}\n" for line in lines)


def digest(checkpoint: Checkpoint) -> bytes:
    """Return the SHA-256 of the note as the log signed it: what is anchored. Witnesses' lines come later."""
    return hashlib.sha256(checkpoint.note.encode()).digest()


def prove_consistency(old_size: int, new_size: int) -> list[bytes]:
    """Return the proof that one head continues another; raise ValueError, store.SealsBroken."""
    return tree.prove_consistency(store.read, old_size, new_size)


def cosign(checkpoint: Checkpoint, *, line: str, verifier: str) -> Cosignature:
    """Keep a witness's line under a checkpoint; harmless to repeat. Raises note.NoteRefused unless its key made it."""
    signature = note.parse_signature(line)
    witness = note.Verifier.parse(verifier)
    if witness.kind != note.WITNESS:
        raise note.NoteRefused(f"The key of {witness.name} is not a witness's.")
    text = note.Note.parse(checkpoint.note).text
    note.Note(text, (signature,)).require(witness)
    found, _ = Cosignature.objects.using(store.alias()).get_or_create(
        checkpoint=checkpoint, line=signature.line(), defaults={"verifier": str(witness)}
    )
    return found


def _all() -> QuerySet[Checkpoint]:
    return Checkpoint.objects.using(store.alias()).select_related("seal")


def _require_continued(seal: Seal) -> None:
    if tree.head(store.read, seal.size) != bytes(seal.root):
        raise store.SealsBroken(f"The tree does not give the head of the seal over {seal.size} entries.")
    last = newest()
    if last is None:
        return
    signed = note.TreeHead.parse(note.Note.parse(last.note).text)
    path = prove_consistency(signed.size, seal.size)
    if not tree.is_consistent(signed.size, seal.size, signed.root, bytes(seal.root), path):
        raise store.SealsBroken(f"The tree does not continue the checkpoint over {signed.size} entries.")
