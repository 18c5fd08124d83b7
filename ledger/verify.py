"""Checks an evidence pack or a receipt with nothing but Python (3.10 or newer), and names the first thing that is wrong.

    python3 -I verify.py PACK            a folder or a .zip made by ``manage.py audit_pack``
    python3 -I verify.py RECEIPT.json    a receipt of one payment

    --key KEY        the key that must have signed the checkpoints, as it was published (name+id+key); may be repeated.
                     Without it the key that the file names is used, which proves no more than that it was one key.
    --officer-key NAME=KEY
                     the key (hex) with which this officer signs manifests; may be repeated
    --witness-key KEY
                     the key of a witness (name+id+key); may be repeated
    --seen OLD.note  a checkpoint that you kept: the tree must have grown out of it; may be repeated
    --network NAME   the network that it must be of: regtest, signet, testnet3 or testnet4
    --node URL       ask this node (http://user:password@host:port) whether the blocks are on its chain
    --descriptor D   let that node derive a wallet's scripts, and compare what the pack calls ours; may be repeated

Exit codes: 0 all is as it must be, 1 something is wrong (the first thing is named: file, record, code and rule), 2 it cannot
be read (truncated, not a pack, or asked wrongly), 3 the node could not be asked.

What is not checked here is said in the end: leaves that were blacked out, entries that no checkpoint covers yet, checkpoints
that no block holds yet. Nothing of the program that made the file is used or needed; what is read is described in
docs/auditor.md of the project.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import csv
import functools
import hashlib
import hmac
import io
import itertools
import json
import re
import sqlite3
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

Point = tuple[int, int, int, int]
Signature = tuple[str, bytes, bytes]
Record = dict[str, Any]
Line = tuple[str, list[str], str, int, str, int, "int | None"]
Sums = dict[Any, int]

PACK, RECEIPT = "govpay-pack-1", "govpay-receipt-1"
GENESIS = {
    "regtest": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
    "signet": "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
    "testnet3": "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
    "testnet4": "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
}
# The easiest target that a header of the network may name, in the compact form of headers.
EASIEST = {"regtest": 0x207FFFFF, "signet": 0x1E0377AE, "testnet3": 0x1D00FFFF, "testnet4": 0x1D00FFFF}
MAX_RECORD = 64 * 1024 * 1024
# A receipt has two txs of at most 100,000 bytes without witnesses, in hex and base64, and little else.
MAX_RECEIPT = 1024 * 1024
MAX_SIGNATURES = 16
MAX_SAT = 21_000_000 * 100_000_000
COIN = PRICE_UNIT = 100_000_000
INT64 = 2**63
# So many breaks of a reconciliation run are stored; of more the counts alone are kept.
MOST_BREAKS = 10_000
# Of things of one kind that the books of a pack lack, so many are told one by one.
TOLD = 5
# So many scripts of each branch of a descriptor are derived, and so many at a time.
MOST_DERIVED, DERIVED_AT_ONCE = 20_000, 1_000


class Wrong(Exception):
    """The first thing that is wrong: a stable code, the file and the record in it, and the rule that does not hold."""

    def __init__(self, code: str, rule: str, file: str = "", record: str = "") -> None:
        super().__init__(rule)
        self.code, self.rule, self.file, self.record = code, rule, file, record

    def __str__(self) -> str:
        place = " ".join(part for part in (self.file, self.record) if part)
        return f"{self.code}: {place}: {self.rule}" if place else f"{self.code}: {self.rule}"


class Unreadable(Wrong):
    """It is no pack and no receipt, or it ends before its end."""


class NodeSilent(Wrong):
    """The node that was named does not answer."""


# Ed25519, as RFC 8032 (section 5.1) has it. Only verification: no secret is handled, so that time may vary.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)


def _add(a: Point, b: Point) -> Point:
    """Return the sum of two points in extended coordinates (section 5.1.4)."""
    first = (a[1] - a[0]) * (b[1] - b[0]) % P
    second = (a[1] + a[0]) * (b[1] + b[0]) % P
    third = 2 * a[3] * b[3] * D % P
    fourth = 2 * a[2] * b[2] % P
    e, f, g, h = second - first, fourth - third, fourth + third, second + first
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(number: int, point: Point) -> Point:
    found = IDENTITY
    while number:
        if number & 1:
            found = _add(found, point)
        point = _add(point, point)
        number >>= 1
    return found


def _is_same(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def _point(raw: bytes) -> Point | None:
    """Return the point of 32 bytes, or None when they are no point in their one spelling (section 5.1.3)."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


_BASE_POINT = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
assert _BASE_POINT is not None
_BASE: Point = _BASE_POINT


def is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the key (32 bytes) made the signature (64 bytes) over the message (section 5.1.7).

    A key of small order, for which anybody can sign, signs nothing.
    """
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, commitment = _point(public_key), _point(signature[:32])
    number = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or number >= L or _is_same(_times(8, key), IDENTITY):
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    return _is_same(_times(number, _BASE), _add(commitment, _times(challenge, key)))


# The Merkle tree of RFC 6962.


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The head of a list whose leaves come in order, alone or as whole subtrees of 2 ** height leaves."""

    def __init__(self) -> None:
        self.size = 0
        self.edge: list[tuple[int, bytes]] = []

    def add(self, digest: bytes, height: int = 0) -> bool:
        """Take the next subtree; return whether one of this height may begin here."""
        if self.size % (1 << height):
            return False
        self.size += 1 << height
        while self.edge and self.edge[-1][0] == height:
            digest, height = node_hash(self.edge.pop()[1], digest), height + 1
        self.edge.append((height, digest))
        return True

    def head(self) -> bytes:
        if not self.edge:
            return hashlib.sha256(b"").digest()
        found = self.edge[-1][1]
        for _, left in self.edge[-2::-1]:
            found = node_hash(left, found)
        return found


