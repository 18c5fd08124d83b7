"""Names the four test networks and refuses a node that follows any other chain, the main one first of all."""

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings

from govpay import errors

if TYPE_CHECKING:
    from payments.onchain import node as node_module

MAINNET_GENESIS_HASH = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


class _Parameters(NamedTuple):
    chain: str
    genesis_hash: str
    hrp: str


class Network(StrEnum):
    """A test network; its value is the name used in settings."""

    REGTEST = "regtest"
    SIGNET = "signet"
    TESTNET3 = "testnet3"
    TESTNET4 = "testnet4"

    @property
    def chain(self) -> str:
        """Return the name the node gives this chain."""
        return _PARAMETERS[self].chain

    @property
    def genesis_hash(self) -> str:
        """Return the hash of block zero, as display hex."""
        return _PARAMETERS[self].genesis_hash

    @property
    def hrp(self) -> str:
        """Return the human-readable part of the network's segwit addresses (BIP173)."""
        return _PARAMETERS[self].hrp

    @property
    def p2pkh_version(self) -> int:
        """Return the base58 version byte of P2PKH addresses, the same on every test network."""
        return 111

    @property
    def p2sh_version(self) -> int:
        """Return the base58 version byte of P2SH addresses, the same on every test network."""
        return 196


_PARAMETERS = {
    Network.REGTEST: _Parameters(
        "regtest", "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206", "bcrt"
    ),
    Network.SIGNET: _Parameters(
        "signet", "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6", "tb"
    ),
    Network.TESTNET3: _Parameters(
        "test", "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943", "tb"
    ),
    Network.TESTNET4: _Parameters(
        "testnet4", "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043", "tb"
    ),
}


class MainnetRefused(errors.GovPayError):
    """The node follows the main network, which govpay never pays on (R-21)."""

    code = "mainnet_refused"
    http_status = 503


class WrongChain(errors.GovPayError):
    """The node follows another test network than the settings name."""

    code = "wrong_chain"
    http_status = 503


def current() -> Network:
    """Return the network that the settings name."""
    return Network(settings.GOVPAY_NETWORK)


def check_node(node: "node_module.Node", network: Network) -> None:
    """Refuse a node unless both its chain name and its genesis hash are the network's.

    Raises MainnetRefused, WrongChain, and what the node's calls raise.
    """
    chain = node.chain_info().chain
    genesis_hash = node.block_hash(0)
    if chain == "main" or genesis_hash == MAINNET_GENESIS_HASH:
        raise MainnetRefused("The node follows the main network; govpay pays on test networks only.")
    if chain != network.chain or genesis_hash != network.genesis_hash:
        raise WrongChain(
            f"The node follows chain {chain!r} with genesis {genesis_hash}, not {network.value}.",
            expected_chain=network.chain,
            found_chain=chain,
            expected_genesis_hash=network.genesis_hash,
            found_genesis_hash=genesis_hash,
        )
