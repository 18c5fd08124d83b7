"""Classifies the accounts of a program that was made before accounts had elements: once, as the owner of the tables."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError

from govpay.errors import GovPayError
from payments.models import Program
from payments.services import programs


class Command(BaseCommand):
    """``manage.py classify_program PENSIONS --entity ... --function ... --fund ... --project ...``."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the program's code and its elements."""
        parser.add_argument("code")
        for name in ("entity", "function", "fund", "project"):
            parser.add_argument(f"--{name}", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Classify, and say how many accounts were; CommandError for what is refused."""
        program = Program.objects.filter(code=options["code"]).first()
        if program is None:
            raise CommandError(f"There is no program {options['code']}.")
        elements = {name: options[name] for name in ("entity", "function", "fund", "project")}
        try:
            count = programs.classify(program, **elements)
        except GovPayError as error:
            raise CommandError(error.message) from error
        except ProgrammingError as error:
            raise CommandError(
                "Only the owner of the tables may classify: set DATABASE_URL to its."
            ) from error
        print(f"{program.code}: {count} accounts are classified.")
