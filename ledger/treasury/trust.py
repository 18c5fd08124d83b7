"""The books of a convertibility trust: its accounts, and entries of capital, trades and what it owes people (R-25, R-26).

Bitcoin and currency meet in a position, an account in each, so that an entry sums to zero in both. What people are owed
stands in their currency beside the cash of that currency, and no price comes into it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ledger import books
from ledger.books import Draft, Line, NewAccount
from ledger.models import Account, AccountKind, Elements, Layer

ENCUMBERED = Layer.ENCUMBERED.value
# Classes of the GFSM 2014, as of a program's accounts: currency and deposits, other accounts payable, equity.
DEPOSITS, PAYABLE, EQUITY, NONPRODUCED = "6202", "6308", "6305", "614"


class Accounts(NamedTuple):
    """The codes of a trust's accounts in one currency, and of its bitcoin."""

    cash: str
    payable: str
    capital: str
    position: str
    inventory: str
    position_btc: str


def accounts(scope: str, currency: str) -> Accounts:
    """Return the codes of a trust's accounts in a currency."""
    name = "".join(part.title() for part in scope.replace("_", ":").replace("-", ":").split(":"))
    return Accounts(
        cash=f"Assets:TrustCash:{name}:{currency}",
        payable=f"Liabilities:TrustPayable:{name}:{currency}",
        capital=f"Equity:TrustCapital:{name}:{currency}",
        position=f"Equity:TrustPosition:{name}:{currency}",
        inventory=f"Assets:TrustInventory:{name}",
        position_btc=f"Equity:TrustPosition:{name}:BTC",
    )


def open_currency(scope: str, currency: str, scale: int) -> None:
    """Open a trust's accounts in a currency, and those of its bitcoin; harmless to repeat. Raises AccountTaken."""
    codes = accounts(scope, currency)
    money = [
        (codes.cash, "Cash of the trust", AccountKind.ASSET, DEPOSITS),
        (codes.payable, "Owed to people by the trust", AccountKind.LIABILITY, PAYABLE),
        (codes.capital, "Capital of the trust", AccountKind.EQUITY, EQUITY),
        (codes.position, "Position in bitcoin", AccountKind.EQUITY, EQUITY),
    ]
    coins = [
        (codes.inventory, "Bitcoin of the trust", AccountKind.ASSET, NONPRODUCED),
        (codes.position_btc, "Position in bitcoin", AccountKind.EQUITY, EQUITY),
    ]
    books.open_accounts(
        scope,
        [NewAccount(*row[:3], currency, scale, Elements(object=row[3])) for row in money]
        + [NewAccount(*row[:3], elements=Elements(object=row[3])) for row in coins],
    )


def has_books(scope: str) -> bool:
    """Say whether an institution is a trust: whether there is an account of its bitcoin."""
    return Account.objects.filter(scope=scope, code=accounts(scope, "").inventory).exists()


def capital(
    *,
    scope: str,
    currency: str,
    amount_minor: int,
    key: str,
    source_ref: str,
    memo: str,
    actor: str,
    approver: str,
    effective_at: datetime,
) -> Draft:
    """Capital paid in, Dr cash, Cr capital; with an amount below zero, paid out."""
    codes = accounts(scope, currency)
    return Draft(
        kind="trust_capital",
        scope=scope,
        idempotency_key=key,
        lines=[Line(codes.cash, amount_minor), Line(codes.capital, -amount_minor)],
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
        approver=approver,
    )


def trade(
    *,
    scope: str,
    currency: str,
    amount_sat: int,
    value_minor: int,
    key: str,
    source_ref: str,
    memo: str,
    actor: str,
    approver: str,
    effective_at: datetime,
) -> Draft:
    """Bitcoin bought, Dr inventory, Cr cash, through the position; with both amounts below zero, sold."""
    codes = accounts(scope, currency)
    return Draft(
        kind="trust_trade",
        scope=scope,
        idempotency_key=key,
        lines=[*_came(codes, amount_sat, value_minor), Line(codes.cash, -value_minor)],
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
        approver=approver,
    )


def promise(
    *,
    scope: str,
    currency: str,
    value_minor: int,
    key: str,
    source_ref: str,
    memo: str,
    actor: str,
    effective_at: datetime,
) -> Draft:
    """Legs of a list are taken, and their currency is promised: encumbered, Dr position, Cr payable; below zero, freed."""
    return Draft(
        kind="trust_promise",
        scope=scope,
        idempotency_key=key,
        lines=_promised(accounts(scope, currency), value_minor),
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
    )


def owe(
    *,
    scope: str,
    currency: str,
    payment_ids: Sequence[int],
    amounts_sat: Sequence[int],
    values_minor: Sequence[int],
    key: str,
    source_ref: str,
    actor: str,
    effective_at: datetime,
) -> Draft:
    """Legs settled: Dr inventory through the position, Cr payable, one line a payment; their promises end with that."""
    codes = accounts(scope, currency)
    value_minor = sum(values_minor)
    payable = [
        Line(codes.payable, -value, payment_id)
        for payment_id, value in zip(payment_ids, values_minor, strict=True)
    ]
    return Draft(
        kind="trust_owe",
        scope=scope,
        idempotency_key=key,
        lines=[*_came(codes, sum(amounts_sat), value_minor), *payable, *_promised(codes, -value_minor)],
        effective_at=effective_at,
        source_ref=source_ref,
        actor=actor,
    )


def pay(
    *,
    scope: str,
    currency: str,
    payment_ids: Sequence[int],
    values_minor: Sequence[int],
    key: str,
    source_ref: str,
    memo: str,
    actor: str,
    effective_at: datetime,
) -> Draft:
    """A bank has paid people: Dr payable, one line a payment, Cr cash. ``memo`` names the bank's answer."""
    codes = accounts(scope, currency)
    paid = [
        Line(codes.payable, value, payment_id)
        for payment_id, value in zip(payment_ids, values_minor, strict=True)
    ]
    return Draft(
        kind="trust_pay",
        scope=scope,
        idempotency_key=key,
        lines=[*paid, Line(codes.cash, -sum(values_minor))],
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
    )


def _came(codes: Accounts, amount_sat: int, value_minor: int) -> list[Line]:
    return [
        Line(codes.inventory, amount_sat),
        Line(codes.position_btc, -amount_sat),
        Line(codes.position, value_minor),
    ]


def _promised(codes: Accounts, value_minor: int) -> list[Line]:
    return [
        Line(codes.position, value_minor, None, ENCUMBERED),
        Line(codes.payable, -value_minor, None, ENCUMBERED),
    ]
