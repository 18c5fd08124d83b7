"""The verifier's own arithmetic: Ed25519, the tree, txs, headers, proofs, against vectors and against the product's code."""

import base64
import hashlib
import itertools
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import verify
from ledger.packs.cover import cover
from ledger.seals import leaf, note, ots, tree
from tests.ledger.seals.growing import Growing, naive_head
from tests.ledger.seals.test_canonical import GOLDEN, GOLDEN_2

# RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc).
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e"
        "7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612"
        "bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea"
        "1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa5"
        "4ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef11773"
        "31a704",
    ),
]
# The eight points of small order, in their one spelling each (and two that are no point).
SMALL = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


class TestImports:
    def test_are_of_the_standard_library_only(self) -> None:
        text = Path(verify.__file__).read_text(encoding="utf-8")
        names = {
            line.split()[1].partition(".")[0]
            for line in text.splitlines()
            if line.startswith(("import ", "from "))
        }
        assert names - {"__future__"} <= sys.stdlib_module_names


class TestEd25519:
    @pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
    def test_agrees_with_the_vectors(self, key: str, message: str, signature: str) -> None:
        raw, said, body = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
        assert verify.is_signed(raw, body, said)
        assert not verify.is_signed(raw, body, said + b"\0")
        for at in (0, 31, 32, 63):
            changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            assert not verify.is_signed(raw, changed, said)

    def test_refuses_a_number_that_is_not_the_smallest(self) -> None:
        key, message, signature = (bytes.fromhex(part) for part in VECTORS[1])
        larger = int.from_bytes(signature[32:], "little") + verify.L
        assert not verify.is_signed(key, signature[:32] + larger.to_bytes(32, "little"), message)

    @pytest.mark.parametrize("key", SMALL)
    def test_refuses_keys_for_which_anybody_can_sign(self, key: str) -> None:
        empty = b"\x01" + bytes(63)
        assert not any(verify.is_signed(bytes.fromhex(key), empty, bytes([n])) for n in range(16))

    @settings(max_examples=20, deadline=None)
    @given(seed=st.binary(min_size=32, max_size=32), text=st.text(max_size=20))
    def test_reads_the_products_notes(self, seed: bytes, text: str) -> None:
        key = note.Signer("log", seed)
        said = f"{text}x\n".replace("\n\n", "\n")
        signed = str(note.Note(said, (key.sign(said),)))
        found, signatures = verify.read_note(signed)
        verify.require_signed(found, signatures, str(key.verifier))
        other = str(note.Signer("log", hashlib.sha256(seed).digest()).verifier)
        with pytest.raises(verify.Wrong, match="not_signed"):
            verify.require_signed(found, signatures, other)

    def test_reads_witnesses_lines(self) -> None:
        key = note.Signer("witness", bytes(32), note.WITNESS)
        text = "log\n1\n" + "A" * 43 + "=\n"
        _, signatures = verify.read_note(f"{text}\n{key.sign(text, at_s=5).line()}\n")
        verify.require_signed(text, signatures, str(key.verifier))
        _, later = verify.read_note(f"{text}\n{key.sign(text, at_s=6).line()}\n")
        mixed = [(name, key_id, signatures[0][2][:8] + body[8:]) for name, key_id, body in later]
        with pytest.raises(verify.Wrong, match="bad_signature"):
            verify.require_signed(text, mixed, str(key.verifier))

    def test_takes_one_signature_of_a_key_and_few_in_all(self) -> None:
        key = note.Signer("log", bytes(32))
        text = "log\n1\n" + "A" * 43 + "=\n"
        line = f"{key.sign(text).line()}\n"
        others = [f"{note.Signer(f'w{n}', bytes(32), note.WITNESS).sign(text).line()}\n" for n in range(16)]
        _, signatures = verify.read_note(f"{text}\n{line}{''.join(others[:15])}")
        verify.require_signed(text, signatures, str(key.verifier))
        with pytest.raises(verify.Wrong, match="too_many_signatures"):
            verify.read_note(f"{text}\n{line}{''.join(others)}")
        _, twice = verify.read_note(f"{text}\n{line}{line}")
        with pytest.raises(verify.Wrong, match="too_many_signatures"):
            verify.require_signed(text, twice, str(key.verifier))


