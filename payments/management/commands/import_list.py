"""Makes a draft disbursement of a CSV file."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from payments.management import intake_screen
from payments.services import lists


class Command(BaseCommand):
    """``manage.py import_list --program CODE --by USERNAME ... FILE``: exits 1 when the list is refused."""

    help = f"Make a draft disbursement of a UTF-8 CSV file with the columns {', '.join(lists.COLUMNS)} (amount_minor)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        intake_screen.add_arguments(parser)
        parser.add_argument("--period", required=True, help="such as 2026-11")
        parser.add_argument("--purpose", required=True, help="such as pension")
        parser.add_argument("--count", required=True, type=int, help="how many lines there should be")
        total = parser.add_mutually_exclusive_group(required=True)
        total.add_argument("--total-sat", type=int, help="what they should sum to, in satoshis")
        total.add_argument(
            "--total-minor", type=int, help="the same in minor units, where the program has a currency"
        )

        parser.add_argument(
            "--urgent",
            action="store_true",
            help="pay it even while fees are high, up to the program's ceiling",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with intake_screen.opened(options) as arrival:
            intake = lists.create_from_csv(
                by=arrival.by,
                program_id=arrival.program_id,
                period=options["period"],
                purpose=options["purpose"],
                file=arrival.file,
                filename=arrival.filename,
                expected_count=options["count"],
                expected_total_sat=options["total_sat"],
                expected_total_minor=options["total_minor"],
                is_urgent=options["urgent"],
                progress=arrival.progress,
            )
        intake_screen.show(intake, "payments in the list")
        self.stdout.write(f"Disbursement {intake.disbursement.pk} is a draft.")
