"""Takes quotes: a price that several sources agree on at a moment, or a refusal that names the rule; there is no default."""

from datetime import datetime
from typing import NoReturn

from govpay.errors import Conflict
from payments.models import Quote
from payments.prices import currency as currencies


class NoPrice(Conflict):
    """There is no price now; ``rule`` says what stands against it."""

    code = "no_price"


def take(currency: str, *, at: datetime | None = None) -> Quote:
    """Return a new quote of a currency, as of now or of ``at``. Nobody is asked: it is made of what sources said lately.

    Raises UnknownCurrency, and NoPrice with the ``rule`` that is broken and what each source said.
    """
    currencies.scale(currency)
    _refuse(currency, "no_rule", f"Nobody has said yet how a price in {currency} is made.")


def _refuse(currency: str, rule: str, message: str) -> NoReturn:
    raise NoPrice(message, currency=currency, rule=rule)
