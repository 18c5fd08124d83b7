"""Increments: what changed is read and nothing else, and a full run at the same facts finds the very same."""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger import books, chart
from ledger.models import (
    Entry,
    Outcome,
    Period,
    ReadBlock,
    ReadOutput,
    ReconciliationRun,
    RunStatus,
    Standing,
)
from ledger.reconciliation import service, standing
from tests.ledger import witness
from tests.ledger.witness import SCOPE, World, book, digest_of, outcomes, reconcile

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = chart.program_accounts(witness.PROGRAM)


def breaks(run: ReconciliationRun) -> list[dict[str, Any]]:
    """What the run found, in its order."""
    columns = ("kind", "payment_id", "payout_id", "txid", "vout", "expected", "found", "message")
    return list(run.breaks.order_by("pk").values(*columns))


def agree(world: World) -> ReconciliationRun:
    """An increment, then a full run; they must agree in every figure and break."""
    increment = reconcile()
    full = reconcile(is_full=True)
    assert (increment.is_full, full.is_full) == (False, True)
    assert (increment.counts, increment.totals) == (full.counts, full.totals)
    assert breaks(increment) == breaks(full)
    assert bytes(increment.digest) == bytes(full.digest)
    assert increment.break_count == full.break_count == full.breaks.count()
    return full


