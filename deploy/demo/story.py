"""What the demo's three officers do, one after the other, and what befalls a worker on the way."""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.demo import proof
from deploy.demo.client import Client, Refused
from deploy.local.process import Process
from deploy.local.regtest import Miner
from deploy.local.stack import Stack

PEOPLE = Path(__file__).resolve().parent / "people.csv"
DEPOSITS, DEPOSIT_SAT = 4, 25_000_000
SMALLEST_SAT, STEP_SAT = 20_000, 10
PERIOD, PURPOSE = "2026-11", "pension"


class Broken(Exception):
    """The story took a turn that it must not take."""


def tell(stack: Stack, console: Console, *, password: str) -> dict[str, Any]:
    """Start the stack, pay the people, check everything; return the report."""
    told: dict[str, Any] = {"seconds": {}}
    clock = Clock(told["seconds"], console)
    with clock.phase("Starting PostgreSQL, Redis, bitcoind, web, two workers and beat"):
        stack.start_services()
        stack.migrate()
        stack.manage("demo_accounts", f"--password={password}")
        stack.start_web()
        workers = start_workers(stack)
        stack.start_beat()
    miner = Miner(stack.environment()["GOVPAY_NODE_URL"])
    ayesha, bruno, carmen = (Client(stack.web_url, name, password) for name in ("ayesha", "bruno", "carmen"))
    (program,) = ayesha.pages("programs/")
    told["program"] = {"code": program["code"], "network": program["network"]}
    told["node"] = miner.node.call("getnetworkinfo")["subversion"]
    with clock.phase("Funding the program's wallet with four deposits"):
        told["funded_sat"] = fund(ayesha, program["id"], miner)
    with clock.phase("Enrolling the people of deploy/demo/people.csv"):
        told["people"] = enroll(ayesha, program["id"])
    with clock.phase("Making, approving and releasing the list, by three people"):
        made = make_list(ayesha, program["id"], stack.state_dir / "list.csv")
        told["refusals"] = [refuse_self_approval(ayesha, made)]
        agreed = {"manifest_hash": made["manifest_hash"]}
        bruno.post(f"disbursements/{made['id']}/approve/", **agreed)
        carmen.post(f"disbursements/{made['id']}/release/", **agreed)
    told["list"] = {
        "payments": made["payment_count"],
        "total_sat": made["total_sat"],
        "fee_ceiling_sat": made["fee_reserved_sat"],
        "manifest_hash": made["manifest_hash"],
        "made_by": "ayesha",
        "approved_by": "bruno",
        "released_by": "carmen",
    }
    with clock.phase("Paying; one worker is killed while it sends"):
        told["killed"] = kill_one(stack, workers)
        pay(ayesha, made["id"], miner, console)
    with clock.phase("Checking people, books and chain"):
        told |= check(stack, ayesha, made["id"], program["id"], miner)
    return told


class Clock:
    """Says what happens and notes how long it took."""

    def __init__(self, seconds: dict[str, float], console: Console) -> None:
        self.seconds = seconds
        self.console = console
        self.what = ""
        self.begin = 0.0

    def phase(self, what: str) -> "Clock":
        """Name the next phase; use it as a context manager."""
        self.what = what
        return self

    def __enter__(self) -> None:
        self.begin = time.monotonic()
        self.console.print(f"[bold]•[/] {self.what} …", highlight=False)

    def __exit__(self, *_: object) -> None:
        self.seconds[self.what] = round(time.monotonic() - self.begin, 1)


def start_workers(stack: Stack) -> list[Process]:
    """Start two; the first that has sent a payout stops right there, before it can note that it did.

    That is the worst moment to die: the node has the tx, the database does not know. The demo then kills it.
    """
    marker = stack.state_dir / "halted"
    return [
        stack.start_worker(name, GOVPAY_FAILPOINT=f"K11:halt:{marker}") for name in ("worker1", "worker2")
    ]


def fund(officer: Client, program_id: int, miner: Miner) -> int:
    """Wait for the wallet, deposit, and wait until the deposits are booked; return what is booked."""
    path = f"programs/{program_id}/wallet/"
    wait_for("the wallet", lambda: officer.get(path)["is_ready"])
    address = officer.get(path)["funding_address"]
    for _ in range(DEPOSITS):
        miner.fund([address], DEPOSIT_SAT)
    miner.mine(1)
    funds = f"programs/{program_id}/funds/"
    wait_for("the deposits", lambda: officer.get(funds)["booked_sat"] == DEPOSITS * DEPOSIT_SAT)
    return int(officer.get(funds)["booked_sat"])


def enroll(officer: Client, program_id: int) -> dict[str, Any]:
    """Upload the file, see it refused for its bad rows, then load the good ones."""
    path = f"programs/{program_id}/intakes/people/"
    try:
        officer.upload(path, PEOPLE)
    except Refused as refusal:
        if refusal.code != "intake_refused":
            raise Broken(str(refusal)) from refusal
    else:
        raise Broken("A file with bad rows was loaded without asking.")
    intake = officer.upload(path, PEOPLE, accept_partial="true")
    return {
        "rows": intake["rows_total"],
        "enrolled": intake["rows_loaded"],
        "refused": intake["rows_refused"],
        "why": list(officer.pages(f"intakes/{intake['id']}/errors/")),
    }


