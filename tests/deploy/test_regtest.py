"""The miner pays exact amounts and rearranges the chain."""

from collections.abc import Iterator

import pytest

from deploy.local.node import Node
from deploy.local.regtest import Miner, to_btc, to_sat


@pytest.fixture
def miner(state_dir, bitcoind_argv) -> Iterator[Miner]:  # type: ignore[no-untyped-def]
    node = Node(state_dir, bitcoind_argv)
    node.start()
    yield Miner(node.url)
    node.kill()


class TestFund:
    def test_pays_each_address_to_the_satoshi(self, miner: Miner) -> None:
        addresses = [miner.make_address() for _ in range(3)]
        txid = miner.fund(addresses, 29_000_001)
        outputs = miner.node.call("getrawtransaction", txid, 1)["vout"]
        paid = {out["scriptPubKey"]["address"]: to_sat(out["value"]) for out in outputs}
        assert {address: paid[address] for address in addresses} == dict.fromkeys(addresses, 29_000_001)
        assert len(outputs) == 4

    def test_mines_what_it_lacks(self, miner: Miner) -> None:
        miner.fund([miner.make_address()], 5_100_000_000)
        assert miner.node.call("getblockcount") == 121


class TestReorg:
    def test_replaces_the_last_blocks_by_others(self, miner: Miner) -> None:
        old = miner.mine(5)
        new = miner.reorg(3, 4)
        assert miner.node.call("getblockcount") == 6
        assert miner.node.call("getblockhash", 2) == old[1]
        assert [miner.node.call("getblockhash", height) for height in range(3, 7)] == new
        assert not set(old) & set(new)

    def test_leaves_the_mempool_unmined_when_asked(self, miner: Miner) -> None:
        txid = miner.fund([miner.make_address()], 100_000)
        miner.mine(1)
        miner.reorg(1, 2, with_mempool=False)
        assert miner.node.call("getrawmempool") == [txid]


class TestMine:
    def test_uses_a_fresh_address_each_time(self, miner: Miner) -> None:
        first, second = miner.mine(1)[0], miner.mine(1)[0]
        scripts = [
            miner.node.call("getblock", block, 2)["tx"][0]["vout"][0]["scriptPubKey"]["hex"]
            for block in (first, second)
        ]
        assert scripts[0] != scripts[1]
        assert scripts[0][:4] == "0014"


class TestToSat:
    def test_returns_what_to_btc_was_given(self) -> None:
        assert [to_sat(to_btc(amount)) for amount in (0, 1, 29_000_001, 21 * 10**14)] == [
            0,
            1,
            29_000_001,
            21 * 10**14,
        ]

    def test_refuses_a_part_of_a_satoshi(self) -> None:
        with pytest.raises(ValueError, match="whole number of satoshis"):
            to_sat("0.000000001")
