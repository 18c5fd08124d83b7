"""Writes what waits for signers elsewhere into a folder."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from payments.management import carrier
from payments.services import bundles, signing


class Command(BaseCommand):
    """``manage.py export_psbt --by USERNAME FOLDER``: two files a request, for any signer and for the signing program."""

    help = "Write each waiting signing request as signing-ID.psbt, and as a bundle signing-ID.json, into a folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        carrier.add_arguments(parser)
        parser.add_argument(
            "--request", type=int, action="append", metavar="ID", help="only this one; repeatable"
        )
        parser.add_argument("folder", type=Path, metavar="FOLDER")

    def handle(self, *args: Any, **options: Any) -> None:
        by, folder = carrier.get(options), options["folder"]
        if not folder.is_dir():
            raise CommandError(f"{folder} is not a folder.")
        requests = options["request"] or signing.list_waiting(by=by)
        try:
            for request_id in requests:
                psbt = signing.download(by=by, request_id=request_id)
                bundle = bundles.make(by=by, request_id=request_id)
                (folder / f"signing-{request_id}.psbt").write_bytes(psbt)
                (folder / f"signing-{request_id}.json").write_text(bundle, encoding="ascii")
                self.stdout.write(f"signing-{request_id}.psbt and signing-{request_id}.json are written.")
        except GovPayError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{folder} cannot be written to: {error.strerror}.") from error
        if not requests:
            self.stdout.write("Nothing waits for signers.")
