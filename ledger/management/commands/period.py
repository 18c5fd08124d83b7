"""Lists, opens, closes, reopens, seals and checks the periods of the books."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from govpay.errors import GovPayError
from ledger import periods, selectors

ACTIONS = ("list", "figures", "open", "close", "reopen", "seal", "check")


class Command(BaseCommand):
    """``manage.py period ACTION [NAME]``: the same rules as everywhere; exits 1 when refused, or when a check fails."""

    help = "List the periods of the books, or open, close, reopen, seal or check one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=ACTIONS)
        parser.add_argument("name", nargs="?", help="the period's name, such as 2026-10")
        parser.add_argument("--by", help="the user name of whoever decides")
        parser.add_argument(
            "--ends-at", help="open: the first moment after it, such as 2026-11-01; UTC unless it says"
        )
        parser.add_argument("--digest", help="seal: the digest of the figures that were looked at")
        parser.add_argument("--note", default="", help="why, at most 300 characters; it goes into packs")

    def handle(self, *args: Any, **options: Any) -> None:
        action, name = options["action"], options["name"]
        if action == "list":
            return self._list()
        if name is None:
            raise CommandError("Name the period.")
        try:
            self._act(action, name, options)
        except GovPayError as error:
            raise CommandError(f"{error.code}: {error.message}") from error
        return None

    def _act(self, action: str, name: str, options: dict[str, Any]) -> None:
        if action == "figures":
            found = periods.figures(selectors.get_period(name))
            text = {
                "period": name,
                "entries": found.entry_count,
                "through_entry_id": found.through_entry_id,
                "digest": found.digest.hex(),
            }
            self.stdout.write(json.dumps(text, indent=2))
        elif action == "check":
            if not periods.is_as_sealed(selectors.get_period(name)):
                raise CommandError(f"The books of {name} are NOT what was sealed.")
            self.stdout.write(f"The books of {name} are what was sealed.")
        elif action == "open":
            ends_at = _read("--ends-at", options["ends_at"], datetime.fromisoformat)
            ends_at = ends_at if ends_at.tzinfo else ends_at.replace(tzinfo=UTC)
            periods.open_next(by=_person(options["by"]), name=name, ends_at=ends_at)
            self.stdout.write(f"{name} is open and ends at {ends_at.isoformat()}.")
        elif action == "close":
            periods.close(by=_person(options["by"]), name=name, note=options["note"])
            self.stdout.write(
                f"{name} is closing; look at `period figures {name}`, and a second person seals it."
            )
        elif action == "reopen":
            periods.reopen(by=_person(options["by"]), name=name, note=options["note"])
            self.stdout.write(f"{name} is open again.")
        else:
            digest = _read("--digest", options["digest"], bytes.fromhex)
            periods.seal(by=_person(options["by"]), name=name, digest=digest, note=options["note"])
            self.stdout.write(f"{name} is sealed: nothing is dated before its end any more.")

    def _list(self) -> None:
        for period in selectors.periods():
            starts_at = "the beginning" if period.starts_at is None else period.starts_at.isoformat()
            self.stdout.write(f"{period.name}: {period.status}, {starts_at} to {period.ends_at.isoformat()}")


def _person(username: str | None) -> User:
    found = User.objects.filter(username=username or "", is_active=True).first()
    if found is None:
        raise CommandError(
            f"There is no active user {username}." if username else "Say who decides: --by USERNAME."
        )
    return found


def _read(option: str, text: str | None, read: Any) -> Any:
    if text is None:
        raise CommandError(f"This needs {option}.")
    try:
        return read(text)
    except ValueError as error:
        raise CommandError(f"{option} cannot be {text!r}.") from error
