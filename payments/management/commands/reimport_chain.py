"""Reads the chain anew after the database was restored from an older day."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from payments.payout import dispatch

EVERY_BLOCKS = 1_000


class Command(BaseCommand):
    """``manage.py reimport_chain``: exits 1 while something is left that nothing explains."""

    help = "Take over the txs that pay from our wallets and that the database does not know, from each wallet's birth on."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how far it is, then what came of each wallet."""
        try:
            reports = dispatch.reimport(progress=self._show)
        except GovPayError as error:
            raise CommandError(error.message) from error
        for report in reports:
            self.stdout.write(
                f"{report.wallet}: {len(report.adopted)} txs taken over, {len(report.unexplained)} unexplained, "
                f"{report.missing} signed payouts not found."
            )
            for txid in report.unexplained:
                self.stdout.write(f"  unexplained: {txid}")
        if not all(report.is_clean for report in reports):
            raise CommandError(
                "A wallet stays halted: enter and release the missing lists, and run this again."
            )

    def _show(self, done: int, of: int) -> None:
        if done % EVERY_BLOCKS == 0 or done == of:
            self.stdout.write(f"{done} of {of} blocks are read.")
