"""An approver's side: an Ed25519 key in a key file, its registration, and signatures over manifests."""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from payments.signer import manifest, vault

KIND = "approver"


def new(path: Path, *, username: str, passphrase: bytes) -> dict[str, Any]:
    """Make an approver's key file; return what is public of it, its proof of possession among that."""
    key = Ed25519PrivateKey.generate()
    public_key = _public(key)
    about = {
        "kind": KIND,
        "username": username,
        "public_key": public_key.hex(),
        "proof": manifest.sign(key, manifest.possession_message(username, public_key)).hex(),
    }
    vault.write(path, key.private_bytes_raw(), passphrase, about)
    return read(path)


def read(path: Path) -> dict[str, Any]:
    """Return what is public of an approver's key file; raise KeyRefused."""
    return vault.read(path, KIND, ("username", "public_key", "proof"))


def registration(about: dict[str, Any]) -> str:
    """Return what the product is told of the key, as JSON."""
    return json.dumps({"public_key": about["public_key"], "proof": about["proof"]})


def sign(about: dict[str, Any], passphrase: bytes, sha256: bytes) -> str:
    """Return the signature over a manifest with this SHA-256 as JSON, for the product; raise KeyRefused."""
    key = Ed25519PrivateKey.from_private_bytes(vault.open_(about, passphrase))
    return json.dumps(
        {
            "manifest_sha256": sha256.hex(),
            "public_key": _public(key).hex(),
            "signature": manifest.sign(key, manifest.signed_message(sha256)).hex(),
        }
    )


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
