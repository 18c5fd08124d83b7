"""S1 with signers elsewhere: a worker killed at each point while it asks for signatures, gathers them, sends, bumps, voids.

Between two visits of workers lie hands and days; whatever dies on the way, one request stands for each version, signatures
that came in stay, and everybody is paid once or given up once.
"""

import pytest
from django.contrib.auth.models import User

from payments.models import Intervention, Payment, Payout, PayoutTx, SigningRequest, StatusChange
from payments.payout import dispatch
from payments.services import bundles, interventions
from payments.services import signing as service
from payments.signer import bundle
from payments.states import InterventionStatus, PaymentStatus, PayoutStatus
from tests.faults.killing import Child, kill_at
from tests.faults.test_kill_points import expire_leases
from tests.regtest.ministry import use_node
from tests.regtest.test_wallet_coins import RATES, assert_clean, give_many
from tests.regtest.treasury import Treasury

pytestmark = pytest.mark.django_db(transaction=True)

# Where a visit dies: before anybody was asked, and once all have signed.
ASKING = ["K8", "K9"]
SENDING = ["K9", "K10", "K11", "K12"]
# A bump has points of its own for signing and sending.
BUMPING = ["K15", "K10", "K16", "K12"]


@pytest.fixture
def treasury(settings: object) -> Treasury:
    use_node(settings)
    return Treasury.open(2, 3)


@pytest.fixture
def treasurer(treasury: Treasury) -> User:
    return treasury.member("treasurer")


def sealed(treasury: Treasury) -> Payout:
    """A list whose payout nobody has looked at yet."""
    released = treasury.ministry.release([500_000, 50_000])
    dispatch.seal(disbursement_id=released.pk)
    return Payout.objects.get(disbursement=released)


def bring(treasury: Treasury, request: SigningRequest, *numbers: int) -> None:
    """Signers sign, and what they return is stored; no worker has heard of it yet."""
    for number in numbers:
        data = treasury.people[number].sign(request.psbt).encode()
        service.upload(by=treasury.carrier, request_id=request.pk, data=data)


def visit(payout: Payout) -> Payout:
    """A worker that lives comes by."""
    expire_leases()
    dispatch.advance(payout_id=payout.pk)
    return Payout.objects.get(pk=payout.pk)


def kill_visit(payout: Payout, point: str) -> None:
    """A worker comes by once the leases of the dead are over, and is killed at the point."""
    expire_leases()
    kill_at(point, lambda: dispatch.advance(payout_id=payout.pk))


def ask(treasury: Treasury, treasurer: User, payout: Payout, kind: str, feerate: int | None) -> Intervention:
    """Two people agree to a bump, a child or a void."""
    asked = {"payout_id": payout.pk, "kind": kind}
    shown = interventions.preview(by=treasurer, **asked, feerate_sat_kvb=feerate)
    found = interventions.propose(by=treasurer, **asked, note="It must go on.", shown=shown)
    if found.status == InterventionStatus.PROPOSED:
        found = interventions.approve(by=treasury.ministry.approver, intervention_id=found.pk, note="Yes.")
    return found


def settle(treasury: Treasury, payout: Payout) -> None:
    """Blocks bury it, and everything is judged."""
    treasury.ministry.mine(6)
    payout.refresh_from_db()
    assert payout.status == PayoutStatus.SETTLED
    assert (
        StatusChange.objects.filter(subject="payout", new=PayoutStatus.SIGNED, subject_id=payout.pk).count()
        == 1
    )
    treasury.ministry.judge(exactly=True)


