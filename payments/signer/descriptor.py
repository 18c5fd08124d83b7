"""The wallet's output descriptor (BIP380 to BIP389): which scripts are ours, and which keys must sign."""

import re
from dataclasses import dataclass, field
from typing import Any

import wallycore

from payments.signer.refusal import Unreadable

FUNDING, CHANGE = 0, 1
HARDENED = 0x8000_0000
MAX_INDEX = HARDENED - 1
_KEY = r"\[([0-9a-f]{8})((?:/[0-9]+h)*)\](tpub[1-9A-HJ-NP-Za-km-z]{100,120})/<0;1>/\*"
_WPKH = re.compile(rf"wpkh\({_KEY}\)#[a-z0-9]{{8}}")
_MULTISIG = re.compile(rf"wsh\(sortedmulti\(([0-9]+)((?:,{_KEY})+)\)\)#[a-z0-9]{{8}}")
# A signature has 72 bytes at most.
_SIGNATURE_WEIGHT = 1 + 72


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the descriptor: the fingerprint of its master key, its path from there, and its public half."""

    fingerprint: bytes
    path: tuple[int, ...]
    xpub: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A ``wpkh`` or ``wsh(sortedmulti)`` descriptor with a funding and a change chain, on a test network."""

    text: str
    keys: tuple[Key, ...]
    needed: int
    _parsed: Any = field(compare=False, repr=False)

    @property
    def is_multisig(self) -> bool:
        """Tell whether several keys make a script."""
        return self.text.startswith("wsh(")

    @property
    def witness_weight(self) -> int:
        """The weight units of the witness of a signed input, at most."""
        if not self.is_multisig:
            return 1 + _SIGNATURE_WEIGHT + 1 + 33
        script = 3 + 34 * len(self.keys)
        return 2 + self.needed * _SIGNATURE_WEIGHT + (1 if script < 253 else 3) + script

    def script_pubkey(self, branch: int, index: int) -> bytes:
        """Return the script of the funding (0) or change (1) chain at this index."""
        return bytes(wallycore.descriptor_to_script(self._parsed, 0, 0, 0, branch, index, 0))

    def witness_script(self, branch: int, index: int) -> bytes:
        """Return the script behind the hash of a ``wsh`` script; nothing for ``wpkh``."""
        if not self.is_multisig:
            return b""
        return bytes(wallycore.descriptor_to_script(self._parsed, 1, 0, 0, branch, index, 0))

    def public_key(self, key: Key, branch: int, index: int) -> bytes:
        """Return the public key that a key of the descriptor has in the script at this index."""
        parent = wallycore.bip32_key_from_base58(key.xpub)
        child = wallycore.bip32_key_from_parent_path(
            parent, [branch, index], wallycore.BIP32_FLAG_KEY_PUBLIC | wallycore.BIP32_FLAG_SKIP_HASH
        )
        return bytes(wallycore.bip32_key_get_pub_key(child))


def parse(text: str) -> Descriptor:
    """Return the descriptor; raise Unreadable unless it is of one of the two kinds, with its checksum, on testnet keys."""
    single = _WPKH.fullmatch(text)
    multiple = _MULTISIG.fullmatch(text)
    try:
        parsed = wallycore.descriptor_parse(
            text, None, wallycore.WALLY_NETWORK_BITCOIN_TESTNET, wallycore.WALLY_MINISCRIPT_REQUIRE_CHECKSUM
        )
    except ValueError:
        parsed = None
    if parsed is None or not (single or multiple):
        raise Unreadable(
            "descriptor",
            "The descriptor is not wpkh(KEY) or wsh(sortedmulti(m,KEY,...)) with keys of a test network like "
            "[fingerprint/84h/1h/0h]tpub.../<0;1>/* and a checksum.",
        )
    keys = tuple(
        Key(bytes.fromhex(fingerprint), parse_path(f"m{path}"), xpub)
        for fingerprint, path, xpub in re.findall(_KEY, text)
    )
    # Two keys under one master key are one signer, who would count twice.
    if len({key.fingerprint for key in keys}) != len(keys) or len({key.xpub for key in keys}) != len(keys):
        raise Unreadable("descriptor", "The descriptor has a key twice, or two keys of one signer.")
    return Descriptor(text, keys, int(multiple.group(1)) if multiple else 1, parsed)


def compose(keys: list[str], needed: int | None) -> str:
    """Return the descriptor of these keys, each like ``[fingerprint/48h/1h/0h/2h]tpub...``, with its checksum.

    Without ``needed`` it is the ``wpkh`` of the one key. Raises Unreadable.
    """
    chains = ",".join(f"{key}/<0;1>/*" for key in keys)
    text = f"wpkh({chains})" if needed is None else f"wsh(sortedmulti({needed},{chains}))"
    try:
        parsed = wallycore.descriptor_parse(text, None, wallycore.WALLY_NETWORK_BITCOIN_TESTNET, 0)
        return parse(f"{text}#{wallycore.descriptor_get_checksum(parsed, 0)}").text
    except ValueError as error:
        raise Unreadable("descriptor", "These keys do not make a descriptor.") from error


def parse_path(text: str) -> tuple[int, ...]:
    """Return the numbers of a path like ``m/84h/1h/0h``; raise Unreadable unless all are hardened."""
    if not re.fullmatch(r"m(/[0-9]{1,10}h){0,10}", text):
        raise Unreadable("path", f"{text[:60]} is not a path of hardened steps like m/84h/1h/0h.")
    steps = tuple(int(step[:-1]) for step in text.split("/")[1:])
    if any(step > MAX_INDEX for step in steps):
        raise Unreadable("path", f"{text[:60]} has a step that does not exist.")
    return tuple(step + HARDENED for step in steps)


def path_text(path: tuple[int, ...]) -> str:
    """Return the text of a path."""
    return "".join(["m", *(f"/{step - HARDENED}h" if step >= HARDENED else f"/{step}" for step in path)])
