"""The entries of a program whose people are entitled to money and paid in bitcoin: two legs, each zero in its currency.

The treasury provides the bitcoin of the wallet; a release takes what a list needs of it, and pays for it out of the
program's cash at the price of its quote. Both stand on clearing accounts until the people have it, and then on neither.
"""

from datetime import datetime
from typing import NamedTuple

from ledger.books import Draft, Line
from ledger.chart import MoneyAccounts, money_accounts, program_accounts, program_scope


class Converted(NamedTuple):
    """What was converted: the entitlements, the satoshis, and what these are worth less, which stays in the cash."""

    amount_minor: int
    amount_sat: int
    remainder_minor: int


def cash_release(
    *, program_id: int, warrant_id: int, amount_minor: int, effective_at: datetime, actor: str, approver: str
) -> Draft:
    """A warrant gives a program cash, Dr cash, Cr appropriation, or takes it back where it is negative."""
    money = money_accounts(program_id)
    return Draft(
        kind="cash_release",
        scope=program_scope(program_id),
        idempotency_key=f"cash_release:warrant:{warrant_id}",
        lines=[Line(money.cash, amount_minor), Line(money.appropriation, -amount_minor)],
        effective_at=effective_at,
        source_ref=f"warrant:{warrant_id}",
        actor=actor,
        approver=approver,
    )


def conversion(
    *,
    program_id: int,
    disbursement_id: int,
    converted: Converted,
    effective_at: datetime,
    actor: str,
    approver: str,
    memo: str,
) -> Draft:
    """A released list is converted: Dr clearing, Cr cash, and the remainder on rounding; Dr bitcoin provided, Cr clearing.

    ``memo`` names the quote and its price, so that they are sealed with the books.
    """
    return Draft(
        kind="conversion",
        scope=program_scope(program_id),
        idempotency_key=f"conversion:disbursement:{disbursement_id}",
        lines=legs(program_id, converted),
        effective_at=effective_at,
        memo=memo,
        source_ref=f"disbursement:{disbursement_id}",
        actor=actor,
        approver=approver,
    )


def legs(program_id: int, converted: Converted, *, sign: int = 1) -> list[Line]:
    """Return the lines of a conversion; with the sign -1 those that undo it."""
    money, minor, rest = money_accounts(program_id), converted.amount_minor, converted.remainder_minor
    lines = [
        Line(money.clearing, sign * minor),
        Line(money.cash, -sign * (minor - rest)),
        Line(money.rounding, -sign * rest),
        Line(program_accounts(program_id).appropriation, sign * converted.amount_sat),
        Line(money.clearing_sat, -sign * converted.amount_sat),
    ]
    # Nothing is booked where nothing is left over.
    return [line for line in lines if line.amount]


def cleared(
    money: MoneyAccounts, payable: str, in_transit: str, amount_minor: int, amount_sat: int
) -> list[Line]:
    """Return the lines of a settlement: Dr payable, Cr clearing in money; Dr clearing, Cr in transit in bitcoin."""
    return [
        Line(payable, amount_minor),
        Line(money.clearing, -amount_minor),
        Line(money.clearing_sat, amount_sat),
        Line(in_transit, -amount_sat),
    ]
