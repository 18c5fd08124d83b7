"""Audit events in the tree: each once, in the order of writing, in bytes without a person's words, found when changed."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from ledger import audit, chart
from ledger.models import AuditEvent, Leaf, Seal
from ledger.seals import canonical, leaf, sealer, verification
from ledger.seals.canonical import SealedEvent
from tests.ledger.seals import scene
from tests.ledger.seals.scene import another_writer, post, tampering

EVENT = SealedEvent(
    id=2**53 + 1,
    recorded_at=datetime(2026, 11, 29, 15, 0, 0, 7, tzinfo=UTC),
    actor="bruno",
    actor_id="12",
    door="api",
    action="list.approve",
    subject_kind="disbursement",
    subject_id="41",
    scope="program:7",
    request_id="0b9f",
    reason="Looked at",
    before_sha256=bytes(range(32)),
    after_sha256=None,
)
# A version that was ever written is never changed.
GOLDEN = (
    '{"action":"list.approve","actor":"bruno","actor_id":"12","after_sha256":null,'
    '"before_sha256":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","door":"api",'
    '"id":"9007199254740993",'
    '"reason_sha256":"' + hashlib.sha256(b"Looked at").hexdigest() + '",'
    '"recorded_at":"2026-11-29T15:00:00.000007Z","request_id":"0b9f","scope":"program:7",'
    '"subject_id":"41","subject_kind":"disbursement","version":"govpay/event/1"}\n'
)
NEW_EVENT = """
INSERT INTO ledger_auditevent (actor, actor_id, door, action, subject_kind, subject_id, scope, request_id, reason)
VALUES ('slow', '', 'task', 'test.act', '', '', '', '', '') RETURNING id
"""


@pytest.fixture(autouse=True)
def _opened_books(transactional_db: None) -> None:
    """The accounts of one program; what is recorded is really committed, because only that is sealed."""
    chart.open_program(scene.PROGRAM)


def act(*reasons: str) -> list[int]:
    """Record an act a reason, in a database transaction each; return the events' ids."""
    found = []
    for reason in reasons:
        with transaction.atomic():
            found.append(audit.record("test.act", reason=reason).pk)
    return found


def leaves() -> list[tuple[int | None, int | None]]:
    return list(Leaf.objects.order_by("index").values_list("entry_id", "event_id"))


class TestEncode:
    def test_gives_the_golden_bytes(self) -> None:
        assert canonical.encode_event(EVENT) == GOLDEN.encode()

    def test_says_where_there_was_no_reason(self) -> None:
        assert json.loads(canonical.encode_event(EVENT._replace(reason="")))["reason_sha256"] is None


class TestSeal:
    def test_takes_each_event_once_and_after_the_entries(self) -> None:
        (early,) = act("a")
        (first,) = post("a")
        assert sealer.has_work()
        sealer.seal()
        late = act("b", "c")
        (second,) = post("b")
        sealer.seal()
        assert leaves() == [(first, None), (None, early), (second, None), *((None, pk) for pk in late)]
        assert not sealer.has_work()
        assert sealer.seal() == []
        assert verification.verify().findings == []
        row = Leaf.objects.get(event=early)
        assert leaf.digest(bytes(row.salt.salt), bytes(row.payload.payload)) == bytes(row.hash)
        assert json.loads(bytes(row.payload.payload))["action"] == "test.act"

    def test_waits_for_who_wrote_before_and_skips_nobody(self) -> None:
        with another_writer() as slow:
            row = slow.session.execute(NEW_EVENT).fetchone()
            assert row is not None
            (quick,) = act("quick")
            sealer.seal()
            assert leaves() == []
            slow.commit()
        sealer.seal()
        assert leaves() == [(None, row[0]), (None, quick)]
        assert verification.verify().findings == []

    def test_in_small_seals_takes_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealer, "MOST", 2)
        events = act("a", "b", "c", "d", "e")
        entries = post("a", "b", "c")
        sealer.seal()
        assert leaves() == [*((pk, None) for pk in entries), *((None, pk) for pk in events)]
        assert verification.verify().findings == []

    def test_of_another_cluster_looks_for_all_that_are_not_sealed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a restore the counts of transactions begin anew: what an old one has says nothing."""
        monkeypatch.setattr(sealer, "MOST", 2)
        before = act("a")
        sealer.seal()
        monkeypatch.setattr(sealer, "_cluster", lambda: 7)
        with tampering("ledger_auditevent"), connection.cursor() as cursor:
            lost = act("b", "c", "d")
            cursor.execute(
                "UPDATE ledger_auditevent SET insert_xid = '9000000000' WHERE id = ANY(%s)", [lost]
            )
        sealer.seal()
        late = act("e")
        sealer.seal()
        assert [event for _, event in leaves()] == [*before, *lost, *late]
        assert Seal.objects.order_by("size").last().cluster == 7  # type: ignore[union-attr]

    def test_reads_no_event_twice(self) -> None:
        act("a", "b")
        sealer.seal()
        last = sealer.newest()
        assert last is not None
        with connection.cursor() as cursor:
            cursor.execute("SELECT max(insert_xid::text::bigint) FROM ledger_auditevent")
            (xid,) = cursor.fetchone()
        assert last.event_xid > xid


class TestVerify:
    @pytest.mark.parametrize(
        ("column", "said", "value"),
        [
            ("actor", "actor", "ayesha"),
            ("action", "action", "list.approve"),
            ("reason", "reason_sha256", "Another"),
            ("after_sha256", "after_sha256", b"\1" * 32),
            ("recorded_at", "recorded_at", datetime(2026, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_names_an_event_that_was_changed(self, column: str, said: str, value: object) -> None:
        (made,) = act("Why")
        sealer.seal()
        with tampering("ledger_auditevent"), connection.cursor() as cursor:
            cursor.execute(f"UPDATE ledger_auditevent SET {column} = %s", [value])
        (finding,) = verification.verify().findings
        assert finding.code == "event_changed"
        assert finding.message == f"Event {made} is no longer what was sealed: {said}."

    def test_names_an_event_that_is_gone(self) -> None:
        (made,) = act("Why")
        sealer.seal()
        with tampering("ledger_auditevent"), connection.cursor() as cursor:
            cursor.execute("DELETE FROM ledger_auditevent")
        (finding,) = verification.verify().findings
        assert (finding.code, finding.message.split(" is ")[0]) == ("event_missing", f"Event {made}")

    def test_names_an_event_that_was_slipped_in(self) -> None:
        act("a")
        sealer.seal()
        with tampering("ledger_auditevent"), connection.cursor() as cursor:
            (made,) = act("b")
            cursor.execute("UPDATE ledger_auditevent SET insert_xid = '4' WHERE id = %s", [made])
        (finding,) = verification.verify().findings
        assert (finding.code, finding.message.split(" should ")[0]) == ("event_unsealed", f"Event {made}")


class TestAppend:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE ledger_auditevent SET actor = 'x'",
            "UPDATE ledger_auditevent SET actor = actor WHERE false",
            "DELETE FROM ledger_auditevent",
            "TRUNCATE ledger_auditevent CASCADE",
        ],
    )
    def test_is_all_that_can_be_done(self, statement: str) -> None:
        act("a")
        kept = list(AuditEvent.objects.values_list())

        def change() -> None:
            with connection.cursor() as cursor:
                cursor.execute(statement)

        with pytest.raises(IntegrityError, match="never changed"):
            transaction.atomic(change)()
        assert list(AuditEvent.objects.values_list()) == kept

    def test_is_guarded_in_replica_mode_too(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = 'auditevent_unchanged'")
            assert cursor.fetchall() == [("A",)]
