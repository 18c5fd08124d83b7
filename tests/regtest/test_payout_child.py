"""Children that pay for a stuck payout with its change, on a real node: pinned, replaced, reorganized, bumped."""

from collections.abc import Iterator

import pytest
from django.utils import timezone

from deploy.local.regtest import to_btc, to_sat
from ledger import books
from ledger.reconciliation.service import reconcile
from payments.models import Alarm, Destination, Payment, Payout, PayoutKind, PayoutTxKind, Reservation
from payments.onchain import node
from payments.payout import alarms, bump, caps, child, core, dispatch, feerate, hasten, rounds
from payments.selectors import funds
from payments.services import disbursements
from payments.states import PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = [60_000, 50_000, 40_000]
DEPOSITS = [1_000_000, 400_000]


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=DEPOSITS, bump_after_blocks=1)


@pytest.fixture
def client(ministry: Ministry) -> Iterator[node.Node]:
    found = node.connect()
    yield found
    found.close()


def send(ministry: Ministry, amounts_sat: list[int] = PEOPLE) -> Payout:
    """Pay a list whose first payee is somebody with a wallet of their own."""
    made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=amounts_sat)
    payee = Payment.objects.get(disbursement=made, line=1).beneficiary
    address = ministry.miner.make_address()
    script = ministry.miner.wallet.call("getaddressinfo", address)["scriptPubKey"]
    Destination.objects.filter(beneficiary=payee).update(script_pubkey=bytes.fromhex(script))
    disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
    made.refresh_from_db()
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)
    disbursements.release(by=ministry.releaser, disbursement_id=made.pk, manifest_hash=agreed)
    (payout,) = ministry.pay(made)
    assert payout.status == PayoutStatus.SENT
    return payout


def pin(ministry: Ministry, txid: str, amount_sat: int, fee_sat: int) -> str:
    """Hang a tx with this fee on the first output of a tx, as its payee may; return its txid."""
    wallet = ministry.miner.wallet
    back = ministry.miner.make_address()
    raw = wallet.call(
        "createrawtransaction", [{"txid": txid, "vout": 0}], [{back: to_btc(amount_sat - fee_sat)}]
    )
    signed = wallet.call("signrawtransactionwithwallet", raw)
    return str(ministry.miner.node.call("sendrawtransaction", signed["hex"], 0))


def lift(payout: Payout, feerate_sat_kvb: int) -> Payout:
    """Build a child, and let a worker commit, sign and send it."""
    client = node.connect()
    try:
        version = child.build(payout.pk, feerate_sat_kvb, client)
    finally:
        client.close()
    dispatch.advance(payout_id=version.payout_id)
    return Payout.objects.select_related("current").get(pk=version.payout_id)


def package_feerate(ministry: Ministry, txid: str) -> int:
    """What a miner gets for a child with its ancestors."""
    entry = ministry.miner.node.call("getmempoolentry", txid)
    return to_sat(entry["fees"]["ancestor"]) * 1000 // int(entry["ancestorsize"])


def hot_wallet_sat(ministry: Ministry) -> int:
    trial = books.trial_balance(scope=ministry.program.scope)
    assert trial.is_balanced
    return next(a.balance for a in trial.accounts if a.code.split(":")[1] == "HotWallet")


