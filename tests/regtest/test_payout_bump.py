"""Fee bumps on a real node: what is replaced, which version confirms, and that books and coins follow that one."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from govpay.errors import GovPayError
from ledger import books
from ledger.reconciliation.service import reconcile
from payments.models import Payout, PayoutTx, PayoutTxKind, Program, Reservation, Stop, Wallet
from payments.onchain import node, tx
from payments.payout import bump, caps, child, dispatch, failpoint, feerate, guard, lease, store
from payments.states import PayoutStatus
from tests.regtest.ministry import Ministry, use_node
from tests.regtest.treasury import Treasury

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = [40_000, 50_000, 60_000]


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000, 400_000])


@pytest.fixture
def client(ministry: Ministry) -> Iterator[node.Node]:
    found = node.connect()
    yield found
    found.close()


def send(ministry: Ministry, amounts_sat: list[int]) -> Payout:
    """Pay a list; its payout waits in the memory pool."""
    (payout,) = ministry.pay(ministry.release(amounts_sat))
    assert payout.status == PayoutStatus.SENT
    return payout


def raise_fee(payout: Payout, feerate_sat_kvb: int, **how: bool) -> PayoutTx:
    """Bump by the engine's own call, and let a worker sign and send what came of it."""
    client = node.connect()
    try:
        version = bump.build(payout.pk, feerate_sat_kvb, client, **how)
    finally:
        client.close()
    dispatch.advance(payout_id=payout.pk)
    payout.refresh_from_db()
    return PayoutTx.objects.get(pk=version.pk)


def hot_wallet_sat(ministry: Ministry) -> int:
    trial = books.trial_balance(scope=ministry.program.scope)
    assert trial.is_balanced
    return next(a.balance for a in trial.accounts if a.code.split(":")[1] == "HotWallet")


