"""Enrolls the people of a CSV file in a program."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from payments.management import intake_screen
from payments.services import people


class Command(BaseCommand):
    """``manage.py import_people --program CODE --by USERNAME FILE``: exits 1 when the file is refused."""

    help = (
        f"Enroll people from a UTF-8 CSV file with the columns {', '.join(people.COLUMNS)}, "
        f"and where people have agreed to a consent text {' and '.join(people.OPTIONAL)}."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        intake_screen.add_arguments(parser)
        parser.add_argument(
            "--accept-partial", action="store_true", help="enroll the good rows even when some are bad"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with intake_screen.opened(options) as arrival:
            intake = people.import_csv(
                by=arrival.by,
                program_id=arrival.program_id,
                file=arrival.file,
                filename=arrival.filename,
                accept_partial=options["accept_partial"],
                progress=arrival.progress,
            )
        intake_screen.show(intake, "people enrolled")