def require_clean(ministry: Ministry) -> None:
    (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
    assert (run.status, run.reason) == ("clean", "")


class TestChild:
    def test_lifts_its_parent_to_the_feerate_and_is_booked_by_its_fee(
        self, ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry)
        free_sat = funds.of_program(ministry.program.pk).available_sat
        shown = child.preview(payout.pk, 12_000, client)
        made = lift(payout, 12_000)
        assert (made.kind, made.parent_id, made.status) == (PayoutKind.CHILD, payout.pk, PayoutStatus.SENT)
        assert (made.payment_count, made.payments_sat, made.disbursement_id) == (0, 0, None)
        assert 12_000 <= package_feerate(ministry, made.current.txid) < 12_100
        assert made.booked_fee_sat == made.current.fee_sat == shown["fee_added_sat"]
        assert shown["new_fee_sat"] == payout.current.fee_sat + made.current.fee_sat
        parent_fee = payout.current.fee_sat
        assert hot_wallet_sat(ministry) == sum(DEPOSITS) - sum(PEOPLE) - parent_fee - made.current.fee_sat
        # It was paid out of what the list had set aside for fees.
        assert funds.of_program(ministry.program.pk).available_sat == free_sat
        require_clean(ministry)
        ministry.mine(6)
        for row in (payout, made):
            row.refresh_from_db()
            assert row.status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)
        require_clean(ministry)

    def test_is_what_the_engine_builds_for_a_payout_that_a_payee_pinned(
        self, ministry: Ministry, client: node.Node
    ) -> None:
        """A30: to replace the payout would pay for the payee's own tx."""
        payout = send(ministry)
        pin(ministry, payout.current.txid, 60_000, 20_000)
        with pytest.raises(bump.BumpTooLow) as caught:
            bump.preview(payout.pk, 12_000, client)
        assert caught.value.details["least_fee_sat"] > 20_000
        ministry.miner.mine_only([])
        ministry.mine(0)
        ministry.program.feerate_floor_sat_kvb = ministry.program.feerate_fallback_sat_kvb = 12_000
        ministry.program.save()
        dispatch.hasten(wallet_id=ministry.program.wallet.pk)
        made = Payout.objects.get(kind=PayoutKind.CHILD)
        dispatch.advance(payout_id=made.pk)
        payout.refresh_from_db()
        assert (payout.txs.count(), made.txs.count()) == (1, 1)
        assert made.current.fee_sat < 4_000
        assert 12_000 <= package_feerate(ministry, made.current.txid) < 12_100
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean(ministry)

    def test_is_not_what_the_engine_builds_where_a_replacement_costs_less(self, ministry: Ministry) -> None:
        payout = send(ministry)
        ministry.miner.mine_only([])
        ministry.mine(0)
        ministry.program.feerate_floor_sat_kvb = ministry.program.feerate_fallback_sat_kvb = 12_000
        ministry.program.save()
        dispatch.hasten(wallet_id=ministry.program.wallet.pk)
        assert Payout.objects.count() == 1
        assert payout.txs.count() == 2

    def test_follows_its_parent_through_a_reorganization(self, ministry: Ministry) -> None:
        payout = send(ministry)
        made = lift(payout, 12_000)
        ministry.mine(2)
        ministry.miner.reorg(2, 3, with_mempool=False)
        ministry.mine(0)
        for row in (payout, made):
            row.refresh_from_db()
            assert (row.status, row.mined_txid) == (PayoutStatus.SENT, None)
        require_clean(ministry)
        for row in (made, payout, made):
            Payout.objects.filter(pk=row.pk).update(due_at=None)
            dispatch.advance(payout_id=row.pk)
        ministry.mine(6)
        for row in (payout, made):
            row.refresh_from_db()
            assert row.status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)
        require_clean(ministry)


class TestTheParent:
    def test_that_confirms_as_another_version_closes_its_child_and_takes_back_its_fee(
        self, ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry)
        original = payout.current
        bump.build(payout.pk, 5_000, client)
        dispatch.advance(payout_id=payout.pk)
        made = lift(payout, 15_000)
        ministry.miner.mine_only([bytes(original.raw).hex()])
        ministry.mine(0)
        payout.refresh_from_db()
        made.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.MINED, original.txid)
        assert (made.status, made.booked_fee_sat) == (PayoutStatus.SENT, 0)
        # It waits for what never comes, and keeps nobody else of the wallet waiting.
        assert hasten.stuck().get() == made
        hasten.raise_stuck(made.wallet_id, client)
        assert made.txs.get() == made.current
        assert hot_wallet_sat(ministry) == sum(DEPOSITS) - sum(PEOPLE) - original.fee_sat
        require_clean(ministry)
        ministry.mine(98)
        made.refresh_from_db()
        assert made.status == PayoutStatus.SENT
        ministry.mine(1)
        made.refresh_from_db()
        assert (made.status, made.booked_fee_sat) == (PayoutStatus.VOIDED, 0)
        assert not Reservation.objects.filter(payout=made, is_live=True).exists()
        ministry.judge(exactly=True)
        require_clean(ministry)

    def test_that_confirms_as_another_version_leaves_a_child_that_calls_nobody_until_it_is_taken_back(
        self, ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry)
        original = payout.current
        bump.build(payout.pk, 5_000, client)
        dispatch.advance(payout_id=payout.pk)
        made = lift(payout, 15_000)
        alarms.sound("payout_stuck", subject="payout", subject_id=made.pk, message="The node was away.")
        block_hash = ministry.miner.mine_only([bytes(original.raw).hex()])
        ministry.mine(0)
        assert Alarm.objects.get().close_note == "Its parent is in a block as another version."
        for _ in range(core.STUCK_ATTEMPTS):
            Payout.objects.filter(pk=made.pk).update(due_at=None)
            dispatch.advance(payout_id=made.pk)
        made.refresh_from_db()
        assert (made.status, made.attempts) == (PayoutStatus.SENT, 0)
        assert made.problem == "The payout whose fee it pays is in a block as another version."
        assert Alarm.objects.filter(closed_at=None).count() == 0
        Payout.objects.update(due_at=None)
        assert made.pk not in [ring.ids["payout_id"] for ring in rounds.payouts_due()]
        # On another branch both may confirm after all.
        ministry.miner.node.call("invalidateblock", block_hash)
        ministry.miner.mine_only([])
        ministry.miner.mine_only([])
        ministry.mine(0)
        assert made.pk in [ring.ids["payout_id"] for ring in rounds.payouts_due()]
        for row in (payout, made):
            Payout.objects.filter(pk=row.pk).update(due_at=None)
            dispatch.advance(payout_id=row.pk)
        ministry.mine(6)
        made.refresh_from_db()
        assert made.status == PayoutStatus.SETTLED
        ministry.judge(exactly=True)

    def test_is_not_bumped_under_its_child_but_the_child_is(
        self, ministry: Ministry, client: node.Node
    ) -> None:
        payout = send(ministry)
        first = lift(payout, 8_000)
        with pytest.raises(bump.PayoutHasChild) as caught:
            bump.build(payout.pk, 12_000, client)
        assert caught.value.details == {"child_id": first.pk}
        assert payout.txs.count() == 1
        shown = child.preview(payout.pk, 16_000, client)
        again = lift(payout, 16_000)
        assert (again.pk, again.txs.count(), again.current.kind) == (first.pk, 2, PayoutTxKind.BUMP)
        assert (shown["child_id"], shown["new_fee_sat"]) == (first.pk, again.current.fee_sat)
        assert 16_000 <= package_feerate(ministry, again.current.txid) < 16_100
        assert again.booked_fee_sat == again.current.fee_sat
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean(ministry)