class TestIncrement:
    def test_reads_nothing_where_nothing_changed(self, empty_world: World) -> None:
        empty_world.deposit(1, 1_000_000)
        empty_world.pay(1, 1, [100, 200, 300])
        first = reconcile()
        empty_world.loaded.clear()
        second = reconcile()
        assert (empty_world.reads, empty_world.loaded) == ([1, 0], [])
        assert (first.is_full, second.is_full, second.previous_id) == (True, False, first.pk)
        assert bytes(first.digest) == bytes(second.digest)

    def test_reads_only_what_is_new_and_what_was_open(self, world: World) -> None:
        reconcile()
        world.mine()
        world.pay(3, 10, [700])
        world.loaded.clear()
        found = reconcile()
        assert sorted(world.loaded) == [4, 5, 10]
        assert outcomes(found) == {"claims": 6, "matched": 4, "in_flight": 2}
        assert world.reads == [1, 1]
        agree(world)

    def test_looks_again_at_what_is_booked_late(self, world: World) -> None:
        reconcile()
        world.loaded.clear()
        book("late", [books.Line(ACCOUNTS.in_transit, 1, 2), books.Line(ACCOUNTS.payable, -1)])
        assert outcomes(reconcile()) == {"claims": 5, "matched": 2, "amount": 1, "in_flight": 2}
        assert sorted(world.loaded) == [1, 2, 3, 4, 5]
        agree(world)

    def test_sees_an_entry_that_was_written_before_the_last_run_and_committed_after_it(
        self, world: World
    ) -> None:
        """Its number is lower than those that were read, which a watermark by number would skip for ever."""
        written, go_on, errors = threading.Event(), threading.Event(), []

        def write() -> None:
            try:
                with transaction.atomic():
                    book(
                        "slow", [books.Line(ACCOUNTS.in_transit, 200, 2), books.Line(ACCOUNTS.payable, -200)]
                    )
                    written.set()
                    assert go_on.wait(30)
            except BaseException as error:
                errors.append(error)
                raise
            finally:
                written.set()
                connection.close()

        slow = threading.Thread(target=write)
        slow.start()
        assert written.wait(30)
        book("quick", [books.Line(ACCOUNTS.in_transit, 50, 99), books.Line(ACCOUNTS.payable, -50)])
        assert outcomes(reconcile())["ledger_only"] == 1
        go_on.set()
        slow.join()
        assert errors == []
        assert outcomes(reconcile()) == {
            "claims": 5, "matched": 2, "in_flight": 2, "ledger_only": 1, "duplicate_booking": 1
        }  # fmt: skip
        agree(world)

    def test_looks_again_at_what_a_new_period_parts_from_its_block(self, empty_world: World) -> None:
        now = timezone.now()
        empty_world.blocks.clear()
        empty_world.mine(at=now - timedelta(days=9))
        empty_world.deposit(1, 1_000_000)
        empty_world.mine(at=now - timedelta(hours=1))
        empty_world.pay(1, 1, [100])
        empty_world.settle(1)
        assert reconcile().status == RunStatus.CLEAN
        Period.objects.create(name="before all", ends_at=now - timedelta(days=10), opened_by="tester")
        assert agree(empty_world).status == RunStatus.CLEAN
        Period.objects.create(name="between", ends_at=now - timedelta(days=5), opened_by="tester")
        Period.objects.create(name="an hour ago", ends_at=now - timedelta(minutes=30), opened_by="tester")
        found = agree(empty_world)
        assert outcomes(found) == {"claims": 1, "matched": 1, "cut_off": 2}
        (one,) = found.breaks.all()
        assert (one.kind, one.unit) == ("cut_off", f"outpoint:{digest_of('deposit', 1)}:1")
        Period.objects.create(name="after all", ends_at=now + timedelta(days=1), opened_by="tester")
        assert outcomes(agree(empty_world)) == outcomes(found)

    def test_takes_back_what_left_the_chain(self, world: World) -> None:
        reconcile()
        world.mine()
        world.mine()
        world.deposit(2, 5_000)
        world.pay(3, 10, [700])
        assert outcomes(reconcile())["matched"] == 4
        world.reorg(2)
        world.bend_claim(10, is_mined=False)
        world.bend_payout(3, is_mined=False, was_mined=True)
        found = reconcile()
        assert outcomes(found) == {
            "claims": 6, "matched": 3, "in_flight": 2, "reorged_out": 2
        }  # fmt: skip
        assert [(b.kind, b.expected) for b in found.breaks.all()] == [("reorged_out", "5000")]
        # The block before those that left was read and is not read again.
        assert world.reads[-1] == 2
        agree(world)

    def test_knows_the_coins_of_old_blocks_after_a_reorganization(self, empty_world: World) -> None:
        """The coin of the payout that is mined anew was spent in a block that left."""
        empty_world.deposit(1, 1_000_000)
        reconcile()
        empty_world.mine()
        empty_world.pay(1, 1, [100])
        reconcile()
        (paid,) = empty_world.reorg(1)
        empty_world.mine()
        empty_world.add_tx(paid)
        assert (reconcile().status, empty_world.reads[-1]) == (RunStatus.CLEAN, 2)
        agree(empty_world)

    def test_goes_back_as_far_as_the_chain_did(self, empty_world: World) -> None:
        for number in range(40):
            empty_world.deposit(number, 1_000 + number)
            empty_world.mine()
        reconcile()
        empty_world.reorg(25)
        found = agree(empty_world)
        assert outcomes(found) == {"reorged_out": 24}
        # Fewer than twice as many as left, whatever the distance.
        assert empty_world.reads[1] < 50

    def test_forgets_all_when_nothing_of_the_chain_is_left(self, world: World) -> None:
        reconcile()
        world.reorg(1)
        world.waiting.clear()
        found = reconcile()
        assert (found.is_full, found.totals["wallet_unspent_sat"]) == (False, 0)
        assert ReadBlock.objects.count() == 1
        assert ReadOutput.objects.count() == 0
        agree(world)

    def test_keeps_its_place_while_sources_are_silent(self, world: World) -> None:
        first = reconcile()
        world.failures = [witness.stale() for _ in range(service.ATTEMPTS)]
        assert reconcile().status == RunStatus.INCONCLUSIVE
        third = reconcile()
        assert (third.previous_id, third.is_full) == (first.pk, False)

    def test_reads_all_after_a_restore_into_another_cluster(self, world: World) -> None:
        reconcile()
        Standing.objects.update(cluster=1)
        assert [reconcile().is_full, reconcile().is_full] == [True, False]

    def test_that_was_doctored_is_found_out_by_a_full_run(self, world: World) -> None:
        """Where it stands is no proof: a break that somebody takes out of it is back."""
        book("ghost", [books.Line(ACCOUNTS.in_transit, 50, 99), books.Line(ACCOUNTS.payable, -50)])
        reconcile()
        Outcome.objects.filter(outcome="ledger_only").delete()
        assert reconcile().status == RunStatus.CLEAN
        assert outcomes(reconcile(is_full=True))["ledger_only"] == 1

    def test_takes_as_many_statements_however_much_is_there(self, empty_world: World) -> None:
        def count(number: int, payments: int) -> int:
            empty_world.mine()
            empty_world.deposit(number, 10_000_000)
            for part in range(3):
                serial = number * 10 + part
                empty_world.pay(serial, serial * 1_000, [1_000 + n for n in range(payments)])
            with CaptureQueriesContext(
                connection,
            ) as captured:
                reconcile()
            return len(captured)

        count(1, 1)
        assert count(2, 2) == count(3, 300)


def reverse_one(choose: random.Random, serial: int) -> None:
    """Reverse an entry that stands, if one does."""
    standing = Entry.objects.filter(reversal_of=None, reversed_by=None).order_by("pk")
    if ids := list(standing.values_list("pk", flat=True)):
        books.reverse(
            choose.choice(ids),
            idempotency_key=f"r{serial}",
            effective_at=timezone.now(),
            memo="",
            actor="tester",
        )


