"""The commands: one prints what a verifier needs, one proves and takes witnesses, one names entries that differ."""

import base64
import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ledger.seals import note, tree
from tests.ledger.seals.scene import post, tampering

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")


def run(*words: str, **options: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*words, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


class TestSealBooks:
    def test_prints_a_note_and_the_key_that_checks_it(self) -> None:
        post("a", "b", "c")
        printed, told = run("seal_books")
        count, key = told.strip().split("\n")
        assert count == "3 entries sealed."
        signed = note.Note.parse(printed)
        signed.require(note.Verifier.parse(key.removeprefix("Verifier key: ")))
        assert note.TreeHead.parse(signed.text).size == 3
        assert run("seal_books") == (printed, told.replace("3 entries", "0 entries"))

    def test_says_what_is_missing(self, settings: object) -> None:
        with pytest.raises(CommandError, match="the books are empty"):
            run("seal_books")
        settings.GOVPAY_SEAL_KEY = None  # type: ignore[attr-defined]
        post("a")
        with pytest.raises(CommandError, match="no_seal_key: GOVPAY_SEAL_KEY is not set"):
            run("seal_books")


class TestCheckpoint:
    def test_proves_that_it_continues_an_older_one(self) -> None:
        roots = {}
        for size, keys in ((3, "abc"), (7, "defg")):
            post(*keys)
            roots[size] = note.TreeHead.parse(note.Note.parse(run("seal_books")[0]).text).root
        proof = [base64.b64decode(line) for line in run("checkpoint", continues=3)[0].split()]
        assert tree.is_consistent(3, 7, roots[3], roots[7], proof)
        assert run("checkpoint", size=3)[0].split("\n")[1] == "3"
        for refused in ({"size": 4}, {"continues": 8}):
            with pytest.raises(CommandError):
                run("checkpoint", **refused)

    def test_takes_a_witnesss_line(self, tmp_path: Path) -> None:
        witness = note.Signer("witness.example/w1", bytes(32), note.WITNESS)
        post("a")
        signed = note.Note.parse(run("seal_books")[0])
        line = tmp_path / "line"
        line.write_text(witness.sign(signed.text, at_s=5).line() + "\n", encoding="utf-8")
        printed, _ = run("checkpoint", cosign=line, witness=str(witness.verifier))
        note.Note.parse(printed).require(witness.verifier)
        with pytest.raises(CommandError, match="go together"):
            run("checkpoint", cosign=line)
        line.write_text("nonsense", encoding="utf-8")
        with pytest.raises(CommandError, match="note_refused"):
            run("checkpoint", cosign=line, witness=str(witness.verifier))


class TestVerifySeals:
    def test_exits_0_when_all_is_as_it_was_sealed(self) -> None:
        post("a", "b")
        run("seal_books")
        assert run("verify_seals")[0] == "2 entries, 1 seals, 1 checkpoints: 0 differences.\n"

    def test_exits_1_and_names_the_entry(self) -> None:
        _, entry = post("a", "b")
        run("seal_books")
        with tampering("ledger_entry"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_entry SET memo = 'x' WHERE id = %s", [entry])
        out = io.StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("verify_seals", stdout=out)
        assert ended.value.code == 1
        assert out.getvalue().startswith(
            f"entry_changed: Entry {entry} is no longer what was sealed: memo.\n"
        )

    def test_refuses_a_key_that_is_none(self) -> None:
        with pytest.raises(CommandError, match="note_refused"):
            run("verify_seals", key=["x"])
