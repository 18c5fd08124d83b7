"""A JSON field that the database only ever sees encrypted."""

import json
import secrets
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models

from govpay.errors import GovPayError

NONCE_BYTES = 12
_ciphers: dict[bytes, AESGCM] = {}


class FieldUnreadable(GovPayError):
    """The ciphertext was changed, or its key is missing from GOVPAY_FIELD_KEYS."""

    code = "field_unreadable"
    http_status = 500


def encrypt(value: dict[str, str], context: str) -> bytes:
    """Return ``key id`` NUL ``nonce`` ``ciphertext`` (AES-256-GCM) of compact JSON; ``context`` is authenticated."""
    return encryptor(context)(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def encryptor(context: str) -> Callable[[bytes], bytes]:
    """Return what ``encrypt`` does to bytes, such as JSON that is text already, for many values under the first key."""
    key_id, key = next(iter(settings.GOVPAY_FIELD_KEYS.items()))
    start, associated, seal = key_id.encode() + b"\0", context.encode(), _cipher(key).encrypt

    def encrypt_json(plain: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return start + nonce + seal(nonce, plain, associated)

    return encrypt_json


def decrypt(stored: bytes, context: str) -> dict[str, str]:
    """Return what ``encrypt`` was given; raise FieldUnreadable rather than anything that looks like data."""
    value: dict[str, str] = json.loads(decrypt_bytes(stored, context))
    return value


def decrypt_bytes(stored: bytes, context: str) -> bytes:
    """Return the bytes that an ``encryptor`` was given; raise FieldUnreadable."""
    key_id, _, rest = stored.partition(b"\0")
    key = settings.GOVPAY_FIELD_KEYS.get(key_id.decode("ascii", "replace"))
    if key is None:
        raise FieldUnreadable("A field was encrypted with a key that GOVPAY_FIELD_KEYS does not hold.")
    try:
        return _cipher(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], context.encode())
    except InvalidTag as error:
        raise FieldUnreadable("An encrypted field was changed outside govpay.") from error


def _cipher(key: bytes) -> AESGCM:
    cipher = _ciphers.get(key)
    if cipher is None:
        cipher = _ciphers[key] = AESGCM(key)
    return cipher


class EncryptedJSONField(models.BinaryField):  # type: ignore[type-arg]
    """A flat dict of texts, encrypted under ``context``, so that a value cannot be moved to another column."""

    def __init__(self, *args: Any, context: str, **kwargs: Any) -> None:
        self.context = context
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "context": self.context}

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        stored = encrypt(value, self.context) if isinstance(value, dict) else value
        return super().get_db_prep_value(stored, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> dict[str, str] | None:
        return None if value is None else decrypt(bytes(value), self.context)
