"""A database restored from before some payouts (F44): nothing is sent until the chain was read anew; nobody is paid twice.

The day before is kept as a template database of the same server, and what comes back is a copy of it, as a dump would be.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from psycopg import sql

from ledger.models import Checkpoint
from ledger.reconciliation.service import reconcile
from payments.models import Alarm, Payment, Payout, PayoutTx, Wallet
from payments.onchain import node
from payments.payout import bump, chain, dispatch
from payments.services import disbursements, interventions
from payments.states import PaymentStatus, PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry, forget_installations, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 900_000, 800_000], group_max_payments=2)


def beside() -> psycopg.Connection:
    """Connect to another database of the same server, for what is done to a whole one."""
    parts = connection.get_connection_params()
    parts = {key: parts[key] for key in ("host", "port", "user", "password") if parts.get(key)}
    return psycopg.connect(dbname="postgres", autocommit=True, **parts)


def copy(name: str, new: str) -> None:
    """Copy a database that nobody is connected to."""
    with beside() as server:
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(new), sql.Identifier(name))
        )


def drop(name: str) -> None:
    """Drop a database after ending the sessions of its owner: FORCE would stumble over an autovacuum there."""
    ended = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user"
    )
    with beside() as server:
        server.execute(ended, [name])
        server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


@contextmanager
def restored_afterwards() -> Iterator[None]:
    """Keep the database as it is now, and bring that day back at the end."""
    name = connection.settings_dict["NAME"]
    connection.close()
    copy(name, f"{name}_before")
    try:
        yield
        connection.close()
        drop(name)
        copy(f"{name}_before", name)
    finally:
        connection.close()
        drop(f"{name}_before")


def come_back() -> None:
    """What the sweep would ring for."""
    Payout.objects.update(due_at=None)
    for pk in Payout.objects.order_by("pk").values_list("pk", flat=True):
        dispatch.advance(payout_id=pk)


def wallet() -> Wallet:
    """The row as it is now."""
    return Wallet.objects.get()


def require_clean_books(ministry: Ministry) -> None:
    """Reconciliation matches everything."""
    (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
    assert (run.status, run.breaks.count()) == ("clean", 0), list(run.breaks.values())


class TestRestored:
    def test_refuses_to_pay_until_the_chain_was_read_anew(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000, 40_000, 50_000, 60_000, 60_000])
        with restored_afterwards():
            paid = ministry.pay(disbursement)
            assert [payout.status for payout in paid] == [PayoutStatus.SENT] * 3
            ministry.miner.mine(2)
            txids = {payout.current.txid for payout in paid}
        assert Payout.objects.count() == 0
        ministry.pay(disbursement)
        come_back()
        assert Payout.objects.count() == 0
        assert wallet().halt_code == "database_restored"
        assert Alarm.objects.filter(code="database_restored", closed_at=None).count() == 1
        call_command("reimport_chain")
        assert (wallet().halted_at, wallet().signed_count) == (None, 3)
        assert set(PayoutTx.objects.filter(raw__isnull=False).values_list("txid", flat=True)) == txids
        assert set(Payout.objects.values_list("status", flat=True)) == {PayoutStatus.MINED}
        assert Alarm.objects.filter(closed_at=None).count() == 0
        ministry.pay(disbursement)
        assert Payout.objects.count() == 3
        ministry.mine(6)
        disbursement.refresh_from_db()
        assert disbursement.status == "completed"
        ministry.judge(exactly=True)
        require_clean_books(ministry)
        # The next list is paid as if nothing had been.
        ministry.pay(ministry.release([70_000], period="2026-12"))
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean_books(ministry)

    def test_knows_an_anchor_by_its_checkpoint(self, ministry: Ministry, settings: object) -> None:
        settings.GOVPAY_SEAL_KEY = bytes(range(32))  # type: ignore[attr-defined]
        settings.GOVPAY_ANCHOR_PROGRAM = ministry.program.code  # type: ignore[attr-defined]
        dispatch.seal_books()
        checkpoint = Checkpoint.objects.get()
        with restored_afterwards():
            dispatch.anchor(checkpoint_id=checkpoint.pk)
            come_back()
            (txid,) = PayoutTx.objects.values_list("txid", flat=True)
            ministry.miner.mine(2)
        dispatch.anchor(checkpoint_id=checkpoint.pk)
        assert (Payout.objects.count(), wallet().halt_code) == (0, "database_restored")
        call_command("reimport_chain")
        payout = Payout.objects.get()
        assert (payout.kind, payout.checkpoint_id, payout.mined_txid) == ("anchor", checkpoint.pk, txid)
        dispatch.anchor(checkpoint_id=checkpoint.pk)
        assert Payout.objects.count() == 1
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean_books(ministry)

    def test_finds_what_still_waits_in_the_mempool(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000, 50_000])
        with restored_afterwards():
            (paid,) = ministry.pay(disbursement)
            txid = paid.current.txid
        ministry.pay(disbursement)
        assert wallet().halt_code == "database_restored"
        call_command("reimport_chain")
        payout = Payout.objects.get()
        assert (payout.status, payout.current.txid, wallet().halted_at) == (PayoutStatus.SIGNED, txid, None)
        come_back()
        assert Payout.objects.get().status == PayoutStatus.SENT
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean_books(ministry)

    @pytest.mark.parametrize("is_mined", [False, True])
    def test_commits_what_was_only_sealed_on_that_day(self, is_mined: bool, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000, 50_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        with restored_afterwards():
            come_back()
            assert Payout.objects.get().status == PayoutStatus.SENT
            if is_mined:
                ministry.miner.mine(1)
        assert Payout.objects.get().status == PayoutStatus.SEALED
        dispatch.follow()
        come_back()
        assert wallet().halt_code == "database_restored"
        call_command("reimport_chain")
        assert wallet().halted_at is None
        come_back()
        ministry.mine(6)
        assert Payout.objects.get().status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)
        require_clean_books(ministry)

    @pytest.mark.parametrize("is_mined", [False, True])
    def test_never_takes_a_payout_back_that_is_out_there_even_if_the_wallet_forgot_it(
        self, is_mined: bool, ministry: Ministry
    ) -> None:
        """The node's wallet was restored too, from a day before it had any label."""
        disbursement = ministry.release([40_000, 50_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        with restored_afterwards():
            come_back()
            if is_mined:
                ministry.miner.mine(1)
        forget_installations(ministry.miner, wallet().name)
        ministry.pay(disbursement)
        dispatch.follow()
        come_back()
        assert Payout.objects.get().status == (PayoutStatus.MINED if is_mined else PayoutStatus.SENT)
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean_books(ministry)

    @pytest.mark.parametrize("is_mined", [False, True])
    def test_never_takes_a_payout_back_that_was_counted_by_then_and_whose_coin_a_bump_took_since(
        self, is_mined: bool, ministry: Ministry
    ) -> None:
        """Count and label agree on that day, so that nothing else tells that it is an older one."""
        disbursement = ministry.release([40_000, 50_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        payout = ministry.payouts(disbursement).get()
        chain.NodeChain(node.connect(), payout.pk).claim()
        with restored_afterwards():
            come_back()
            lost = bump.build(payout.pk, 30_000, node.connect())
            come_back()
            if is_mined:
                ministry.miner.mine(1)
        assert (Payout.objects.get().status, wallet().signed_count) == (PayoutStatus.SEALED, 1)
        come_back()
        ministry.pay(disbursement)
        assert Payout.objects.get().status == PayoutStatus.FROZEN
        assert f"is spent by {lost.txid}" in Payout.objects.get().problem
        dispatch.follow()
        call_command("reimport_chain")
        come_back()
        ministry.mine(6)
        assert Payout.objects.get().status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)
        require_clean_books(ministry)

    def test_stays_halted_over_a_list_that_was_not_released_on_that_day(self, ministry: Ministry) -> None:
        with restored_afterwards():
            (paid,) = ministry.pay(ministry.release([40_000, 50_000]))
            txid = paid.current.txid
            ministry.miner.mine(1)
        dispatch.follow()
        with pytest.raises(CommandError, match="stays halted"):
            call_command("reimport_chain")
        assert wallet().halt_code == "database_restored"
        assert txid[:10] in wallet().halt_reason
        assert Payout.objects.count() == 0

    def test_stays_halted_over_a_payout_that_was_signed_and_is_nowhere(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000, 50_000])
        dispatch.seal(disbursement_id=disbursement.pk)
        with restored_afterwards():
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr("payments.onchain.node.Node.send_raw", _unsent)
                come_back()
            assert Payout.objects.get().status == PayoutStatus.SIGNED
        come_back()
        with pytest.raises(CommandError, match="stays halted"):
            call_command("reimport_chain")
        assert "1 signed payouts not found" in wallet().halt_reason
        # Its own tx is the only one that may pay its payments from now on.
        assert Payout.objects.get().status == PayoutStatus.COMMITTED
        assert Payout.objects.get().payments.filter(status=PaymentStatus.PENDING).count() == 2


class TestLostVersion:
    """The payout is known from that day; what replaced its tx since then is not."""

    @pytest.mark.parametrize("is_mined", [False, True])
    def test_that_raised_the_fee_with_a_coin_more_is_taken_over(
        self, is_mined: bool, settings: object
    ) -> None:
        use_node(settings)
        ministry = Ministry.open(deposits_sat=[100_000, 300_000], coins_wanted=1)
        (payout,) = ministry.pay(ministry.release([98_000]))
        original = payout.current
        with restored_afterwards():
            lost = bump.build(payout.pk, 30_000, node.connect())
            come_back()
            assert Payout.objects.get().reservations.filter(is_original=False).count() == 1
            if is_mined:
                ministry.miner.mine(1)
        assert PayoutTx.objects.get() == original
        dispatch.follow()
        assert wallet().halt_code == ("stranger_spent_our_coin" if is_mined else "")
        call_command("reimport_chain")
        payout = Payout.objects.get()
        found = PayoutTx.objects.latest("pk")
        assert (found.txid, found.kind, payout.current_id) == (lost.txid, "bump", found.pk)
        assert (found.fee_sat, found.fee_added_sat) == (lost.fee_sat, lost.fee_sat - original.fee_sat)
        assert found.change_sat == lost.change_sat
        assert list(found.change.values_list("vout", "amount_sat")) == [(1, lost.change_sat)]
        added = payout.reservations.get(is_original=False)
        assert (added.amount_sat, added.position, added.is_live) == (300_000, 1, True)
        assert (payout.status, payout.booked_fee_sat) == ("mined" if is_mined else "sent", lost.fee_sat)
        # Only people lift a halt over a stranger, although it was none.
        assert wallet().halt_code == ("stranger_spent_our_coin" if is_mined else "")
        Wallet.objects.update(halted_at=None, halt_code="", halt_reason="")
        ministry.mine(6)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, lost.txid)
        ministry.judge(exactly=True)
        require_clean_books(ministry)

    def test_that_gave_the_payout_up_is_taken_over_as_a_void(self, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([40_000, 50_000]))
        treasurer = factories.make_member(ministry.program, "treasurer")
        with restored_afterwards():
            shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="void")
            asked = interventions.propose(
                by=treasurer, payout_id=payout.pk, kind="void", note="Wrong.", shown=shown
            )
            interventions.approve(by=ministry.approver, intervention_id=asked.pk)
            dispatch.intervene(intervention_id=asked.pk)
            come_back()
            lost = PayoutTx.objects.get(kind="void")
            ministry.miner.mine(1)
        dispatch.follow()
        call_command("reimport_chain")
        payout = Payout.objects.get()
        found = PayoutTx.objects.get(kind="void")
        assert (found.txid, found.fee_sat, payout.current_id) == (lost.txid, lost.fee_sat, found.pk)
        assert payout.status == PayoutStatus.FROZEN
        ministry.mine(99)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.VOIDED
        assert set(payout.payments.values_list("status", flat=True)) == {PaymentStatus.VOIDED}
        require_clean_books(ministry)


