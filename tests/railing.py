"""Lists of money on other rails than bitcoin, made, approved and released by three people."""

from typing import Any

from django.contrib.auth.models import User

from ledger import books, chart
from ledger import rails as rail_books
from payments.models import Disbursement, Program, Rail
from payments.services import disbursements, rails
from tests import banking, factories

AMOUNTS = [1_450_000, 1_500_000, 50_000]
# Make, approve, release, and carry files to the bank.
Cast = tuple[User, User, User, User]


def make_money() -> Program:
    """A program that owes rupees, with 100,000.00 of cash and an account to pay from."""
    program = factories.make_program("RUPEES", currency="PKR")
    factories.fund_cash(program, 10_000_000)
    banking.make_paying_account(program)
    return program


def make_cast(money: Program) -> Cast:
    """Whoever it takes."""
    officer, approver, releaser, treasurer = (
        factories.make_member(money, role) for role in ("officer", "approver", "releaser", "treasurer")
    )
    return officer, approver, releaser, treasurer


def draft(money: Program, cast: Cast, rail: str, **changes: Any) -> Disbursement:
    """A draft of AMOUNTS on a rail, whose people have accounts that the bank confirms."""
    made = factories.make_disbursement(money, cast[0], amounts_minor=AMOUNTS, **changes)
    if rail == Rail.BANK:
        for payment in made.payments.all():
            banking.make_account(payment.beneficiary, cast[0], title_match="MTCH")
    return rails.choose(by=cast[0], disbursement_id=made.pk, rail=rail)


def agree(made: Disbursement, cast: Cast) -> Disbursement:
    """Submit and approve a list."""
    made = disbursements.submit(by=cast[0], disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    return disbursements.approve(by=cast[1], disbursement_id=made.pk, manifest_hash=agreed)


def release(made: Disbursement, cast: Cast) -> Disbursement:
    """Submit, approve and release a list, and let a worker take it as far as it goes."""
    made = agree(made, cast)
    agreed = bytes(made.manifest_hash or b"")
    made = disbursements.release(by=cast[2], disbursement_id=made.pk, manifest_hash=agreed)
    rails.pay(made.pk)
    return made


def balances(money: Program) -> dict[str, int]:
    """What stands on the accounts of a program of money."""
    accounts, cash = chart.program_accounts(money.pk), chart.money_accounts(money.pk)
    return {
        "cash": books.balance(cash.cash),
        "transit": books.balance(rail_books.transit_account(money.pk)),
        "payable": books.balance(accounts.payable),
        "transfers": books.balance(accounts.transfers),
    }


def statuses(made: Disbursement) -> list[str]:
    """The statuses of a list's lines."""
    return list(made.payments.order_by("line").values_list("status", flat=True))
