"""Addresses: five kinds on four networks, the vectors of BIP173 and BIP350, the bad ones of the B list."""

import hashlib

import pytest
from bitcoin import segwit_addr
from bitcoin.base58 import encode as base58_encode
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import address, network
from payments.onchain.network import Network

KEY_HASH = bytes(range(20))
# The x coordinate of the curve's generator: the one key that everybody knows to be on the curve.
ON_CURVE = bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
SCRIPTS: dict[str, bytes] = {
    "p2pkh": b"\x76\xa9\x14" + KEY_HASH + b"\x88\xac",
    "p2sh": b"\xa9\x14" + KEY_HASH + b"\x87",
    "p2wpkh": b"\x00\x14" + KEY_HASH,
    "p2wsh": b"\x00\x20" + bytes(range(32)),
    "p2tr": b"\x51\x20" + ON_CURVE,
}
BECH32, BECH32M = 1, 0x2BC830A3


def base58check(payload: bytes) -> str:
    checksum = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    return str(base58_encode(payload + checksum))


def segwit(hrp: str, version: int, program: bytes, constant: int) -> str:
    """Write an address with any version under any checksum, which no decent encoder would."""
    values = [version, *segwit_addr.convertbits(program, 8, 5)]
    expanded = segwit_addr.bech32_hrp_expand(hrp) + values
    polymod = segwit_addr.bech32_polymod([*expanded, 0, 0, 0, 0, 0, 0]) ^ constant
    values += [(polymod >> 5 * (5 - i)) & 31 for i in range(6)]
    return hrp + "1" + "".join(segwit_addr.CHARSET[value] for value in values)


GOOD = segwit("bcrt", 0, KEY_HASH, BECH32)
WIF = base58check(b"\xef" + bytes(range(1, 33)) + b"\x01")
WIF_MAINNET = base58check(b"\x80" + bytes(range(1, 33)))
XPRV = base58check(bytes.fromhex("04358394") + bytes(74))
XPUB = base58check(bytes.fromhex("043587cf") + bytes(74))

REFUSED_ON_REGTEST = [
    ("", "address_missing"),
    ("bcrt1", "address_malformed"),
    ("not an address", "address_malformed"),
    (" " + GOOD, "address_malformed"),
    (GOOD + " ", "address_malformed"),
    (GOOD + "\n", "address_malformed"),
    (GOOD + "\x00", "address_malformed"),
    (GOOD + "\x00x", "address_malformed"),
    (GOOD[:-1] + ("q" if GOOD[-1] != "q" else "p"), "address_checksum"),
    (GOOD[:10] + ("q" if GOOD[10] != "q" else "p") + GOOD[11:], "address_checksum"),
    (GOOD[:12] + "b" + GOOD[13:], "address_malformed"),
    (GOOD[:8] + GOOD[8:].upper(), "address_mixed_case"),
    (GOOD[0].upper() + GOOD[1:], "address_mixed_case"),
    (segwit("bc", 0, KEY_HASH, BECH32), "address_mainnet"),
    (segwit("bc", 1, ON_CURVE, BECH32M), "address_mainnet"),
    ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "address_mainnet"),
    ("1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", "address_mainnet"),
    (base58check(b"\x05" + KEY_HASH), "address_mainnet"),
    (segwit("tb", 0, KEY_HASH, BECH32), "address_wrong_network"),
    (segwit("ltc", 0, KEY_HASH, BECH32), "address_wrong_network"),
    (base58check(b"\x30" + KEY_HASH), "address_wrong_network"),
    (base58check(b"\x6f" + KEY_HASH)[:-1] + "1", "address_checksum"),
    (base58check(b"\x6f" + KEY_HASH[:19]), "address_malformed"),
    (segwit("bcrt", 1, ON_CURVE, BECH32), "address_wrong_encoding"),
    (segwit("bcrt", 0, KEY_HASH, BECH32M), "address_wrong_encoding"),
    (segwit("bcrt", 2, ON_CURVE, BECH32), "address_wrong_encoding"),
    (segwit("bcrt", 0, bytes(16), BECH32), "address_malformed"),
    (segwit("bcrt", 17, ON_CURVE, BECH32M), "address_malformed"),
    (segwit("bcrt", 2, ON_CURVE, BECH32M), "address_unsupported"),
    (segwit("bcrt", 16, bytes(2), BECH32M), "address_unsupported"),
    (segwit("bcrt", 1, b"\x4e\x73", BECH32M), "address_unsupported"),
    (segwit("bcrt", 1, bytes(20), BECH32M), "address_unsupported"),
    (segwit("bcrt", 1, b"\xff" * 32, BECH32M), "address_unsupported"),
    (segwit("bcrt", 1, bytes(32), BECH32M), "address_unsupported"),
    (GOOD.replace("c", "\u0441", 1), "address_not_ascii"),
    (GOOD[:5] + "\u200b" + GOOD[5:], "address_not_ascii"),
    ("\ufeff" + GOOD, "address_not_ascii"),
    (WIF, "address_is_secret"),
    (WIF_MAINNET, "address_is_secret"),
    (WIF[:-1] + ("1" if WIF[-1] != "1" else "2"), "address_is_secret"),
    (f" {WIF} ", "address_is_secret"),
    (XPRV, "address_is_secret"),
    (" ".join(["abandon"] * 11 + ["about"]), "address_is_secret"),
    (XPUB, "address_is_xpub"),
    (f"bitcoin:{GOOD}?req-lightning=1", "address_is_uri"),
    (f"BITCOIN:{GOOD.upper()}?amount=1", "address_is_uri"),
    (GOOD + "q" * 60, "address_malformed"),
    ("bcrt1" + "q" * 86, "address_malformed"),
    ("b" * 1_000_000, "address_malformed"),
]


