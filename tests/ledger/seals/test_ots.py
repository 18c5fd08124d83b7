"""OpenTimestamps files: bytes that the reference library reads as it should, pinned here."""

import hashlib

import pytest

from ledger.seals import ots

DIGEST = hashlib.sha256(b"a checkpoint\n").digest()
BEFORE = bytes.fromhex("0200000001" + "11" * 32 + "0000000000fdffffff02" + "0000000000000000" + "226a20")
AFTER = bytes.fromhex("e803000000000000160014" + "22" * 20 + "00000000")
BRANCH = [(False, b"\x33" * 32), (True, b"\x44" * 32)]
# python-opentimestamps 0.4.5 reads this as a proof of DIGEST with one attestation, of the root
# 35c3d6212687ac17738efd7dd87795427ea1a4fa1d266d95edc897192282b3eb at height 70000.
GOLDEN = (
    "004f70656e54696d657374616d7073000050726f6f6600bf89e2e884e89294"
    "0108af3f21181622d05eb6375ebb30e62bbe98f8541c778ae2ecedd0af333c43a504"
    "f13a02000000011111111111111111111111111111111111111111111111111111111111111111"
    "0000000000fdffffff020000000000000000226a20"
    "f023e80300000000000016001422222222222222222222222222222222222222220000000008"
    "08"
    "f0203333333333333333333333333333333333333333333333333333333333333333"
    "0808"
    "f1204444444444444444444444444444444444444444444444444444444444444444"
    "0808"
    "000588960d73d7190103f0a204"
)


class TestSerialize:
    def test_gives_the_golden_file(self) -> None:
        assert ots.serialize(DIGEST, ots.Buried(BEFORE + DIGEST + AFTER, BRANCH, 70_000)).hex() == GOLDEN

    def test_refuses_a_tx_without_the_hash(self) -> None:
        with pytest.raises(ots.Unprovable):
            ots.serialize(DIGEST, ots.Buried(BEFORE + AFTER, BRANCH, 70_000))

    @pytest.mark.parametrize(("before", "after"), [(5_000, 0), (0, 5_000)])
    def test_refuses_a_tx_that_readers_would(self, before: int, after: int) -> None:
        with pytest.raises(ots.Unprovable):
            ots.serialize(DIGEST, ots.Buried(bytes(before) + DIGEST + bytes(after), BRANCH, 1))

    @pytest.mark.parametrize(
        ("height", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (16_384, "808001")]
    )
    def test_writes_heights_as_leb128(self, height: int, encoded: str) -> None:
        raw = ots.serialize(DIGEST, ots.Buried(BEFORE + DIGEST + AFTER, [], height))
        assert raw.hex().endswith(f"0588960d73d71901{len(encoded) // 2:02x}{encoded}")