class TestRefusal:
    def test_where_there_is_no_change(self, settings: object) -> None:
        use_node(settings)
        low = Ministry.open(
            deposits_sat=[40_400, 900_000],
            code="LOW",
            feerate_floor_sat_kvb=2_000,
            feerate_ceiling_sat_kvb=2_000,
        )
        payout = send(low, [40_000])
        assert payout.current.change_sat == 0
        with pytest.raises(child.NoChangeToSpend):
            lift(payout, 2_000)
        assert Payout.objects.count() == 1

    def test_where_another_payout_reserved_the_change_in_a_block_that_is_gone(self, settings: object) -> None:
        use_node(settings)
        ministry = Ministry.open(deposits_sat=[1_000_000], code="ONE", coins_wanted=1)
        payout = send(ministry)
        ministry.mine(1)
        later = ministry.release(PEOPLE, period="2026-12")
        dispatch.seal(disbursement_id=later.pk)
        ministry.miner.reorg(1, 2, with_mempool=False)
        ministry.mine(0)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SENT, None)
        spent = Reservation.objects.filter(payout__disbursement=later, txid=payout.current.txid)
        assert spent.count() == 1
        with pytest.raises(child.NoChangeToSpend, match="Another payout"):
            lift(payout, 12_000)
        assert Payout.objects.count() == 2
        ministry.mine(1)
        ministry.pay(later)
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean(ministry)

    def test_where_the_payout_pays_enough_by_itself(self, ministry: Ministry, client: node.Node) -> None:
        payout = send(ministry)
        bump.build(payout.pk, 20_000, client)
        dispatch.advance(payout_id=payout.pk)
        with pytest.raises(child.ChildNotNeeded):
            lift(payout, 10_000)
        assert Payout.objects.count() == 1

    def test_while_a_newer_version_is_on_its_way(self, ministry: Ministry, client: node.Node) -> None:
        payout = send(ministry)
        bump.build(payout.pk, 6_000, client)
        with pytest.raises(bump.VersionPending):
            lift(payout, 12_000)
        assert Payout.objects.count() == 1

    @pytest.mark.parametrize("feerate_sat_kvb", [0, -5, 999, 50_001])
    def test_of_a_feerate_outside_its_bounds(self, feerate_sat_kvb: int, ministry: Ministry) -> None:
        payout = send(ministry)
        with pytest.raises(feerate.FeerateRefused):
            lift(payout, feerate_sat_kvb)
        assert Payout.objects.count() == 1

    def test_of_a_fee_over_what_the_approver_agreed_to(self, ministry: Ministry) -> None:
        payout = send(ministry)
        payout.disbursement.fee_reserved_sat = payout.current.fee_sat + 1_000
        payout.disbursement.save()
        with pytest.raises(caps.FeeOverReserve):
            lift(payout, 12_000)
        assert Payout.objects.count() == 1

    def test_of_a_payout_in_a_block(self, ministry: Ministry) -> None:
        payout = send(ministry)
        ministry.mine(1)
        with pytest.raises((child.NoChangeToSpend, bump.PayoutNotBumpable)):
            lift(payout, 12_000)
        assert Payout.objects.count() == 1


class TestPinning:
    def test_by_a_chain_as_long_as_nodes_relay_leaves_room_for_our_child(self, ministry: Ministry) -> None:
        """F34: 24 txs of the payee hang on the payout; nodes let one small child of another output in."""
        payout = send(ministry, [900_000, 50_000])
        txid, amount_sat = payout.current.txid, 900_000
        for _ in range(24):
            txid, amount_sat = pin(ministry, txid, amount_sat, 1_000), amount_sat - 1_000
        made = lift(payout, 12_000)
        assert (made.status, made.problem) == (PayoutStatus.SENT, "")
        assert made.current.txid in ministry.miner.node.call("getrawmempool")
        ministry.mine(6)
        ministry.judge(exactly=True)
        require_clean(ministry)
