"""Several versions of a payout at their signers: bumps, voids, kills, deadlines, and signers who send by themselves."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ledger.reconciliation.service import reconcile
from payments.models import Alarm, Payment, Payout, PayoutTx, PayoutTxKind, SigningRequest, StatusChange
from payments.onchain import node, returned
from payments.payout import bump, chain, dispatch, engine, mempool, rounds, signing, store, wallets
from payments.services import bundles, interventions
from payments.services import signing as service
from payments.signer import bundle
from payments.states import PaymentStatus, PayoutStatus
from tests.regtest.ministry import use_node
from tests.regtest.treasury import Treasury

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _node(settings: object) -> None:
    use_node(settings)


@pytest.fixture
def treasury() -> Treasury:
    return Treasury.open(2, 3)


def read(payout: Payout) -> Payout:
    return Payout.objects.select_related("current").get(pk=payout.pk)


def states() -> dict[int, str]:
    rows: Any = SigningRequest.objects.with_state()
    return {row.pk: row.state for row in rows}


def raise_fee(payout: Payout, feerate_sat_kvb: int, *, over_pending: bool = False) -> PayoutTx:
    client = node.connect()
    wallets.add_change(payout.wallet, client, 2)
    version = bump.build(payout.pk, feerate_sat_kvb, client, over_pending=over_pending)
    dispatch.advance(payout_id=payout.pk)
    return version


def give_up(treasury: Treasury, payout: Payout) -> PayoutTx:
    """Two people give the payout up, and workers hear the doorbells."""
    ministry = treasury.ministry
    treasurer = treasury.member("treasurer")
    shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="void")
    asked = interventions.propose(
        by=treasurer, payout_id=payout.pk, kind="void", note="Its signers are gone.", shown=shown
    )
    agreed = interventions.approve(by=ministry.approver, intervention_id=asked.pk, note="I looked.")
    dispatch.intervene(intervention_id=agreed.pk)
    dispatch.advance(payout_id=payout.pk)
    version = read(payout).current
    assert version is not None
    return version


class TestBump:
    def test_goes_through_a_request_of_its_own(self, treasury: Treasury) -> None:
        payout, first = treasury.seal()
        treasury.sign(first, 0, 1)
        assert read(payout).status == PayoutStatus.SENT
        version = raise_fee(payout, 9_000)
        second = treasury.request(payout)
        assert (second.version_id, states()) == (version.pk, {first.pk: "signed", second.pk: "waiting"})
        # The original stays before the node meanwhile, and goes on being offered.
        assert node.connect().mempool_has(first.version.txid)
        treasury.sign(second, 2, 1)
        assert node.connect().mempool_has(version.txid)
        assert not node.connect().mempool_has(first.version.txid)
        treasury.ministry.mine(6)
        assert (read(payout).status, read(payout).mined_txid) == (PayoutStatus.SETTLED, version.txid)
        (run,) = reconcile(scope=treasury.ministry.program.scope, now=timezone.now())
        assert (run.status, run.reason) == ("clean", "")
        treasury.ministry.judge(exactly=True)

    def test_over_one_that_waits_leaves_both_to_be_signed(self, treasury: Treasury) -> None:
        payout, first = treasury.seal()
        treasury.sign(first, 0)
        version = raise_fee(payout, 9_000, over_pending=True)
        second = treasury.request(payout)
        assert states() == {first.pk: "superseded", second.pk: "waiting"}
        # The older one is complete first: its bytes are stored and sent, and the newer one may still replace it.
        treasury.sign(first, 1)
        assert states() == {first.pk: "signed", second.pk: "waiting"}
        assert (read(payout).status, read(payout).current_id) == (PayoutStatus.SENT, version.pk)
        assert node.connect().mempool_has(first.version.txid)
        treasury.sign(second, 0, 1)
        assert node.connect().mempool_has(version.txid)
        treasury.ministry.mine(6)
        assert read(payout).status == PayoutStatus.SETTLED
        treasury.ministry.judge(exactly=True)

    def test_over_one_that_waits_is_asked_for_by_a_person(self, treasury: Treasury) -> None:
        payout, first = treasury.seal()
        by = treasury.member("treasurer")
        asks = {"by": by, "payout_id": payout.pk, "kind": "bump", "feerate_sat_kvb": 9_000}
        with pytest.raises(bump.VersionPending):
            interventions.preview(**asks)
        wallets.add_change(payout.wallet, node.connect(), 2)
        shown = interventions.preview(**asks, over_pending=True)
        assert shown["over_pending"] is True
        asked = interventions.propose(
            by=by, payout_id=payout.pk, kind="bump", note="They sign slowly.", shown=shown
        )
        if asked.needs_second:
            interventions.approve(by=treasury.ministry.approver, intervention_id=asked.pk)
        dispatch.intervene(intervention_id=asked.pk)
        dispatch.advance(payout_id=payout.pk)
        asked.refresh_from_db()
        second = treasury.request(payout)
        assert (asked.status, asked.version_id) == ("done", second.version_id)
        assert states() == {first.pk: "superseded", second.pk: "waiting"}
        treasury.sign(second, 0, 1)
        assert read(payout).status == PayoutStatus.SENT

    def test_that_is_signed_first_closes_the_older_request(self, treasury: Treasury) -> None:
        payout, first = treasury.seal()
        treasury.sign(first, 0)
        raise_fee(payout, 9_000, over_pending=True)
        second = treasury.request(payout)
        treasury.sign(second, 0, 1)
        assert states() == {first.pk: "closed", second.pk: "signed"}
        with pytest.raises(service.SigningRequestClosed):
            treasury.sign(first, 1)
        assert first.signatures.count() == 1
        assert read(payout).status == PayoutStatus.SENT


class TestVoid:
    def test_of_an_abandoned_one_is_signed_in_a_request_of_its_own(self, treasury: Treasury) -> None:
        payout, first = treasury.seal()
        treasury.sign(first, 0)
        version = give_up(treasury, payout)
        second = treasury.request(payout)
        assert (second.version_id, version.kind) == (version.pk, PayoutTxKind.VOID)
        assert states() == {first.pk: "closed", second.pk: "waiting"}
        with pytest.raises(service.SigningRequestClosed):
            treasury.sign(first, 1)
        with pytest.raises(service.SigningRequestClosed):
            service.download(by=treasury.carrier, request_id=first.pk)
        assert service.list_waiting(by=treasury.carrier) == [second.pk]
        assert bundle.load(bundles.make(by=treasury.carrier, request_id=second.pk)).kind == "void"
        treasury.sign(second, 1, 2)
        assert node.connect().mempool_has(version.txid)
        treasury.ministry.mine(1)
        assert read(payout).status == PayoutStatus.VOIDING
        treasury.ministry.mine(99)
        assert read(payout).status == PayoutStatus.VOIDED
        assert set(Payment.objects.values_list("status", flat=True)) == {PaymentStatus.VOIDED}
        assert PayoutTx.objects.get(pk=first.version_id).raw is None
        (run,) = reconcile(scope=treasury.ministry.program.scope, now=timezone.now())
        assert (run.status, run.reason) == ("clean", "")

    def test_that_comes_too_late_for_a_signer_who_sends_by_themselves(self, treasury: Treasury) -> None:
        """Signatures that were given cannot be taken back: the payout is mined, and the void's request is closed."""
        payout, first = treasury.seal()
        give_up(treasury, payout)
        second = treasury.request(payout)
        send_elsewhere(treasury, first)
        treasury.ministry.mine(1)
        assert read(payout).status == PayoutStatus.MINED
        assert states() == {first.pk: "signed", second.pk: "closed"}
        treasury.ministry.mine(5)
        assert read(payout).status == PayoutStatus.SETTLED
        treasury.ministry.judge(exactly=True)


