"""The chart of accounts of a program."""

import re
from typing import NamedTuple

from django.db import transaction

from govpay.errors import Conflict, NotFound
from ledger import books
from ledger.models import Account, AccountKind, Elements

UNCLASSIFIED = Elements()
# What codes of suspense accounts look like, for SQL.
SUSPENSE = "^[A-Za-z]+:Suspense(:|$)"
PROGRAM_SCOPE = re.compile(r"program:([1-9][0-9]{0,17})")


class ProgramClassified(Conflict):
    """No account of the program is left to classify."""

    code = "program_classified"


class ProgramAccounts(NamedTuple):
    """The codes of a program's accounts."""

    hot_wallet: str
    in_transit: str
    payable: str
    appropriation: str
    transfers: str
    network_fees: str


# The objects are classes of the GFSM 2014: nonproduced assets, other accounts payable, current grants of the government,
# social assistance benefits in cash and kind, use of goods and services.
NAMES: dict[str, tuple[str, AccountKind, str]] = {
    "hot_wallet": ("Funding wallet", AccountKind.ASSET, "614"),
    "in_transit": ("Payments in transit", AccountKind.ASSET, "614"),
    "payable": ("Beneficiaries payable", AccountKind.LIABILITY, "6308"),
    "appropriation": ("Appropriation", AccountKind.EQUITY, "1331"),
    "transfers": ("Transfers to people", AccountKind.EXPENSE, "272"),
    "network_fees": ("Network fees", AccountKind.EXPENSE, "22"),
}
# Other expense of the GFSM 2014.
OTHER_EXPENSE = "28"


class MoneyAccounts(NamedTuple):
    """The codes of what a program has besides, whose people are entitled to money; ``clearing_sat`` is in bitcoin.

    Its transfers and its payable are in money, too. The appropriation among all programs' accounts is what the treasury
    provided in bitcoin.
    """

    cash: str
    appropriation: str
    clearing: str
    rounding: str
    clearing_sat: str


class Money(NamedTuple):
    """A currency of ISO 4217, and how many digits its minor units have."""

    currency: str
    scale: int


# The objects are classes of the GFSM 2014: currency and deposits, current grants, other accounts receivable, other expense.
MONEY_NAMES: dict[str, tuple[str, AccountKind, str]] = {
    "cash": ("Program cash", AccountKind.ASSET, "6202"),
    "appropriation": ("Appropriation in money", AccountKind.EQUITY, "1331"),
    "clearing": ("Conversion clearing", AccountKind.ASSET, "6208"),
    "rounding": ("Remainders of conversion", AccountKind.EXPENSE, OTHER_EXPENSE),
    "clearing_sat": ("Conversion clearing in bitcoin", AccountKind.ASSET, "6208"),
}
BITCOIN = Money("BTC", 8)
# Of all programs' accounts those that are in the program's money.
IN_MONEY = ("payable", "transfers")


def program_scope(program_id: int) -> str:
    """Return the scope of a program's accounts and entries."""
    return f"program:{program_id}"


def program_accounts(program_id: int) -> ProgramAccounts:
    """Return the codes of a program's accounts."""
    return ProgramAccounts(
        hot_wallet=f"Assets:HotWallet:P{program_id}",
        in_transit=f"Assets:InTransit:P{program_id}",
        payable=f"Liabilities:BeneficiariesPayable:P{program_id}",
        appropriation=f"Equity:Appropriation:P{program_id}",
        transfers=f"Expenses:Transfers:P{program_id}",
        network_fees=f"Expenses:NetworkFees:P{program_id}",
    )


def money_accounts(program_id: int) -> MoneyAccounts:
    """Return the codes of what a program has besides, whose people are entitled to money."""
    return MoneyAccounts(
        cash=f"Assets:Cash:P{program_id}",
        appropriation=f"Equity:MoneyAppropriation:P{program_id}",
        clearing=f"Assets:ConversionClearing:P{program_id}",
        rounding=f"Expenses:Rounding:P{program_id}",
        clearing_sat=f"Assets:ConversionClearingBitcoin:P{program_id}",
    )


