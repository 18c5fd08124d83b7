"""The Bitcoin key of a signer: made or imported once, kept in a key file, opened to sign."""

import os
import re
from pathlib import Path
from typing import Any

import wallycore

from payments.signer import config, descriptor, vault
from payments.signer.refusal import KeyRefused

KIND = "bitcoin"
SINGLE_PATH = "m/84h/1h/0h"
MULTISIG_PATH = "m/48h/1h/0h/2h"
_ENTROPY_BYTES = 32


def new_mnemonic() -> str:
    """Return 24 new words (BIP39)."""
    return str(wallycore.bip39_mnemonic_from_bytes(None, os.urandom(_ENTROPY_BYTES)))


def save(path: Path, secret: str, *, network: str, derivation: str, passphrase: bytes) -> dict[str, Any]:
    """Write the key file of BIP39 words or a master private key (tprv); return what is public of it.

    Raises KeyRefused for words whose checksum is wrong and for keys of the main network or below a master key.
    """
    config.require_test_network(network)
    steps = descriptor.parse_path(derivation)
    secret = " ".join(secret.split())
    master = _master(secret)
    fingerprint = bytes(wallycore.bip32_key_get_fingerprint(master)).hex()
    about = {
        "kind": KIND,
        "network": network,
        "fingerprint": fingerprint,
        "path": descriptor.path_text(steps),
        "xpub": _xpub(master, steps),
    }
    vault.write(path, secret.encode(), passphrase, about)
    return read(path)


def read(path: Path) -> dict[str, Any]:
    """Return what is public of a key file; raise KeyRefused."""
    return vault.read(path, KIND, ("network", "fingerprint", "path", "xpub"))


def origin_text(about: dict[str, Any]) -> str:
    """Return the public key as a descriptor takes it: ``[fingerprint/path]tpub...``."""
    return f"[{about['fingerprint']}{about['path'][1:]}]{about['xpub']}"


def open_master(path: Path, passphrase: bytes, key: descriptor.Key) -> Any:
    """Return the master private key of the file; raise KeyRefused unless it is the descriptor's key."""
    content = read(path)
    master = _master(vault.open_(content, passphrase).decode())
    # A fingerprint has four bytes only, and says nothing of the key that stands behind it in the descriptor.
    if (
        bytes(wallycore.bip32_key_get_fingerprint(master)) != key.fingerprint
        or _xpub(master, key.path) != key.xpub
    ):
        raise KeyRefused("key_other", "The key file holds another key than the configured one.")
    return master


def _xpub(master: Any, steps: tuple[int, ...]) -> str:
    """Return the extended public key below a master key."""
    flags = wallycore.BIP32_FLAG_KEY_PRIVATE
    account = wallycore.bip32_key_from_parent_path(master, list(steps), flags) if steps else master
    return str(wallycore.bip32_key_to_base58(account, wallycore.BIP32_FLAG_KEY_PUBLIC))


def _master(secret: str) -> Any:
    """Return the master key on the test networks' version."""
    if re.match(r"[xyz]prv", secret, re.IGNORECASE):
        raise KeyRefused("key_main", "This is a key of the main network, where nothing is ever signed.")
    if not secret.startswith("tprv"):
        return _from_words(secret)
    try:
        master = wallycore.bip32_key_from_base58(secret)
    except ValueError as error:
        raise KeyRefused("key_secret", "This is not a private key; a character is wrong.") from error
    if wallycore.bip32_key_get_depth(master) != 0:
        raise KeyRefused("key_depth", "This is not a master key; its fingerprint would be another.")
    return master


def _from_words(words: str) -> Any:
    try:
        wallycore.bip39_mnemonic_validate(None, words)
    except ValueError as error:
        raise KeyRefused("key_words", "These are not BIP39 words with a right checksum.") from error
    seed = wallycore.bip39_mnemonic_to_seed512(words, None)
    return wallycore.bip32_key_from_seed(seed, wallycore.BIP32_VER_TEST_PRIVATE, 0)
