"""A dishonest holder of the log's key: changes what a pack says, and signs it anew so that all of it fits together again."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledger import verify
from ledger.seals import note

SEED = bytes(range(32))
LEAVES = "journal/leaves.jsonl"
THIEF = bytes.fromhex("0014" + "66" * 20)
EASY = bytes.fromhex("ffff7f20")

Heading = dict[str, Any]
Lines = list[list[Any]]
Change = Callable[[Heading, Lines], None]


class Forger:
    """Works on a pack that is a folder."""

    def __init__(self, pack: Path) -> None:
        self.pack = pack
        self.key = note.Signer("govpay/regtest", SEED)

    def change(self, name: str, old: str, new: str, count: int = 1) -> None:
        """Put a text in the place of another one."""
        text = (self.pack / name).read_text(encoding="utf-8")
        assert old in text, (name, old)
        (self.pack / name).write_text(text.replace(old, new, count), encoding="utf-8")

    def drop_line(self, name: str, line: int) -> None:
        """Leave a line out."""
        lines = (self.pack / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (self.pack / name).write_text("".join(lines[:line] + lines[line + 1 :]), encoding="utf-8")

    def add(self, name: str, text: str) -> None:
        """Add a text at a file's end."""
        with (self.pack / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def records(self, name: str) -> list[Any]:
        """Read a file of records."""
        return [json.loads(line) for line in (self.pack / name).read_text(encoding="utf-8").splitlines()]

    def write(self, name: str, records: list[Any]) -> None:
        """Write a file of records."""
        lines = "".join(f"{verify.canonical(record)}\n" for record in records)
        (self.pack / name).write_text(lines, encoding="utf-8")

    def edit(self, name: str, **values: Any) -> None:
        """Change fields of a file of one record."""
        (record,) = self.records(name)
        self.write(name, [record | values])

    def edit_entry(self, kind: str, change: Change) -> None:
        """Change the first shown entry of a kind, and plant a tree in which it was always so."""
        leaves = self.records(LEAVES)
        for leaf in leaves:
            if "entry" in leaf and json.loads(leaf["entry"].split("\n")[0]).get("kind") == kind:
                heading, *lines = map(json.loads, leaf["entry"][:-1].split("\n"))
                change(heading, lines)
                leaf["entry"] = sealed(heading, lines)
                break
        else:
            raise AssertionError(f"no entry of kind {kind} is shown")
        self.plant(leaves)

    def add_leaf(self, heading: Heading, lines: Lines) -> None:
        """Add a leaf after the last one, under the last checkpoint."""
        leaves = self.records(LEAVES)
        size = self.size()
        leaves.append({"entry": sealed(heading, lines), "leaf": str(size), "salt": "00" * 32})
        (self.pack / f"checkpoints/{size}.note").rename(self.pack / f"checkpoints/{size + 1}.note")
        self.edit("pack.json", size=str(size + 1))
        self.plant(leaves)

    def size(self) -> int:
        """How many leaves the newest checkpoint covers."""
        return max(int(path.stem) for path in (self.pack / "checkpoints").glob("*.note"))

    def plant(self, leaves: list[Any]) -> None:
        """Write leaves, and sign checkpoints over them; those with another head lose their anchors and witnesses."""
        self.write(LEAVES, leaves)
        sizes = {int(path.stem) for path in (self.pack / "checkpoints").glob("*.note")}
        edge = verify.Frontier()
        for leaf in leaves:
            if "height" in leaf:
                edge.add(bytes.fromhex(leaf["hash"]), leaf["height"])
            elif "redacted" in leaf:
                edge.add(bytes.fromhex(leaf["hash"]))
            else:
                edge.add(verify.entry_of(bytes.fromhex(leaf["salt"]), leaf["entry"])[0])
            if edge.size in sizes:
                self._sign_head(edge)

    def _sign_head(self, edge: verify.Frontier) -> None:
        path = self.pack / f"checkpoints/{edge.size}.note"
        made = head_note(self.key, edge.size, edge.head())
        if path.read_text(encoding="utf-8") == made:
            return
        path.write_text(made, encoding="utf-8")
        for suffix in (".ots", ".json", ".witnesses"):
            path.with_suffix(suffix).unlink(missing_ok=True)

    def steal(self, spends: str, sat: int) -> str:
        """Return the raw tx that spends an outpoint to the thief."""
        txid, _, vout = spends.partition(":")
        spent = bytes.fromhex(txid)[::-1] + int(vout).to_bytes(4, "little")
        output = sat.to_bytes(8, "little") + bytes([len(THIEF)]) + THIEF
        return (b"\2\0\0\0\1" + spent + b"\0\xfd\xff\xff\xff\1" + output + bytes(4)).hex()

    def mine(self, raw: str, height: int) -> dict[str, Any]:
        """Show a block at this height, the last one of the pack, that holds the tx alone; return where it lies."""
        txid = verify.Tx(bytes.fromhex(raw)).txid
        headers = [record for record in self.records("headers.jsonl") if record["height"] < height]
        before = verify.Header(bytes.fromhex(headers[-1]["header"]), "regtest").hash if headers else "00" * 32
        header = mined(before, bytes.fromhex(txid)[::-1])
        self.write("headers.jsonl", [*headers, {"header": header.hex(), "height": height}])
        found = verify.Header(header, "regtest").hash
        return {"block_hash": found, "block_height": height, "branch": "", "txid": txid}

    def reseal(self) -> None:
        """Sign the manifest of what the pack is now."""
        names = sorted(
            path.relative_to(self.pack).as_posix() for path in self.pack.rglob("*") if path.is_file()
        )
        digests = {
            name: hashlib.sha256((self.pack / name).read_bytes()).hexdigest()
            for name in names
            if name not in (verify.MANIFEST, verify.MANIFEST_NOTE)
        }
        manifest = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
        (self.pack / verify.MANIFEST).write_text(manifest)
        text = f"{verify.PACK}\n{hashlib.sha256(manifest.encode()).hexdigest()}\n"
        signed = str(note.Note(text, (self.key.sign(text),)))
        (self.pack / verify.MANIFEST_NOTE).write_text(signed, encoding="utf-8")


def sealed(heading: Heading, lines: Lines) -> str:
    """Return the bytes of an entry in pieces."""
    return "".join(f"{verify.canonical(piece)}\n" for piece in (heading, *lines))


def head_note(key: note.Signer, size: int, head: bytes) -> str:
    """Return a signed checkpoint."""
    text = f"{key.name}\n{size}\n{base64.b64encode(head).decode()}\n"
    return str(note.Note(text, (key.sign(text),)))


def mined(before: str, root: bytes) -> bytes:
    """Return a header of regtest that follows a block, has this Merkle root, and the little work that is asked for."""
    for nonce in range(1_000):
        header = (
            b"\0\0\0\x20" + bytes.fromhex(before)[::-1] + root + bytes(4) + EASY + nonce.to_bytes(4, "little")
        )
        if verify.double_sha256(header)[31] < 0x7F:
            return header
    raise AssertionError("no work was found")
