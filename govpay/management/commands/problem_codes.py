"""Writes docs/problems.md: every stable code of the API's problems, from the classes of errors."""

from typing import Any

from django.core.management.base import BaseCommand

from govpay.api import codes


class Command(BaseCommand):
    """`manage.py problem_codes > docs/problems.md`"""

    help = "Print docs/problems.md: every stable code with its status, meaning and cure."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the page."""
        self.stdout.write(codes.page(), ending="")
