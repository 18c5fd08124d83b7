"""S1: a worker killed, stopped, cut off or delivered fifty times at each kill point; a second one finishes its work."""

import io
import threading
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection, connections

from ledger.models import AuditEvent, Checkpoint, Entry, Leaf, Seal
from ledger.seals import sealer, verification
from payments.models import Block, Disbursement, Intake, Payment, Payout, PayoutTx, Reservation, StatusChange
from payments.payout import bump, dispatch
from payments.services import disbursements, lists
from payments.states import DisbursementStatus, PayoutStatus
from tests import factories, services
from tests.faults.killing import Child, database_url, kill_at
from tests.faults.wire import Mode, Proxy
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

SEALING = ["K5", "K6", "K7"]
ADVANCING = ["K8", "K9", "K10", "K11", "K12"]
AMOUNTS = [40_000, 50_000]


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 900_000])


def expire_leases() -> None:
    """The leases of the dead run out, by the database's clock."""
    Payout.objects.update(lease_until=None, due_at=None)


def finish(ministry: Ministry, made: Disbursement) -> None:
    """A second worker does what is left; then everybody is paid exactly once."""
    expire_leases()
    ministry.pay(made)
    ministry.mine(6)
    made.refresh_from_db()
    assert made.status == DisbursementStatus.COMPLETED
    ministry.judge(exactly=True)


def counts() -> tuple[int, ...]:
    models = (Intake, Disbursement, Payment, Payout, Reservation, StatusChange, Entry)
    return tuple(model.objects.count() for model in models)