class TestTree:
    @settings(max_examples=50, deadline=None)
    @given(size=st.integers(1, 700), data=st.data())
    def test_of_any_cover_has_the_same_head(self, size: int, data: st.DataObject) -> None:
        grown = Growing()
        grown.add([tree.leaf_hash(b"%d" % n) for n in range(size)])
        cuts = sorted(data.draw(st.sets(st.integers(0, size), max_size=5)) | {0, size})
        edge = verify.Frontier()
        for start, stop in itertools.pairwise(cuts):
            for at, height, digest in cover(grown.read, start, stop):
                assert at == edge.size
                assert edge.add(digest, height)
            assert edge.head() == naive_head(grown.levels[0][:stop])

    def test_refuses_a_subtree_where_none_begins(self) -> None:
        edge = verify.Frontier()
        edge.add(bytes(32))
        assert not edge.add(bytes(32), 1)

    def test_follows_the_products_paths(self) -> None:
        grown = Growing()
        grown.add([tree.leaf_hash(b"%d" % n) for n in range(300)])
        for size in (1, 2, 3, 255, 256, 257, 300):
            for index in {0, 1, size // 2, size - 1} & set(range(size)):
                path = tree.prove_inclusion(grown.read, index, size)
                root = naive_head(grown.levels[0][:size])
                assert verify.head_of_path(grown.levels[0][index], index, size, path) == root
                assert verify.head_of_path(grown.levels[0][index], index, size, [*path, bytes(32)]) is None

    @pytest.mark.parametrize("payload", [GOLDEN, GOLDEN_2])
    def test_has_the_products_leaves_of_every_version(self, payload: bytes) -> None:
        salt = bytes(range(32))
        digest, heading, lines = verify.entry_of(salt, payload.decode())
        assert digest == leaf.digest(salt, payload)
        assert (heading["id"], [line[5] for line in lines]) == ("9007199254740993", [2**63 - 1, 1 - 2**63])
        with pytest.raises(verify.Wrong, match="lines_missing" if payload is GOLDEN_2 else "not_json"):
            verify.entry_of(salt, payload.decode().rstrip("\n").rpartition("\n")[0] + "\n")


def outcome(raw: bytes, digest: bytes) -> str:
    """Where a proof leads, or the code of what is wrong with it."""
    try:
        _, root, height = verify.read_ots(raw, digest)
    except verify.Wrong as wrong:
        return wrong.code
    return f"{root!r} {height}"


class TestOts:
    def test_reads_the_products_proofs(self) -> None:
        digest = hashlib.sha256(b"note").digest()
        tx = bytes.fromhex("0200000001" + "11" * 32 + "0000000000ffffffff01" + "0000000000000000226a20")
        tx += digest + bytes(4)
        raw = ots.serialize(digest, ots.Buried(tx, [(True, b"\x07" * 32)], 300))
        found, root, height = verify.read_ots(raw, digest)
        assert (found.stripped, height) == (tx, 300)
        assert root == verify.double_sha256(b"\x07" * 32 + verify.double_sha256(tx))
        for at in range(len(raw)):
            changed = raw[:at] + bytes([raw[at] ^ 0x40]) + raw[at + 1 :]
            assert outcome(changed, digest) != f"{root!r} {height}"
            with pytest.raises(verify.Wrong):
                verify.read_ots(raw[:at], digest)

    def test_refuses_one_that_grows_without_a_hash(self) -> None:
        digest = hashlib.sha256(b"note").digest()
        begin = ots.MAGIC + ots.VERSION + ots.SHA256 + digest
        most = verify.MAX_OTS_TX - len(digest)
        assert outcome(begin + b"\xf0\x01x" * most + b"\x00", digest) == "truncated_bytes"
        assert outcome(begin + b"\xf0\x01x" * (most + 1) + b"\x00", digest) == "bad_ots"


class TestHeader:
    # The first blocks of the networks.
    REGTEST = bytes.fromhex(
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a"
        "9fb8aa4b1e5e4adae5494dffff7f2002000000"
    )
    TESTNET3 = bytes.fromhex(
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a"
        "9fb8aa4b1e5e4adae5494dffff001d1aa4ae18"
    )

    def test_has_the_hash_of_its_network(self) -> None:
        assert verify.Header(self.REGTEST, "regtest").hash == verify.GENESIS["regtest"]
        assert verify.Header(self.TESTNET3, "testnet3").hash == verify.GENESIS["testnet3"]

    @pytest.mark.parametrize("network", ["signet", "testnet3", "testnet4"])
    def test_of_an_easier_network_is_refused(self, network: str) -> None:
        with pytest.raises(verify.Wrong, match="wrong_network"):
            verify.Header(self.REGTEST, network)

    def test_without_work_is_refused(self) -> None:
        with pytest.raises(verify.Wrong, match="no_work"):
            verify.Header(self.TESTNET3[:-1] + b"\x00", "testnet3")


class TestMain:
    def test_says_how_it_ended(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert verify.main([str(tmp_path / "nothing")]) == 2
        assert "WRONG not_found" in capsys.readouterr().out
        (tmp_path / "empty").mkdir()
        assert verify.main([str(tmp_path / "empty")]) == 2
        assert "WRONG not_a_pack" in capsys.readouterr().out
        (tmp_path / "half.zip").write_bytes(b"PK\x03\x04half")
        assert verify.main([str(tmp_path / "half.zip")]) == 2
        assert "WRONG truncated" in capsys.readouterr().out
        (tmp_path / "half.json").write_bytes(b'{"format":"govpay-rec')
        assert verify.main([str(tmp_path / "half.json")]) == 2
        assert "WRONG not_a_receipt" in capsys.readouterr().out
        # The one file that no other lists is cut off.
        (tmp_path / "empty" / "manifest.sha256").write_text("0" * 64)
        assert verify.main([str(tmp_path / "empty")]) == 2
        assert "WRONG truncated: manifest.sha256 line 1" in capsys.readouterr().out

    @pytest.mark.parametrize("content", [b"", b"[]", b"root:x:0:0::/root:/bin/sh\n"])
    def test_says_that_a_file_is_neither_pack_nor_receipt(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
    ) -> None:
        (tmp_path / "file").write_bytes(content)
        assert verify.main([str(tmp_path / "file")]) == 2
        said = capsys.readouterr().out
        assert "WRONG not_a_receipt" in said
        assert "neither a pack" in said

    @pytest.mark.parametrize("option", ["--key", "--witness-key"])
    @pytest.mark.parametrize("key", ["rubbish", "books+00000000+AAAA", "books+1+?"])
    def test_says_that_a_key_is_none(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, key: str
    ) -> None:
        (tmp_path / "receipt.json").write_text("{}")
        assert verify.main([str(tmp_path / "receipt.json"), option, key]) == 2
        assert f"WRONG bad_usage: {option} {key!r} is no key: " in capsys.readouterr().out

    def test_takes_no_key_of_a_witness_for_one_of_a_log(self, capsys: pytest.CaptureFixture[str]) -> None:
        raw = b"\x04" + bytes(32)
        key_id = hashlib.sha256(b"w\n" + raw).digest()[:4]
        key = f"w+{key_id.hex()}+{base64.b64encode(raw).decode()}"
        assert verify.main(["nothing", "--key", key]) == 2
        assert "is no key of a log" in capsys.readouterr().out

    def test_counts_one_as_one(self) -> None:
        assert [verify.counted(n, "leaf", "leaves") for n in (0, 1, 2)] == ["0 leaves", "1 leaf", "2 leaves"]
        assert [verify.counted(n, "block") for n in (1, 2)] == ["1 block", "2 blocks"]

    def test_has_codes_that_the_guide_explains(self) -> None:
        source = Path(verify.__file__)
        codes = set(re.findall(r'(?:Wrong|Unreadable|NodeSilent)\(\s*"(\w+)"', source.read_text()))
        told = set(re.findall(r"`(\w+)`", (source.parent.parent / "docs" / "auditor.md").read_text()))
        assert len(codes) > 60
        assert codes <= told, codes - told
