"""Packs carry events as leaves, of what they are about; the verifier checks them and names what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from ledger import audit, books, chart, verify
from ledger.models import AuditEvent
from ledger.packs import build, sink
from ledger.packs.selection import Asked
from ledger.seals import checkpoints, sealer
from ledger.seals.store import SealsBroken
from payments.models import Disbursement
from tests.ledger.seals import scene
from tests.ledger.seals.conftest import opened_books, seal_key

__all__ = ["opened_books", "seal_key"]
pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")

EVENT = {
    "action": "list.approve",
    "actor": "bruno",
    "actor_id": "12",
    "after_sha256": "ab" * 32,
    "before_sha256": None,
    "door": "api",
    "id": "7",
    "reason_sha256": None,
    "recorded_at": "2026-11-29T15:00:00.000007Z",
    "request_id": "",
    "scope": "",
    "subject_id": "41",
    "subject_kind": "disbursement",
    "version": "govpay/event/1",
}


def act(action: str, **said: Any) -> None:
    with transaction.atomic():
        audit.record(action, **said)


def make(path: Path, asked: Asked | None = None) -> verify.Pack:
    """Seal, sign, and make a pack of what there is; return it as the verifier reads it."""
    sealer.seal()
    checkpoints.issue()
    return pack_of(path, asked)


def pack_of(path: Path, asked: Asked | None = None) -> verify.Pack:
    """Make a pack of what is sealed, and return it as the verifier reads it."""
    with sink.at(path) as to:
        build.build(asked or Asked("all"), to, now=timezone.now(), progress=lambda step, done, total: None)
    return verify.Pack(verify.Folder(path), None, (), lambda text: None)


def shown(path: Path) -> list[str]:
    """Return the actions of the events that a pack shows."""
    lines = map(json.loads, (path / "journal" / "leaves.jsonl").read_text().splitlines())
    entries = [json.loads(line["entry"].splitlines()[0]) for line in lines if "entry" in line]
    return [entry["action"] for entry in entries if entry["version"] == "govpay/event/1"]


class TestPack:
    def test_shows_and_proves_every_event(self, tmp_path: Path) -> None:
        scene.post("a")
        act("test.first", reason="Ayesha Khan asked for it")
        act("test.second", scope=scene.SCOPE)
        pack = make(tmp_path / "pack")
        pack.check()
        assert (pack.counts["events"], pack.counts["entries"], pack.counts["hidden"]) == (2, 1, 0)
        assert shown(tmp_path / "pack") == ["test.first", "test.second"]
        assert "Ayesha" not in (tmp_path / "pack" / "journal" / "leaves.jsonl").read_text()

    def test_of_a_program_hides_those_of_others(self, tmp_path: Path) -> None:
        scene.post("a")
        act("test.own", scope=scene.SCOPE)
        act("test.other", scope=chart.program_scope(scene.PROGRAM + 1))
        act("test.none")
        pack = make(tmp_path / "pack", Asked("all", "", scene.SCOPE))
        pack.check()
        assert shown(tmp_path / "pack") == ["test.own", "test.none"]
        assert (pack.counts["events"], pack.counts["hidden"]) == (2, 1)

    def test_with_any_byte_of_an_event_flipped_is_refused(self, tmp_path: Path) -> None:
        scene.post("a")
        act("test.first")
        make(tmp_path / "pack").check()
        file = tmp_path / "pack" / "journal" / "leaves.jsonl"
        raw = file.read_bytes()
        start = raw.index(b"govpay/event/1") - 300
        for place in range(start, len(raw)):
            file.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            with pytest.raises(verify.Wrong):
                verify.Pack(verify.Folder(tmp_path / "pack"), None, (), lambda text: None).check()

    def test_that_says_another_approved_than_the_books_is_refused(self, tmp_path: Path) -> None:
        line = (books.Line(scene.ACCOUNTS.transfers, 5, layer="encumbered"),)
        back = (books.Line(scene.ACCOUNTS.payable, -5, layer="encumbered"),)
        books.post(
            [
                books.Draft(
                    kind="encumbrance",
                    scope=scene.SCOPE,
                    idempotency_key="encumbrance:disbursement:5",
                    lines=[*line, *back],
                    effective_at=scene.AT,
                    memo="Manifest",
                    source_ref="disbursement:5",
                    actor="ayesha",
                    approver="bruno",
                )
            ]
        )
        carmen = User.objects.create_user("carmen")
        act("list.approve", subject=Disbursement(pk=5), by=carmen)
        with pytest.raises(verify.Wrong, match="the books say bruno") as refused:
            make(tmp_path / "pack").check()
        assert refused.value.code == "act_differs"


class TestTampered:
    """Whoever changes the leaves of events meets the checkpoint that was signed before (A34)."""

    @pytest.mark.parametrize(
        "statement",
        [
            # Edited.
            "UPDATE ledger_leafpayload SET payload ="
            " convert_to(replace(convert_from(payload, 'UTF8'), 'test.b', 'test.x'), 'UTF8')",
            # Reordered, salts with them.
            "WITH swapped AS (SELECT a.index AS to, b.index AS at FROM ledger_leaf a JOIN ledger_leaf b"
            " ON b.event_id = %(first)s + %(last)s - a.event_id WHERE a.event_id IN (%(first)s, %(last)s)),"
            " salts AS (UPDATE ledger_leafsalt s SET salt = o.salt FROM swapped, ledger_leafsalt o"
            " WHERE s.leaf_id = swapped.to AND o.leaf_id = swapped.at)"
            " UPDATE ledger_leafpayload p SET payload = o.payload FROM swapped, ledger_leafpayload o"
            " WHERE p.leaf_id = swapped.to AND o.leaf_id = swapped.at",
        ],
    )
    def test_leaves_that_were_changed_are_refused(self, tmp_path: Path, statement: str) -> None:
        events = self.seal()
        with scene.tampering("ledger_leafsalt", "ledger_leafpayload"), connection.cursor() as cursor:
            cursor.execute(statement, events)
        with pytest.raises(verify.Wrong):
            pack_of(tmp_path / "pack").check()

    def test_leaves_that_were_cut_off_are_refused(self, tmp_path: Path) -> None:
        events = self.seal()
        tables = ("ledger_leafpayload", "ledger_leafsalt", "ledger_leaf")
        with scene.tampering(*tables, "ledger_auditevent"), connection.cursor() as cursor:
            cursor.execute("SELECT index FROM ledger_leaf WHERE event_id = %(last)s", events)
            (index,) = cursor.fetchone()
            for table, column in zip(tables, ("leaf_id", "leaf_id", "index"), strict=True):
                cursor.execute(f"DELETE FROM {table} WHERE {column} >= {index}")
            cursor.execute("DELETE FROM ledger_auditevent WHERE id = %(last)s", events)
        with pytest.raises(SealsBroken):
            pack_of(tmp_path / "pack")

    def seal(self) -> dict[str, int]:
        """Record three acts, seal them, and sign the head."""
        scene.post("a")
        for action in ("test.a", "test.b", "test.c"):
            act(action)
        sealer.seal()
        checkpoints.issue()
        numbers = AuditEvent.objects.order_by("pk").values_list("pk", flat=True)
        return dict(zip(("first", "middle", "last"), numbers, strict=True))


class TestEvent:
    def test_of_the_product_is_right(self) -> None:
        verify.check_event(EVENT)

    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"id": "0"}, "bad_number"),
            ({"recorded_at": "yesterday"}, "bad_time"),
            ({"after_sha256": "ab"}, "bad_hex"),
            ({"reason_sha256": "Because"}, "bad_hex"),
            ({"actor": ""}, "bad_event"),
            ({"door": "window"}, "bad_event"),
            ({"action": "approve"}, "bad_event"),
            ({"subject_id": ""}, "bad_event"),
        ],
    )
    def test_that_is_not_whole_is_named(self, wrong: dict[str, Any], code: str) -> None:
        with pytest.raises(verify.Wrong) as refused:
            verify.check_event(EVENT | wrong)
        assert refused.value.code == code
