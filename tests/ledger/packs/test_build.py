"""A pack is built with so many statements however much is in it, and its tree is that of the seals, whatever is hidden."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger import books, chart, verify
from ledger.exports import Selection
from ledger.models import Checkpoint, ReconciliationRun, RunStatus, Seal
from ledger.packs import build, chosen, journal, sink
from ledger.packs.beside import Beside
from ledger.packs.selection import Asked
from ledger.seals import checkpoints, leaf, note, sealer, store, tree
from tests.ledger.seals import scene

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")

OTHER = scene.PROGRAM + 1
WITNESS = note.Signer("witness.example", bytes(32), note.WITNESS)


def post_in_turns(count: int, number: int) -> None:
    """Post entries of two programs in turns, with a run of each, and sign a checkpoint that a witness saw."""
    for n in range(count):
        scene.post(f"{number}-{n}")
        accounts = chart.program_accounts(OTHER)
        books.post(
            [
                books.Draft(
                    kind="test",
                    scope=chart.program_scope(OTHER),
                    idempotency_key=f"{number}-{n}-other",
                    lines=[books.Line(accounts.transfers, 7), books.Line(accounts.payable, -7)],
                    effective_at=scene.AT,
                    actor="test",
                )
            ]
        )
    for scope in (scene.SCOPE, chart.program_scope(OTHER)):
        times = dict.fromkeys(("started_at", "finished_at"), timezone.now())
        ReconciliationRun.objects.create(scope=scope, status=RunStatus.CLEAN, digest=bytes(32), **times)
    sealer.seal()
    checkpoint = checkpoints.issue()
    assert checkpoint is not None
    head = note.Note.parse(checkpoint.note).text
    checkpoints.cosign(checkpoint, line=WITNESS.sign(head, at_s=1).line(), verifier=str(WITNESS.verifier))


def statements(asked: Asked, path: Path) -> int:
    """Build a pack; return how many statements that took."""
    with CaptureQueriesContext(connection) as captured, sink.at(path) as to:
        build.build(asked, to, now=timezone.now(), progress=lambda step, done, total: None)
    return len(captured)


class TestStatements:
    @pytest.mark.parametrize("scope", ["", scene.SCOPE])
    def test_are_as_many_for_a_pack_of_any_length(self, tmp_path: Path, scope: str) -> None:
        chart.open_program(OTHER)
        asked = Asked("all", "", scope)
        post_in_turns(2, 0)
        few = statements(asked, tmp_path / "few")
        for number in range(1, 6):
            post_in_turns(5, number)
        assert statements(asked, tmp_path / "many") == few
        for name in ("few", "many"):
            pack = verify.Pack(verify.Folder(tmp_path / name), None, (), lambda text: None)
            with pytest.raises(verify.Wrong, match="digest_differs"):
                # The runs are made up; all before them is right.
                pack.check()
            hidden = pack.counts["hidden"]
        assert (pack.size, pack.counts["entries"], len(pack.heads)) == (66, 27 if scope else 54, 6)
        assert hidden == (33 if scope else 0)


class TestLeaves:
    @pytest.mark.parametrize("seed", range(3))
    def test_lead_to_every_head_whatever_is_shown(self, seed: int) -> None:
        chance = random.Random(seed)
        # Three levels of whole subtrees, and some leaves more.
        size = 2 * 65_536 + 3 * 256 + 77
        shown = sorted({0, 255, 256, 65_535, 65_536, size - 1, *(chance.randrange(size) for _ in range(20))})
        sizes = sorted({1, 256, 65_536, 65_537, size, *(chance.randrange(1, size) for _ in range(20))})
        payload = {index: f"leaf {index}".encode() for index in shown}
        salt = bytes(32)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO ledger_leaf (index, entry_id, hash)"
                " SELECT i, i + 1, sha256(i::text::bytea) FROM generate_series(0, %s) i WHERE NOT i = ANY(%s)",
                [size - 1, shown],
            )
            for index, data in payload.items():
                digest = leaf.digest(salt, data)
                cursor.execute(
                    "INSERT INTO ledger_leaf (index, entry_id, hash) VALUES (%s, %s, %s)",
                    [index, index + 1, digest],
                )
                cursor.execute("INSERT INTO ledger_leafsalt (leaf_id, salt) VALUES (%s, %s)", [index, salt])
                cursor.execute(
                    "INSERT INTO ledger_leafpayload (leaf_id, payload) VALUES (%s, %s)", [index, data]
                )
        store.grow(0, size)
        for start, end in zip([0, *sizes], sizes, strict=False):
            seal = Seal.objects.create(
                start=start, size=end, root=tree.head(store.read, end), cluster=0, horizon_xid=0, horizon_id=0
            )
            Checkpoint.objects.create(seal=seal, note="", verifier="")
        edge = verify.Frontier()
        with transaction.atomic():
            chosen.choose(Selection(scope="nobody's", sealed_size=size))
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO pack_leaf SELECT unnest(%s::bigint[])", [shown])
            for line in journal.leaves(size):
                record = json.loads(line)
                if "height" in record:
                    assert int(record["from"]) == edge.size
                    assert edge.add(bytes.fromhex(record["hash"]), record["height"])
                else:
                    assert int(record["leaf"]) == edge.size
                    edge.add(verify.leaf_hash(bytes.fromhex(record["salt"]) + record["entry"].encode()))
                if edge.size in sizes:
                    assert edge.head() == bytes(Seal.objects.get(size=edge.size).root)
                    sizes.remove(edge.size)
        assert (edge.size, sizes) == (size, [])

    def test_are_refused_where_a_hash_is_gone(self) -> None:
        scene.post(*map(str, range(9)))
        sealer.seal()
        checkpoints.issue()
        with scene.tampering("ledger_leaf"), connection.cursor() as cursor:
            cursor.execute("DELETE FROM ledger_leaf WHERE index = 5")
        with transaction.atomic():
            chosen.choose(Selection(scope="nobody's", sealed_size=9))
            with pytest.raises(store.SealsBroken, match="lacks hash 5 of level 0"):
                list(journal.leaves(9))


class TestBeside:
    def test_hands_out_what_belongs_to_each_number(self) -> None:
        rows: Iterator[tuple[int, str]] = iter([(2, "a"), (2, "b"), (5, "c"), (7, "d"), (9, "e")])
        beside = Beside(rows, lambda row: row[0])
        found = {number: [text for _, text in beside.of(number)] for number in (1, 2, 3, 7, 8, 9, 10)}
        assert found == {1: [], 2: ["a", "b"], 3: [], 7: ["d"], 8: [], 9: ["e"], 10: []}
