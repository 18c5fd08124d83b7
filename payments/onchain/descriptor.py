"""Reads the descriptor of a watch-only wallet (BIP380 to BIP389) and derives its scripts without a node.

Two forms are taken, each key with its origin and the receive and change branches in one: ``wpkh(KEY)`` and
``wsh(sortedmulti(m,KEY,...))`` with ``KEY = [fingerprint/path]tpub/<0;1>/*``. Keys are of the test networks and public.
It imports neither Django nor a node, so that a signer on another host reads descriptors by the same rules.
"""

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wallycore

from govpay import errors
from payments.onchain import fee

RECEIVE, CHANGE = 0, 1
MAX_KEYS = 15
MAX_INDEX = 2**31 - 1
HARDENED = 2**31

_MESSAGES = {
    "missing": "There is no descriptor.",
    "not_ascii": "A descriptor has printable ASCII characters only, and no spaces.",
    "too_long": "This is longer than any descriptor that govpay takes.",
    "private_key": "This descriptor holds a private key; it was not stored. Give the public one, and keep keys elsewhere.",
    "checksum_missing": "A descriptor ends with '#' and its checksum of eight characters (BIP380).",
    "checksum": "The descriptor has a typing error: its checksum does not match (BIP380).",
    "form": "A descriptor is wpkh(KEY) or wsh(sortedmulti(m,KEY,...)); no other form is taken.",
    "threshold": "The number of signers that are needed must lie between 1 and the number of keys, without leading zeros.",
    "too_many_keys": f"A descriptor has at most {MAX_KEYS} keys.",
    "origin_missing": "Each key needs its origin in front, [fingerprint/path], so that its signer finds it.",
    "origin": "A key's origin is [fingerprint/path]: eight hexadecimal digits, and steps such as /84h/1h/0h.",
    "branches": "Each key ends with /<0;1>/*: the receive branch, the change branch (BIP389), unhardened indexes.",
    "hardened": "Indexes under an extended public key cannot be hardened: a key ends with /<0;1>/*.",
    "mainnet": "This is a key of the main network; govpay pays on test networks only.",
    "key": "Each key is an extended public key of the test networks (tpub...), without a typing error.",
    "origin_mismatch": "A key is not one that its origin can have: the depth, last step or fingerprint differs.",
    "duplicate_key": "The descriptor has one key twice.",
    "duplicate_signer": "Two keys have the same master fingerprint: one signer would count twice.",
}


class InvalidDescriptor(errors.GovPayError):
    """The text is not a descriptor that govpay pays from; ``details['rule']`` says why; the text is never repeated."""

    code = "invalid_descriptor"
    http_status = 422

    def __init__(self, rule: str, **details: Any) -> None:
        super().__init__(_MESSAGES[rule], rule=rule, **details)


@dataclass(frozen=True)
class Key:
    """One signer's key: the fingerprint of its master key (hex), the path from there, and the extended public key."""

    fingerprint: str
    path: tuple[int, ...]
    xpub: str

    def public_key(self, branch: int, index: int) -> bytes:
        """Return the compressed public key at a place."""
        return _public_key(self.xpub, branch, index)

    def full_path(self, branch: int, index: int) -> list[int]:
        """Return the path from the master key to a place, as PSBTs carry it."""
        return [*self.path, branch, index]

    @property
    def origin(self) -> str:
        """The origin as descriptors write it, such as ``[d34db33f/84h/1h/0h]``."""
        steps = "".join(f"/{step - HARDENED}h" if step >= HARDENED else f"/{step}" for step in self.path)
        return f"[{self.fingerprint}{steps}]"