def head_of_path(digest: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the head to which an audit path leads from the leaf at this index (RFC 9162, 2.1.3.2), or None."""
    if not 0 <= index < size:
        return None
    number, last = index, size - 1
    for step in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            digest = node_hash(step, digest)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            digest = node_hash(digest, step)
        number, last = number >> 1, last >> 1
    return digest if last == 0 else None


# Signed notes (C2SP signed-note), checkpoints (tlog-checkpoint) and witnesses' lines (tlog-cosignature).

LOG, WITNESS = 1, 4
SIGNATURE_LINE = re.compile("\u2014 ([^\\s+\x00-\x1f\x7f]+) ([A-Za-z0-9+/]+={0,2})")


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("not_base64", "This is not base64.") from None
    if base64.b64encode(raw).decode() != text:
        raise Wrong("not_base64", "This is not the usual spelling of base64.")
    return raw


def read_key(text: str) -> tuple[str, int, bytes, bytes]:
    """Return name, kind, public key and key id of a key as it is published."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = _base64(encoded)
    if not name or len(raw) != 33 or raw[0] not in (LOG, WITNESS):
        raise Wrong("bad_key", f"{text!r} is no Ed25519 key of a log or a witness: name+id+key.")
    found = hashlib.sha256(f"{name}\n".encode() + raw).digest()[:4]
    if found.hex() != key_id:
        raise Wrong("bad_key", f"The id {key_id} is not that of the key of {name}.")
    return name, raw[0], raw[1:], found


def read_note(note: str) -> tuple[str, list[Signature]]:
    """Return the text and the signatures (name, key id, body) of a signed note."""
    text, found, rest = note.rpartition("\n\n")
    if not found or not rest.endswith("\n"):
        raise Wrong("bad_note", "This is no signed note: a text, an empty line, and signatures.")
    lines = rest[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Wrong("too_many_signatures", f"A note has {MAX_SIGNATURES} signatures at most.")
    signatures = []
    for line in lines:
        match = SIGNATURE_LINE.fullmatch(line)
        raw = _base64(match[2]) if match else b""
        if match is None or len(raw) <= 4:
            raise Wrong("bad_note", "A line below the empty one is no signature.")
        signatures.append((match[1], raw[:4], raw[4:]))
    return f"{text}\n", signatures


def require_signed(text: str, signatures: Iterable[Signature], key: str) -> None:
    """Return without an error only if this key signed the text."""
    name, kind, public, key_id = read_key(key)
    found = [body for other, other_id, body in signatures if (other, other_id) == (name, key_id)]
    if not found:
        raise Wrong("not_signed", f"It is not signed by {name} with the key {key_id.hex()}.")
    if len(found) > 1:
        raise Wrong("too_many_signatures", f"It is signed by {name} more than once with the same key.")
    signature, message = found[0], text.encode()
    if kind == WITNESS:
        at_s, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        message = f"cosignature/v1\ntime {at_s}\n{text}".encode()
    if not is_signed(public, signature, message):
        raise Wrong("bad_signature", f"The signature of {name} is not one of this text.")


def read_head(text: str) -> tuple[str, int, bytes]:
    """Return origin, size and root of a checkpoint's text."""
    origin, *rest = text.split("\n")
    if not origin or len(rest) < 3 or not re.fullmatch("0|[1-9][0-9]{0,18}", rest[0]) or rest[-1]:
        raise Wrong("bad_checkpoint", "This is no checkpoint: an origin, a size, and the head of a tree.")
    root = _base64(rest[1])
    if len(root) != 32:
        raise Wrong("bad_checkpoint", "The head of a tree has 32 bytes.")
    return origin, int(rest[0]), root


# Bitcoin: txs, headers, Merkle branches.


def double_sha256(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


class _Bytes:
    """Reads from the front of some bytes, and refuses to read past their end."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def take(self, count: int) -> bytes:
        self.at += count
        if count < 0 or self.at > len(self.raw):
            raise Wrong("truncated_bytes", "The bytes end before their end.")
        return self.raw[self.at - count : self.at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def compact(self) -> int:
        first = self.number(1)
        size = {0xFD: 2, 0xFE: 4, 0xFF: 8}.get(first)
        found = first if size is None else self.number(size)
        if size is not None and found < {2: 0xFD, 4: 1 << 16, 8: 1 << 32}[size]:
            raise Wrong("bad_tx", "A length in the tx is not in its shortest form.")
        return found

    def leb128(self) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 63:
                raise Wrong("bad_ots", "A number in the proof is too long.")


class Tx:
    """A tx as it is read from its bytes: txid in display hex, outpoints spent, outputs as (satoshis, script)."""

    def __init__(self, raw: bytes) -> None:
        data = _Bytes(raw)
        version = data.take(4)
        has_witness = raw[4:6] == b"\x00\x01"
        if has_witness:
            data.take(2)
        start = data.at
        self.inputs = []
        for _ in range(data.compact()):
            txid, vout = data.take(32)[::-1].hex(), data.number(4)
            data.take(data.compact() + 4)
            self.inputs.append(f"{txid}:{vout}")
        self.outputs = [(data.number(8), data.take(data.compact())) for _ in range(data.compact())]
        body = raw[start : data.at]
        for _ in self.inputs if has_witness else ():
            for _ in range(data.compact()):
                data.take(data.compact())
        locktime = data.take(4)
        if data.at != len(raw) or not self.inputs or not self.outputs:
            raise Wrong("bad_tx", "These bytes are not one tx.")
        self.stripped = version + body + locktime
        # Of 64 bytes a tx could pass for two hashes in a block's tree (CVE-2017-12842).
        if len(self.stripped) == 64:
            raise Wrong("bad_tx", "A tx of 64 bytes proves nothing.")
        self.txid = double_sha256(self.stripped)[::-1].hex()


class Header:
    """A block's header of 80 bytes, whose hash meets the target that it names."""

    def __init__(self, raw: bytes, network: str) -> None:
        if len(raw) != 80:
            raise Wrong("bad_header", "A header has 80 bytes.")
        digest = double_sha256(raw)
        self.hash, self.previous = digest[::-1].hex(), raw[4:36][::-1].hex()
        self.root = raw[36:68]
        target = _target(int.from_bytes(raw[72:76], "little"))
        if not 0 < target <= _target(EASIEST[network]):
            raise Wrong(
                "wrong_network", f"Its work is easier than {network} allows: it is of another network."
            )
        if int.from_bytes(digest, "little") > target:
            raise Wrong("no_work", "The header's hash does not meet the target that it names.")


def _target(bits: int) -> int:
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    if bits & 0x800000:
        return 0
    return mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)


def climb(txid: str, branch: bytes) -> bytes:
    """Return the root to which a Merkle branch leads: 33 bytes a step, whether the other is left, and its hash."""
    if len(branch) % 33:
        raise Wrong("bad_branch", "A step of a branch has 33 bytes.")
    found = bytes.fromhex(txid)[::-1]
    for start in range(0, len(branch), 33):
        side, other = branch[start], branch[start + 1 : start + 33]
        if side > 1:
            raise Wrong("bad_branch", "A step of a branch is on the left (1) or not (0).")
        found = double_sha256(other + found if side else found + other)
    return found


# OpenTimestamps.

OTS_MAGIC = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08"
OTS_BITCOIN = bytes.fromhex("0588960d73d71901")
# The format's readers take arguments of 4,096 bytes: one before the tx's commitment, and one after it.
MAX_OTS_TX = 2 * 4096


def read_ots(raw: bytes, digest: bytes) -> tuple[Tx, bytes, int]:
    """Follow a proof from a file's SHA-256; return the tx that holds it, the root it leads to and the height it names."""
    if not raw.startswith(OTS_MAGIC):
        raise Wrong("bad_ots", "This is no OpenTimestamps proof of a SHA-256.")
    data = _Bytes(raw)
    data.take(len(OTS_MAGIC))
    if data.take(32) != digest:
        raise Wrong("bad_ots", "The proof is of another file.")
    found, tx = digest, None
    while (tag := data.number(1)) != 0x00:
        if tag == 0x08:
            tx = tx or found
            found = hashlib.sha256(found).digest()
        elif tag in (0xF0, 0xF1):
            other = data.take(data.leb128())
            found = found + other if tag == 0xF0 else other + found
            if len(found) > MAX_OTS_TX:
                raise Wrong("bad_ots", f"A step of the proof makes more than {MAX_OTS_TX} bytes.")
        else:
            raise Wrong("bad_ots", f"The proof has a step {tag:#04x}, which none of ours has.")
    if data.take(8) != OTS_BITCOIN:
        raise Wrong("bad_ots", "The proof does not end in a Bitcoin block.")
    rest = _Bytes(data.take(data.leb128()))
    height = rest.leb128()
    if data.at != len(raw) or rest.at != len(rest.raw) or tx is None:
        raise Wrong("bad_ots", "Something follows the end of the proof.")
    return Tx(tx), found, height


def check_anchor(note: str, anchor: Record, ots: bytes, network: str) -> Header:
    """Return the header of the block that holds a checkpoint's hash, as its proof and what is beside it say."""
    fields(anchor, "block_hash block_height header network tx txid")
    if anchor["network"] != network:
        raise Wrong("wrong_network", f"The anchor is of {anchor['network']!r}, not of {network}.")
    digest = hashlib.sha256(note.encode()).digest()
    tx, root, height = read_ots(ots, digest)
    header = Header(hex_of(anchor["header"]), network)
    if (tx.txid, tx.stripped.hex()) != (anchor["txid"], anchor["tx"]):
        raise Wrong("anchor_tx", "The tx beside the proof is not the one in it.")
    if (0, b"\x6a\x20" + digest) not in tx.outputs:
        raise Wrong("anchor_output", "No output of the tx holds the checkpoint's hash.")
    if (header.hash, height) != (anchor["block_hash"], anchor["block_height"]) or header.root != root:
        raise Wrong("anchor_block", "The proof does not lead to the block whose header is beside it.")
    return header


# Records: canonical JSON, so that a thing has one spelling and no byte of it is free.


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is no whole number")


def parse(text: str) -> Any:
    """Return what canonical JSON says; raise Wrong for any other spelling."""
    try:
        value = json.loads(text, parse_float=_no_float, parse_constant=_no_float)
        is_same = canonical(value) == text
    except (ValueError, RecursionError) as error:
        raise Wrong("not_json", f"This is not JSON: {error}.") from None
    if not is_same:
        raise Wrong("not_canonical", "This is not the one right spelling of its record.")
    return value


def fields(record: object, names: str) -> None:
    """Raise Wrong unless the record is an object with exactly these fields."""
    if not isinstance(record, dict) or sorted(record) != sorted(names.split()):
        raise Wrong("bad_record", f"A record here has the fields {names}.")


def whole(text: object, least: int = -INT64 + 1, most: int = INT64 - 1) -> int:
    """Return a whole number from its decimal text."""
    if not isinstance(text, str) or not re.fullmatch("0|-?[1-9][0-9]{0,18}", text):
        raise Wrong("bad_number", f"{text!r} is not a whole number in decimal text.")
    if not least <= int(text) <= most:
        raise Wrong("bad_number", f"{text} is out of range.")
    return int(text)


def hex_of(text: object, size: int | None = None) -> bytes:
    """Return bytes from lower-case hex."""
    if not isinstance(text, str) or not re.fullmatch("(?:[0-9a-f]{2})*", text):
        raise Wrong("bad_hex", "This is not lower-case hex.")
    if size is not None and len(text) != 2 * size:
        raise Wrong("bad_hex", f"This has not {size} bytes.")
    return bytes.fromhex(text)


# Entries of the books.

HEADING = (
    "actor approver block_hash block_height effective_at id idempotency_key input_hash kind lines memo original_at"
    " recorded_at reversal_of scope source_ref version"
)
# Reconciliation runs, what was done with periods, and audit events are sealed among the entries, each as one piece.
RUN, PERIOD, EVENT = "govpay/run/1", "govpay/period/1", "govpay/event/1"
PERIOD_HEADING = "actor digest ends_at id note period recorded_at status through_entry_id version"
RUN_HEADING = (
    "block_hash block_height books_mark break_count counts digest explained_count finished_at id is_full previous reason"
    " scope started_at status totals version"
)
EVENT_HEADING = (
    "action actor actor_id after_sha256 before_sha256 door id reason_sha256 recorded_at request_id scope subject_id"
    " subject_kind version"
)
PIECES = {RUN: RUN_HEADING, PERIOD: PERIOD_HEADING, EVENT: EVENT_HEADING}
DOORS = ("api", "admin", "command", "task", "person")
LAYERS = ("settled", "pending", "encumbered")


def piece_salt(salt: bytes, index: int) -> bytes:
    return hmac.new(salt, index.to_bytes(8, "big"), hashlib.sha256).digest()


def entry_of(salt: bytes, payload: str) -> tuple[bytes, Record, list[Line]]:
    """Return the leaf's hash, the heading and the lines of an entry's sealed bytes, of any version."""
    if len(salt) != 32:
        raise Wrong("bad_salt", "A salt has 32 bytes.")
    if not payload.endswith("\n"):
        heading = parse(payload)
        check_heading(heading, "govpay/entry/1", list)
        return leaf_hash(salt + payload.encode()), heading, [line_of(line) for line in heading["lines"]]
    pieces = payload[:-1].split("\n")
    heading = parse(pieces[0])
    version = heading.get("version") if isinstance(heading, dict) else None
    if isinstance(version, str) and version in PIECES:
        fields(heading, PIECES[version])
        heading = heading | {"lines": 0}
    else:
        check_heading(heading, "govpay/entry/2", int)
    if heading["lines"] != len(pieces) - 1:
        raise Wrong("lines_missing", f"The entry says that it has {heading['lines']} lines.")
    edge = Frontier()
    for index, piece in enumerate(pieces):
        edge.add(leaf_hash(piece_salt(salt, index) + piece.encode()))
    return leaf_hash(edge.head()), heading, [line_of(parse(piece)) for piece in pieces[1:]]


def check_heading(heading: Record, version: str, lines: type) -> None:
    fields(heading, HEADING)
    if heading["version"] != version or type(heading["lines"]) is not lines:
        raise Wrong(
            "unknown_version", f"There is no version {heading['version']!r} of an entry in this form."
        )
    whole(heading["id"], 1)
    if heading["approver"] == heading["actor"]:
        raise Wrong("same_person", "Who acted also approved.")


def check_event(event: Record) -> None:
    """Raise Wrong unless an audit event says who did what, when, through which door and with what."""
    whole(event["id"], 1)
    moment(event["recorded_at"])
    for name in ("reason_sha256", "before_sha256", "after_sha256"):
        if event[name] is not None:
            hex_of(event[name], 32)
    is_named = isinstance(event["actor"], str) and event["actor"] != ""
    if not is_named or event["door"] not in DOORS:
        raise Wrong("bad_event", "An audit event names who acted, and one of the doors there are.")
    if not re.fullmatch(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+", str(event["action"])):
        raise Wrong("bad_event", f"{event['action']!r} is no action, such as list.approve.")
    if bool(event["subject_kind"]) != bool(event["subject_id"]):
        raise Wrong("bad_event", "An audit event is about a row of a kind and a number, or about none.")


def line_of(line: Any) -> Line:
    """Return account, elements, currency, scale, layer, amount and reference of a line."""
    if not isinstance(line, list) or len(line) != 7:
        raise Wrong("bad_line", "A line has seven values.")
    account, elements, currency, scale, layer, amount, reference = line
    if layer not in LAYERS or type(scale) is not int or len(elements) != 5:
        raise Wrong("bad_line", "The line's layer, scale or elements are none.")
    units = whole(amount)
    if units == 0:
        raise Wrong("bad_line", "A line has an amount other than zero.")
    return (
        account,
        elements,
        currency,
        scale,
        layer,
        units,
        None if reference is None else whole(reference),
    )


def moment(text: object) -> str:
    """Return a time of the books: in their one spelling, the order of texts is the order of times."""
    if not isinstance(text, str) or not re.fullmatch(
        r"[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}\.[0-9]{6}Z", text
    ):
        raise Wrong("bad_time", f"{text!r} is no time in UTC to the microsecond.")
    return text


def of_lines(heading: Record, lines: Iterable[Line], sign: int = 1) -> bytes:
    """Return a hash of what some lines of an entry say, or of their mirror; elements may be given to an account later."""
    found = [
        [account, currency, scale, layer, sign * units, reference]
        for account, _, currency, scale, layer, units, reference in lines
    ]
    return hashlib.sha256(canonical([heading["scope"], heading["source_ref"], found]).encode()).digest()


def check_balanced(lines: Iterable[Line]) -> None:
    """Raise Wrong unless each layer and currency of an entry sums to zero."""
    sums: Sums = {}
    for _, _, currency, scale, layer, units, _ in lines:
        sums[currency, scale, layer] = sums.get((currency, scale, layer), 0) + units
    for (currency, _, layer), total in sums.items():
        if total:
            raise Wrong("entry_unbalanced", f"Its {layer} lines in {currency} sum to {total}, not to zero.")


# Receipts.


class Receipt:
    """What a receipt proves, in words: filled by `check_receipt`."""

    def __init__(self) -> None:
        self.network = self.payment = self.txid = self.script = self.log = self.scope = self.recorded_at = ""
        self.amount_sat = self.vout = self.block_height = self.depth = self.size = 0
        self.block_hash = self.key = ""
        self.anchor_height: int | None = None
        self.root = b""
        # Every block that it names or shows, by height.
        self.blocks: dict[int, str] = {}
        self.remarks: list[str] = []


def check_receipt(raw: bytes, network: str | None = None, keys: Collection[str] = ()) -> Receipt:
    """Check a receipt's bytes and return what it proves; raise Wrong with the first thing that it does not.

    ``network`` is the one that it must be of, ``keys`` those of which one must have signed its checkpoint.
    """
    if len(raw) > MAX_RECEIPT:
        raise Unreadable("not_a_receipt", "A receipt is not so long.")
    try:
        text = raw.decode()
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(
            "not_a_receipt", "This is no receipt, or a part of one: it is not JSON to its end."
        ) from None
    if not isinstance(record, dict) or record.get("format") != RECEIPT:
        raise Unreadable("not_a_receipt", f"This is no {RECEIPT}.")
    record = parse(text[:-1] if text.endswith("\n") else text)
    is_of_money = "entitlement" in record
    names = "amount_sat checkpoint entry format network output payment script_pubkey"
    fields(record, names + (" entitlement" if is_of_money else ""))
    found = Receipt()
    found.network, found.payment = record["network"], record["payment"]
    _at("network", _receipt_network, found.network, network)
    _at("payment", whole, found.payment, 1)
    found.amount_sat = _at("amount_sat", whole, record["amount_sat"], 1, MAX_SAT)
    found.script = record["script_pubkey"]
    _at("script_pubkey", hex_of, found.script)
    root, heading, vout = _at("entry", _receipt_entry, record["entry"], found)
    _at("checkpoint", _receipt_checkpoint, record["checkpoint"], record["entry"], root, keys, found)
    _at("output", _receipt_output, record["output"], heading, vout, found)
    if is_of_money:
        _at("entitlement", _receipt_entitlement, record["entitlement"], found)
    return found


def _at(record: str, check: Callable[..., Any], *values: Any) -> Any:
    """Call a check, and name the record where it fails."""
    try:
        return check(*values)
    except Wrong as wrong:
        wrong.record = wrong.record or record
        raise
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        raise Wrong(
            "bad_record", f"A value is not of the kind that it must be: {error}.", record=record
        ) from None


def _receipt_entitlement(said: Record, found: Receipt) -> None:
    """Make the satoshis of a receipt of money anew, and what is left over."""
    fields(said, "amount_minor quote remainder_minor")
    quote = read_quote(said["quote"], said["quote"].get("currency"))
    minor = whole(said["amount_minor"], 1, MAX_SAT)
    if (quote.to_sat(minor), quote.rest(minor)) != (found.amount_sat, whole(said["remainder_minor"])):
        raise Wrong(
            "conversion_differs", f"{minor} minor units are not {found.amount_sat} sat at {quote.text}."
        )
    found.remarks.append(
        f"It stands for {minor} minor units of {quote.currency} at {quote.text} a bitcoin; {said['remainder_minor']} are"
        " left over. How much was owed, and the price, are the ministry's word here; a pack proves what was approved."
    )


def _receipt_network(said: str, wanted: str | None) -> None:
    if said not in GENESIS:
        raise Wrong("wrong_network", f"{said!r} is none of {', '.join(GENESIS)}.")
    if wanted is not None and wanted != said:
        raise Wrong("wrong_network", f"It is of {said}, not of {wanted}.")


def _receipt_entry(entry: Record, found: Receipt) -> tuple[bytes, Record, int]:
    """Return the tree's head to which heading and line lead, the heading, and the output that the line stands for."""
    fields(entry, "heading leaf line path pieces size")
    count = whole(entry["pieces"], 2)
    head, heading = _piece(entry["heading"], 0, count)
    index = whole(entry["line"].get("index") if isinstance(entry["line"], dict) else None, 1)
    other, line = _piece(entry["line"], index, count)
    if head is None or head != other:
        raise Wrong("not_included", "Heading and line do not lead to one entry.")
    check_heading(heading, "govpay/entry/2", int)
    _, _, currency, scale, layer, units, reference = line_of(line)
    if heading["kind"] != "payout_sent" or heading["lines"] != count - 1:
        raise Wrong("wrong_entry", "The entry is not one by which payments left.")
    if str(reference) != found.payment or (currency, scale, layer) != ("BTC", 8, "settled"):
        raise Wrong("wrong_line", f"The line is not that of payment {found.payment}.")
    if units != found.amount_sat:
        raise Wrong("wrong_amount", f"The books say {units} sat, the receipt {found.amount_sat}.")
    path = [hex_of(step, 32) for step in entry["path"]]
    root = head_of_path(leaf_hash(head), whole(entry["leaf"], 0), whole(entry["size"], 1), path)
    if root is None:
        raise Wrong("not_included", "The path does not lead from the entry to a head.")
    found.scope, found.recorded_at = heading["scope"], heading["recorded_at"]
    return root, heading, index - 1


def _piece(piece: Record, index: int, count: int) -> tuple[bytes | None, Any]:
    """Return the head to which a piece of an entry leads, and what it says."""
    fields(piece, "index path salt text")
    if whole(piece["index"]) != index:
        raise Wrong("not_included", f"This is not piece {index}.")
    digest = leaf_hash(hex_of(piece["salt"], 32) + str(piece["text"]).encode())
    return head_of_path(digest, index, count, [hex_of(step, 32) for step in piece["path"]]), parse(
        piece["text"]
    )


def _receipt_checkpoint(
    checkpoint: Record, entry: Record, root: bytes, keys: Collection[str], found: Receipt
) -> None:
    fields(checkpoint, "anchor key note")
    found.key = checkpoint["key"]
    if keys and found.key not in keys:
        raise Wrong(
            "unknown_key", f"Its checkpoint is signed by {found.key}, not by the key that was published."
        )
    text, signatures = read_note(checkpoint["note"])
    require_signed(text, signatures, found.key)
    origin, size, head = read_head(text)
    if origin != read_key(found.key)[0]:
        raise Wrong("unknown_key", f"The checkpoint is of {origin}, and the key of another log.")
    if (size, head) != (whole(entry["size"]), root):
        raise Wrong("not_included", "The entry is not in the checkpoint's tree.")
    found.log, found.size, found.root = origin, size, head
    if checkpoint["anchor"] is None:
        found.remarks.append("No block holds the checkpoint yet: its key vouches for it alone.")
        return
    fields(checkpoint["anchor"], "beside ots")
    ots = _base64(checkpoint["anchor"]["ots"])
    header = check_anchor(checkpoint["note"], checkpoint["anchor"]["beside"], ots, found.network)
    height: int = checkpoint["anchor"]["beside"]["block_height"]
    found.anchor_height, found.blocks[height] = height, header.hash


def _receipt_output(output: Record, heading: Record, vout: int, found: Receipt) -> None:
    fields(output, "block_height branch headers tx")
    tx = Tx(hex_of(output["tx"]))
    if heading["memo"] not in {f"Spends {outpoint}" for outpoint in tx.inputs}:
        raise Wrong("wrong_tx", "The tx does not spend the outpoint that the books name for the entry.")
    if vout >= len(tx.outputs) or tx.outputs[vout] != (found.amount_sat, hex_of(found.script)):
        raise Wrong("wrong_output", f"Output {vout} of the tx is not this amount to this script.")
    headers = [Header(hex_of(header), found.network) for header in output["headers"]]
    if not headers or headers[0].root != climb(tx.txid, hex_of(output["branch"])):
        raise Wrong("not_in_block", "The branch does not lead from the tx to the block's header.")
    for before, after in itertools.pairwise(headers):
        if after.previous != before.hash:
            raise Wrong("headers_broken", f"Header {after.hash} does not follow {before.hash}.")
    if type(output["block_height"]) is not int or output["block_height"] < 0:
        raise Wrong("bad_number", "The block's height is none.")
    found.txid, found.vout, found.depth = tx.txid, vout, len(headers)
    found.block_height, found.block_hash = output["block_height"], headers[0].hash
    for height, header in enumerate(headers, found.block_height):
        if found.blocks.setdefault(height, header.hash) != header.hash:
            raise Wrong("headers_broken", f"Its anchor is in another block at height {height}.")


# Packs.

PATH = re.compile("[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")
MANIFEST, MANIFEST_NOTE = "manifest.sha256", "manifest.note"
REQUIRED = (
    *("journal/leaves.jsonl", "payments.jsonl", "payouts.jsonl", "reconciliation/runs.jsonl"),
    *(f"exports/journal.{suffix}" for suffix in ("csv", "jsonl", "beancount", "journal")),
)
CHUNK = 1 << 20
# What a pack says of itself, in one statement a table, so that a million entries need no memory.
TABLES = """
CREATE TABLE named (source TEXT, kind TEXT, actor TEXT, approver TEXT, memo TEXT, undoes INTEGER, PRIMARY KEY (source, kind))
    WITHOUT ROWID;
CREATE TABLE entry (id INTEGER PRIMARY KEY, effective_at TEXT, lines BLOB, held BLOB);
CREATE TABLE act (id INTEGER PRIMARY KEY, source TEXT, action TEXT, actor TEXT);
CREATE TABLE undoing (id INTEGER PRIMARY KEY, undoes INTEGER UNIQUE, is_whole INTEGER, mirror BLOB);
CREATE TABLE period (name TEXT, ends_at TEXT, through INTEGER);
CREATE TABLE held (id INTEGER PRIMARY KEY, source TEXT, kind TEXT, is_approved INTEGER, sat INTEGER, money TEXT);
CREATE INDEX held_source ON held (source);
CREATE TABLE voided (id INTEGER PRIMARY KEY, payout TEXT, payments TEXT);
CREATE INDEX voided_payout ON voided (payout);
CREATE TABLE sent (payout TEXT, vout INTEGER, payment INTEGER, sat INTEGER, PRIMARY KEY (payout, vout)) WITHOUT ROWID;
CREATE TABLE shown (payout TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE fee (payout TEXT PRIMARY KEY, sat INTEGER) WITHOUT ROWID;
CREATE TABLE line (payment INTEGER PRIMARY KEY, list TEXT, script BLOB, amount INTEGER, sat INTEGER, status TEXT);
CREATE TABLE converted (source TEXT PRIMARY KEY, money TEXT, minor INTEGER, sat INTEGER, rest INTEGER) WITHOUT ROWID;
CREATE TABLE mined (txid TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE own (txid TEXT, vout INTEGER, script BLOB, sat INTEGER, PRIMARY KEY (txid, vout)) WITHOUT ROWID;
CREATE TABLE run (id TEXT PRIMARY KEY, facts TEXT, break_count INTEGER, finished_at TEXT, is_seen INTEGER DEFAULT 0)
    WITHOUT ROWID;
CREATE TABLE header (hash TEXT PRIMARY KEY, height INTEGER UNIQUE, root BLOB) WITHOUT ROWID;
"""


# What lists owe no more: a list that is withdrawn as a whole, a line of it alone by its payment.
FREED = """
SELECT list, sum(sat) FROM (
    SELECT substr(source, 14) AS list, sat FROM held WHERE kind = 'decommitment' AND source GLOB 'disbursement:*'
    UNION ALL
    SELECT l.list, h.sat FROM line l JOIN held h ON h.source = 'payment:' || l.payment WHERE h.kind = 'decommitment'
) GROUP BY list
"""


def half_even(numerator: int, denominator: int) -> int:
    """Return a quotient rounded half to even; the denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


class Quote(NamedTuple):
    """At what price a list of money was converted: of a bitcoin in hundred-millionths of major units of the currency."""

    number: int
    currency: str
    scale: int
    price: int
    text: str

    def to_sat(self, minor: int) -> int:
        """Return the satoshis that an amount in minor units is."""
        return half_even(minor * COIN * PRICE_UNIT, self.price * 10**self.scale)

    def rest(self, minor: int) -> int:
        """Return what an amount is worth more than its satoshis, in minor units."""
        return minor - half_even(self.to_sat(minor) * self.price * 10**self.scale, COIN * PRICE_UNIT)


def read_quote(record: object, currency: str) -> Quote:
    """Return the quote that a record says; raise Wrong where it is none of the currency."""
    fields(record, "currency expires_at id price scale sources taken_at")
    assert isinstance(record, dict)
    price = re.fullmatch(r"(0|[1-9][0-9]{0,11})\.([0-9]{8})", str(record["price"]))
    if price is None or int(price[1] + price[2]) == 0:
        raise Wrong("quote_differs", f"{record['price']!r} is no price with eight decimals.")
    if record["currency"] != currency or not record["taken_at"] < record["expires_at"]:
        raise Wrong("quote_differs", "The quote is of another currency, or expires before it was taken.")
    scale = record["scale"]
    if type(scale) is not int or not 0 <= scale <= 4:
        raise Wrong("bad_number", f"No currency has minor units of {scale!r} digits.")
    return Quote(whole(record["id"], 1), currency, scale, int(price[1] + price[2]), record["price"])


class Plain(NamedTuple):
    """The lines of a plain-text journal: what stood before, headings of entries, postings, what stands after, and others."""

    opening: str
    entry: str
    closing: str
    posting: str
    asserted: str
    other: str
    is_asserted_alone: bool

    def read(self, line: str) -> tuple[str, Any]:
        """Return which kind of line it is, and its match; an empty kind for none."""
        for kind in ("posting", "other", "entry", "asserted", "opening", "closing"):
            if match := re.fullmatch(getattr(self, kind), line):
                return kind, match
        return "", None

    def is_in(self, account: str, other: str) -> bool:
        """Tell whether an account counts for another one where its balance is asserted."""
        return account == other or (self.is_asserted_alone and account.startswith(f"{other}:"))


_DATE, _TEXT, _ACCOUNT, _UNITS = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    r'"(?:[^"\\]|\\.)*"',
    r"[A-Z][^\s;\"]*",
    r"-?[0-9]+(?:\.[0-9]+)?",
)
_POSTING = rf"(?P<account>{_ACCOUNT})  (?P<amount>{_UNITS}) (?P<currency>[A-Z]+)"
BEANCOUNT = Plain(
    opening=rf'{_DATE} \* "opening" "What stood before [^"\\]*"',
    entry=rf"{_DATE} \* {_TEXT} {_TEXT}(?: \^entry-[0-9]+)+",
    closing="(?!)",
    posting=rf"  {_POSTING}",
    asserted=rf"{_DATE} balance (?P<account>{_ACCOUNT})  (?P<stands>{_UNITS}) ~ 0 (?P<currency>[A-Z]+)",
    other=(
        rf'|option "(?:title|operating_currency)" {_TEXT}|{_DATE} open {_ACCOUNT} [A-Z]+|  [a-z-]+: {_TEXT}'
        r'|    payment: "[0-9]+"'
    ),
    is_asserted_alone=True,
)
HLEDGER = Plain(
    opening=rf"{_DATE} \* opening  ; what stood before .*",
    entry=rf"{_DATE} \* \([0-9]+\) [^;]*",
    closing=rf"{_DATE} \* closing  ; what must stand now",
    posting=rf"    {_POSTING}(?:  ; payment: [0-9]+)?",
    asserted=(
        rf"    (?P<account>{_ACCOUNT})  0(?:\.0+)? (?P<currency>[A-Z]+) = (?P<stands>{_UNITS}) (?P=currency)"
    ),
    other=rf"|commodity {_UNITS}\.? [A-Z]+|account {_ACCOUNT}|    ; [a-z-]+: .*",
    is_asserted_alone=False,
)


def _add_to(sums: Sums, match: re.Match[str], amount: str) -> None:
    whole_part, _, decimals = match[amount].partition(".")
    key = (match["account"], match["currency"], len(decimals))
    sums[key] = sums.get(key, 0) + int(whole_part + decimals)


class Folder:
    """The files of a pack that is a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Return the paths of all files."""
        found = []
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise Wrong("strange_file", "A pack has folders and files only.", name)
            if path.is_file():
                found.append(name)
        return found

    def open(self, name: str) -> IO[bytes]:
        return (self.path / name).open("rb")


class Zip:
    """The files of a pack that is a zip file."""

    def __init__(self, path: Path) -> None:
        try:
            self.file = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise Unreadable("truncated", f"This is a part of a zip file: {error}.", str(path)) from None

    def names(self) -> list[str]:
        """Return the paths of all files; raise Wrong when one is there twice."""
        found = [info.filename for info in self.file.infolist() if not info.is_dir()]
        found.sort()
        for name, other in itertools.pairwise(found):
            if name == other:
                raise Wrong("strange_file", "The file is there twice.", name)
        return found

    def open(self, name: str) -> IO[bytes]:
        return self.file.open(name)


class Pack:
    """One pack on its way through the checks, and what is said of it in the end."""

    def __init__(
        self,
        files: Folder | Zip,
        network: str | None,
        keys: Iterable[str],
        say: Callable[[str], None],
        *,
        officers: Mapping[str, bytes] | None = None,
        witnesses: Collection[str] = (),
        seen: Mapping[str, str] | None = None,
    ) -> None:
        """Take a pack's files, and what is known from elsewhere.

        ``keys`` are those of the log, ``officers`` the public keys of officers by their user names, ``witnesses`` keys, and
        ``seen`` checkpoints that were kept, by the names of their files.
        """
        self.files, self.trusted, self.say, self.wanted = files, set(keys), say, network
        self.officers, self.witnesses, self.seen = officers or {}, set(witnesses), seen or {}
        # Heads that were kept, by size, each with the file that has it; and signers whose keys are the pack's word.
        self.kept: dict[int, list[tuple[str, bytes]]] = {}
        self.unpinned: dict[str, set[str]] = {"officers": set(), "witnesses": set()}
        self.witnessed: dict[str, int] = {}
        self.unsigned_lists = 0
        # By what each list of money was converted; None before its release.
        self.quotes: dict[str, Quote | None] = {}
        self.network = ""
        self.names: list[str] = []
        self.facts: Record = {}
        self.heads: dict[int, bytes] = {}
        self.anchored: dict[int, tuple[int, str]] = {}
        self.last: tuple[int, str] | None = None
        self.blocks: dict[int, str] = {}
        self.closers: dict[str, str] = {}
        self.accounts: Sums = {}
        self.absent = 0
        self.lacks: dict[str, list[str]] = {}
        self.counts = dict.fromkeys(
            ("entries", "lines", "hidden", "redacted", "payouts", "payments", "lists", "runs", "events"), 0
        )
        self.remarks: list[str] = []
        self.table = sqlite3.connect("")
        self.table.executescript(TABLES)

    def check(self) -> None:
        """Make all checks in their order; raise Wrong with the first thing that is wrong."""
        for step in (
            self.check_manifest,
            self.check_facts,
            self.check_checkpoints,
            self.check_journal,
            self.check_headers,
            self.check_lists,
            self.check_payouts,
            self.check_owed,
            self.check_runs,
            self.check_exports,
        ):
            self.say(f"{(step.__doc__ or '').rstrip('.')} ...")
            step()
        self._signers()
        for code, messages in self.lacks.items():
            self.remarks += messages[:TOLD]
            if len(messages) > TOLD:
                self.remarks.append(f"{len(messages) - TOLD} more like this: {code}.")

    # Files.

    def read(self, name: str) -> str:
        """Return the text of a small file."""
        with self.files.open(name) as file:
            raw = file.read(MAX_RECORD + 1)
        if len(raw) > MAX_RECORD:
            raise Wrong("too_long", "The file is too long for what it is.", name)
        return self.text(raw, name)

    @staticmethod
    def text(raw: bytes, name: str, record: str = "") -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise Wrong("not_utf8", "This is not UTF-8.", name, record) from None

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """Yield each line of a file with its number, without its end; a file that lacks its last end is cut off."""
        number = 0
        with self.files.open(name) as file:
            while line := file.readline(MAX_RECORD + 1):
                number += 1
                if not line.endswith(b"\n"):
                    raise Unreadable(
                        "truncated", "The line does not end: the file was cut off.", name, f"line {number}"
                    )
                yield number, self.text(line[:-1], name, f"line {number}")

    def records(self, name: str, check: Callable[[Any], None]) -> None:
        """Parse each line of a file that is there, and pass the record on; name line and file where something is wrong."""
        if name not in self.names:
            return
        for number, line in self.lines(name):
            self.at(name, f"line {number}", self._pass_on, line, check)

    def record(self, name: str, check: Callable[[Any], None]) -> None:
        """Parse a file of one record, and pass it on."""
        text = self.read(name)
        if not text.endswith("\n"):
            raise Unreadable("truncated", "The file does not end: it was cut off.", name)
        self.at(name, "", self._pass_on, text[:-1], check)

    @staticmethod
    def _pass_on(text: str, check: Callable[[Any], None]) -> None:
        check(parse(text))

    @staticmethod
    def at(name: str, record: str, call: Callable[..., Any], *values: Any) -> Any:
        """Call, and say where it was when something is wrong."""
        try:
            return call(*values)
        except Wrong as wrong:
            wrong.file, wrong.record = wrong.file or name, wrong.record or record
            raise
        except (TypeError, KeyError, AttributeError, ValueError, IndexError, RecursionError) as error:
            raise Wrong(
                "bad_record", f"A value is not of the kind that it must be: {error!r}.", name, record
            ) from None
        except sqlite3.IntegrityError as error:
            raise Wrong("twice", f"The same thing is there twice: {error}.", name, record) from None

    def check_manifest(self) -> None:
        """Comparing every file with the manifest."""
        names = self.files.names()
        if MANIFEST not in names:
            raise Unreadable("not_a_pack", f"There is no {MANIFEST}: this is no pack, or a part of one.")
        said: dict[str, str] = {}
        for number, line in self.lines(MANIFEST):
            digest, _, name = line.partition("  ")
            if not re.fullmatch("[0-9a-f]{64}", digest) or not PATH.fullmatch(name):
                raise Wrong(
                    "bad_manifest", "A line is a SHA-256, two spaces and a path.", MANIFEST, f"line {number}"
                )
            if said and name <= next(reversed(said)):
                raise Wrong("bad_manifest", "The paths are in order, each once.", MANIFEST, f"line {number}")
            said[name] = digest
        for name in names:
            if name not in said and name not in (MANIFEST, MANIFEST_NOTE):
                raise Wrong("unlisted_file", "The manifest does not list the file.", name)
        for name, digest in said.items():
            if name not in names:
                raise Wrong("missing_file", "The manifest lists the file, and it is not there.", name)
            if self.digest(name) != digest:
                raise Wrong("changed_file", "The file's SHA-256 is not the one in the manifest.", name)
        self.names = list(said)

    def digest(self, name: str) -> str:
        found = hashlib.sha256()
        try:
            with self.files.open(name) as file:
                while chunk := file.read(CHUNK):
                    found.update(chunk)
        except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            raise Wrong("changed_file", f"The file cannot be read whole: {error}.", name) from None
        return found.hexdigest()

    def check_facts(self) -> None:
        """Reading what the pack says of itself."""
        if "pack.json" not in self.names:
            raise Unreadable("not_a_pack", "There is no pack.json: this is no pack.")
        self.record("pack.json", self._facts)
        for key in self.facts["keys"]:
            if self.trusted and key not in self.trusted:
                raise Wrong(
                    "unknown_key", f"It is signed by {key}, which is not a key that was given.", "pack.json"
                )
        for name in REQUIRED:
            if name not in self.names:
                raise Wrong("missing_file", "Every pack has this file.", name)
        if MANIFEST_NOTE not in self.files.names():
            raise Wrong("missing_file", "The manifest is not signed.", MANIFEST_NOTE)
        text, signatures = self.at(MANIFEST_NOTE, "", read_note, self.read(MANIFEST_NOTE))
        if text != f"{PACK}\n{self.digest(MANIFEST)}\n":
            raise Wrong("bad_manifest", "The signed note is of another manifest.", MANIFEST_NOTE)
        self.at(MANIFEST_NOTE, "", self.require_own, text, signatures)
        if not self.trusted:
            keys = ", ".join(self.facts["keys"])
            self.remarks.append(f"The key is the pack's own word: compare it with the published one: {keys}")

    def require_own(self, text: str, signatures: list[Signature]) -> str:
        """Return the key, of those that the pack names, that signed the text alone."""
        for key in self.facts["keys"]:
            name, kind, _, key_id = read_key(key)
            if kind == LOG and [(name, key_id)] == [(other, other_id) for other, other_id, _ in signatures]:
                require_signed(text, signatures, key)
                return str(key)
        raise Wrong("not_signed", "It is not signed, alone, by a key that the pack names.")

    def _facts(self, facts: Record) -> None:
        if not isinstance(facts, dict) or facts.get("format") != PACK:
            raise Unreadable("not_a_pack", f"This is no {PACK}.")
        fields(facts, "format keys made_at network not_sealed selection size")
        fields(facts["selection"], "kind name scope")
        if facts["selection"]["kind"] not in ("all", "period", "disbursement"):
            raise Wrong("bad_record", f"A pack is of no {facts['selection']['kind']!r}.")
        if facts["network"] not in GENESIS:
            raise Wrong("wrong_network", f"{facts['network']!r} is none of {', '.join(GENESIS)}.")
        if self.wanted is not None and facts["network"] != self.wanted:
            raise Wrong("wrong_network", f"It is of {facts['network']}, not of {self.wanted}.")
        self.facts, self.network = facts, facts["network"]
        self.size = whole(facts["size"], 0)
        self.missing = whole(facts["not_sealed"], 0)
        if self.missing:
            self.remarks.append(
                f"{self.missing} entries are younger than the last checkpoint, and not in the pack."
            )

    def check_checkpoints(self) -> None:
        """Checking the signatures of the checkpoints, and their anchors."""
        for name in self.names:
            folder, _, rest = name.partition("/")
            number, _, suffix = rest.rpartition(".")
            if folder == "checkpoints" and suffix == "note":
                self.heads[self.at(name, "", whole, number, 1)] = b""
        for size in sorted(self.heads):
            self._checkpoint(size)
        if self.size != max(self.heads, default=0):
            raise Wrong(
                "checkpoint_missing",
                f"The pack is of {counted(self.size, 'leaf', 'leaves')}, the last checkpoint not.",
                "pack.json",
            )
        for name, note in self.seen.items():
            self.at(name, "", self._kept, name, note)
        loose = [size for size in self.heads if size not in self.anchored]
        if loose:
            self.remarks.append(f"{len(loose)} of {len(self.heads)} checkpoints are in no final block yet.")

    def _checkpoint(self, size: int) -> None:
        name = f"checkpoints/{size}.note"
        note = self.read(name)
        text, signatures = self.at(name, "", read_note, note)
        key = self.at(name, "", self.require_own, text, signatures)
        origin, said, root = self.at(name, "", read_head, text)
        if (origin, said) != (read_key(key)[0], size):
            raise Wrong("bad_checkpoint", "The note is of another log or another size.", name)
        self.heads[size] = root

        def witness(record: Record) -> None:
            fields(record, "key line")
            _, found = read_note(f"{text}\n{record['line']}\n")
            who, kind, _, _ = read_key(record["key"])
            if kind != WITNESS:
                raise Wrong("bad_key", "The key is not a witness's.")
            require_signed(text, found, record["key"])
            if record["key"] in self.witnesses:
                self.witnessed[record["key"]] = max(size, self.witnessed.get(record["key"], 0))
            elif any(read_key(key)[0] == who for key in self.witnesses):
                raise Wrong("unknown_key", f"The key of the witness {who} is not the one that was given.")
            else:
                self.unpinned["witnesses"].add(who)

        self.records(f"checkpoints/{size}.witnesses", witness)
        ots, beside = f"checkpoints/{size}.ots", f"checkpoints/{size}.json"
        if ots not in self.names and beside not in self.names:
            return
        for each in (ots, beside):
            if each not in self.names:
                raise Wrong("missing_file", "Of an anchor's two files one is missing.", each)
        with self.files.open(ots) as file:
            proof = file.read(MAX_RECORD)

        def anchor(record: Record) -> None:
            header = self.at(ots, "", check_anchor, note, record, proof, self.network)
            self.anchored[size] = (record["block_height"], header.hash)

        self.record(beside, anchor)

    def _kept(self, name: str, note: str) -> None:
        """Remember the head of a checkpoint that was kept; the tree is compared with it on the way."""
        text, signatures = read_note(note)
        origin, size, root = read_head(text)
        names = [(other, key_id) for other, key_id, _ in signatures]
        own = [key for key in self.facts["keys"] if (read_key(key)[0], read_key(key)[3]) in names]
        if not own or read_key(own[0])[0] != origin:
            raise Wrong(
                "unknown_key", "The checkpoint is of another log, or signed by no key that the pack names."
            )
        require_signed(text, signatures, own[0])
        if size > self.size:
            raise Wrong(
                "seen_is_newer",
                f"It is over {counted(size, 'leaf', 'leaves')}, and the pack over {self.size}: ask for a new pack.",
            )
        self.kept.setdefault(size, []).append((name, root))

    def _compare_kept(self) -> None:
        """Compare the head over the leaves so far with the checkpoints that were kept of this size."""
        for name, root in self.kept.pop(self.edge.size, ()):
            if root != self.edge.head():
                message = (
                    f"The first {self.edge.size} leaves of the pack are not those that it was signed over."
                )
                raise Wrong("seen_differs", message, name)

    def _signers(self) -> None:
        """Say whose keys are the pack's word, and who did not sign."""
        for kind, option in (("officers", "--officer-key"), ("witnesses", "--witness-key")):
            if names := sorted(self.unpinned[kind]):
                self.remarks.append(
                    f"The keys of these {kind} are the pack's own word: {', '.join(names)}. {option} names the right ones."
                )
        if self.unsigned_lists:
            self.remarks.append(
                f"{self.unsigned_lists} of {self.counts['lists']} lists are signed by no officer's key: who approved them is"
                " the word of the log's key."
            )
        for key in sorted(self.witnesses):
            if self.witnessed.get(key, 0) < self.size:
                newest = (
                    f"a checkpoint over {self.witnessed[key]} leaves" if key in self.witnessed else "nothing"
                )
                self.remarks.append(
                    f"The witness {read_key(key)[0]} signed {newest}, and not the newest checkpoint."
                )

    # The books.

    def check_journal(self) -> None:
        """Adding up the entries, and following the tree over them through every checkpoint."""
        self.edge = Frontier()
        self.records("journal/leaves.jsonl", self._leaf)
        if self.edge.size != self.size:
            message = f"The tree has {self.edge.size} leaves, and the pack says {self.size}."
            raise Wrong("leaf_missing", message, "journal/leaves.jsonl")
        for size, kept in self.kept.items():
            message = f"The pack has no checkpoint over {size} leaves, and hides where this one ends."
            raise Wrong("seen_missing", message, kept[0][0])
        if self.counts["redacted"]:
            self.remarks.append(
                f"{self.counts['redacted']} entries are blacked out; the tree over them is whole."
            )
        self.absent = self.counts["redacted"] + self.missing
        self._hidden()
        self._undone()
        self._dated()
        self._acted()

    def _hidden(self) -> None:
        """Say how many leaves are hidden, and why; raise Wrong where none may be."""
        kind, scope = self.facts["selection"]["kind"], self.facts["selection"]["scope"]
        hidden = self.counts["hidden"]
        if not hidden:
            return
        if kind == "all" and not scope:
            message = f"{hidden} leaves are hidden, and a pack of all books hides none."
            raise Wrong("leaves_hidden", message, "journal/leaves.jsonl")
        others = {
            "all": "entries and runs of other programs",
            "period": "entries and runs of other periods" + (", or other programs" if scope else ""),
            "disbursement": "entries of other lists, deposits and anchors, and runs of other programs",
        }
        self.remarks.append(
            f"{hidden} of {self.size} leaves are hidden. By the pack's own word they are {others[kind]}, as in every pack of"
            " this kind; what they say is not checked. A pack of all books hides none."
        )

    def _undone(self) -> None:
        """Raise Wrong unless each entry that undoes another one is its mirror, or clears exactly what it held."""
        query = (
            "SELECT u.id, u.undoes FROM undoing u JOIN entry e ON e.id = u.undoes"
            " WHERE u.mirror <> CASE WHEN u.is_whole THEN e.lines ELSE e.held END ORDER BY u.id"
        )
        if row := self.table.execute(query).fetchone():
            message = f"It undoes entry {row[1]}, and its lines are not the mirror of that entry's."
            raise Wrong("reversal_differs", message, "journal/leaves.jsonl", f"entry {row[0]}")
        query = "SELECT id, undoes FROM undoing WHERE undoes NOT IN (SELECT id FROM entry) ORDER BY id"
        row = self.table.execute(query).fetchone()
        if row and not self.absent and not self.counts["hidden"]:
            message = f"It undoes entry {row[1]}, which is not in the books."
            raise Wrong("reversal_differs", message, "journal/leaves.jsonl", f"entry {row[0]}")

    def _dated(self) -> None:
        """Raise Wrong for an entry that was written after a period was sealed, and is dated in it or before."""
        for name, ends_at, through in self.table.execute("SELECT * FROM period ORDER BY ends_at").fetchall():
            query = "SELECT id, effective_at FROM entry WHERE id > ? AND effective_at < ? ORDER BY id"
            if row := self.table.execute(query, (through, ends_at)).fetchone():
                message = (
                    f"It is dated {row[1]}; period {name}, which ends at {ends_at}, was sealed without it."
                )
                raise Wrong("period_sealed", message, "journal/leaves.jsonl", f"entry {row[0]}")

    def _acted(self) -> None:
        """Raise Wrong where an audit event says that somebody else approved or released a list than its entries say."""
        query = (
            "SELECT a.id, a.actor, a.action, CASE n.kind WHEN 'encumbrance' THEN n.approver ELSE n.actor END AS booked"
            " FROM act a JOIN named n ON n.source = a.source AND n.kind ="
            " CASE a.action WHEN 'list.approve' THEN 'encumbrance' WHEN 'list.release' THEN 'commitment' END"
            " WHERE a.actor <> booked ORDER BY a.id"
        )
        if row := self.table.execute(query).fetchone():
            message = f"It says that {row[1]} did {row[2]}, and the books say {row[3]}."
            raise Wrong("act_differs", message, "journal/leaves.jsonl", f"event {row[0]}")

    def _leaf(self, record: Record) -> None:
        if "height" in record:
            fields(record, "from hash height")
            start, height, digest = whole(record["from"], 0), record["height"], hex_of(record["hash"], 32)
            if type(height) is not int or not 0 <= height < 63:
                raise Wrong("bad_number", "The height of a subtree is none.")
            self.counts["hidden"] += 1 << height
        elif "redacted" in record:
            fields(record, "hash leaf redacted")
            fields(record["redacted"], "approved_by asked_by at why")
            if record["redacted"]["approved_by"] == record["redacted"]["asked_by"]:
                raise Wrong("same_person", "Who asked for the redaction also approved it.")
            start, height, digest = whole(record["leaf"], 0), 0, hex_of(record["hash"], 32)
            self.counts["redacted"] += 1
        else:
            fields(record, "entry leaf salt")
            start, height = whole(record["leaf"], 0), 0
            digest, heading, lines = entry_of(hex_of(record["salt"]), record["entry"])
            if heading["version"] == RUN:
                self._sealed_run(heading)
            elif heading["version"] == PERIOD:
                self._period(heading)
            elif heading["version"] == EVENT:
                self._event(heading)
            else:
                check_balanced(lines)
                self._entry(heading, lines)
        if start != self.edge.size or not self.edge.add(digest, height):
            raise Wrong("leaf_missing", f"Leaf {self.edge.size} comes next, and this is {start}.")
        head = self.heads.get(self.edge.size)
        if head is not None and head != self.edge.head():
            message = (
                f"The leaves up to here do not give the head of the checkpoint over {self.edge.size} leaves."
            )
            raise Wrong("head_differs", message)
        if height and any(start < size < self.edge.size for size in self.heads):
            raise Wrong("leaf_missing", "A subtree hides where a checkpoint ends.")
        self._compare_kept()

    def _sealed_run(self, run: Record) -> None:
        values = (run["id"], canonical(run_facts(run)), run["break_count"], run["finished_at"])
        self.table.execute(
            "INSERT INTO run (id, facts, break_count, finished_at) VALUES (?, ?, ?, ?)", values
        )

    def _period(self, change: Record) -> None:
        """Remember who closed a period and when one was sealed; raise Wrong where the same person did both."""
        if change["status"] == "sealed":
            values = (change["period"], moment(change["ends_at"]), whole(change["through_entry_id"], 0))
            self.table.execute("INSERT INTO period VALUES (?, ?, ?)", values)
        if change["status"] == "sealed" and self.closers.get(change["period"]) == change["actor"]:
            raise Wrong("same_person", f"Period {change['period']} was closed and sealed by one person.")
        self.closers[change["period"]] = change["actor"]

    def _event(self, event: Record) -> None:
        """Check that an audit event is whole, and remember who did what with which row."""
        check_event(event)
        self.counts["events"] += 1
        source = f"{event['subject_kind']}:{event['subject_id']}"
        values = (whole(event["id"]), source, event["action"], event["actor"])
        self.table.execute("INSERT INTO act VALUES (?, ?, ?, ?)", values)

    def _entry(self, heading: Record, lines: list[Line]) -> None:
        self.counts["entries"] += 1
        self.counts["lines"] += len(lines)
        kind, source = heading["kind"], heading["source_ref"]
        for account, _, currency, scale, layer, units, _ in lines:
            key = (account, currency, scale, layer)
            self.accounts[key] = self.accounts.get(key, 0) + units
        self._written(heading, lines)
        self._owed(heading, lines)
        # What is encumbered anew when a line is withdrawn has no approver.
        if kind in ("commitment", "conversion", "payout_sent") or (
            kind == "encumbrance" and heading["approver"]
        ):
            self._name(heading)
        if kind == "conversion":
            self._converted(source, lines)
        if kind == "payout_sent":
            paid = [(units, reference) for _, _, _, _, _, units, reference in lines]
            rows = [(source, n, ref, units) for n, (units, ref) in enumerate(paid) if ref is not None]
            self.table.executemany("INSERT INTO sent VALUES (?, ?, ?, ?)", rows)
        elif kind == "payout_voided":
            back = [[line[6], -line[5]] for line in lines if line[6] is not None]
            self.table.execute(
                "INSERT INTO voided VALUES (?, ?, ?)", (int(heading["id"]), source, canonical(back))
            )
        if source.startswith("payout:"):
            fee = sum(line[5] for line in lines if line[0].startswith("Expenses:"))
            if kind in ("payout_sent", "payout_fee"):
                self.table.execute(
                    "INSERT INTO fee VALUES (?, ?) ON CONFLICT (payout) DO UPDATE SET sat = sat + excluded.sat",
                    (source, fee),
                )

    def _converted(self, source: str, lines: list[Line]) -> None:
        """Remember what an entry converts: money on its clearing, bitcoin on the other, and what is left over."""
        sums: dict[str, int] = {}
        money = ""
        for account, _, currency, scale, _, units, _ in lines:
            name = account.split(":")[1]
            sums[name] = sums.get(name, 0) + units
            if name == "ConversionClearing":
                money = f"{currency}/{scale}"
        found = (
            sums.get("ConversionClearing", 0),
            -sums.get("ConversionClearingBitcoin", 0),
            -sums.get("Rounding", 0),
        )
        self.table.execute("INSERT INTO converted VALUES (?, ?, ?, ?, ?)", (source, money, *found))

    def _written(self, heading: Record, lines: list[Line]) -> None:
        """Remember when an entry counts and what its lines are, and of one that undoes another what that must have been."""
        number, held = whole(heading["id"]), [line for line in lines if line[4] != "settled"]
        row = (number, moment(heading["effective_at"]), of_lines(heading, lines), of_lines(heading, held))
        self.table.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", row)
        if heading["reversal_of"] is None:
            return
        # What was held is cleared, and something settled may take its place: what is owed, or what it came to.
        undoes, kind = whole(heading["reversal_of"], 1), heading["kind"]
        is_whole = not (kind == "commitment" or kind.endswith(("_settled", "_dropped")))
        if kind.endswith("_dropped") and held != lines:
            raise Wrong("reversal_differs", f"It drops what entry {undoes} held, and settles something.")
        mirror = of_lines(heading, lines if is_whole else held, sign=-1)
        self.table.execute("INSERT INTO undoing VALUES (?, ?, ?, ?)", (number, undoes, is_whole, mirror))

    def _name(self, heading: Record) -> None:
        """Remember who approved, released or sent what; before the second version, these entries had no memo."""
        kind = heading["kind"]
        if not heading["memo"] and heading["version"] != "govpay/entry/1":
            what = "outpoint that the payout spends" if kind == "payout_sent" else "manifest"
            raise Wrong(
                "memo_missing", f"The memo of an entry of kind {kind} names the {what}, and is empty."
            )
        columns = ("source_ref", "kind", "actor", "approver", "memo", "reversal_of")
        self.table.execute("INSERT INTO named VALUES (?, ?, ?, ?, ?, ?)", [heading[name] for name in columns])

    def _owed(self, heading: Record, lines: list[Line]) -> None:
        """Remember what an entry holds of the allotment for a list, owes to its people, or owes no more."""
        kind = heading["kind"]
        if kind not in ("encumbrance", "commitment", "decommitment"):
            return
        layer = "encumbered" if kind == "encumbrance" else "settled"
        # What is owed no more may be converted back in the same entry.
        account = "Liabilities:" if kind == "decommitment" else ""
        owed = [line for line in lines if line[4] == layer and line[5] > 0 and line[0].startswith(account)]
        sat, money = (
            sum(line[5] for line in owed),
            "/".join(sorted({f"{line[2]}/{line[3]}" for line in owed})),
        )
        values = (whole(heading["id"]), heading["source_ref"], kind, bool(heading["approver"]), sat, money)
        self.table.execute("INSERT INTO held VALUES (?, ?, ?, ?, ?, ?)", values)

    # The chain.

    def check_headers(self) -> None:
        """Checking the work of the headers, and that each follows the one before."""
        self.runs = 0
        self.records("headers.jsonl", self._header)
        for size, (height, block_hash) in self.anchored.items():
            self.at(f"checkpoints/{size}.json", "", self.require_block, height, block_hash)
        if self.runs > 1:
            self.remarks.append(
                f"The headers are {self.runs} stretches of the chain; between them none are in the pack."
            )

    def _header(self, record: Record) -> None:
        fields(record, "header height")
        header, height = Header(hex_of(record["header"]), self.network), record["height"]
        if type(height) is not int or height < 0 or (self.last is not None and height <= self.last[0]):
            raise Wrong("headers_broken", "The headers are in the order of their heights.")
        if self.last is not None and height == self.last[0] + 1:
            if header.previous != self.last[1]:
                raise Wrong("headers_broken", f"Header {height} does not follow the one before it.")
        else:
            self.runs += 1
        if height == 0 and header.hash != GENESIS[self.network]:
            raise Wrong("wrong_network", f"The first block is not that of {self.network}.")
        self.last = (height, header.hash)
        self.table.execute("INSERT INTO header VALUES (?, ?, ?)", (header.hash, height, header.root))

    def require_block(self, height: int, block_hash: str) -> bytes:
        """Return the Merkle root of a block that is among the headers at this height."""
        row = self.table.execute("SELECT height, root FROM header WHERE hash = ?", (block_hash,)).fetchone()
        if row is None or row[0] != height:
            raise Wrong("not_in_chain", f"Block {block_hash} is not among the headers at height {height}.")
        self.blocks[height] = block_hash
        return bytes(row[1])

    # Lists.

    def check_lists(self) -> None:
        """Comparing the approvals with the manifests and with the books."""
        for name in self.names:
            folder, _, rest = name.partition("/")
            number, _, file = rest.partition("/")
            if folder == "lists" and file == "list.json":
                self.record(name, functools.partial(self._list, number=number))

    def _list(self, record: Record, number: str) -> None:
        self.counts["lists"] += 1
        fields(
            record,
            "approved_at approved_by fee_ceiling_sat list made_at made_by manifest_sha256 network period program purpose"
            " released_at released_by scope signatures status"
            + (" currency quote" if "currency" in record else ""),
        )
        if "currency" in record:
            self.quotes[number] = self._quote(record)
        people = [
            record[name] for name in ("made_by", "approved_by", "released_by") if record[name] is not None
        ]
        if record["list"] != number or record["made_by"] is None or record["approved_by"] is None:
            raise Wrong("bad_record", "The list is another one, or nobody made or approved it.")
        if len(set(people)) != len(people):
            raise Wrong("same_person", "Of maker, approver and releaser two are the same person.")
        if record["status"] in ("released", "completed") and record["released_by"] is None:
            raise Wrong("not_released", "The list is released, and by nobody.")
        name = f"lists/{number}/manifest.txt"
        if name not in self.names:
            raise Wrong("missing_file", "The list has no manifest.", name)
        self._manifest(name, record)
        if self.digest(name) != record["manifest_sha256"]:
            raise Wrong("manifest_differs", "The manifest is not the one that was approved.", name)
        self.unsigned_lists += not record["signatures"]
        for signature in record["signatures"]:
            fields(signature, "by public_key signature")
            message = b"govpay manifest signature 1\n" + hex_of(record["manifest_sha256"], 32)
            if not is_signed(hex_of(signature["public_key"]), hex_of(signature["signature"]), message):
                raise Wrong(
                    "bad_signature", f"The signature of {signature['by']} is not one of the manifest."
                )
            if signature["by"] in (record["made_by"], record["released_by"]):
                raise Wrong("same_person", "Who made or released the list also signed its manifest.")
            self._officer(signature["by"], hex_of(signature["public_key"]))
        self._agreed(record, f"disbursement:{number}")

    def _quote(self, record: Record) -> Quote | None:
        """Return by what a list of money was converted; the release must lie within the quote's time."""
        if record["quote"] is None:
            return None
        found = read_quote(record["quote"], record["currency"])
        if record["released_at"] is None or not (
            record["quote"]["taken_at"] <= record["released_at"] < record["quote"]["expires_at"]
        ):
            raise Wrong("quote_differs", "The list was not released while its quote held.")
        return found

    def _officer(self, name: str, public_key: bytes) -> None:
        """Raise Wrong for another key than was given for an officer, or one that was given for somebody else."""
        if self.officers.get(name) == public_key:
            return
        if name in self.officers or public_key in self.officers.values():
            raise Wrong("unknown_key", f"The key of {name} is not the one that was given.")
        self.unpinned["officers"].add(name)

    def _agreed(self, record: Record, source: str) -> None:
        """Compare who made, approved and released a list, and the manifest, with the entries that hold and owe its money."""
        approval, release = self.named(source, "encumbrance"), self.named(source, "commitment")
        expected = [(approval, record["made_by"]), (release, record["released_by"])]
        if approval is None and release is not None and release[3] is None:
            # Before approval encumbered anything, it booked at once what is owed; nothing was encumbered that this undoes.
            expected = [(release, record["made_by"])]
        else:
            if approval is None:
                self.lacking(
                    "approval_not_booked", f"The books do not say that list {record['list']} was approved."
                )
            if release is None and record["released_by"] is not None:
                self.lacking(
                    "release_not_booked", f"The books do not say that list {record['list']} was released."
                )
        for booked, person in expected:
            if booked is None:
                continue
            actor, approver, memo, _ = booked
            if (actor, approver) != (person, record["approved_by"]):
                raise Wrong("approval_differs", f"The books say that {actor} acted and {approver} approved.")
            if memo not in (
                "",
                f"Manifest {record['manifest_sha256']}",
            ):  # Nothing only in the first version.
                raise Wrong(
                    "approval_differs", "The books name another manifest than the one that was approved."
                )

    def named(self, source: str, kind: str) -> Any:
        query = "SELECT actor, approver, memo, undoes FROM named WHERE source = ? AND kind = ?"
        return self.table.execute(query, (source, kind)).fetchone()

    def lacking(self, code: str, message: str) -> None:
        """Raise Wrong because the books lack something, unless an entry that is not in the pack may say it: then remark it.

        In a pack of a period that may be one of another period. Else an entry that is blacked out or too young explains one
        such thing, and no more.
        """
        if self.facts["selection"]["kind"] == "period":
            self.lacks.setdefault(code, []).append(f"{message} An entry of another period may say so.")
        elif self.absent:
            self.absent -= 1
            self.lacks.setdefault(code, []).append(
                f"{message} An entry that is blacked out or younger may say so."
            )
        else:
            raise Wrong(code, message)

    def _manifest(self, name: str, record: Record) -> None:
        """Read a manifest line by line; raise Wrong where it is not in its one right form."""
        said = [
            "govpay-manifest-1",
            *(f"{key}|{record[key]}" for key in ("network", "program")),
            f"disbursement|{record['list']}",
            *(f"{key}|{record[key]}" for key in ("period", "purpose")),
            f"currency|{record.get('currency', 'sat')}",
        ]
        count = total = last = 0
        announced = []
        for number, line in self.lines(name):
            place = f"line {number}"
            if number <= len(said):
                if line != said[number - 1]:
                    raise Wrong("bad_manifest_text", f"The line must be {said[number - 1]!r}.", name, place)
            elif number <= len(said) + 3:
                key, _, value = line.partition("|")
                if key != ("count", "total", "fee ceiling")[number - len(said) - 1]:
                    raise Wrong("bad_manifest_text", "The line is not a total.", name, place)
                announced.append(self.at(name, place, whole, value, 0))
            else:
                payment, amount = self.at(name, place, self._payment_line, line, record["list"])
                if payment <= last:
                    raise Wrong(
                        "bad_manifest_text", "Payments are in the order of their numbers.", name, place
                    )
                last, count, total = payment, count + 1, total + amount
        if announced != [count, total, whole(record["fee_ceiling_sat"], 0)]:
            raise Wrong("manifest_totals", "The manifest announces other totals than it has.", name)
        if record["network"] != self.network:
            raise Wrong("wrong_network", f"The list is of {record['network']}, not of {self.network}.", name)

    def _payment_line(self, line: str, number: str) -> tuple[int, int]:
        payment, person, script, amount, reissued = line.split("|")
        owed = whole(amount, 1, MAX_SAT)
        whole(person, 1)
        if reissued:
            whole(reissued, 1)
        quote = self.quotes.get(number)
        # Of money that nothing has converted yet there are no satoshis.
        sat = owed if number not in self.quotes else None if quote is None else quote.to_sat(owed)
        values = (whole(payment, 1), number, hex_of(script), owed, sat)
        self.table.execute(
            "INSERT INTO line (payment, list, script, amount, sat) VALUES (?, ?, ?, ?, ?)", values
        )
        return values[0], owed

    # Payouts.

    def check_payouts(self) -> None:
        """Comparing the outputs of the txs with the manifests and the books, and the txs with the blocks."""
        self.ahead = self._payments()
        self.next, self.newest = next(self.ahead, None), 0
        self.unmined = self.unnamed = 0
        self.records("payouts.jsonl", self._payout)
        if self.next is not None and self.next[1] is not None:
            raise Wrong(
                "payout_missing",
                f"Payout {self.next[1]} is not in payouts.jsonl.",
                "payments.jsonl",
                self.next[0],
            )
        while self.next is not None:
            self.next = next(self.ahead, None)
        row = self.table.execute(
            "SELECT payment, list FROM line WHERE status IS NULL ORDER BY payment"
        ).fetchone()
        if row is not None:
            message = (
                f"Payment {row[0]} of list {row[1]} is in the manifest, and nothing says what became of it."
            )
            raise Wrong("payment_missing", message, "payments.jsonl")
        query = "SELECT payout, payment FROM sent WHERE payment NOT IN (SELECT payment FROM line) ORDER BY payment"
        row = self.table.execute(query).fetchone()
        if row is not None:
            raise Wrong(
                "payment_unknown",
                f"The books pay payment {row[1]} in {row[0]}, which no list has.",
                "payments.jsonl",
            )
        row = self.table.execute(
            "SELECT payout FROM sent WHERE payout NOT IN (SELECT payout FROM shown) ORDER BY payout"
        ).fetchone()
        if row is not None:
            raise Wrong(
                "payout_missing", f"The books say that {row[0]} left, and it is not here.", "payouts.jsonl"
            )
        row = self.table.execute(
            "SELECT payment FROM sent GROUP BY payment HAVING count(*) > 1 ORDER BY payment"
        ).fetchone()
        if row is not None:
            raise Wrong("paid_twice", f"The books pay payment {row[0]} in two payouts.", "payouts.jsonl")
        self._own()
        if self.unmined:
            self.remarks.append(f"{self.unmined} payouts are not proved to be in a final block yet.")
        if self.unnamed:
            self.remarks.append(
                f"{self.unnamed} payouts were booked before entries named what their txs spend."
            )

    def _own(self) -> None:
        """Say how much went to scripts that the pack calls our own; raise Wrong where one is also that of a payee."""
        self.table.execute("CREATE INDEX line_script ON line (script)")
        row = self.table.execute(
            "SELECT o.txid, o.vout, l.payment FROM own o JOIN line l ON l.script = o.script ORDER BY o.txid, o.vout"
        ).fetchone()
        if row is not None:
            message = f"Output {row[1]} of {row[0]} is called our own, and payment {row[2]} goes to the same script."
            raise Wrong("own_script_of_payee", message, "payouts.jsonl")
        count, sat, scripts = self.table.execute(
            "SELECT count(*), coalesce(sum(sat), 0), count(DISTINCT script) FROM own WHERE txid IN (SELECT txid FROM mined)"
        ).fetchone()
        if count:
            self.remarks.append(
                f"{sat} sat in {count} outputs of txs in blocks went to {scripts} scripts that are ours by the pack's own"
                " word: --descriptor lets a node of yours say whether they are the wallets'."
            )

    def own_scripts(self) -> list[bytes]:
        """Return the scripts that the pack calls our own, each once."""
        return [
            bytes(row[0]) for row in self.table.execute("SELECT DISTINCT script FROM own ORDER BY script")
        ]

    def _payments(self) -> Iterator[Any]:
        """Yield place, payout, output, payment, satoshis, script and status of each payment, by payout and output."""
        name, last = "payments.jsonl", None
        if name not in self.names:
            return
        for number, line in self.lines(name):
            place = f"line {number}"
            record = self.at(name, place, parse, line)
            found = self.at(name, place, self._payment, record)
            order = (found[0] is None, found[0] or 0, found[1] or 0)
            if last is not None and order < last:
                raise Wrong("bad_order", "Payments are in the order of payouts and outputs.", name, place)
            last = order
            self.counts["payments"] += 1
            yield (place, *found)

    def _payment(self, record: Record) -> tuple[Any, ...]:
        is_of_money = record.get("list") in self.quotes
        fields(
            record, "list payment payout status vout" + (" amount_sat remainder_minor" if is_of_money else "")
        )
        payment = whole(record["payment"], 1)
        if record["status"] not in ("pending", "held", "cancelled", "voided"):
            raise Wrong("bad_record", f"There is no status {record['status']!r} of a payment.")
        query = "UPDATE line SET status = ? WHERE payment = ? AND list = ? AND status IS NULL"
        if self.table.execute(query, (record["status"], payment, record["list"])).rowcount != 1:
            raise Wrong(
                "payment_unknown",
                f"Payment {payment} is in no manifest of list {record['list']}, or here twice.",
            )
        amount, sat, script = self.table.execute(
            "SELECT amount, sat, script FROM line WHERE payment = ?", (payment,)
        ).fetchone()
        if is_of_money:
            self._disclosed(record, amount)
        payout, vout = record["payout"], record["vout"]
        if (payout is None) != (vout is None) or not (vout is None or (type(vout) is int and vout >= 0)):
            raise Wrong("bad_record", "A payment has both a payout and an output, or neither.")
        return None if payout is None else whole(payout, 1), vout, payment, sat, script, record["status"]

    def _disclosed(self, record: Record, amount: int) -> None:
        """Compare what a payment of money was converted to, and what was left over, with what its quote makes of it."""
        said = (record["amount_sat"], record["remainder_minor"])
        if said == (None, None):
            if record["payout"] is not None:
                raise Wrong("conversion_differs", "The payment is in a payout, and was never converted.")
            return
        quote = self.quotes[record["list"]]
        if quote is None or said != (str(quote.to_sat(amount)), str(quote.rest(amount))):
            raise Wrong(
                "conversion_differs", f"{amount} minor units are not {said[0]} sat by the list's quote."
            )

    def _payout(self, record: Record) -> None:
        self.counts["payouts"] += 1
        fields(record, "checkpoint fee_sat kind list mined payout spends status versions")
        payout = whole(record["payout"], 1)
        if payout <= self.newest:
            raise Wrong("bad_order", "Payouts are in the order of their numbers.")
        self.newest = payout
        self.table.execute("INSERT INTO shown VALUES (?)", (f"payout:{payout}",))
        paid = []
        while self.next is not None and self.next[1] is not None and self.next[1] <= payout:
            if self.next[1] < payout:
                raise Wrong(
                    "payout_missing", f"Payout {self.next[1]} is not here.", "payments.jsonl", self.next[0]
                )
            paid.append(self.next[2:])
            self.next = next(self.ahead, None)
        if record["kind"] not in ("payments", "child", "consolidation", "anchor"):
            raise Wrong("bad_record", f"There is no kind {record['kind']!r} of a payout.")
        if (record["kind"] == "payments") != bool(paid):
            raise Wrong("payment_missing", "A payout of payments has some, and no other has any.")
        if (record["kind"] == "anchor") != (record["checkpoint"] is not None):
            raise Wrong("bad_record", "An anchor is of a checkpoint, and no other payout is.")
        versions = {self._version(version, record, paid): version for version in record["versions"]}
        if len(versions) != len(record["versions"]):
            raise Wrong("twice", "The same tx is there twice.")
        is_void = False
        if record["mined"] is None:
            self.unmined += bool(versions)
        else:
            is_void = self._mined(record, versions, paid)["kind"] == "void"
        self._booked(record, paid, is_void)

    def _version(self, version: Record, record: Record, paid: list[Any]) -> str:
        """Return a tx's txid; it spends what the payout names, and each output is a payment, our change, or a commitment."""
        fields(version, "change fee_sat kind raw")
        if version["kind"] not in ("original", "bump", "void"):
            raise Wrong("bad_record", f"There is no kind {version['kind']!r} of a version.")
        tx = Tx(hex_of(version["raw"]))
        if record["spends"] not in tx.inputs:
            raise Wrong(
                "txs_share_no_input",
                f"Tx {tx.txid} does not spend {record['spends']} as all of its payout do.",
            )
        expected = {}
        for vout, script, sat in version["change"]:
            expected[vout] = (whole(sat, 1), hex_of(script))
        if version["kind"] == "void":
            paid = []
        elif record["kind"] == "anchor":
            expected[0] = (0, self._commitment(record["checkpoint"]))
            if tx.outputs[0] != expected[0]:
                message = (
                    f"Output 0 of {tx.txid} does not hold the hash of checkpoint {record['checkpoint']}."
                )
                raise Wrong("output_differs", message)
        for vout, payment, sat, script, _ in paid:
            if vout in expected:
                raise Wrong("output_differs", f"Output {vout} is of two.")
            expected[vout] = (sat, script)
            if vout >= len(tx.outputs) or tx.outputs[vout] != (sat, script):
                message = (
                    f"Output {vout} of {tx.txid} is not the {sat} sat to {script.hex()} of payment {payment}."
                )
                raise Wrong("output_differs", message)
        for vout, output in enumerate(tx.outputs):
            if expected.get(vout) != output:
                raise Wrong(
                    "output_unexplained", f"Output {vout} of {tx.txid} is no payment and none of our change."
                )
        if len(expected) != len(tx.outputs):
            raise Wrong("output_differs", f"{tx.txid} lacks an output.")
        rows = [(tx.txid, vout, hex_of(script), whole(sat)) for vout, script, sat in version["change"]]
        self.table.executemany("INSERT INTO own VALUES (?, ?, ?, ?)", rows)
        return tx.txid

    def _commitment(self, size: str) -> bytes:
        """Return the script that holds a checkpoint's hash."""
        name = f"checkpoints/{whole(size, 1)}.note"
        if name not in self.names:
            raise Wrong("checkpoint_missing", f"There is no checkpoint over {size} leaves.")
        return b"\x6a\x20" + bytes.fromhex(self.digest(name))

    def _mined(self, record: Record, versions: dict[str, Record], paid: list[Any]) -> Record:
        """Return the version that a block holds; statuses say whether it pays, and the payout what it costs."""
        mined = record["mined"]
        fields(mined, "block_hash block_height branch txid")
        if mined["txid"] not in versions:
            raise Wrong("unknown_tx", f"Tx {mined['txid']} is none of the payout's.")
        root = self.require_block(mined["block_height"], mined["block_hash"])
        if climb(mined["txid"], hex_of(mined["branch"])) != root:
            raise Wrong(
                "not_in_block", f"The branch does not lead from {mined['txid']} to the block's header."
            )
        fee = versions[mined["txid"]]["fee_sat"]
        if record["fee_sat"] != fee:
            raise Wrong(
                "fee_differs", f"The tx in the block costs {fee} sat, the payout {record['fee_sat']}."
            )
        self.table.execute("INSERT INTO mined VALUES (?)", (mined["txid"],))
        version = versions[mined["txid"]]
        is_void = version["kind"] == "void"
        if record["status"] != ("voided" if is_void else "settled"):
            raise Wrong(
                "status_differs", f"The payout is {record['status']}, and its {version['kind']} in a block."
            )
        for _, payment, _, _, status in paid:
            if is_void and status != "voided":
                raise Wrong(
                    "status_differs", f"Payment {payment} is {status}, and the void of its payout in a block."
                )
        return version

    def _booked(self, record: Record, paid: list[Any], is_void: bool) -> None:
        """Compare a payout with the entries by which it left, and perhaps came back, and with their fee."""
        source = f"payout:{record['payout']}"
        row = self.named(source, "payout_sent")
        is_paying = any(version["kind"] != "void" for version in record["versions"])
        fee = self.table.execute("SELECT sat FROM fee WHERE payout = ?", (source,)).fetchone()
        if row is not None:
            self._sent(record, paid, source, row)
        elif is_paying or (record["mined"] is not None and fee is None):
            # A void that replaces nothing is booked by its fee alone; there is none without.
            self.lacking("payout_not_booked", f"The books do not say that payout {record['payout']} left.")
        if paid and record["mined"] is not None:
            self._voided(record, paid, is_void, was_sent=row is not None)
        booked_sat = 0 if fee is None else fee[0]
        if booked_sat == whole(record["fee_sat"]) or (row is None and is_paying):
            return
        message = f"The books have a fee of {booked_sat} sat for payout {record['payout']}, which costs {record['fee_sat']}."
        if row is None or len(record["versions"]) > 1 or record["mined"] is None:
            self.lacking("fee_differs", message)
        else:
            # One tx was ever signed, and the entry by which it left has its fee: no other entry changes that.
            raise Wrong("fee_differs", message)

    def _voided(self, record: Record, paid: list[Any], is_void: bool, *, was_sent: bool) -> None:
        """Compare whether a block holds the void with whether the books took back what the payout pays."""
        query = "SELECT payments FROM voided WHERE payout = ? AND id NOT IN (SELECT undoes FROM undoing) ORDER BY id"
        rows = self.table.execute(query, (f"payout:{record['payout']}",)).fetchall()
        if is_void and not rows and was_sent:
            message = f"A block holds the void of payout {record['payout']}, and the books do not say that it came back."
            self.lacking("void_not_booked", message)
        if not is_void and rows:
            message = (
                f"A block holds what payout {record['payout']} pays, and the books say that it came back."
            )
            self.lacking("void_differs", message)
        if len(rows) > 1 or any(
            text != canonical([[payment, sat] for _, payment, sat, _, _ in paid]) for (text,) in rows
        ):
            raise Wrong("void_differs", "What came back by the books is not what the payout pays.")

    def _sent(self, record: Record, paid: list[Any], source: str, row: Any) -> None:
        """Compare a payout with the entry by which it left: what it spends, and line by line what it pays."""
        if all(version["kind"] == "void" for version in record["versions"]):
            raise Wrong(
                "tx_missing", "The books say that the payout left, and no tx of it that pays is here."
            )
        if row[2] == "":
            self.unnamed += 1
        elif row[2] != f"Spends {record['spends']}":
            raise Wrong("payout_differs", f"The books say that the payout {row[2].lower()}.")
        query = "SELECT vout, payment, sat FROM sent WHERE payout = ? ORDER BY vout"
        booked = self.table.execute(query, (source,)).fetchall()
        if booked != [(vout, payment, sat) for vout, payment, sat, _, _ in paid]:
            raise Wrong(
                "payout_differs",
                "The lines of the entry are not the payout's payments in the order of outputs.",
            )

    def check_owed(self) -> None:
        """Comparing what the books hold and owe for each list with its manifest."""
        freed = dict(self.table.execute(FREED).fetchall())
        lists = self.table.execute(
            "SELECT list, sum(amount), sum(CASE WHEN status = 'cancelled' THEN 0 ELSE amount END) FROM line GROUP BY list"
        )
        for number, total, left in lists.fetchall():
            self.at(
                f"lists/{number}/manifest.txt", "", self._owed_for, number, total, left, freed.get(number, 0)
            )

    def _owed_for(self, number: str, total: int, left: int, freed: int) -> None:
        """Compare a list's total, and what is left of it without its cancelled lines, with what is booked for it."""
        source, most = f"disbursement:{number}", total
        self._converted_for(number, source)
        query = (
            "SELECT kind, is_approved, sat FROM held"
            " WHERE source = ? AND kind IN ('encumbrance', 'commitment') ORDER BY id"
        )
        booked = self.table.execute(query, (source,)).fetchall()
        money = "SELECT DISTINCT money FROM held WHERE source = ? AND kind IN ('encumbrance', 'commitment')"
        for (unit,) in self.table.execute(money, (source,)).fetchall():
            if (unit == "BTC/8") == (number in self.quotes):
                raise Wrong(
                    "booked_total_differs", f"The books are in {unit}, and the list in another currency."
                )
        for kind, is_approved, sat in booked:
            if sat > most or (is_approved and sat < left):
                message = f"Its {kind} in the books has {sat} sat, and must have {left} to {most} sat."
                raise Wrong("booked_total_differs", message)
            # Lines are withdrawn later, never added.
            most = sat
        owed = [sat for kind, _, sat in booked if kind == "commitment"]
        if owed:
            stands = owed[0] - freed
        else:
            query = (
                "SELECT coalesce(sum(sat), 0) FROM held"
                " WHERE source = ? AND kind = 'encumbrance' AND id NOT IN (SELECT undoes FROM undoing)"
            )
            stands = self.table.execute(query, (source,)).fetchone()[0]
        if booked and stands != left:
            message = f"The books hold or owe {stands} sat for list {number}; its lines come to {left} sat."
            self.lacking("booked_total_differs", message)

    def _converted_for(self, number: str, source: str) -> None:
        """Compare the two legs of a list of money, and the quote that their entry names, with what its lines come to."""
        quote = self.quotes.get(number)
        entry = self.table.execute(
            "SELECT money, minor, sat, rest FROM converted WHERE source = ?", (source,)
        ).fetchone()
        if quote is None:
            if entry is not None:
                raise Wrong("conversion_differs", "The books convert a list that has no quote.")
            return
        if entry is None:
            self.lacking("conversion_not_booked", f"The books do not say that list {number} was converted.")
            return
        memo = self.named(source, "conversion")[2]
        if not memo.endswith(f", quote {quote.number}: {quote.text} {quote.currency}"):
            raise Wrong("quote_differs", "The books name another quote than the list.")
        if entry[0] != f"{quote.currency}/{quote.scale}":
            raise Wrong(
                "conversion_differs",
                f"The books convert {entry[0]}, the quote {quote.currency}/{quote.scale}.",
            )
        query = "SELECT amount, status <> 'cancelled', count(*) FROM line WHERE list = ? AND script <> x'' GROUP BY 1, 2"
        least, most = [0, 0, 0], [0, 0, 0]
        for amount, is_left, count in self.table.execute(query, (number,)).fetchall():
            figures = (amount, quote.to_sat(amount), quote.rest(amount))
            most = [old + count * new for old, new in zip(most, figures, strict=True)]
            if is_left:
                least = [old + count * new for old, new in zip(least, figures, strict=True)]
        # What was withdrawn before the release was never converted; of the remainders some are negative.
        if not all(
            low <= booked <= high for low, booked, high in zip(least[:2], entry[1:3], most[:2], strict=True)
        ) or (least == most and list(entry[1:]) != most):
            message = f"The books convert {entry[1]} to {entry[2]} sat and leave {entry[3]}; the lines come to {most}."
            raise Wrong("conversion_differs", message)

    # Reconciliation.

    def check_runs(self) -> None:
        """Computing the digests of the reconciliation runs again."""
        self.loose = 0
        self.records("reconciliation/runs.jsonl", self._run)
        row = self.table.execute("SELECT id FROM run WHERE NOT is_seen ORDER BY id").fetchone()
        if row is not None:
            message = f"Run {row[0]} is sealed in the tree, and not here."
            raise Wrong("run_missing", message, "reconciliation/runs.jsonl")
        if self.loose:
            self.remarks.append(
                f"{self.loose} reconciliation runs are sealed by no checkpoint yet, or blacked out."
            )

    def _run(self, record: Record) -> None:
        self.counts["runs"] += 1
        fields(record, "breaks digest finished_at heading is_cut run")
        query = "SELECT facts, break_count, finished_at, is_seen FROM run WHERE id = ?"
        sealed = self.table.execute(query, (record["run"],)).fetchone()
        stored = len(record["breaks"])
        if sealed is None:
            self.loose += 1
        else:
            facts, found, finished_at, is_seen = sealed
            said = canonical(run_facts(record["heading"] | {"digest": record["digest"]}))
            if (facts, finished_at) != (said, record["finished_at"]):
                raise Wrong("run_differs", "The run is not the one that was sealed.")
            if is_seen:
                raise Wrong("twice", "The run is there twice.")
            if record["heading"]["status"] != "inconclusive" and (found > stored) != record["is_cut"]:
                raise Wrong("run_differs", f"The run found {found} breaks, and {stored} are here.")
            self.table.execute("UPDATE run SET is_seen = 1 WHERE id = ?", (record["run"],))
        if record["is_cut"]:
            if stored != MOST_BREAKS:
                raise Wrong(
                    "run_differs", f"Of a run with more breaks {MOST_BREAKS} are stored; {stored} are here."
                )
            self.remarks.append(
                f"Run {record['run']} found more than was stored: its digest cannot be taken again."
            )
            return
        found = hashlib.sha256()
        for part in (record["heading"], *record["breaks"]):
            text = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
            found.update(text.encode() + b"\n")
        if found.hexdigest() != record["digest"]:
            raise Wrong("digest_differs", "The run's digest is not that of what it found.")

    # Exports.

    def check_exports(self) -> None:
        """Adding up the journals for other programs, and comparing them with the entries."""
        readers: dict[str, Callable[[str], Sums]] = {
            "csv": self._csv,
            "jsonl": self._jsonl,
            "beancount": functools.partial(self._plain, form=BEANCOUNT),
            "journal": functools.partial(self._plain, form=HLEDGER),
        }
        self.opening: Sums | None = None
        for name in self.names:
            folder, _, rest = name.partition("/")
            if folder != "exports":
                continue
            suffix = rest.rpartition(".")[2]
            if suffix not in readers:
                raise Wrong("unlisted_file", "There is no such export.", name)
            sums = readers[suffix](name)
            expected: Sums = {}
            for key, total in self.accounts.items():
                name_there = key if suffix in ("csv", "jsonl") else plain_account(key)
                expected[name_there] = expected.get(name_there, 0) + total
            for key in sorted(expected.keys() | sums.keys(), key=str):
                if expected.get(key, 0) != sums.get(key, 0):
                    message = (
                        f"{key} comes to {sums.get(key, 0)} units, in the entries to {expected.get(key, 0)}."
                    )
                    raise Wrong("totals_differ", message, name)
        if self.opening:
            self.remarks.append(
                f"What stood on {len(self.opening)} accounts before the period is the pack's own word; it balances, and the"
                " journals agree. A pack of all books begins at nothing."
            )

    def _csv(self, name: str) -> Sums:
        sums: Sums = {}
        with self.files.open(name) as file:
            rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""), strict=True)
            while (row := self.at(name, "", next, rows, None)) is not None:

                def add(row: Record = row) -> None:
                    key = (row["account"], row["currency"], whole(row["scale"]), row["layer"])
                    sums[key] = sums.get(key, 0) + whole(row["amount"])

                self.at(name, f"line {rows.line_num}", add)
        return sums

    def _jsonl(self, name: str) -> Sums:
        sums: Sums = {}

        def add(entry: Record) -> None:
            for account, _, currency, scale, layer, units, _ in map(line_of, entry["lines"]):
                key = (account, currency, scale, layer)
                sums[key] = sums.get(key, 0) + units

        self.records(name, add)
        return sums

    def _plain(self, name: str, form: Plain) -> Sums:
        """Add up the entries of a plain-text journal; raise Wrong for a line that no such journal has."""
        found: dict[str, Sums] = {"opening": {}, "entry": {}, "closing": {}}
        section = ""
        for number, line in self.lines(name):
            place = f"line {number}"
            kind, match = form.read(line)
            if kind == "opening" and (section or self.facts["selection"]["kind"] != "period"):
                raise Wrong(
                    "opening_differs", "Only a period's journal begins with what stood before.", name, place
                )
            if kind in found:
                section = kind
            elif kind == "posting" and section in ("opening", "entry"):
                self.at(name, place, _add_to, found[section], match, "amount")
            elif kind == "asserted" and (section == "closing" or form.is_asserted_alone):
                self.at(name, place, _add_to, found["closing"], match, "stands")
            elif kind != "other":
                raise Wrong(
                    "bad_export", "No line of such a journal is like this, or none here.", name, place
                )
        self._stands(name, form, found)
        return found["entry"]

    def _stands(self, name: str, form: Plain, found: dict[str, Sums]) -> None:
        """Raise Wrong unless what stood before balances, is the same in each journal, and leads to what stands after."""
        opening, entries = found["opening"], found["entry"]
        totals: Sums = {}
        for (_, currency, scale), units in opening.items():
            totals[currency, scale] = totals.get((currency, scale), 0) + units
        if any(totals.values()):
            raise Wrong("opening_differs", "What stood before does not sum to zero.", name)
        if self.opening is not None and self.opening != opening:
            raise Wrong("opening_differs", "What stood before is not what the other journal says.", name)
        self.opening = opening
        for key in sorted(opening.keys() | entries.keys() | found["closing"].keys()):
            # Beancount counts what is below an account with it.
            below = [
                k for k in opening.keys() | entries.keys() if form.is_in(k[0], key[0]) and k[1:] == key[1:]
            ]
            units = sum(opening.get(k, 0) + entries.get(k, 0) for k in below)
            if found["closing"].get(key) != units:
                raise Wrong(
                    "totals_differ",
                    f"{key} stands at {found['closing'].get(key)} units, not at {units}.",
                    name,
                )


def run_facts(run: Record) -> Record:
    """Return what a run's seal and its record both say, in one spelling."""
    names = ["block_hash", "block_height", "digest", "explained_count", "reason", "scope", "status"]
    sums = {name: {key: int(value) for key, value in run[name].items()} for name in ("counts", "totals")}
    return {name: run[name] for name in names} | sums


def plain_account(key: Any) -> Any:
    """Return the name, currency and scale of an account in plain-text journals, which have no layers."""
    account, currency, scale, layer = key
    return (account if layer == "settled" else f"Equity:{layer.capitalize()}:{account}", currency, scale)


# A node.


def ask_node(url: str, blocks: dict[int, str], network: str) -> None:
    """Ask a node whether it has each block at its height; raise Wrong for the first that it has not, or NodeSilent."""
    for height, block_hash in [(0, GENESIS[network]), *sorted(blocks.items())]:
        if (found := _rpc(url, "getblockhash", height)) != block_hash:
            code = "not_in_chain" if height else "wrong_network"
            raise Wrong(code, f"The node has block {found} at height {height}, not {block_hash}.")


def require_own_scripts(url: str, descriptors: Iterable[str], scripts: Collection[bytes]) -> None:
    """Raise Wrong unless the node derives each script from one of the descriptors, below `MOST_DERIVED`."""
    sought = {}
    for script in scripts:
        address = (_rpc(url, "decodescript", script.hex()) or {}).get("address")
        if address is None:
            raise Wrong("not_our_script", f"Script {script.hex()} is called ours, and has no address.")
        sought[address] = script
    for descriptor in descriptors:
        found = _rpc(url, "getdescriptorinfo", descriptor)
        if found is None:
            raise Wrong("bad_descriptor", f"The node takes {descriptor!r} for no descriptor.")
        text = descriptor if "#" in descriptor else f"{descriptor}#{found['checksum']}"
        for start in range(0, MOST_DERIVED, DERIVED_AT_ONCE):
            if not sought:
                return
            limits = [[start, start + DERIVED_AT_ONCE - 1]] if found["isrange"] else []
            for addresses in _rpc(url, "deriveaddresses", text, *limits) or ():
                for address in [addresses] if isinstance(addresses, str) else addresses:
                    sought.pop(address, None)
            if not found["isrange"]:
                break
    for address, script in sought.items():
        message = f"Script {script.hex()} ({address}) is called ours, and of no descriptor that was given."
        raise Wrong("not_our_script", message)


def _rpc(url: str, method: str, *values: object) -> Any:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreadable("bad_usage", "A node is named by http://user:password@host:port.")
    place = parts._replace(netloc=parts.hostname + (f":{parts.port}" if parts.port else "")).geturl()
    body = json.dumps({"method": method, "params": values, "id": 1}).encode()
    request = urllib.request.Request(place, body, {"Content-Type": "application/json"})  # noqa: S310 - http or https.
    user, password = urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http or https.
            return json.load(answer)["result"]
    except urllib.error.HTTPError as error:
        if error.code == 500:
            return None
        raise NodeSilent("node_silent", f"The node at {parts.hostname} answers {error.code}.") from None
    except (OSError, ValueError, KeyError) as error:
        raise NodeSilent("node_silent", f"The node at {parts.hostname} does not answer: {error}.") from None


# The program.


def tell(text: str) -> None:
    """Print a line; what a file made of control characters must not pass for our own words."""
    print("".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text))


