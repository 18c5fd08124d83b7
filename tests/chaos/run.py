"""One run: draw faults from a seed while people work, heal, wait till it is quiet, and let the checker judge."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.regtest import Miner
from tests.chaos import messages
from tests.chaos.catalog import CATALOG
from tests.chaos.deck import Deck
from tests.chaos.fault import Fault
from tests.chaos.report import FIGURES, Report
from tests.chaos.stage import WORKERS, Stage
from tests.invariants import installation
from tests.invariants.checks import Violation
from tests.invariants.facts import read

# In which time something must move, and what is missing must be there at last.
QUIET_S, LONGEST_S = 60.0, 600.0
AT_ONCE = 2
BLOCK_EVERY_S, PEOPLE_EVERY_S = 2.0, 0.7
# So many blocks are found empty, so that what waits can be outbid and given up.
EMPTY = 0.5
# After so many faults a hundred blocks come at once, if something waits for them.
BURY_AFTER = 8
WAITS_FOR_DEPTH = """
SELECT 1 FROM payments_payout p LEFT JOIN payments_payouttx t ON t.txid = p.mined_txid AND t.kind = 'void'
WHERE p.status = 'frozen' OR (p.status = 'voiding' AND t.id IS NOT NULL) LIMIT 1
"""
WAITS = """
SELECT format('payout %s, %s, due in %s s: %s', id, status, coalesce(round(extract(epoch FROM due_at - now())), 0), problem)
FROM payments_payout WHERE status NOT IN ('settled', 'unsealed', 'voided') ORDER BY id LIMIT 5
"""
FOLLOWER_BEHIND = "the follower is not at the tip"


@dataclass
class Running:
    """A fault that lasts, until when, and how it ends."""

    fault: Fault
    until: float
    end: Callable[[], None]


class Run:
    """A run on a stage with a ministry; ``fault_every_s`` is how often a fault begins, on average."""

    def __init__(
        self, stage: Stage, ministry: Any, *, seed: int, fault_every_s: float, say: Callable[[str], None]
    ):
        self.stage = stage
        self.ministry = ministry
        self.draw = random.Random(seed)
        self.deck = Deck(CATALOG, seed)
        self.fault_every_s = fault_every_s
        self.say = say
        self.running: list[Running] = []
        self.report = Report(seed, 0)
        self.deepest = 0

    def prepare(self) -> None:
        """Start the workers, wait for the wallet, and fund it."""
        self.stage.start_beat()
        for name in WORKERS:
            self.stage.start_worker(name)
        where = wait_for("the wallet", self.ministry.funding_address, 60)
        from tests.chaos.people import DEPOSIT_SAT, DEPOSITS

        for _ in range(DEPOSITS):
            self.stage.miner.fund([where], DEPOSIT_SAT)
        self.stage.miner.mine(12)
        wait_for("the deposits", self._has_deposits, 60)

    def _has_deposits(self) -> bool:
        return self.stage.ask("SELECT count(*) FROM payments_coin") != [(0,)]

    def break_things(self, seconds: float) -> None:
        """Draw faults for a while; people work and blocks come meanwhile."""
        began = time.monotonic()
        next_fault = next_block = next_people = began
        next_word, next_burial = began + 10, began + BURY_AFTER * self.fault_every_s
        while (now := time.monotonic()) < began + seconds:
            self._end_faults(now)
            if now >= next_fault and len(self.running) < AT_ONCE:
                self._begin_fault(now)
                next_fault = now + self.draw.uniform(0.5, 1.5) * self.fault_every_s
            if now >= next_burial:
                if self.stage.is_node_up() and self.stage.has_room and self.stage.ask(WAITS_FOR_DEPTH):
                    self.stage.bury()
                next_burial = now + BURY_AFTER * self.fault_every_s
            if now >= next_block:
                self.stage.mine(1, is_empty=self.draw.random() < EMPTY)
                next_block = now + BLOCK_EVERY_S
            if now >= next_people:
                self.ministry.act()
                next_people = now + PEOPLE_EVERY_S * self.draw.uniform(0.5, 1.5)
            if now >= next_word:
                self.say(
                    f"{now - began:.0f} s: {sum(self.report.faults.values())} faults, {self._progress()}"
                )
                next_word = now + (10 if seconds < 600 else 300)
            self.stage.connect_nodes()
            # The one pause of the loop; nothing waits for it.
            time.sleep(0.05)
        self.report.seconds = time.monotonic() - began

    def heal(self) -> None:
        """End every fault, and put everything back."""
        for running in self.running:
            running.end()
        self.running.clear()
        self.stage.heal()
        self.stage.miner = Miner(self.stage.near.url)
        self.ministry.calm_down()

    def finish(self) -> None:
        """Wait till it is quiet, till people have come to an end, and till what they paid anew is settled.

        The last list of the day is a mistake, so that even a short run ends with something given up and paid anew.
        """
        messages.send_at_once(self.stage)
        self.report.quiet_s = self._mine_until(QUIET_S, self._require_nothing_stuck)
        wait_for("a void", self._has_given_up, LONGEST_S)
        self._mine_until(QUIET_S, self._require_decided)
        self.ministry.pay_all_anew()
        self._mine_until(QUIET_S, self._require_nothing_stuck)
        messages.send_at_once(self.stage)
        self._mine_until(QUIET_S, lambda: messages.check(self.stage))

    def _has_given_up(self) -> bool:
        """Let people give a payout up, of a list that they release when none waits; no block comes meanwhile."""
        voids = "SELECT 1 FROM payments_payout p JOIN payments_payouttx v ON v.payout_id = p.id"
        if self.stage.ask(f"{voids} WHERE p.status = 'voiding' AND v.kind = 'void' AND v.raw IS NOT NULL"):
            return True
        if self.stage.ask("SELECT 1 FROM payments_intervention WHERE status IN ('proposed', 'approved')"):
            return False
        self.ministry.mend()
        if not self.stage.ask(
            "SELECT 1 FROM payments_payout WHERE status IN ('sealed', 'committed', 'signed', 'sent')"
            " AND kind = 'payments'"
        ):
            self.ministry.ask(self.ministry.list_people)
        self.ministry.ask(self.ministry.give_up)
        return False

    def _mine_until(self, most_s: float, require: Callable[[], None]) -> float:
        """Mine, and let people mend what they must, until nothing is missing; return the seconds that it took.

        Raises Violation when nothing moved for ``most_s``: a machine that is slow is given time, an engine that stands
        still is not.
        """
        began = moved_at = time.monotonic()
        why, mark = FOLLOWER_BEHIND, self._mark()
        while (now := time.monotonic()) < min(moved_at + most_s, began + LONGEST_S):
            self.stage.connect_nodes()
            if (found := self._mark()) != mark:
                mark, moved_at = found, now
            if self._is_followed():
                try:
                    require()
                    return now - began
                except Violation as violation:
                    why = str(violation)
                self.ministry.mend()
                self.stage.mine(1)
                if self.stage.ask(WAITS_FOR_DEPTH):
                    self.stage.bury()
            time.sleep(0.2)
        raise Violation(
            f"I5: it is not quiet after {time.monotonic() - began:.0f} s: {why}; {self._tell_waits()}"
        )

    def _tell_waits(self) -> str:
        """Say what else stands still: ``why`` above is what was missing when the follower last was at the tip."""
        ((height,),) = self.stage.ask("SELECT max(height) FROM payments_block WHERE is_active")
        blocks = f"blocks are read to {height} of {self.stage.near.rpc.call('getblockcount')}"
        trouble = f"no block comes: {self.stage.no_block}" if self.stage.no_block else ""
        return "; ".join(filter(None, [blocks, trouble, *(told for (told,) in self.stage.ask(WAITS))]))

    def _mark(self) -> tuple[Any, ...]:
        """What changes while the engine gets on: the last change of a status; while many blocks are unread, the height."""
        ((change, height),) = self.stage.ask(
            "SELECT (SELECT max(id) FROM payments_statuschange),"
            " (SELECT max(height) FROM payments_block WHERE is_active)"
        )
        unread = int(self.stage.near.rpc.call("getblockcount")) - (height or 0)
        return change, height if unread > 1 else None

    def _require_nothing_stuck(self) -> None:
        """Everything that was released is settled, void, or somebody's business."""
        installation.check_nothing_stuck(read(self.stage.postgres.owner_url))

    def _require_decided(self) -> None:
        """What stands still and a halted wallet have their alarms; but people do not go home before it is over."""
        open_ones = "SELECT id FROM payments_payout WHERE status IN ('frozen', 'voiding')"
        for query in (open_ones, "SELECT id FROM payments_wallet WHERE halted_at IS NOT NULL"):
            if found := self.stage.ask(query):
                raise Violation(f"people do not come to an end with {found}")

    def _is_followed(self) -> bool:
        """Tell whether the engine has read every block of its node."""
        best = self.stage.near.rpc.call("getbestblockhash")
        return self.stage.ask("SELECT block_hash FROM payments_nodestatus WHERE is_ok") == [(best,)]

    def judge(self) -> None:
        """Let the independent checker look at database and node."""
        installation.judge(
            self.stage.postgres.owner_url,
            self.stage.near.url,
            exactly=False,
            is_healed=True,
            strangers=self.stage.stolen,
        )

    def collect(self) -> None:
        """Note the figures of the run."""
        self.report.figures = {name: self.stage.ask(query)[0][0] for name, query in FIGURES.items()}
        self.report.figures["alarm codes"] = ", ".join(
            f"{code} {count}"
            for code, count in self.stage.ask(
                "SELECT code, count(*) FROM payments_alarm GROUP BY 1 ORDER BY 1"
            )
        )
        told = self.stage.receiver
        self.report.figures["messages about alarms"] = len(told.said)
        self.report.figures["messages sent again"] = len(told.messages) - len(told.said)
        self.report.figures["calls of the node failed"] = sum(self.stage.node_proxy.failed.values())
        self.report.figures["commits lost"] = self.stage.database_proxy.hits
        self.report.people = {f"people: {what}": count for what, count in sorted(self.ministry.asked.items())}

    def write(self, path: Path) -> None:
        """Keep the report."""
        path.write_text(json.dumps(vars(self.report), indent=1, default=str))

    def _begin_fault(self, now: float) -> None:
        fault = self.deck.deal()
        until = now + self.draw.uniform(fault.least_s, fault.most_s)
        is_on = any(running.fault.begin is fault.begin for running in self.running)
        end = None if is_on else fault.begin(self.stage, self.draw)
        if end is None:
            self.deck.put_back(fault, times=self.report.faults[fault.name])
            return
        self.report.faults[fault.name] += 1
        self.running.append(Running(fault, until, end))

    def _end_faults(self, now: float) -> None:
        for running in [running for running in self.running if running.until <= now]:
            running.end()
            self.running.remove(running)

    def _progress(self) -> str:
        rows = self.stage.ask("SELECT status, count(*) FROM payments_payout GROUP BY 1 ORDER BY 1")
        return ", ".join(f"{count} {status}" for status, count in rows) or "nothing sealed yet"


def wait_for(what: str, find: Callable[[], Any], timeout_s: float) -> Any:
    """Poll till something is there; raise TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not (found := find()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come in {timeout_s} s")
        time.sleep(0.2)
    return found
