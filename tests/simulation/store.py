"""An in-memory store with the engine's ports: what a database would keep when every process dies."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from payments.onchain import fee
from payments.onchain.tx import OutPoint, Output
from payments.payout import core, plan, rbf, selection
from payments.payout.ports import LeaseLost
from payments.states import PayoutStatus, reason_of
from tests.simulation.network import Network, decode, encode

LEASE_S = 30
SETTLED_DEPTH = 3
# Deeper than the simulation reorganizes: what is spent there is spent for good.
FINAL_DEPTH = 6
CHANGE = b"\x00\x14" + b"\xcc" * 20
STRANGER = b"\x00\x14" + b"\xdd" * 20
MOST_VERSIONS, MOST_FEE_SAT = 4, 12_000
VOID = "void"
S = PayoutStatus
VOIDABLE = (S.COMMITTED, S.SIGNED, S.SENT, S.FROZEN)


@dataclass
class StoredVersion:
    """One version of a payout's tx, signed or not."""

    kind: str
    inputs: tuple[OutPoint, ...]
    unsigned: bytes
    raw: bytes | None = None

    @property
    def txid(self) -> str:
        """Known before anybody signs."""
        return decode(self.unsigned).txid


@dataclass
class StoredPayout:
    """One row of the payout table, with its versions and the outpoints that it reserved."""

    payout_id: int
    payment_ids: tuple[int, ...]
    coins: tuple[OutPoint, ...]
    versions: list[StoredVersion]
    added: list[OutPoint] = field(default_factory=list)
    status: str = S.SEALED
    token: int = 0
    lease_until: int = 0
    due_at: int = 0
    attempts: int = 0
    offers: int = 0
    history: list[str] = field(default_factory=list)
    is_released: bool = False

    @property
    def current(self) -> StoredVersion:
        """The newest version."""
        return self.versions[-1]

    @property
    def is_given_up(self) -> bool:
        """Two people gave it up."""
        return any(version.kind == VOID for version in self.versions)


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
            versions=[StoredVersion("original", coins, encode(coins, outputs))],
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
        """Read it under the token; of a payout that is given up only its voids go out."""
        payout = self._fenced(payout_id, token)
        signed = [version for version in payout.versions if version.raw is not None]
        going = [version for version in signed if payout.status != S.VOIDING or version.kind == VOID]
        newest = going[-1] if going else None
        return core.Snapshot(
            payout_id,
            payout.status,
            txids=frozenset(version.txid for version in payout.versions),
            signed=core.Version(newest.txid, newest.raw) if newest and newest.raw else None,
            is_pending=payout.current.raw is None,
            is_due=payout.due_at <= self.now,
            brake=self.brake,
            attempts=payout.attempts,
            offers=payout.offers,
        )

    def commit(self, payout_id: int, token: int) -> None:
        """Pass the point of no return."""
        self._move(self._fenced(payout_id, token), S.COMMITTED)

    def unseal(self, payout_id: int, token: int, reason: str) -> None:
        """Free payments and coins."""
        payout = self._fenced(payout_id, token)
        self._move(payout, S.UNSEALED)
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
            self._move(payout, S.SIGNED)

    def quarantine(self, payout_id: int, token: int, payment_ids: Sequence[int], reason: str) -> None:
        """No payment of the simulation is refused."""
        raise NotImplementedError

    def record_sent(self, payout_id: int, token: int, note: str, delay_s: int) -> None:
        """Note that a node has them."""
        payout = self._fenced(payout_id, token)
        if payout.status == S.SIGNED:
            self._move(payout, S.SENT)
        payout.due_at = self.now + delay_s
        payout.attempts, payout.offers = 0, payout.offers + 1

    def freeze(self, payout_id: int, token: int, reason: str) -> None:
        """Stop it."""
        self._move(self._fenced(payout_id, token), S.FROZEN)

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

    # What people and schedules do; each takes the lease, as the product does.

    def bump(self, payout_id: int, feerate_sat_kvb: int) -> None:
        """Build a version with a higher fee, by the product's own arithmetic."""
        payout, token = self.payouts[payout_id], self.lease(payout_id)
        if token is None:
            return
        current = payout.current
        is_open = payout.status in (S.SIGNED, S.SENT) and current.raw and not payout.is_given_up
        if is_open and len(payout.versions) < MOST_VERSIONS:
            self.replace(payout, feerate_sat_kvb)
        self.unlease(payout_id, token)

    def replace(self, payout: StoredPayout, feerate_sat_kvb: int) -> None:
        """Write the replacement, if it can be paid for."""
        old = decode(payout.current.unsigned)
        outputs = [Output(sat, script) for script, sat in old.outputs]
        count = len(payout.payment_ids)
        inputs_sat = sum(self.network.known[coin][1] for coin in payout.current.inputs)
        before = rbf.Old(
            payout.current.inputs, inputs_sat, payments=tuple(outputs[:count]), change=tuple(outputs[count:])
        )
        fee_sat = inputs_sat - sum(output.amount_sat for output in outputs)
        try:
            after = rbf.build(
                before,
                self.free_coins(),
                asked=lambda weight: fee.fee_sat(weight=weight, feerate_sat_kvb=feerate_sat_kvb),
                least=rbf.Outbid(fee_sat, 0, 1_000).least_sat,
                input_weight=fee.P2WPKH_INPUT_WEIGHT,
                spare_script=CHANGE,
            )
        except selection.InsufficientCoins:
            return
        if after.fee_sat <= MOST_FEE_SAT:
            self.add_version(payout, before, after)

    def add_version(self, payout: StoredPayout, before: rbf.Old, after: rbf.Replacement) -> None:
        """Reserve what was added, and make the replacement the version to be signed next."""
        added = tuple(coin.outpoint for coin in after.added)
        inputs = (*before.inputs, *added)
        outputs = [(output.script_pubkey, output.amount_sat) for output in (*before.payments, *after.change)]
        payout.added += added
        self.live_reservations += added
        payout.versions.append(StoredVersion("bump", inputs, encode(inputs, outputs)))
        payout.due_at = 0

    def give_up(self, payout_id: int) -> None:
        """Two people take the anchor back, by a tx that outbids whatever the network may hold of the payout."""
        payout, token = self.payouts[payout_id], self.lease(payout_id)
        if token is None:
            return
        anchor = payout.coins[0]
        dearest = max(self.network.fee_sat(decode(version.unsigned)) for version in payout.versions)
        back_sat = self.network.known[anchor][1] - dearest - 1_000
        if payout.status in VOIDABLE and not payout.is_given_up and back_sat > 1_000:
            payout.versions.append(StoredVersion(VOID, (anchor,), encode([anchor], [(CHANGE, back_sat)])))
            payout.due_at = 0
            self._move(payout, S.VOIDING)
        self.unlease(payout_id, token)

    def thaw(self, payout_id: int) -> None:
        """Two people let a frozen payout go on."""
        payout, token = self.payouts[payout_id], self.lease(payout_id)
        if token is None:
            return
        if payout.status == S.FROZEN and not payout.is_given_up:
            is_signed = any(version.raw for version in payout.versions)
            self._move(payout, S.SIGNED if is_signed else S.COMMITTED)
            payout.due_at = 0
        elif payout.status == S.FROZEN:
            self._move(payout, S.VOIDING)
        self.unlease(payout_id, token)

    def follow(self) -> None:
        """Derive states from blocks, as the follower does."""
        for payout in self.payouts.values():
            if payout.status not in (S.SEALED, S.UNSEALED, S.VOIDED):
                self._derive(payout)

    def _derive(self, payout: StoredPayout) -> None:
        found = next((v for v in payout.versions if self.network.height_of(v.txid) is not None), None)
        if found is not None and found.raw is None:
            # A signer elsewhere sent it: the bytes come from the block.
            found.raw = found.unsigned
        depth = 0 if found is None else self.depth_of(found.txid)
        if found is not None and found.kind != VOID:
            if payout.status == S.SETTLED and depth < SETTLED_DEPTH:
                self._move(payout, S.MINED)
            if payout.status not in (S.MINED, S.SETTLED):
                self._move(payout, S.MINED)
            if payout.status == S.MINED and depth >= SETTLED_DEPTH:
                self._move(payout, S.SETTLED)
            if depth >= FINAL_DEPTH:
                self.release(payout)
            return
        if payout.status in (S.MINED, S.SETTLED):
            self._move(payout, S.VOIDING if payout.is_given_up else S.SENT)
            payout.due_at = 0
        in_pool = any(version.txid in self.network.pool for version in payout.versions)
        if payout.status == S.SENT and payout.offers and not in_pool:
            payout.due_at = payout.offers = 0
        if self.is_dead(payout):
            self._move(payout, S.VOIDED)
            self.forget(payout)

    def is_dead(self, payout: StoredPayout) -> bool:
        """Tell whether a coin of the original is spent for good by a tx that does not pay."""
        paying = {version.txid for version in payout.versions if version.kind != VOID}
        spenders = [self.network.spender(coin, in_pool=False) for coin in payout.coins]
        return any(txid not in paying and self.depth_of(txid) >= FINAL_DEPTH for txid in spenders if txid)

    def depth_of(self, txid: str) -> int:
        """Return how many blocks bury a tx that is in a block, its own included."""
        height = self.network.height_of(txid)
        assert height is not None
        return len(self.network.blocks) - height

    def _fenced(self, payout_id: int, token: int) -> StoredPayout:
        payout = self.payouts[payout_id]
        if payout.token != token:
            raise LeaseLost(payout_id)
        return payout

    def _move(self, payout: StoredPayout, new: str) -> None:
        payout.history.append(reason_of("payout", payout.status, new))
        payout.status = new


