"""The signer's memory: every tx that it signed, appended before it signs, in a file of its own with a hash chain."""

import hashlib
import json
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from payments.signer.refusal import StoreFailed

FILE = "store.sqlite"
BUSY_S = 20
_SCHEMA = """
CREATE TABLE record (
    seq INTEGER PRIMARY KEY, previous TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, content TEXT NOT NULL
) STRICT;
CREATE TABLE payment (payment_id INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (payment_id, seq)) STRICT;
CREATE TABLE input (outpoint TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (outpoint, seq)) STRICT;
CREATE TABLE payout (payout_id INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (payout_id, seq)) STRICT;
"""
_TABLES = ("record", "payment", "input", "payout")
# What the look-up tables must hold, from the records themselves.
_SAID = {
    "payment": "SELECT value ->> 0, seq FROM record, json_each(content, '$.payments') WHERE seq > 0",
    "input": "SELECT value ->> 0, seq FROM record, json_each(content, '$.inputs') WHERE seq > 0",
    "payout": "SELECT content ->> 'payout_id', seq FROM record WHERE seq > 0",
}


@dataclass(frozen=True, slots=True)
class Signed:
    """A tx that was signed, or was about to be: what it spends (satoshis by outpoint) and whom it pays.

    ``payments`` has payment id, script_pubkey in hex and satoshis, in the order of the outputs. ``spent_sat`` is what
    it counts against the daily cap. ``accepted`` names the refusals that a person overruled. ``listed_in`` is the list that
    is paid, as ``program/number``, and ``price`` that of its quote, such as ``28100000.00000000 PKR``; nothing where nobody
    is paid, and where satoshis were approved.
    """

    txid: str
    payout_id: int
    kind: str
    inputs: dict[str, int]
    payments: tuple[tuple[int, str, int], ...]
    fee_sat: int
    spent_sat: int
    manifest_sha256: str
    signed_at: str
    accepted: tuple[str, ...] = ()
    listed_in: str = ""
    price: str = ""


