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
    --document FILE  a file for a bank (pain.001) or a bank's answer (pain.002), as the treasury or the bank has it: it must
                     be one that the pack names, and say what the pack's extract says; may be repeated
    --descriptor D   let that node derive a wallet's scripts, and compare what the pack calls ours; may be repeated

Exit codes: 0 all is as it must be, 1 something is wrong (the first thing is named: file, record, code and rule), 2 it cannot
be read (truncated, not a pack, or asked wrongly), 3 the node could not be asked.

What blocks prove is marked [chain]; what only a bank or a desk says is marked as its word, whoever sealed it. What is not
checked here is said in the end: leaves that were blacked out, entries that no checkpoint covers yet, checkpoints
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
from xml.parsers import expat

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
# Entries that say of single payments how they were paid elsewhere than on the chain: on which account, and with which sign.
MOVES = {
    "rail_sent": ("Assets:MoneyInTransit:", 1),
    "rail_settled": ("Assets:MoneyInTransit:", -1),
    "rail_returned": ("Assets:MoneyInTransit:", -1),
    "trust_owe": ("Liabilities:TrustPayable:", -1),
    "trust_pay": ("Liabilities:TrustPayable:", 1),
}


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
        # What was paid, in words, and on another rail than bitcoin what says so: the bank's ids and hashes, or the voucher.
        self.amount, self.rail = "", "bitcoin"
        self.told: dict[str, str] = {}
        # What a trust that got the bitcoin owes the person instead, in words, and whether its bank has paid that.
        self.owed, self.is_owed_no_more = "", False
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
    found = Receipt()
    if "rail" in record:
        fields(record, "amount_minor checkpoint format network payment rail sent settled")
    else:
        names = "amount_sat checkpoint entry format network output payment script_pubkey"
        fields(record, " ".join([names, *(name for name in ("entitlement", "trust") if name in record)]))
    found.network, found.payment = record["network"], record["payment"]
    _at("network", _receipt_network, found.network, network)
    _at("payment", whole, found.payment, 1)
    if "rail" in record:
        _receipt_elsewhere(record, keys, found)
        return found
    found.amount_sat = _at("amount_sat", whole, record["amount_sat"], 1, MAX_SAT)
    found.script = record["script_pubkey"]
    _at("script_pubkey", hex_of, found.script)
    root, heading, vout = _at("entry", _receipt_entry, record["entry"], found)
    _at("checkpoint", _receipt_checkpoint, record["checkpoint"], record["entry"], root, keys, found)
    _at("output", _receipt_output, record["output"], heading, vout, found)
    found.amount = f"{found.amount_sat} sat"
    if "entitlement" in record:
        _at("entitlement", _receipt_entitlement, record["entitlement"], found)
    if "trust" in record:
        _at("trust", _receipt_trust, record["trust"], root, record["entry"]["size"], found)
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


def _receipt_elsewhere(record: Record, keys: Collection[str], found: Receipt) -> None:
    """Check a receipt of a payment by bank or voucher: the lines by which it left and arrived, in one sealed tree."""
    minor, found.rail = _at("amount_minor", whole, record["amount_minor"], 1, MAX_SAT), record["rail"]
    root, sent, line, first = _at("sent", _receipt_line, record["sent"], "rail_sent", found)
    other, settled, back, _ = _at("settled", _receipt_line, record["settled"], "rail_settled", found)
    _at("checkpoint", _receipt_checkpoint, record["checkpoint"], record["sent"], root, keys, found)
    if (other, record["settled"]["size"]) != (root, record["sent"]["size"]):
        raise Wrong("not_included", "The two entries are not in one tree.", record="settled")
    if (line[5], back[5], line[:5]) != (minor, -minor, back[:5]) or sent["scope"] != settled["scope"]:
        raise Wrong(
            "wrong_amount",
            f"The books do not say that {minor} minor units left and arrived.",
            record="settled",
        )
    found.amount = amount_of(minor, f"{line[2]}/{line[3]}")
    found.scope, found.recorded_at = settled["scope"], settled["recorded_at"]
    file = re.fullmatch(
        "File (GP[0-9A-Za-z]+), SHA-256 ([0-9a-f]{64}), from line ([1-9][0-9]{0,9})", sent["memo"]
    )
    answer = re.fullmatch("Report SHA-256 ([0-9a-f]{64})", settled["memo"])
    if found.rail == "bank" and file and answer:
        found.told = {
            "transfer": f"{file[1]}-{int(file[3]) + first - 1}",
            "file": file[2],
            "answer": answer[1],
        }
        found.remarks.append(
            "That the money arrived is the bank's word, as the ministry booked it: no block proves it. Whoever has the"
            " bank's answer compares its SHA-256."
        )
    elif found.rail == "voucher" and re.fullmatch("voucher:[1-9][0-9]*", settled["source_ref"]):
        found.told = {"voucher": settled["source_ref"].partition(":")[2], "agent": settled["actor"]}
        found.remarks.append(
            "That the voucher was paid out is the word of the agent who took its code: no block proves it."
        )
    else:
        raise Wrong(
            "wrong_entry", "The entries name no file and answer of a bank, and no voucher.", record="settled"
        )


def _receipt_line(entry: Record, kind: str, found: Receipt) -> tuple[bytes, Record, Line, int]:
    """Return the head to which an entry leads, its heading, its line of the payment, and which line that is, from 1."""
    root, heading, line, index = _shown(entry)
    if heading["kind"] != kind:
        raise Wrong("wrong_entry", f"The entry is of kind {heading['kind']}, not {kind}.")
    account = MOVES[kind][0]
    if str(line[6]) != found.payment or line[4] != "settled" or not line[0].startswith(account):
        raise Wrong("wrong_line", f"The line is not that of payment {found.payment}.")
    return root, heading, line, index


def _receipt_trust(said: Record, root: bytes, size: str, found: Receipt) -> None:
    """Check what a trust owes for the bitcoin that it got in a person's place, and whether the bank has paid that."""
    fields(said, "owed paid")
    lines = []
    for name, kind in (("owed", "trust_owe"), ("paid", "trust_pay")):
        if said[name] is None and name == "paid":
            continue
        other, heading, line, _ = _receipt_line(said[name], kind, found)
        if (other, said[name]["size"]) != (root, size):
            raise Wrong("not_included", "The entries are not in one tree.")
        lines.append((heading["scope"], line[:5], MOVES[kind][1] * line[5], heading["memo"]))
    if lines[0][:3] != lines[-1][:3] or lines[0][2] < 1:
        raise Wrong("wrong_amount", "What the trust paid is not what it owed.")
    trust, account, minor, memo = lines[-1]
    what = amount_of(minor, f"{account[2]}/{account[3]}")
    paid = (
        f"The bank says that it has paid that ({memo})." if len(lines) == 2 else "It has not paid that yet."
    )
    found.owed, found.is_owed_no_more = what, len(lines) == 2
    found.remarks.append(
        f"The bitcoin went to {trust} in the person's place, which owes the person {what}. {paid} That is the trust's and"
        " the bank's word: the chain proves the bitcoin alone."
    )


def _receipt_network(said: str, wanted: str | None) -> None:
    if said not in GENESIS:
        raise Wrong("wrong_network", f"{said!r} is none of {', '.join(GENESIS)}.")
    if wanted is not None and wanted != said:
        raise Wrong("wrong_network", f"It is of {said}, not of {wanted}.")