@dataclass(frozen=True)
class Descriptor:
    """A wallet's keys, and how many of their signers are needed. Its methods take a branch (RECEIVE, CHANGE) and index."""

    needed: int
    keys: tuple[Key, ...]
    is_multisig: bool

    def __str__(self) -> str:
        """Return the multipath descriptor with ``h`` for hardened steps, and its checksum."""
        return self._text("<0;1>")

    @property
    def checksum(self) -> str:
        """The eight characters that people compare."""
        return str(self)[-8:]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The signers, in the descriptor's order."""
        return tuple(key.fingerprint for key in self.keys)

    def of_branch(self, branch: int) -> str:
        """Return the descriptor of one branch with its checksum, which nodes without BIP389 understand too."""
        return self._text(str(branch))

    def witness_script(self, branch: int, index: int) -> bytes | None:
        """Return the script behind a P2WSH output, its keys sorted (BIP67); None for P2WPKH."""
        if not self.is_multisig:
            return None
        keys = sorted(key.public_key(branch, index) for key in self.keys)
        return multisig_script(self.needed, keys)

    def script_pubkey(self, branch: int, index: int) -> bytes:
        """Return the output script at a place."""
        script = self.witness_script(branch, index)
        if script is not None:
            return b"\x00\x20" + hashlib.sha256(script).digest()
        return b"\x00\x14" + bytes(wallycore.hash160(self.keys[0].public_key(branch, index)))

    @property
    def input_weight(self) -> int:
        """The weight units of an input that spends one of its outputs, with the longest signatures there are."""
        if self.is_multisig:
            return fee.p2wsh_multisig_input_weight(self.needed, len(self.keys))
        return fee.P2WPKH_INPUT_WEIGHT

    @property
    def output_weight(self) -> int:
        """The weight units of an output that pays it."""
        return fee.output_weight(b"\0" * (34 if self.is_multisig else 22))

    def _text(self, branch: str) -> str:
        keys = ",".join(f"{key.origin}{key.xpub}/{branch}/*" for key in self.keys)
        return with_checksum(
            f"wsh(sortedmulti({self.needed},{keys}))" if self.is_multisig else f"wpkh({keys})"
        )


def multisig_script(needed: int, public_keys: Sequence[bytes]) -> bytes:
    """Return ``OP_needed <key>... OP_n OP_CHECKMULTISIG`` with the keys in the order given; at most 16 of them."""
    pushes = b"".join(bytes([len(key)]) + key for key in public_keys)
    return bytes([0x50 + needed]) + pushes + bytes([0x50 + len(public_keys), 0xAE])


_MAX_LENGTH = 4_000
_WPKH = re.compile(r"wpkh\(([^(),]*)\)")
_MULTI = re.compile(r"wsh\(sortedmulti\(([^(),]*)((?:,[^(),]*)+)\)\)")
_PRIVATE = re.compile(
    r"[a-zA-Z]prv[1-9A-HJ-NP-Za-km-z]{20}|(?<![0-9A-Za-z])[5KL9c][1-9A-HJ-NP-Za-km-z]{50,51}(?![0-9A-Za-z])"
)
_KEY = re.compile(r"\[([^\]]*)\]([A-Za-z0-9]+)(.*)")
_ORIGIN = re.compile(r"([0-9a-fA-F]{8})((?:/(?:0|[1-9][0-9]{0,9})[h'H]?)*)")
_THRESHOLD = re.compile(r"[1-9][0-9]?")


def require_public(text: str) -> None:
    """Raise InvalidDescriptor for a text of characters that no descriptor has, or with a private key in it."""
    if not text:
        raise InvalidDescriptor("missing")
    if not all("!" <= character <= "~" for character in text):
        raise InvalidDescriptor("not_ascii")
    if len(text) > _MAX_LENGTH:
        raise InvalidDescriptor("too_long")
    if _PRIVATE.search(text):
        raise InvalidDescriptor("private_key")


def require_checksum(text: str) -> str:
    """Return the descriptor in front of its checksum; raise InvalidDescriptor where that lacks or does not match."""
    body, mark, given = text.partition("#")
    if not mark:
        raise InvalidDescriptor("checksum_missing")
    if given != checksum(body):
        raise InvalidDescriptor("checksum")
    return body


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Descriptor:
    """Read a multipath descriptor with its checksum; raise InvalidDescriptor with the rule that it breaks."""
    # Before all else: a descriptor with a private key in it must be refused as that, whatever else is wrong with it.
    require_public(text)
    body = require_checksum(text)
    if single := _WPKH.fullmatch(body):
        return Descriptor(1, (_key(single[1], 0),), is_multisig=False)
    multi = _MULTI.fullmatch(body)
    if multi is None:
        raise InvalidDescriptor("form")
    texts = multi[2][1:].split(",")
    if len(texts) > MAX_KEYS:
        raise InvalidDescriptor("too_many_keys", keys=len(texts))
    if not _THRESHOLD.fullmatch(multi[1]) or int(multi[1]) > len(texts):
        raise InvalidDescriptor("threshold", keys=len(texts))
    keys = tuple(_key(key, position) for position, key in enumerate(texts))
    if len({key.public_key(RECEIVE, 0) for key in keys}) != len(keys):
        raise InvalidDescriptor("duplicate_key")
    if len({key.fingerprint for key in keys}) != len(keys):
        raise InvalidDescriptor("duplicate_signer")
    return Descriptor(int(multi[1]), keys, is_multisig=True)


