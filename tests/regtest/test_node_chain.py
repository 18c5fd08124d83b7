"""Reads of a real node's chain: every verb against what the node says by another of its own methods."""

from decimal import Decimal

import pytest

from deploy.local import bitcoind
from deploy.local.node import Node as LocalNode
from deploy.local.stack import DEBIAN_CACHE
from payments.onchain import block, network, node, scan, tx
from tests import services
from tests.regtest.paying_wallet import PayingWallet

STRANGER = b"\x00\x14" + b"\x99" * 20


@pytest.fixture(scope="module")
def paying() -> PayingWallet:
    return PayingWallet(services.ensure_node().url, coins=4)


class TestChainInfo:
    def test_follows_the_tip(self, paying: PayingWallet) -> None:
        before = paying.node.chain_info()
        mined = paying.mine(1)
        after = paying.node.chain_info()
        assert (after.chain, after.height, after.best_block_hash) == ("regtest", before.height + 1, mined)
        assert after.tip_time == paying.node.block_header(mined).time
        assert after.pruned is False

    def test_is_of_the_network_in_the_settings(self, paying: PayingWallet) -> None:
        network.check_node(paying.node, network.Network.REGTEST)
        with pytest.raises(network.WrongChain):
            network.check_node(paying.node, network.Network.SIGNET)

    def test_names_the_software(self, paying: PayingWallet) -> None:
        info = paying.node.network_info()
        assert info.subversion.startswith("/Satoshi:")
        assert info.version >= 280_000


class TestBlocks:
    def test_have_no_hash_above_the_tip(self, paying: PayingWallet) -> None:
        height = paying.node.chain_info().height
        assert paying.node.block_hash(height) == paying.node.chain_info().best_block_hash
        assert paying.node.block_hash(height + 1) is None

    def test_begin_with_genesis(self, paying: PayingWallet) -> None:
        genesis = network.Network.REGTEST.genesis_hash
        header = paying.node.block_header(genesis)
        assert (header.hash, header.height, header.prev_hash) == (genesis, 0, "0" * 64)
        assert block.parse(paying.node.raw_block(genesis), block_hash=genesis).prev_hash == "0" * 64

    def test_are_unknown_by_a_hash_the_node_never_saw(self, paying: PayingWallet) -> None:
        for verb in (paying.node.block_header, paying.node.raw_block):
            with pytest.raises(node.BlockUnknown):
                verb("ab" * 32)

    def test_leave_the_best_chain_in_a_reorg(self, paying: PayingWallet) -> None:
        undone = paying.mine(1)
        height = paying.node.block_header(undone).height
        paying.node.call("invalidateblock", undone)
        replacing = paying.mine(1, to=paying.wallet.new_scripts("receive", 1)[0])
        assert paying.node.block_header(undone).confirmations == -1
        assert paying.node.block_hash(height) == replacing

    def test_read_as_the_node_reads_them(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        sent = paying.spend(outpoint, prevout, fee_sat=20_000, outputs=300)
        assert paying.node.send_raw(sent.raw, max_feerate_sat_kvb=100_000).txid == sent.txid
        block_hash = paying.mine(1)
        ours = block.parse(paying.node.raw_block(block_hash), block_hash=block_hash)
        theirs = paying.node.call("getblock", block_hash, 2)
        assert [(t.txid, t.wtxid, t.weight, t.vsize, t.raw.hex()) for t in ours.txs] == [
            (t["txid"], t["hash"], t["weight"], t["vsize"], t["hex"]) for t in theirs["tx"]
        ]
        assert [[(o.amount_sat, o.script_pubkey.hex()) for o in t.outputs] for t in ours.txs] == [
            [(int(o["value"] * Decimal(10**8)), o["scriptPubKey"]["hex"]) for o in t["vout"]]
            for t in theirs["tx"]
        ]
        assert (ours.prev_hash, ours.time) == (theirs["previousblockhash"], theirs["time"])

    def test_show_what_moved(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        sent = paying.spend(outpoint, prevout, fee_sat=1000, to=STRANGER)
        paying.node.send_raw(sent.raw, max_feerate_sat_kvb=100_000)
        block_hash = paying.mine(1, to=paying.wallet.new_scripts("receive", 1)[0])
        found = block.parse(paying.node.raw_block(block_hash), block_hash=block_hash)
        received = ((tx.OutPoint(sent.txid, 0), sent.outputs[0]),)
        assert list(scan.movements(found, {STRANGER}, {outpoint})) == [
            scan.Movement(sent, received, (outpoint,))
        ]


class TestUtxo:
    def test_goes_when_it_is_spent(self, paying: PayingWallet) -> None:
        outpoint, prevout = paying.coin()
        assert prevout.script_pubkey == paying.script
        sent = paying.spend(outpoint, prevout, fee_sat=1000)
        paying.node.send_raw(sent.raw, max_feerate_sat_kvb=100_000)
        assert paying.node.utxo(outpoint, include_mempool=True) is None
        assert paying.node.utxo(outpoint, include_mempool=False) == prevout
        assert paying.node.utxo(tx.OutPoint(sent.txid, 0), include_mempool=True) == sent.outputs[0]
        assert paying.node.utxo(tx.OutPoint(sent.txid, 0), include_mempool=False) is None
        assert paying.node.mempool_spender([outpoint]) == sent.txid
        assert paying.node.mempool_has(sent.txid) is True
        paying.mine(1)
        assert paying.node.utxo(outpoint, include_mempool=False) is None
        assert paying.node.mempool_spender([outpoint]) is None
        assert paying.node.mempool_has(sent.txid) is False


class TestScanUtxos:
    def test_finds_each_output_to_the_scripts_and_no_other(self, paying: PayingWallet) -> None:
        first, second, unpaid = paying.wallet.new_scripts("change", 3)
        outpoint, prevout = paying.coin()
        shares = [
            tx.Output(prevout.amount_sat - 3000, first),
            tx.Output(1000, second),
            tx.Output(1000, STRANGER),
        ]
        sent = paying.sign(tx.build_unsigned([outpoint], shares), [prevout])
        paying.node.send_raw(sent.raw, max_feerate_sat_kvb=100_000)
        block_hash = paying.mine(1)
        found = paying.node.scan_utxos([first, second, unpaid])
        height = paying.node.chain_info().height
        assert (found.block_hash, found.height) == (block_hash, height)
        assert sorted(found.unspents) == sorted(
            (tx.OutPoint(sent.txid, vout), shares[vout], height) for vout in (0, 1)
        )


class TestFeerates:
    def test_have_no_estimate_on_a_young_chain(self) -> None:
        young = LocalNode(services.ensure_state_dir() / "young", bitcoind.find(DEBIAN_CACHE))
        young.start()
        try:
            assert node.Node(young.url).estimate_feerate_sat_kvb(6) is None
        finally:
            young.kill()

    def test_have_a_floor(self, paying: PayingWallet) -> None:
        info = paying.node.call("getmempoolinfo")
        floor = max(info["mempoolminfee"], info["minrelaytxfee"]) * 10**8
        assert paying.node.mempool_min_feerate_sat_kvb() == floor