def end_backends() -> None:
    """PostgreSQL loses every session of the tests' role but the one that says so."""
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class TestKilled:
    @pytest.mark.parametrize("point", ["K1", "K2"])
    def test_while_a_file_is_read_leaves_nothing(self, point: str, ministry: Ministry) -> None:
        enrollment = factories.make_enrollment(ministry.program)
        before = counts()

        def load() -> Intake:
            return lists.create_from_csv(
                by=ministry.officer,
                program_id=ministry.program.pk,
                period="2026-12",
                purpose="pension",
                file=io.BytesIO(f"reference,amount_sat\n{enrollment.reference},40000\n".encode()),
                filename="december.csv",
                expected_count=1,
                expected_total_sat=40_000,
            )

        kill_at(point, load)
        assert counts() == before
        assert load().rows_loaded == 1

    def test_while_a_list_is_submitted_leaves_a_draft(self, ministry: Ministry) -> None:
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=AMOUNTS)
        before = counts()
        kill_at("K3", lambda: disbursements.submit(by=ministry.officer, disbursement_id=made.pk))
        made.refresh_from_db()
        assert (made.status, made.manifest_hash, counts()) == (DisbursementStatus.DRAFT, None, before)
        made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
        assert made.status == DisbursementStatus.SUBMITTED

    def test_while_a_list_is_approved_reserves_and_books_nothing(self, ministry: Ministry) -> None:
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=AMOUNTS)
        agreed = bytes(
            disbursements.submit(by=ministry.officer, disbursement_id=made.pk).manifest_hash or b""
        )
        before = counts()

        def approve() -> Disbursement:
            return disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)

        kill_at("K4", approve)
        made.refresh_from_db()
        assert (made.status, counts()) == (DisbursementStatus.SUBMITTED, before)
        approve()
        disbursements.release(by=ministry.releaser, disbursement_id=made.pk, manifest_hash=agreed)
        finish(ministry, made)

    @pytest.mark.parametrize("point", SEALING)
    def test_while_it_seals_leaves_all_or_nothing(self, point: str, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        kill_at(point, lambda: dispatch.seal(disbursement_id=made.pk))
        is_sealed = point == "K7"
        assert Payout.objects.count() == is_sealed
        assert Payment.objects.filter(payout__isnull=False).count() == (2 if is_sealed else 0)
        assert Reservation.objects.exists() == is_sealed
        finish(ministry, made)
        assert Payout.objects.count() == 1

    @pytest.mark.parametrize("point", ADVANCING)
    def test_while_it_pays_is_followed_by_one_who_sends_the_same_bytes(
        self, point: str, ministry: Ministry
    ) -> None:
        made = ministry.release(AMOUNTS)
        dispatch.seal(disbursement_id=made.pk)
        payout = Payout.objects.select_related("current").get()
        kill_at(point, lambda: dispatch.advance(payout_id=payout.pk))
        finish(ministry, made)
        version = PayoutTx.objects.get()
        assert payout.current is not None
        assert version.txid == payout.current.txid

    def test_after_a_block_was_read_leaves_nothing_unbooked(self, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        ministry.pay(made)
        ministry.miner.mine(1)
        kill_at("K13", dispatch.follow)
        assert Payout.objects.get().mined_height is not None
        finish(ministry, made)

    @pytest.mark.parametrize("point", ["K14", "K15", "K16"])
    def test_while_it_bumps_pays_once(self, point: str, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        (payout,) = ministry.pay(made)

        def raise_fee() -> None:
            from payments.onchain import node

            bump.build(payout.pk, 5_000, node.connect())
            dispatch.advance(payout_id=payout.pk)

        kill_at(point, raise_fee)
        finish(ministry, made)
        assert PayoutTx.objects.filter(kind="bump", raw__isnull=False).count() == 1

    def test_before_it_reverses_a_reorganization_reverses_it_once(self, ministry: Ministry) -> None:
        ministry.mine(12)
        made = ministry.release(AMOUNTS)
        ministry.pay(made)
        ministry.mine(6)
        assert Payout.objects.get().status == PayoutStatus.SETTLED
        ministry.miner.reorg(8, 9, with_mempool=False)
        tip = Block.objects.filter(is_active=True).latest("height").block_hash
        kill_at("K17", dispatch.follow)
        assert Block.objects.filter(is_active=True).latest("height").block_hash == tip
        ministry.mine(0)
        assert Entry.objects.filter(kind="settlement_reversal").count() == 1
        finish(ministry, made)

    def test_while_it_seals_the_books_leaves_all_or_nothing(
        self, ministry: Ministry, settings: object
    ) -> None:
        """K18 twice: before a seal is written, and before its head's signature is."""
        settings.GOVPAY_SEAL_KEY = bytes(range(32))  # type: ignore[attr-defined]
        made = ministry.release(AMOUNTS)
        kill_at("K18", dispatch.seal_books)
        assert (Leaf.objects.count(), Seal.objects.count()) == (0, 0)
        sealer.seal()
        kill_at("K18", dispatch.seal_books)
        assert (Seal.objects.count(), Checkpoint.objects.count()) == (1, 0)
        dispatch.seal_books()
        finish(ministry, made)
        dispatch.seal_books()
        assert Leaf.objects.count() == Entry.objects.count() + AuditEvent.objects.count()
        assert Checkpoint.objects.count() == 1
        assert verification.verify().findings == []

    def test_after_it_sent_an_anchor_sends_no_second_one(self, ministry: Ministry, settings: object) -> None:
        """K19: the node has it, and nobody noted that."""
        settings.GOVPAY_SEAL_KEY = bytes(range(32))  # type: ignore[attr-defined]
        settings.GOVPAY_ANCHOR_PROGRAM = ministry.program.code  # type: ignore[attr-defined]
        dispatch.seal_books()
        checkpoint = Checkpoint.objects.get()
        dispatch.anchor(checkpoint_id=checkpoint.pk)
        payout = Payout.objects.get(checkpoint=checkpoint)
        kill_at("K19", lambda: dispatch.advance(payout_id=payout.pk))
        version = PayoutTx.objects.get()
        assert ministry.miner.node.call("getrawmempool") == [version.txid]
        assert Payout.objects.get().status == PayoutStatus.SIGNED
        expire_leases()
        for _ in range(2):
            dispatch.anchor(checkpoint_id=checkpoint.pk)
            dispatch.advance(payout_id=payout.pk)
        assert ministry.miner.node.call("getrawmempool") == [version.txid]
        ministry.mine(6)
        assert Payout.objects.get().status == PayoutStatus.SETTLED
        assert PayoutTx.objects.get() == version
        ministry.judge(exactly=True)


class TestStopped:
    def test_while_it_seals_the_books_holds_up_nobody_who_posts(self, ministry: Ministry) -> None:
        """Another sealer finds it at work and leaves; what was posted meanwhile comes after it, once."""
        child = Child(dispatch.seal_books, "K18")
        assert child.wait_for_stop()
        before = set(Entry.objects.values_list("pk", flat=True))
        made = ministry.release(AMOUNTS)
        dispatch.seal_books()
        assert not Leaf.objects.exists()
        assert child.wake() == 0
        assert set(Leaf.objects.filter(index__lt=2).values_list("entry_id", flat=True)) == before
        finish(ministry, made)
        dispatch.seal_books()
        assert Leaf.objects.count() == Entry.objects.count() + AuditEvent.objects.count()
        assert verification.verify().findings == []

    @pytest.mark.parametrize("point", ADVANCING)
    def test_past_its_lease_changes_nothing_when_it_wakes(self, point: str, ministry: Ministry) -> None:
        """F4: another worker took over; the commit of the one that wakes fails, its late send is the same bytes."""
        made = ministry.release(AMOUNTS)
        dispatch.seal(disbursement_id=made.pk)
        payout_id = Payout.objects.get().pk
        child = Child(lambda: dispatch.advance(payout_id=payout_id), point)
        assert child.wait_for_stop()
        expire_leases()
        dispatch.advance(payout_id=payout_id)
        before = counts()
        assert Payout.objects.get().status == PayoutStatus.SENT
        assert child.wake() == 0
        assert counts() == before
        assert ministry.miner.node.call("getrawmempool") == [PayoutTx.objects.get().txid]
        finish(ministry, made)


class TestDatabase:
    def test_that_ends_the_sealers_session_loses_no_entry(self, ministry: Ministry) -> None:
        child = Child(dispatch.seal_books, "K18")
        assert child.wait_for_stop()
        end_backends()
        child.wake()
        connection.close()
        assert not Leaf.objects.exists()
        dispatch.seal_books()
        assert Leaf.objects.filter(entry__isnull=False).count() == Entry.objects.count() == 2
        assert verification.verify().findings == []

    @pytest.mark.parametrize("point", [*SEALING, *ADVANCING])
    def test_that_ends_a_session_loses_nothing(self, point: str, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        work = pay_in_child(made, point)
        assert work.wait_for_stop()
        end_backends()
        work.wake()
        connection.close()
        finish(ministry, made)

    @pytest.mark.parametrize("point", ["K5", "K9", "K11"])
    def test_that_crashes_and_recovers_loses_nothing(self, point: str, ministry: Ministry) -> None:
        """F9: an immediate restart, which leaves recovery to the next start."""
        made = ministry.release(AMOUNTS)
        work = pay_in_child(made, point)
        assert work.wait_for_stop()
        connections.close_all()
        services.get_postgres().restart(3)
        work.wake()
        finish(ministry, made)

    @pytest.mark.parametrize("mode", [Mode.SWALLOW, Mode.DROP])
    @pytest.mark.parametrize("status", ["committed", "signed", "sent"])
    def test_whose_reply_to_commit_is_lost_is_asked_anew(
        self, status: str, mode: str, ministry: Ministry, between: Proxy
    ) -> None:
        """F10: nobody knows whether the commit happened; the next visit reads what is there."""
        made = ministry.release(AMOUNTS)
        dispatch.seal(disbursement_id=made.pk)
        payout_id = Payout.objects.get().pk
        # As a statement's parameter: its length and the word.
        value = len(status).to_bytes(4, "big") + status.encode()
        between.fail(mode, when=b"COMMIT", after=value)
        child = Child(lambda: dispatch.advance(payout_id=payout_id), "", through_port=between.port)
        child.wait()
        assert between.hits == 1
        is_moved = Payout.objects.filter(status=status).exists()
        assert is_moved == (mode == Mode.SWALLOW)
        finish(ministry, made)
        assert PayoutTx.objects.count() == 1


@pytest.fixture
def between() -> Iterator[Proxy]:
    with Proxy(database_url()) as proxy:
        yield proxy


def pay_in_child(made: Disbursement, point: str) -> Child:
    """Seal, and advance what was sealed, in a process that stands still at the point."""

    def pay() -> None:
        dispatch.seal(disbursement_id=made.pk)
        for payout_id in Payout.objects.values_list("pk", flat=True):
            dispatch.advance(payout_id=payout_id)

    return Child(pay, point)


class TestNode:
    @pytest.mark.parametrize("point", ["K6", "K7", "K8", "K9", "K10", "K11"])
    def test_that_is_killed_forgets_what_it_likes(self, point: str, ministry: Ministry) -> None:
        """F17, F19: the node loses its locks and perhaps its memory pool; the bytes are in the database."""
        made = ministry.release(AMOUNTS)
        work = pay_in_child(made, point)
        assert work.wait_for_stop()
        node = services.ensure_node().node
        assert node is not None
        # A node writes its chain out now and then; this call does, so that it loses no block that was read.
        node.rpc.call("gettxoutsetinfo")
        node.kill()
        assert work.wake() == 0
        node.start()
        finish(ministry, made)


class TestDelivery:
    def test_of_one_task_fifty_times_in_parallel_pays_once(self, ministry: Ministry) -> None:
        """F3."""
        made = ministry.release(AMOUNTS)
        deliver(50, lambda: dispatch.seal(disbursement_id=made.pk))
        payout = Payout.objects.get()
        deliver(50, lambda: dispatch.advance(payout_id=payout.pk))
        assert PayoutTx.objects.count() == 1
        assert Entry.objects.filter(kind="payout_sent").count() == 1
        finish(ministry, made)


def deliver(times: int, work: object) -> None:
    """Run the work in so many threads at once; raise what any of them raised."""
    failures: list[BaseException] = []
    gate = threading.Barrier(times)

    def run() -> None:
        try:
            gate.wait()
            work()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - It is raised again by the test's own thread.
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
