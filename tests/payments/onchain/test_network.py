"""Networks: a node on any other chain than the settings name is refused, the main network first."""

import itertools

import pytest
from django.test import override_settings

from payments.onchain import network, node
from payments.onchain.network import Network
from tests.payments.onchain import fake_node

CHAIN_INFO = {
    "chain": "regtest",
    "blocks": 5,
    "bestblockhash": "ab" * 32,
    "mediantime": 1,
    "time": 2,
    "pruned": False,
    "initialblockdownload": False,
}


def check(chain: str, genesis_hash: str, expected: Network) -> None:
    info = fake_node.result(CHAIN_INFO | {"chain": chain})
    with fake_node.FakeNode(info, fake_node.result(genesis_hash)) as peer:
        network.check_node(node.Node(peer.url), expected)


class TestCheckNode:
    @pytest.mark.parametrize("expected", list(Network))
    def test_takes_the_chain_of_the_settings(self, expected: Network) -> None:
        check(expected.chain, expected.genesis_hash, expected)

    @pytest.mark.parametrize(("expected", "found"), list(itertools.permutations(Network, 2)))
    def test_refuses_every_other_test_network(self, expected: Network, found: Network) -> None:
        with pytest.raises(network.WrongChain):
            check(found.chain, found.genesis_hash, expected)

    @pytest.mark.parametrize("expected", list(Network))
    def test_refuses_the_right_name_with_another_genesis(self, expected: Network) -> None:
        with pytest.raises(network.WrongChain):
            check(expected.chain, "ab" * 32, expected)

    @pytest.mark.parametrize("expected", list(Network))
    @pytest.mark.parametrize(
        ("chain", "genesis_hash"),
        [
            ("main", network.MAINNET_GENESIS_HASH),
            ("main", Network.REGTEST.genesis_hash),
            ("regtest", network.MAINNET_GENESIS_HASH),
        ],
    )
    def test_refuses_the_main_network_by_name_and_by_genesis(
        self, expected: Network, chain: str, genesis_hash: str
    ) -> None:
        with pytest.raises(network.MainnetRefused):
            check(chain, genesis_hash, expected)


class TestCurrent:
    @pytest.mark.parametrize("expected", list(Network))
    def test_is_what_the_settings_name(self, expected: Network) -> None:
        with override_settings(GOVPAY_NETWORK=expected.value):
            assert network.current() is expected

    def test_knows_no_main_network(self) -> None:
        with override_settings(GOVPAY_NETWORK="main"), pytest.raises(ValueError, match="main"):
            network.current()
