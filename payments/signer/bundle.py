"""The signing bundle: one file that carries a PSBT to the signers, and everything they check it against.

JSON in ASCII, with exactly these keys: ``format`` (``govpay-signing-1``), ``network``, ``wallet`` (its name),
``descriptor`` (with checksum), ``payout_id``, ``txid``, ``kind``, ``psbt`` (base64), ``payment_ids`` (for each output
the payment that it pays, or null), ``manifests`` (``text`` and ``signatures`` of ``public_key`` and ``signature``, hex)
and ``deadline_at`` (UTC). A tx that pays people carries the manifest of their one disbursement; any other carries none.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from payments.signer.refusal import Unreadable

FORMAT = "govpay-signing-1"
# Kinds that pay people, and kinds that pay nobody but ourselves.
ORIGINAL = "original"
PAYING = (ORIGINAL, "bump")
ANCHOR = "anchor"
KINDS = (*PAYING, "void", "child", "consolidation", ANCHOR)
MAX_BYTES = 128 * 1024 * 1024
MAX_OUTPUTS = 4_000
MAX_SIGNATURES = 32
MAX_NUMBER = 2**63 - 1
_KEYS = {
    "format",
    "network",
    "wallet",
    "descriptor",
    "payout_id",
    "txid",
    "kind",
    "psbt",
    "payment_ids",
    "manifests",
    "deadline_at",
}
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DESCRIPTOR = re.compile(r"[ -~]{1,3989}#[a-z0-9]{8}")
_HEX = re.compile(r"([0-9a-f]{2})+")


@dataclass(frozen=True, slots=True)
class Signature:
    """An approver's public key (32 bytes) and signature (64 bytes) over a manifest."""

    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The text of a disbursement's manifest and what its approvers signed."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle file says; nothing of it is believed before the rules looked at it."""

    network: str
    wallet: str
    descriptor: str
    payout_id: int
    txid: str
    kind: str
    psbt: str
    payment_ids: tuple[int | None, ...]
    manifests: tuple[SignedManifest, ...]
    deadline_at: datetime


def dump(bundle: Bundle) -> str:
    """Return the file's text, one line with a newline; raise Unreadable for what ``load`` would not take."""
    if bundle.deadline_at.tzinfo is None:
        raise _wrong("deadline_at", "has no time zone")
    content = {
        "format": FORMAT,
        "network": bundle.network,
        "wallet": bundle.wallet,
        "descriptor": bundle.descriptor,
        "payout_id": bundle.payout_id,
        "txid": bundle.txid,
        "kind": bundle.kind,
        "psbt": bundle.psbt,
        "payment_ids": list(bundle.payment_ids),
        "manifests": [
            {
                "text": manifest.text,
                "signatures": [
                    {"public_key": s.public_key.hex(), "signature": s.signature.hex()}
                    for s in manifest.signatures
                ],
            }
            for manifest in bundle.manifests
        ],
        "deadline_at": bundle.deadline_at.astimezone(UTC).strftime(_MOMENT),
    }
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n"
    load(text)
    return text


def load(text: str | bytes) -> Bundle:
    """Return what the file says; raise Unreadable with the field that is missing, unknown, doubled, or wrong."""
    content = _object(_parse(text), "the bundle", _KEYS)
    if content["format"] != FORMAT:
        raise Unreadable("bundle_format", f"This is not a {FORMAT} file.")
    kind = content["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise _wrong("kind", f"is not one of {', '.join(KINDS)}")
    bundle = Bundle(
        network=_matching(content, "network", _NAME),
        wallet=_matching(content, "wallet", _NAME),
        descriptor=_matching(content, "descriptor", _DESCRIPTOR),
        payout_id=_number(content["payout_id"], "payout_id"),
        txid=_hex(content["txid"], "txid", 32).hex(),
        kind=kind,
        psbt=_psbt(content["psbt"]),
        payment_ids=_payment_ids(content["payment_ids"]),
        manifests=tuple(_manifest(item) for item in _list(content["manifests"], "manifests", 1)),
        deadline_at=_moment(content["deadline_at"]),
    )
    _suit_the_kind(bundle)
    return bundle


def _suit_the_kind(bundle: Bundle) -> None:
    paid = sum(payment_id is not None for payment_id in bundle.payment_ids)
    if bundle.kind in PAYING and (not paid or len(bundle.manifests) != 1):
        raise _wrong("manifests", f"are one, and payments at least one, where the kind is {bundle.kind}")
    if bundle.kind not in PAYING and (paid or bundle.manifests):
        raise _wrong("payment_ids", f"are all null, and manifests none, where the kind is {bundle.kind}")


def _parse(text: str | bytes) -> Any:
    if len(text) > MAX_BYTES:
        raise Unreadable("bundle_size", f"The bundle is larger than {MAX_BYTES} bytes.")
    try:
        ascii_text = text.decode("ascii") if isinstance(text, bytes) else text
        if not ascii_text.isascii():
            raise ValueError("not ASCII")
        return json.loads(
            ascii_text, object_pairs_hook=_unique, parse_float=_no_number, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable("bundle_json", f"The bundle is not JSON in ASCII: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a whole number")


def _object(value: Any, name: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(name, "is not an object")
    if value.keys() != keys:
        missing, unknown = sorted(keys - value.keys()), sorted(value.keys() - keys)
        fact = f"lacks {', '.join(missing)}" if missing else f"has the unknown key {unknown[0][:40]}"
        raise Unreadable("bundle_keys", f"{name} {fact}.".capitalize(), missing=missing, unknown=unknown)
    return value


def _list(value: Any, name: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise _wrong(name, f"is not a list of at most {most}")
    return value


def _matching(content: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = content[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _wrong(name, "is not written as it must be")
    return value


def _number(value: Any, name: str) -> int:
    # True is an int to Python, and not to anybody else.
    if type(value) is not int or not 0 < value <= MAX_NUMBER:
        raise _wrong(name, "is not a positive whole number")
    return value


def _hex(value: Any, name: str, length: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * length or not _HEX.fullmatch(value):
        raise _wrong(name, f"is not {length} bytes in lower case hex")
    return bytes.fromhex(value)


def _psbt(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("psbt", "is not text")
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded.startswith(b"psbt\xff") or base64.b64encode(decoded).decode() != value:
        raise _wrong("psbt", "is not a PSBT in base64")
    return value


def _payment_ids(value: Any) -> tuple[int | None, ...]:
    items = _list(value, "payment_ids", MAX_OUTPUTS)
    return tuple(None if item is None else _number(item, "payment_ids") for item in items)


def _manifest(value: Any) -> SignedManifest:
    content = _object(value, "a manifest", {"text", "signatures"})
    if not isinstance(content["text"], str):
        raise _wrong("text", "is not text")
    signatures = []
    for item in _list(content["signatures"], "signatures", MAX_SIGNATURES):
        pair = _object(item, "a signature", {"public_key", "signature"})
        signatures.append(
            Signature(_hex(pair["public_key"], "public_key", 32), _hex(pair["signature"], "signature", 64))
        )
    if len({signature.public_key for signature in signatures}) != len(signatures):
        raise _wrong("signatures", "has two of one key")
    return SignedManifest(content["text"], tuple(signatures))


def _moment(value: Any) -> datetime:
    try:
        found = datetime.strptime(value, _MOMENT).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        found = None
    if found is None or found.strftime(_MOMENT) != value:
        raise _wrong("deadline_at", "is not a moment like 2026-11-25T12:00:00Z")
    return found


def _wrong(name: str, fact: str) -> Unreadable:
    return Unreadable("bundle_field", f"{name} {fact}.", field=name)
