"""Opens accounts, and finds them by their codes."""

from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection

from govpay.errors import Conflict, GovPayError
from ledger.models import Account, AccountKind, Elements


class AccountMissing(GovPayError):
    """A line names an account that was never opened."""

    code = "account_missing"
    http_status = 500


class AccountTaken(Conflict):
    """The code is another scope's account, or one of another kind, currency or classification."""

    code = "account_taken"


class NewAccount(NamedTuple):
    """An account to open; its amounts will be whole units of ``10 ** -scale`` of the currency."""

    code: str
    name: str
    kind: AccountKind
    currency: str = "BTC"
    scale: int = 8
    elements: Elements = Elements()


class Known(NamedTuple):
    """What posting has to know of an account."""

    id: int
    currency: str


def open_accounts(scope: str, accounts: Iterable[NewAccount]) -> None:
    """Open accounts; those that exist stay as they are. Raises AccountTaken for one that is another's or another."""
    wanted = {new.code: new for new in accounts}
    Account.objects.bulk_create(
        (
            Account(
                code=new.code,
                name=new.name,
                kind=new.kind,
                currency=new.currency,
                scale=new.scale,
                scope=scope,
                **new.elements._asdict(),
            )
            for new in wanted.values()
        ),
        ignore_conflicts=True,
    )
    for found in Account.objects.filter(code__in=wanted):
        new = wanted[found.code]
        if (found.scope, found.kind, found.currency, found.scale, found.elements) != (
            scope,
            new.kind,
            new.currency,
            new.scale,
            new.elements,
        ):
            raise AccountTaken(
                f"The account {found.code} belongs to {found.scope} and is another.", account=found.code
            )


def find(codes: set[str]) -> dict[str, Known]:
    """Return accounts by code, in one statement; raise AccountMissing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT code, id, currency FROM ledger_account WHERE code = ANY(%s)", [list(codes)])
        found = {code: Known(pk, currency) for code, pk, currency in cursor.fetchall()}
    missing = sorted(codes - set(found))
    if missing:
        raise AccountMissing(f"These accounts were never opened: {', '.join(missing)}.", accounts=missing)
    return found
