"""A hundred people at fifty mixed requests a second: how long they wait, and what they slow paying by."""

import statistics
import time
from contextlib import nullcontext
from typing import Any

from django.db import connection
from knox.models import AuthToken

from deploy.local.stack import Stack
from payments.models import Disbursement, Enrollment
from payments.services import disbursements
from tests import factories
from tests.bench import pay
from tests.bench.counting import Busy, counting
from tests.bench.crowd import REQUESTS_A_SECOND, Crowd, Found, Requests
from tests.regtest.ministry import Ministry

PEOPLE = {"auditor": 80, "officer": 10, "approver": 10}
LINES = 20
# Lists that wait for approval; when all are approved, those requests are reads.
WAITING = 100
IDLE_S = 5
QUIET_S = 15
TURNS = 4


def measure(stack: Stack, n: int) -> dict[str, Any]:
    """Return waits without and with lists of ``n`` payments being paid, and what the crowd slows these by, in turns.

    A process that only counts, for as long as the requests take, stands in for them in a third turn: what that slows
    paying by is the machine's share, and nothing of govpay's.
    """
    processes = [
        stack.start_worker("bench1", queues=("work",)),
        stack.start_rounds(),
        stack.start_beat(),
        stack.start_listener(),
        stack.start_web(),
    ]
    ministry = Ministry.open(deposits_sat=[], code="LOAD", feerate_floor_sat_kvb=1_000)
    pay_once(stack, ministry, n, "warm-up")
    crowd = gather(stack.web_url, ministry)
    # As PostgreSQL does by itself within a minute: until then it takes tables for as short as they were.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with Busy() as idle:
        time.sleep(IDLE_S)
    with Busy() as asked, Requests(crowd) as quiet:
        time.sleep(QUIET_S)
    share = asked.cores - idle.cores
    taken: dict[str, list[float]] = {"alone": [], "beside": [], "counting": []}
    busy = Found()
    for turn in range(TURNS):
        # The machine changes its pace: whoever always came last would look slower.
        for name in taken if turn % 2 else reversed(taken):
            requests = Requests(crowd) if name == "beside" else None
            with requests or (counting(share, nice=0) if name == "counting" else nullcontext()):
                taken[name].append(pay_once(stack, ministry, n, f"{name}-{turn}"))
            if requests is not None:
                busy.add(requests.found)
    for process in processes:
        stack.kill(process)
    return {
        "users": sum(PEOPLE.values()),
        "requests_a_second": REQUESTS_A_SECOND,
        "payments_a_list": n,
        "while_nothing_is_paid": quiet.found.figures(),
        "while_lists_are_paid": busy.figures(),
        "cores_that_requests_keep_busy": round(share, 2),
        **{f"paying_{name}_s": [round(seconds, 3) for seconds in found] for name, found in taken.items()},
        "slower_by": _slower_by(taken["alone"], taken["beside"]),
        "slower_by_goal": 0.1,
        "slower_by_beside_a_process_that_only_counts": _slower_by(taken["alone"], taken["counting"]),
    }


def _slower_by(alone: list[float], beside: list[float]) -> float:
    return round(statistics.median(beside) / statistics.median(alone) - 1, 3)


def pay_once(stack: Stack, ministry: Ministry, n: int, period: str) -> float:
    """Return the seconds from a list's release to its last settlement."""
    return pay.pay_through_workers(stack, ministry, n, period=period, first=0)["settled_s"]


def gather(url: str, ministry: Ministry) -> Crowd:
    """Make everybody with a token, and the lists that wait for approvals."""
    program = ministry.program
    tokens: dict[str, list[str]] = {}
    for role, count in PEOPLE.items():
        people = [factories.make_member(program, role, f"load-{role}-{number}") for number in range(count)]
        tokens[role] = [AuthToken.objects.create(user=user)[1] for user in people]
    made = Disbursement.objects.get(cycle__period="warm-up")
    waiting = []
    for number in range(WAITING):
        draft = factories.make_disbursement(
            program, ministry.officer, amounts_sat=[1_000] * 2, period=f"wait-{number}"
        )
        listed = disbursements.submit(by=ministry.officer, disbursement_id=draft.pk)
        waiting.append((listed.pk, bytes(listed.manifest_hash or b"").hex()))
    root, one = f"/api/v1/programs/{program.pk}/", f"/api/v1/disbursements/{made.pk}/"
    reads = [
        "/api/v1/programs/",
        root,
        f"{root}funds/",
        f"{root}events/?page_size=50",
        f"{root}enrollments/?page_size=50",
        f"{root}disbursements/",
        one,
        f"{one}payments/?page_size=50",
        f"{one}payouts/",
        f"{one}history/",
    ]
    references = Enrollment.objects.filter(program=program).order_by("pk").values_list("reference", flat=True)
    return Crowd(url, tokens, reads, program.pk, list(references[:LINES]), waiting)