class MemoryChain:
    """Implements ``ports.Chain`` over the in-memory network. ``signer`` says how the signer behaves."""

    def __init__(self, network: Network, store: MemoryStore) -> None:
        self.network = network
        self.store = store
        self.signer = "signs"

    def check_coins(self, payout_id: int) -> core.CoinsThere | core.CoinGone:
        """Ask the node's view, memory pool included."""
        unspent = self.network.unspent(with_pool=True)
        for coin in self.store.payouts[payout_id].coins:
            if coin not in unspent:
                return core.CoinGone(str(coin))
        return core.CoinsThere()

    def examine(self, payout_id: int) -> core.Acceptable | core.CoinGone | core.Poisoned:
        """Take any content."""
        return core.Acceptable()

    def claim(self, payout_id: int) -> core.Claimed:
        """Nobody else uses the wallet."""
        return core.Claimed()

    def sign(self, payout_id: int) -> core.Signed | core.SignerWaits | core.SignerContradicts:
        """Have the current version signed, unless the signer waits or returns another tx, which the check refuses."""
        if self.signer == "waits":
            return core.SignerWaits("Not every signature is there.", core.SIGN_RETRY_S)
        if self.signer == "contradicts":
            return core.SignerContradicts("altered")
        return core.Signed(self.network.sign(self.store.payouts[payout_id].current.unsigned))

    def send(self, payout_id: int, version: core.Version) -> core.SendReply:
        """Offer the bytes."""
        return core.SendReply(self.network.send(version.raw), is_older=version.is_older)

    def spender(self, payout_id: int) -> str | None:
        """Ask the memory pool."""
        return self.store.first_spender(payout_id, in_pool=True)

    def sendable(self, payout_id: int) -> core.Sendable:
        """Look for an older version whose inputs are all there."""
        payout = self.store.payouts[payout_id]
        signed = [v for v in payout.versions if v.raw and (v.kind == VOID or not payout.is_given_up)]
        unspent = self.network.unspent(with_pool=True).keys()
        for version in reversed(signed[:-1]):
            if version.raw and unspent >= set(version.inputs):
                return core.Sendable(core.Version(version.txid, version.raw, is_older=True))
        return core.Sendable(None)
