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


class Command(BaseCommand):
    """``manage.py trial_balance``: exits 1 when debits and credits differ."""

    help = "Print the trial balance, of all programs or of one scope, now or as of a time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--scope", help="one scope such as program:1, instead of all")
        parser.add_argument("--at", help="as of this time, such as 2026-11-24T12:00:00Z; UTC unless it says")
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        at = _read_time(options["at"])
        trial = books.trial_balance(scope=options["scope"], at=at)
        if not trial.accounts:
            where = "" if options["scope"] is None else f" in {options['scope']}"
            raise CommandError(f"No accounts are open{where}.")
        if options["json"]:
            self.stdout.write(json.dumps(_as_dict(trial, options["scope"], at), indent=2))
        else:
            self.stdout.write(_as_table(trial, at))
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


def _as_dict(trial: books.TrialBalance, scope: str | None, at: datetime | None) -> dict[str, Any]:
    return {
        "scope": scope,
        "at": None if at is None else at.isoformat(),
        "is_balanced": trial.is_balanced,
        "totals": {
            currency: {"debit": debit, "credit": credit}
            for currency, (debit, credit) in trial.totals().items()
        },
        "accounts": [account._asdict() | {"balance": account.balance} for account in trial.accounts],
    }


def _as_table(trial: books.TrialBalance, at: datetime | None) -> str:
    """Render accounts with their net balance on the side where it stands, in satoshis or smallest units."""
    table = Table("Account", "Name", title=f"Trial balance {'now' if at is None else at.isoformat()}")
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
