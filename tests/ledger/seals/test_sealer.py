"""The sealer beside writers who are slow, give up, or write while it works: on PostgreSQL, each in a session of its own."""

import threading

import pytest
from django.db import connection, transaction

from ledger.models import Entry, Leaf, Seal, Subtree
from ledger.seals import canonical, leaf, sealer, store, tree
from tests.ledger.seals.growing import naive_head
from tests.ledger.seals.scene import another_writer, post, sealed, tampering

pytestmark = pytest.mark.usefixtures("opened_books")


def root() -> bytes:
    return naive_head([bytes(row) for row in Leaf.objects.order_by("index").values_list("hash", flat=True)])


class TestSeal:
    def test_takes_entries_in_the_order_of_writing(self) -> None:
        ids = [*post("a"), *post("b", "c")]
        (made,) = sealer.seal()
        assert (made.start, made.size, sealed()) == (0, 3, ids)
        assert bytes(made.root) == root()
        assert sealer.seal() == []
        more = post("d")
        (made,) = sealer.seal()
        assert (made.start, made.size, sealed()) == (3, 4, [*ids, *more])
        assert bytes(made.root) == root()

    def test_keeps_the_bytes_and_the_salt_that_it_hashed(self) -> None:
        post("a", lines=6)
        sealer.seal()
        found = Leaf.objects.select_related("payload", "salt").get()
        payload, salt = bytes(found.payload.payload), bytes(found.salt.salt)
        assert leaf.digest(salt, payload) == bytes(found.hash)
        assert canonical.version_of(payload) == canonical.NEWEST
        assert payload.count(b'["Expenses:Transfers:P7",["","","272","",""],"BTC",8,"settled","1') == 3
        assert b'"memo":"About a"' in payload

    def test_in_many_small_seals_gives_the_same_tree(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealer, "MOST", 7)
        monkeypatch.setattr(sealer, "AT_ONCE", 3)
        ids = post(*(f"k{number}" for number in range(600)))
        made = sealer.seal()
        assert [(seal.start, seal.size) for seal in made] == [
            (start, min(start + 7, 600)) for start in range(0, 600, 7)
        ]
        assert sealed() == sorted(ids)
        assert bytes(made[-1].root) == root()
        assert list(Subtree.objects.order_by("index").values_list("level", "index")) == [(1, 0), (1, 1)]
        proof = tree.prove_consistency(store.read, 301, 600)
        heads = {seal.size: bytes(seal.root) for seal in Seal.objects.all()}
        assert tree.is_consistent(301, 600, heads[301], heads[600], proof)

    def test_takes_fewer_entries_that_have_many_lines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealer, "MOST_LINES", 25)
        monkeypatch.setattr(sealer, "AT_ONCE", 2)
        ids = post(*(f"k{number}" for number in range(5)), lines=10)
        whole = post("whole", lines=40)
        assert [(seal.start, seal.size) for seal in sealer.seal()] == [(0, 2), (2, 4), (4, 5), (5, 6)]
        assert sealed() == ids + whole
        assert not sealer.has_work()

    def test_goes_on_where_it_was_told_to_stop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealer, "MOST", 2)
        ids = post(*(f"k{number}" for number in range(5)))
        assert [seal.size for seal in sealer.seal(at_most=2)] == [2, 4]
        assert sealer.has_work()
        assert [seal.size for seal in sealer.seal(at_most=2)] == [5]
        assert sealed() == ids
        assert not sealer.has_work()

    def test_plans_the_rest_of_its_statements_as_ever(self) -> None:
        post("a")
        settings: list[str] = []

        def look(point: str) -> None:
            with store.database().cursor() as cursor:
                cursor.execute("SELECT current_setting('enable_sort') || current_setting('enable_hashjoin')")
                settings.append(cursor.fetchone()[0])

        sealer.seal_next(failpoint=look)
        assert settings == ["onon"]

    def test_leaves_nothing_when_it_fails(self) -> None:
        post("a")

        def fail(point: str) -> None:
            raise RuntimeError(point)

        with pytest.raises(RuntimeError, match="K18"):
            sealer.seal(failpoint=fail)
        assert (Leaf.objects.count(), Seal.objects.count()) == (0, 0)


