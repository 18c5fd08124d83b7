"""Proposes how an amount is spread over addresses of a holding that were never used, each under the holding's cap (R-28)."""

from typing import Any, NamedTuple

from django.db import connection

from govpay.errors import Conflict, InvalidInput
from ledger.models.lot import MOST_SAT
from ledger.treasury import reserve
from payments.models import Holding

# What every kind of output may have without being dust.
LEAST_SAT = 546
# An address is fresh when the newest scan that stands looked at it and found it empty, and no scan ever saw anything on it,
# those whose block left the chain among them: its key may be known.
FRESH = """
SELECT a.address FROM payments_holdingaddress a
JOIN ledger_reservebalance b ON b.scan_id = %(scan)s AND b.network = a.network AND b.address = a.address
WHERE a.holding_id = %(holding)s AND a.is_live AND b.amount_sat = 0 AND NOT b.is_spent
    AND NOT EXISTS (SELECT FROM ledger_inflow i WHERE i.address = a.address)
ORDER BY a.id LIMIT %(most)s
"""


class TooFewAddresses(Conflict):
    """The holding has not so many addresses that were never used; ``details`` say how many are needed, and there are."""

    code = "too_few_addresses"


class Part(NamedTuple):
    """What should go to an address."""

    address: str
    amount_sat: int


def split(holding: Holding, amount_sat: int) -> list[Part]:
    """Return as few fresh addresses as the cap allows, and even parts; nothing is sent, and nothing is set aside.

    Raises InvalidInput for an amount that is none or a holding that is not scanned, TooFewAddresses.
    """
    if not LEAST_SAT <= amount_sat <= MOST_SAT:
        raise InvalidInput.of("amount_sat", "out_of_range", f"Give {LEAST_SAT} to {MOST_SAT} satoshis.")
    if holding.ended_at is not None or not holding.is_verified:
        raise InvalidInput.of(
            "holding_id", "not_scanned", f"{holding} is not one whose addresses are scanned."
        )
    count = -(-amount_sat // holding.cap_sat)
    fresh = _fresh(holding, count)
    if len(fresh) < count:
        raise TooFewAddresses(
            f"{amount_sat} sat need {count} addresses of at most {holding.cap_sat} sat, and {holding} has {len(fresh)} that"
            " were scanned and never used: propose a holding with more.",
            needed=count,
            there=len(fresh),
        )
    least, more = divmod(amount_sat, count)
    if least < LEAST_SAT:
        raise InvalidInput.of(
            "amount_sat", "dust", f"Each of {count} parts would have less than {LEAST_SAT} satoshis."
        )
    return [Part(address, least + (place < more)) for place, address in enumerate(fresh)]


def _fresh(holding: Holding, most: int) -> list[str]:
    newest = reserve.standing().first()
    if newest is None:
        return []
    values: dict[str, Any] = {"scan": newest.pk, "holding": holding.pk, "most": most}
    with connection.cursor() as cursor:
        cursor.execute(FRESH, values)
        return [address for (address,) in cursor.fetchall()]
