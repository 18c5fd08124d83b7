"""The state machine that hypothesis drives: workers that die and wake, a network that misbehaves, a checker after each."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from payments.payout import core, engine, plan, words
from payments.payout.ports import LeaseLost
from tests.invariants import checks
from tests.simulation import ending
from tests.simulation.chain import MemoryChain
from tests.simulation.follower import Follower
from tests.simulation.network import ODD, Network
from tests.simulation.people import People
from tests.simulation.rows import CHANGE, FINAL_DEPTH, STRANGER
from tests.simulation.store import MemoryStore

GROUP = 3
COIN_SAT = 200_000
MOST_STOLEN = 2
# Rounds of the healed world: enough for two freezes, a void and its burial, and a reissue.
TURNS = 40


class Crash(Exception):
    """The process is gone; what it had not stored is gone with it."""


@dataclass
class Worker:
    """A worker in the middle of a visit: it holds an observation that nobody else knows."""

    payout_id: int
    token: int
    seen: words.Observation


class PayoutMachine(RuleBasedStateMachine):
    """The product's core and loop; subclasses break it in known ways, to test this very machine."""

    people_class: type[People] = People
    follower_class: type[Follower] = Follower
    chain_class: type[MemoryChain] = MemoryChain

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[Worker] = []

    @initialize(
        payments=st.integers(1, 8), coins=st.integers(2, 6), odd=st.sets(st.integers(1, 8), max_size=2)
    )
    def begin(self, payments: int, coins: int, odd: set[int]) -> None:
        """Owe some people, a few of them at scripts that nodes may refuse, and hold some coins."""
        lines = [
            plan.Line(pk, (ODD if pk in odd else b"\x00\x14") + pk.to_bytes(20, "big"), 10_000 + pk)
            for pk in range(1, payments + 1)
        ]
        self.network = Network([(CHANGE, COIN_SAT + n) for n in range(coins)])
        self.store = MemoryStore(self.network, lines)
        self.people = self.people_class(self.store)
        self.follower = self.follower_class(self.store)
        self.chain = self.chain_class(self.network, self.store)
        self.owed = [checks.Owed(line.payment_id, line.script_pubkey, line.amount_sat) for line in lines]

    @rule()
    def seal(self) -> None:
        """A worker seals the next group."""
        self.store.seal_next(max_payments=GROUP)

    @rule()
    def work(self) -> None:
        """For a moment everything goes its way: leases are over, node and signer are there, every payout is visited."""
        self.network.is_down = False
        self.chain.signer = "signs"
        self.store.now += 61
        self.store.seal_next(max_payments=GROUP)
        for payout_id in list(self.store.payouts):
            self.run(payout_id)

    @rule(data=st.data(), commands=st.integers(0, 8))
    def visit(self, data: st.DataObject, commands: int) -> None:
        """A worker starts on a payout; it acts one command at a time, so that others come between."""
        if self.store.payouts:
            payout_id = data.draw(st.sampled_from(sorted(self.store.payouts)))
            token = self.store.lease(payout_id)
            if token is not None:
                worker = Worker(payout_id, token, words.Nothing())
                if all(self.step(worker) for _ in range(commands)):
                    self.workers.append(worker)

    @rule(data=st.data(), commands=st.integers(1, 8))
    def act(self, data: st.DataObject, commands: int) -> None:
        """One of the workers, perhaps one that slept past its lease, does its next commands."""
        if self.workers:
            worker = data.draw(st.sampled_from(self.workers))
            if not all(self.step(worker) for _ in range(commands)):
                self.workers.remove(worker)

    def step(self, worker: Worker) -> bool:
        """Decide and act once; False when the visit is over."""
        try:
            snapshot = self.store.snapshot(worker.payout_id, worker.token)
            command = core.decide(snapshot, worker.seen)
            worker.seen = engine.act(
                command,
                worker.payout_id,
                worker.token,
                store=self.store,
                chain=self.chain.of(worker.payout_id),
                failpoint=lambda point: None,
            )
        except LeaseLost:
            return False
        if isinstance(command, core.FINAL):
            self.store.unlease(worker.payout_id, worker.token)
            return False
        return True

    @rule(data=st.data(), point=st.sampled_from(["K8", "K9", "K10", "K11", "K12"]))
    def die_at(self, data: st.DataObject, point: str) -> None:
        """A worker runs the real loop and is killed at a kill point; its lease stays until it runs out."""
        if not self.store.payouts:
            return
        payout_id = data.draw(st.sampled_from(sorted(self.store.payouts)))
        token_before = self.store.payouts[payout_id].token

        def crash(at: str) -> None:
            if at == point:
                raise Crash

        try:
            engine.advance(payout_id, store=self.store, chain=self.chain.of(payout_id), failpoint=crash)
        except Crash:
            # A dead process gives nothing back: undo the loop's polite unlease.
            payout = self.store.payouts[payout_id]
            assert payout.token == token_before + 1
            payout.lease_until = self.store.now + 30

    @rule()
    def all_workers_die(self) -> None:
        """The whole group is killed."""
        self.workers.clear()

    @rule(seconds=st.sampled_from([1, 10, 31, 61]))
    def time_passes(self, seconds: int) -> None:
        """Leases run out, retries come due."""
        self.store.now += seconds

    @rule(is_down=st.booleans(), swallows=st.booleans())
    def connection_changes(self, is_down: bool, swallows: bool) -> None:
        """The node goes away or comes back; its replies get lost or not (F12)."""
        self.network.is_down = is_down
        self.network.swallows_replies = swallows

    @rule(signer=st.sampled_from(["signs", "waits", "contradicts"]))
    def signer_changes(self, signer: str) -> None:
        """The signer is offline, or returns another tx than it was given (F48)."""
        self.chain.signer = signer

    @rule(data=st.data(), feerate=st.sampled_from([2_000, 5_000, 20_000]))
    def bump(self, data: st.DataObject, feerate: int) -> None:
        """A schedule or a person raises the fee of a payout."""
        if self.store.payouts:
            self.people.bump(self.pick(data), feerate)

    @rule(data=st.data(), fee_sat=st.sampled_from([500, 3_000]))
    def pay_by_child(self, data: st.DataObject, fee_sat: int) -> None:
        """A schedule or a person pays for a payout by a child of its change, which workers send at once or later."""
        if not self.network.pool:
            self.work()
        if self.store.payouts:
            self.people.pay_by_child(self.pick(data), fee_sat)

    @rule()
    def consolidate(self) -> None:
        """Small coins are merged."""
        self.people.consolidate()

    @rule(refuses_odd=st.booleans())
    def policy_changes(self, refuses_odd: bool) -> None:
        """Nodes begin to refuse what they took before, or the other way round (F42)."""
        self.network.refuses_odd = refuses_odd

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        """A second person lets a held payment try again."""
        if self.store.held:
            self.people.resume(data.draw(st.sampled_from(sorted(self.store.held))))

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        """Two people void a payout."""
        if self.store.payouts:
            self.people.give_up(self.pick(data))

    def pick(self, data: st.DataObject) -> int:
        """Choose a payout: one that waits in the memory pool, if one does, because people look there."""
        pool = self.network.pool
        waiting = [pk for pk, p in self.store.payouts.items() if any(v.txid in pool for v in p.versions)]
        return data.draw(st.sampled_from(waiting or sorted(self.store.payouts)))

    @rule(data=st.data())
    def thaw(self, data: st.DataObject) -> None:
        """Two people let a frozen payout go on."""
        if self.store.payouts:
            self.people.thaw(data.draw(st.sampled_from(sorted(self.store.payouts))))

    @rule(data=st.data(), is_mined=st.booleans())
    def somebody_sends(self, data: st.DataObject, is_mined: bool) -> None:
        """Whatever was signed once may be sent, and confirmed, by anybody at any time: signer, miner, old worker."""
        if self.network.signed:
            tx = self.network.signed[data.draw(st.sampled_from(sorted(self.network.signed)))]
            if is_mined:
                self.network.mine_signed(tx)
            else:
                self.network.accept(tx)

    @precondition(lambda self: hasattr(self, "network") and len(self.network.stolen) < MOST_STOLEN)
    @rule(data=st.data())
    def steal(self, data: st.DataObject) -> None:
        """A stranger with the same keys spends one of our coins (F26)."""
        ours = [
            coin for coin, (script, _) in self.network.unspent(with_pool=False).items() if script == CHANGE
        ]
        if ours:
            self.network.steal(data.draw(st.sampled_from(sorted(ours))), STRANGER)

    @rule(least_fee_sat=st.sampled_from([0, 300, 2_000]))
    def relay_fee_changes(self, least_fee_sat: int) -> None:
        """Nodes ask for more, or less (F31, F32)."""
        self.network.least_fee_sat = least_fee_sat

    @rule()
    def mine(self) -> None:
        """A block."""
        self.network.mine()

    @rule()
    def evict(self) -> None:
        """The memory pool is forgotten."""
        self.network.evict()

    @rule(depth=st.integers(1, 4), forgets=st.booleans())
    def reorganize(self, depth: int, forgets: bool) -> None:
        """Another branch wins."""
        self.network.reorganize(depth, forgets=forgets)

    @rule()
    def follow(self) -> None:
        """The follower reads the chain."""
        self.follower.follow()

    @invariant()
    def holds(self) -> None:
        """What must be true at every moment."""
        if not hasattr(self, "network"):
            return
        signed = list(self.network.signed.values())
        checks.check_pairwise_inputs(
            checks.by_script(self.owed, signed),
            lambda: checks.find_dead(signed, self.network.blocks, depth=FINAL_DEPTH),
        )
        checks.check_paid(self.owed, self.network.live(), exactly=False)
        checks.check_outputs_approved(self.owed, [CHANGE], signed)
        checks.check_reservations(self.store.live_reservations)

    def teardown(self) -> None:
        """Everything heals; then everybody is paid exactly once."""
        if not hasattr(self, "network"):
            return
        self.network.is_down = self.network.swallows_replies = False
        self.network.least_fee_sat = 0
        self.network.refuses_odd = True
        self.chain.signer = "signs"
        self.workers.clear()
        for turn in range(TURNS):
            self.store.now += 100_000
            while self.store.seal_next(max_payments=GROUP) is not None:
                pass
            for payout_id in list(self.store.payouts):
                self.run(payout_id)
                # A frozen payout is somebody's business: it may go on, or is given up when it freezes again.
                if turn % 4 == 3:
                    self.people.give_up(payout_id) if turn % 8 == 7 else self.people.thaw(payout_id)
            self.network.mine()
            self.follower.follow()
            if turn < FINAL_DEPTH + 2:
                self.holds()
        self.holds()
        ending.check_known(self.network, self.store)
        ending.check_alive(self.network, self.store, self.owed, group=GROUP)

    def run(self, payout_id: int) -> None:
        """Visit one payout without disturbance."""
        token = self.store.lease(payout_id)
        if token is not None:
            worker = Worker(payout_id, token, words.Nothing())
            while self.step(worker):
                pass