def _unsent(*_: object, **__: object) -> object:
    from payments.onchain import send

    return send.SendReply(send.SendOutcome.UNKNOWN, None, "nobody answers")


class TestRestoredMoney:
    def test_makes_the_satoshis_of_what_the_chain_holds_anew(self, settings: object) -> None:
        use_node(settings)
        ministry = Ministry.open(deposits_sat=[1_000_000], code="STIPENDS", currency="PKR")
        factories.fund_cash(ministry.program, 10_000_000)
        made = factories.make_disbursement(
            ministry.program, ministry.officer, amounts_minor=[1_450_000, 1_500_000]
        )
        made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
        agreed = bytes(made.manifest_hash or b"")
        disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)
        quote = factories.make_quote()
        made = disbursements.release(
            by=ministry.releaser, disbursement_id=made.pk, manifest_hash=agreed, quote_id=quote.pk
        )
        with restored_afterwards():
            ministry.pay(made)
            ministry.miner.mine(2)
            lost = list(Payment.objects.order_by("pk").values_list("amount_sat", "remainder_minor", "vout"))
            (payout,) = Payout.objects.values("payments_sat", "payments_minor", "manifest_hash")
        assert list(Payment.objects.values_list("amount_sat", flat=True)) == [None, None]
        ministry.pay(made)
        assert wallet().halt_code == "database_restored"
        call_command("reimport_chain")
        assert wallet().halted_at is None
        rows = Payment.objects.order_by("pk").values_list("amount_sat", "remainder_minor", "vout")
        assert list(rows) == lost
        assert Payout.objects.values("payments_sat", "payments_minor", "manifest_hash").get() == payout
        ministry.mine(6)
        made.refresh_from_db()
        assert made.status == "completed"
        require_clean_books(ministry)
