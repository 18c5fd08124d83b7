"""Prints a checkpoint, proves that it continues an older one, and takes a witness's line under it."""

import base64
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from ledger.seals import checkpoints


class Command(BaseCommand):
    """``manage.py checkpoint``: the newest one, or that over ``--size`` entries."""

    help = "Print a signed checkpoint with its witnesses' lines, or the proof that it continues an older one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--size", type=int, help="the checkpoint over so many entries, instead of the newest"
        )
        parser.add_argument(
            "--continues",
            type=int,
            metavar="SIZE",
            help="print the consistency proof from so many entries on",
        )
        parser.add_argument(
            "--cosign", type=Path, metavar="FILE", help="a witness's line (C2SP cosignature/v1)"
        )
        parser.add_argument("--witness", metavar="KEY", help="the key that made it, as name+id+key")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["cosign"] is None) != (options["witness"] is None):
            raise CommandError("--cosign and --witness go together.")
        try:
            found = checkpoints.get(options["size"])
            if options["cosign"] is not None:
                line = options["cosign"].read_text(encoding="utf-8").strip()
                checkpoints.cosign(found, line=line, verifier=options["witness"])
            if options["continues"] is None:
                self.stdout.write(checkpoints.text_of(found), ending="")
                return
            path = checkpoints.prove_consistency(options["continues"], found.seal.size)
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        for step in path:
            self.stdout.write(base64.b64encode(step).decode())
