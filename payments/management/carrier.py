"""Who carries files between govpay and its signers at a terminal."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError


def add_arguments(parser: ArgumentParser) -> None:
    """Add who it is."""
    parser.add_argument("--by", required=True, metavar="USERNAME", help="the signer operator or treasurer")


def get(options: dict[str, Any]) -> User:
    """Return the user; raise CommandError when there is none."""
    found = User.objects.filter(username=options["by"]).first()
    if found is None:
        raise CommandError(f"There is no user {options['by']!r}.")
    return found
