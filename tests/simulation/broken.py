"""Engines with known mistakes, the peers' and likely ones; the suite must catch each, or it proves nothing."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from payments.onchain.send import SendOutcome
from payments.payout import plan, rbf, selection, words
from payments.states import PayoutStatus
from tests.simulation.chain import MemoryChain
from tests.simulation.follower import Follower
from tests.simulation.machine import GROUP, PayoutMachine, Worker
from tests.simulation.network import ODD, encode
from tests.simulation.people import People
from tests.simulation.rows import CHANGE, VOID, StoredPayout, StoredVersion


class BuildBroadcastSave(PayoutMachine):
    """Builds and sends first, stores afterwards: a death in between leaves payments looking unpaid."""

    @rule()
    def build_send_die(self) -> None:
        """Send a group's tx and die before anything of it is stored."""
        lines = [line for pk, line in self.store.lines.items() if self.store.is_waiting(pk)]
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
        if worker.seen == words.SendReply(SendOutcome.UNKNOWN):
            payout = self.store.payouts[worker.payout_id]
            if payout.status == PayoutStatus.SIGNED:
                self.rebuild(payout)
                return False
        return super().step(worker)

    def rebuild(self, payout: StoredPayout) -> None:
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


class BumpPeople(People):
    """Pays a higher fee from another coin, and drops the old inputs."""

    def add_version(self, payout: StoredPayout, before: rbf.Old, after: rbf.Replacement) -> None:
        free = self.store.free_coins()
        if not free:
            return
        outputs = [(output.script_pubkey, output.amount_sat) for output in before.payments]
        coin = free[0].outpoint
        payout.added.append(coin)
        self.store.live_reservations.append(coin)
        payout.versions.append(StoredVersion("bump", (coin,), encode([coin], outputs)))


class BumpDropsInput(PayoutMachine):
    """Bumps without the inputs of the version before."""

    people_class = BumpPeople


class FreeAtOncePeople(People):
    """Takes a void that was only decided for one that is final."""

    def give_up(self, payout_id: int) -> None:
        payout = self.store.payouts[payout_id]
        was_given_up = payout.is_given_up
        super().give_up(payout_id)
        if payout.is_given_up and not was_given_up:
            for payment_id in payout.payment_ids:
                self.store.payout_of.pop(payment_id, None)


class VoidFreesAtOnce(PayoutMachine):
    """Reissues payments as soon as two people gave their payout up."""

    people_class = FreeAtOncePeople


class FreeEarlyFollower(Follower):
    """Takes one block for enough."""

    def is_dead(self, payout: StoredPayout) -> bool:
        voids = [version for version in payout.versions if version.kind == VOID]
        is_mined = any(self.network.height_of(version.txid) is not None for version in voids)
        return is_mined or super().is_dead(payout)


class VoidFreesBeforeFinal(PayoutMachine):
    """Reissues payments as soon as the void is in a block."""

    follower_class = FreeEarlyFollower


class ResignElsewhere(PayoutMachine):
    """Has a payout signed again with another set of inputs, because its signer took too long."""

    @rule(data=st.data())
    def sign_again(self, data: st.DataObject) -> None:
        """Build the current version anew on coins that are free; the slow signer signs the first one all the same."""
        self.chain.signer = "waits"
        self.store.seal_next(max_payments=GROUP)
        for payout_id in self.store.payouts:
            self.run(payout_id)
        free = self.store.free_coins()
        waiting = [
            payout
            for payout in self.store.payouts.values()
            if payout.status == PayoutStatus.COMMITTED and len(payout.versions) == 1
        ]
        if not free or not waiting:
            return
        payout = data.draw(st.sampled_from(waiting))
        outputs = [
            (self.store.lines[pk].script_pubkey, self.store.lines[pk].amount_sat) for pk in payout.payment_ids
        ]
        coin = free[0].outpoint
        self.network.sign(payout.current.unsigned)
        payout.added.append(coin)
        self.store.live_reservations.append(coin)
        payout.versions[0] = StoredVersion("original", (coin,), encode([coin], outputs))


class UndyingFollower(Follower):
    """Waits for ever for a coin that another version won from."""

    def is_orphan(self, payout: StoredPayout) -> bool:
        return False


class OrphansNeverDie(PayoutMachine):
    """Forgets that the child of a version which lost can never confirm."""

    follower_class = UndyingFollower


class GreedyPeople(People):
    """Looks for small coins in the node, which knows nothing of reservations."""

    def coins_to_merge(self) -> list[selection.FreeCoin]:
        unspent = self.network.unspent(with_pool=False).items()
        return [selection.FreeCoin(o, sat, script) for o, (script, sat) in unspent if script == CHANGE]


class MergeReserved(PayoutMachine):
    """Merges coins that payouts have reserved."""

    people_class = GreedyPeople


class HastyChain(MemoryChain):
    """Takes the whole group for what one payment of it did."""

    def examine(self) -> words.Acceptable | words.CoinGone | words.Poisoned:
        found = super().examine()
        if isinstance(found, words.Poisoned):
            return words.Poisoned(self.store.payouts[self.payout_id].payment_ids, found.reason)
        return found


class HoldWholeGroup(PayoutMachine):
    """Holds everybody in a group of which the node refuses one."""

    chain_class = HastyChain


class QuarantineSigned(PayoutMachine):
    """Quarantines after the signature what the node refuses then, and pays the others by another tx."""

    def step(self, worker: Worker) -> bool:
        if worker.seen == words.SendReply(SendOutcome.REJECTED):
            payout = self.store.payouts[worker.payout_id]
            if payout.status in (PayoutStatus.SIGNED, PayoutStatus.SENT):
                payout.status = PayoutStatus.UNSEALED
                self.store.forget(payout)
                self.store.held |= {
                    pk for pk in payout.payment_ids if self.store.lines[pk].script_pubkey.startswith(ODD)
                }
                self.store.live_reservations += payout.coins[:1]
                return False
        return super().step(worker)
