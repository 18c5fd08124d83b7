"""The chart of accounts of a program."""

import re
from typing import NamedTuple

from govpay.errors import NotFound
from ledger import books
from ledger.models import AccountKind

PROGRAM_SCOPE = re.compile(r"program:([1-9][0-9]{0,17})")


class ProgramAccounts(NamedTuple):
    """The codes of a program's accounts."""

    hot_wallet: str
    in_transit: str
    payable: str
    appropriation: str
    transfers: str
    network_fees: str


NAMES: dict[str, tuple[str, AccountKind]] = {
    "hot_wallet": ("Funding wallet", AccountKind.ASSET),
    "in_transit": ("Payments in transit", AccountKind.ASSET),
    "payable": ("Beneficiaries payable", AccountKind.LIABILITY),
    "appropriation": ("Appropriation", AccountKind.EQUITY),
    "transfers": ("Transfers to people", AccountKind.EXPENSE),
    "network_fees": ("Network fees", AccountKind.EXPENSE),
}


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


def open_program(program_id: int) -> None:
    """Open a program's accounts; harmless to repeat."""
    codes = program_accounts(program_id)._asdict()
    books.open_accounts(
        program_scope(program_id),
        [books.NewAccount(code, *NAMES[noun]) for noun, code in codes.items()],
    )
