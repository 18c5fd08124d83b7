"""Reconciles claims, books and blocks, and prints what differs."""

import io
import json
import shutil
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from govpay.errors import NotFound
from ledger.models import Break, ReconciliationRun, RunStatus
from ledger.reconciliation import service

MOST_PRINTED = 200
SHOWN = {
    RunStatus.CLEAN: "clean: claims, books and blocks agree",
    RunStatus.BREAKS: "BREAKS",
    RunStatus.INCONCLUSIVE: "INCONCLUSIVE: nothing is proved",
}


class Command(BaseCommand):
    """``manage.py reconcile``: exits 1 on a break, and where a source was stale or silent."""

    help = "Compare what was claimed, booked and mined, at one block. Exits 1 unless all is explained."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--scope", help="one scope such as program:1, instead of all")
        parser.add_argument("--full", action="store_true", help="read all, and not only what changed")
        parser.add_argument("--json", action="store_true", help="print JSON instead of tables")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
        with console.status("reconciling") as status:

            def hear(step: str, done: int, total: int) -> None:
                text = f"{step}: {done:,} of {total:,}" if total else step
                # Where nobody looks at a screen, lines tell in a log how far it came.
                status.update(text) if console.is_terminal else console.print(text, markup=False)

            try:
                runs = service.reconcile(
                    scope=options["scope"], now=timezone.now(), is_full=options["full"], hear=hear
                )
            except NotFound as error:
                raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps({"runs": [_as_dict(run) for run in runs]}, indent=2))
        else:
            self.stdout.write(_as_tables(runs))
        if any(run.status != RunStatus.CLEAN for run in runs):
            sys.exit(1)


def _breaks(run: ReconciliationRun) -> list[Break]:
    return list(run.breaks.order_by("pk")[:MOST_PRINTED])


def _as_dict(run: ReconciliationRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "scope": run.scope,
        "status": run.status,
        "reason": run.reason,
        "is_full": run.is_full,
        "previous": run.previous_id,
        "block_hash": run.block_hash,
        "block_height": run.block_height,
        "counts": run.counts,
        "totals": run.totals,
        "digest": bytes(run.digest).hex(),
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat(),
        "break_count": run.break_count,
        "explained_count": run.explained_count,
        "uncased_count": run.uncased_count,
        "breaks": [
            {
                "kind": found.kind,
                "payment_id": found.payment_id,
                "payout_id": found.payout_id,
                "txid": found.txid,
                "vout": found.vout,
                "expected": found.expected,
                "found": found.found,
                "message": found.message,
            }
            for found in _breaks(run)
        ],
    }


def _as_tables(runs: list[ReconciliationRun]) -> str:
    """Render the runs, each with its breaks, at the width of the screen and never narrower than a hash needs."""
    text = io.StringIO()
    console = Console(file=text, width=max(shutil.get_terminal_size((160, 40)).columns, 100))
    for run in runs:
        where = f" at block {run.block_height} {run.block_hash}" if run.block_hash else ""
        console.print(f"{run.scope}{where}: {SHOWN[RunStatus(run.status)]}", soft_wrap=True, highlight=False)
        if run.reason:
            console.print(run.reason, soft_wrap=True, highlight=False)
        if run.totals:
            console.print(_summary(run))
        if run.totals and run.break_count:
            console.print(_break_table(run))
            hidden = run.break_count - min(run.break_count, MOST_PRINTED)
            if hidden:
                console.print(f"... and {hidden:,} more; the run {run.pk} has them.")
    if not runs:
        console.print("There is nothing to reconcile yet: no program exists.")
    return text.getvalue().rstrip("\n")


def _summary(run: ReconciliationRun) -> Table:
    table = Table("Outcome", show_edge=False)
    table.add_column("Count", justify="right")
    table.add_column("sat", justify="right")
    for outcome, count in run.counts.items():
        if count or outcome in ("claims", "matched", "in_flight"):
            total = run.totals.get({"claims": "claimed_sat"}.get(outcome, f"{outcome}_sat"))
            table.add_row(outcome.replace("_", " "), f"{count:,}", "" if total is None else f"{total:,}")
    table.add_section()
    table.add_row("wallet in the books", "", f"{run.totals['wallet_booked_sat']:,}")
    table.add_row("signed, in no block yet", "", f"{run.totals['wallet_leaving_sat']:,}")
    table.add_row("explained by breaks", "", f"{run.totals['wallet_explained_sat']:,}")
    unspent = f"{run.totals['wallet_unspent_count']:,}"
    table.add_row("unspent on the chain", unspent, f"{run.totals['wallet_unspent_sat']:,}")
    return table


def _break_table(run: ReconciliationRun) -> Table:
    table = Table("Break", "Payment", "Payout", "Outpoint", "Message", show_edge=False)
    table.columns[3].overflow = "fold"
    for found in _breaks(run):
        place = found.txid if found.vout is None else f"{found.txid}:{found.vout}"
        table.add_row(
            found.kind, str(found.payment_id or ""), str(found.payout_id or ""), place, found.message
        )
    return table
