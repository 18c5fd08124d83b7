"""Peak memory of the importing and of the paying process at n and ten times n: it must not grow with the list."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.local.stack import ROOT, Stack
from tests.bench import pay
from tests.bench import people as files
from tests.regtest.ministry import Ministry

IMPORT = """
import resource, sys
import django
django.setup()
from django.contrib.auth.models import User
from payments.models import Program
from payments.services import people
with open(sys.argv[1], "rb") as file:
    loaded = people.import_csv(by=User.objects.get(username=sys.argv[2]),
        program_id=Program.objects.get(code=sys.argv[3]).pk, file=file, filename="bench.csv")
assert loaded.status == "loaded", loaded
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure(stack: Stack, n: int) -> dict[str, Any]:
    """Return peaks in MiB and their ratios."""
    ministry = Ministry.open(deposits_sat=[], code="MEMORY")
    importing = {count: import_peak_mib(stack, ministry, count) for count in (n, 10 * n)}
    paying = {count: paying_peak_mib(stack, ministry, count) for count in (n, 10 * n)}
    return {
        "rows": [n, 10 * n],
        "importing_mib": list(importing.values()),
        "importing_ratio": round(importing[10 * n] / importing[n], 2),
        "paying_mib": list(paying.values()),
        "paying_ratio": round(paying[10 * n] / paying[n], 2),
    }


def import_peak_mib(stack: Stack, ministry: Ministry, count: int) -> float:
    """Import in a process of its own and return its peak."""
    path = stack.state_dir / f"memory-{count}.csv"
    files.write_people(path, count, first=60_000_000 + count)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(path), ministry.officer.username, ministry.program.code],
        env=stack.environment(owner=True) | {"DJANGO_SETTINGS_MODULE": "govpay.settings"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return round(int(done.stdout.split()[-1]) / 1024, 1)


def paying_peak_mib(stack: Stack, ministry: Ministry, count: int) -> float:
    """Pay through one worker and return the peak of its pool child."""
    worker = stack.start_worker(f"memory{count}")
    beat = stack.start_beat()
    pay.pay_through_workers(stack, ministry, count, period=f"memory-{count}", first=60_000_000 + count)
    peak = max(peak_mib(pid) for pid in children(worker.pid))
    for process in (worker, beat):
        stack.kill(process)
    return peak


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def peak_mib(pid: int) -> float:
    """Return a process's peak resident memory."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmHWM:"):
            return round(int(row.split()[1]) / 1024, 1)
    raise LookupError(pid)
