"""Takes the public figures of all programs now, and says what their file hashes to."""

from typing import Any

from django.core.management.base import BaseCommand

from payments.transparency import publishing


class Command(BaseCommand):
    """``manage.py publish_figures``: the same that workers do by themselves once a day."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish, and print the time and the hash."""
        made = publishing.publish()
        signed = "signed" if made.note else "not signed: GOVPAY_SEAL_KEY is not set"
        self.stdout.write(f"Published the {made}, SHA-256 {bytes(made.sha256).hex()}, {signed}.")
