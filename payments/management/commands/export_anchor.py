"""Writes a checkpoint, its OpenTimestamps proof, and what a test network's proof needs beside it."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from payments.services import anchors


class Command(BaseCommand):
    """``manage.py export_anchor FOLDER``: three files, of which any OpenTimestamps client reads the ``.ots``."""

    help = "Export a checkpoint with the proof that a block holds its hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument(
            "--size", type=int, help="of the checkpoint over so many entries; the newest proved one"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = anchors.export(size=options["size"])
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        folder, name = options["folder"], f"checkpoint-{found.size}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(found.note, encoding="utf-8")
            (folder / f"{name}.ots").write_bytes(found.ots)
            (folder / f"{name}.json").write_text(json.dumps(found.beside, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{folder} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{folder / name} is in block {found.beside['block_height']}.")
