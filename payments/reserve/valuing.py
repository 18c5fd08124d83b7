"""Takes a quote with each scan in every currency that the reserve is looked at in, or keeps why there was none (R-30)."""

from ledger.models import LotMovement, ReserveScan, ReserveValuation
from payments.models import Institution, PriceRule
from payments.prices import currency as currencies
from payments.prices import quotes


def value(scan: ReserveScan) -> None:
    """Write what a bitcoin costs now in each currency; call it in the database transaction that records the scan.

    Currencies are those of institutions and of their lots, and those whose price is made. No price is ever made up.
    """
    lots = LotMovement.objects.filter(scope__in=scan.balances.values("scope").distinct())
    codes = {
        *Institution.objects.values_list("currency", flat=True),
        *PriceRule.objects.values_list("currency", flat=True),
    }
    codes |= set(lots.values_list("currency", flat=True).distinct())
    ReserveValuation.objects.bulk_create(
        _value(scan, code) for code in sorted(codes & set(currencies.SCALES))
    )


def _value(scan: ReserveScan, code: str) -> ReserveValuation:
    row = ReserveValuation(scan=scan, currency=code, scale=currencies.scale(code))
    try:
        quote = quotes.take(code)
    except quotes.NoPrice as error:
        row.rule, row.message = str(error.details["rule"])[:40], error.message[:300]
    else:
        row.price, row.quote_number = quote.price, quote.pk
    return row