def book_seven(choose: random.Random, serial: int) -> None:
    """Book for a payment, which may exist."""
    payment = choose.randint(1, serial * 10)
    book(f"b{serial}", [books.Line(ACCOUNTS.in_transit, 7, payment), books.Line(ACCOUNTS.payable, -7)])


def book_nine(choose: random.Random, serial: int) -> None:
    """Book on the wallet for a payout, which may exist."""
    lines = [books.Line(ACCOUNTS.hot_wallet, 9), books.Line(ACCOUNTS.appropriation, -9)]
    book(f"w{serial}", lines, f"payout:{choose.randint(1, serial)}")


def settle_one(choose: random.Random, world: World, serial: int) -> None:
    """Settle a payout, perhaps in the books or in the records alone, and perhaps not for the first time."""
    if world.payouts:
        payout = choose.choice(world.payouts).payout_id
        world.settle(payout, is_booked=choose.random() < 0.7, occurrence=serial)
        world.bend_payout(payout, is_settled=choose.random() < 0.7)


def bend_one(choose: random.Random, world: World) -> None:
    """Change what is said of a payment, if there is one."""
    if world.claims:
        payment = choose.choice(world.claims).payment_id
        world.bend_claim(payment, amount_sat=choose.randint(300, 2_000))


class TestRandomWorld:
    """Any order of honest and dishonest steps: increments and full runs always agree."""

    @pytest.mark.parametrize("seed", range(12))
    def test_gives_the_same_as_a_full_run(self, empty_world: World, seed: int) -> None:
        choose = random.Random(seed)
        empty_world.deposit(0, 50_000_000)
        serial = 1
        steps: list[Callable[[], Any]] = [
            empty_world.mine,
            empty_world.waiting.clear,
            lambda: empty_world.deposit(serial, 1_000_000 + serial, is_booked=choose.random() < 0.7),
            lambda: empty_world.pay(serial, serial * 10, [1_000 + n for n in range(choose.randint(1, 4))]),
            lambda: empty_world.pay(serial, serial * 10, [500], is_mined=False),
            lambda: empty_world.steal(txid=digest_of("thief", serial)),
            lambda: book_seven(choose, serial),
            lambda: book_nine(choose, serial),
            lambda: settle_one(choose, empty_world, serial),
            lambda: len(empty_world.blocks) > 3 and empty_world.reorg(choose.randint(1, 2)),
            lambda: bend_one(choose, empty_world),
            lambda: reverse_one(choose, serial),
        ]
        reconcile()
        for _ in range(12):
            # A block that was read is never added to.
            empty_world.mine()
            for _ in range(choose.randint(1, 4)):
                serial += 1
                if max(empty_world.coins.values(), default=0) < 10_000:
                    empty_world.deposit(10_000 + serial, 50_000_000)
                choose.choice(steps)()
            agree(empty_world)


class TestConcurrency:
    def test_of_two_runs_ends_in_two_runs_one_after_the_other(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both begin where the first run stood; one of them is overtaken and begins again where the other ended."""
        first = reconcile()
        world.mine()
        world.pay(3, 10, [700])
        world.changed = {3}
        meet = threading.Barrier(2, timeout=30)
        compare = standing.compare
        left = [2]

        def together(*args: Any, **kwargs: Any) -> ReconciliationRun:
            if left[0]:
                left[0] -= 1
                meet.wait()
            return compare(*args, **kwargs)

        monkeypatch.setattr(standing, "compare", together)
        found, errors = [], []

        def run() -> None:
            try:
                found.append(reconcile())
            except BaseException as error:
                errors.append(error)
                raise
            finally:
                connection.close()

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        early, late = sorted(found, key=lambda one: one.pk)
        assert (early.previous_id, late.previous_id) == (first.pk, early.pk)
        assert bytes(early.digest) == bytes(late.digest)
        assert Standing.objects.get(scope=SCOPE).run_id == late.pk
        agree(world)

    def test_of_a_full_run_with_increments_reads_no_block_twice(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Increments that end while it reads, which may take an hour, take nothing away from it."""
        reconcile()
        compare = standing.compare
        between = [reconcile]

        def late(*args: Any, **kwargs: Any) -> ReconciliationRun:
            if between:
                between.pop()()
            return compare(*args, **kwargs)

        monkeypatch.setattr(standing, "compare", late)
        world.reads.clear()
        found = reconcile(is_full=True)
        assert (found.status, found.is_full, found.previous_id) == (RunStatus.CLEAN, True, found.pk - 1)
        assert world.reads == [1, 0]
        agree(world)
