"""Lets somebody, or an address, try to sign in again after too many wrong passwords or codes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from govpay.login import lockout


class Command(BaseCommand):
    """``manage.py unlock --user NAME`` or ``--address ADDRESS``."""

    help = "Forget the failed logins of a user or from an address."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--user", help="the user name that was typed")
        which.add_argument("--address", help="the address that the attempts came from")

    def handle(self, *args: Any, **options: Any) -> None:
        found = lockout.unlock(username=options["user"], address=options["address"])
        self.stdout.write(f"Unlocked: {found} rows of failures are forgotten.")
