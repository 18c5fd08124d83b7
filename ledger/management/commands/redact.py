"""Asks that a sealed entry is blacked out, or agrees to what another person asked."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from ledger.seals import redaction


class Command(BaseCommand):
    """``manage.py redact ask ENTRY --by NAME --why TEXT`` (or ``LEAF --leaf``); ``redact agree REQUEST --by ANOTHER``."""

    help = "Black out a sealed entry: one person asks, another agrees, salt and bytes are deleted, the tree stays whole."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=("ask", "agree"))
        parser.add_argument("number", type=int, help="ask: the entry; agree: the request")
        parser.add_argument("--leaf", action="store_true", help="ask: the number is a leaf's, not an entry's")
        parser.add_argument("--by", required=True, help="the user name of whoever decides")
        parser.add_argument("--why", default="", help="ask: why, without personal data; it is shown in packs")

    def handle(self, *args: Any, **options: Any) -> None:
        by = User.objects.filter(username=options["by"], is_active=True).first()
        if by is None:
            raise CommandError(f"There is no user {options['by']}.")
        try:
            if options["action"] == "ask":
                which = {"index" if options["leaf"] else "entry_id": options["number"]}
                asked = redaction.ask(by=by, why=options["why"], **which)
                self.stdout.write(f"Request {asked.pk} waits for a second person.")
            else:
                done = redaction.carry_out(by=by, request_id=options["number"])
                self.stdout.write(f"Leaf {done.leaf_id} is blacked out.")
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
