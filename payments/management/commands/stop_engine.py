"""Throws or lifts the global stop from a shell, when neither admin nor API can be reached."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from payments.models import Stop
from payments.services import stops


class Command(BaseCommand):
    """``manage.py stop_engine --by USERNAME --reason WHY [--lift]``: the same rules as everywhere, exits 1 when refused."""

    help = "Stop all sealing, signing and sending, or with --lift let it go on. Blocks are followed all the time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--by", required=True, help="the user name of whoever decides")
        parser.add_argument("--reason", required=True, help="why, at most 300 characters")
        parser.add_argument("--lift", action="store_true", help="lift the stop that is open")

    def handle(self, *args: Any, **options: Any) -> None:
        by = User.objects.filter(username=options["by"], is_active=True).first()
        if by is None:
            raise CommandError(f"There is no active user {options['by']}.")
        try:
            if not options["lift"]:
                stop = stops.throw(by=by, reason=options["reason"])
                self.stdout.write(f"Stop {stop.pk} is thrown: nothing is sealed, signed or sent from now on.")
                return
            open_now = Stop.objects.filter(is_open=True).first()
            if open_now is None:
                raise CommandError("The engine is not stopped.")
            stops.lift(by=by, stop_id=open_now.pk, reason=options["reason"])
            self.stdout.write(f"Stop {open_now.pk} is lifted: the engine goes on.")
        except GovPayError as error:
            raise CommandError(error.message) from error