def require_clean(ministry: Ministry) -> None:
    (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
    assert (run.status, run.reason) == ("clean", "")


def state(payout: Payout) -> tuple[Any, ...]:
    """What must not move when a bump is refused."""
    payout.refresh_from_db()
    return (
        payout.status,
        payout.current_id,
        payout.lease_until,
        list(payout.txs.order_by("pk").values_list("txid", flat=True)),
        payout.reservations.count(),
        payout.booked_fee_sat,
    )


class TestBump:
    def test_replaces_the_tx_in_the_memory_pool_and_pays_the_same_people(self, ministry: Ministry) -> None:
        payout = send(ministry, PEOPLE)
        old = payout.current
        new = raise_fee(payout, 10_000)
        assert ministry.miner.node.call("getrawmempool") == [new.txid]
        before, after = (tx.parse(bytes(version.raw)) for version in (old, new))
        assert after.outputs[:3] == before.outputs[:3]
        assert after.inputs == before.inputs
        assert (new.kind, new.fee_added_sat) == (PayoutTxKind.BUMP, new.fee_sat - old.fee_sat)
        assert new.change_sat == old.change_sat - new.fee_added_sat
        assert after.vsize - (new.fee_sat * 1000 // 10_000) in (0, -1)
        assert (payout.status, payout.current, payout.problem) == (PayoutStatus.SENT, new, "")
        assert payout.sent_height == ministry.miner.node.call("getblockcount")
        assert hot_wallet_sat(ministry) == 1_400_000 - sum(PEOPLE) - new.fee_sat
        ministry.mine(6)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, new.txid)
        ministry.judge(exactly=True)
        require_clean(ministry)

    def test_is_shown_before_it_is_built(self, ministry: Ministry, client: node.Node) -> None:
        payout = send(ministry, PEOPLE)
        before = state(payout)
        shown = bump.preview(payout.pk, 10_000, client)
        assert state(payout) == before
        old = payout.current
        new = raise_fee(payout, 10_000)
        assert shown == {
            "old_txid": old.txid,
            "old_fee_sat": old.fee_sat,
            "old_vsize_vb": old.vsize_vb,
            "old_feerate_sat_kvb": old.feerate_sat_kvb,
            "old_change_sat": old.change_sat,
            "new_fee_sat": new.fee_sat,
            "new_vsize_vb": shown["new_vsize_vb"],
            "new_feerate_sat_kvb": new.feerate_sat_kvb,
            "new_change_sat": new.change_sat,
            "fee_added_sat": new.fee_sat - old.fee_sat,
            "added_inputs": [],
            "evicted_fee_sat": old.fee_sat,
            "needs_second_person": False,
        }
        # A signature is a byte shorter than the bound half of the time.
        assert shown["new_vsize_vb"] - new.vsize_vb in (0, 1)

    def test_that_adds_more_than_the_limit_needs_a_second_person(
        self, ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry, PEOPLE)
        added = bump.preview(payout.pk, 10_000, client)["fee_added_sat"]
        for limit_sat, is_needed in ((added - 1, True), (added, False)):
            Program.objects.update(bump_alone_limit_sat=limit_sat)
            assert bump.preview(payout.pk, 10_000, client)["needs_second_person"] is is_needed

    def test_adds_a_confirmed_coin_when_the_change_cannot_pay_and_keeps_change(
        self, settings: object
    ) -> None:
        """F29: the added coin's rest comes back to us."""
        use_node(settings)
        low = Ministry.open(deposits_sat=[100_000, 300_000], code="LOW", coins_wanted=1)
        payout = send(low, [98_000])
        assert payout.current.change_sat < 2_000
        new = raise_fee(payout, 30_000)
        assert ministry_pool(low) == [new.txid]
        stored = tx.parse(bytes(new.raw))
        assert [str(outpoint) for outpoint in stored.inputs] == [
            f"{row.txid}:{row.vout}" for row in payout.reservations.order_by("position")
        ]
        assert list(payout.reservations.order_by("position").values_list("is_original", "amount_sat")) == [
            (True, 100_000),
            (False, 300_000),
        ]
        assert new.change_sat == 400_000 - 98_000 - new.fee_sat
        low.mine(6)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, new.txid)
        low.judge(exactly=True)
        require_clean(low)

    def test_costs_no_query_a_payment(self, settings: object) -> None:
        use_node(settings)
        counts = []
        for code, people in (("FEW", 5), ("MANY", 500)):
            big = Ministry.open(deposits_sat=[9_000_000], code=code)
            payout = send(big, [10_000] * people)
            client = node.connect()
            with CaptureQueriesContext(
                connection,
            ) as queries:
                bump.build(payout.pk, 5_000, client)
            client.close()
            counts.append(len(queries))
            dispatch.advance(payout_id=payout.pk)
            big.mine(1)
        assert counts[0] == counts[1]

    def test_twice_keeps_every_input_and_costs_more_each_time(self, ministry: Ministry) -> None:
        payout = send(ministry, PEOPLE)
        first, second = raise_fee(payout, 5_000), raise_fee(payout, 9_000)
        assert ministry_pool(ministry) == [second.txid]
        assert set(tx.inputs_of(bytes(first.raw))) <= set(tx.inputs_of(bytes(second.raw)))
        assert payout.current == second
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean(ministry)


def ministry_pool(ministry: Ministry) -> list[str]:
    return list(ministry.miner.node.call("getrawmempool"))


class TestTheOriginal:
    def test_that_was_replaced_may_be_the_one_that_confirms(self, ministry: Ministry) -> None:
        """F27: books, status, change and the added reservation follow the version in the block."""
        payout = send(ministry, PEOPLE)
        old = payout.current
        new = raise_fee(payout, 12_000)
        assert hot_wallet_sat(ministry) == 1_400_000 - sum(PEOPLE) - new.fee_sat
        ministry.miner.mine_only([bytes(old.raw).hex()])
        ministry.mine(0)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.MINED, old.txid)
        assert hot_wallet_sat(ministry) == 1_400_000 - sum(PEOPLE) - old.fee_sat
        assert payout.booked_fee_sat == old.fee_sat
        require_clean(ministry)
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)
        require_clean(ministry)

    def test_that_confirms_while_its_bump_is_built_wins(self, ministry: Ministry, client: node.Node) -> None:
        """F28: the block comes between the bump and its signature."""
        payout = send(ministry, PEOPLE)
        old = payout.current
        new = bump.build(payout.pk, 12_000, client)
        ministry.miner.mine(1)
        dispatch.advance(payout_id=payout.pk)
        ministry.mine(0)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid, payout.current_id) == (PayoutStatus.MINED, old.txid, new.pk)
        assert payout.booked_fee_sat == old.fee_sat
        dispatch.advance(payout_id=payout.pk)
        ministry.mine(5)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        assert hot_wallet_sat(ministry) == 1_400_000 - sum(PEOPLE) - old.fee_sat
        ministry.judge(exactly=True)
        require_clean(ministry)

    def test_that_is_final_frees_the_coin_that_the_bump_added(self, settings: object) -> None:
        use_node(settings)
        low = Ministry.open(deposits_sat=[100_000, 300_000], code="LOW", coins_wanted=1)
        payout = send(low, [98_000])
        old = payout.current
        raise_fee(payout, 30_000)
        low.miner.mine_only([bytes(old.raw).hex()])
        low.mine(98)
        added = Reservation.objects.get(payout=payout, is_original=False)
        assert added.is_live
        low.mine(1)
        added.refresh_from_db()
        assert not added.is_live
        low.judge(exactly=True)
        require_clean(low)