def _receipt_entry(entry: Record, found: Receipt) -> tuple[bytes, Record, int]:
    """Return the tree's head to which heading and line lead, the heading, and the output that the line stands for."""
    root, heading, line, index = _shown(entry)
    _, _, currency, scale, layer, units, reference = line
    if heading["kind"] != "payout_sent":
        raise Wrong("wrong_entry", "The entry is not one by which payments left.")
    if str(reference) != found.payment or (currency, scale, layer) != ("BTC", 8, "settled"):
        raise Wrong("wrong_line", f"The line is not that of payment {found.payment}.")
    if units != found.amount_sat:
        raise Wrong("wrong_amount", f"The books say {units} sat, the receipt {found.amount_sat}.")
    found.scope, found.recorded_at = heading["scope"], heading["recorded_at"]
    return root, heading, index - 1


def _shown(entry: Record) -> tuple[bytes, Record, Line, int]:
    """Return the tree's head to which heading and line of an entry lead, both, and which line it is, from 1."""
    fields(entry, "heading leaf line path pieces size")
    count = whole(entry["pieces"], 2)
    head, heading = _piece(entry["heading"], 0, count)
    index = whole(entry["line"].get("index") if isinstance(entry["line"], dict) else None, 1)
    other, line = _piece(entry["line"], index, count)
    if head is None or head != other:
        raise Wrong("not_included", "Heading and line do not lead to one entry.")
    check_heading(heading, "govpay/entry/2", int)
    if heading["lines"] != count - 1:
        raise Wrong("wrong_entry", "The entry has another number of lines than it says.")
    path = [hex_of(step, 32) for step in entry["path"]]
    root = head_of_path(leaf_hash(head), whole(entry["leaf"], 0), whole(entry["size"], 1), path)
    if root is None:
        raise Wrong("not_included", "The path does not lead from the entry to a head.")
    return root, heading, line_of(line), index


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


# What banks are told and say: ISO 20022.

SETTLED, REJECTED = ("ACSC", "ACCC"), ("RJCT", "CANC")
OF_TRANSFER = ("CdtTrfTxInf", "TxInfAndSts")


class Document:
    """A file for a bank (pain.001) or a bank's answer (pain.002): its kind, what it says once, and of each transfer.

    Values are under the names of their element and of the one that it is in; the first counts.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.kind = ""
        self.head: dict[str, str] = {}
        self.rows: list[dict[str, str]] = []
        self._row: dict[str, str] | None = None
        self._names: list[str] = []
        self._text: list[str] = []
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text.append
        try:
            parser.ParseFile(file)
        except expat.ExpatError as error:
            raise Unreadable("not_a_document", f"This is no XML to its end: {error}.") from None

    def _refuse(self, *declared: object) -> NoReturn:
        raise Unreadable("not_a_document", "No document of a bank declares a document type.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if not self._names:
            self.kind = space.rpartition(":")[2][:8]
        self._names.append(local)
        self._text.clear()
        if local in OF_TRANSFER:
            self._row = {}
        if self._row is not None and "Ccy" in attributes:
            self._row.setdefault("@Ccy", attributes["Ccy"])

    def _end(self, name: str) -> None:
        values = self.head if self._row is None else self._row
        values.setdefault("/".join(self._names[-2:]), "".join(self._text).strip())
        self._text.clear()
        if self._names.pop() in OF_TRANSFER and self._row is not None:
            self.rows.append(self._row)
            self._row = None


def decimal_of(minor: int, money: str) -> str:
    """Return an amount of a currency with its digits, such as ``PKR/2``, in its major units."""
    digits = int(money.partition("/")[2])
    units, rest = divmod(minor, 10**digits)
    return f"{units}.{rest:0{digits}}" if digits else str(units)


def amount_of(minor: int, money: str) -> str:
    """Return an amount with its currency."""
    return f"{decimal_of(minor, money)} {money.partition('/')[0]}"


def _sums(words: Sequence[str], figures: Sequence[int], money: str) -> str:
    """Write how many and how much came to each end."""
    parts = zip(words, figures[::2], figures[1::2], strict=True)
    return ", ".join(f"{count} of {amount_of(minor, money)} {word}" for word, count, minor in parts)


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
CREATE TABLE act (id INTEGER PRIMARY KEY, source TEXT, action TEXT, actor TEXT, actor_id TEXT, reason TEXT);
CREATE INDEX act_source ON act (source, action);
CREATE TABLE undoing (id INTEGER PRIMARY KEY, undoes INTEGER UNIQUE, is_whole INTEGER, mirror BLOB);
CREATE TABLE period (name TEXT, ends_at TEXT, through INTEGER);
CREATE TABLE held (id INTEGER PRIMARY KEY, source TEXT, kind TEXT, is_approved INTEGER, sat INTEGER, money TEXT);
CREATE INDEX held_source ON held (source);
CREATE TABLE voided (id INTEGER PRIMARY KEY, payout TEXT, payments TEXT);
CREATE INDEX voided_payout ON voided (payout);
CREATE TABLE sent (payout TEXT, vout INTEGER, payment INTEGER, sat INTEGER, PRIMARY KEY (payout, vout)) WITHOUT ROWID;
CREATE TABLE shown (payout TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE fee (payout TEXT PRIMARY KEY, sat INTEGER) WITHOUT ROWID;
CREATE TABLE line (payment INTEGER PRIMARY KEY, list TEXT, script BLOB, amount INTEGER, sat INTEGER, status TEXT,
    reissues INTEGER);
CREATE TABLE fate (payment INTEGER PRIMARY KEY, is_void INTEGER);
CREATE TABLE moved (entry INTEGER, n INTEGER, kind TEXT, source TEXT, memo TEXT, actor TEXT, at TEXT, payment INTEGER,
    minor INTEGER, money TEXT, PRIMARY KEY (entry, n)) WITHOUT ROWID;
CREATE INDEX moved_payment ON moved (payment, kind);
CREATE INDEX moved_source ON moved (source, kind);
CREATE TABLE promised (source TEXT, trust TEXT, money TEXT, minor INTEGER);
CREATE TABLE bank_file (id TEXT PRIMARY KEY, message TEXT UNIQUE, sha256 TEXT UNIQUE, list TEXT, scope TEXT, money TEXT,
    count INTEGER, total INTEGER) WITHOUT ROWID;
CREATE TABLE report (id TEXT PRIMARY KEY, bank_file TEXT, sha256 TEXT UNIQUE) WITHOUT ROWID;
CREATE TABLE transfer (id TEXT PRIMARY KEY, bank_file TEXT, number INTEGER, payment INTEGER, attempt INTEGER, minor INTEGER,
    outcome TEXT, report TEXT, UNIQUE (bank_file, number)) WITHOUT ROWID;
CREATE INDEX transfer_payment ON transfer (payment);
CREATE INDEX transfer_report ON transfer (report);
CREATE TABLE voucher (id INTEGER PRIMARY KEY, payment INTEGER, status TEXT, minor INTEGER, money TEXT, made_at TEXT,
    ended_at TEXT, issued_by TEXT, redeemed_by TEXT, asked_by TEXT, cancelled_by TEXT, replaces INTEGER UNIQUE);
CREATE INDEX voucher_payment ON voucher (payment);
CREATE TABLE leg (payment INTEGER PRIMARY KEY, trust TEXT, money TEXT, status TEXT, attempt INTEGER, is_taken INTEGER,
    minor INTEGER);
CREATE TABLE converted (source TEXT PRIMARY KEY, money TEXT, minor INTEGER, sat INTEGER, rest INTEGER) WITHOUT ROWID;
CREATE TABLE mined (txid TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE own (txid TEXT, vout INTEGER, script BLOB, sat INTEGER, PRIMARY KEY (txid, vout)) WITHOUT ROWID;
CREATE TABLE run (id TEXT PRIMARY KEY, facts TEXT, break_count INTEGER, finished_at TEXT, is_seen INTEGER DEFAULT 0)
    WITHOUT ROWID;
CREATE TABLE header (hash TEXT PRIMARY KEY, height INTEGER UNIQUE, root BLOB) WITHOUT ROWID;
"""


