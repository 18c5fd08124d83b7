"""Prints the trial balance: every account, its debits and credits, and whether they agree."""

import io
import json
import shutil
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from ledger import books
from ledger.models import Layer


class Command(BaseCommand):
    """``manage.py trial_balance``: exits 1 when debits and credits differ."""

    help = "Print the trial balance, of all programs or of one scope, now, as of a time, or as known at one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--scope", help="one scope such as program:1, instead of all")
        parser.add_argument(
            "--as-of", help="what took effect up to a time, such as 2026-11-24T12:00:00Z; UTC unless it says"
        )
        parser.add_argument("--known-at", help="what was written up to a time")
        parser.add_argument("--layer", choices=Layer.values, default=Layer.SETTLED.value)
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = {
            "scope": options["scope"],
            "as_of": _read_time(options["as_of"]),
            "known_at": _read_time(options["known_at"]),
            "layer": options["layer"],
        }
        trial = books.trial_balance(**chosen)
        if not trial.accounts:
            where = "" if options["scope"] is None else f" in {options['scope']}"
            raise CommandError(f"No accounts are open{where}.")
        if options["json"]:
            self.stdout.write(json.dumps(_as_dict(trial, chosen), indent=2, default=datetime.isoformat))
        else:
            self.stdout.write(_as_table(trial, chosen))
        if not trial.is_balanced:
            sys.exit(1)


def _read_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is not a time such as 2026-11-24T12:00:00Z.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _as_dict(trial: books.TrialBalance, chosen: dict[str, Any]) -> dict[str, Any]:
    return {
        **chosen,
        "is_balanced": trial.is_balanced,
        "totals": {
            currency: {"debit": debit, "credit": credit}
            for currency, (debit, credit) in trial.totals().items()
        },
        "accounts": [account._asdict() | {"balance": account.balance} for account in trial.accounts],
    }


def _as_table(trial: books.TrialBalance, chosen: dict[str, Any]) -> str:
    """Render accounts with their net balance on the side where it stands, in satoshis or smallest units."""
    as_of, known_at, layer = chosen["as_of"], chosen["known_at"], chosen["layer"]
    title = f"Trial balance {'now' if as_of is None else as_of.isoformat()}"
    title += "" if known_at is None else f", as known at {known_at.isoformat()}"
    title += "" if layer == Layer.SETTLED else f", {layer}"
    table = Table("Account", "Name", title=title)
    for heading in ("Debits", "Credits", "Balance Dr", "Balance Cr"):
        table.add_column(heading, justify="right", no_wrap=True)
    for account in trial.accounts:
        table.add_row(
            account.code,
            account.name,
            f"{account.debit:,}",
            f"{account.credit:,}",
            f"{account.balance:,}" if account.balance > 0 else "",
            f"{-account.balance:,}" if account.balance < 0 else "",
        )
    for currency, (debit, credit) in sorted(trial.totals().items()):
        balances = [account.balance for account in trial.accounts if account.currency == currency]
        table.add_section()
        table.add_row(
            "Total",
            f"{currency}, smallest units",
            f"{debit:,}",
            f"{credit:,}",
            f"{sum(amount for amount in balances if amount > 0):,}",
            f"{-sum(amount for amount in balances if amount < 0):,}",
        )
    text = io.StringIO()
    console = Console(file=text, width=max(shutil.get_terminal_size((140, 40)).columns, 100))
    console.print(table)
    verdict = "Debits equal credits." if trial.is_balanced else "DEBITS AND CREDITS DIFFER."
    console.print(verdict)
    return text.getvalue().rstrip("\n")
