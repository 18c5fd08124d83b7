"""Takes back what signers elsewhere returned as files."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from payments.management import carrier
from payments.onchain import returned
from payments.services import signing

SUFFIXES = (".psbt", ".txn", ".hex", ".txt")


class Command(BaseCommand):
    """``manage.py import_psbt --by USERNAME PATH...``: exits 1 when a file is refused; the others are kept."""

    help = "Take signatures from PSBT files, or from all of a folder; each is matched by the tx inside."

    def add_arguments(self, parser: ArgumentParser) -> None:
        carrier.add_arguments(parser)
        parser.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="a file, or a folder of files"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        by = carrier.get(options)
        files = [file for path in options["paths"] for file in _files(path)]
        refused = 0
        for file in files:
            try:
                with file.open("rb") as opened:
                    data = opened.read(returned.MAX_BYTES + 1)
                request_id = signing.find(by=by, data=data)
                found = signing.upload(by=by, request_id=request_id, data=data)
            except GovPayError as error:
                refused += 1
                self.stderr.write(
                    f"{file.name}: refused ({error.details.get('rule', error.code)}): {error.message}"
                )
            except OSError as error:
                refused += 1
                self.stderr.write(f"{file.name}: cannot be read: {error.strerror}.")
            else:
                names = ", ".join(found.added) or "nobody new"
                self.stdout.write(f"{file.name}: signing request {request_id} is signed by {names}.")
        if refused or not files:
            raise CommandError(
                f"{refused} of {len(files)} files are refused." if files else "There is no file."
            )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
