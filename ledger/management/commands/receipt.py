"""Writes the receipt of one payment, which ``ledger/verify.py`` and the page at /verify/ check."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from ledger.packs import receipts


class Command(BaseCommand):
    """``manage.py receipt 41 receipt.json``."""

    help = "Write the receipt of a payment into a new file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("payment", type=int)
        parser.add_argument("path", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = receipts.make(options["payment"])
            with options["path"].open("xb") as file:
                file.write(made)
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        except OSError as error:
            raise CommandError(f"{options['path']} cannot be written: {error.strerror}.") from error
        path = options["path"]
        self.stdout.write(f"{path} is complete. Check it with: python3 -I ledger/verify.py {path}")
