"""Three engines with the peers' known mistakes; the suite must catch each, or it proves nothing."""

from hypothesis.stateful import rule

from payments.onchain.send import SendOutcome
from payments.payout import core, plan, selection
from payments.states import PayoutStatus
from tests.simulation.machine import PayoutMachine, Worker
from tests.simulation.network import encode
from tests.simulation.store import CHANGE, StoredPayout


class BuildBroadcastSave(PayoutMachine):
    """Builds and sends first, stores afterwards: a death in between leaves payments looking unpaid."""

    @rule()
    def build_send_die(self) -> None:
        """Send a group's tx and die before anything of it is stored."""
        lines = [line for pk, line in self.store.lines.items() if pk not in self.store.payout_of]
        coins = self.store.free_coins()
        if not lines or not coins:
            return
        try:
            planned = plan.fund(tuple(lines[:2]), coins, selection.Terms(1_000, 1_000))
        except selection.InsufficientCoins:
            return
        outputs = [(line.script_pubkey, line.amount_sat) for line in planned.lines]
        raw = encode([coin.outpoint for coin in planned.coins], [*outputs, (CHANGE, planned.change_sat)])
        self.network.send(self.network.sign(raw))


class RetryBuildsAnew(PayoutMachine):
    """Takes a lost reply for a failure, frees payments and coins, and pays them by another tx."""

    def step(self, worker: Worker) -> bool:
        if worker.seen == core.SendReply(SendOutcome.UNKNOWN):
            payout = self.store.payouts[worker.payout_id]
            if payout.status == PayoutStatus.SIGNED:
                self.give_up(payout)
                return False
        return super().step(worker)

    def give_up(self, payout: StoredPayout) -> None:
        """What an operator's retry button does."""
        payout.status = PayoutStatus.UNSEALED
        self.store.forget(payout)
        # The next plan picks other coins, because these look spent or suspicious.
        self.store.live_reservations += payout.coins[:1]


class ReuseOutpoint(PayoutMachine):
    """Keeps reservations in the node, which forgets them when it restarts (lockunspent)."""

    @rule()
    def node_restarts(self) -> None:
        """Seal on coins that a forgetful reservation says are free."""
        remembered = self.store.live_reservations
        self.store.live_reservations = []
        self.store.seal_next(max_payments=1)
        self.store.live_reservations = remembered + self.store.live_reservations