class TestPayout:
    @pytest.mark.parametrize("point", ASKING)
    def test_killed_while_it_asks_leaves_one_request(self, point: str, treasury: Treasury) -> None:
        payout = sealed(treasury)
        kill_visit(payout, point)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.COMMITTED
        assert SigningRequest.objects.count() == (point == "K9")
        assert visit(payout).status == PayoutStatus.COMMITTED
        request = SigningRequest.objects.get()
        bring(treasury, request, 0, 2)
        assert visit(payout).status == PayoutStatus.SENT
        assert SigningRequest.objects.count() == PayoutTx.objects.count() == 1
        settle(treasury, payout)

    @pytest.mark.parametrize("point", SENDING)
    def test_killed_with_all_signatures_sends_the_same_bytes(self, point: str, treasury: Treasury) -> None:
        payout = sealed(treasury)
        visit(payout)
        request = SigningRequest.objects.get()
        bring(treasury, request, 0)
        kill_visit(payout, "K9")
        bring(treasury, request, 1)
        kill_visit(payout, point)
        assert request.signatures.count() == 2
        stored = PayoutTx.objects.get().raw
        assert (stored is None) is (point == "K9")
        assert visit(payout).status == PayoutStatus.SENT
        version = PayoutTx.objects.get()
        assert stored in (None, version.raw)
        assert treasury.ministry.miner.node.call("getrawmempool") == [version.txid]
        settle(treasury, payout)

    @pytest.mark.parametrize("point", SENDING)
    def test_stopped_past_its_lease_changes_nothing_when_it_wakes(
        self, point: str, treasury: Treasury
    ) -> None:
        payout = sealed(treasury)
        visit(payout)
        bring(treasury, SigningRequest.objects.get(), 0, 1)
        child = Child(lambda: dispatch.advance(payout_id=payout.pk), point)
        assert child.wait_for_stop()
        assert visit(payout).status == PayoutStatus.SENT
        stored = PayoutTx.objects.get().raw
        assert child.wake() == 0
        assert PayoutTx.objects.get().raw == stored
        assert treasury.ministry.miner.node.call("getrawmempool") == [PayoutTx.objects.get().txid]
        settle(treasury, payout)


class TestBump:
    """K14 to K16 as the intervention of a person, which signers elsewhere sign."""

    def sent(self, treasury: Treasury) -> Payout:
        payout = sealed(treasury)
        visit(payout)
        bring(treasury, SigningRequest.objects.get(), 0, 1)
        assert visit(payout).status == PayoutStatus.SENT
        return payout

    def test_killed_once_it_is_written_asks_for_its_signatures_once(
        self, treasury: Treasury, treasurer: User
    ) -> None:
        payout = self.sent(treasury)
        agreed = ask(treasury, treasurer, payout, "bump", 9_000)
        kill_at("K14", lambda: dispatch.intervene(intervention_id=agreed.pk))
        agreed.refresh_from_db()
        assert (agreed.status, PayoutTx.objects.count()) == (InterventionStatus.DONE, 2)
        expire_leases()
        dispatch.intervene(intervention_id=agreed.pk)
        assert PayoutTx.objects.count() == 2
        visit(payout)
        self.sign_and_settle(treasury, payout)

    @pytest.mark.parametrize("point", BUMPING)
    def test_killed_while_it_is_signed_and_sent_pays_once(
        self, point: str, treasury: Treasury, treasurer: User
    ) -> None:
        payout = self.sent(treasury)
        agreed = ask(treasury, treasurer, payout, "bump", 9_000)
        dispatch.intervene(intervention_id=agreed.pk)
        kill_visit(payout, "K15")
        request = treasury.request(payout)
        bring(treasury, request, 2)
        kill_visit(payout, "K15")
        bring(treasury, request, 1)
        kill_visit(payout, point)
        visit(payout)
        self.sign_and_settle(treasury, payout, is_signed=True)

    def sign_and_settle(self, treasury: Treasury, payout: Payout, *, is_signed: bool = False) -> None:
        request = treasury.request(payout)
        assert (SigningRequest.objects.count(), request.version.kind) == (2, "bump")
        if not is_signed:
            bring(treasury, request, 2, 0)
            visit(payout)
        assert treasury.ministry.miner.node.call("getrawmempool") == [request.version.txid]
        settle(treasury, payout)