class TestSender:
    def test_may_be_a_signer_who_does_not_give_the_tx_back(self, treasury: Treasury) -> None:
        payout, request = treasury.seal()
        send_elsewhere(treasury, request)
        treasury.ministry.mine(1)
        found = read(payout)
        assert (found.status, found.mined_txid) == (PayoutStatus.MINED, request.version.txid)
        assert states() == {request.pk: "signed"}
        request.refresh_from_db()
        assert request.completed_at is not None
        treasury.ministry.mine(5)
        (run,) = reconcile(scope=treasury.ministry.program.scope, now=timezone.now())
        assert (run.status, run.reason) == ("clean", "")
        treasury.ministry.judge(exactly=True)

    def test_of_a_newer_version_than_we_have_signed_is_no_stranger(self, treasury: Treasury) -> None:
        payout, first = treasury.seal()
        treasury.sign(first, 0, 1)
        version = raise_fee(payout, 9_000)
        send_elsewhere(treasury, treasury.request(payout))
        assert not node.connect().mempool_has(first.version.txid)
        for _ in range(2):
            Payout.objects.update(due_at=None)
            dispatch.advance(payout_id=payout.pk)
        found = read(payout)
        assert found.status == PayoutStatus.SENT
        assert found.problem == f"The node keeps another version, {version.txid}."
        # Nothing of it was forgotten: it rests as long as any payout.
        mempool.offer_forgotten(node.connect())
        assert read(payout).offers == found.offers > 0
        assert Alarm.objects.count() == 0
        treasury.ministry.mine(6)
        found = read(payout)
        assert (found.status, found.mined_txid) == (PayoutStatus.SETTLED, version.txid)
        treasury.ministry.judge(exactly=True)


