"""The state machine that hypothesis drives: workers that die and wake, a network that misbehaves, a checker after each."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from payments.payout import core, engine, plan
from payments.payout.ports import LeaseLost
from tests.invariants import checks
from tests.simulation.network import Network
from tests.simulation.store import CHANGE, MemoryChain, MemoryStore

GROUP = 3


class Crash(Exception):
    """The process is gone; what it had not stored is gone with it."""


@dataclass
class Worker:
    """A worker in the middle of a visit: it holds an observation that nobody else knows."""

    payout_id: int
    token: int
    seen: core.Observation


class PayoutMachine(RuleBasedStateMachine):
    """The product's core and loop; subclasses break it in known ways, to test this very machine."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[Worker] = []

    @initialize(payments=st.integers(1, 8), coins=st.integers(1, 5))
    def begin(self, payments: int, coins: int) -> None:
        """Owe some people, and hold some coins."""
        lines = [
            plan.Line(pk, b"\x00\x14" + pk.to_bytes(20, "big"), 10_000 + pk) for pk in range(1, payments + 1)
        ]
        self.network = Network([(CHANGE, 200_000 + n) for n in range(coins)])
        self.store = MemoryStore(self.network, lines)
        self.chain = MemoryChain(self.network, self.store)
        self.owed = [checks.Owed(line.payment_id, line.script_pubkey, line.amount_sat) for line in lines]

    @rule()
    def seal(self) -> None:
        """A worker seals the next group."""
        self.store.seal_next(max_payments=GROUP)

    @rule(data=st.data())
    def visit(self, data: st.DataObject) -> None:
        """A worker starts on a payout; it acts one command at a time, so that others come between."""
        if self.store.payouts:
            payout_id = data.draw(st.sampled_from(sorted(self.store.payouts)))
            token = self.store.lease(payout_id)
            if token is not None:
                self.workers.append(Worker(payout_id, token, core.Nothing()))

    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        """One of the workers, perhaps one that slept past its lease, does its next command."""
        if self.workers:
            worker = data.draw(st.sampled_from(self.workers))
            if not self.step(worker):
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
                chain=self.chain,
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
            engine.advance(payout_id, store=self.store, chain=self.chain, failpoint=crash)
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
        self.store.follow()

    @invariant()
    def holds(self) -> None:
        """What must be true at every moment."""
        if not hasattr(self, "network"):
            return
        signed = list(self.network.signed.values())
        checks.check_pairwise_inputs(checks.by_script(self.owed, signed))
        checks.check_paid(self.owed, self.network.live(), exactly=False)
        checks.check_outputs_approved(self.owed, [CHANGE], signed)
        checks.check_reservations(self.store.live_reservations)

    def teardown(self) -> None:
        """Everything heals; then everybody is paid exactly once."""
        if not hasattr(self, "network"):
            return
        self.network.is_down = self.network.swallows_replies = False
        self.workers.clear()
        for _ in range(30):
            self.store.now += 100
            while self.store.seal_next(max_payments=GROUP) is not None:
                pass
            for payout_id in list(self.store.payouts):
                self.run(payout_id)
            self.network.mine()
            self.store.follow()
        self.holds()
        checks.check_paid(self.owed, self.network.live(), exactly=True)

    def run(self, payout_id: int) -> None:
        """Visit one payout without disturbance."""
        engine.advance(payout_id, store=self.store, chain=self.chain, failpoint=lambda point: None)
