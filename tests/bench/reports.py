"""Reports and exports over n postings and ten times n: seconds a posting, and peak memory, which must not grow."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from deploy.local.stack import ROOT, Stack
from ledger import books, chart
from ledger.books import Draft, Line

START = datetime(2026, 1, 1, tzinfo=UTC)
# A payout's entry: a line a payment, the fee, the wallet.
LINES = 100
BATCH = 50
MEASURED = (
    ("trial-balance", "csv"),
    ("general-ledger", "csv"),
    ("statement", "csv"),
    ("fees", "csv"),
    ("pefa-27", "csv"),
    ("journal", "csv"),
    ("journal", "jsonl"),
    ("journal", "beancount"),
    ("journal", "hledger"),
)
# In a process of its own, so that its peak is that of nothing else.
MAKE = """
import json, resource, sys, time
from datetime import UTC, datetime
import django
django.setup()
from ledger import reports
from ledger.reports import documents
name, form, scope = sys.argv[1:]
document = documents.get_document(name)
asked = reports.ask(document, now=datetime(2100, 1, 1, tzinfo=UTC), scope=scope)
begin = time.perf_counter()
size = sum(len(piece) for piece in documents.produce(document, form, asked))
print(json.dumps({"seconds": time.perf_counter() - begin, "bytes": size,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def measure(stack: Stack, n: int) -> dict[str, Any]:
    """Return for each document seconds and peaks at n and 10 n postings, and their ratios."""
    for program_id, postings in ((1_001, n), (1_002, 10 * n)):
        fill(program_id, postings)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ledger_entry, ledger_posting")
    found: dict[str, Any] = {"postings": [n, 10 * n]}
    for name, form in MEASURED:
        small, large = (make(stack, name, form, chart.program_scope(program)) for program in (1_001, 1_002))
        found[f"{name} {form}"] = {
            "seconds": [round(small["seconds"], 2), round(large["seconds"], 2)],
            "a_posting_ratio": round(large["seconds"] / small["seconds"] / 10, 2),
            "mib": round(large["bytes"] / 2**20, 1),
            "peak_mib": [round(small["peak_mib"], 1), round(large["peak_mib"], 1)],
            "peak_ratio": round(large["peak_mib"] / small["peak_mib"], 2),
        }
    return found


def fill(program_id: int, postings: int) -> None:
    """Post payouts of 98 payments an hour apart."""
    chart.open_program(program_id)
    codes = chart.program_accounts(program_id)
    paid = LINES - 2
    entries = max(postings // LINES, 1)
    for first in range(0, entries, BATCH):
        books.post(
            Draft(
                kind="payout_sent",
                scope=chart.program_scope(program_id),
                idempotency_key=f"bench:{program_id}:{number}",
                lines=[
                    *(Line(codes.in_transit, 1_000 + at, number * paid + at + 1) for at in range(paid)),
                    Line(codes.network_fees, 500),
                    Line(codes.hot_wallet, -sum(1_000 + at for at in range(paid)) - 500),
                ],
                effective_at=START + timedelta(hours=number),
                source_ref=f"payout:{number}",
                actor="bench",
            )
            for number in range(first, min(first + BATCH, entries))
        )


def make(stack: Stack, name: str, form: str, scope: str) -> dict[str, Any]:
    """Make a document in a process of its own; return seconds, bytes and peak."""
    done = subprocess.run(
        [sys.executable, "-c", MAKE, name, form, scope],
        env=stack.environment(owner=True) | {"DJANGO_SETTINGS_MODULE": "govpay.settings"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