def make_list(officer: Client, program_id: int, path: Path) -> dict[str, Any]:
    """Write a list of everybody enrolled, upload it with its control totals, submit it."""
    references = sorted(row["reference"] for row in officer.pages(f"programs/{program_id}/enrollments/"))
    amounts = [SMALLEST_SAT + STEP_SAT * number for number in range(len(references))]
    with path.open("w", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(["reference", "amount_sat"])
        writer.writerows(zip(references, amounts, strict=True))
    made = officer.upload(
        f"programs/{program_id}/disbursements/",
        path,
        period=PERIOD,
        purpose=PURPOSE,
        expected_count=str(len(references)),
        expected_total_sat=str(sum(amounts)),
    )
    submitted: dict[str, Any] = officer.post(f"disbursements/{made['id']}/submit/")
    return submitted


def refuse_self_approval(officer: Client, made: dict[str, Any]) -> str:
    """See that the maker cannot approve; return the refusal's words."""
    try:
        officer.post(f"disbursements/{made['id']}/approve/", manifest_hash=made["manifest_hash"])
    except Refused as refusal:
        return f"{officer.username} tried to approve her own list: {refusal.problem['detail']}"
    raise Broken("The officer who made the list approved it.")


def kill_one(stack: Stack, workers: list[Process]) -> str:
    """Wait until a worker halted after a send, end it with SIGKILL, and return its name."""
    marker = stack.state_dir / "halted"
    wait_for("a payout being sent", lambda: marker.exists() and marker.read_text() != "")
    halted = int(marker.read_text())
    for worker in workers:
        listed = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text()
        if str(halted) in listed.split():
            name = worker.name
            stack.kill(worker)
            return name
    raise Broken(f"No worker has the child {halted} that halted.")


def pay(officer: Client, disbursement_id: int, miner: Miner, console: Console) -> None:
    """Mine a block a second and show the progress until the list is completed."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("sealing", total=None)
        deadline = time.monotonic() + 180
        while True:
            now = officer.get(f"disbursements/{disbursement_id}/")
            payouts = {row["status"]: row["count"] for row in now["progress"]["payouts"]}
            words = ", ".join(f"{count} {status}" for status, count in payouts.items())
            done, total = payouts.get("settled", 0), sum(payouts.values())
            progress.update(
                bar, description=f"payouts: {words or 'none yet'}", completed=done, total=total or None
            )
            if now["status"] == "completed":
                return
            if "frozen" in payouts or time.monotonic() > deadline:
                raise Broken(f"The list stays {now['status']} with payouts {words}: {now['problem']}")
            miner.mine(1)
            time.sleep(1)


def check(
    stack: Stack, officer: Client, disbursement_id: int, program_id: int, miner: Miner
) -> dict[str, Any]:
    """Read everything back, compare it with the blocks, reconcile, and sum up."""
    payments = list(officer.pages(f"disbursements/{disbursement_id}/payments/"))
    path = stack.state_dir / "payments.csv"
    proof.write_payments(path, payments)
    differences = proof.find_differences(path, miner.node)
    # The follower may be a block behind the node for a moment; the run waits for it and says so otherwise.
    runs = officer.post("reconciliation-runs/", scope=f"program:{program_id}")["runs"]
    trial = officer.get(f"trial-balance/?scope=program:{program_id}")
    payouts = list(officer.pages(f"disbursements/{disbursement_id}/payouts/"))
    vsize, fees = sum(p["vsize_vb"] for p in payouts), sum(p["fee_sat"] for p in payouts)
    settled = sum(p["payment_count"] for p in payouts if p["status"] == "settled")
    return {
        "paid_exactly_once": len(payments) - len(differences),
        "differences": differences,
        "payouts": len(payouts),
        "settled_payments": settled,
        "vb_a_payment": round(vsize / len(payments), 2),
        "fee_sat_a_payment": round(fees / len(payments), 2),
        "fees_sat": fees,
        "block_height": miner.node.call("getblockcount"),
        "reconciliation": [
            {name: run[name] for name in ("status", "reason", "counts", "totals", "block_hash")}
            for run in runs
        ],
        "trial_balance": {account["code"]: account["balance"] for account in trial["accounts"]},
        "is_success": not differences
        and settled == len(payments)
        and trial["is_balanced"]
        and [run["status"] for run in runs] == ["clean"],
    }


def wait_for(what: str, is_there: Callable[[], bool], timeout_s: float = 60) -> None:
    """Poll until it is there; raise Broken with its name after the time."""
    deadline = time.monotonic() + timeout_s
    while not is_there():
        if time.monotonic() > deadline:
            raise Broken(f"{what} did not come within {timeout_s:.0f} s; see var/demo/log/.")
        time.sleep(0.1)