def counted(count: int, one: str, many: str = "") -> str:
    """Write a number of things."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def open_pack(path: Path) -> Folder | Zip:
    """Return the files of a pack; raise Unreadable."""
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise Unreadable("not_found", "There is no such file.", str(path))
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise Unreadable(
                "not_a_receipt",
                "This is neither a pack (a folder or a zip file) nor a receipt (a JSON object).",
                str(path),
            )
    return Zip(path)


def is_receipt(path: Path) -> bool:
    """Tell whether the file looks like a receipt rather than a zip file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(64).lstrip()[:1] == b"{"


def verify_receipt(path: Path, options: argparse.Namespace) -> list[str]:
    if options.officer_key or options.witness_key or options.descriptor:
        raise Unreadable(
            "bad_usage", "A receipt names no officers, witnesses and wallets: these options are for packs."
        )
    with path.open("rb") as file:
        found = check_receipt(file.read(MAX_RECEIPT + 1), options.network, options.key)
    if options.node:
        ask_node(options.node, found.blocks, found.network)
    for name, note in options.seen.items():
        _compare_seen(found, name, note)
    tell(f"Payment {found.payment} of {found.amount_sat} sat was paid on {found.network}:")
    tell(f"  output {found.vout} of tx {found.txid}, to script {found.script}")
    tell(
        f"  in block {found.block_hash} at height {found.block_height}, with"
        f" {counted(found.depth - 1, 'block')} shown above it"
    )
    tell(
        f"  booked in {found.scope}, recorded {found.recorded_at}, among the {counted(found.size, 'leaf', 'leaves')}"
        f" sealed by {found.log}"
    )
    if found.anchor_height is not None:
        tell(f"  whose checkpoint is in block {found.anchor_height}")
    if not options.key:
        found.remarks.append(
            f"The key is the receipt's own word: compare it with the published one: {found.key}"
        )
    return found.remarks


