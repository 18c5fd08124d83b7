"""The manifest's text: one right form, read in a stream, signed under a context of its own."""

import hashlib
import io
import itertools
import tracemalloc
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from payments.signer import manifest
from payments.signer.manifest import Header, Line
from payments.signer.refusal import Unreadable
from tests.payments.signer import scene

TEXT = (
    "govpay-manifest-1\nnetwork|regtest\nprogram|PENSIONS\ndisbursement|12\nperiod|2026-11\npurpose|pension\n"
    "currency|sat\ncount|2\ntotal|110000\nfee ceiling|4000\n"
    "31|5|0014" + "aa" * 20 + "|50000|\n"
    "32|6|0014" + "bb" * 20 + "|60000|7\n"
)
HEADER = Header("regtest", "PENSIONS", 12, "2026-11", "pension", 2, 110_000, 4_000)
FIRST = Line(31, 5, b"\0\x14" + b"\xaa" * 20, 50_000)
SECOND = Line(32, 6, b"\0\x14" + b"\xbb" * 20, 60_000, reissue_of=7)

lists = st.lists(
    st.builds(
        Line,
        payment_id=st.integers(1, 10**12),
        beneficiary_id=st.integers(0, 10**12),
        script_pubkey=st.binary(min_size=1, max_size=42),
        amount=st.integers(1, 10**10),
        reissue_of=st.none() | st.integers(0, 10**12),
    ),
    max_size=20,
    unique_by=lambda line: line.payment_id,
).map(lambda lines: sorted(lines, key=lambda line: line.payment_id))


def read(text: str, *wanted: int) -> manifest.Manifest:
    return manifest.read(manifest.lines_of_text(text), wanted=wanted)


class TestRead:
    def test_reads_the_documented_text(self) -> None:
        found = read(TEXT, 31, 99)
        assert found.header == HEADER
        assert found.lines == {31: FIRST}
        assert found.sha256 == hashlib.sha256(TEXT.encode()).digest()

    def test_writes_the_documented_text(self) -> None:
        parts = [manifest.header_text(HEADER), manifest.line_text(FIRST), manifest.line_text(SECOND)]
        assert "".join(parts) == TEXT

    @given(lists)
    def test_reads_what_was_written(self, lines: list[Line]) -> None:
        header = HEADER._replace(payment_count=len(lines), total=sum(line.amount for line in lines))
        text = manifest.header_text(header) + "".join(map(manifest.line_text, lines))
        seen: list[Line] = []
        file = io.BytesIO(text.encode())
        found = manifest.read(
            manifest.lines_of_file(file), wanted={line.payment_id for line in lines}, visit=seen.append
        )
        assert (found.header, seen, list(found.lines.values())) == (header, lines, lines)
        assert found.sha256 == hashlib.sha256(text.encode()).digest()

    def test_reads_a_line_that_waits_for_its_person(self) -> None:
        line = Line(1, 2, b"", 50_000)
        header = HEADER._replace(payment_count=1, total=50_000)
        text = manifest.header_text(header) + manifest.line_text(line)
        found = manifest.read(manifest.lines_of_text(text), wanted={1})
        assert found.lines == {1: line}

    @given(st.data())
    def test_refuses_or_reads_exactly_what_stands_there(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(TEXT) - 1))
        text = TEXT[:at] + data.draw(st.characters()) + TEXT[at + data.draw(st.integers(0, 1)) :]
        seen: list[Line] = []
        try:
            found = manifest.read(manifest.lines_of_text(text), visit=seen.append)
        except Unreadable:
            return
        assert manifest.header_text(found.header) + "".join(map(manifest.line_text, seen)) == text

    @pytest.mark.parametrize(
        ("old", "new", "code"),
        [
            ("govpay-manifest-1", "govpay-manifest-2", "manifest_format"),
            ("network|regtest\n", "", "manifest_line"),
            ("currency|sat", "currency|pkr", "manifest_line"),
            ("count|2", "count|3", "manifest_totals"),
            ("total|110000", "total|110001", "manifest_totals"),
            ("count|2", "count|02", "manifest_line"),
            ("|50000|", "|50001|", "manifest_totals"),
            ("|50000|", "|0|", "manifest_line"),
            ("|50000|", "|-50000|", "manifest_line"),
            ("|50000|", "|2100000000000001|", "manifest_line"),
            ("|50000|", "|5e4|", "manifest_line"),
            ("|50000|\n", "|50000\n", "manifest_line"),
            ("|50000|\n", "|50000|\r\n", "manifest_line"),
            ("|50000|\n", "|50000|\n\n", "manifest_line"),
            ("aa|", "AA|", "manifest_line"),
            ("aa|", "a|", "manifest_line"),
            ("32|6", "31|6", "manifest_line"),
            ("32|6", "30|6", "manifest_line"),
            ("32|6", "٣2|6", "manifest_line"),
            ("60000|7\n", "60000|7", "manifest_line"),
            ("60000|7\n", "60000|7\nx", "manifest_line"),
            ("aa|", "aa" * 100 + "|", "manifest_line"),
        ],
    )
    def test_refuses_any_other_form(self, old: str, new: str, code: str) -> None:
        assert old in TEXT
        for lines in (
            manifest.lines_of_text(TEXT.replace(old, new, 1)),
            manifest.lines_of_file(io.BytesIO(TEXT.replace(old, new, 1).encode())),
        ):
            with pytest.raises(Unreadable) as refused:
                manifest.read(lines)
            assert refused.value.code == code

    @pytest.mark.parametrize("text", ["", "govpay-manifest-1\n", TEXT[:40]])
    def test_refuses_an_end_in_the_middle(self, text: str) -> None:
        with pytest.raises(Unreadable):
            read(text)

    def test_keeps_its_memory_flat_over_100_000_payments(self) -> None:
        lines = 100_000
        tracemalloc.start()
        found = manifest.read(_long(lines), wanted={500})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found.header.payment_count == lines
        assert list(found.lines) == [500]
        # The text is seven megabytes.
        assert peak < 200_000


