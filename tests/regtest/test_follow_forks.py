"""Branches on real nodes: natural ones between two nodes, and ones on which another tx won."""

from collections.abc import Iterator

import pytest

from ledger import books
from ledger.models import Entry
from payments.models import Alarm, ChainFact, Payment, Payout, PayoutTx, Reservation
from payments.onchain import node
from payments.payout import bump, dispatch
from payments.payout.store import PostgresStore
from payments.services import interventions, reissues
from payments.states import DisbursementStatus, PaymentStatus, PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry, use_node
from tests.regtest.nodes import Pair, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two nodes that hear each other."""
    with Pair.started(tmp_path_factory.mktemp("forks")) as pair:
        yield pair


@pytest.fixture
def ministry(two: Pair, settings: object) -> Ministry:
    """A ministry whose node is one of the two."""
    settings.GOVPAY_NODE_URL = two.ours.url  # type: ignore[attr-defined]
    found = Ministry.open(deposits_sat=[1_000_000, 900_000])
    found.mine(12)
    two.wait_until_same()
    return found


@pytest.fixture
def alone(settings: object) -> Ministry:
    """A ministry at the node of the test run."""
    use_node(settings)
    found = Ministry.open(deposits_sat=[1_000_000])
    found.mine(1)
    return found


def refresh(payout: Payout) -> Payout:
    return Payout.objects.get(pk=payout.pk)


def give_up(ministry: Ministry, payout: Payout) -> Payout:
    """Two people void the payout, and workers hear the doorbells."""
    treasurer = factories.make_member(ministry.program, "treasurer")
    shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="void")
    asked = interventions.propose(
        by=treasurer, payout_id=payout.pk, kind="void", note="The list was wrong.", shown=shown
    )
    agreed = interventions.approve(by=ministry.approver, intervention_id=asked.pk)
    dispatch.intervene(intervention_id=agreed.pk)
    dispatch.advance(payout_id=payout.pk)
    return Payout.objects.select_related("current").get(pk=payout.pk)


def sign_spend(ministry: Ministry, payout: Payout) -> tuple[str, str]:
    """Let somebody with the wallet's keys spend the payout's anchor; return the tx and its txid. Nothing is sent."""
    wallet = ministry.wallet_rpc()
    inputs = [{"txid": payout.anchor_txid, "vout": payout.anchor_vout}]
    raw = wallet.call("createrawtransaction", inputs, [{ministry.miner.make_address(): "0.0099"}])
    signed = wallet.call("signrawtransactionwithwallet", raw)
    assert signed["complete"]
    txid = ministry.miner.node.call("decoderawtransaction", signed["hex"])["txid"]
    return signed["hex"], txid


class TestNaturalBranch:
    @pytest.mark.parametrize("is_down", [False, True])
    def test_that_lost_gives_the_payout_back_and_the_winner_mines_it_again(
        self, is_down: bool, two: Pair, ministry: Ministry
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        two.part()
        ministry.miner.mine(7)
        if not is_down:
            dispatch.follow()
            assert refresh(payout).status == PayoutStatus.SETTLED
        theirs = two.theirs.rpc
        address = ministry.miner.make_address()
        theirs.call("generatetoaddress", 9, address)
        two.join()
        two.wait_until_same()
        dispatch.follow()
        # A service that was down never saw the branch that lost (F24).
        unmined = ChainFact.objects.filter(txid=payout.current.txid, kind="unmined").count()
        assert (refresh(payout).status, unmined) == (PayoutStatus.SENT, 0 if is_down else 1)
        assert refresh(payout).mined_height is None
        assert Entry.objects.filter(kind="settlement_reversal").count() == (0 if is_down else 1)
        dispatch.advance(payout_id=payout.pk)
        assert payout.current.txid in ministry.miner.node.call("getrawmempool")
        ministry.mine(6)
        assert refresh(payout).status == PayoutStatus.SETTLED
        assert Entry.objects.filter(kind="settlement").count() == (1 if is_down else 2)
        two.wait_until_same()
        ministry.judge(exactly=True)


class TestNaturalBranchOfAVoid:
    def test_that_lost_to_the_original_pays_its_people_and_has_nothing_to_reissue(
        self, two: Pair, ministry: Ministry
    ) -> None:
        """Our branch holds the void, the other one the original, which its miners never saw replaced."""
        (payout,) = ministry.pay(ministry.release([40_000, 50_000]))
        original = PayoutTx.objects.get()
        wait_for("the original", lambda: two.theirs.rpc.call("getrawmempool") == [original.txid])
        two.part()
        void = give_up(ministry, payout).current
        ministry.mine(7)
        payout = refresh(payout)
        assert (payout.status, payout.mined_txid) == (PayoutStatus.VOIDING, void.txid)
        assert payout.void_entry_id is not None
        two.theirs.rpc.call("generatetoaddress", 9, ministry.miner.make_address())
        two.join()
        two.wait_until_same()
        dispatch.follow()
        payout = refresh(payout)
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, original.txid)
        assert (payout.void_entry_id, payout.booked_fee_sat) == (None, original.fee_sat)
        assert Alarm.objects.get(closed_at=None).code == "void_lost"
        with pytest.raises(reissues.NothingToReissue):
            reissues.of_payout(by=ministry.officer, payout_id=payout.pk)
        dispatch.advance(payout_id=payout.pk)
        assert two.ours.rpc.call("getrawmempool") == []
        ministry.judge(exactly=True)

    def test_that_won_unsettles_the_original_and_frees_its_people_100_blocks_later(
        self, two: Pair, ministry: Ministry
    ) -> None:
        """Our branch settled the original, the other one buries the void."""
        (payout,) = ministry.pay(ministry.release([40_000, 50_000]))
        original = PayoutTx.objects.get()
        void = give_up(ministry, payout).current
        wait_for("the void", lambda: two.theirs.rpc.call("getrawmempool") == [void.txid])
        two.part()
        ministry.miner.mine_only([bytes(original.raw or b"").hex()])
        ministry.mine(5)
        assert refresh(payout).status == PayoutStatus.SETTLED
        assert Alarm.objects.get(closed_at=None).code == "void_lost"
        two.theirs.rpc.call("generatetoaddress", 8, ministry.miner.make_address())
        two.join()
        two.wait_until_same()
        dispatch.follow()
        payout = refresh(payout)
        assert (payout.status, payout.mined_txid) == (PayoutStatus.VOIDING, void.txid)
        assert payout.booked_fee_sat == void.fee_sat
        assert Entry.objects.filter(kind="settlement_reversal").count() == 1
        assert Alarm.objects.filter(closed_at=None).count() == 0
        ministry.mine(91)
        assert refresh(payout).status == PayoutStatus.VOIDING
        with pytest.raises(reissues.VoidNotFinal):
            reissues.of_payout(by=ministry.officer, payout_id=payout.pk)
        ministry.mine(1)
        assert refresh(payout).status == PayoutStatus.VOIDED
        again = ministry.go_on(reissues.of_payout(by=ministry.officer, payout_id=payout.pk))
        ministry.pay(again)
        ministry.mine(6)
        again.refresh_from_db()
        assert again.status == DisbursementStatus.COMPLETED
        ministry.judge(exactly=True)


class TestConflictingBranch:
    def test_freezes_the_payout_sounds_alarms_halts_the_wallet_and_voids_it_after_100_blocks(
        self, alone: Ministry
    ) -> None:
        disbursement = alone.release([40_000, 41_000])
        (payout,) = alone.pay(disbursement)
        thief, thief_txid = sign_spend(alone, payout)
        alone.mine(1)
        assert refresh(payout).status == PayoutStatus.MINED
        rpc = alone.miner.node
        rpc.call("invalidateblock", rpc.call("getbestblockhash"))
        alone.miner.mine_only([thief])
        alone.mine(1)
        payout = refresh(payout)
        assert payout.status == PayoutStatus.FROZEN
        assert thief_txid in payout.problem
        alarms = Alarm.objects.filter(closed_at=None).order_by("code").values_list("code", "subject")
        assert list(alarms) == [("payout_conflicted", "payout"), ("stranger_spent_our_coin", "wallet")]
        payout.wallet.refresh_from_db()
        assert payout.wallet.halt_code == "stranger_spent_our_coin"
        # Nothing of the wallet goes out any more, and the frozen one is not tried again.
        assert alone.pay(alone.release([5_000], period="2026-12")) == []
        dispatch.advance(payout_id=payout.pk)
        assert refresh(payout).status == PayoutStatus.FROZEN
        alone.mine(97)
        assert refresh(payout).status == PayoutStatus.FROZEN
        alone.mine(1)
        assert refresh(payout).status == PayoutStatus.VOIDED
        assert Reservation.objects.filter(payout=payout, is_live=True).count() == 0
        lines = Payment.objects.filter(payout=payout).values_list("status", flat=True)
        assert set(lines) == {PaymentStatus.VOIDED}
        assert books.trial_balance(scope=alone.program.scope).is_balanced

    def test_of_100_blocks_that_goes_away_again_makes_a_void_payout_possible_and_says_so(
        self, alone: Ministry
    ) -> None:
        (payout,) = alone.pay(alone.release([40_000]))
        thief, _ = sign_spend(alone, payout)
        height = alone.miner.node.call("getblockcount")
        alone.miner.mine_only([thief])
        alone.mine(99)
        assert refresh(payout).status == PayoutStatus.VOIDED
        before = {a.code: a.balance for a in books.trial_balance(scope=alone.program.scope).accounts}
        rpc = alone.miner.node
        rpc.call("invalidateblock", rpc.call("getblockhash", height + 1))
        for _ in range(101):
            alone.miner.mine_only([])
        dispatch.follow()
        payout = refresh(payout)
        assert payout.status == PayoutStatus.FROZEN
        assert (payout.void_entry_id, payout.release_entry_id) == (None, None)
        assert Reservation.objects.filter(payout=payout, is_live=True).count() == 1
        assert Alarm.objects.filter(code="void_undone", subject_id=payout.pk, closed_at=None).count() == 1
        after = {a.code: a.balance for a in books.trial_balance(scope=alone.program.scope).accounts}
        changed = {code: after[code] - before[code] for code in after if after[code] != before[code]}
        pk, fee_sat = alone.program.pk, payout.current.fee_sat
        assert changed == {
            f"Assets:HotWallet:P{pk}": -40_000 - fee_sat,
            f"Assets:InTransit:P{pk}": 40_000,
            f"Expenses:NetworkFees:P{pk}": fee_sat,
            f"Expenses:Transfers:P{pk}": 40_000,
            f"Liabilities:BeneficiariesPayable:P{pk}": -40_000,
        }


class TestReplacedOriginal:
    def test_that_confirms_speaks_for_the_payout_with_its_own_fee(self, alone: Ministry) -> None:
        (payout,) = alone.pay(alone.release([40_000, 50_000]))
        original = payout.current
        bump.build(payout.pk, 20_000, node.connect())
        dispatch.advance(payout_id=payout.pk)
        payout = refresh(payout)
        assert payout.current_id != original.pk
        assert alone.miner.node.call("getrawmempool") == [payout.current.txid]
        assert payout.booked_fee_sat == payout.current.fee_sat > original.fee_sat
        alone.miner.mine_only([bytes(PayoutTx.objects.get(pk=original.pk).raw or b"").hex()])
        dispatch.follow()
        payout = refresh(payout)
        assert (payout.status, payout.mined_txid) == (PayoutStatus.MINED, original.txid)
        assert payout.booked_fee_sat == original.fee_sat
        # The node's next branch holds the bump after all.
        rpc = alone.miner.node
        rpc.call("invalidateblock", rpc.call("getbestblockhash"))
        alone.miner.mine_only([bytes(PayoutTx.objects.get(pk=payout.current_id).raw or b"").hex()])
        alone.miner.mine(1)
        dispatch.follow()
        payout = refresh(payout)
        assert (payout.status, payout.mined_txid) == (PayoutStatus.MINED, payout.current.txid)
        assert payout.booked_fee_sat == payout.current.fee_sat
        alone.mine(5)
        assert refresh(payout).status == PayoutStatus.SETTLED
        alone.judge(exactly=True)

    def test_whose_bytes_were_never_stored_is_taken_from_the_block(self, alone: Ministry) -> None:
        dispatch.seal(disbursement_id=alone.release([40_000]).pk)
        payout = Payout.objects.get()
        token = PostgresStore().lease(payout.pk)
        assert token is not None
        PostgresStore().commit(payout.pk, token)
        wallet = alone.wallet_rpc()
        signed = wallet.call("signrawtransactionwithwallet", bytes(payout.current.unsigned_tx).hex())
        alone.miner.mine_only([signed["hex"]])
        dispatch.follow()
        payout = refresh(payout)
        assert payout.status == PayoutStatus.MINED
        assert bytes(payout.current.raw or b"").hex() == signed["hex"]
        assert payout.booked_fee_sat == payout.current.fee_sat
        alone.mine(5)
        alone.judge(exactly=True)