class TestSlowWriter:
    def test_is_waited_for_and_never_skipped(self) -> None:
        with another_writer() as slow:
            slow_id = slow.post("slow")
            (fast_id,) = post("fast")
            assert slow_id < fast_id
            assert sealer.seal() == []
            assert sealer.has_work()
            slow.commit()
        sealer.seal()
        assert sealed() == [slow_id, fast_id]
        assert not sealer.has_work()

    def test_holds_up_only_what_was_written_after_it_began(self) -> None:
        (early,) = post("early")
        with another_writer() as slow:
            slow_id = slow.post("slow")
            (late,) = post("late")
            sealer.seal()
            assert sealed() == [early]
            slow.commit()
        sealer.seal()
        assert sealed() == [early, slow_id, late]

    def test_who_gives_up_leaves_no_gap(self) -> None:
        with another_writer() as slow:
            slow.post("slow")
            (late,) = post("late")
            slow.rollback()
        sealer.seal()
        assert sealed() == [late]

    def test_whose_id_is_higher_but_who_began_before_comes_first(self) -> None:
        with another_writer() as slow:
            first = slow.post("first")
            (between,) = post("between")
            last = slow.post("last")
            slow.commit()
        sealer.seal()
        assert sealed() == [first, last, between]
        assert first < between < last

    def test_is_not_blocked_by_the_sealer(self) -> None:
        post("before")
        with transaction.atomic():
            sealer.seal_next()
            with another_writer() as other:
                other.session.execute("SET lock_timeout = '2s'")
                other.post("meanwhile")
                other.commit()
        assert Entry.objects.filter(idempotency_key="meanwhile").exists()


class TestSealers:
    def test_at_the_same_time_are_one(self) -> None:
        post("a")
        with another_writer() as other:
            other.session.execute("SELECT pg_advisory_xact_lock(%s)", [sealer.SEALER_LOCK])
            assert sealer.seal() == []
            other.rollback()
        assert len(sealer.seal()) == 1

    def test_beside_many_writers_seal_everything_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Four writers with long and short transactions, some given up; two sealers in small steps all the while."""
        monkeypatch.setattr(sealer, "MOST", 11)
        kept: set[int] = set()
        failures: list[BaseException] = []
        done = threading.Event()
        heads: dict[int, bytes] = {}

        def write(number: int) -> None:
            try:
                with another_writer() as writer:
                    for turn in range(25):
                        ids = [writer.post(f"w{number}-{turn}-{step}") for step in range(1 + turn % 4)]
                        if turn % 5 == number:
                            writer.rollback()
                        else:
                            writer.commit()
                            kept.update(ids)
            except BaseException as error:  # noqa: BLE001 - It is raised again by the test's own thread.
                failures.append(error)

        def keep_sealing() -> None:
            try:
                while not done.is_set():
                    for made in sealer.seal():
                        heads[made.size] = bytes(made.root)
            except BaseException as error:  # noqa: BLE001 - It is raised again by the test's own thread.
                failures.append(error)
            finally:
                connection.close()

        writers = [threading.Thread(target=write, args=[number]) for number in range(4)]
        sealers = [threading.Thread(target=keep_sealing) for _ in range(2)]
        for thread in [*writers, *sealers]:
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        for thread in sealers:
            thread.join()
        assert failures == []
        for made in sealer.seal():
            heads[made.size] = bytes(made.root)
        assert len(sealed()) == len(kept)
        assert set(sealed()) == kept
        written = list(Entry.objects.order_by("insert_xid", "id").values_list("pk", flat=True))
        assert sealed() == written
        hashes = store.read(0, 0, len(kept))
        assert heads == {size: naive_head(hashes[:size]) for size in heads}
        assert max(heads) == len(kept)


class TestRestored:
    """The books in another cluster, whose xids begin anew: the horizon of the old one says nothing there."""

    def test_seals_what_the_old_horizon_would_hide(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealer, "MOST", 2)
        old = post("a", "b", "c")
        sealer.seal()
        far = 2**62
        with tampering("ledger_seal", "ledger_entry"), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE ledger_seal SET cluster = cluster - 1, horizon_xid = %s::text::xid8", [far]
            )
        late = post("d", "e", "f", "g", "h")
        with tampering("ledger_entry"), connection.cursor() as cursor:
            # Two of the unsealed ones were written in the old cluster.
            cursor.execute(
                "UPDATE ledger_entry SET insert_xid = %s::text::xid8 WHERE id = ANY(%s)", [far + 1, late[:2]]
            )
        assert sealer.has_work() is True
        sealer.seal()
        assert sealed()[:3] == old
        assert sorted(sealed()) == [*old, *late]
        newest = sealer.newest()
        assert newest is not None
        assert newest.horizon_xid < far
        after = post("i")
        sealer.seal()
        assert sealed()[-1:] == after
        assert len(sealed()) == 9
