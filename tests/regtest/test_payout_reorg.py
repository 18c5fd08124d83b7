"""Reorganizations of 1, 3 and 12 blocks on a real node: payouts move back and forth, the books mirror it."""

import pytest

from deploy.local.regtest import Miner
from ledger import books
from ledger.models import Entry
from payments.models import Block, ChainFact, Coin, NodeStatus, Payout
from payments.onchain import node
from payments.payout import dispatch
from payments.states import DisbursementStatus, PayoutStatus
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    found = Ministry.open(deposits_sat=[1_000_000, 1_000_000])
    # Bury the deposits below the deepest reorganization, so that only payouts move.
    found.mine(12)
    return found


def status_after_visit(payout: Payout) -> str:
    """Visit it as the sweep would, follow, and look."""
    dispatch.advance(payout_id=payout.pk)
    dispatch.follow()
    payout.refresh_from_db()
    return str(payout.status)


class TestReorg:
    def test_of_one_block_takes_a_mined_payout_back_to_sent_and_on_again(self, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        ministry.mine(1)
        ministry.miner.reorg(1, 2, with_mempool=False)
        dispatch.follow()
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SENT
        assert payout.mined_height is None
        assert status_after_visit(payout) == PayoutStatus.SENT
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        kinds = (
            ChainFact.objects.filter(txid=payout.current.txid).order_by("pk").values_list("kind", flat=True)
        )
        assert list(kinds) == ["mined", "unmined", "mined"]
        ministry.judge(exactly=True)

    def test_of_three_blocks_that_holds_the_tx_again_books_nothing_twice(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000])
        (payout,) = ministry.pay(disbursement)
        ministry.mine(3)
        ministry.miner.reorg(3, 4)
        dispatch.follow()
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.MINED
        ministry.mine(5)
        assert Entry.objects.filter(kind="settlement").count() == 1
        ministry.judge(exactly=True)

    def test_of_twelve_blocks_reverses_a_settlement_and_settles_again(self, ministry: Ministry) -> None:
        disbursement = ministry.release([40_000, 41_000])
        (payout,) = ministry.pay(disbursement)
        ministry.mine(7)
        disbursement.refresh_from_db()
        assert disbursement.status == DisbursementStatus.COMPLETED
        ministry.miner.reorg(12, 13, with_mempool=False)
        dispatch.follow()
        payout.refresh_from_db()
        disbursement.refresh_from_db()
        # The node may have forgotten the tx: the stored bytes bring it back.
        assert payout.status == PayoutStatus.SENT
        assert disbursement.status == DisbursementStatus.RELEASED
        trial = books.trial_balance(scope=ministry.program.scope)
        assert trial.is_balanced
        in_transit = next(a for a in trial.accounts if a.code.startswith("Assets:InTransit"))
        assert in_transit.balance == 81_000
        assert Entry.objects.filter(kind="settlement_reversal").count() == 1
        assert status_after_visit(payout) == PayoutStatus.SENT
        assert payout.current.txid in ministry.miner.node.call("getrawmempool")
        ministry.mine(6)
        payout.refresh_from_db()
        disbursement.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        assert disbursement.status == DisbursementStatus.COMPLETED
        assert Entry.objects.filter(kind="settlement").count() == 2
        ministry.judge(exactly=True)

    def test_that_takes_a_deposit_away_reverses_its_funding(self, settings: object) -> None:
        use_node(settings)
        poor = Ministry.open(deposits_sat=[700_000], code="POOR")
        wallet = f"Assets:HotWallet:P{poor.program.pk}"
        assert books.balance(wallet) == 700_000
        poor.miner.reorg(1, 2, with_mempool=False)
        dispatch.follow()
        assert books.balance(wallet) == 0
        assert Coin.objects.count() == 0
        poor.mine(1)
        assert books.balance(wallet) == 700_000
        assert Coin.objects.count() == 1

    def test_while_the_service_was_down_is_walked_when_it_comes_back(self, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        ministry.mine(2)
        ministry.miner.reorg(2, 3)
        ministry.miner.reorg(1, 2)
        ministry.miner.mine(4)
        dispatch.follow()
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        heights = Block.objects.filter(is_active=True).values_list("height", flat=True)
        assert len(heights) == len(set(heights))
        ministry.judge(exactly=True)

    def test_that_puts_a_deposit_and_the_payout_without_change_into_one_block_is_followed(
        self, settings: object
    ) -> None:
        use_node(settings)
        exact = Ministry.open(deposits_sat=[40_300, 2_000_000], code="EXACT")
        (payout,) = exact.pay(exact.release([40_000]))
        assert (payout.current.change_sat, payout.current.fee_sat) == (0, 300)
        exact.mine(1)
        exact.miner.reorg(2, 3)
        dispatch.follow()
        payout.refresh_from_db()
        deposit = Coin.objects.get(txid=payout.anchor_txid, vout=payout.anchor_vout)
        assert (payout.status, payout.mined_block_hash) == (PayoutStatus.MINED, deposit.block_hash)
        assert deposit.spent_by_txid == payout.current.txid
        exact.mine(6)
        exact.judge(exactly=True)

    def test_that_mines_it_later_makes_a_settled_payout_shallow(self, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        ministry.mine(6)
        for _ in range(2):
            ministry.miner.reorg(6, 3, with_mempool=False)
            ministry.miner.mine(4)
            dispatch.follow()
            payout.refresh_from_db()
            assert payout.status == PayoutStatus.MINED
            ministry.mine(2)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        assert Entry.objects.filter(kind="settlement").count() == 3
        assert Entry.objects.filter(kind="settlement_reversal").count() == 2
        ministry.judge(exactly=True)

    def test_of_the_tip_at_the_time_of_installation_is_followed(self, settings: object) -> None:
        use_node(settings)
        miner = Miner(settings.GOVPAY_NODE_URL)  # type: ignore[attr-defined]
        miner.mine(5)
        dispatch.follow()
        miner.reorg(3, 4)
        dispatch.follow()
        assert Block.objects.filter(is_active=True).latest("height").block_hash == miner.node.call(
            "getbestblockhash"
        )


class TestOtherChain:
    def test_of_the_same_network_undoes_nothing(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = list(Block.objects.filter(is_active=True).order_by("height").values())
        real = node.Node.block_hash

        def elsewhere(self: node.Node, height: int) -> str | None:
            return real(self, height) if height == 0 else f"{height:064x}"

        monkeypatch.setattr(node.Node, "block_hash", elsewhere)
        dispatch.follow()
        status = NodeStatus.objects.get()
        assert (status.is_ok, status.code) == (False, "pinned_block_missing")
        assert list(Block.objects.filter(is_active=True).order_by("height").values()) == before
        assert Entry.objects.filter(kind="funding_reversal").count() == 0
