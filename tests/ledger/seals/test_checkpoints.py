"""Checkpoints: signed once a head, continued always, and witnessed by others."""

import hashlib
from collections.abc import Callable

import pytest
from django.db import connection

from govpay.errors import NotFound
from ledger.models import Checkpoint, Cosignature
from ledger.seals import checkpoints, note, sealer, store, tree
from tests.ledger.seals.scene import post, tampering

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")


def issued(*keys: str) -> Checkpoint:
    post(*keys)
    sealer.seal()
    found = checkpoints.issue()
    assert found is not None
    return found


class TestIssue:
    def test_signs_the_newest_head(self) -> None:
        found = issued("a", "b")
        signed = note.Note.parse(found.note)
        signed.require(note.Verifier.parse(found.verifier))
        head = note.TreeHead.parse(signed.text)
        assert (head.origin, head.size, head.root) == ("govpay.example/books", 2, bytes(found.seal.root))
        assert checkpoints.digest(found) == hashlib.sha256(found.note.encode()).digest()

    def test_signs_a_head_once(self) -> None:
        assert issued("a") == checkpoints.issue()
        assert Checkpoint.objects.count() == 1

    def test_signs_nothing_of_empty_books(self) -> None:
        assert checkpoints.issue() is None

    def test_needs_a_key(self, settings: object) -> None:
        settings.GOVPAY_SEAL_KEY = None  # type: ignore[attr-defined]
        post("a")
        sealer.seal()
        with pytest.raises(checkpoints.NoSealKey):
            checkpoints.issue()
        assert not Checkpoint.objects.exists()

    def test_proves_that_any_continues_any_before(self) -> None:
        heads = []
        for number in range(6):
            found = issued(*(f"{number}-{each}" for each in range(number * 3 + 1)))
            heads.append((found.seal.size, bytes(found.seal.root)))
        for place, (old_size, old_root) in enumerate(heads):
            for new_size, new_root in heads[place:]:
                proof = checkpoints.prove_consistency(old_size, new_size)
                assert tree.is_consistent(old_size, new_size, old_root, new_root, proof)

    @pytest.mark.parametrize(
        "harm",
        [
            "UPDATE ledger_leaf SET hash = sha256('x') WHERE index = 1",
            "UPDATE ledger_seal SET root = sha256('x') WHERE size = 4",
        ],
    )
    def test_signs_nothing_that_contradicts_the_tree(self, harm: str) -> None:
        issued("a", "b", "c")
        post("d")
        sealer.seal()
        with tampering("ledger_leaf", "ledger_seal"), connection.cursor() as cursor:
            cursor.execute(harm)
        with pytest.raises(store.SealsBroken):
            checkpoints.issue()
        assert Checkpoint.objects.count() == 1

    def test_signs_nothing_that_rewrites_what_was_signed(self) -> None:
        """The seal and its leaves agree with each other, but not with the checkpoint before."""
        issued("a", "b", "c")
        with tampering("ledger_leaf"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_leaf SET hash = sha256('x') WHERE index = 1")
        post("d")
        sealer.seal()
        with pytest.raises(store.SealsBroken, match="does not continue the checkpoint over 3"):
            checkpoints.issue()
        assert Checkpoint.objects.count() == 1


class TestDue:
    def test_is_a_newer_head_after_so_long(self) -> None:
        assert not checkpoints.is_due(0)
        post("a")
        sealer.seal()
        assert checkpoints.is_due(86_400)
        checkpoints.issue()
        assert not checkpoints.is_due(0)
        post("b")
        sealer.seal()
        assert not checkpoints.is_due(86_400)
        assert checkpoints.is_due(0)


class TestCosign:
    witness = note.Signer("witness.example/w1", bytes(reversed(range(32))), note.WITNESS)

    def line(self, found: Checkpoint, at_s: int = 1_790_000_000) -> str:
        return self.witness.sign(note.Note.parse(found.note).text, at_s=at_s).line()

    def test_adds_a_line_once(self) -> None:
        found = issued("a")
        for _ in range(2):
            checkpoints.cosign(found, line=self.line(found), verifier=str(self.witness.verifier))
        whole = note.Note.parse(checkpoints.text_of(found))
        assert [signature.name for signature in whole.signatures] == [
            "govpay.example/books",
            "witness.example/w1",
        ]
        whole.require(self.witness.verifier)
        # What is anchored is the log's own note, whoever witnesses it later.
        assert checkpoints.digest(found) == hashlib.sha256(found.note.encode()).digest()

    @pytest.mark.parametrize(
        "bend",
        [
            lambda line, found: line.replace("witness.example/w1", "witness.example/w2"),
            lambda line, found: line[:-6] + "AAAA==",
            lambda line, found: note.Note.parse(found.note).signatures[0].line(),
            lambda line, found: "",
        ],
    )
    def test_refuses_a_line_that_the_witness_did_not_make(
        self, bend: Callable[[str, Checkpoint], str]
    ) -> None:
        found = issued("a")
        with pytest.raises(note.NoteRefused):
            checkpoints.cosign(found, line=bend(self.line(found), found), verifier=str(self.witness.verifier))
        assert not Cosignature.objects.exists()

    def test_refuses_a_line_about_another_checkpoint(self) -> None:
        old, new = issued("a"), issued("b")
        with pytest.raises(note.NoteRefused):
            checkpoints.cosign(new, line=self.line(old), verifier=str(self.witness.verifier))

    def test_refuses_a_key_that_is_no_witness(self) -> None:
        found = issued("a")
        line = note.Note.parse(found.note).signatures[0].line()
        with pytest.raises(note.NoteRefused, match="not a witness"):
            checkpoints.cosign(found, line=line, verifier=found.verifier)


class TestGet:
    def test_finds_by_size(self) -> None:
        with pytest.raises(NotFound):
            checkpoints.get()
        old, new = issued("a"), issued("b")
        assert (checkpoints.get(), checkpoints.get(1)) == (new, old)
        with pytest.raises(NotFound):
            checkpoints.get(3)
