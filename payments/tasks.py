"""Doorbells: each rings one service, may come twice, late or never, and carries ids only."""

from celery import shared_task

from payments.payout import dispatch

# Longer than any honest visit; a task past it is ended with its lease, and the sweep starts anew.
TIME_LIMIT_S = 240


@shared_task(time_limit=TIME_LIMIT_S)
def provision(*, wallet_id: int) -> None:
    """Make a program's wallet in the node."""
    dispatch.provision(wallet_id=wallet_id)


@shared_task(time_limit=TIME_LIMIT_S)
def seal(*, disbursement_id: int) -> None:
    """Seal what a released disbursement still has to pay."""
    dispatch.seal(disbursement_id=disbursement_id)


@shared_task(time_limit=TIME_LIMIT_S)
def advance(*, payout_id: int) -> None:
    """Take a payout as far as it goes."""
    dispatch.advance(payout_id=payout_id)


@shared_task(time_limit=TIME_LIMIT_S)
def follow() -> None:
    """Read new blocks."""
    dispatch.follow()


@shared_task(time_limit=TIME_LIMIT_S)
def sweep() -> None:
    """Ring again for all work that waits."""
    dispatch.sweep()
