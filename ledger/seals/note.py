"""Signed notes (C2SP signed-note) and the checkpoints that they carry (C2SP tlog-checkpoint), by Ed25519 keys.

A note is a text, an empty line, and one line a signature: the signer's name, and base64 of a key id and what that kind
of key signs. A log signs the text (kind 1); a witness signs the text and when it saw it (kind 4, tlog-cosignature).
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from govpay.errors import GovPayError

LOG, WITNESS = 1, 4
KEY_ID_BYTES = 4
KEY_BYTES = 32
SIGNATURE_BYTES = 64
TIME_BYTES = 8
NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
SIGNATURE_LINE = re.compile(r"— ([^\s+\x00-\x1f\x7f]+) ([A-Za-z0-9+/]+={0,2})")
SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteRefused(GovPayError):
    """It is no note, no checkpoint, or not signed by the key that it must be signed by."""

    code = "note_refused"


class Signature(NamedTuple):
    """One line of a note: who signed, the key's id, and what follows it."""

    name: str
    key_id: bytes
    body: bytes

    def line(self) -> str:
        """Return the line without its end."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.body).decode()}"


@dataclass(frozen=True)
class Verifier:
    """A public key with the name it signs under; ``kind`` is LOG or WITNESS."""

    name: str
    kind: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The first bytes of the hash of name, kind and key."""
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.public_key).digest()[
            :KEY_ID_BYTES
        ]

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read ``name+id+key`` as it is published; raise NoteRefused."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _decode(encoded)
        if not NAME.fullmatch(name) or len(raw) != 1 + KEY_BYTES or raw[0] not in (LOG, WITNESS):
            raise NoteRefused("This is no Ed25519 key of a log or a witness.")
        found = cls(name, raw[0], raw[1:])
        if found.key_id.hex() != key_id:
            raise NoteRefused(f"The id {key_id} is not that of the key of {name}.")
        return found

    def check(self, text: str, signature: Signature) -> None:
        """Raise NoteRefused unless this key made the signature of the text."""
        signed, body = text.encode(), signature.body
        if self.kind == WITNESS:
            if len(body) < TIME_BYTES:
                raise NoteRefused(f"The signature of {self.name} is too short.")
            signed, body = _cosigned(text, int.from_bytes(body[:TIME_BYTES], "big")), body[TIME_BYTES:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(body, signed)
        except (InvalidSignature, ValueError) as error:
            raise NoteRefused(f"The signature of {self.name} is not of this text.") from error


@dataclass(frozen=True)
class Signer:
    """A private key with its name; the seed has 32 bytes."""

    name: str
    seed: bytes
    kind: int = LOG

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise NoteRefused(f"{self.name!r} cannot name a key: no spaces and no plus signs.")

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return Verifier(self.name, self.kind, public)

    def sign(self, text: str, *, at_s: int = 0) -> Signature:
        """Sign a text; a witness says at which second (Unix time) it saw it."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        if self.kind == WITNESS:
            body = at_s.to_bytes(TIME_BYTES, "big") + key.sign(_cosigned(text, at_s))
        else:
            body = key.sign(text.encode())
        return Signature(self.name, self.verifier.key_id, body)


class Note(NamedTuple):
    """A text, which ends with a line's end, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n" + "".join(f"{signature.line()}\n" for signature in self.signatures)

    @classmethod
    def parse(cls, note: str) -> "Note":
        """Read a note; raise NoteRefused."""
        text, found, rest = note.rpartition("\n\n")
        if not found or not rest.endswith("\n"):
            raise NoteRefused("This is no signed note: a text, an empty line, and signatures.")
        return cls(f"{text}\n", tuple(parse_signature(line) for line in rest[:-1].split("\n")))

    def require(self, verifier: Verifier) -> Signature:
        """Return this key's signature; raise NoteRefused when there is none, or one that is wrong."""
        found = [s for s in self.signatures if (s.name, s.key_id) == (verifier.name, verifier.key_id)]
        if not found:
            raise NoteRefused(f"{verifier.name} did not sign this with the key {verifier.key_id.hex()}.")
        for signature in found:
            verifier.check(self.text, signature)
        return found[0]


@dataclass(frozen=True)
class TreeHead:
    """What a checkpoint says: whose list it is, how long, and the Merkle tree's head."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> "TreeHead":
        """Read a checkpoint's text, whose further lines are passed over; raise NoteRefused."""
        origin, *rest = text.split("\n")
        if not origin or len(rest) < 3 or not SIZE.fullmatch(rest[0]) or rest[-1]:
            raise NoteRefused("This is no checkpoint: an origin, a size, and the head of a tree.")
        root = _decode(rest[1])
        if len(root) != hashlib.sha256().digest_size:
            raise NoteRefused("The head of a tree has 32 bytes.")
        return cls(origin, int(rest[0]), root)


def parse_signature(line: str) -> Signature:
    """Read one line of a note; raise NoteRefused."""
    match = SIGNATURE_LINE.fullmatch(line)
    raw = _decode(match[2]) if match else b""
    if match is None or len(raw) <= KEY_ID_BYTES:
        raise NoteRefused("A line below the empty one is no signature.")
    return Signature(match[1], raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def _cosigned(text: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteRefused("This is not base64.") from error
    # Base64 has spare bits at its end; only one spelling of a key or head may pass.
    if base64.b64encode(raw).decode() != text:
        raise NoteRefused("This is not the usual spelling of base64.")
    return raw
