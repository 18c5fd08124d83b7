"""The signing bundle: one file that carries a PSBT to the signers, and everything they check it against.

JSON in ASCII, with exactly these keys: ``format`` (``govpay-signing-1``), ``network``, ``wallet`` (its name),
``descriptor`` (with checksum), ``payout_id``, ``txid``, ``kind``, ``psbt`` (base64), ``payment_ids`` (for each output
the payment that it pays, or null), ``manifests`` (``text`` and ``signatures`` of ``public_key`` and ``signature``, hex)
and ``deadline_at`` (UTC). Where the manifest is of money, ``format`` is ``govpay-signing-2``, and there is ``quote``
besides: ``id``, ``currency``, ``price`` (of a bitcoin in major units, with eight decimals), ``taken_at``, ``expires_at``,
and ``sources``, each a name, and the value that it said or null. A tx that pays people carries the manifest of their one
disbursement; any other carries none.
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
FORMAT_OF_MONEY = "govpay-signing-2"
MAX_SOURCES = 50
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
_QUOTE_KEYS = {"id", "currency", "price", "taken_at", "expires_at", "sources"}
_CURRENCY = re.compile(r"[A-Z]{3}")
_PRICE = re.compile(r"(0|[1-9][0-9]{0,11})\.[0-9]{8}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,60}")
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
class Source:
    """Somebody who was asked for a price, and what they said, if anything."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Quote:
    """At what price a list of money was converted; ``price`` has eight decimals."""

    id: int
    currency: str
    price: str
    taken_at: datetime
    expires_at: datetime
    sources: tuple[Source, ...]


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
    quote: Quote | None = None


def dump(bundle: Bundle) -> str:
    """Return the file's text, one line with a newline; raise Unreadable for what ``load`` would not take."""
    if bundle.deadline_at.tzinfo is None:
        raise _wrong("deadline_at", "has no time zone")
    content: dict[str, Any] = {
        "format": FORMAT if bundle.quote is None else FORMAT_OF_MONEY,
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
    if bundle.quote is not None:
        content["quote"] = _quote_content(bundle.quote)
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n"
    load(text)
    return text


def load(text: str | bytes) -> Bundle:
    """Return what the file says; raise Unreadable with the field that is missing, unknown, doubled, or wrong."""
    content = _parse(text)
    is_of_money = isinstance(content, dict) and content.get("format") == FORMAT_OF_MONEY
    content = _object(content, "the bundle", _KEYS | ({"quote"} if is_of_money else set()))
    if not is_of_money and content["format"] != FORMAT:
        raise Unreadable("bundle_format", f"This is not a {FORMAT} or {FORMAT_OF_MONEY} file.")
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
        deadline_at=_moment(content["deadline_at"], "deadline_at"),
        quote=_quote(content["quote"]) if is_of_money else None,
    )
    _suit_the_kind(bundle)
    return bundle


def _suit_the_kind(bundle: Bundle) -> None:
    paid = sum(payment_id is not None for payment_id in bundle.payment_ids)
    if bundle.kind in PAYING and (not paid or len(bundle.manifests) != 1):
        raise _wrong("manifests", f"are one, and payments at least one, where the kind is {bundle.kind}")
    if bundle.kind not in PAYING and (paid or bundle.manifests):
        raise _wrong("payment_ids", f"are all null, and manifests none, where the kind is {bundle.kind}")
    if bundle.kind not in PAYING and bundle.quote is not None:
        raise _wrong("quote", f"is of nothing where the kind is {bundle.kind}")


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


def _quote_content(quote: Quote) -> dict[str, Any]:
    return {
        "id": quote.id,
        "currency": quote.currency,
        "price": quote.price,
        "taken_at": quote.taken_at.astimezone(UTC).strftime(_MOMENT),
        "expires_at": quote.expires_at.astimezone(UTC).strftime(_MOMENT),
        "sources": [[source.name, source.value] for source in quote.sources],
    }


def _quote(value: Any) -> Quote:
    content = _object(value, "the quote", _QUOTE_KEYS)
    return Quote(
        id=_number(content["id"], "id"),
        currency=_matching(content, "currency", _CURRENCY),
        price=_matching(content, "price", _PRICE),
        taken_at=_moment(content["taken_at"], "taken_at"),
        expires_at=_moment(content["expires_at"], "expires_at"),
        sources=tuple(_source(item) for item in _list(content["sources"], "sources", MAX_SOURCES)),
    )


def _source(value: Any) -> Source:
    if not isinstance(value, list) or len(value) != 2:
        raise _wrong("sources", "are not pairs of a name and a value")
    name, said = value
    for text in (name, said):
        if text is not None and (not isinstance(text, str) or not _TEXT.fullmatch(text)):
            raise _wrong("sources", "has a text that is not written as it must be")
    if name is None:
        raise _wrong("sources", "has a source without a name")
    return Source(name, said)


def _moment(value: Any, name: str) -> datetime:
    try:
        found = datetime.strptime(value, _MOMENT).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        found = None
    if found is None or found.strftime(_MOMENT) != value:
        raise _wrong(name, "is not a moment like 2026-11-25T12:00:00Z")
    return found


def _wrong(name: str, fact: str) -> Unreadable:
    return Unreadable("bundle_field", f"{name} {fact}.", field=name)
