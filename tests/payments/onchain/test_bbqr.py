"""Series of QR codes: what is split is put together in any order, and what is not whole is refused."""

import base64
import random
import zlib

import pytest

from payments.onchain import bbqr

MOST = 1_000_000


def noise(count: int) -> bytes:
    """Bytes that nothing makes shorter."""
    return random.Random(count).randbytes(count)


class TestSplit:
    def test_puts_a_small_file_into_one_code(self) -> None:
        assert bbqr.split(b"psbt\xff", "P") == [
            "B$2P0100" + base64.b32encode(b"psbt\xff").decode().rstrip("=")
        ]

    def test_makes_equal_parts_of_whole_bytes_that_fit_a_code(self) -> None:
        parts = bbqr.split(noise(30_000), "P")
        # 48,000 signs of base32 in parts of at most 1,032.
        assert len(parts) == 47
        assert {part[:6] for part in parts} == {"B$2P1B"}
        assert [part[6:8] for part in parts[:2] + parts[-1:]] == ["00", "01", "1A"]
        assert {len(part) - 8 for part in parts[:-1]} == {1_024}
        assert len(parts[-1]) - 8 == 48_000 - 46 * 1_024

    def test_packs_what_becomes_shorter_in_the_window_that_devices_have(self) -> None:
        data = b"psbt\xff" + noise(500) * 3 + bytes(3_000)
        (only,) = bbqr.split(data, "P")[:1]
        assert only[:4] == "B$ZP"
        packed = b"".join(
            base64.b32decode(part[8:] + "=" * (-len(part[8:]) % 8)) for part in bbqr.split(data, "P")
        )
        assert zlib.decompressobj(wbits=-10).decompress(packed) == data

    def test_refuses_more_than_a_series_counts(self) -> None:
        with pytest.raises(bbqr.SeriesBroken, match="at most 1,295"):
            bbqr.split(noise(840_000), "P")


class TestJoin:
    @pytest.mark.parametrize("data", [b"a", noise(200), noise(5_000), bytes(90_000), noise(700) * 40])
    def test_gives_back_what_was_split_however_it_was_read(self, data: bytes) -> None:
        read = bbqr.split(data, "T") * 2
        random.Random(7).shuffle(read)
        assert bbqr.join("\r\n \t".join(read), most_bytes=MOST) == data

    def test_reads_hexadecimal(self) -> None:
        assert bbqr.join("B$HP0201BBCC B$HP020000FF", most_bytes=MOST) == bytes.fromhex("00ffbbcc")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "not of one series"),
            ("B$", "does not begin"),
            ("B$XP0100AA", "does not begin"),
            ("b$hp0100aa", "does not begin"),
            ("B$HP0100", "does not begin"),
            ("B$HP0200AA B$HP0301BB", "not of one series"),
            ("B$HP0200AA B$HT0201BB", "not of one series"),
            ("B$HP0300AA B$HP0302BB", "missing or wrong: 2"),
            ("B$HP0200AA B$HP0201BB B$HP0202CC", "one that there is not"),
            ("B$HP0000AA", "missing or wrong"),
            ("B$HP0200AA B$HP0200AB B$HP0201BB", "Code 1 was read twice"),
            ("B$HP0100AZ", "signs that its encoding does not have"),
            ("B$HP0100AAA", "signs that its encoding does not have"),
            ("B$2P0100A1", "signs that its encoding does not have"),
            ("B$ZP0100AAAAAAAA", "cannot be unpacked|too early"),
        ],
    )
    def test_refuses_what_is_not_one_whole_series(self, text: str, message: str) -> None:
        with pytest.raises(bbqr.SeriesBroken, match=message):
            bbqr.join(text, most_bytes=MOST)

    def test_refuses_a_bomb_before_it_unfolds(self) -> None:
        parts = bbqr.split(bytes(MOST + 1), "P")
        with pytest.raises(bbqr.SeriesBroken, match="more than 1,000,000 bytes"):
            bbqr.join(" ".join(parts), most_bytes=MOST)
        assert bbqr.join(" ".join(bbqr.split(bytes(MOST), "P")), most_bytes=MOST) == bytes(MOST)

    def test_refuses_a_file_that_ends_too_early(self) -> None:
        text = bbqr.split(bytes(9_000), "P")[0]
        with pytest.raises(bbqr.SeriesBroken, match=r"too early|cannot"):
            bbqr.join(text[:-8], most_bytes=MOST)
