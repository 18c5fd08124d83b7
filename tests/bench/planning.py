"""Planning alone: sealing released lists group by group, against what the bare node takes to pay the same outputs."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from django.db import connection

from deploy.local.regtest import Miner
from deploy.local.stack import Stack
from payments.models import Disbursement, Payment, Payout
from payments.onchain import node
from payments.payout import seal, wallets
from payments.services import disbursements
from tests.bench import pay
from tests.regtest.ministry import Ministry

FEERATE_SAT_KVB = 2_000
LARGER = 10


@dataclass
class Sealing:
    """What each group of one list took: to decide (claim, group, choose coins, check caps), and to decide and write."""

    made: Disbursement
    planning_s: list[float] = field(default_factory=list)
    sealing_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)
    statements: list[int] = field(default_factory=list)

    @property
    def groups(self) -> int:
        return math.ceil(self.made.payment_count / pay.GROUP)

    def seal_next(self) -> None:
        """Seal one group, with a clock and a counter beside it."""
        planning, statements = len(self.planning_s), 0

        def count(execute: Callable[..., Any], *call: Any) -> Any:
            nonlocal statements
            statements += 1
            return execute(*call)

        begin = processor_s()
        plan_next = partial(timed, seal.plan_next, self.planning_s)
        with mock.patch.object(seal, "plan_next", plan_next), connection.execute_wrapper(count):
            sealed = timed(seal.seal_next, self.sealing_s, self.made, feerate_sat_kvb=FEERATE_SAT_KVB)
        self.processor_s.append(processor_s() - begin)
        assert sealed is not None
        assert len(self.planning_s) == planning + 1
        self.statements.append(statements)


def processor_s() -> float:
    """Return the processor time that this process and the database's process behind its connection have used."""
    pid = connection.connection.info.backend_pid
    nanoseconds = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return time.process_time() + nanoseconds / 1e9


def timed(act: Callable[..., Any], seconds: list[float], *args: Any, **named: Any) -> Any:
    """Do it, and note how long it took."""
    begin = time.perf_counter()
    try:
        return act(*args, **named)
    finally:
        seconds.append(time.perf_counter() - begin)


def measure(stack: Stack, n: int) -> dict[str, Any]:
    """Return what sealing ``n`` and ten times ``n`` payments takes, and the bare node's time for the same outputs.

    The two lists, of two programs, are sealed in turns, so that other work on the machine slows both alike; what a
    payment takes in one and in the other is compared by the medians of their groups, in time and in processor time.
    """
    small, large = (
        Sealing(release(stack, count, code=f"PLANNING-{count}", first=70_000_000 + number * n))
        for number, count in enumerate((n, LARGER * n))
    )
    seal_in_turns(small, large)
    sent_s, paid_s = {}, {}
    for each in (small, large):
        count = each.made.payment_count
        sent_s[count], paid_s[count] = pay_bare(stack, each)
    planning_s, sealing_s, bare_s = sum(large.planning_s), sum(large.sealing_s), paid_s[LARGER * n]
    return {
        "payments": [n, LARGER * n],
        "planning_s": round(planning_s, 3),
        "sealing_s": round(sealing_s, 3),
        "planning_ms_a_group": [milliseconds(each.planning_s) for each in (small, large)],
        "sealing_ms_a_group": [milliseconds(each.sealing_s) for each in (small, large)],
        "sealing_processor_ms_a_group": [milliseconds(each.processor_s) for each in (small, large)],
        "sealing_statements_a_group": [statistics.mean(each.statements) for each in (small, large)],
        "planning_large_to_small_a_payment": ratio(large.planning_s, small.planning_s),
        "sealing_large_to_small_a_payment": ratio(large.sealing_s, small.sealing_s),
        "sealing_large_to_small_processor": ratio(large.processor_s, small.processor_s),
        "large_to_small_goal": 1.2,
        "bare_sent_ms_a_group": [
            round(1000 * sent_s[each.made.payment_count] / each.groups, 1) for each in (small, large)
        ],
        "bare_sent_s": round(sent_s[LARGER * n], 3),
        "bare_paid_s": round(bare_s, 3),
        "planning_to_bare": round(planning_s / bare_s, 3),
        "sealing_to_bare": round(sealing_s / bare_s, 3),
        "planning_to_bare_goal": 0.1,
    }


def milliseconds(seconds: list[float]) -> float:
    """Return the median group's time."""
    return round(1000 * statistics.median(seconds), 2)


def ratio(large: list[float], small: list[float]) -> float:
    """Return the median group's time of one list to the other's; groups are of one size."""
    return round(statistics.median(large) / statistics.median(small), 2)


def seal_in_turns(small: Sealing, large: Sealing) -> None:
    """Seal both lists to their ends, a group of the small one among every few of the large one."""
    for number in range(large.groups):
        large.seal_next()
        if number % LARGER == 0:
            small.seal_next()
    for each in (small, large):
        assert seal.seal_next(each.made, feerate_sat_kvb=FEERATE_SAT_KVB) is None
        assert Payout.objects.filter(disbursement=each.made).count() == each.groups


def release(stack: Stack, count: int, *, code: str, first: int) -> Disbursement:
    """Release a list of a program of its own, with a coin and a change script for every group."""
    ministry = Ministry.open(deposits_sat=[], code=code)
    groups = math.ceil(count / pay.GROUP)
    pay.enroll(stack.state_dir, ministry, count, first=first)
    pay.deposit(ministry, groups)
    made = pay.make_list(stack.state_dir, ministry, count, period="planning", first=first)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)
    disbursements.release(by=ministry.releaser, disbursement_id=made.pk, manifest_hash=agreed)
    wallets.add_change(ministry.program.wallet, node.connect(), groups + 4)
    return Disbursement.objects.select_related("program__wallet").get(pk=made.pk)


def pay_bare(stack: Stack, sealed: Sealing) -> tuple[float, float]:
    """Pay the same outputs in the same groups by the node alone; return the seconds until all are sent, and settled."""
    scripts = Payment.objects.filter(disbursement=sealed.made).order_by("pk")
    outputs = [
        (bytes(script or b""), pay.AMOUNT_SAT) for script in scripts.values_list("script_pubkey", flat=True)
    ]
    miner = Miner(stack.environment()["GOVPAY_NODE_URL"])
    return pay.pay_bare(stack, miner, outputs, pay.GROUP, name=f"bare-planning-{len(outputs)}")
