"""The engine's view of the in-memory network, and its signer."""

import copy
from typing import Self

from payments.onchain.tx import Output
from payments.payout import core, halving, words
from tests.simulation.network import Network
from tests.simulation.rows import VOID, S
from tests.simulation.store import MemoryStore


class MemoryChain:
    """Implements ``ports.Chain`` over the in-memory network. ``signer`` says how the signer behaves."""

    def __init__(self, network: Network, store: MemoryStore) -> None:
        self.network = network
        self.store = store
        self.signer = "signs"
        self.payout_id = 0

    def of(self, payout_id: int) -> Self:
        """Return the same, seen from this payout."""
        seen = copy.copy(self)
        seen.payout_id = payout_id
        return seen

    def check_coins(self) -> words.CoinsThere | words.CoinGone:
        """Ask the node's view, memory pool included."""
        unspent = self.network.unspent(with_pool=True)
        for coin in self.store.payouts[self.payout_id].coins:
            if coin not in unspent:
                return words.CoinGone(str(coin))
        return words.CoinsThere()

    def examine(self) -> words.Acceptable | words.CoinGone | words.Poisoned:
        """Find what the network refuses by halving, with the product's own search."""
        lines = [
            (pk, Output(self.store.lines[pk].amount_sat, self.store.lines[pk].script_pubkey))
            for pk in self.store.payouts[self.payout_id].payment_ids
        ]
        refused = halving.find_refused(
            lines, lambda some: self.network.refuses(output.script_pubkey for _, output in some)
        )
        return (
            words.Poisoned(tuple(pk for pk, _ in refused), "scriptpubkey") if refused else words.Acceptable()
        )

    def claim(self) -> words.Claimed:
        """Count everything that is sealed; nobody else uses the wallet."""
        for payout in self.store.payouts.values():
            payout.is_claimed |= payout.status == S.SEALED
        return words.Claimed()

    def sign(self) -> words.Signed | words.SignerWaits | words.SignerContradicts:
        """Have the current version signed, unless the signer waits or returns another tx, which the check refuses."""
        if self.signer == "waits":
            return words.SignerWaits("Not every signature is there.", core.SIGN_RETRY_S)
        if self.signer == "contradicts":
            return words.SignerContradicts("altered")
        return words.Signed(self.network.sign(self.store.payouts[self.payout_id].current.unsigned))

    def send(self, version: words.Version) -> words.SendReply:
        """Offer the bytes."""
        return words.SendReply(self.network.send(version.raw), is_older=version.is_older)

    def spender(self) -> str | None:
        """Ask the memory pool."""
        return self.store.first_spender(self.payout_id, in_pool=True)

    def sendable(self) -> words.Sendable:
        """Look for an older version whose inputs are all there."""
        payout = self.store.payouts[self.payout_id]
        signed = [v for v in payout.versions if v.raw and (v.kind == VOID or not payout.is_given_up)]
        unspent = self.network.unspent(with_pool=True).keys()
        for version in reversed(signed[:-1]):
            if version.raw and unspent >= set(version.inputs):
                return words.Sendable(words.Version(version.txid, version.raw, is_older=True))
        return words.Sendable(None)
