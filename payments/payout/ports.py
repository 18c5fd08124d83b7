"""What the engine needs from the world: a store, a node with its signer, and points where a test may crash it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from payments.payout import words

# Called with a kill point's id of the fault list; does nothing outside tests.
FailPoint = Callable[[str], None]


class LeaseLost(Exception):
    """Another worker took the payout over; whatever this one was about to write is refused."""


class Store(Protocol):
    """The stored truth. Every write is one database transaction that compares the fencing token."""

    def lease(self, payout_id: int) -> int | None:
        """Take the payout for a while and return the token; None while another worker has it."""

    def unlease(self, payout_id: int, token: int) -> None:
        """Give it back early; do nothing when it is lost already."""

    def snapshot(self, payout_id: int, token: int) -> words.Snapshot:
        """Return the payout as stored; raise LeaseLost when the token is old."""

    def commit(self, payout_id: int, token: int) -> None:
        """Move it from sealed to committed."""

    def unseal(self, payout_id: int, token: int, reason: str) -> None:
        """Free its payments and outpoints."""

    def quarantine(self, payout_id: int, token: int, payment_ids: Sequence[int], reason: str) -> None:
        """Free its payments and outpoints, and hold the payments that the node refuses."""

    def persist(self, payout_id: int, token: int, raw: bytes) -> None:
        """Store the current version's signed bytes with their journal entry."""

    def record_sent(self, payout_id: int, token: int, note: str, delay_s: int) -> None:
        """Move it to sent unless it is there or given up, and rest until the next rebroadcast."""

    def freeze(self, payout_id: int, token: int, reason: str) -> None:
        """Move it to frozen with the reason."""

    def retry(self, payout_id: int, token: int, reason: str, delay_s: int, is_failure: bool) -> None:
        """Note why it waits and until when; failures in a row are counted."""

    def want_fee(self, payout_id: int, token: int, reason: str, delay_s: int) -> None:
        """Note why it waits, and have a higher fee looked for."""

    def spender(self, payout_id: int) -> str | None:
        """Return the txid that spends an input in the blocks that were read, if one does."""


class Chain(Protocol):
    """The node and the signer, seen from one payout for one visit. None of it runs inside a database transaction."""

    def check_coins(self) -> words.CoinsThere | words.CoinGone:
        """Ask for every reserved outpoint."""

    def examine(self) -> words.Acceptable | words.CoinGone | words.Poisoned:
        """Ask whether the node would take the tx, were it signed."""

    def claim(self) -> words.Claimed:
        """Note with the wallet's node that this installation hands the payout to a signer."""

    def sign(self) -> words.Signed | words.SignerWaits | words.SignerContradicts:
        """Have the current version signed and check the result."""

    def send(self, version: words.Version) -> words.SendReply:
        """Offer the bytes; never raises for what a node can answer."""

    def spender(self) -> str | None:
        """Return the txid in the memory pool that spends an input, if one does."""

    def sendable(self) -> words.Sendable:
        """Look for the newest version below the newest signed one that the node has all inputs of."""