class TestRefusal:
    @pytest.mark.parametrize(
        ("feerate_sat_kvb", "wrong"),
        [(0, "below"), (-1, "below"), (999, "below"), (50_001, "above"), (10**12, "above")],
    )
    def test_of_a_feerate_outside_its_bounds(
        self, feerate_sat_kvb: int, wrong: str, ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry, PEOPLE)
        before = state(payout)
        for call in (bump.preview, bump.build):
            with pytest.raises(feerate.FeerateRefused, match=wrong) as caught:
                call(payout.pk, feerate_sat_kvb, client)
            assert (caught.value.code, caught.value.details["ceiling_sat_kvb"]) == ("feerate_refused", 50_000)
        assert state(payout) == before

    def test_of_a_feerate_that_no_node_would_take(self, ministry: Ministry, client: node.Node) -> None:
        payout = send(ministry, PEOPLE)
        before = state(payout)
        with pytest.raises(bump.BumpTooLow) as caught:
            bump.build(payout.pk, 2_100, client)
        assert state(payout) == before
        least = caught.value.details["least_feerate_sat_kvb"]
        assert least == 3_000
        assert ministry_pool(ministry) == [payout.current.txid]
        assert ministry_pool(ministry) != [raise_fee(payout, least).txid, payout.current.txid]

    @pytest.mark.parametrize("blocks", [1, 6])
    def test_of_a_payout_that_a_block_holds(self, blocks: int, ministry: Ministry, client: node.Node) -> None:
        payout = send(ministry, PEOPLE)
        ministry.mine(blocks)
        before = state(payout)
        with pytest.raises(bump.PayoutNotBumpable) as caught:
            bump.build(payout.pk, 10_000, client)
        assert (caught.value.code, caught.value.details) == ("payout_not_bumpable", {"status": "mined"})
        assert state(payout) == before

    @pytest.mark.parametrize("status", ["sealed", "frozen", "voiding", "voided", "unsealed"])
    def test_of_a_payout_that_is_not_on_its_way(
        self, status: str, ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry, PEOPLE)
        Payout.objects.filter(pk=payout.pk).update(status=status)
        before = state(payout)
        with pytest.raises(bump.PayoutNotBumpable) as caught:
            bump.build(payout.pk, 10_000, client)
        assert caught.value.details == {"status": status}
        assert state(payout) == before

    @pytest.mark.parametrize(
        ("rule", "refusal"),
        [
            ({"fee_share_ceiling_bps": 150}, caps.FeeOverShare),
            ({"fee_budget_daily_sat": 2_000}, caps.FeeOverBudget),
        ],
    )
    def test_of_a_fee_over_the_programs_caps(
        self, rule: dict[str, int], refusal: type[GovPayError], ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry, PEOPLE)
        Program.objects.update(**rule)
        before = state(payout)
        with pytest.raises(refusal) as caught:
            bump.build(payout.pk, 12_000, client)
        assert state(payout) == before
        assert (
            caught.value.code
            == {"FeeOverShare": "fee_over_share", "FeeOverBudget": "fee_over_budget"}[refusal.__name__]
        )

    def test_of_a_fee_over_what_the_approver_agreed_to(self, ministry: Ministry, client: node.Node) -> None:
        payout = send(ministry, PEOPLE)
        needed = bump.preview(payout.pk, 12_000, client)["new_fee_sat"]
        payout.disbursement.fee_reserved_sat = needed - 1
        payout.disbursement.save()
        before = state(payout)
        with pytest.raises(caps.FeeOverReserve) as caught:
            bump.build(payout.pk, 12_000, client)
        assert caught.value.details["reserved_sat"] == needed - 1
        assert state(payout) == before
        payout.disbursement.fee_reserved_sat = needed
        payout.disbursement.save()
        assert raise_fee(payout, 12_000).fee_sat == needed

    def test_while_the_engine_is_stopped_or_the_wallet_is_halted(
        self, ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry, PEOPLE)
        before = state(payout)
        stop = Stop.objects.create(thrown_by=ministry.officer, reason="A rehearsal.")
        with pytest.raises(guard.EngineStopped):
            bump.build(payout.pk, 10_000, client)
        stop.delete()
        Wallet.objects.update(
            halted_at=timezone.now(), halt_code="stranger_spent", halt_reason="A rehearsal."
        )
        with pytest.raises(guard.WalletHalted):
            bump.build(payout.pk, 10_000, client)
        assert state(payout) == before

    def test_while_a_worker_is_at_the_payout(self, ministry: Ministry, client: node.Node) -> None:
        payout = send(ministry, PEOPLE)
        token = store.PostgresStore().lease(payout.pk)
        assert token is not None
        with pytest.raises(lease.PayoutBusy):
            bump.build(payout.pk, 10_000, client)
        store.PostgresStore().unlease(payout.pk, token)
        assert raise_fee(payout, 10_000).kind == PayoutTxKind.BUMP


