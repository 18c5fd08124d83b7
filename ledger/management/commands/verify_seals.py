"""Checks every seal of the books against what is stored, and names each entry that is no longer what was sealed."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from ledger.seals import verification

# So many lines say enough; the count tells of the others.
MOST_LINES = 50


class Command(BaseCommand):
    """``manage.py verify_seals``: exits 1 when anything differs from what was sealed."""

    help = "Verify every leaf, head and checkpoint of the books."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--key", action="append", default=[], help="a verifier key to trust besides our own (name+id+key)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = verification.verify(keys=options["key"])
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        for finding in report.findings[:MOST_LINES]:
            self.stdout.write(f"{finding.code}: {finding.message}")
        self.stdout.write(
            f"{report.entries} entries, {report.seals} seals, {report.checkpoints} checkpoints:"
            f" {len(report.findings)} differences."
        )
        if report.findings:
            sys.exit(1)
