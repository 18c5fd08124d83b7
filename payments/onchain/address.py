"""Turns addresses into scripts and back, for the five kinds govpay pays to, on the four test networks.

People compare addresses, programs compare scripts: uppercase bech32 is the same script in another spelling.
"""

from typing import Any, Literal

import wallycore

from govpay import errors
from payments.onchain import diagnosis
from payments.onchain import network as network_module

Kind = Literal["p2pkh", "p2sh", "p2wpkh", "p2wsh", "p2tr"]

_MESSAGES = {
    "address_missing": "There is no address.",
    "address_malformed": "This is not an address.",
    "address_checksum": "The address has a typing error: its checksum does not match.",
    "address_mixed_case": "The address mixes upper and lower case, so a typing error could hide in it.",
    "address_mainnet": "This is an address of the main network; govpay pays on test networks only.",
    "address_wrong_network": "This is an address of another network.",
    "address_wrong_encoding": "The address has the checksum of another address version (BIP350).",
    "address_unsupported": "Nobody is known to be able to spend from this kind of address.",
    "address_not_ascii": "The address has characters that only look like the right ones, or are invisible.",
    "address_is_secret": "This is a private key or recovery phrase, not an address; it was not stored.",
    "address_is_xpub": "This is an extended public key, not an address.",
    "address_is_uri": "This is a payment link; give the address alone.",
}


class InvalidAddress(errors.GovPayError):
    """The text is not an address to pay to; ``details['rule']`` says why; the text is never repeated."""

    code = "invalid_address"
    http_status = 422

    def __init__(self, rule: str, **details: Any) -> None:
        super().__init__(_MESSAGES[rule], rule=rule, **details)


def kind(script_pubkey: bytes) -> Kind | None:
    """Return which of the five kinds the script is, or None."""
    length = len(script_pubkey)
    if length == 22 and script_pubkey[:2] == b"\x00\x14":
        return "p2wpkh"
    if length == 34 and script_pubkey[:2] == b"\x00\x20":
        return "p2wsh"
    if length == 34 and script_pubkey[:2] == b"\x51\x20":
        return "p2tr"
    if length == 25 and script_pubkey[:3] == b"\x76\xa9\x14" and script_pubkey[23:] == b"\x88\xac":
        return "p2pkh"
    if length == 23 and script_pubkey[:2] == b"\xa9\x14" and script_pubkey[22:] == b"\x87":
        return "p2sh"
    return None


def script_from_address(address: str, network: network_module.Network) -> bytes:
    """Return the script_pubkey that the address stands for on the network.

    Accepts P2PKH, P2SH, P2WPKH, P2WSH (BIP173) and P2TR (BIP350, with its key on the curve). Raises
    InvalidAddress. This is the import's hot path: what is wrong with an address is asked after it failed.
    """
    # The C decoder stops reading at a NUL, so only letters and digits may reach it.
    if isinstance(address, str) and address.isascii() and address.isalnum() and len(address) <= 90:
        script_pubkey = _decode(address, network)
        if script_pubkey is not None:
            return script_pubkey
    raise InvalidAddress(diagnosis.rule_broken(address, network))


def _decode(address: str, network: network_module.Network) -> bytes | None:
    hrp = network.hrp
    try:
        if address[: len(hrp) + 1].lower() == hrp + "1":
            return _spendable(wallycore.addr_segwit_to_bytes(address, hrp, 0))
        payload: bytes = wallycore.base58check_to_bytes(address)
    except ValueError:
        return None
    if len(payload) != 21:
        return None
    if payload[0] == network.p2pkh_version:
        return b"\x76\xa9\x14" + payload[1:] + b"\x88\xac"
    if payload[0] == network.p2sh_version:
        return b"\xa9\x14" + payload[1:] + b"\x87"
    return None


def _spendable(script_pubkey: bytes) -> bytes | None:
    """Return the script unless it is of a future version, or a taproot key that is not on the curve."""
    if script_pubkey[0] == 0:
        return script_pubkey
    if kind(script_pubkey) != "p2tr":
        return None
    wallycore.ec_xonly_public_key_verify(script_pubkey[2:])
    return script_pubkey


def address_from_script(script_pubkey: bytes, network: network_module.Network) -> str:
    """Return the address of the script on the network; raise InvalidAddress (unsupported) if it has none."""
    found = kind(script_pubkey)
    if found is None:
        raise InvalidAddress("address_unsupported")
    if found == "p2pkh":
        return str(wallycore.base58check_from_bytes(bytes([network.p2pkh_version]) + script_pubkey[3:23]))
    if found == "p2sh":
        return str(wallycore.base58check_from_bytes(bytes([network.p2sh_version]) + script_pubkey[2:22]))
    return str(wallycore.addr_segwit_from_bytes(script_pubkey, network.hrp, 0))