class TestDeadline:
    def test_sounds_an_alarm_until_it_is_signed(self, treasury: Treasury) -> None:
        payout, request = treasury.seal()
        made = request.deadline_at - request.created_at
        assert timedelta(seconds=172_799) < made < timedelta(seconds=172_801)
        rounds.sweep()
        assert Alarm.objects.filter(code="signing_overdue").count() == 0
        SigningRequest.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        treasury.sign(request, 0)
        rounds.sweep()
        assert states() == {request.pk: "overdue"}
        alarm = Alarm.objects.get(code="signing_overdue")
        assert (alarm.subject, alarm.subject_id, alarm.program) == (
            "payout",
            payout.pk,
            treasury.ministry.program,
        )
        assert alarm.closed_at is None
        assert "has 1 of 2 signatures" in alarm.message
        rounds.sweep()
        alarm.refresh_from_db()
        assert (Alarm.objects.filter(code="signing_overdue").count(), alarm.times) == (1, 1)
        treasury.sign(request, 1)
        alarm.refresh_from_db()
        assert (alarm.closed_at is None, alarm.close_note) == (False, "It is signed.")
        assert read(payout).status == PayoutStatus.SENT

    def test_of_what_is_given_up_passes_to_the_void(self, treasury: Treasury) -> None:
        payout, first = treasury.seal()
        SigningRequest.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        rounds.sweep()
        give_up(treasury, payout)
        second = treasury.request(payout)
        rounds.sweep()
        alarm = Alarm.objects.get(code="signing_overdue")
        assert alarm.close_note == "Nothing of it waits for signers any more."
        assert states() == {first.pk: "closed", second.pk: "waiting"}
        SigningRequest.objects.filter(pk=second.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))
        rounds.sweep()
        assert f"Signing request {second.pk}" in Alarm.objects.get(closed_at=None).message


class Killed(BaseException):
    """The worker's end, where a test wants it."""


class TestKills:
    @pytest.mark.parametrize("point", ["K8", "K9", "K10", "K11", "K12"])
    def test_at_each_point_leave_one_request_and_one_tx(self, treasury: Treasury, point: str) -> None:
        released = treasury.ministry.release([500_000, 50_000])
        dispatch.seal(disbursement_id=released.pk)
        (payout,) = treasury.ministry.payouts(released)
        client = node.connect()

        def fail(found: str) -> None:
            if found == point:
                raise Killed

        def visit() -> None:
            """Die at the point if it is reached; the lease that the dead worker held is over."""
            try:
                engine.advance(
                    payout.pk,
                    store=store.PostgresStore(),
                    chain=chain.NodeChain(client, payout.pk),
                    failpoint=fail,
                )
            except Killed:
                Payout.objects.filter(pk=payout.pk).update(lease_until=None)

        visit()
        dispatch.advance(payout_id=payout.pk)
        request = SigningRequest.objects.get()
        for number in (0, 1):
            data = treasury.people[number].sign(request.psbt).encode()
            service.upload(by=treasury.carrier, request_id=request.pk, data=data)
            visit()
        for _ in range(2):
            dispatch.advance(payout_id=payout.pk)
        assert (read(payout).status, SigningRequest.objects.count()) == (PayoutStatus.SENT, 1)
        treasury.ministry.mine(6)
        assert read(payout).status == PayoutStatus.SETTLED
        assert PayoutTx.objects.count() == 1
        sealed = StatusChange.objects.filter(subject="payout", new=PayoutStatus.SIGNED)
        assert sealed.count() == 1
        treasury.ministry.judge(exactly=True)


def send_elsewhere(treasury: Treasury, request: SigningRequest) -> None:
    """Two signers finalize the tx between them, and send it by a node of their own."""
    sent = signing.sent_of(treasury.ministry.program.wallet, request.version)
    both = treasury.people[2].sign(treasury.people[0].sign(request.psbt))
    raw = returned.finalize(sent, returned.read(both.encode(), sent))
    assert treasury.ministry.miner.node.call("sendrawtransaction", raw.hex()) == request.version.txid
