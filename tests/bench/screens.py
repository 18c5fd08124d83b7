"""Every page that links lead to, for each role: the server's time and its statements, with a million payments behind it."""

import statistics
import time
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments.models import Program
from payments.transparency import publishing
from tests import crawl, factories
from tests.bench import installation
from tests.payments.admin import scenes

GOAL_MS = 200
TURNS = 3


def measure(n: int) -> dict[str, Any]:
    """Return for ``n`` payments how long pages take, which took longer than the goal, and the most statements of one."""
    program = factories.make_program("SCREENS")
    cast = {role: factories.make_member(program, role) for role in ("officer", "approver", "releaser")}
    factories.fund(program, 10**10)
    factories.make_enrollment(program)
    installation.fill(program, cast, n // installation.LISTS)
    scenes.furnish(program, cast["officer"], cast["approver"], cast["releaser"])
    publishing.publish()
    pages: dict[str, dict[str, Any]] = {}
    for role in crawl.ROLES:
        client = _sign_in(program, cast, role)
        for visit in crawl.crawl(client):
            # The home is another one for each.
            kind = f"{visit.kind} of {role}" if visit.kind == "admin:index" else visit.kind
            if visit.is_page and kind not in pages:
                pages[kind] = _time(client, visit.address) | {"address": visit.address, "role": role}
    slow = [{"page": kind} | found for kind, found in pages.items() if found["ms"] > GOAL_MS]
    times = [found["ms"] for found in pages.values()]
    return {
        "payments": n,
        "pages": len(pages),
        "median_ms": round(statistics.median(times), 1),
        "slowest_ms": max(times),
        "most_statements": max(found["statements"] for found in pages.values()),
        "goal_ms": GOAL_MS,
        "over_the_goal": sorted(slow, key=lambda found: -found["ms"]),
    }


def _sign_in(program: Program, cast: dict[str, User], role: str) -> Client:
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(cast.get(role) or factories.make_member(program, role, f"screens-{role}"))
    return client


def _time(client: Client, address: str) -> dict[str, Any]:
    taken = []
    for _ in range(TURNS):
        begin = time.perf_counter()
        client.get(address)
        taken.append(time.perf_counter() - begin)
    with CaptureQueriesContext(connection) as captured:
        client.get(address)
    return {"ms": round(statistics.median(taken) * 1_000, 1), "statements": len(captured)}
