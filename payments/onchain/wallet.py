"""Asks the node's wallet for scripts, labels, txs and signatures, one typed verb each."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from payments.onchain import address, network, rpc
from payments.onchain.endpoint import Endpoint

_WALLET_ERROR = -4
_ALREADY_LOADED = -35


class SignReply(NamedTuple):
    """A PSBT after signing; ``raw`` is the final tx once every input is signed."""

    psbt: str
    is_complete: bool
    raw: bytes | None


class Wallet(Endpoint):
    """What a node's wallet knows and signs."""

    def ensure_wallet(self, name: str, *, is_watching: bool = False) -> None:
        """Load the wallet, and create it only if the node has none of this name; it stays over restarts.

        One that is made to watch can never hold a private key, and is empty.

        Raises WalletUnavailable when it exists and cannot be loaded.
        """
        if name in self.call("listwallets"):
            return
        if any(entry["name"] == name for entry in self.call("listwalletdir")["wallets"]):
            self._open_wallet(name, "loadwallet", name, True)
        else:
            # Positions: private keys, blank, passphrase, avoid reuse, descriptors, load on start-up.
            params = (is_watching, is_watching, "", False, True, True)
            self._open_wallet(name, "createwallet", name, *params)

    def load_wallet(self, name: str) -> None:
        """Load the wallet; raise WalletUnavailable when the node has none of this name: a new one lacks its keys."""
        if name not in self.call("listwallets"):
            self._open_wallet(name, "loadwallet", name, True)

    def _open_wallet(self, name: str, method: str, *params: object) -> None:
        try:
            self.call(method, *params)
        except rpc.RpcError as error:
            # Another worker was faster: the wallet is there, which is all that was wanted.
            if error.rpc_code == _ALREADY_LOADED or name in self.call("listwallets"):
                return
            if error.rpc_code == _WALLET_ERROR:
                raise rpc.WalletUnavailable(
                    method=error.method, rpc_code=error.rpc_code, reason=error.reason
                ) from error
            raise

    def new_scripts(self, kind: Literal["receive", "change"], count: int) -> list[bytes]:
        """Return the scripts of so many fresh P2WPKH addresses of this wallet."""
        # The type is always said: some nodes give legacy addresses by default.
        method, params = {
            "receive": ("getnewaddress", ("", "bech32")),
            "change": ("getrawchangeaddress", ("bech32",)),
        }[kind]
        given = self.call_each(method, [params] * count)
        found = self.call_each("getaddressinfo", [(where,) for where in given])
        if not all(each["ismine"] for each in found):
            raise rpc.NodeReplyInvalid("The node's wallet gave an address that is not its own.")
        return [bytes.fromhex(each["scriptPubKey"]) for each in found]

    def wallet_tx(self, txid: str) -> bytes | None:
        """Return a tx that this wallet has seen, None for any other; no index of all txs is needed."""
        try:
            return bytes.fromhex(self.call("gettransaction", txid, True)["hex"])
        except rpc.RpcError as error:
            if error.rpc_code == rpc.NOT_FOUND:
                return None
            raise

    def owns(self, scripts: Sequence[bytes]) -> list[bool]:
        """Say of each script whether it is one of this wallet's own; one that has no address is not."""
        addresses = []
        for script in scripts:
            try:
                addresses.append(address.address_from_script(script, network.current()))
            except address.InvalidAddress:
                addresses.append("")
        asked = [(where,) for where in addresses if where]
        answers = iter(self.call_each("getaddressinfo", asked))
        return [bool(where) and bool(next(answers)["ismine"]) for where in addresses]

    def make_keys(self, count: int) -> None:
        """Let this wallet know the keys of the next ``count`` addresses of each kind; it forgets none."""
        self.call("keypoolrefill", count)

    def descriptors(self) -> list[str]:
        """Return the public descriptors of this wallet, each with its checksum."""
        return [entry["desc"] for entry in self.call("listdescriptors", False)["descriptors"]]

    def labels(self) -> list[str]:
        """Return all labels that addresses of this wallet have."""
        return list(self.call("listlabels"))

    def set_label(self, script_pubkey: bytes, label: str) -> None:
        """Give the address of one of this wallet's scripts a label, instead of the one it has."""
        self.call("setlabel", address.address_from_script(script_pubkey, network.current()), label)

    def sign_psbt(self, psbt: str) -> SignReply:
        """Sign a PSBT with this wallet (SIGHASH_ALL) and finalize it; nothing is sent.

        The caller checks what comes back with tx.check_signed.
        """
        signed = self.call("walletprocesspsbt", psbt, True, "ALL", False, True)
        if not signed["complete"]:
            return SignReply(signed["psbt"], False, None)
        final = signed if "hex" in signed else self.call("finalizepsbt", signed["psbt"], True)
        return SignReply(signed["psbt"], True, bytes.fromhex(final["hex"]))
