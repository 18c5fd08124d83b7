"""Building and checking the evidence pack of a list that was paid, at n and ten times n payments: time and peak memory."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.local.stack import ROOT, Stack
from tests.bench import pay
from tests.regtest.ministry import Ministry

# The peak of the program itself: what the system counts for a process begins with that of its parent.
PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
BUILD = """
import sys, time
import django
django.setup()
from django.core.management import call_command
begin = time.perf_counter()
call_command("audit_pack", sys.argv[1], disbursement=sys.argv[2], stdout=open("/dev/null", "w"))
print(time.perf_counter() - begin)
"""
# As an auditor would, but for the clock around it.
VERIFY = """
import runpy, sys, time
begin = time.perf_counter()
try:
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
except SystemExit as ended:
    assert ended.code == 0, ended.code
print(time.perf_counter() - begin)
"""


def measure(stack: Stack, n: int) -> dict[str, Any]:
    """Return seconds, peaks in MiB, and what a payment costs in the larger pack to what it costs in the smaller."""
    processes = [stack.start_worker("packs"), stack.start_rounds(), stack.start_beat()]
    ministry = Ministry.open(deposits_sat=[], code="PACKS", feerate_floor_sat_kvb=1_000)
    sizes = (n, 10 * n)
    lists = [pay_and_settle(stack, ministry, count) for count in sizes]
    for process in processes:
        stack.kill(process)
    prove_and_seal()
    found: dict[str, Any] = {"payments": list(sizes)}
    paths = [stack.state_dir / f"pack-{count}" for count in sizes]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "govpay.settings"}
    built = [
        run([sys.executable, "-c", BUILD + PEAK, str(path), pk], environment)
        for path, pk in zip(paths, lists, strict=True)
    ]
    words = [sys.executable, "-I", "-c", VERIFY + PEAK, str(ROOT / "ledger" / "verify.py"), "--quiet"]
    checked = [run([*words, str(path)], {}) for path in paths]
    for name, (small, large) in (("building", built), ("checking", checked)):
        found |= {
            f"{name}_s": [round(small[0], 2), round(large[0], 2)],
            f"{name}_large_to_small_a_payment": round(large[0] / small[0] / 10, 2),
            f"{name}_large_to_small_goal": 1.2,
            f"{name}_mib": [round(small[1], 1), round(large[1], 1)],
            f"{name}_mib_ratio": round(large[1] / small[1], 2),
        }
    found["pack_mib"] = [round(weight(path) / 2**20, 1) for path in paths]
    return found


def pay_and_settle(stack: Stack, ministry: Ministry, count: int) -> str:
    """Pay a list of so many people through a worker; return its number."""
    from payments.models import Disbursement

    pay.pay_through_workers(stack, ministry, count, period=f"packs-{count}", first=70_000_000 + count)
    return str(Disbursement.objects.latest("pk").pk)


def prove_and_seal() -> None:
    """Keep where payouts lie in their blocks, seal all there is, and sign a checkpoint over it."""
    from ledger.seals import checkpoints, sealer
    from payments.payout import dispatch, proofs

    for pk in proofs.unproved().values_list("pk", flat=True):
        dispatch.prove(block_id=pk)
    sealer.seal()
    checkpoints.issue()


def run(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return the seconds and the MiB that a process of its own says in its last words."""
    done = subprocess.run(words, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
    seconds, kib = done.stdout.split()[-2:]
    return float(seconds), int(kib) / 1024


def weight(folder: Path) -> int:
    """Return how many bytes the files of a pack have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
