"""The entries of money that leaves a program by bank file or voucher: in transit, then with the person, or back.

Each is in the program's money. As with bitcoin, what people are owed is payable until they have it: sending moves cash into
transit, settling clears payable against transit, what is dead comes back to cash. What is in transit has one line a
payment in each, so that the sealed books say of every person whether the money left, arrived or came back.
"""

from collections.abc import Sequence
from datetime import datetime

from ledger import books
from ledger.books import Draft, Line
from ledger.chart import money_accounts, program_accounts, program_scope
from ledger.models import Account, AccountKind

KINDS = ("rail_sent", "rail_settled", "rail_returned")


def transit_account(program_id: int) -> str:
    """Return the code of the account for money that is on its way."""
    return f"Assets:MoneyInTransit:P{program_id}"


def open_transit(program_id: int) -> None:
    """Open the account for money on its way, in the program's money and classified as its cash; harmless to repeat."""
    code = transit_account(program_id)
    if not Account.objects.filter(code=code).exists():
        cash = Account.objects.get(code=money_accounts(program_id).cash)
        account = books.NewAccount(
            code, "Money in transit", AccountKind.ASSET, cash.currency, cash.scale, elements=cash.elements
        )
        books.open_accounts(program_scope(program_id), [account])


def sent(
    *,
    program_id: int,
    key: str,
    source_ref: str,
    payment_ids: Sequence[int],
    amounts: Sequence[int],
    effective_at: datetime,
    actor: str,
    memo: str = "",
) -> Draft:
    """Payments left: Dr in transit, one line a payment; Cr cash. ``memo`` names the file and its hash."""
    lines = [
        Line(transit_account(program_id), amount, payment_id)
        for payment_id, amount in zip(payment_ids, amounts, strict=True)
    ]
    return Draft(
        kind="rail_sent",
        scope=program_scope(program_id),
        idempotency_key=f"rail_sent:{key}",
        lines=[*lines, Line(money_accounts(program_id).cash, -sum(amounts))],
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
    )


def settled(
    *,
    program_id: int,
    key: str,
    source_ref: str,
    payment_ids: Sequence[int],
    amounts: Sequence[int],
    effective_at: datetime,
    actor: str,
    memo: str = "",
) -> Draft:
    """People have it: Dr beneficiaries payable; Cr in transit, one line a payment. ``memo`` names the bank's answer."""
    lines = [
        Line(transit_account(program_id), -amount, payment_id)
        for payment_id, amount in zip(payment_ids, amounts, strict=True)
    ]
    return Draft(
        kind="rail_settled",
        scope=program_scope(program_id),
        idempotency_key=f"rail_settled:{key}",
        lines=[*lines, Line(program_accounts(program_id).payable, sum(amounts))],
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
    )


def returned(
    *,
    program_id: int,
    key: str,
    source_ref: str,
    payment_ids: Sequence[int],
    amounts: Sequence[int],
    effective_at: datetime,
    actor: str,
    memo: str = "",
) -> Draft:
    """What was on its way is back, and payable still: Dr cash; Cr in transit, one line a payment."""
    lines = [
        Line(transit_account(program_id), -amount, payment_id)
        for payment_id, amount in zip(payment_ids, amounts, strict=True)
    ]
    return Draft(
        kind="rail_returned",
        scope=program_scope(program_id),
        idempotency_key=f"rail_returned:{key}",
        lines=[*lines, Line(money_accounts(program_id).cash, sum(amounts))],
        effective_at=effective_at,
        memo=memo,
        source_ref=source_ref,
        actor=actor,
    )