class TestVoid:
    @pytest.mark.parametrize("point", ["K14-planned", "K14"])
    def test_killed_while_it_is_written_is_written_once(
        self, point: str, treasury: Treasury, treasurer: User
    ) -> None:
        payout = sealed(treasury)
        visit(payout)
        bring(treasury, SigningRequest.objects.get(), 0)
        agreed = ask(treasury, treasurer, payout, "void", None)
        kill_at(point, lambda: dispatch.intervene(intervention_id=agreed.pk))
        assert PayoutTx.objects.filter(kind="void").count() == (point == "K14")
        expire_leases()
        for _ in range(2):
            dispatch.intervene(intervention_id=agreed.pk)
        agreed.refresh_from_db()
        assert (agreed.status, agreed.version) == (
            InterventionStatus.DONE,
            PayoutTx.objects.get(kind="void"),
        )
        self.give_up(treasury, payout)

    @pytest.mark.parametrize("point", SENDING)
    def test_killed_while_it_is_signed_and_sent_gives_up_once(
        self, point: str, treasury: Treasury, treasurer: User
    ) -> None:
        payout = sealed(treasury)
        visit(payout)
        bring(treasury, SigningRequest.objects.get(), 0)
        agreed = ask(treasury, treasurer, payout, "void", None)
        dispatch.intervene(intervention_id=agreed.pk)
        kill_visit(payout, "K9")
        bring(treasury, treasury.request(payout), 1, 2)
        kill_visit(payout, point)
        self.give_up(treasury, payout)

    def give_up(self, treasury: Treasury, payout: Payout) -> None:
        assert visit(payout).status == PayoutStatus.VOIDING
        request = treasury.request(payout)
        assert (SigningRequest.objects.count(), request.version.kind) == (2, "void")
        if request.signatures.count() == 0:
            bring(treasury, request, 1, 2)
            visit(payout)
        assert treasury.ministry.miner.node.call("getrawmempool") == [request.version.txid]
        treasury.ministry.mine(100)
        assert Payout.objects.get().status == PayoutStatus.VOIDED
        assert set(Payment.objects.values_list("status", flat=True)) == {PaymentStatus.VOIDED}
        assert PayoutTx.objects.exclude(kind="void").get().raw is None
        treasury.ministry.judge(exactly=False)


class TestChild:
    @pytest.mark.parametrize("point", ["K14", "K8", "K9", "K10", "K11", "K12"])
    def test_killed_anywhere_pays_for_its_parent_once(
        self, point: str, treasury: Treasury, treasurer: User
    ) -> None:
        payout = sealed(treasury)
        visit(payout)
        bring(treasury, SigningRequest.objects.get(), 0, 1)
        assert visit(payout).status == PayoutStatus.SENT
        agreed = ask(treasury, treasurer, payout, "child", 9_000)
        if point == "K14":
            kill_at(point, lambda: dispatch.intervene(intervention_id=agreed.pk))
        expire_leases()
        dispatch.intervene(intervention_id=agreed.pk)
        child = Payout.objects.get(kind="child")
        if point == "K8":
            kill_visit(child, point)
        visit(child)
        request = treasury.request(child)
        bring(treasury, request, 2, 0)
        if point in SENDING:
            kill_visit(child, point)
        assert visit(child).status == PayoutStatus.SENT
        assert SigningRequest.objects.count() == PayoutTx.objects.count() == 2
        pool = treasury.ministry.miner.node.call("getrawmempool")
        assert set(pool) == set(PayoutTx.objects.values_list("txid", flat=True))
        settle(treasury, child)
        settle(treasury, payout)


class TestConsolidation:
    @pytest.mark.parametrize("point", ["K8", *SENDING])
    def test_killed_anywhere_merges_once(self, point: str, settings: object) -> None:
        use_node(settings)
        rules = {"consolidate_feerate_sat_kvb": 2_000, "consolidate_budget_daily_sat": 50_000}
        treasury = Treasury.open(2, 3, deposits_sat=[5_000_000], **RATES, **rules)
        ministry = treasury.ministry
        give_many(ministry, [5_000 + n for n in range(30)])
        dispatch.consolidate(wallet_id=ministry.program.wallet.pk)
        merging = Payout.objects.get(kind="consolidation")
        if point == "K8":
            kill_visit(merging, point)
        visit(merging)
        request = SigningRequest.objects.get()
        assert bundle.load(bundles.make(by=treasury.carrier, request_id=request.pk)).kind == "consolidation"
        bring(treasury, request, 0, 1)
        if point in SENDING:
            kill_visit(merging, point)
        assert visit(merging).status == PayoutStatus.SENT
        assert SigningRequest.objects.count() == PayoutTx.objects.count() == 1
        assert ministry.miner.node.call("getrawmempool") == [request.version.txid]
        settle(treasury, merging)
        assert_clean(ministry)
        # What was merged is signed for again.
        payout = sealed(treasury)
        visit(payout)
        bring(treasury, treasury.request(payout), 1, 2)
        assert visit(payout).status == PayoutStatus.SENT
        settle(treasury, payout)
