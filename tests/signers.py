"""Signers elsewhere, in software: keys from a name, descriptors of them, and signatures on PSBTs."""

import hashlib
from typing import Any

import wallycore

from payments.onchain import descriptor as descriptors

HARDENED = descriptors.HARDENED


class SoftSigner:
    """One signer with a master key of its own; it finds its keys by the paths in a PSBT, as a device does."""

    def __init__(self, name: str) -> None:
        seed = hashlib.sha256(f"signer {name}".encode()).digest()
        self.master = wallycore.bip32_key_from_seed(seed, wallycore.BIP32_VER_TEST_PRIVATE, 0)
        self.fingerprint = bytes(wallycore.bip32_key_get_fingerprint(self.master)).hex()

    def account(self, *path: int) -> Any:
        """Return the private key at hardened steps."""
        if not path:
            return self.master
        steps = [step + HARDENED for step in path]
        return wallycore.bip32_key_from_parent_path(self.master, steps, wallycore.BIP32_FLAG_KEY_PRIVATE)

    def tpub(self, *path: int) -> str:
        """Return the extended public key at hardened steps."""
        return str(wallycore.bip32_key_to_base58(self.account(*path), wallycore.BIP32_FLAG_KEY_PUBLIC))

    def key(self, *path: int) -> str:
        """Return the key as descriptors write it."""
        steps = "".join(f"/{step}h" for step in path)
        return f"[{self.fingerprint}{steps}]{self.tpub(*path)}/<0;1>/*"

    def private_branches(self, *path: int) -> list[str]:
        """Return the key with its secret for each branch, to be put into a descriptor for an offline node."""
        secret = wallycore.bip32_key_to_base58(self.account(*path), wallycore.BIP32_FLAG_KEY_PRIVATE)
        steps = "".join(f"/{step}h" for step in path)
        return [f"[{self.fingerprint}{steps}]{secret}/{branch}/*" for branch in (0, 1)]

    def sign(self, psbt: str) -> str:
        """Return the PSBT with this signer's signatures on every input that has a key of theirs."""
        parsed = wallycore.psbt_from_base64(psbt, 0)
        wallycore.psbt_sign_bip32(parsed, self.master, wallycore.EC_FLAG_GRIND_R)
        return str(wallycore.psbt_to_base64(parsed, 0))


SINGLE_PATH = (84, 1, 0)
MULTI_PATH = (48, 1, 0, 2)


def single(signer: SoftSigner) -> str:
    """Return the descriptor of a wallet that one signer signs for."""
    return descriptors.with_checksum(f"wpkh({signer.key(*SINGLE_PATH)})")


def multi(needed: int, signers: list[SoftSigner]) -> str:
    """Return the descriptor of a wallet that some of several signers sign for."""
    keys = ",".join(signer.key(*MULTI_PATH) for signer in signers)
    return descriptors.with_checksum(f"wsh(sortedmulti({needed},{keys}))")
