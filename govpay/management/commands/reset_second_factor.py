"""Ends the second factor of somebody who lost theirs, once two administrators agree, each with a code of their own."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from govpay.login import devices


class Command(BaseCommand):
    """``manage.py reset_second_factor NAME --by ADMINISTRATOR --by OTHER``; it asks both for their codes."""

    help = "End somebody's authenticator, recovery codes and tokens; two administrators give their codes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="who lost their second factor")
        parser.add_argument("--by", action="append", required=True, help="an administrator; give it twice")

    def handle(self, *args: Any, **options: Any) -> None:
        user = _find(options["user"])
        people = [_find(name) for name in options["by"]]
        agreed = [(person, getpass.getpass(f"Code of {person.get_username()}: ")) for person in people]
        try:
            devices.reset(user, agreed=agreed)
        except GovPayError as error:
            raise CommandError(f"{error.message} ({error.code})") from error
        self.stdout.write(f"{user.get_username()} has no second factor any more, and enrolls one anew.")


def _find(name: str) -> User:
    user = User.objects.filter(username=name).first()
    if user is None:
        raise CommandError(f"There is no user {name}.")
    return user
