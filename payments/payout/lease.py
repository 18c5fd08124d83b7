"""Keeps workers away from a payout while a version of it is built, and says so when one is at it."""

from collections.abc import Iterator
from contextlib import contextmanager

from govpay.errors import Conflict
from payments.models import Payout
from payments.payout import store


class PayoutBusy(Conflict):
    """A worker is at the payout just now; ask again in a moment."""

    code = "payout_busy"
    is_transient = True


@contextmanager
def held(payout_id: int) -> Iterator[int]:
    """Keep workers away from the payout while a version is built; raise PayoutBusy when one is at it."""
    leases = store.PostgresStore()
    token = leases.lease(payout_id)
    if token is None:
        raise PayoutBusy("A worker is at this payout just now; ask again in a moment.")
    try:
        yield token
    finally:
        leases.unlease(payout_id, token)


def lock(payout_id: int, token: int) -> None:
    """Lock the payout's row for a database transaction; raise PayoutBusy when the lease was lost."""
    rows = Payout.objects.select_for_update().filter(pk=payout_id, lease_token=token)
    if not rows.values_list("pk", flat=True).first():
        raise PayoutBusy("Another worker took this payout over; ask again in a moment.")
