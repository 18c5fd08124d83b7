"""The walk through raw blocks on a real node: what it sees of the wallet, once each, over reorganizations."""

import threading
import time

import pytest
from django.db import connection
from django.utils import timezone

from ledger.models import RunStatus
from ledger.reconciliation import service
from ledger.reconciliation.evidence import (
    ChainFacts,
    ChainForked,
    ChainTx,
    SourceStale,
    Start,
    UtxoFact,
    Walk,
)
from payments.models import Block, ChainFact, Coin, WalletScript
from payments.payout import alone, dispatch
from payments.selectors import evidence
from tests import sessions
from tests.regtest.ministry import Ministry, use_node

WAITING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000])


def txs(walk: Walk, chain: ChainFacts) -> list[ChainTx]:
    """The wallet's txs in the blocks that are read."""
    return [tx for block in walk.read_to(chain) for tx in block.txs]


class TestReadTo:
    def test_sees_deposits_payments_and_change(self, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([10_000, 20_000]))
        ministry.mine(1)
        backend = evidence.backend()
        chain = backend.chain(ministry.program.scope)
        *_, last = backend.walk(ministry.program.scope, None).read_to(chain)
        deposit, paid = txs(backend.walk(ministry.program.scope, None), chain)
        (received,) = [output for output in deposit.outputs if output.is_ours]
        assert (received.amount_sat, deposit.spends) == (1_000_000, ())
        assert (last.height, last.block_hash, last.txs) == (chain.height, chain.block_hash, (paid,))
        assert paid.txid == payout.current.txid
        assert (paid.input_count, [tuple(s) for s in paid.spends]) == (
            1,
            [(deposit.txid, received.vout, 1_000_000)],
        )
        assert [(o.vout, o.amount_sat, o.is_ours) for o in paid.outputs] == [
            (0, 10_000, False),
            (1, 20_000, False),
            *((change.vout, change.amount_sat, True) for change in payout.current.change.order_by("vout")),
        ]

    def test_believes_blocks_and_not_what_the_follower_wrote_down(self, ministry: Ministry) -> None:
        Coin.objects.all().delete()
        ChainFact.objects.all().delete()
        backend = evidence.backend()
        chain = backend.chain(ministry.program.scope)
        assert len(txs(backend.walk(ministry.program.scope, None), chain)) == 1

    def test_reads_each_block_once(self, ministry: Ministry) -> None:
        backend = evidence.backend()
        walk = backend.walk(ministry.program.scope, None)
        assert len(txs(walk, backend.chain(ministry.program.scope))) == 1
        assert list(walk.read_to(backend.chain(ministry.program.scope))) == []
        ministry.miner.fund([ministry.funding_address()], 5_000)
        ministry.mine(2)
        (fresh,) = txs(walk, backend.chain(ministry.program.scope))
        assert [output.amount_sat for output in fresh.outputs if output.is_ours] == [5_000]

    def test_goes_on_where_another_one_stood(self, ministry: Ministry) -> None:
        backend, scope = evidence.backend(), ministry.program.scope
        before = backend.chain(scope)
        ((deposit, output),) = (
            (tx, output)
            for tx in txs(backend.walk(scope, None), before)
            for output in tx.outputs
            if output.is_ours
        )
        (payout,) = ministry.pay(ministry.release([10_000]))
        ministry.mine(1)
        coins = {(deposit.txid, output.vout): output.amount_sat}
        walk = backend.walk(scope, Start(before.height, before.block_hash, coins))
        (paid,) = txs(walk, backend.chain(scope))
        assert (paid.txid, [tuple(s) for s in paid.spends]) == (
            payout.current.txid,
            [(deposit.txid, output.vout, 1_000_000)],
        )

    def test_says_when_what_it_read_left_the_chain(self, ministry: Ministry) -> None:
        backend = evidence.backend()
        walk = backend.walk(ministry.program.scope, None)
        list(walk.read_to(backend.chain(ministry.program.scope)))
        ministry.miner.reorg(1, 2)
        dispatch.follow()
        with pytest.raises(ChainForked):
            list(walk.read_to(backend.chain(ministry.program.scope)))

    def test_says_when_the_chain_left_before_it_was_read(self, ministry: Ministry) -> None:
        backend = evidence.backend()
        chain = backend.chain(ministry.program.scope)
        ministry.miner.reorg(1, 1)
        with pytest.raises(ChainForked):
            list(backend.walk(ministry.program.scope, None).read_to(chain))


class TestUtxos:
    def test_are_what_the_node_has_to_our_scripts(self, ministry: Ministry) -> None:
        ministry.miner.fund([ministry.funding_address()], 7_000)
        ministry.mine(1)
        chain = evidence.backend().chain(ministry.program.scope)
        found = evidence.backend().utxos(ministry.program.scope, chain)
        assert (found.amount_sat, found.coin_count) == (1_007_000, 2)
        assert found.block_hash == chain.block_hash == ministry.miner.node.call("getbestblockhash")

    def test_of_a_wallet_that_is_not_made_yet_are_none(self, ministry: Ministry) -> None:
        WalletScript.objects.all().delete()
        chain = evidence.backend().chain(ministry.program.scope)
        found = evidence.backend().utxos(ministry.program.scope, chain)
        assert (found.amount_sat, found.coin_count) == (0, 0)

    def test_wait_until_no_other_run_has_the_node_scan(self, ministry: Ministry) -> None:
        chain = evidence.backend().chain(ministry.program.scope)
        found: list[UtxoFact] = []

        def ask() -> None:
            try:
                found.append(evidence.backend().utxos(ministry.program.scope, chain))
            finally:
                connection.close()

        with sessions.holding(alone.SCAN_LOCK) as other:
            asking = threading.Thread(target=ask)
            asking.start()
            deadline = time.monotonic() + 30
            while not other.execute(WAITING).fetchone():
                assert time.monotonic() < deadline, "nobody waits for the lock"
            assert found == []
        asking.join(30)
        assert [one.amount_sat for one in found] == [1_000_000]

    def test_are_given_up_with_a_reason_when_their_turn_does_not_come(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(evidence, "SCAN_WAIT_S", 1)
        with sessions.holding(alone.SCAN_LOCK):
            (run,) = service.reconcile(scope=ministry.program.scope, now=timezone.now())
        reason = "Other runs had the node look through its unspent outputs for 1 s; reconcile again later."
        assert (run.status, run.reason) == (RunStatus.INCONCLUSIVE, reason)
        (run,) = service.reconcile(scope=ministry.program.scope, now=timezone.now())
        assert run.status == RunStatus.CLEAN

    def test_are_not_asked_for_a_block_that_is_not_the_tip_any_more(self, ministry: Ministry) -> None:
        chain = evidence.backend().chain(ministry.program.scope)
        ministry.miner.mine(1)
        with pytest.raises(SourceStale, match=f"moved on from block {chain.block_hash}"):
            evidence.backend().utxos(ministry.program.scope, chain)


class TestChain:
    def test_is_read_where_nobody_else_reads_it(self, ministry: Ministry) -> None:
        """One process is all there is: no follower comes while it waits."""
        ministry.miner.mine(3)
        best = ministry.miner.node.call("getbestblockhash")
        found = evidence.backend().chain(ministry.program.scope)
        assert found.block_hash == best
        assert Block.objects.filter(is_active=True).latest("height").block_hash == best
