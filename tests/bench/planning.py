"""Planning alone: sealing a released list group by group, against what the bare node takes to pay the same outputs."""

import math
import time
from typing import Any
from unittest import mock

from deploy.local.regtest import Miner
from deploy.local.stack import Stack
from payments.models import Disbursement, Payment, Payout
from payments.onchain import node
from payments.payout import seal, wallets
from payments.services import disbursements
from tests.bench import pay
from tests.regtest.ministry import Ministry

FEERATE_SAT_KVB = 2_000


def measure(stack: Stack, n: int) -> dict[str, Any]:
    """Return the seconds of planning ``n`` and ten times ``n`` payments, and of the bare node, one after the other.

    Planning is to claim, to group, to choose coins and to check the caps; sealing is all that and to write it down.
    """
    ministry = Ministry.open(deposits_sat=[], code="PLANNING")
    sealed, planned = {}, {}
    for number, count in enumerate((n, 10 * n)):
        made = release(stack, ministry, count, first=70_000_000 + number * n)
        planned[count], sealed[count] = seal_all(made)
        bare = send_bare(stack, ministry.miner, made, name=f"bare-planning-{count}")
    groups = math.ceil(10 * n / pay.GROUP)
    return {
        "payments": [n, 10 * n],
        "planning_s": [round(found, 3) for found in planned.values()],
        "sealing_s": [round(found, 3) for found in sealed.values()],
        "sealing_us_a_payment": [round(1e6 * found / count, 1) for count, found in sealed.items()],
        "planning_large_to_small_a_payment": round(planned[10 * n] / 10 / planned[n], 2),
        "sealing_large_to_small_a_payment": round(sealed[10 * n] / 10 / sealed[n], 2),
        "planning_ms_a_group": round(1000 * planned[10 * n] / groups, 2),
        "sealing_ms_a_group": round(1000 * sealed[10 * n] / groups, 2),
        "bare_build_sign_accept_s": round(bare, 3),
        "planning_to_bare": round(planned[10 * n] / bare, 3),
        "sealing_to_bare": round(sealed[10 * n] / bare, 3),
        "planning_to_bare_goal": 0.1,
    }


def release(stack: Stack, ministry: Ministry, count: int, *, first: int) -> Disbursement:
    """Release a list with a coin and a change script for every group."""
    groups = math.ceil(count / pay.GROUP)
    pay.enroll(stack.state_dir, ministry, count, first=first)
    pay.deposit(ministry, groups)
    made = pay.make_list(stack.state_dir, ministry, count, period=f"planning-{count}", first=first)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)
    disbursements.release(by=ministry.releaser, disbursement_id=made.pk, manifest_hash=agreed)
    wallets.add_change(ministry.program.wallet, node.connect(), groups + 4)
    return Disbursement.objects.select_related("program__wallet").get(pk=made.pk)


def seal_all(made: Disbursement) -> tuple[float, float]:
    """Seal all of the list; return the seconds of planning alone and of all."""
    planning = 0.0
    plan_next = seal.plan_next

    def timed(*args: Any) -> Any:
        nonlocal planning
        begin = time.perf_counter()
        try:
            return plan_next(*args)
        finally:
            planning += time.perf_counter() - begin

    with mock.patch.object(seal, "plan_next", timed):
        begin = time.perf_counter()
        while seal.seal_next(made, feerate_sat_kvb=FEERATE_SAT_KVB) is not None:
            pass
        seconds = time.perf_counter() - begin
    groups = Payout.objects.filter(disbursement=made).count()
    assert groups == math.ceil(made.payment_count / pay.GROUP), groups
    return planning, seconds


def send_bare(stack: Stack, miner: Miner, made: Disbursement, *, name: str) -> float:
    """Build, sign and let the node accept the same outputs in the same groups; return the seconds."""
    scripts = Payment.objects.filter(disbursement=made).order_by("pk").values_list("script_pubkey", flat=True)
    outputs = [(bytes(script or b""), pay.AMOUNT_SAT) for script in scripts]
    wallet, groups = pay.open_bare(stack, miner, outputs, pay.GROUP, name=name)
    begin = time.perf_counter()
    for wanted in groups:
        pay.send_bare(wallet, wanted)
    return time.perf_counter() - begin
