"""A second bitcoind that signs without a network or a chain: the signers' own machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local import bitcoind
from deploy.local.node import Node
from deploy.local.rpc import Rpc
from deploy.local.stack import DEBIAN_CACHE
from payments.onchain import descriptor as descriptors
from tests import services
from tests.signers import MULTI_PATH, SINGLE_PATH, SoftSigner


class OfflineNode:
    """Wallets with private keys on a node that never speaks to another; PSBTs are carried to it and back."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def keep(self, signer: SoftSigner, wallet: descriptors.Descriptor) -> "OfflineWallet":
        """Give a signer a wallet of the descriptor with their private key in it; all other keys are public."""
        name = f"{signer.fingerprint}-{wallet.checksum}"
        if name not in self.node.rpc.call("listwallets"):
            self.node.rpc.call("createwallet", wallet_name=name, blank=True, descriptors=True)
            path = MULTI_PATH if wallet.is_multisig else SINGLE_PATH
            requests = []
            for branch, secret in enumerate(signer.private_branches(*path)):
                public = f"{signer.key(*path).split('/<')[0]}/{branch}/*"
                body = wallet.of_branch(branch).split("#")[0].replace(public, secret)
                assert secret in body
                requests.append(
                    {
                        "desc": descriptors.with_checksum(body),
                        "active": True,
                        "internal": branch == 1,
                        "range": [0, 100],
                        "timestamp": "now",
                    }
                )
            outcomes = Rpc(self.node.url, wallet=name).call("importdescriptors", requests)
            assert [outcome["success"] for outcome in outcomes] == [True, True], outcomes
        return OfflineWallet(name, Rpc(self.node.url, wallet=name))


class OfflineWallet:
    """One signer's wallet."""

    def __init__(self, name: str, rpc: Rpc) -> None:
        self.name = name
        self.rpc = rpc

    def sign(self, psbt: str, *, finalize: bool = False, sighash: str = "ALL") -> str:
        """Return the PSBT as the node returns it."""
        return str(
            self.rpc.call("walletprocesspsbt", psbt=psbt, sighashtype=sighash, finalize=finalize)["psbt"]
        )


@contextmanager
def offline_node() -> Iterator[OfflineNode]:
    """Start the signers' node beside the run's own services, and end it after."""
    folder = services.ensure_state_dir() / "offline"
    folder.mkdir(exist_ok=True)
    node = Node(folder, bitcoind.find(DEBIAN_CACHE), options={"connect": "0"})
    node.start()
    try:
        yield OfflineNode(node)
    finally:
        node.kill()
