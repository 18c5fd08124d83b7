"""Lock timeouts and a second follower: what one visit could not do, the next one does (F11)."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from payments.models import Block, Payout
from payments.payout import dispatch, follow
from payments.states import PayoutStatus
from tests.regtest.ministry import Ministry, use_node
from tests.regtest.nodes import wait_for
from tests.sessions import another_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000])


@contextmanager
def impatient() -> Iterator[None]:
    """Let this process wait for no lock longer than a moment."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
        yield
        cursor.execute("RESET lock_timeout")


class TestLockTimeout:
    def test_of_a_visit_moves_nothing_and_the_next_visit_pays(self, ministry: Ministry) -> None:
        dispatch.seal(disbursement_id=ministry.release([40_000]).pk)
        payout = Payout.objects.get()
        with another_session() as other, impatient():
            other.execute("SELECT FROM payments_payout WHERE id = %s FOR UPDATE", [payout.pk])
            dispatch.advance(payout_id=payout.pk)
        payout.refresh_from_db()
        assert (payout.status, payout.lease_token) == (PayoutStatus.SEALED, 0)
        dispatch.advance(payout_id=payout.pk)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SENT

    def test_of_the_follower_keeps_the_blocks_it_read_and_derives_later(self, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        best = ministry.miner.mine(1)[0]
        with another_session() as other, impatient():
            other.execute("SELECT FROM payments_payout WHERE id = %s FOR UPDATE", [payout.pk])
            assert dispatch.follow() is True
        assert Block.objects.filter(block_hash=best).count() == 0
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SENT, None)
        dispatch.follow()
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.MINED
        ministry.mine(5)
        ministry.judge(exactly=True)


class TestFrozenSession:
    def test_in_a_database_transaction_loses_the_wallet_and_the_others_pay(self, ministry: Ministry) -> None:
        """A worker that is stopped there would hold up workers and officers of its program for ever."""
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            assert cursor.fetchone() == ("2min",)
        made = ministry.release([40_000])
        with another_session() as frozen:
            frozen.execute("SET idle_in_transaction_session_timeout = '300ms'")
            frozen.commit()
            frozen.execute("SELECT FROM payments_wallet FOR UPDATE")
            (payout,) = ministry.pay(made)
            assert payout.status == PayoutStatus.SENT
            with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
                frozen.execute("SELECT 1")
        ministry.mine(6)
        ministry.judge(exactly=True)


class TestOnlyOne:
    def test_follows_while_another_session_has_the_lock_and_it_ends_with_the_session(
        self, ministry: Ministry
    ) -> None:
        best = ministry.miner.mine(1)[0]
        with another_session() as other:
            other.execute("SELECT pg_advisory_lock(%s)", [follow.FOLLOWER_LOCK])
            assert dispatch.follow() is False
            assert Block.objects.filter(block_hash=best).count() == 0
        # The server notices the end of a session a moment after its client.
        wait_for("the lock", dispatch.follow)
        assert Block.objects.filter(block_hash=best, is_active=True).count() == 1