def _long(count: int) -> Iterator[bytes]:
    header = HEADER._replace(payment_count=count, total=count * 1_000)
    lines = (manifest.line_text(Line(i, i, b"\0\x14" + b"\xaa" * 20, 1_000)) for i in range(1, count + 1))
    return itertools.chain(
        (f"{part}\n".encode() for part in manifest.header_text(header).splitlines()),
        (line.encode() for line in lines),
    )


# The points of small order in their canonical form: of order 1, 2, 4 (twice) and 8 (four times).
WEAK_KEYS = [
    b"\x01" + bytes(31),
    b"\xec" + b"\xff" * 30 + b"\x7f",
    bytes(32),
    bytes(31) + b"\x80",
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
]


class TestSignature:
    @pytest.mark.parametrize("key", WEAK_KEYS)
    def test_of_a_key_of_small_order_is_anybodys(self, key: bytes) -> None:
        assert manifest.is_weak(key)

    def test_of_any_other_key_is_its_owners(self) -> None:
        assert not any(manifest.is_weak(scene.public(key)) for key in scene.APPROVERS)
        assert not manifest.is_weak(b"no key")

    def test_is_valid_for_its_key_text_and_purpose_only(self) -> None:
        key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        public_key = _public(key)
        digest = hashlib.sha256(TEXT.encode()).digest()
        message = manifest.signed_message(digest)
        signature = manifest.sign(key, message)
        assert message == b"govpay manifest signature 1\n" + digest
        assert manifest.is_signed(public_key, signature, message)
        assert not manifest.is_signed(_public(other), signature, message)
        assert not manifest.is_signed(public_key, signature, digest)
        assert not manifest.is_signed(public_key, signature[:-1], message)
        assert not manifest.is_signed(public_key, signature, manifest.signed_message(bytes(32)))
        assert not manifest.is_signed(b"\0" * 31, signature, message)

    def test_of_possession_names_the_user(self) -> None:
        key = Ed25519PrivateKey.generate()
        message = manifest.possession_message("amina", _public(key))
        assert message == b"govpay approver key 1\n" + _public(key) + b"amina"


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