def scope_accounts(scope: str) -> ProgramAccounts:
    """Return the codes of the accounts behind a program's scope; raise NotFound for any other text."""
    found = PROGRAM_SCOPE.fullmatch(scope)
    if found is None:
        raise NotFound(f"{scope!r} is not the scope of a program.", scope=scope)
    return program_accounts(int(found[1]))


def scope_money_accounts(scope: str) -> MoneyAccounts:
    """Return the codes of those accounts behind a program's scope; raise NotFound for any other text."""
    return money_accounts(int(scope_accounts(scope).hot_wallet.rpartition("P")[2]))


def open_program(program_id: int, elements: Elements = UNCLASSIFIED, money: Money | None = None) -> None:
    """Open a program's accounts, each with the program's elements and an object of its own; harmless to repeat.

    With ``money`` its people are entitled to that, and are paid in bitcoin.
    """
    found = [
        (code, role, facts)
        for code, (role, facts) in zip(program_accounts(program_id), NAMES.items(), strict=True)
    ]
    if money is not None:
        besides = zip(money_accounts(program_id), MONEY_NAMES.items(), strict=True)
        found += [(code, f"money_{name}", facts) for code, (name, facts) in besides]
    books.open_accounts(
        program_scope(program_id),
        [
            books.NewAccount(
                code, name, kind, *_unit(role, money), elements=elements._replace(object=economic)
            )
            for code, role, (name, kind, economic) in found
        ],
    )


def _unit(role: str, money: Money | None) -> Money:
    """Return what the account is in: bitcoin, or the money of the program."""
    is_money = role in IN_MONEY or (role.startswith("money_") and role != "money_clearing_sat")
    return money if money is not None and is_money else BITCOIN


@transaction.atomic
def classify_program(program_id: int, elements: Elements) -> int:
    """Classify the accounts of a program that nobody classified, as `open_program` does; return how many those were.

    Only the owner of the tables may, and each account once. Raises ProgramClassified where none is left.
    """
    count = 0
    names = (*NAMES.values(), *MONEY_NAMES.values())
    codes = (*program_accounts(program_id), *money_accounts(program_id))
    for code, (_, _, economic) in zip(codes, names, strict=True):
        blank = Account.objects.filter(code=code, **UNCLASSIFIED._asdict())
        count += blank.update(**elements._replace(object=economic)._asdict())
    if not count:
        raise ProgramClassified("Every account of the program is classified, and that is for ever.")
    return count


def suspense_account(scope: str) -> str:
    """Return the code of a program's suspense account; raise NotFound for any other scope."""
    return scope_accounts(scope).hot_wallet.replace("Assets:HotWallet", "Liabilities:Suspense")


def losses_account(scope: str) -> str:
    """Return the code of a program's account for coins that are lost for good; raise NotFound for any other scope."""
    return scope_accounts(scope).network_fees.replace("NetworkFees", "Losses")


def open_suspense(scope: str) -> None:
    """Open the account for what nobody knows; harmless to repeat."""
    _open_beside(scope, suspense_account(scope), "Suspense", AccountKind.LIABILITY, NAMES["payable"][2])


def open_losses(scope: str) -> None:
    """Open the account for coins that are lost for good; harmless to repeat."""
    _open_beside(scope, losses_account(scope), "Losses", AccountKind.EXPENSE, OTHER_EXPENSE)


def _open_beside(scope: str, code: str, name: str, kind: AccountKind, economic: str) -> None:
    """Open an account that a program seldom needs, classified as its others."""
    # One that stands keeps its elements, whatever the others were classified as since.
    if Account.objects.filter(code=code, scope=scope).exists():
        return
    wallet = Account.objects.get(code=scope_accounts(scope).hot_wallet)
    account = books.NewAccount(code, name, kind, elements=wallet.elements._replace(object=economic))
    books.open_accounts(scope, [account])
