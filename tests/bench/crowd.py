"""A crowd that sends mixed requests at fixed times from a process of its own, which knows nothing of Django."""

import http.client
import itertools
import json
import math
import multiprocessing
import random
import threading
import time
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

REQUESTS_A_SECOND = 50
# Of a hundred requests; the rest reads.
DRAFTS, APPROVALS = 5, 5
TIMEOUT_S = 60


@dataclass
class Crowd:
    """Who asks, by role, and what there is to ask for."""

    url: str
    tokens: dict[str, list[str]]
    reads: list[str]
    program_id: int
    references: list[str]
    # Lists that wait for approval: id and manifest hash.
    lists: list[tuple[int, str]]


@dataclass
class Found:
    """The seconds that each kind of request took, from when it was due, and the answers that were not as they should be."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Found") -> None:
        """Put another turn's beside."""
        for kind, taken in other.seconds.items():
            self.seconds[kind] += taken
        self.wrong += other.wrong

    def figures(self) -> dict[str, Any]:
        """Return percentiles in milliseconds, of all and of each kind."""
        every = [taken for kind in self.seconds.values() for taken in kind]
        return {
            "requests": len(every),
            "p50_ms": percentile_ms(every, 50),
            "p95_ms": percentile_ms(every, 95),
            **{f"p95_of_{kind}_ms": percentile_ms(taken, 95) for kind, taken in sorted(self.seconds.items())},
            "wrong_answers": dict(self.wrong),
        }


class Requests:
    """Sends the crowd's requests from a process of its own while the block runs; then ``found`` has what came back."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.found = Found()
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=send, args=(crowd, theirs))

    def __enter__(self) -> "Requests":
        self._process.start()
        assert self._ours.recv() == "sending"
        return self

    def __exit__(self, *exception: object) -> None:
        self._ours.send("stop")
        seconds, wrong, approvals = self._ours.recv()
        self._process.join()
        self.found.seconds.update(seconds)
        self.found.wrong.update(wrong)
        del self.crowd.lists[:approvals]


def send(crowd: Crowd, pipe: Any) -> None:
    """Send requests at their times, whether the ones before were answered or not, until told to stop."""
    draw = random.Random(len(crowd.lists))
    found, local, lock = Found(), threading.local(), threading.Lock()
    waiting = iter(crowd.lists)
    approvals = 0

    def one(due: float, kind: str, request: tuple[str, str, str, Any], expected: int) -> None:
        try:
            status = ask(local, crowd.url, *request)
        except (OSError, http.client.HTTPException) as error:
            status, local.connection = type(error).__name__, None
        with lock:
            found.seconds[kind].append(time.monotonic() - due)
            if status != expected:
                found.wrong[f"{kind}: {status}"] += 1

    with ThreadPoolExecutor(sum(map(len, crowd.tokens.values()))) as pool:
        pipe.send("sending")
        begin = time.monotonic()
        for number in itertools.count():
            due = begin + number / REQUESTS_A_SECOND
            if pipe.poll(max(0, due - time.monotonic())):
                break
            kind = draw.randrange(100)
            following = next(waiting, None) if kind < APPROVALS else None
            if following is not None:
                approvals += 1
                address, body = (
                    f"/api/v1/disbursements/{following[0]}/approve/",
                    {"manifest_hash": following[1]},
                )
                asked = ("POST", address, draw.choice(crowd.tokens["approver"]), body)
                pool.submit(one, due, "approvals", asked, 200)
            elif APPROVALS <= kind < APPROVALS + DRAFTS:
                address = f"/api/v1/programs/{crowd.program_id}/disbursements/"
                asked = ("POST", address, draw.choice(crowd.tokens["officer"]), draft(crowd))
                pool.submit(one, due, "drafts", asked, 201)
            else:
                reader = draw.choice(crowd.tokens["auditor"])
                pool.submit(one, due, "reads", ("GET", draw.choice(crowd.reads), reader, None), 200)
    pipe.send((dict(found.seconds), found.wrong, approvals))


def draft(crowd: Crowd) -> dict[str, Any]:
    """Return the body of a short list for a cycle of its own."""
    return {
        "period": uuid.uuid4().hex[:20],
        "purpose": "load",
        "expected_count": len(crowd.references),
        "expected_total_sat": str(1_000 * len(crowd.references)),
        "lines": [{"reference": reference, "amount_sat": "1000"} for reference in crowd.references],
    }


def ask(local: Any, url: str, method: str, address: str, token: str, body: Any) -> int:
    """Send one request over the thread's own connection, read the answer, and return its status."""
    if getattr(local, "connection", None) is None:
        local.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    if body is not None:
        headers |= {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
    local.connection.request(method, address, None if body is None else json.dumps(body), headers)
    response = local.connection.getresponse()
    response.read()
    return int(response.status)


def percentile_ms(seconds: list[float], percent: int) -> float:
    """Return the value that so many percent do not exceed."""
    ordered = sorted(seconds)
    return round(1_000 * ordered[math.ceil(len(ordered) * percent / 100) - 1], 1)
