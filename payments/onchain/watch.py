"""Keeps a watch-only wallet in the node for a descriptor: it sees our txs, and can never hold a key."""

from govpay import errors
from payments.onchain import address, network, node
from payments.onchain import descriptor as descriptors

# How many indexes of each branch are compared with what the node derives.
COMPARED = 20
# The node watches this many indexes at a time, and always as many beyond the last one that we gave out.
RANGE = 1_000


class WalletHoldsKeys(errors.Conflict):
    """The node has a wallet of this name that holds private keys."""

    code = "wallet_holds_keys"


class WalletWatchesOther(errors.Conflict):
    """The node's wallet of this name watches other scripts than the descriptor's."""

    code = "wallet_watches_other"


class DescriptorDisagrees(errors.Conflict):
    """The node derives other scripts from the descriptor than we do."""

    code = "descriptor_disagrees"


def last_watched(index: int) -> int:
    """Return the last index that the node should watch once this one is given out."""
    return (index // RANGE + 2) * RANGE - 1


def ensure(client: node.Node, name: str, descriptor: descriptors.Descriptor, *, last_index: int) -> None:
    """Make or load the wallet and have it watch both branches up to the index; harmless to repeat.

    Raises DescriptorDisagrees before anything is made, WalletHoldsKeys, WalletWatchesOther and NodeError.
    """
    for branch in (descriptors.RECEIVE, descriptors.CHANGE):
        _compare(client, descriptor, branch)
    client.ensure_wallet(name, is_watching=True)
    if client.for_wallet(name).call("getwalletinfo")["private_keys_enabled"]:
        raise WalletHoldsKeys(f"The node's wallet {name} holds private keys; a watch-only wallet is needed.")
    extend(client, name, descriptor, last_index=last_index)


def extend(client: node.Node, name: str, descriptor: descriptors.Descriptor, *, last_index: int) -> None:
    """Have the wallet watch both branches up to the index, and nothing else."""
    of_wallet = client.for_wallet(name)
    watched = {entry["desc"]: entry["range"][1] for entry in of_wallet.call("listdescriptors")["descriptors"]}
    wanted = {
        client.call("getdescriptorinfo", descriptor.of_branch(branch))["descriptor"]: branch
        for branch in (descriptors.RECEIVE, descriptors.CHANGE)
    }
    if not watched.keys() <= wanted.keys():
        raise WalletWatchesOther(
            f"The node's wallet {name} watches other scripts than the program's descriptor."
        )
    missing = [
        {
            "desc": text,
            "active": True,
            "internal": branch == descriptors.CHANGE,
            "range": [0, last_index],
            # Blocks are read by ourselves; the node looks for nothing that came before.
            "timestamp": "now",
        }
        for text, branch in wanted.items()
        if watched.get(text, -1) < last_index
    ]
    if not missing:
        return
    for outcome in of_wallet.call("importdescriptors", missing):
        if not outcome["success"]:
            raise node.NodeReplyInvalid(f"The node did not import a descriptor: {outcome.get('error')}.")


def reach(client: node.Node, name: str) -> int:
    """Return the last index that the node's wallet watches, which may be more than a database from an older day knows."""
    entries = client.for_wallet(name).call("listdescriptors")["descriptors"]
    return max((int(entry["range"][1]) for entry in entries), default=-1)


def _compare(client: node.Node, descriptor: descriptors.Descriptor, branch: int) -> None:
    derived = client.call("deriveaddresses", descriptor.of_branch(branch), [0, COMPARED - 1])
    for index, text in enumerate(derived):
        ours = descriptor.script_pubkey(branch, index)
        if address.script_from_address(text, network.current()) != ours:
            raise DescriptorDisagrees(
                f"The node derives another script from the descriptor at {branch}/{index} than govpay does.",
                branch=branch,
                index=index,
            )