def _compare_seen(found: Receipt, name: str, note: str) -> None:
    """Compare a receipt's checkpoint with one that was kept; they can be told apart only where both have one size."""
    text, signatures = Pack.at(name, "", read_note, note)
    Pack.at(name, "", require_signed, text, signatures, found.key)
    _, size, root = Pack.at(name, "", read_head, text)
    if size == found.size and root != found.root:
        raise Wrong("seen_differs", "The receipt's checkpoint has the same size, and another head.", name)
    if size != found.size:
        found.remarks.append(
            f"{name} is over {counted(size, 'leaf', 'leaves')}, the receipt's checkpoint over {found.size}: only a pack"
            " connects them."
        )


def verify_pack(path: Path, options: argparse.Namespace) -> list[str]:
    def say(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr)

    pack = Pack(
        open_pack(path),
        options.network,
        options.key,
        say,
        officers=options.officer_key,
        witnesses=options.witness_key,
        seen=options.seen,
    )
    pack.check()
    if options.node:
        say("Asking the node ...")
        ask_node(options.node, pack.blocks, pack.network)
    if options.descriptor:
        require_own_scripts(options.node, options.descriptor, pack.own_scripts())
        pack.remarks.append("Every script that the pack calls ours is one of the descriptors'.")
    counts = pack.counts
    asked = pack.facts["selection"]
    tell(
        f"Pack of {' '.join(filter(None, (asked['kind'], asked['name'], asked['scope'])))} on {pack.network}"
    )
    tell(
        f"  {counted(counts['entries'], 'entry', 'entries')} with {counted(counts['lines'], 'line')}, all balanced;"
        f" the tree has {counted(pack.size, 'leaf', 'leaves')}"
    )
    tell(
        f"  {counted(len(pack.heads), 'checkpoint')}, each continuing the one before; {len(pack.anchored)} in blocks"
    )
    tell(
        f"  {counted(counts['lists'], 'list')}, {counted(counts['payments'], 'payment')} in"
        f" {counted(counts['payouts'], 'payout')} as they were approved"
    )
    tell(f"  {counted(len(pack.blocks), 'block')}, {counted(counts['runs'], 'reconciliation run')}")
    tell(f"  {counted(counts['events'], 'audit event')}")
    return pack.remarks


