"""Looks at what is on the addresses of all holdings now, and prints it; exits 1 where the scan is inconclusive."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from payments.reserve import scanning
from payments.selectors import reserve as selector


class Command(BaseCommand):
    """``manage.py scan_reserve``: the same look that workers take by themselves."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Scan, and print the block and each holding."""
        try:
            scan = scanning.look()
        except GovPayError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        self.stdout.write(f"{scan}, {scan.block_hash}, {scan.block_at:%Y-%m-%d %H:%M:%S} UTC.")
        for total in selector.totals(scan):
            self.stdout.write(
                f"{total.scope} {total.holding}: {total.amount_sat} sat on {total.address_count} addresses, {total.badge};"
                f" {total.reused_count} reused, {total.over_cap_count} over the cap."
            )
