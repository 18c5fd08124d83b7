"""An in-memory store with the engine's ports: what a database would keep when every process dies."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from payments.onchain.tx import OutPoint
from payments.payout import core, plan, selection
from payments.payout.ports import LeaseLost
from payments.states import PayoutStatus, reason_of
from tests.simulation.network import Network, decode, encode

LEASE_S = 30
SETTLED_DEPTH = 3
CHANGE = b"\x00\x14" + b"\xcc" * 20


@dataclass
class StoredPayout:
    """One row of the payout table."""

    payout_id: int
    payment_ids: tuple[int, ...]
    coins: tuple[OutPoint, ...]
    unsigned: bytes
    status: str = PayoutStatus.SEALED
    raw: bytes | None = None
    token: int = 0
    lease_until: int = 0
    due_at: int = 0
    attempts: int = 0
    offers: int = 0
    history: list[str] = field(default_factory=list)


class MemoryStore:
    """Implements ``ports.Store``; one call is one database transaction."""

    def __init__(self, network: Network, lines: list[plan.Line]) -> None:
        self.network = network
        self.lines = {line.payment_id: line for line in lines}
        self.payout_of: dict[int, int] = {}
        self.payouts: dict[int, StoredPayout] = {}
        self.live_reservations: list[OutPoint] = []
        self.now = 0
        self.brake = ""

    def seal_next(self, *, max_payments: int) -> int | None:
        """Seal a group exactly as the product plans it, over confirmed coins that nothing reserves."""
        free_lines = [line for pk, line in sorted(self.lines.items()) if pk not in self.payout_of]
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
        coins = tuple(coin.outpoint for coin in planned.coins)
        payout = StoredPayout(
            payout_id=len(self.payouts) + 1,
            payment_ids=tuple(line.payment_id for line in lines),
            coins=coins,
            unsigned=encode(coins, outputs),
        )
        self.payouts[payout.payout_id] = payout
        self.payout_of |= dict.fromkeys(payout.payment_ids, payout.payout_id)
        self.live_reservations += coins
        return payout.payout_id

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

    def snapshot(self, payout_id: int, token: int) -> core.Snapshot:
        """Read it under the token."""
        payout = self._fenced(payout_id, token)
        signed = None if payout.raw is None else core.Version(decode(payout.raw).txid, payout.raw)
        return core.Snapshot(
            payout_id,
            payout.status,
            txids=frozenset([signed.txid] if signed else []),
            signed=signed,
            is_pending=payout.raw is None,
            is_due=payout.due_at <= self.now,
            brake=self.brake,
            attempts=payout.attempts,
            offers=payout.offers,
        )

    def commit(self, payout_id: int, token: int) -> None:
        """Pass the point of no return."""
        self._move(self._fenced(payout_id, token), PayoutStatus.COMMITTED)

    def unseal(self, payout_id: int, token: int, reason: str) -> None:
        """Free payments and coins."""
        payout = self._fenced(payout_id, token)
        self._move(payout, PayoutStatus.UNSEALED)
        self.forget(payout)

    def forget(self, payout: StoredPayout) -> None:
        """Drop claims and reservations; only an unsealed payout may lose them."""
        for payment_id in payout.payment_ids:
            self.payout_of.pop(payment_id, None)
        for coin in payout.coins:
            self.live_reservations.remove(coin)

    def persist(self, payout_id: int, token: int, raw: bytes) -> None:
        """Store the bytes."""
        payout = self._fenced(payout_id, token)
        payout.raw = raw
        self._move(payout, PayoutStatus.SIGNED)

    def quarantine(self, payout_id: int, token: int, payment_ids: Sequence[int], reason: str) -> None:
        """No payment of the simulation is refused."""
        raise NotImplementedError

    def record_sent(self, payout_id: int, token: int, note: str, delay_s: int) -> None:
        """Note that a node has them."""
        payout = self._fenced(payout_id, token)
        if payout.status == PayoutStatus.SIGNED:
            self._move(payout, PayoutStatus.SENT)
        payout.due_at = self.now + delay_s
        payout.attempts, payout.offers = 0, payout.offers + 1

    def freeze(self, payout_id: int, token: int, reason: str) -> None:
        """Stop it."""
        self._move(self._fenced(payout_id, token), PayoutStatus.FROZEN)

    def retry(self, payout_id: int, token: int, reason: str, delay_s: int, is_failure: bool) -> None:
        """Wait."""
        payout = self._fenced(payout_id, token)
        payout.due_at = self.now + delay_s
        payout.attempts, payout.offers = payout.attempts + is_failure, 0

    def want_fee(self, payout_id: int, token: int, reason: str, delay_s: int) -> None:
        """Wait; nobody bumps in this simulation."""
        self.retry(payout_id, token, reason, delay_s)

    def spender(self, payout_id: int) -> str | None:
        """Ask the blocks."""
        return self.network.spender(self.payouts[payout_id].coins[0], in_pool=False)

    def follow(self) -> None:
        """Derive states from blocks, as the follower does."""
        tip = len(self.network.blocks) - 1
        for payout in self.payouts.values():
            if payout.raw is None:
                continue
            height = self.network.height_of(decode(payout.raw).txid)
            if height is None:
                is_forgotten = decode(payout.raw).txid not in self.network.pool
                if payout.status == PayoutStatus.SENT and payout.offers and is_forgotten:
                    payout.due_at = payout.offers = 0
                if payout.status in (PayoutStatus.MINED, PayoutStatus.SETTLED):
                    self._move(payout, PayoutStatus.SENT)
                    payout.due_at = 0
                continue
            if payout.status == PayoutStatus.SETTLED and tip - height + 1 < SETTLED_DEPTH:
                self._move(payout, PayoutStatus.MINED)
            if payout.status in (PayoutStatus.SIGNED, PayoutStatus.SENT, PayoutStatus.FROZEN):
                self._move(payout, PayoutStatus.MINED)
            if payout.status == PayoutStatus.MINED and tip - height + 1 >= SETTLED_DEPTH:
                self._move(payout, PayoutStatus.SETTLED)

    def _fenced(self, payout_id: int, token: int) -> StoredPayout:
        payout = self.payouts[payout_id]
        if payout.token != token:
            raise LeaseLost(payout_id)
        return payout

    def _move(self, payout: StoredPayout, new: str) -> None:
        payout.history.append(reason_of("payout", payout.status, new))
        payout.status = new


class MemoryChain:
    """Implements ``ports.Chain`` over the in-memory network."""

    def __init__(self, network: Network, store: MemoryStore) -> None:
        self.network = network
        self.store = store

    def check_coins(self, payout_id: int) -> core.CoinsThere | core.CoinGone:
        """Ask the node's view, memory pool included."""
        unspent = self.network.unspent(with_pool=True)
        for coin in self.store.payouts[payout_id].coins:
            if coin not in unspent:
                return core.CoinGone(str(coin))
        return core.CoinsThere()

    def examine(self, payout_id: int) -> core.Acceptable | core.Poisoned:
        """Take any content."""
        return core.Acceptable()

    def claim(self, payout_id: int) -> core.Claimed:
        """Nobody else uses the wallet."""
        return core.Claimed()

    def sign(self, payout_id: int) -> core.Signed | core.SignerWaits | core.SignerContradicts:
        """Sign what was sealed."""
        return core.Signed(self.network.sign(self.store.payouts[payout_id].unsigned))

    def send(self, payout_id: int, version: core.Version) -> core.SendReply:
        """Offer the bytes."""
        return core.SendReply(self.network.send(version.raw))

    def spender(self, payout_id: int) -> str | None:
        """Ask the memory pool."""
        return self.network.spender(self.store.payouts[payout_id].coins[0], in_pool=True)