# Of transfers and vouchers by their money: how many and how much came to each end.
BY_BANK = """
SELECT t.attempt IS NOT NULL, f.money,
    sum(t.outcome = 'settled'), sum(t.minor * (t.outcome = 'settled')), sum(t.outcome = 'rejected'),
    sum(t.minor * (t.outcome = 'rejected')), sum(t.outcome = 'open'), sum(t.minor * (t.outcome = 'open'))
FROM transfer t JOIN bank_file f ON f.id = t.bank_file GROUP BY 1, 2 ORDER BY 1, 2
"""
BY_VOUCHER = """
SELECT money, sum(status = 'redeemed'), sum(minor * (status = 'redeemed')), sum(status IN ('expired', 'cancelled')),
    sum(minor * (status IN ('expired', 'cancelled'))), sum(status IN ('waiting', 'issued')),
    sum(minor * (status IN ('waiting', 'issued')))
FROM voucher WHERE id NOT IN (SELECT replaces FROM voucher WHERE replaces IS NOT NULL) GROUP BY money ORDER BY money
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

    def value(self, sat: int) -> int:
        """Return what satoshis are worth, in minor units."""
        return half_even(sat * self.price * 10**self.scale, COIN * PRICE_UNIT)

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
        # How each list is paid, and its scope in the books.
        self.rails: dict[str, str] = {}
        self.scopes: dict[str, str] = {}
        # By what each list of money was converted; None before its release, and on other rails.
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
            (
                *("entries", "lines", "hidden", "redacted", "payouts", "payments", "lists", "runs", "events"),
                "reissues",
            ),
            0,
        )
        # What each answer says that it ended, by its number and outcome: transfers and minor units. Money of lists.
        self.answers: dict[tuple[str, str], tuple[int, int]] = {}
        self.money: dict[str, str] = {}
        # Legs that trusts owe of which no block here holds the payout.
        self.unburied = 0
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
            self.check_bank,
            self.check_vouchers,
            self.check_trusts,
            self.check_reissues,
            self.check_owed,
            self.check_runs,
            self.check_exports,
        ):
            self.say(f"{(step.__doc__ or '').rstrip('.')} ...")
            step()
        self._believed()
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
        said = (event["action"], event["actor"], str(event["actor_id"]), event["reason_sha256"])
        self.table.execute("INSERT INTO act VALUES (?, ?, ?, ?, ?, ?)", (whole(event["id"]), source, *said))

    def _entry(self, heading: Record, lines: list[Line]) -> None:
        self.counts["entries"] += 1
        self.counts["lines"] += len(lines)
        kind, source = heading["kind"], heading["source_ref"]
        for account, _, currency, scale, layer, units, _ in lines:
            key = (account, currency, scale, layer)
            self.accounts[key] = self.accounts.get(key, 0) + units
        self._written(heading, lines)
        self._owed(heading, lines)
        self._moved(heading, lines)
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

    def _moved(self, heading: Record, lines: list[Line]) -> None:
        """Remember which payments left, arrived or came back elsewhere than on the chain, and what trusts promise."""
        kind, source = heading["kind"], heading["source_ref"]
        number, at = int(heading["id"]), heading["original_at"] or heading["effective_at"]
        if kind in MOVES:
            account, sign = MOVES[kind]
            told = (number, kind, source, heading["memo"], heading["actor"], at)
            for n, line in enumerate(lines):
                if line[6] is not None and line[0].startswith(account):
                    row = (told[0], n, *told[1:], line[6], sign * line[5], f"{line[2]}/{line[3]}")
                    self.table.execute("INSERT INTO moved VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        if kind in ("trust_promise", "trust_owe"):
            for account, _, currency, scale, layer, units, _ in lines:
                if layer == "encumbered" and account.startswith("Equity:"):
                    values = (source, heading["scope"], f"{currency}/{scale}", units)
                    self.table.execute("INSERT INTO promised VALUES (?, ?, ?, ?)", values)

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
            + (" currency quote" if "currency" in record else "")
            + (" rail" if "rail" in record else ""),
        )
        if "currency" in record:
            self.quotes[number] = self._quote(record)
        self.rails[number], self.scopes[number] = record.get("rail", "bitcoin"), record["scope"]
        if "rail" in record and (
            record["rail"] not in ("bank", "voucher") or record.get("quote", "") is not None
        ):
            raise Wrong(
                "bad_record", "Another rail than bitcoin is bank or voucher, pays money, and needs no quote."
            )
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
                message = f"The books do not say that list {record['list']} was approved."
                self.lacking("approval_not_booked", message, record["scope"])
            if release is None and record["released_by"] is not None:
                message = f"The books do not say that list {record['list']} was released."
                self.lacking("release_not_booked", message, record["scope"])
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

    def lacking(self, code: str, message: str, scope: str = "") -> None:
        """Raise Wrong because the books lack something, unless an entry that is not in the pack may say it: then remark it.

        In a pack of a period that may be one of another period, and in one of a scope one of another scope, where what lacks
        is of that. Else an entry that is blacked out or too young explains one such thing, and no more.
        """
        if scope and self.facts["selection"]["scope"] not in ("", scope):
            self.lacks.setdefault(code, []).append(f"{message} An entry of {scope} may say so.")
        elif self.facts["selection"]["kind"] == "period":
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
        # On another rail the manifest says so, where signers of txs expect the first payment.
        rail = [f"rail|{record['rail']}"] if "rail" in record else []
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
            elif rail and number == len(said) + 4:
                if [line] != rail:
                    raise Wrong("bad_manifest_text", f"The line must be {rail[0]!r}.", name, place)
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
        reissues = whole(reissued, 1) if reissued else None
        # Where a script stands, a list by bank has the keyed hash of an account, and one by voucher nothing.
        if self.rails[number] != "bitcoin" and len(script) != {"bank": 64, "voucher": 0}[self.rails[number]]:
            raise Wrong(
                "bad_manifest_text", "A line by bank has an account's keyed hash, one by voucher nothing."
            )
        quote = self.quotes.get(number)
        # Of money that nothing has converted yet there are no satoshis.
        sat = owed if number not in self.quotes else None if quote is None else quote.to_sat(owed)
        values = (whole(payment, 1), number, hex_of(script), owed, sat, reissues)
        self.table.execute(
            "INSERT INTO line (payment, list, script, amount, sat, reissues) VALUES (?, ?, ?, ?, ?, ?)",
            values,
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
        if payout is not None and self.rails[record["list"]] != "bitcoin":
            raise Wrong(
                "rail_differs", f"Payment {payment} is in a payout, and its list is not paid in bitcoin."
            )
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
        self.table.executemany("INSERT INTO fate VALUES (?, ?)", [(each[1], is_void) for each in paid])
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
            message = f"The books do not say that payout {record['payout']} left."
            self.lacking("payout_not_booked", message, self.scopes.get(record["list"], ""))
        if paid and record["mined"] is not None:
            self._voided(record, paid, is_void, was_sent=row is not None)
        booked_sat = 0 if fee is None else fee[0]
        if booked_sat == whole(record["fee_sat"]) or (row is None and is_paying):
            return
        message = f"The books have a fee of {booked_sat} sat for payout {record['payout']}, which costs {record['fee_sat']}."
        if row is None or len(record["versions"]) > 1 or record["mined"] is None:
            self.lacking("fee_differs", message, self.scopes.get(record["list"], ""))
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
            "SELECT list, sum(amount), sum(CASE status WHEN 'cancelled' THEN 0 WHEN 'voided' THEN 0 ELSE amount END),"
            " sum(CASE WHEN status = 'cancelled' THEN 0 ELSE amount END) FROM line GROUP BY list"
        )
        for number, total, alive, least in lists.fetchall():
            # On other rails what is void is freed line by line, in bitcoin payout by payout.
            left = least if self.rails[number] == "bitcoin" else alive
            name, gone = f"lists/{number}/manifest.txt", freed.get(number, 0)
            self.at(name, "", self._owed_for, number, total, least, left, gone)

    def _owed_for(self, number: str, total: int, least: int, left: int, freed: int) -> None:
        """Compare a list's total, what of it was not cancelled, and what is left of that, with what is booked for it."""
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
            if sat > most or (is_approved and sat < least):
                message = f"Its {kind} in the books has {sat} units, and must have {least} to {most}."
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
            message = f"The books hold or owe {stands} units for list {number}; its lines come to {left}."
            self.lacking("booked_total_differs", message, self.scopes[number])

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
            message = f"The books do not say that list {number} was converted."
            self.lacking("conversion_not_booked", message, self.scopes[number])
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

    # Other rails: what a bank or a desk says of payments, and what the books say of that.

    def check_bank(self) -> None:
        """Comparing the banks' files and answers with the lists and the books."""
        self.records("bank-files.jsonl", self._bank_file)
        self.records("bank-reports.jsonl", self._report)
        self.announced: tuple[str, int] = ("", 0)
        self.records("bank-lines.jsonl", self._transfer)
        for row in self.rows(
            "SELECT id, message, sha256, list, scope, count, total FROM bank_file ORDER BY id"
        ):
            self.at("bank-files.jsonl", f"file {row[0]}", self._sent_by_bank, *row)
        for row in self.rows("SELECT id, bank_file, sha256 FROM report ORDER BY id"):
            self.at("bank-reports.jsonl", f"report {row[0]}", self._answered, *row)
        self._require_none(
            "bank_file_missing",
            "The books say that payment {} left by a file of a bank that is not here.",
            "SELECT payment FROM moved WHERE kind = 'rail_sent' AND source GLOB 'bankfile:*'"
            " AND substr(source, 10) NOT IN (SELECT id FROM bank_file)",
        )
        self._require_none(
            "answer_missing",
            "The books rest on a bank's answer to payment {} that is not here.",
            "SELECT payment FROM moved WHERE source GLOB 'bankreport:*'"
            " AND substr(source, 12) NOT IN (SELECT id FROM report)",
        )
        self._require_none(
            "paid_twice",
            "The books say twice of payment {} that it left, arrived or came back.",
            "SELECT payment FROM moved GROUP BY payment, kind HAVING count(*) > 1",
        )
        self._require_none(
            "status_differs",
            "The books say of payment {} that it arrived, and that it came back.",
            "SELECT payment FROM moved WHERE kind = 'rail_settled'"
            " INTERSECT SELECT payment FROM moved WHERE kind = 'rail_returned'",
        )
        self._require_none(
            "instructed_twice",
            "More than one transfer pays payment {} anew.",
            "SELECT payment FROM transfer WHERE outcome <> 'rejected' GROUP BY payment HAVING count(*) > 1",
        )
        self._became(
            "bank",
            "SELECT payment, max(outcome = 'rejected') FROM transfer WHERE attempt IS NULL GROUP BY payment",
        )

    def rows(self, query: str, *values: object) -> list[Any]:
        """Return what a query finds."""
        return self.table.execute(query, values).fetchall()

    def _require_none(self, code: str, message: str, query: str) -> None:
        """Raise Wrong for the first payment that a query finds."""
        row = self.table.execute(f"{query} ORDER BY 1 LIMIT 1").fetchone()
        if row is not None:
            raise Wrong(code, message.format(row[0]))

    def _same(self, left: str, right: str, **values: object) -> bool:
        """Tell whether two queries find the same rows in the same order."""
        found, other = self.table.execute(left, values), self.table.execute(right, values)
        return all(one == two for one, two in itertools.zip_longest(found, other))

    def _bank_file(self, record: Record) -> None:
        """Remember a file that was written for a bank."""
        fields(record, "bank_file currency line_count list message_id scale scope sha256 total_minor")
        number, owner = str(whole(record["bank_file"], 1)), record["list"]
        if owner is not None and self.rails.get(owner) != "bank":
            raise Wrong("rail_differs", f"The file pays list {owner}, which is not here or not paid by bank.")
        if owner is not None and record["scope"] != self.scopes[owner]:
            raise Wrong("bank_file_differs", f"List {owner} is of {self.scopes[owner]}, the file of another.")
        if not re.fullmatch("GP[0-9A-Za-z]{1,33}", str(record["message_id"])):
            raise Wrong("bad_record", "A file's id is GP and some letters and digits.")
        values = (
            *(number, record["message_id"], hex_of(record["sha256"], 32).hex(), owner, record["scope"]),
            *(self._money(record), whole(record["line_count"], 1), whole(record["total_minor"], 1)),
        )
        self.table.execute("INSERT INTO bank_file VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    @staticmethod
    def _money(record: Record) -> str:
        """Return the currency of a record and its digits."""
        scale = record["scale"]
        if type(scale) is not int or not 0 <= scale <= 4 or not re.fullmatch("[A-Z]{3}", record["currency"]):
            raise Wrong("bad_number", "No currency is like this.")
        return f"{record['currency']}/{scale}"

    def _report(self, record: Record) -> None:
        """Remember a bank's answer; its lines, and what they sum to, are compared once they are read."""
        fields(
            record,
            "bank_file rejected_count rejected_minor report settled_count settled_minor sha256",
        )
        number = str(whole(record["report"], 1))
        if not self.rows("SELECT id FROM bank_file WHERE id = ?", record["bank_file"]):
            raise Wrong("bank_file_missing", f"It answers file {record['bank_file']}, which is not here.")
        values = (number, record["bank_file"], hex_of(record["sha256"], 32).hex())
        self.table.execute("INSERT INTO report VALUES (?, ?, ?)", values)
        for outcome in ("settled", "rejected"):
            sums = [whole(record[f"{outcome}_{what}"], 0) for what in ("count", "minor")]
            self.answers[number, outcome] = (sums[0], sums[1])

    def _transfer(self, record: Record) -> None:
        """Check that a transfer is the next one of its file, and pays what the manifest says."""
        fields(record, "amount_minor attempt bank_file end_to_end_id outcome payment reason report")
        file = self.rows("SELECT message, list, money FROM bank_file WHERE id = ?", record["bank_file"])
        if not file:
            raise Wrong("bank_file_missing", f"It is of file {record['bank_file']}, which is not here.")
        message, owner, money = file[0]
        is_same = self.announced[0] == record["bank_file"]
        number = self.announced[1] + 1 if is_same else 1
        self.announced = (record["bank_file"], number)
        if record["end_to_end_id"] != f"{message}-{number}":
            raise Wrong("transfer_differs", f"Transfer {number} of the file has the id {message}-{number}.")
        outcome, report = record["outcome"], record["report"]
        if outcome not in ("open", "settled", "rejected"):
            raise Wrong("bad_record", f"No transfer is {outcome!r}.")
        if (outcome == "open") != (report is None):
            raise Wrong("answer_missing", "A transfer that ended rests on an answer, and no other does.")
        if report is not None and self.rows("SELECT bank_file FROM report WHERE id = ?", report) != [
            (record["bank_file"],)
        ]:
            raise Wrong("answer_missing", f"Answer {report} is not here, or to another file.")
        if record["reason"] and not re.fullmatch("[A-Z]{2}[0-9]{2}", record["reason"]):
            raise Wrong("bad_record", "A reason is a code of ISO 20022.")
        payment, minor = whole(record["payment"], 1), whole(record["amount_minor"], 1)
        attempt = None if record["attempt"] is None else whole(record["attempt"], 1)
        if (owner is None) == (attempt is None):
            raise Wrong("bad_record", "A transfer of a trust is an attempt, and none of a list is.")
        if owner is not None:
            self._require_line(payment, owner, minor, money)
        values = (
            record["end_to_end_id"],
            record["bank_file"],
            number,
            payment,
            attempt,
            minor,
            outcome,
            report,
        )
        self.table.execute("INSERT INTO transfer VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _require_line(self, payment: int, owner: str | None, minor: int, money: str) -> str:
        """Return the list of a payment; raise Wrong unless it is in a manifest, of this list and amount, in this money."""
        found = self.rows("SELECT list, amount FROM line WHERE payment = ?", payment)
        if not found or owner not in (None, found[0][0]):
            raise Wrong("payment_unknown", f"Payment {payment} is in no manifest, or in another list's.")
        if found[0][1] != minor:
            raise Wrong(
                "amount_differs", f"Payment {payment} is of {found[0][1]} minor units, not of {minor}."
            )
        number = str(found[0][0])
        if self.money.setdefault(number, money) != money:
            raise Wrong("amount_differs", f"List {number} is in {self.money[number]}, and this in {money}.")
        return number

    def _sent_by_bank(
        self, file: str, message: str, sha256: str, owner: str | None, scope: str, count: int, total: int
    ) -> None:
        """Compare a file's transfers with its figures, with the entries by which they left, and with the sealed hash."""
        found = self.rows("SELECT count(*), sum(minor) FROM transfer WHERE bank_file = ?", file)
        if found != [(count, total)]:
            message = f"Its transfers are {found[0][0]} of {found[0][1]}, and it says {count} of {total}."
            raise Wrong("bank_file_differs", message)
        self._sealed_hash("bank_file.write", f"bankfile:{file}", sha256, scope)
        if owner is None:
            return
        source = f"bankfile:{file}"
        entries = self.rows(
            "SELECT memo, count(*) FROM moved WHERE kind = 'rail_sent' AND source = ? GROUP BY entry ORDER BY entry",
            source,
        )
        if not entries:
            self.lacking("bank_file_not_booked", f"The books do not say that file {message} left.", scope)
            return
        first = 1
        for memo, lines in entries:
            if memo != f"File {message}, SHA-256 {sha256}, from line {first}":
                raise Wrong("bank_file_differs", "The books name another file, or other lines of it.")
            first += lines
        if not self._same(
            "SELECT payment, minor, money FROM moved WHERE kind = 'rail_sent' AND source = 'bankfile:' || :file"
            " ORDER BY entry, n",
            "SELECT t.payment, t.minor, f.money FROM transfer t JOIN bank_file f ON f.id = t.bank_file"
            " WHERE t.bank_file = :file ORDER BY t.number",
            file=file,
        ):
            raise Wrong("bank_file_differs", "The lines of its entries are not its transfers in their order.")

    def _sealed_hash(self, action: str, source: str, sha256: str, scope: str) -> None:
        """Raise Wrong unless an audit event of the act has the SHA-256 of this hash, which is what a reason leaves as."""
        found = self.rows("SELECT reason FROM act WHERE action = ? AND source = ?", action, source)
        if (hashlib.sha256(sha256.encode()).hexdigest(),) not in found:
            if found:
                raise Wrong(
                    "document_differs", f"The audit events {action} of {source} are of other documents."
                )
            self.lacking("act_missing", f"No audit event {action} of {source} is here.", scope)

    def _answered(self, report: str, file: str, sha256: str) -> None:
        """Compare an answer with its figures, and with the entries that rest on it."""
        (owner, scope), *_ = self.rows("SELECT list, scope FROM bank_file WHERE id = ?", file)
        self._sealed_hash("bank_report.take", f"bankfile:{file}", sha256, scope)
        booked = (
            {"settled": "rail_settled", "rejected": "rail_returned"} if owner else {"settled": "trust_pay"}
        )
        for outcome in ("settled", "rejected"):
            query = "SELECT count(*), coalesce(sum(minor), 0) FROM transfer WHERE report = ? AND outcome = ?"
            (found,) = self.rows(query, report, outcome)
            if found != self.answers[report, outcome]:
                said = self.answers[report, outcome]
                message = (
                    f"It says {said[0]} transfers of {said[1]} {outcome}; {found[0]} of {found[1]} are here."
                )
                raise Wrong("answer_differs", message)
        memos = self.rows("SELECT DISTINCT memo FROM moved WHERE source = 'bankreport:' || ?", report)
        if memos not in ([], [(f"Report SHA-256 {sha256}",)]):
            raise Wrong("answer_differs", "The books name another answer.")
        for outcome, kind in booked.items():
            if self._same(
                "SELECT payment, minor, money FROM moved WHERE source = 'bankreport:' || :report AND kind = :kind"
                " ORDER BY payment",
                "SELECT t.payment, t.minor, f.money FROM transfer t JOIN bank_file f ON f.id = t.bank_file"
                " WHERE t.report = :report AND t.outcome = :outcome ORDER BY t.payment",
                report=report,
                kind=kind,
                outcome=outcome,
            ):
                continue
            if self.rows(
                "SELECT 1 FROM moved WHERE source = 'bankreport:' || ? AND kind = ? LIMIT 1", report, kind
            ):
                raise Wrong(
                    "answer_differs", f"The lines of its entries {kind} are not the transfers that it ended."
                )
            self.lacking("answer_not_booked", f"The books do not say what answer {report} ended.", scope)

    def _became(self, rail: str, query: str) -> None:
        """Raise Wrong where a line's status is not what a bank or desk says: ``query`` finds payments, and whether dead."""
        row = self.table.execute(
            "SELECT l.payment, l.status FROM line l JOIN (SELECT payment, is_dead FROM"  # noqa: S608 - texts of our own
            f" (SELECT NULL AS payment, NULL AS is_dead WHERE false UNION ALL {query})) f ON f.payment = l.payment"
            " WHERE l.status <> CASE WHEN f.is_dead THEN 'voided' ELSE 'pending' END ORDER BY l.payment"
        ).fetchone()
        if row is not None:
            raise Wrong(
                "status_differs",
                f"Payment {row[0]} is {row[1]}, and the {rail}'s word is another.",
                "payments.jsonl",
            )
        of_rail = [number for number, name in self.rails.items() if name == rail]
        for number in of_rail:
            row = self.table.execute(
                "SELECT payment FROM line WHERE list = ? AND status = 'voided'"  # noqa: S608 - a text of our own
                f" AND payment NOT IN (SELECT payment FROM ({query})) ORDER BY payment",
                (number,),
            ).fetchone()
            if row is not None:
                message = f"Payment {row[0]} is void, and nothing says that what was to pay it is dead."
                raise Wrong("death_not_proved", message, "payments.jsonl")

    def check_vouchers(self) -> None:
        """Comparing the vouchers with the lists and the books."""
        self.records("vouchers.jsonl", self._voucher)
        self._require_none(
            "paid_twice",
            "Of the vouchers of payment {} more than one counts.",
            "SELECT payment FROM voucher WHERE status IN ('waiting', 'issued', 'redeemed')"
            " GROUP BY payment HAVING count(*) > 1",
        )
        self._require_none(
            "voucher_differs",
            "A voucher of payment {} stands in for none that was cancelled, or beside another one.",
            "SELECT v.payment FROM voucher v LEFT JOIN voucher o ON o.id = v.replaces WHERE v.replaces IS NOT NULL"
            " AND (o.id IS NULL OR o.payment <> v.payment OR o.status <> 'cancelled')"
            " UNION SELECT payment FROM voucher GROUP BY payment HAVING count(*) - count(replaces) <> 1",
        )
        self._require_none(
            "voucher_differs",
            "A voucher of payment {} was made at another time than it left, or than that ended which it stands in for.",
            "SELECT v.payment FROM voucher v JOIN voucher o ON o.id = v.replaces WHERE o.ended_at <> v.made_at"
            " UNION SELECT v.payment FROM voucher v JOIN moved m ON m.payment = v.payment AND m.kind = 'rail_sent'"
            " WHERE v.replaces IS NULL AND m.at <> v.made_at",
        )
        ended = (
            "SELECT v.id, v.payment, l.list, v.minor, v.ended_at, v.status FROM voucher v"
            " JOIN line l ON l.payment = v.payment"
            " WHERE v.id NOT IN (SELECT replaces FROM voucher WHERE replaces IS NOT NULL) ORDER BY v.id"
        )
        for row in self.table.execute(ended):
            self.at("vouchers.jsonl", f"voucher {row[0]}", self._ended, *row)
        self._handled()
        self._require_none(
            "voucher_missing",
            "The books say of payment {} what no voucher here says.",
            "SELECT m.payment FROM moved m LEFT JOIN voucher v ON v.payment = m.payment AND CASE m.kind"
            " WHEN 'rail_sent' THEN m.source GLOB 'disbursement:*'"
            " WHEN 'rail_settled' THEN v.status = 'redeemed' AND m.source = 'voucher:' || v.id"
            " WHEN 'rail_returned' THEN v.status = 'cancelled' AND m.source = 'voucher:' || v.id"
            " OR v.status = 'expired' AND m.source GLOB 'disbursement:*' END"
            " WHERE m.kind GLOB 'rail_*' AND m.source NOT GLOB 'bank*' AND v.id IS NULL",
        )
        self._became(
            "voucher",
            "SELECT payment, min(status IN ('expired', 'cancelled')) FROM voucher GROUP BY payment",
        )

    def _voucher(self, record: Record) -> None:
        """Remember a voucher; raise Wrong where its people and times do not fit what became of it."""
        fields(
            record,
            "amount_minor cancel_asked_by cancelled_by currency ended_at expires_at issued_at issued_by made_at payment"
            " redeemed_by replaces scale status voucher",
        )
        number, payment = whole(record["voucher"], 1), whole(record["payment"], 1)
        status, minor = record["status"], whole(record["amount_minor"], 1)
        owner = self._require_line(payment, None, minor, self._money(record))
        if self.rails[owner] != "voucher":
            raise Wrong("rail_differs", f"List {owner} is not paid by voucher.")
        made, expires = moment(record["made_at"]), moment(record["expires_at"])
        ended = "" if record["ended_at"] is None else moment(record["ended_at"])
        issued = "" if record["issued_at"] is None else moment(record["issued_at"])
        people = {
            name: record[name] for name in ("issued_by", "redeemed_by", "cancelled_by", "cancel_asked_by")
        }
        is_right = {
            "waiting": not issued and not ended,
            "issued": issued and not ended,
            "redeemed": issued and issued <= ended < expires and people["redeemed_by"] is not None,
            "expired": ended >= expires,
            "cancelled": ended and None not in (people["cancelled_by"], people["cancel_asked_by"]),
        }
        if (
            not is_right.get(status)
            or bool(issued) != (people["issued_by"] is not None)
            or (issued and issued < made)
        ):
            raise Wrong(
                "voucher_differs", f"Its people and times are not those of a voucher that is {status}."
            )
        if (status == "redeemed") != (people["redeemed_by"] is not None):
            raise Wrong(
                "voucher_differs", "A voucher that was redeemed names who paid it out, and no other does."
            )
        for one, other in (("issued_by", "redeemed_by"), ("cancelled_by", "cancel_asked_by")):
            if people[one] is not None and people[one] == people[other]:
                raise Wrong("same_person", f"One person did both: {one} and {other}.")
        replaces = None if record["replaces"] is None else whole(record["replaces"], 1)
        values = (
            number,
            payment,
            status,
            minor,
            self.money[owner],
            made,
            ended,
            *(people[name] for name in ("issued_by", "redeemed_by", "cancel_asked_by", "cancelled_by")),
            replaces,
        )
        self.table.execute("INSERT INTO voucher VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _ended(
        self,
        number: int,
        payment: int,
        owner: str,
        minor: int,
        ended_at: str,
        status: str,
    ) -> None:
        """Compare a voucher that nothing stands in for with the entries of its payment."""
        source, scope = f"disbursement:{owner}", self.scopes[owner]
        expected: list[tuple[str, str, str | None]] = [("rail_sent", source, None)]
        if status == "redeemed":
            expected.append(("rail_settled", f"voucher:{number}", ended_at))
        elif status in ("expired", "cancelled"):
            own = source if status == "expired" else f"voucher:{number}"
            expected.append(("rail_returned", own, ended_at))
        for kind, origin, at in expected:
            query = "SELECT source, minor, money, at FROM moved WHERE payment = ? AND kind = ?"
            found = self.rows(query, payment, kind)
            if not found:
                self.lacking("voucher_not_booked", f"The books lack {kind} of payment {payment}.", scope)
            elif found[0][:3] != (origin, minor, self.money[owner]) or at not in (None, found[0][3]):
                raise Wrong("voucher_differs", f"The books say of it {kind} otherwise: {found[0]}.")

    def _handled(self) -> None:
        """Compare who printed, paid out and cancelled vouchers with the audit events, which name users by their numbers."""
        row = self.table.execute(
            "SELECT v.id, a.action, a.actor_id FROM voucher v JOIN act a ON a.source = 'voucher:' || v.id"
            " AND a.action IN ('voucher.redeem', 'voucher.ask_to_cancel', 'voucher.cancel') WHERE a.actor_id IS NOT"
            " CASE a.action WHEN 'voucher.redeem' THEN v.redeemed_by WHEN 'voucher.cancel' THEN v.cancelled_by"
            " ELSE v.asked_by END ORDER BY v.id"
        ).fetchone()
        if row is not None:
            message = f"The audit event {row[1]} says that user {row[2]} did it."
            raise Wrong("act_differs", message, "vouchers.jsonl", f"voucher {row[0]}")
        for owner, person in self.rows(
            "SELECT DISTINCT l.list, v.issued_by FROM voucher v JOIN line l ON l.payment = v.payment"
            " WHERE v.issued_by IS NOT NULL AND NOT EXISTS (SELECT 1 FROM act a WHERE a.action = 'voucher.issue'"
            " AND a.source = 'disbursement:' || l.list AND a.actor_id = v.issued_by) ORDER BY l.list"
        ):
            message = f"No audit event says that user {person} printed vouchers of list {owner}."
            self.at("vouchers.jsonl", "", self.lacking, "act_missing", message, self.scopes[owner])

    def check_trusts(self) -> None:
        """Comparing what trusts promised, owe and paid in the place of bitcoin with the lists and the books."""
        self.records("trust-legs.jsonl", self._leg)
        for row in self.table.execute(
            "SELECT g.payment, g.trust, g.money, g.status, g.attempt, g.minor, l.list FROM leg g"
            " JOIN line l ON l.payment = g.payment ORDER BY g.payment"
        ):
            self.at("trust-legs.jsonl", f"payment {row[0]}", self._owed_by_trust, *row)
        self._require_none(
            "leg_missing",
            "The books say that a trust owes or paid payment {}, and no leg here says so.",
            "SELECT m.payment FROM moved m JOIN line l ON l.payment = m.payment WHERE m.kind GLOB 'trust_*'"
            " AND m.payment NOT IN (SELECT payment FROM leg WHERE status IN ('owed', 'instructed', 'paid'))"
            " UNION SELECT m.payment FROM moved m JOIN leg g ON g.payment = m.payment"
            " WHERE m.kind = 'trust_pay' AND g.status <> 'paid'",
        )
        self._require_none(
            "leg_differs",
            "A file of another trust, or in other money, pays payment {}.",
            "SELECT t.payment FROM transfer t JOIN leg g ON g.payment = t.payment JOIN bank_file f ON f.id = t.bank_file"
            " WHERE t.attempt IS NOT NULL AND (f.scope <> g.trust OR f.money <> g.money)",
        )
        taken = (
            "SELECT l.list, g.trust, g.money, sum(g.minor * (g.status = 'taken')) FROM leg g"
            " JOIN line l ON l.payment = g.payment WHERE g.is_taken GROUP BY 1, 2, 3"
        )
        for owner, trust, money, standing in self.rows(taken):
            query = "SELECT sum(minor) FROM promised WHERE source = ? AND trust = ? AND money = ?"
            ((booked,),) = self.rows(query, f"disbursement:{owner}", trust, money)
            if booked is None:
                self.lacking(
                    "promise_not_booked", f"The books do not say what {trust} promised list {owner}.", trust
                )
            elif booked != standing:
                message = f"The books say that {trust} still promises {booked} of list {owner}, its legs {standing}."
                self.lacking("promise_differs", message, trust)

    def _leg(self, record: Record) -> None:
        """Remember a leg; what a trust owes for its satoshis is made anew of them and of its quote."""
        fields(
            record, "amount_sat attempt currency leg payment quote scale status taken_at trust value_minor"
        )
        payment, status, money = whole(record["payment"], 1), record["status"], self._money(record)
        line = self.rows("SELECT list, sat FROM line WHERE payment = ?", payment)
        if not line or self.rails[line[0][0]] != "bitcoin":
            raise Wrong("payment_unknown", f"Payment {payment} is in no list that is paid in bitcoin.")
        if status not in ("asked", "taken", "refused", "owed", "instructed", "paid", "freed"):
            raise Wrong("bad_record", f"No leg is {status!r}.")
        is_taken = record["taken_at"] is not None
        if is_taken != (status not in ("asked", "refused")) and status != "freed":
            raise Wrong("leg_differs", f"A leg that is {status} was taken at a time, or is none of these.")
        minor = None
        if is_taken:
            quote = read_quote(record["quote"], record["currency"])
            sat, minor = whole(record["amount_sat"], 1, MAX_SAT), whole(record["value_minor"], 1)
            if (sat, quote.scale) != (line[0][1], record["scale"]) or quote.value(sat) != minor:
                raise Wrong("conversion_differs", f"{sat} sat are not {minor} minor units at {quote.text}.")
        values = (payment, record["trust"], money, status, whole(record["attempt"], 1), is_taken, minor)
        self.table.execute("INSERT INTO leg VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _owed_by_trust(
        self, payment: int, trust: str, money: str, status: str, attempt: int, minor: int, owner: str
    ) -> None:
        """Compare a leg with the transfers that pay it, with the entries that owe and pay it, and with its payout."""
        query = "SELECT outcome, attempt, minor FROM transfer WHERE payment = ? AND attempt IS NOT NULL ORDER BY attempt"
        told = self.rows(query, payment)
        last = {"instructed": "open", "paid": "settled"}.get(status)
        expected = [("rejected", n, minor) for n in range(1, attempt)] + (
            [(last, attempt, minor)] if last else []
        )
        # A leg is instructed before its file is written.
        if told != expected and (last != "open" or told != expected[:-1]):
            raise Wrong(
                "leg_differs", f"The transfers of payment {payment} are not those of a leg that is {status}."
            )
        kinds = ("trust_owe", "trust_pay") if status == "paid" else ("trust_owe",)
        for kind in kinds if status in ("owed", "instructed", "paid") else ():
            found = self.rows("SELECT minor, money FROM moved WHERE payment = ? AND kind = ?", payment, kind)
            if not found:
                self.lacking("leg_not_booked", f"The books lack {kind} of payment {payment}.", trust)
            elif found[0] != (minor, money):
                raise Wrong(
                    "leg_differs", f"The books say of payment {payment} {kind} otherwise: {found[0]}."
                )
        if status in ("owed", "instructed", "paid"):
            fate = self.rows("SELECT is_void FROM fate WHERE payment = ?", payment)
            if fate == [(1,)]:
                raise Wrong(
                    "leg_differs",
                    f"A trust owes payment {payment}, and a block holds the void of its payout.",
                )
            self.unburied += not fate

    def ways(self) -> list[str]:
        """Return what came of the payments, each marked with whose word it is."""
        found = []
        ((count, sat),) = self.rows(
            "SELECT count(*), coalesce(sum(l.sat), 0) FROM fate f JOIN line l ON l.payment = f.payment WHERE NOT f.is_void"
        )
        if count:
            found.append(f"[chain] {counted(count, 'payment')} of {sat} sat in blocks")
        for is_trust, money, *figures in self.rows(BY_BANK):
            what = "transfers of trusts" if is_trust else "transfers by bank"
            found.append(
                f"[bank's word] {what}: {_sums(('paid', 'rejected', 'not answered'), figures, money)}"
            )
        for money, *figures in self.rows(BY_VOUCHER):
            said = _sums(("redeemed", "expired or cancelled", "out"), figures, money)
            found.append(f"[desk's word] vouchers: {said}")
        return found

    def _believed(self) -> None:
        """Say what no block proves, and whose word it is."""
        ((transfers,),) = self.rows("SELECT count(*) FROM transfer WHERE outcome <> 'open'")
        if transfers:
            self.remarks.append(
                f"What became of {counted(transfers, 'transfer')} is the banks' word as the ministry took it: no block"
                " proves it. The pack has neither names nor accounts; books and audit events name files and answers by their"
                " SHA-256, and --document compares one that you have from a bank."
            )
        ((vouchers,),) = self.rows("SELECT count(*) FROM voucher WHERE status = 'redeemed'")
        if vouchers:
            self.remarks.append(
                f"Of {counted(vouchers, 'voucher')} the word of the agents who took the codes alone says that people have"
                " the money."
            )
        ((legs,),) = self.rows("SELECT count(*) FROM leg WHERE status NOT IN ('freed', 'refused')")
        if legs:
            self.remarks.append(
                f"{counted(legs, 'payment')} in bitcoin go to trusts, which owe the people currency: that the scripts are"
                " the trusts' is the pack's word, and that people have the currency is the banks'."
            )
        if self.unburied:
            self.remarks.append(
                f"{self.unburied} payments that trusts owe are not proved to be in a final block."
            )

    def compare(self, name: str, path: Path) -> None:
        """Compare a document of a bank with what the pack says of it; raise Wrong, or Unreadable for none."""
        found = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                found.update(chunk)
            file.seek(0)
            made = self.at(name, "", Document, file)
        digest = found.hexdigest()
        if row := self.rows(
            "SELECT id, message, count, total, money FROM bank_file WHERE sha256 = ?", digest
        ):
            self.at(name, "", self._compare_file, made, *row[0])
        elif row := self.rows("SELECT id, bank_file FROM report WHERE sha256 = ?", digest):
            self.at(name, "", self._compare_answer, made, *row[0])
        else:
            raise Wrong("document_unknown", "The pack names no file and no answer with this SHA-256.", name)

    def _compare_file(
        self, made: Document, file: str, message: str, count: int, total: int, money: str
    ) -> None:
        said = [made.head.get(f"GrpHdr/{key}") for key in ("MsgId", "NbOfTxs", "CtrlSum")]
        currency = money.partition("/")[0]
        if made.kind != "pain.001" or said != [message, str(count), decimal_of(total, money)]:
            raise Wrong("document_differs", f"It says {said}, and the pack otherwise.")
        transfers = self.table.execute(
            "SELECT id, minor FROM transfer WHERE bank_file = ? ORDER BY number", (file,)
        )
        for row, transfer in itertools.zip_longest(made.rows, transfers):
            known = transfer and (transfer[0], decimal_of(transfer[1], money), currency)
            told = row and (row.get("PmtId/EndToEndId"), row.get("Amt/InstdAmt"), row.get("@Ccy"))
            if known != told:
                raise Wrong("document_differs", f"It has the transfer {told}, and the pack {known}.")

    def _compare_answer(self, made: Document, report: str, file: str) -> None:
        ((message,),) = self.rows("SELECT message FROM bank_file WHERE id = ?", file)
        if made.kind != "pain.002" or made.head.get("OrgnlGrpInfAndSts/OrgnlMsgId") != message:
            raise Wrong("document_differs", f"It is no answer to the file {message}.")
        of_all = made.head.get("OrgnlPmtInfAndSts/PmtInfSts") or made.head.get("OrgnlGrpInfAndSts/GrpSts", "")
        names = ("TxInfAndSts/OrgnlEndToEndId", "TxInfAndSts/OrgnlInstrId")
        said = {
            row.get(names[0]) or row.get(names[1], ""): row.get("TxInfAndSts/TxSts", "") for row in made.rows
        }
        transfers = self.rows("SELECT id, outcome, report FROM transfer WHERE bank_file = ?", file)
        if len(said) != len(made.rows) or not said.keys() <= {transfer[0] for transfer in transfers}:
            raise Wrong("document_differs", "It names a transfer twice, or one that the file has not.")
        for number, outcome, by in transfers:
            status = said.get(number, of_all)
            told = "settled" if status in SETTLED else "rejected" if status in REJECTED else None
            if (by == report or told is not None) and told != outcome:
                raise Wrong(
                    "document_differs", f"It says {status} of {number}, which is {outcome} in the pack."
                )

    def check_reissues(self) -> None:
        """Looking for the proof of death of what was paid again."""
        self._require_none(
            "paid_again",
            "More than one payment stands in for payment {}.",
            "SELECT reissues FROM line WHERE reissues IS NOT NULL AND status <> 'cancelled' GROUP BY 1 HAVING count(*) > 1",
        )
        query = (
            "SELECT n.payment, n.list, n.reissues, o.status, o.list, f.is_void FROM line n"
            " LEFT JOIN line o ON o.payment = n.reissues LEFT JOIN fate f ON f.payment = n.reissues"
            " WHERE n.reissues IS NOT NULL AND n.status <> 'cancelled' ORDER BY 1"
        )
        unproved = 0
        for payment, owner, dead, status, list_of_dead, is_void in self.rows(query):
            if status is None:
                message = f"Payment {payment} stands in for payment {dead}, whose list is not here."
                self.lacking("death_not_proved", message, self.scopes[owner])
            elif status != "voided" or is_void == 0:
                message = f"Payment {payment} stands in for payment {dead}, which is not dead."
                raise Wrong("paid_again", message, f"lists/{owner}/manifest.txt")
            elif is_void is None and self.rails[list_of_dead] == "bitcoin":
                unproved += 1
            self.counts["reissues"] += 1
        if unproved:
            self.remarks.append(
                f"{unproved} payments stand in for others in bitcoin that are void by the pack's own word: no block here"
                " holds the void of their payouts."
            )

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
    if options.officer_key or options.witness_key or options.descriptor or options.document:
        raise Unreadable(
            "bad_usage",
            "A receipt names no officers, witnesses, wallets and documents: these options are for packs.",
        )
    with path.open("rb") as file:
        found = check_receipt(file.read(MAX_RECEIPT + 1), options.network, options.key)
    if options.node:
        ask_node(options.node, found.blocks, found.network)
    for name, note in options.seen.items():
        _compare_seen(found, name, note)
    if found.rail == "bitcoin":
        tell(f"Payment {found.payment} of {found.amount} was paid on {found.network}:")
        tell(f"  [chain] output {found.vout} of tx {found.txid}, to script {found.script}")
        tell(
            f"  in block {found.block_hash} at height {found.block_height}, with"
            f" {counted(found.depth - 1, 'block')} shown above it"
        )
    else:
        tell(f"Payment {found.payment} of {found.amount} was paid by {found.rail}, as is said:")
        word = "bank" if found.rail == "bank" else "desk"
        tell(f"  [{word}'s word] {', '.join(f'{name} {value}' for name, value in found.told.items())}")
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
    for document in options.document:
        say(f"Comparing {document} ...")
        pack.compare(str(document), document)
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
    for way in pack.ways():
        tell(f"  {way}")
    if counts["reissues"]:
        tell(f"  {counted(counts['reissues'], 'payment')} in the place of others that are dead")
    if options.document:
        tell(f"  {counted(len(options.document), 'document')} of banks compared with it")
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
        "--document", action="append", default=[], type=Path, help="a file for a bank, or a bank's answer"
    )
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
