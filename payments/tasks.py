"""Doorbells: each rings one service, may come twice, late or never, and carries ids only."""

from celery import shared_task

from ledger.packs import jobs
from payments.payout import dispatch, hooks, reconciling, rounds, screening, verification, webhook
from payments.prices import watch
from payments.rails import payee
from payments.reserve import scanning
from payments.services import (
    bank_writing,
    entitlements,
    grievance_clock,
    importing,
    imports,
    messages,
    rails,
    travel_records,
    vouchers,
)
from payments.transparency import publishing
from payments.trust import following

# Longer than any honest visit. At the first limit the visit ends with an exception and gives its lease back; a process
# that does not hear it is killed at the second, and its lease runs out. The sweep starts anew.
LIMITS = {"soft_time_limit": 220, "time_limit": 240}


@shared_task(**LIMITS)
def provision(*, wallet_id: int) -> None:
    """Make a program's wallet in the node."""
    dispatch.provision(wallet_id=wallet_id)


@shared_task(**LIMITS)
def seal(*, disbursement_id: int) -> None:
    """Pay what a released disbursement still has to pay, on its rail."""
    rails.pay(disbursement_id)


@shared_task(**LIMITS)
def consolidate(*, wallet_id: int) -> None:
    """Merge a wallet's small coins, if it may be done now."""
    dispatch.consolidate(wallet_id=wallet_id)


@shared_task(**LIMITS)
def seal_books() -> None:
    """Seal the entries of the books that are final, and sign a checkpoint when one is due."""
    dispatch.seal_books()


# The first time it reads all books.
@shared_task(soft_time_limit=7_000, time_limit=7_200)
def add_up_books() -> None:
    """Add what moved in the books to its days."""
    dispatch.add_up_books()


@shared_task(**LIMITS)
def anchor(*, checkpoint_id: int) -> None:
    """Anchor a checkpoint of the books in the chain, if it may be done now."""
    dispatch.anchor(checkpoint_id=checkpoint_id)


@shared_task(**LIMITS)
def prove(*, block_id: int) -> None:
    """Keep where in a block its final payouts lie."""
    dispatch.prove(block_id=block_id)


# It may have the chain to read from the wallet's birth on. Where the broker hands it out again meanwhile, it does nothing.
@shared_task(soft_time_limit=reconciling.LIMIT_S, time_limit=reconciling.LIMIT_S + 100)
def reconcile(*, program_id: int) -> None:
    """Compare claims, books and blocks of a program."""
    reconciling.reconcile(program_id=program_id)


# A pack of a large installation takes longer; its job renews its lease while its worker lives.
@shared_task(soft_time_limit=7_000, time_limit=7_200)
def build_pack(*, job_id: int) -> None:
    """Make an evidence pack that somebody asked for."""
    jobs.run(job_id)


# A large file takes longer; its job renews its lease with each part.
@shared_task(soft_time_limit=7_000, time_limit=7_200)
def run_import(*, job_id: int) -> None:
    """Check a file that somebody brought, or write one that was confirmed."""
    importing.run(job_id)


@shared_task(**LIMITS)
def watch_grievances() -> None:
    """Look for grievances that nobody answered in time."""
    grievance_clock.watch()


@shared_task(**LIMITS)
def expire_entitlements(*, disbursement_id: int) -> None:
    """Give back what nobody has claimed of a list in time."""
    entitlements.expire(disbursement_id)


# A file of a national list takes minutes.
@shared_task(soft_time_limit=7_000, time_limit=7_200)
def write_bank_file(*, bank_file_id: int) -> None:
    """Write a file for a bank."""
    bank_writing.write(bank_file_id)


@shared_task(**LIMITS)
def expire_vouchers(*, disbursement_id: int) -> None:
    """Take back what nobody has redeemed of a list in time."""
    vouchers.expire(disbursement_id)


@shared_task(**LIMITS)
def send_messages() -> None:
    """Send messages to people through their gateways."""
    messages.send_due()


@shared_task(**LIMITS)
def advance(*, payout_id: int) -> None:
    """Take a payout as far as it goes."""
    dispatch.advance(payout_id=payout_id)


@shared_task(**LIMITS)
def bump(*, payout_id: int) -> None:
    """Raise the fee of a payout that the node does not take any more."""
    dispatch.bump(payout_id=payout_id)


@shared_task(**LIMITS)
def hasten(*, wallet_id: int) -> None:
    """Raise the fees of a wallet's payouts that wait for long."""
    dispatch.hasten(wallet_id=wallet_id)


@shared_task(**LIMITS)
def intervene(*, intervention_id: int) -> None:
    """Carry out what people agreed to."""
    dispatch.intervene(intervention_id=intervention_id)


@shared_task(**LIMITS)
def review(*, disbursement_id: int) -> None:
    """Let go what no rule holds any more in a list, and hold what one speaks against."""
    screening.review(disbursement_id)


@shared_task(**LIMITS)
def follow() -> None:
    """Read new blocks."""
    dispatch.follow()


@shared_task(**LIMITS)
def sweep() -> None:
    """Ring again for all work that waits."""
    rounds.sweep()


@shared_task(**LIMITS)
def deliver() -> None:
    """Tell the receiver elsewhere what becomes of alarms."""
    webhook.deliver()


@shared_task(**LIMITS)
def check_payees() -> None:
    """Ask banks for the titles of accounts that are not confirmed."""
    payee.ask()


@shared_task(**LIMITS)
def verify() -> None:
    """Ask the verifier elsewhere for people who are not confirmed."""
    verification.ask()


# A node takes minutes to look through the outputs of a large test network; the lease ends after the limit.
@shared_task(soft_time_limit=scanning.LIMIT_S - 40, time_limit=scanning.LIMIT_S - 20)
def scan_reserve() -> None:
    """Look at what is on the addresses of all holdings."""
    scanning.visit()


# Adding up a million payments takes seconds, on a busy database minutes.
@shared_task(soft_time_limit=scanning.LIMIT_S - 40, time_limit=scanning.LIMIT_S - 20)
def publish_figures() -> None:
    """Take the public figures of all programs."""
    publishing.publish_when_due()


@shared_task(**LIMITS)
def follow_trust(*, trust_id: int) -> None:
    """Owe what people elected and a trust has got, and free what is gone."""
    following.follow(trust_id)


@shared_task(**LIMITS)
def watch_prices(*, rule_id: int) -> None:
    """Ask what a bitcoin costs in a currency."""
    watch.visit(rule_id)


@shared_task(**LIMITS)
def send_webhook(*, webhook_id: int) -> None:
    """Send a webhook of a program what it has to be told."""
    hooks.deliver(webhook_id)


@shared_task(**LIMITS)
def prune() -> None:
    """Forget what nobody needs any more."""
    rounds.prune()
    hooks.forget()
    imports.forget()
    messages.forget()
    travel_records.forget()
