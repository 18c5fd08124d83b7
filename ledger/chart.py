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


def scope_accounts(scope: str) -> ProgramAccounts:
    """Return the codes of the accounts behind a program's scope; raise NotFound for any other text."""
    found = PROGRAM_SCOPE.fullmatch(scope)
    if found is None:
        raise NotFound(f"{scope!r} is not the scope of a program.", scope=scope)
    return program_accounts(int(found[1]))


def open_program(program_id: int, elements: Elements = UNCLASSIFIED) -> None:
    """Open a program's accounts, each with the program's elements and an object of its own; harmless to repeat."""
    books.open_accounts(
        program_scope(program_id),
        [
            books.NewAccount(code, name, kind, elements=elements._replace(object=economic))
            for code, (name, kind, economic) in zip(program_accounts(program_id), NAMES.values(), strict=True)
        ],
    )


@transaction.atomic
def classify_program(program_id: int, elements: Elements) -> int:
    """Classify the accounts of a program that nobody classified, as `open_program` does; return how many those were.

    Only the owner of the tables may, and each account once. Raises ProgramClassified where none is left.
    """
    count = 0
    for code, (_, _, economic) in zip(program_accounts(program_id), NAMES.values(), strict=True):
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
