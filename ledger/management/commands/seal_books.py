"""Seals the books now: gives all final entries their place in the tree, and signs a checkpoint of it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from ledger.seals import checkpoints, sealer


class Command(BaseCommand):
    """``manage.py seal_books``: prints the signed checkpoint; harmless at any time, beside any number of others."""

    help = "Seal all entries whose database transactions have ended, and sign a checkpoint."

    def handle(self, *args: Any, **options: Any) -> None:
        seals = sealer.seal()
        count = sum(seal.size - seal.start for seal in seals)
        self.stderr.write(f"{count} entries sealed.")
        try:
            checkpoint = checkpoints.issue()
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        if checkpoint is None:
            raise CommandError("Nothing is sealed yet: the books are empty.")
        self.stderr.write(f"Verifier key: {checkpoint.verifier}")
        self.stdout.write(checkpoints.text_of(checkpoint), ending="")
