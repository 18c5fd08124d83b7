"""Signed notes: the format's own example to the byte, and everything that is refused."""

import base64
import hashlib

import pytest

from ledger.seals.note import (
    WITNESS,
    Note,
    NoteRefused,
    Signature,
    Signer,
    TreeHead,
    Verifier,
    parse_signature,
)
from tests.ledger.seals import rfc8032

# The example of the signed-note format; Ed25519 signs the same text the same way, so it must come out to the byte.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_SIGNED = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
SIGNED = f"{TEXT}\n— PeterNeumann {PETER_SIGNED}\n"
# The example of the checkpoint and cosignature formats.
SOFA = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
"""
SOFA_SIGNED = (
    SOFA
    + """
— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZ\
qhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
)


RFC_KEYS = [
    (bytes.fromhex(seed), bytes.fromhex(public))
    for seed, public in (
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        ),
    )
]


class TestSign:
    def test_gives_the_example_to_the_byte(self) -> None:
        signer = Signer("PeterNeumann", PETER_SEED)
        assert str(signer.verifier) == PETER
        assert str(Note(TEXT, (signer.sign(TEXT),))) == SIGNED

    @pytest.mark.parametrize("at_s", [0, 1_679_315_147])
    def test_as_a_witness_gives_the_bytes_of_another_implementation(self, at_s: int) -> None:
        """The keys are those of the first tests of RFC 8032, section 7.1; the text is the format's own example."""
        for seed, public in RFC_KEYS:
            assert rfc8032.public_key(seed) == public
            name = "witness.example.com/w1"
            key_id = hashlib.sha256(f"{name}\n".encode() + b"\x04" + public).digest()[:4]
            signed = rfc8032.sign(seed, f"cosignature/v1\ntime {at_s}\n{SOFA}".encode())
            body = base64.b64encode(key_id + at_s.to_bytes(8, "big") + signed).decode()
            witness = Signer(name, seed, WITNESS)
            assert witness.sign(SOFA, at_s=at_s).line() == f"— {name} {body}"
            Note(SOFA, (parse_signature(f"— {name} {body}"),)).require(witness.verifier)

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "a\u2003b"])
    def test_refuses_a_name_that_a_line_cannot_hold(self, name: str) -> None:
        with pytest.raises(NoteRefused):
            Signer(name, PETER_SEED)

    def test_as_a_witness_says_when(self) -> None:
        witness = Signer("witness.example.com/w1", bytes(32), WITNESS)
        line = witness.sign(SOFA, at_s=1_679_315_147)
        assert (len(line.body), line.body[:8].hex()) == (72, "00000000641850cb")
        assert str(witness.verifier).startswith("witness.example.com/w1+")
        note = Note.parse(SOFA_SIGNED)
        Note(SOFA, (*note.signatures, line)).require(witness.verifier)
        later = line._replace(body=(1_679_315_148).to_bytes(8, "big") + line.body[8:])
        with pytest.raises(NoteRefused):
            Note(SOFA, (later,)).require(witness.verifier)


class TestParse:
    def test_reads_the_examples(self) -> None:
        Note.parse(SIGNED).require(Verifier.parse(PETER))
        note = Note.parse(SOFA_SIGNED)
        assert str(note) == SOFA_SIGNED
        assert [s.name for s in note.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
        head = TreeHead.parse(note.text)
        assert (head.origin, head.size, len(head.root)) == ("example.com/behind-the-sofa", 20_852_163, 32)
        assert str(head) == SOFA
        # The witness of the example saw it at the time that the format's text tells.
        assert int.from_bytes(note.signatures[1].body[:8], "big") == 1_679_315_147

    @pytest.mark.parametrize(
        "note",
        [
            "",
            "\n\n",
            TEXT,
            SIGNED[:-1],
            SIGNED.replace("— ", "- "),
            SIGNED + "\n",
            SIGNED.replace("Neumann", ""),
        ],
    )
    def test_refuses_what_is_not_signed_so(self, note: str) -> None:
        with pytest.raises(NoteRefused):
            Note.parse(note).require(Verifier.parse(PETER))

    def test_refuses_every_changed_letter_of_the_text(self) -> None:
        for place in range(len(TEXT)):
            changed = f"{SIGNED[:place]}{chr(ord(SIGNED[place]) ^ 1)}{SIGNED[place + 1 :]}"
            with pytest.raises(NoteRefused):
                Note.parse(changed).require(Verifier.parse(PETER))

    def test_refuses_a_wrong_signature_beside_a_right_one(self) -> None:
        right = Note.parse(SIGNED).signatures[0]
        wrong = right._replace(body=bytes(64))
        with pytest.raises(NoteRefused):
            Note(TEXT, (right, wrong)).require(Verifier.parse(PETER))

    @pytest.mark.parametrize(
        "line", ["", "— a", "— a AAAA", "— a AAAAAA", "— a b c", "— a+b AAAAAAAA", "— a *AAAAAAA"]
    )
    def test_refuses_a_line_that_is_no_signature(self, line: str) -> None:
        with pytest.raises(NoteRefused):
            parse_signature(line)

    def test_reads_back_a_line(self) -> None:
        line = Signature("a", b"1234", b"5")
        assert parse_signature(line.line()) == line

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "a",
            "a+b",
            PETER[:-4],
            PETER.replace("c74f20a3", "c74f20a4"),
            PETER.replace("+AR", "+AQ"),
            PETER.replace("+AR", "+BR"),
            PETER.replace("PeterNeumann", "Peter Neumann"),
        ],
    )
    def test_refuses_a_key_that_is_none(self, key: str) -> None:
        with pytest.raises(NoteRefused):
            Verifier.parse(key)


class TestCheckpoint:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            SOFA[:-1],
            SOFA.replace("20852163", "020852163"),
            SOFA.replace("20852163", "-1"),
            SOFA.replace("20852163", "\u0661"),
            SOFA.replace("CsUY", "CsU"),
            SOFA.replace("q2I=", "q2J="),
            SOFA.replace("example.com/behind-the-sofa", ""),
            "a\n1\nAAAA\n",
        ],
    )
    def test_refuses_a_text_that_is_none(self, text: str) -> None:
        with pytest.raises(NoteRefused):
            TreeHead.parse(text)

    def test_passes_over_further_lines(self) -> None:
        assert TreeHead.parse(f"{SOFA}more\n") == TreeHead.parse(SOFA)
