"""Derives the simulation's states from its blocks, as the follower does."""

from tests.simulation.network import Network
from tests.simulation.rows import FINAL_DEPTH, SETTLED_DEPTH, VOID, S, StoredPayout, StoredVersion
from tests.simulation.store import MemoryStore


class Follower:
    """Reads blocks, and moves payouts to where they say."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.network: Network = store.network

    def follow(self) -> None:
        """Look at every payout that a signer may have seen."""
        for payout in self.store.payouts.values():
            if payout.status not in (S.SEALED, S.UNSEALED, S.VOIDED):
                self._derive(payout)

    def _derive(self, payout: StoredPayout) -> None:
        found = self.mined(payout)
        if found is not None and found.raw is None:
            # A signer elsewhere sent it: the bytes come from the block.
            found.raw = found.unsigned
        depth = 0 if found is None else self.depth_of(found.txid)
        if found is not None and found.kind != VOID:
            if payout.status == S.SETTLED and depth < SETTLED_DEPTH:
                payout.move(S.MINED)
            if payout.status not in (S.MINED, S.SETTLED):
                payout.move(S.MINED)
            if payout.status == S.MINED and depth >= SETTLED_DEPTH:
                payout.move(S.SETTLED)
            if depth >= FINAL_DEPTH:
                self.store.release(payout)
            return
        if payout.status in (S.MINED, S.SETTLED):
            payout.move(S.VOIDING if payout.is_given_up else S.SENT)
            payout.due_at = 0
        in_pool = any(version.txid in self.network.pool for version in payout.versions)
        if payout.status == S.SENT and payout.offers and not in_pool:
            payout.due_at = payout.offers = 0
        if self.is_dead(payout) or self.is_orphan(payout):
            payout.move(S.VOIDED)
            self.store.forget(payout)

    def mined(self, payout: StoredPayout) -> StoredVersion | None:
        """Return the version that a block holds."""
        return next((v for v in payout.versions if self.network.height_of(v.txid) is not None), None)

    def is_dead(self, payout: StoredPayout) -> bool:
        """Tell whether a coin of the original is spent for good by a tx that does not pay."""
        paying = {version.txid for version in payout.versions if version.kind != VOID}
        spenders = [self.network.spender(coin, in_pool=False) for coin in payout.coins]
        return any(txid not in paying and self.depth_of(txid) >= FINAL_DEPTH for txid in spenders if txid)

    def is_orphan(self, payout: StoredPayout) -> bool:
        """Tell whether a coin of the original can never exist: another payout's version made it, and lost for good."""
        for other in self.store.payouts.values():
            made = {version.txid for version in other.versions} & {coin.txid for coin in payout.coins}
            found = self.mined(other)
            if other is payout or not made or (found is not None and found.txid in made):
                continue
            is_final = found is not None and self.depth_of(found.txid) >= FINAL_DEPTH
            if is_final or other.status == S.VOIDED:
                return True
        return False

    def depth_of(self, txid: str) -> int:
        """Return how many blocks bury a tx that is in a block, its own included."""
        height = self.network.height_of(txid)
        assert height is not None
        return len(self.network.blocks) - height