class Crash(Exception):
    """The worker is gone."""


class TestCrash:
    @pytest.mark.parametrize("point", ["K14", "K15", "K16"])
    def test_at_any_point_of_a_bump_leads_to_one_version_more_and_one_payment_each(
        self, point: str, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payout = send(ministry, PEOPLE)
        hit: list[str] = []

        def crash(at: str) -> None:
            hit.append(at)
            if at == point:
                raise Crash

        with monkeypatch.context() as patched:
            patched.setattr(failpoint, "hit", crash)
            with pytest.raises(Crash):
                raise_fee(payout, 10_000)
        assert hit[-1] == point
        assert payout.txs.count() == 2
        newest = payout.txs.latest("pk")
        assert (newest.raw is not None) is (point == "K16")
        assert (newest.txid in ministry_pool(ministry)) is (point == "K16")
        dispatch.advance(payout_id=payout.pk)
        payout.refresh_from_db()
        assert (payout.current_id, payout.txs.count()) == (newest.pk, 2)
        assert ministry_pool(ministry) == [newest.txid]
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean(ministry)


class TestSignersElsewhere:
    def test_sign_each_bump_and_are_not_overtaken_unless_it_is_asked_for(self, settings: object) -> None:
        use_node(settings)
        treasury = Treasury.open(2, 3)
        payout, request = treasury.seal()
        client = node.connect()
        before = state(payout)
        with pytest.raises(bump.VersionPending) as caught:
            bump.build(payout.pk, 10_000, client)
        assert (caught.value.code, caught.value.details) == (
            "version_pending",
            {"txid": payout.current.txid},
        )
        assert state(payout) == before
        treasury.sign(request, 0, 1)
        old = Payout.objects.get().current
        assert ministry_pool(treasury.ministry) == [old.txid]
        new = raise_fee(payout, 10_000)
        assert new.raw is None
        # Until they have signed, the older version stays before the node.
        assert ministry_pool(treasury.ministry) == [old.txid]
        newer = raise_fee(payout, 15_000, over_pending=True)
        treasury.sign(treasury.request(payout), 1, 2)
        payout.refresh_from_db()
        assert (payout.status, payout.current) == (PayoutStatus.SENT, newer)
        assert ministry_pool(treasury.ministry) == [newer.txid]
        made = child.build(payout.pk, 25_000, client).payout
        client.close()
        dispatch.advance(payout_id=made.pk)
        treasury.sign(treasury.request(made), 0, 2)
        made.refresh_from_db()
        assert (made.status, len(ministry_pool(treasury.ministry))) == (PayoutStatus.SENT, 2)
        treasury.ministry.mine(6)
        treasury.ministry.judge(exactly=True)
        require_clean(treasury.ministry)
