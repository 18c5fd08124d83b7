"""Writes an evidence pack of a list, a period or all books, which ``ledger/verify.py`` checks without this installation."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from govpay.errors import GovPayError
from ledger.models import PackKind
from ledger.packs import build, sink
from ledger.packs.selection import Asked


class Command(BaseCommand):
    """``manage.py audit_pack --disbursement 12 FOLDER`` or ``FILE.zip``; the newest checkpoint is what it proves up to."""

    help = "Write an evidence pack into a new folder or zip file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "path", type=Path, help="a folder that is new or empty, or a file that ends in .zip"
        )
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--disbursement", metavar="ID", help="of one list, by its number")
        which.add_argument("--period", metavar="NAME", help="of what counts in one period")
        which.add_argument("--all", action="store_true", help="of all books")
        parser.add_argument("--scope", default="", help="of one scope of them, such as program:1")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = _asked(options)
        path: Path = options["path"]
        try:
            with sink.at(path) as to:
                build.build(asked, to, now=timezone.now(), progress=self._say)
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{path} is complete. Check it with: python3 -I ledger/verify.py {path}")

    def _say(self, step: str, done: int, total: int) -> None:
        # All entries are written before the files that follow, which say no count.
        count = f": {done:,} of {total:,} written" if done < total else ""
        self.stderr.write(f"Writing {step}{count}")


def _asked(options: dict[str, Any]) -> Asked:
    if options["disbursement"] is not None:
        return Asked(PackKind.DISBURSEMENT, options["disbursement"], options["scope"])
    if options["period"] is not None:
        return Asked(PackKind.PERIOD, options["period"], options["scope"])
    return Asked(PackKind.ALL, "", options["scope"])
