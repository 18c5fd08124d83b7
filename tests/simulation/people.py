"""What people and schedules do in the simulation: each takes the payout's lease, as the product does."""

from collections.abc import Iterator
from contextlib import contextmanager

from payments.onchain import fee
from payments.onchain.tx import OutPoint, Output
from payments.payout import rbf, selection
from tests.simulation.network import decode, encode
from tests.simulation.rows import (
    CHANGE,
    CHILD,
    CONSOLIDATION,
    MOST_FEE_SAT,
    MOST_VERSIONS,
    OPEN,
    PAYMENTS,
    VOID,
    S,
    StoredPayout,
    StoredVersion,
)
from tests.simulation.store import MemoryStore

VOIDABLE = (S.COMMITTED, S.SIGNED, S.SENT, S.FROZEN)
MERGED, MERGE_FEE_SAT = 2, 500


class People:
    """They outbid, pay by children, merge coins, give up, thaw and resume; what is not allowed now is left alone."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.network = store.network

    @contextmanager
    def leased(self, payout_id: int) -> Iterator[StoredPayout | None]:
        """Hold the payout's lease; None while a worker has it."""
        token = self.store.lease(payout_id)
        if token is None:
            yield None
            return
        yield self.store.payouts[payout_id]
        self.store.unlease(payout_id, token)

    def bump(self, payout_id: int, feerate_sat_kvb: int) -> None:
        """Build a version with a higher fee, by the product's own arithmetic."""
        with self.leased(payout_id) as payout:
            if payout is None or payout.kind == CONSOLIDATION or not self.is_raisable(payout):
                return
            if len(payout.versions) < MOST_VERSIONS and not self.has_live_child(payout):
                self.replace(payout, feerate_sat_kvb)

    def is_raisable(self, payout: StoredPayout) -> bool:
        """Tell whether a higher fee helps: it is out, signed, nobody gave it or its parent up."""
        parent = None if payout.parent_id is None else self.store.payouts[payout.parent_id]
        is_fought = parent is not None and parent.status in (S.VOIDING, S.VOIDED)
        is_out = payout.status in (S.SIGNED, S.SENT) and payout.current.raw is not None
        return is_out and not payout.is_given_up and not is_fought

    def has_live_child(self, payout: StoredPayout) -> bool:
        """Tell whether a child in the memory pool's reach pays for it: then that one's fee is raised."""
        children = [c for c in self.store.payouts.values() if c.parent_id == payout.payout_id]
        return any(child.status in OPEN and child.coins[0].txid in self.network.pool for child in children)

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
                self.store.free_coins(),
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
        self.store.live_reservations += added
        payout.versions.append(StoredVersion("bump", inputs, encode(inputs, outputs)))
        payout.due_at = 0

    def pay_by_child(self, payout_id: int, fee_sat: int) -> None:
        """Spend the change of a payout that waits in the memory pool, for the fee of both."""
        with self.leased(payout_id) as payout:
            if payout is None or payout.kind != PAYMENTS or not self.is_raisable(payout):
                return
            if payout.current.txid not in self.network.pool or self.has_live_child(payout):
                return
            unspent = self.network.unspent(with_pool=True).keys() - set(self.store.live_reservations)
            for vout, (script, amount_sat) in enumerate(decode(payout.current.unsigned).outputs):
                coin = OutPoint(payout.current.txid, vout)
                if script == CHANGE and coin in unspent and amount_sat > fee_sat + 1_000:
                    outputs = [(CHANGE, amount_sat - fee_sat)]
                    self.store.add([coin], outputs, kind=CHILD, parent_id=payout_id)
                    return

    def consolidate(self) -> None:
        """Merge the smallest free coins, one merger at a time."""
        payouts = self.store.payouts.values()
        small = sorted(self.coins_to_merge(), key=lambda coin: (coin.amount_sat, coin.outpoint))[:MERGED]
        if len(small) == MERGED and not any(p.kind == CONSOLIDATION and p.status in OPEN for p in payouts):
            left_sat = sum(coin.amount_sat for coin in small) - MERGE_FEE_SAT
            self.store.add([coin.outpoint for coin in small], [(CHANGE, left_sat)], kind=CONSOLIDATION)

    def coins_to_merge(self) -> list[selection.FreeCoin]:
        """Return what nothing reserves."""
        return self.store.free_coins()

    def give_up(self, payout_id: int) -> None:
        """Two people take the anchor back, by a tx that outbids whatever the network may hold of the payout."""
        with self.leased(payout_id) as payout:
            if payout is None or payout.status not in VOIDABLE or payout.is_given_up:
                return
            anchor = payout.coins[0]
            if anchor not in self.network.unspent(with_pool=False):
                return
            here = self.network.with_descendants(
                tx for tx in self.network.pool.values() if tx.inputs & set(payout.coins)
            )
            fees = [self.network.fee_sat(decode(version.unsigned)) for version in payout.versions]
            dearest = max(*fees, sum(self.network.fee_sat(tx) for tx in here))
            back_sat = self.network.known[anchor][1] - dearest - 1_000
            if back_sat > 1_000:
                unsigned = encode([anchor], [(CHANGE, back_sat)])
                payout.versions.append(StoredVersion(VOID, (anchor,), unsigned))
                payout.due_at = 0
                payout.move(S.VOIDING)

    def thaw(self, payout_id: int) -> None:
        """Two people let a frozen payout go on."""
        with self.leased(payout_id) as payout:
            if payout is None or payout.status != S.FROZEN:
                return
            if payout.is_given_up:
                payout.move(S.VOIDING)
            else:
                is_signed = any(version.raw for version in payout.versions)
                payout.move(S.SIGNED if is_signed else S.COMMITTED)
                payout.due_at = 0

    def resume(self, payment_id: int) -> None:
        """A second person lets a held payment try again."""
        self.store.held.discard(payment_id)