def read_options(options: argparse.Namespace) -> None:
    """Put what options name in the place of their texts; raise Unreadable for what is none, OSError for a missing file."""
    officers = {}
    for text in options.officer_key:
        name, _, key = text.partition("=")
        if not name or not re.fullmatch("[0-9a-f]{64}", key) or name in officers:
            raise Unreadable(
                "bad_usage", "An officer's key is given once, as name=key, the key as 64 digits of hex."
            )
        officers[name] = bytes.fromhex(key)
    for option, keys, kind, owner in (
        ("--key", options.key, LOG, "log"),
        ("--witness-key", options.witness_key, WITNESS, "witness"),
    ):
        for key in keys:
            try:
                found = read_key(key)[1]
            except Wrong as wrong:
                raise Unreadable("bad_usage", f"{option} {key!r} is no key: {wrong.rule}") from None
            if found != kind:
                raise Unreadable("bad_usage", f"{option} {key!r} is no key of a {owner}.")
    if options.descriptor and not options.node:
        raise Unreadable("bad_usage", "A node derives the scripts of a descriptor: name one with --node.")
    options.officer_key = officers
    options.seen = {str(path): Pack.text(path.read_bytes(), str(path)) for path in options.seen}


def main(arguments: list[str] | None = None) -> int:
    """Check what the command line names, say what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="a pack (folder or .zip) or a receipt (.json)")
    parser.add_argument("--key", action="append", default=[], help="a key to trust, name+id+key")
    parser.add_argument(
        "--officer-key", action="append", default=[], help="an officer's key, name=key in hex"
    )
    parser.add_argument("--witness-key", action="append", default=[], help="a witness's key, name+id+key")
    parser.add_argument("--seen", action="append", default=[], type=Path, help="a checkpoint that you kept")
    parser.add_argument(
        "--descriptor", action="append", default=[], help="a wallet's descriptor; needs --node"
    )
    parser.add_argument("--network", choices=sorted(GENESIS), help="the network that it must be of")
    parser.add_argument("--node", help="ask this node whether the blocks are on its chain")
    parser.add_argument("--quiet", action="store_true", help="say nothing of the way")
    options = parser.parse_args(arguments)
    try:
        read_options(options)
        verify = verify_receipt if is_receipt(options.path) else verify_pack
        remarks = verify(options.path, options)
    except Wrong as wrong:
        tell(f"WRONG {wrong}")
        return {Unreadable: 2, NodeSilent: 3}.get(type(wrong), 1)
    except OSError as error:
        tell(f"WRONG not_readable: {error.filename or options.path}: {error.strerror}")
        return 2
    except Exception as error:  # noqa: BLE001 - A file may provoke what nobody thought of; it proves nothing then.
        tell(f"WRONG not_readable: {options.path}: {type(error).__name__}: {error}")
        return 2
    for remark in remarks:
        tell(f"NOTE {remark}")
    tell("VERIFIED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
