"""Moves encrypted fields to the newest key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.services import reencryption


class Command(BaseCommand):
    """``manage.py reencrypt``: exits 1 while a field is under another key than the first of GOVPAY_FIELD_KEYS."""

    help = "Encrypt every field anew under the first key of GOVPAY_FIELD_KEYS. It may be stopped and begun again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Offer a look."""
        parser.add_argument("--status", action="store_true", help="only say how much is under which key")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how far it is, and refuse to say that it is done while an old key is needed."""
        if options["status"]:
            for name, by_key in reencryption.count_by_key().items():
                counts = ", ".join(f"{count} under {key or 'no key'}" for key, count in by_key.items())
                self.stdout.write(f"{name}: {counts or 'empty'}")
            return
        try:
            reencryption.run(progress=self._show)
        except reencryption.OldKeyLeft as error:
            for name in error.details["unreadable"]:
                self.stderr.write(f"cannot be read: {name}")
            raise CommandError(error.message) from error
        self.stdout.write(f"Every field is under {reencryption.newest_key()}.")

    def _show(self, name: str, done: int) -> None:
        self.stdout.write(f"{name}: {done} done")
