"""An in-memory store with the engine's ports: what a database would keep when every process dies."""

from collections.abc import Iterable, Sequence

from payments.onchain.tx import OutPoint
from payments.payout import plan, selection, words
from payments.payout.ports import LeaseLost
from tests.simulation.network import Network, encode
from tests.simulation.rows import CHANGE, LEASE_S, PAYMENTS, VOID, S, StoredPayout, StoredVersion


class MemoryStore:
    """Implements ``ports.Store``; one call is one database transaction."""

    def __init__(self, network: Network, lines: list[plan.Line]) -> None:
        self.network = network
        self.lines = {line.payment_id: line for line in lines}
        self.payout_of: dict[int, int] = {}
        self.payouts: dict[int, StoredPayout] = {}
        self.held: set[int] = set()
        self.live_reservations: list[OutPoint] = []
        self.now = 0
        self.brake = ""

    def seal_next(self, *, max_payments: int) -> int | None:
        """Seal a group exactly as the product plans it, over confirmed coins that nothing reserves."""
        free_lines = [line for pk, line in sorted(self.lines.items()) if self.is_waiting(pk)]
        lines = plan.group(free_lines, max_payments=max_payments, max_vsize_vb=25_000)
        if not lines:
            return None
        try:
            planned = plan.fund(lines, self.free_coins(), selection.Terms(1_000, 1_000))
        except selection.InsufficientCoins:
            return None
        outputs = [(line.script_pubkey, line.amount_sat) for line in planned.lines]
        if planned.change_sat:
            outputs.append((CHANGE, planned.change_sat))
        payout = self.add([coin.outpoint for coin in planned.coins], outputs)
        payout.payment_ids = tuple(line.payment_id for line in lines)
        self.payout_of |= dict.fromkeys(payout.payment_ids, payout.payout_id)
        return payout.payout_id

    def is_waiting(self, payment_id: int) -> bool:
        """Tell whether a payment is to be sealed: no payout has it, and nobody holds it."""
        return payment_id not in self.payout_of and payment_id not in self.held

    def add(
        self,
        coins: Iterable[OutPoint],
        outputs: Iterable[tuple[bytes, int]],
        *,
        kind: str = PAYMENTS,
        parent_id: int | None = None,
    ) -> StoredPayout:
        """Write a sealed payout and reserve its coins, the anchor first."""
        inputs = tuple(coins)
        original = StoredVersion("original", inputs, encode(inputs, outputs))
        payout = StoredPayout(
            len(self.payouts) + 1, (), inputs, versions=[original], kind=kind, parent_id=parent_id
        )
        self.payouts[payout.payout_id] = payout
        self.live_reservations += inputs
        return payout

    def free_coins(self) -> list[selection.FreeCoin]:
        """Return confirmed coins of ours that no live reservation holds."""
        return [
            selection.FreeCoin(outpoint, amount_sat, script)
            for outpoint, (script, amount_sat) in self.network.unspent(with_pool=False).items()
            if script == CHANGE and outpoint not in self.live_reservations
        ]

    def lease(self, payout_id: int) -> int | None:
        """Take the payout unless its lease still runs."""
        payout = self.payouts[payout_id]
        if payout.lease_until > self.now:
            return None
        payout.token += 1
        payout.lease_until = self.now + LEASE_S
        return payout.token

    def unlease(self, payout_id: int, token: int) -> None:
        """Give it back."""
        if self.payouts[payout_id].token == token:
            self.payouts[payout_id].lease_until = 0

    def snapshot(self, payout_id: int, token: int) -> words.Snapshot:
        """Read it under the token; of a payout that is given up only its voids go out."""
        payout = self._fenced(payout_id, token)
        signed = [version for version in payout.versions if version.raw is not None]
        going = [version for version in signed if payout.status != S.VOIDING or version.kind == VOID]
        newest = going[-1] if going else None
        return words.Snapshot(
            payout_id,
            payout.status,
            txids=frozenset(version.txid for version in payout.versions),
            signed=words.Version(newest.txid, newest.raw) if newest and newest.raw else None,
            is_pending=payout.current.raw is None,
            is_due=payout.due_at <= self.now,
            brake=self.brake or self._brake_of_child(payout),
            attempts=payout.attempts,
            offers=payout.offers,
            is_claimed=payout.is_claimed,
        )

    def commit(self, payout_id: int, token: int) -> None:
        """Pass the point of no return."""
        self._fenced(payout_id, token).move(S.COMMITTED)

    def unseal(self, payout_id: int, token: int, reason: str) -> None:
        """Free payments and coins."""
        payout = self._fenced(payout_id, token)
        payout.move(S.UNSEALED)
        self.forget(payout)

    def forget(self, payout: StoredPayout) -> None:
        """Drop claims and reservations; only a payout that no signer saw, or that is void for good, may lose them."""
        for payment_id in payout.payment_ids:
            self.payout_of.pop(payment_id, None)
        self.release(payout)

    def release(self, payout: StoredPayout) -> None:
        """Free the outpoints of a payout whose end is final."""
        if not payout.is_released:
            payout.is_released = True
            for coin in (*payout.coins, *payout.added):
                self.live_reservations.remove(coin)

    def persist(self, payout_id: int, token: int, raw: bytes) -> None:
        """Store the bytes."""
        payout = self._fenced(payout_id, token)
        if payout.current.raw is None:
            assert raw == payout.current.unsigned, "the check of the signer's reply let another tx through"
            payout.current.raw = raw
        payout.due_at = payout.attempts = 0
        if payout.status == S.COMMITTED:
            payout.move(S.SIGNED)

    def quarantine(self, payout_id: int, token: int, payment_ids: Sequence[int], reason: str) -> None:
        """Free payments and coins, and hold what the node refuses."""
        self.unseal(payout_id, token, reason)
        self.held.update(payment_ids)

    def record_sent(self, payout_id: int, token: int, note: str, delay_s: int) -> None:
        """Note that a node has them."""
        payout = self._fenced(payout_id, token)
        if payout.status == S.SIGNED:
            payout.move(S.SENT)
        payout.due_at = self.now + delay_s
        payout.attempts, payout.offers = 0, payout.offers + 1

    def freeze(self, payout_id: int, token: int, reason: str) -> None:
        """Stop it."""
        self._fenced(payout_id, token).move(S.FROZEN)

    def retry(self, payout_id: int, token: int, reason: str, delay_s: int, is_failure: bool) -> None:
        """Wait."""
        payout = self._fenced(payout_id, token)
        payout.due_at = self.now + delay_s
        payout.attempts, payout.offers = payout.attempts + is_failure, 0

    def want_fee(self, payout_id: int, token: int, reason: str, delay_s: int) -> None:
        """Wait; the schedule of bumps, here a rule of the machine, may raise the fee."""
        self.retry(payout_id, token, reason, delay_s, is_failure=True)

    def spender(self, payout_id: int) -> str | None:
        """Ask the blocks."""
        return self.first_spender(payout_id, in_pool=False)

    def first_spender(self, payout_id: int, *, in_pool: bool) -> str | None:
        """Return who spends the first reserved outpoint that is spent, in memory pool or blocks."""
        payout = self.payouts[payout_id]
        found = (self.network.spender(coin, in_pool=in_pool) for coin in (*payout.coins, *payout.added))
        return next((txid for txid in found if txid is not None), None)

    def _brake_of_child(self, payout: StoredPayout) -> str:
        """A child would fight the void of the payout whose fee it pays."""
        is_given_up = payout.parent_id is not None and self.payouts[payout.parent_id].status == S.VOIDING
        return "The payout whose fee it pays is given up." if is_given_up else ""

    def _fenced(self, payout_id: int, token: int) -> StoredPayout:
        payout = self.payouts[payout_id]
        if payout.token != token:
            raise LeaseLost(payout_id)
        return payout
