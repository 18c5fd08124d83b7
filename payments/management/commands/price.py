"""Shows the price of a bitcoin in a currency, and what every source said last; exits 1 where there is no price."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from govpay.errors import GovPayError
from payments.prices import currency as currencies
from payments.prices import watch
from payments.prices.reading import grouped
from payments.selectors import prices as selector


class Command(BaseCommand):
    """``manage.py price PKR [--ask]``: with ``--ask`` the sources are asked first, as the watch does."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the currency."""
        parser.add_argument("currency", help="a code of ISO 4217")
        parser.add_argument("--ask", action="store_true", help="ask the sources now")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print every source, and the price or the rule that stands against one."""
        code = options["currency"]
        try:
            currencies.scale(code)
        except GovPayError as error:
            raise CommandError(error.message) from error
        rule = selector.rules().filter(currency=code).first()
        if rule is None:
            raise CommandError(f"Nobody has said yet how a price in {code} is made (no_rule).")
        if options["ask"]:
            watch.look(rule.pk)
            rule = selector.rules().get(pk=rule.pk)
        (board,) = selector.boards([rule], at=timezone.now())
        for line in board.lines:
            self.stdout.write(self._of(line))
        standing, status = board.standing, board.standing.status
        if status.accepted_at is not None:
            last = f"{grouped(status.accepted_price)} at {status.accepted_at:%Y-%m-%d %H:%M:%S} UTC"
            self.stdout.write(f"Last accepted: {last}.")
        against, message = standing.against
        if against:
            raise CommandError(f"{message} ({against})")
        self.stdout.write(f"A bitcoin costs {grouped(standing.price, code)}.")

    def _of(self, line: selector.Line) -> str:
        value = line.value
        said = f"{grouped(value['value'])} as of {value['value_at']}" if value["value"] else "nothing"
        used = "used" if value["is_used"] else value["why"]
        return f"{line.source.name} ({line.source.kind}): {said}; {used}. {line.message}".rstrip()
