"""Approvers' keys for tests: each person has one, made from their name, registered when it is first needed."""

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.contrib.auth.models import User

from payments.models import Disbursement, ManifestSignature
from payments.services import approver_keys, manifests
from payments.signer import manifest


def key_of(user: User) -> Ed25519PrivateKey:
    """The person's private key."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(user.get_username().encode()).digest())


def public_key_of(user: User) -> bytes:
    """The person's public key."""
    return key_of(user).public_key().public_bytes_raw()


def registration(user: User) -> dict[str, bytes]:
    """The public key and the proof of possession."""
    public_key = public_key_of(user)
    proof = manifest.sign(key_of(user), manifest.possession_message(user.get_username(), public_key))
    return {"public_key": public_key, "proof": proof}


def signature(disbursement: Disbursement, user: User) -> dict[str, Any]:
    """What the person's key says of a list's manifest."""
    digest = bytes(disbursement.manifest_hash or b"")
    return {
        "manifest_sha256": digest,
        "public_key": public_key_of(user),
        "signature": manifest.sign(key_of(user), manifest.signed_message(digest)),
    }


def sign(disbursement: Disbursement, user: User) -> ManifestSignature:
    """Register the approver's key and sign an approved list's manifest with it."""
    approver_keys.register(by=user, **registration(user))
    return manifests.sign(by=user, disbursement_id=disbursement.pk, **signature(disbursement, user))
