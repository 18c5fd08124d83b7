"""Reconciliation runs in the tree: each once, after the entries, in bytes that say what it found."""

import json

import pytest
from django.db import connection, transaction
from django.utils import timezone

from ledger.models import Break, Leaf, ReconciliationRun, RunStatus
from ledger.reconciliation import run as runs
from ledger.seals import canonical, leaf, sealer, verification
from tests.ledger.seals.scene import another_writer, post, tampering
from tests.ledger.witness import World, reconcile

pytestmark = pytest.mark.usefixtures("opened_books")


def make_run() -> ReconciliationRun:
    now = timezone.now()
    return ReconciliationRun.objects.create(
        scope="program:7", status=RunStatus.CLEAN, digest=bytes(32), started_at=now, finished_at=now
    )


def leaves() -> list[tuple[int | None, int | None]]:
    return list(Leaf.objects.order_by("index").values_list("entry_id", "run_id"))


class TestSeal:
    def test_takes_each_run_once_and_after_the_entries(self) -> None:
        early = make_run()
        (first,) = post("a")
        sealer.seal()
        late = make_run()
        assert sealer.has_work()
        sealer.seal()
        (second,) = post("b")
        sealer.seal()
        assert leaves() == [(first, None), (None, early.pk), (None, late.pk), (second, None)]
        assert not sealer.has_work()
        assert verification.verify().findings == []

    def test_begins_with_a_run_where_there_is_no_entry(self) -> None:
        made = make_run()
        (seal,) = sealer.seal()
        assert (seal.size, leaves()) == (1, [(None, made.pk)])
        (entry,) = post("a")
        sealer.seal()
        assert leaves() == [(None, made.pk), (entry, None)]
        assert verification.verify().findings == []

    def test_waits_for_who_wrote_before_and_skips_nobody(self) -> None:
        """A run that is not committed yet is taken later, and so is an older entry."""
        with another_writer() as slow:
            old = slow.post("slow")
            made = make_run()
            sealer.seal()
            assert leaves() == []
            slow.commit()
        sealer.seal()
        assert leaves() == [(old, None), (None, made.pk)]

    def test_in_small_seals_takes_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealer, "MOST", 2)
        made = [make_run().pk for _ in range(5)]
        entries = post("a", "b", "c")
        sealer.seal()
        assert leaves() == [*((pk, None) for pk in entries), *((None, pk) for pk in made)]
        assert verification.verify().findings == []

    def test_takes_what_was_restored_from_another_cluster(self) -> None:
        make_run()
        with tampering("ledger_reconciliationrun"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_reconciliationrun SET insert_xid = '9223372036854775807'")
        sealer.seal()
        assert len(leaves()) == 1

    def test_keeps_bytes_that_say_what_was_found(self, world: World) -> None:
        world.deposit(9, 70, is_booked=False)
        found = reconcile()
        sealer.seal()
        kept = Leaf.objects.select_related("payload", "salt").get(run=found)
        payload = bytes(kept.payload.payload)
        assert leaf.digest(bytes(kept.salt.salt), payload) == bytes(kept.hash)
        said = json.loads(payload)
        assert said["version"] == canonical.RUN
        assert (said["id"], said["status"], said["digest"]) == (
            str(found.pk),
            "breaks",
            bytes(found.digest).hex(),
        )
        assert (said["counts"]["unknown_in"], said["totals"]["wallet_explained_sat"]) == ("1", "70")
        assert said["books_mark"] == found.books_mark

    def test_keeps_its_form(self) -> None:
        """What was sealed must stay readable: the same run gives these bytes for ever."""
        at = timezone.datetime(2026, 11, 29, 6, 30, 0, 5, tzinfo=timezone.get_default_timezone())
        run = canonical.SealedRun(
            5, "program:7", "breaks", "", False, 4, "ab" * 32, 100, "7:9:8", {"fee": 1}, {"entries": 2**60},
            1, 0, bytes(32), at, at,
        )  # fmt: skip
        assert canonical.encode_run(run) == (
            b'{"block_hash":"' + b"ab" * 32 + b'","block_height":100,"books_mark":"7:9:8","break_count":1,'
            b'"counts":{"fee":"1"},"digest":"' + b"00" * 32 + b'","explained_count":0,'
            b'"finished_at":"2026-11-29T06:30:00.000005Z","id":"5","is_full":false,"previous":"4","reason":"",'
            b'"scope":"program:7","started_at":"2026-11-29T06:30:00.000005Z","status":"breaks",'
            b'"totals":{"entries":"1152921504606846976"},"version":"govpay/run/1"}\n'
        )


class TestVerify:
    @pytest.mark.parametrize(
        ("column", "value"),
        [("status", "clean"), ("break_count", 0), ("counts", "{}"), ("books_mark", "1:1:")],
    )
    def test_names_a_run_that_was_changed(self, world: World, column: str, value: object) -> None:
        world.deposit(9, 70, is_booked=False)
        found = reconcile()
        sealer.seal()
        with tampering("ledger_reconciliationrun"), connection.cursor() as cursor:
            cursor.execute(f"UPDATE ledger_reconciliationrun SET {column} = %s", [value])
        (finding,) = verification.verify().findings
        assert (finding.code, finding.entry_id) == ("run_changed", None)
        assert finding.message == f"Run {found.pk} is no longer what was sealed: {column}."

    def test_names_a_run_that_is_gone(self) -> None:
        made = make_run()
        sealer.seal()
        with tampering("ledger_reconciliationrun"), connection.cursor() as cursor:
            cursor.execute("DELETE FROM ledger_reconciliationrun")
        (finding,) = verification.verify().findings
        assert (finding.code, finding.message.split(" is ")[0]) == ("run_missing", f"Run {made.pk}")

    def test_names_a_run_that_should_be_sealed(self) -> None:
        make_run()
        post("a")
        sealer.seal()
        made = make_run()
        with tampering("ledger_reconciliationrun"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_reconciliationrun SET insert_xid = '4' WHERE id = %s", [made.pk])
        (finding,) = verification.verify().findings
        assert (finding.code, finding.message.split(" should ")[0]) == ("run_unsealed", f"Run {made.pk}")


class TestIntact:
    def test_is_every_run_until_a_break_of_it_is_changed(self, world: World) -> None:
        clean = reconcile()
        world.mine()
        world.deposit(9, 70, is_booked=False)
        found = reconcile()
        assert [runs.is_intact(one) for one in (clean, found)] == [True, True]
        with transaction.atomic(), tampering("ledger_break"):
            Break.objects.filter(run=found).update(found="71")
        assert not runs.is_intact(found)
        with transaction.atomic(), tampering("ledger_break"):
            Break.objects.filter(run=found).delete()
        assert not runs.is_intact(found)
