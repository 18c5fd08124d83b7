"""Leases and fencing in PostgreSQL: who was overtaken writes nothing any more."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from ledger.models import Entry
from payments.models import Alarm, Block, Disbursement, Payment, Payout, Program, Reservation, WalletScript
from payments.payout import bump, core, seal
from payments.payout.ports import LeaseLost
from payments.payout.store import PostgresStore
from payments.services import disbursements
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    factories.fund(program, 600_000)
    factories.fund(program, 700_000)
    for _ in range(10):
        WalletScript.objects.create(
            wallet=program.wallet, script_pubkey=factories.make_script(), purpose="change"
        )
    made = factories.make_disbursement(program, officer)
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
    return disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)


@pytest.fixture
def payout(released: Disbursement) -> Payout:
    pk = seal.seal_next(released, feerate_sat_kvb=1_000)
    return Payout.objects.get(pk=pk)


def expire(payout: Payout) -> None:
    """Let the lease run out."""
    Payout.objects.filter(pk=payout.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def take(store: PostgresStore, payout: Payout) -> int:
    """Take the lease, which must be free."""
    token = store.lease(payout.pk)
    assert token is not None
    return token


class TestLease:
    def test_is_for_one_worker_at_a_time(self, payout: Payout) -> None:
        store = PostgresStore()
        assert take(store, payout) > 0
        assert store.lease(payout.pk) is None

    def test_can_be_taken_over_when_it_ran_out(self, payout: Payout) -> None:
        store = PostgresStore()
        first = take(store, payout)
        expire(payout)
        assert take(store, payout) > first

    def test_given_back_is_free_at_once(self, payout: Payout) -> None:
        store = PostgresStore()
        first = take(store, payout)
        store.unlease(payout.pk, first)
        assert take(store, payout) > first

    def test_forgotten_by_a_crash_of_the_database_does_not_lend_its_token_to_the_next(
        self, payout: Payout
    ) -> None:
        store = PostgresStore()
        forgotten = take(store, payout)
        Payout.objects.filter(pk=payout.pk).update(lease_token=payout.lease_token, lease_until=None)
        assert take(store, payout) > forgotten
        with pytest.raises(LeaseLost):
            store.snapshot(payout.pk, forgotten)

    def test_is_renewed_between_commands_once_less_than_half_is_left(
        self, payout: Payout, settings: object
    ) -> None:
        settings.GOVPAY_LEASE_S = 100  # type: ignore[attr-defined]
        store = PostgresStore()
        token = store.lease(payout.pk)
        assert token is not None
        now = timezone.now()
        for left_s, renewed_to_s in ((60, 60), (40, 100), (-1, 100)):
            Payout.objects.filter(pk=payout.pk).update(lease_until=now + timedelta(seconds=left_s))
            store.snapshot(payout.pk, token)
            lease_until = Payout.objects.get(pk=payout.pk).lease_until
            assert lease_until is not None
            assert round((lease_until - now).total_seconds(), -1) == renewed_to_s
        assert store.lease(payout.pk) is None


class TestFencing:
    @pytest.mark.parametrize(
        "write",
        [
            lambda store, pk, token: store.snapshot(pk, token),
            lambda store, pk, token: store.commit(pk, token),
            lambda store, pk, token: store.unseal(pk, token, "late"),
            lambda store, pk, token: store.quarantine(pk, token, [], "late"),
            lambda store, pk, token: store.persist(pk, token, b"raw"),
            lambda store, pk, token: store.record_sent(pk, token, "", 60),
            lambda store, pk, token: store.freeze(pk, token, "late"),
            lambda store, pk, token: store.retry(pk, token, "late", 5, True),
        ],
    )
    def test_refuses_every_write_of_an_overtaken_worker(self, write: object, payout: Payout) -> None:
        store = PostgresStore()
        late = take(store, payout)
        expire(payout)
        take(store, payout)
        before = Payout.objects.values().get(pk=payout.pk)
        with pytest.raises(LeaseLost):
            write(store, payout.pk, late)  # type: ignore[operator]
        assert Payout.objects.values().get(pk=payout.pk) == before
        assert Entry.objects.filter(kind="payout_sent").count() == 0

    def test_does_not_let_a_late_worker_free_the_lease_of_another(self, payout: Payout) -> None:
        store = PostgresStore()
        late = take(store, payout)
        expire(payout)
        take(store, payout)
        store.unlease(payout.pk, late)
        assert store.lease(payout.pk) is None


class TestBrake:
    def test_holds_a_reissue_while_what_it_pays_anew_may_be_paid_after_all(
        self, released: Disbursement, payout: Payout, officer: User
    ) -> None:
        made = factories.make_disbursement(released.program, officer, amounts_sat=[50_000])
        disbursements.submit(by=officer, disbursement_id=made.pk)
        stands_in = Payout.objects.create(
            disbursement=made,
            wallet=payout.wallet,
            payment_count=1,
            payments_sat=50_000,
            manifest_hash=bytes(32),
            anchor_txid="11" * 32,
            anchor_vout=0,
        )
        Payment.objects.filter(disbursement=made).update(
            payout=stands_in, vout=0, reissue_of=Payment.objects.filter(payout=payout).order_by("pk")[0]
        )
        store = PostgresStore()
        token = take(store, stands_in)
        for status in ("voiding", "frozen", "sent", "mined", "settled"):
            Payout.objects.filter(pk=payout.pk).update(status=status)
            brake = store.snapshot(stands_in.pk, token).brake
            assert brake == "What it pays anew may be paid after all: a reorganization undid a void."
        Payout.objects.filter(pk=payout.pk).update(status="voided")
        assert store.snapshot(stands_in.pk, token).brake == ""
        # Giving the reissue up is always allowed.
        Payout.objects.filter(pk=payout.pk).update(status="voiding")
        Payout.objects.filter(pk=stands_in.pk).update(status="voiding")
        assert store.snapshot(stands_in.pk, token).brake == ""

    def test_holds_the_child_of_a_payout_that_is_given_up(self, payout: Payout) -> None:
        child = Payout.objects.create(
            kind="child",
            parent=payout,
            wallet=payout.wallet,
            payment_count=0,
            payments_sat=0,
            manifest_hash=bytes(32),
            anchor_txid="11" * 32,
            anchor_vout=0,
        )
        store = PostgresStore()
        token = take(store, child)
        assert store.snapshot(child.pk, token).brake == ""
        Payout.objects.filter(pk=payout.pk).update(status="voiding")
        assert store.snapshot(child.pk, token).brake == "The payout whose fee it pays is given up."
        with pytest.raises(bump.PayoutNotBumpable):
            bump.parent_version(bump.read(child.pk))


class TestUnseal:
    def test_frees_payments_and_coins_for_another_payout(
        self, payout: Payout, released: Disbursement
    ) -> None:
        store = PostgresStore()
        token = store.lease(payout.pk)
        assert token is not None
        store.unseal(payout.pk, token, "a coin is gone")
        payout.refresh_from_db()
        assert payout.status == "unsealed"
        assert Payment.objects.filter(payout=payout).count() == 0
        assert Reservation.objects.filter(payout=payout, is_live=True).count() == 0
        again = seal.seal_next(released, feerate_sat_kvb=1_000)
        assert again not in (None, payout.pk)

    def test_is_refused_after_the_commit(self, payout: Payout) -> None:
        store = PostgresStore()
        token = store.lease(payout.pk)
        assert token is not None
        store.commit(payout.pk, token)
        with pytest.raises(Exception, match="cannot go from committed to unsealed"):
            store.unseal(payout.pk, token, "too late")
        assert Payment.objects.filter(payout=payout).count() == 3


class TestPersist:
    def test_stores_bytes_and_entry_together_or_not_at_all(
        self, payout: Payout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = PostgresStore()
        token = store.lease(payout.pk)
        assert token is not None
        store.commit(payout.pk, token)

        def fail(*_: object) -> None:
            raise ConnectionError("the database went away")

        monkeypatch.setattr("ledger.books.post", fail)
        with pytest.raises(ConnectionError):
            store.persist(payout.pk, token, bytes(payout.current.unsigned_tx))
        payout.refresh_from_db()
        assert payout.status == "committed"
        assert payout.txs.filter(raw__isnull=False).count() == 0


@pytest.mark.django_db(transaction=True)
class TestTwoSealers:
    def test_never_claim_the_same_payment_or_coin(self, program: Program, released: Disbursement) -> None:
        Program.objects.filter(pk=program.pk).update(group_max_payments=1)
        released = Disbursement.objects.select_related("program__wallet").get(pk=released.pk)
        sealed: list[int | None] = []

        def work() -> None:
            try:
                sealed.append(seal.seal_next(released, feerate_sat_kvb=1_000))
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(sealed)) == 2
        assert None not in sealed
        assert Reservation.objects.filter(is_live=True).count() == 2
        assert Payment.objects.filter(payout__isnull=False).count() == 2
        assert Block.objects.count() == 1


class TestRetry:
    def test_opens_one_alarm_after_many_failures_in_a_row_and_success_closes_it(self, payout: Payout) -> None:
        store = PostgresStore()
        token = store.lease(payout.pk)
        assert token is not None
        for _ in range(core.STUCK_ATTEMPTS - 1):
            store.retry(payout.pk, token, "An input is not known.", 5, True)
        assert Alarm.objects.count() == 0
        store.retry(payout.pk, token, "An input is not known.", 5, True)
        store.retry(payout.pk, token, "An input is not known.", 5, True)
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject, alarm.subject_id) == ("payout_stuck", "payout", payout.pk)
        assert (alarm.times, alarm.program_id) == (2, payout.wallet.program_id)
        assert alarm.message == "11 attempts in a row failed, the last one because: An input is not known."
        store.record_sent(payout.pk, token, "", 60)
        alarm.refresh_from_db()
        assert alarm.closed_at is not None
        payout.refresh_from_db()
        assert (payout.attempts, payout.offers, payout.problem) == (0, 1, "")

    def test_counts_no_wait_for_a_signer_and_no_visit_that_could_not_begin(self, payout: Payout) -> None:
        store = PostgresStore()
        token = store.lease(payout.pk)
        assert token is not None
        for _ in range(core.STUCK_ATTEMPTS + 1):
            store.retry(payout.pk, token, "one of two", 60, False)
        payout.refresh_from_db()
        assert payout.attempts == 0
        before = timezone.now()
        for _ in range(core.STUCK_ATTEMPTS + 1):
            Payout.objects.update(due_at=None)
            store.put_off(payout.pk, "The node is away.")
        payout.refresh_from_db()
        assert (payout.attempts, payout.problem) == (core.STUCK_ATTEMPTS + 1, "The node is away.")
        assert payout.due_at is not None
        assert (payout.due_at - before).total_seconds() >= 45
        assert (payout.due_at - timezone.now()).total_seconds() <= 75
        assert Alarm.objects.count() == 0

    def test_counts_fifty_visits_that_could_not_begin_as_one_until_it_is_due_again(
        self, payout: Payout
    ) -> None:
        for number in range(50):
            PostgresStore().put_off(payout.pk, f"The node is away, {number}.")
        payout.refresh_from_db()
        assert (payout.attempts, payout.problem) == (1, "The node is away, 0.")
        assert payout.due_at is not None
        assert (payout.due_at - timezone.now()).total_seconds() <= core.RETRY_S * 5 / 4
