"""`manage.py listen_blocks`: reads blocks as soon as the node announces them; runs beside the workers."""

from typing import Any

from django.core.management.base import BaseCommand

from govpay import longlived
from payments.payout import listen


class Command(BaseCommand):
    """Listens for ever."""

    help = "Follow the chain at once when the node announces a block over ZMQ, and sound an alarm when sweeps stop."

    def handle(self, *args: Any, **options: Any) -> None:
        """Listen until interrupted."""
        longlived.settle_in()
        try:
            listen.listen()
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