@dataclass(frozen=True, slots=True)
class ListPast:
    """What was signed for one list: the manifests and prices that it had, and the highest fee of each of its payouts."""

    manifests: frozenset[str] = frozenset()
    fees: dict[int, int] = field(default_factory=dict)
    prices: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record: how many txs there are, and the hash that all before it hang on."""

    count: int
    hash: str


class Store:
    """An open memory. Rows are only ever added: triggers refuse the rest, and each row's hash covers the one before."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the memory alone; what was appended is on the disk when it ends. Raises StoreFailed when it is busy."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise StoreFailed("store_busy", "Another signer is using this store; try again.") from error
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def append(self, signed: Signed) -> None:
        """Remember a tx; call it in ``exclusive``, before the tx is signed."""
        head = self.head()
        content = _text({**asdict(signed), "inputs": sorted(signed.inputs.items())})
        seq = head.count + 1
        execute = self._connection.execute
        execute(
            "INSERT INTO record VALUES (?, ?, ?, ?)",
            (seq, head.hash, _hash(seq, head.hash, content), content),
        )
        for payment_id, _, _ in signed.payments:
            execute("INSERT INTO payment VALUES (?, ?)", (payment_id, seq))
        for outpoint in signed.inputs:
            execute("INSERT INTO input VALUES (?, ?)", (outpoint, seq))
        execute("INSERT INTO payout VALUES (?, ?)", (signed.payout_id, seq))

    def related(
        self, *, payout_ids: Iterable[int], payment_ids: Iterable[int], outpoints: Iterable[str]
    ) -> list[Signed]:
        """Return every tx of these payouts, payments and inputs, and every tx of the payouts that those belong to."""
        wanted: dict[str, set[Any]] = {
            "payout": set(payout_ids),
            "payment": set(payment_ids),
            "input": set(outpoints),
        }
        found: dict[int, Signed] = {}
        # The second round fetches the rest of the payouts that the first one met.
        for _ in range(2):
            found = {seq: self._at(seq) for seq in self._sequence(wanted)}
            wanted["payout"] |= {signed.payout_id for signed in found.values()}
        return [found[seq] for seq in sorted(found)]

    def of_list(self, name: str) -> ListPast:
        """Return what was signed for a list."""
        rows = self._connection.execute(
            "SELECT content ->> 'manifest_sha256', content ->> 'payout_id', max(content ->> 'fee_sat'),"
            " coalesce(content ->> 'price', '') FROM record"
            " WHERE seq > 0 AND content ->> 'listed_in' = ? GROUP BY 1, 2, 4",
            (name,),
        ).fetchall()
        return ListPast(
            manifests=frozenset(sha256 for sha256, _, _, _ in rows),
            fees={payout_id: fee_sat for _, payout_id, fee_sat, _ in rows},
            prices=frozenset(price for _, _, _, price in rows),
        )

    def all(self) -> Iterator[Signed]:
        """Yield every tx, oldest first."""
        for (content,) in self._connection.execute("SELECT content FROM record WHERE seq > 0 ORDER BY seq"):
            yield _signed(content)

    def newest_at(self) -> datetime | None:
        """Return when the newest tx was signed, by the clock of then."""
        row = self._connection.execute("SELECT content FROM record WHERE seq > 0 ORDER BY seq DESC LIMIT 1")
        content = row.fetchone()
        return None if content is None else datetime.fromisoformat(_signed(content[0]).signed_at)

    def spent_sat(self, day: str) -> int:
        """Return what the txs of a UTC day (like 2026-11-25) count against the daily cap."""
        row = self._connection.execute(
            "SELECT coalesce(sum(content ->> 'spent_sat'), 0) FROM record"
            " WHERE seq > 0 AND substr(content ->> 'signed_at', 1, 10) = ?",
            (day,),
        ).fetchone()
        return int(row[0])

    def head(self) -> Head:
        """Return the newest record's number and hash."""
        seq, digest = self._connection.execute(
            "SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        return Head(int(seq), str(digest))

    def verify_chain(self) -> Head:
        """Compute the hash chain again, record by record; raise StoreFailed where it breaks."""
        previous, expected = "", -1
        for seq, before, digest, content in self._connection.execute("SELECT * FROM record ORDER BY seq"):
            expected += 1
            if (seq, before, digest) != (expected, previous, _hash(seq, before, content)):
                raise StoreFailed(
                    "store_altered", f"Record {expected} of the store was altered, or one is missing."
                )
            previous = digest
        return self.head()

    def verify(self) -> Head:
        """Compute the chain again, and that the look-up tables hold exactly what it says; raise StoreFailed."""
        head = self.verify_chain()
        for table, said in _SAID.items():
            for one, other in ((said, f"SELECT * FROM {table}"), (f"SELECT * FROM {table}", said)):  # noqa: S608
                if self._connection.execute(f"{one} EXCEPT {other} LIMIT 1").fetchone():
                    raise StoreFailed("store_altered", f"The store's look-up table {table} was altered.")
        return head

    def has(self, digest: str) -> bool:
        """Tell whether a head that was noted before is still part of the chain."""
        return bool(self._connection.execute("SELECT 1 FROM record WHERE hash = ?", (digest,)).fetchone())

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _sequence(self, wanted: dict[str, set[Any]]) -> set[int]:
        found: set[int] = set()
        for table, column in (("payout", "payout_id"), ("payment", "payment_id"), ("input", "outpoint")):
            rows = self._connection.execute(
                f"SELECT DISTINCT seq FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608
                (json.dumps(list(wanted[table])),),
            )
            found |= {seq for (seq,) in rows}
        return found

    def _at(self, seq: int) -> Signed:
        row = self._connection.execute("SELECT content FROM record WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise StoreFailed("store_altered", f"Record {seq} of the store is missing.")
        return _signed(row[0])


def create(home: Path, *, network: str, wallet: str, descriptor: str, now: datetime) -> None:
    """Make an empty memory for a wallet; raise StoreFailed when there is one, because forgetting is dangerous."""
    path = home / FILE
    if path.exists():
        raise StoreFailed("store_exists", f"There is a store at {path} already; it is never replaced.")
    connection = _connect(path, mode="rwc")
    path.chmod(0o600)
    about = _text({"network": network, "wallet": wallet, "descriptor": descriptor, "created_at": stamp(now)})
    connection.executescript("BEGIN;" + _SCHEMA + "".join(_triggers()))
    connection.execute("INSERT INTO record VALUES (0, '', ?, ?)", (_hash(0, "", about), about))
    connection.execute("COMMIT")
    connection.close()


def open_(home: Path, *, network: str, wallet: str, descriptor: str) -> Store:
    """Open the memory of exactly this wallet; raise StoreFailed when it is missing, another's, or not a store."""
    path = home / FILE
    if not path.exists():
        raise StoreFailed(
            "store_missing", f"There is no store at {path}. Without its memory this signer does not sign."
        )
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreFailed("store_permissions", f"{path} can be written by others; make it yours alone.")
    try:
        connection = _connect(path, mode="rw")
        (about,) = connection.execute("SELECT content FROM record WHERE seq = 0").fetchone()
        found = json.loads(about)
        owner = (found["network"], found["wallet"], found["descriptor"])
    except (sqlite3.DatabaseError, KeyError, TypeError, ValueError) as error:
        raise StoreFailed("store_unreadable", f"{path} is not a signer's store.") from error
    if owner != (network, wallet, descriptor):
        raise StoreFailed("store_of_another", f"The store at {path} belongs to another wallet.")
    return Store(connection)


def stamp(moment: datetime) -> str:
    """Return a moment in UTC to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    # As an address, a path may hold any character; mode "rw" makes no file where there is none.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None
    )
    # A commit returns when the disk has it, even if the power fails then.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _triggers() -> Iterator[str]:
    for table in _TABLES:
        for verb in ("UPDATE", "DELETE"):
            yield (
                f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table}"
                " BEGIN SELECT raise(ABORT, 'the store is only ever added to'); END;\n"
            )


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _hash(seq: int, previous: str, content: str) -> str:
    return hashlib.sha256(f"govpay-signer-store-1\n{seq}\n{previous}\n{content}".encode()).hexdigest()


def _signed(content: str) -> Signed:
    fields = json.loads(content)
    fields["inputs"] = dict(fields["inputs"])
    fields["payments"] = tuple(tuple(payment) for payment in fields["payments"])
    fields["accepted"] = tuple(fields["accepted"])
    return Signed(**fields)
