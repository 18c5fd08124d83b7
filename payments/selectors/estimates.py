"""What a list of money would be in satoshis at the price now: for whoever approves it, and binding nobody (ADR 54)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from payments.models import Disbursement, Quote, Rail
from payments.prices import quotes
from payments.services import conversions


@dataclass(frozen=True)
class Estimate:
    """Satoshis at the price now, what that is, and when the oldest of what it was made of was said; or why there is none."""

    currency: str
    amount_minor: int | None = None
    amount_sat: int | None = None
    price: Decimal | None = None
    price_at: datetime | None = None
    price_age_s: int | None = None
    message: str = ""


def of_list(disbursement: Disbursement, *, at: datetime) -> Estimate:
    """Return what a list's lines with an address would be in satoshis at a moment; nothing is taken, kept or promised."""
    code = disbursement.program.currency
    if disbursement.program.pays_sat:
        return Estimate(code, message="The list is of satoshis.")
    if disbursement.rail != Rail.BITCOIN:
        return Estimate(code, message="The list is not paid in bitcoin.")
    if disbursement.quote_id is not None:
        return Estimate(code, message="The list was converted at its release.")
    standing = quotes.stand(code, at=at)
    if standing is None:
        return Estimate(code, message=f"Nobody has said how a price in {code} is made.")
    if standing.price is None:
        return Estimate(code, message=standing.against.message)
    said = [value["value_at"] for value in standing.verdict.values if value["is_used"]]
    price_at = min(map(datetime.fromisoformat, said))
    made = conversions.figures(disbursement, Quote(currency=code, price=standing.price))
    return Estimate(
        currency=code,
        amount_minor=made.amount_minor,
        amount_sat=made.amount_sat,
        price=standing.price,
        price_at=price_at,
        price_age_s=max(int((at - price_at).total_seconds()), 0),
    )
