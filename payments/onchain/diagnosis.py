"""Says why a text is not an address that govpay pays to, after the fast decoder has refused it."""

import re

import wallycore
from bitcoin import segwit_addr

from payments.onchain import network as network_module

_BECH32_CONSTANT = 1
_BECH32M_CONSTANT = 0x2BC830A3
_TEST_HRPS = frozenset(network.hrp for network in network_module.Network)

_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]+")
# Matched by shape, not by checksum: a private key with a typing error is still nearly a private key.
_WIF = re.compile(r"[5KL9c][1-9A-HJ-NP-Za-km-z]{50,51}")
_EXTENDED_PRIVATE_KEY = re.compile(r"[a-zA-Z]prv[1-9A-HJ-NP-Za-km-z]{20,}")
_EXTENDED_PUBLIC_KEY = re.compile(r"[a-zA-Z]pub[1-9A-HJ-NP-Za-km-z]{20,}")
_SEED_WORDS = re.compile(r"\s*[a-z]{3,8}(?:\s+[a-z]{3,8}){11,23}\s*")
_BECH32_SHAPE = re.compile(r"([a-z]{1,10})1([a-z0-9]{6,})")

_MAINNET_VERSIONS = (0, 5)
_SECRET_VERSIONS = (128, 239)
_LONGEST_WORTH_READING = 2_000


def rule_broken(text: object, network: network_module.Network) -> str:
    """Return the rule that the text breaks as an address of this network.

    Only meaningful for a text that address.script_from_address refuses.
    """
    if text is None or text == "":
        return "address_missing"
    if not isinstance(text, str) or len(text) > _LONGEST_WORTH_READING:
        return "address_malformed"
    if not text.isascii():
        return "address_not_ascii"
    if _is_secret(text.strip()):
        return "address_is_secret"
    if _EXTENDED_PUBLIC_KEY.fullmatch(text.strip()):
        return "address_is_xpub"
    if text.lower().startswith("bitcoin:"):
        return "address_is_uri"
    return _base58_rule(text) or _bech32_rule(text, network) or "address_malformed"


def is_whole(text: str) -> bool:
    """Tell whether an address of whatever network has no typing error: by base58check, or as a segwit address (BIP350)."""
    if not (text.isascii() and text.isalnum() and len(text) <= 90):
        return False
    family = text.lower().rpartition("1")[0]
    try:
        if _BECH32_SHAPE.fullmatch(text.lower()) and text in (text.lower(), text.upper()):
            return bool(wallycore.addr_segwit_to_bytes(text, family, 0))
        return len(wallycore.base58check_to_bytes(text)) == 21
    except ValueError:
        return False


def _is_secret(text: str) -> bool:
    return any(shape.fullmatch(text) for shape in (_WIF, _EXTENDED_PRIVATE_KEY, _SEED_WORDS))


def _base58_rule(text: str) -> str | None:
    """Return the rule broken by what looks like base58check, or None when it is something else."""
    if len(text) > 112 or _BASE58.fullmatch(text) is None:
        return None
    try:
        payload = wallycore.base58check_to_bytes(text)
    except ValueError:
        looks_like_address = text[0] in "123mn" and 26 <= len(text) <= 35
        return "address_checksum" if looks_like_address else None
    if payload[0] in _SECRET_VERSIONS and len(payload) in (33, 34):
        return "address_is_secret"
    if len(payload) != 21:
        return "address_malformed"
    return "address_mainnet" if payload[0] in _MAINNET_VERSIONS else "address_wrong_network"


def _bech32_rule(text: str, network: network_module.Network) -> str | None:
    """Return the rule broken by what looks like bech32 or bech32m (BIP173, BIP350), or None."""
    shape = _BECH32_SHAPE.fullmatch(text.lower())
    if shape is None:
        return None
    if text not in (text.lower(), text.upper()):
        return "address_mixed_case"
    hrp, data = shape[1], shape[2]
    if len(text) > 90 or any(character not in segwit_addr.CHARSET for character in data):
        return "address_malformed"
    values = [segwit_addr.CHARSET.index(character) for character in data]
    constant = segwit_addr.bech32_polymod(segwit_addr.bech32_hrp_expand(hrp) + values)
    is_checked = constant in (_BECH32_CONSTANT, _BECH32M_CONSTANT)
    if hrp == "bc":
        return "address_mainnet"
    if hrp != network.hrp and (hrp in _TEST_HRPS or is_checked):
        return "address_wrong_network"
    if hrp != network.hrp:
        return None
    if not is_checked:
        return "address_checksum"
    return _program_rule(values[:-6], is_bech32m=constant == _BECH32M_CONSTANT)


def _program_rule(values: list[int], *, is_bech32m: bool) -> str:
    if not values or values[0] > 16:
        return "address_malformed"
    version = values[0]
    if is_bech32m == (version == 0):
        return "address_wrong_encoding"
    program = segwit_addr.convertbits(values[1:], 5, 8, False)
    if program is None or not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        return "address_malformed"
    return "address_unsupported"