def _key(text: str, position: int) -> Key:
    found = _KEY.fullmatch(text)
    if found is None:
        raise InvalidDescriptor("origin_missing", key=position)
    origin = _ORIGIN.fullmatch(found[1])
    if origin is None:
        raise InvalidDescriptor("origin", key=position)
    if found[3] != "/<0;1>/*":
        is_hardened = found[3].rstrip("h'H") == "/<0;1>/*" or re.search(r"[h'H]", found[3])
        raise InvalidDescriptor("hardened" if is_hardened else "branches", key=position)
    path = tuple(_step(step, position) for step in origin[2].split("/")[1:])
    key = Key(origin[1].lower(), path, found[2])
    _check_xpub(key, position)
    return key


def _step(text: str, position: int) -> int:
    number = int(text.rstrip("h'H"))
    if number >= HARDENED:
        raise InvalidDescriptor("origin", key=position)
    return number if text.isdigit() else number + HARDENED


def _check_xpub(key: Key, position: int) -> None:
    """Refuse a key of the main network, one with a typing error, and one that its origin cannot have."""
    try:
        parsed = wallycore.bip32_key_from_base58(key.xpub)
        version = wallycore.bip32_key_get_version(parsed)
    except ValueError as error:
        raise InvalidDescriptor("key", key=position) from error
    if version == wallycore.BIP32_VER_MAIN_PUBLIC:
        raise InvalidDescriptor("mainnet", key=position)
    if version != wallycore.BIP32_VER_TEST_PUBLIC:
        raise InvalidDescriptor("key", key=position)
    is_consistent = wallycore.bip32_key_get_depth(parsed) == len(key.path)
    if key.path:
        is_consistent &= wallycore.bip32_key_get_child_num(parsed) == key.path[-1]
    else:
        is_consistent &= bytes(wallycore.bip32_key_get_fingerprint(parsed)).hex() == key.fingerprint
    if not is_consistent:
        raise InvalidDescriptor("origin_mismatch", key=position)


@functools.lru_cache(maxsize=4096)
def _public_key(xpub: str, branch: int, index: int) -> bytes:
    parent = _branch_key(xpub, branch)
    child = wallycore.bip32_key_from_parent(parent, index, wallycore.BIP32_FLAG_KEY_PUBLIC)
    return bytes(wallycore.bip32_key_get_pub_key(child))


@functools.lru_cache(maxsize=256)
def _branch_key(xpub: str, branch: int) -> Any:
    return wallycore.bip32_key_from_parent(
        wallycore.bip32_key_from_base58(xpub), branch, wallycore.BIP32_FLAG_KEY_PUBLIC
    )


_INPUT_CHARSET = (
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
)
_CHECKSUM_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)


def checksum(body: str) -> str:
    """Return the eight characters that follow '#' (BIP380); raise InvalidDescriptor on a character that none has."""
    symbols: list[int] = []
    groups: list[int] = []
    for character in body:
        position = _INPUT_CHARSET.find(character)
        if position < 0:
            raise InvalidDescriptor("not_ascii")
        symbols.append(position & 31)
        groups.append(position >> 5)
        if len(groups) == 3:
            symbols.append(groups[0] * 9 + groups[1] * 3 + groups[2])
            groups = []
    if groups:
        symbols.append(groups[0] if len(groups) == 1 else groups[0] * 3 + groups[1])
    remainder = _polymod([*symbols, 0, 0, 0, 0, 0, 0, 0, 0]) ^ 1
    return "".join(_CHECKSUM_CHARSET[(remainder >> (5 * (7 - i))) & 31] for i in range(8))


def _polymod(symbols: Sequence[int]) -> int:
    remainder = 1
    for value in symbols:
        top = remainder >> 35
        remainder = (remainder & 0x7FFFFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            remainder ^= term if (top >> bit) & 1 else 0
    return remainder


def with_checksum(body: str) -> str:
    """Return the descriptor with its checksum behind it."""
    return f"{body}#{checksum(body)}"