def rule_of(text: object, on: Network) -> str:
    with pytest.raises(address.InvalidAddress) as refusal:
        address.script_from_address(text, on)  # type: ignore[arg-type]
    assert refusal.value.http_status == 422
    return str(refusal.value.details["rule"])


class TestScriptFromAddress:
    @pytest.mark.parametrize("on", list(Network))
    @pytest.mark.parametrize("kind", list(SCRIPTS))
    def test_reads_back_each_kind_on_each_network(self, kind: str, on: Network) -> None:
        text = address.address_from_script(SCRIPTS[kind], on)
        assert address.script_from_address(text, on) == SCRIPTS[kind]
        assert address.kind(SCRIPTS[kind]) == kind

    @pytest.mark.parametrize(("text", "rule"), REFUSED_ON_REGTEST)
    def test_refuses_by_the_rule_broken(self, text: str, rule: str) -> None:
        assert rule_of(text, Network.REGTEST) == rule

    @pytest.mark.parametrize(("value", "rule"), [(None, "address_missing"), (1, "address_malformed")])
    def test_refuses_what_is_not_text(self, value: object, rule: str) -> None:
        assert rule_of(value, Network.REGTEST) == rule

    @pytest.mark.parametrize("on", [Network.SIGNET, Network.TESTNET3, Network.TESTNET4])
    def test_refuses_regtest_addresses_elsewhere(self, on: Network) -> None:
        assert rule_of(GOOD, on) == "address_wrong_network"

    def test_takes_uppercase_as_the_same_script(self) -> None:
        assert address.script_from_address(GOOD.upper(), Network.REGTEST) == SCRIPTS["p2wpkh"]

    @pytest.mark.parametrize(
        ("text", "script"),
        [
            # BIP173 and BIP350, the vectors of test networks.
            (
                "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
                "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
            ),
            (
                "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
                "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
            ),
            (
                "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
                "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
            ),
        ],
    )
    @pytest.mark.parametrize("on", [Network.SIGNET, Network.TESTNET3, Network.TESTNET4])
    def test_reads_the_vectors_of_the_standards(self, text: str, script: str, on: Network) -> None:
        assert address.script_from_address(text, on).hex() == script
        assert address.address_from_script(bytes.fromhex(script), on) == text

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf", "address_wrong_encoding"),
            ("tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47", "address_wrong_encoding"),
            ("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq", "address_mixed_case"),
            ("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j", "address_malformed"),
            ("tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut", "address_wrong_network"),
            ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "address_mainnet"),
            ("tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3pjxtptv", "address_malformed"),
        ],
    )
    def test_refuses_the_invalid_vectors_of_the_standards(self, text: str, rule: str) -> None:
        assert rule_of(text, Network.TESTNET3) == rule

    @pytest.mark.parametrize("secret", [WIF, WIF_MAINNET, XPRV, XPUB])
    def test_never_repeats_what_it_refuses(self, secret: str) -> None:
        with pytest.raises(address.InvalidAddress) as refusal:
            address.script_from_address(secret, Network.REGTEST)
        assert secret not in f"{refusal.value}{refusal.value.details}{refusal.value!r}"

    @given(st.binary(min_size=20, max_size=20), st.sampled_from(list(Network)))
    def test_reads_back_every_key_hash(self, key_hash: bytes, on: Network) -> None:
        for script in (b"\x00\x14" + key_hash, b"\x76\xa9\x14" + key_hash + b"\x88\xac"):
            assert address.script_from_address(address.address_from_script(script, on), on) == script

    @given(st.text(max_size=100))
    def test_never_fails_otherwise_than_by_refusing(self, text: str) -> None:
        with pytest.raises(address.InvalidAddress):
            address.script_from_address(text, Network.REGTEST)

    @given(st.integers(5, len(GOOD) - 1), st.sampled_from(segwit_addr.CHARSET))
    def test_finds_every_single_typing_error(self, position: int, letter: str) -> None:
        typed = GOOD[:position] + letter + GOOD[position + 1 :]
        if typed != GOOD:
            assert rule_of(typed, Network.REGTEST) == "address_checksum"


class TestAddressFromScript:
    @pytest.mark.parametrize("script", [b"", b"\x6a\x01\x00", b"\x51\x02\x4e\x73", b"\x52\x20" + bytes(32)])
    def test_refuses_scripts_that_have_no_address_here(self, script: bytes) -> None:
        with pytest.raises(address.InvalidAddress) as refusal:
            address.address_from_script(script, network.Network.REGTEST)
        assert refusal.value.details["rule"] == "address_unsupported"
