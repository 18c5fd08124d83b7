"""PostgreSQL dies right after a commit that did not wait for the disk, and forgets it: the work is done again, once."""

import os
import signal

import psycopg
import pytest
from django.db import connections

from payments.models import Payment, Payout, PayoutTx
from payments.payout import dispatch, store
from payments.states import PayoutStatus
from tests import services
from tests.faults.test_kill_points import AMOUNTS, finish
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 900_000])


def hold_the_writer() -> None:
    """Stop the process that writes to the disk what nobody waits for, until the server dies."""
    with psycopg.connect(services.get_postgres().superuser_url, dbname="postgres") as session:
        row = session.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGSTOP)


def crash() -> None:
    """An immediate restart: what is in memory alone is gone."""
    connections.close_all()
    services.get_postgres().restart(signal.SIGQUIT)


class TestCrash:
    def test_that_forgets_a_seal_seals_anew(self, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        hold_the_writer()
        dispatch.seal(disbursement_id=made.pk)
        assert Payout.objects.count() == 1
        crash()
        assert Payout.objects.count() == 0
        assert Payment.objects.filter(payout__isnull=True).count() == len(AMOUNTS)
        finish(ministry, made)
        assert PayoutTx.objects.filter(raw__isnull=False).count() == 1

    def test_that_forgets_that_a_node_took_the_bytes_offers_the_same_again(self, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        dispatch.seal(disbursement_id=made.pk)
        payout = Payout.objects.get()
        hold_the_writer()
        dispatch.advance(payout_id=payout.pk)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SENT
        sent = PayoutTx.objects.get()
        crash()
        payout.refresh_from_db()
        # The signed bytes waited for the disk, and took all that came before with them.
        assert (payout.status, payout.offers) == (PayoutStatus.SIGNED, 0)
        assert bytes(PayoutTx.objects.get().raw or b"") == bytes(sent.raw or b"")
        assert ministry.miner.node.call("getrawmempool") == [sent.txid]
        finish(ministry, made)
        assert PayoutTx.objects.get().txid == sent.txid

    def test_that_forgets_a_lease_gives_its_token_to_nobody_else(self, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        dispatch.seal(disbursement_id=made.pk)
        payout = Payout.objects.get()
        # Whatever waits for the disk takes the seal with it.
        Payout.objects.update(due_at=None)
        hold_the_writer()
        leases = store.PostgresStore()
        forgotten = leases.lease(payout.pk)
        assert forgotten is not None
        crash()
        payout.refresh_from_db()
        assert payout.lease_until is None
        token = leases.lease(payout.pk)
        assert token is not None
        assert token > forgotten
        leases.unlease(payout.pk, token)
        finish(ministry, made)
