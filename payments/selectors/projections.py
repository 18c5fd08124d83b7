"""What a program's payments will take and cost, beside what paying costs elsewhere by the word of a source (R-23)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import connection

from govpay.errors import InvalidInput
from payments.models import CostBaseline, Program, Wallet
from payments.models.outcome import MOST
from payments.onchain import address
from payments.onchain.address import Kind
from payments.onchain.amount import MAX_SAT
from payments.payout import projection
from payments.payout.projection import Cost, Groups, Projection, Value

# More than there are people; that many are counted as fast as one.
MOST_PEOPLE = 10_000_000_000
MOST_PAYMENTS = 3_000
CURRENCY = re.compile("[A-Z]{3}")
# One script of each kind that its people are paid to, and how many of it there are.
ENROLLED = """
SELECT min(d.script_pubkey), count(*) FROM payments_enrollment e
JOIN payments_destination d ON d.beneficiary_id = e.beneficiary_id AND d.is_current
WHERE e.program_id = %s GROUP BY length(d.script_pubkey), substring(d.script_pubkey FROM 1 FOR 2)
"""


@dataclass(frozen=True)
class Comparison:
    """A baseline beside the projection: what it makes of a payment, in satoshis, or why that cannot be said."""

    baseline: CostBaseline
    per_payment_sat: Fraction | None
    why_not: str

    def times(self, cost: Cost) -> Fraction | None:
        """Return how many times as much as here it costs there; None where that cannot be said."""
        return None if self.per_payment_sat is None else self.per_payment_sat / cost.per_payment_sat


@dataclass(frozen=True)
class Projected:
    """A projection with everything that was compared with it."""

    projection: Projection
    comparisons: tuple[Comparison, ...]


def in_decimals(value: Fraction, places: int) -> Decimal:
    """Return a figure as it is shown, half to even; nothing is computed from it."""
    return Decimal(round(value * 10**places)).scaleb(-places)


def groups_of(program: Program | None, group_max_payments: int | None = None) -> Groups:
    """Return how a program pays, with another number of payments a payout if one is given; without one, as a new program."""
    rules = program or Program()
    wallet = Wallet() if program is None else Wallet.objects.get(program=program)
    return Groups(
        group_max_payments or rules.group_max_payments,
        rules.group_max_vsize_vb,
        wallet.input_weight,
        wallet.change_weight,
    )


def value_of(
    *,
    amount_sat: int | None = None,
    amount_minor: int | None = None,
    currency: str = "",
    price_minor: int | None = None,
) -> Value:
    """Return what each person gets, given in satoshis, or in minor units of a currency and then with its price.

    Raises InvalidInput for both amounts, for a currency, amount or price without what it needs: no price is assumed; and for
    what is no amount, price or currency.
    """
    _require("amount_sat", amount_sat, MAX_SAT)
    _require("amount_minor", amount_minor, MOST)
    _require("price_minor", price_minor, MOST)
    if currency and CURRENCY.fullmatch(currency) is None:
        message = "Name the currency by its three capitals (ISO 4217)."
        raise InvalidInput.of("currency", "currency_malformed", message)
    if amount_sat is not None and amount_minor is not None:
        raise InvalidInput.of(
            "amount_minor", "amount_twice", "Give the amount once, in satoshis or in minor units."
        )
    if price_minor is None and (currency or amount_minor is not None):
        raise InvalidInput.of("price_minor", "price_missing", "Give the price of a bitcoin in the currency.")
    if price_minor is not None and not currency:
        raise InvalidInput.of("currency", "currency_missing", "Say in which currency the price is.")
    if amount_minor is not None and price_minor is not None:
        amount_sat = projection.sat_of(amount_minor, price_minor)
        if not amount_sat:
            raise InvalidInput.of("amount_minor", "amount_nothing", "The amount is less than half a satoshi.")
        if amount_sat > MAX_SAT:
            message = "The amount is more than all bitcoin at this price."
            raise InvalidInput.of("amount_minor", "amount_too_large", message)
    return Value(amount_sat, currency, price_minor)


def enrolled(program: Program) -> dict[Kind, int]:
    """Return how many of the program's people are paid to each kind of script now."""
    with connection.cursor() as cursor:
        cursor.execute(ENROLLED, [program.pk])
        kinds = [(address.kind(bytes(script)), count) for script, count in cursor.fetchall()]
    return {kind: count for kind, count in kinds if kind is not None}


def project(
    *,
    program: Program | None,
    outputs: Mapping[Kind, int],
    group_max_payments: int | None = None,
    block_share_percent: int = 100,
    **value: Any,
) -> Projected:
    """Project a list of so many outputs of each kind, paid as the program pays; ``value`` as ``value_of`` takes it.

    Without any output it is of everybody who is enrolled. Raises InvalidInput as ``value_of`` does, for a list of nobody or
    of more than MOST_PEOPLE, and for a number that is beyond its limits, which it names.
    """
    for kind, count in outputs.items():
        _require(kind, count, MOST_PEOPLE, least=0)
    _require("group_max_payments", group_max_payments, MOST_PAYMENTS)
    _require("block_share_percent", block_share_percent, 100)
    nobody = ""
    if program is not None and not any(outputs.values()):
        outputs, nobody = enrolled(program), f"Nobody is enrolled in {program.code} who has an address. "
    if not 0 < (people := sum(outputs.values())) <= MOST_PEOPLE:
        message = f"{'' if people else nobody}Say how many are paid: 1 to {MOST_PEOPLE:,}."
        raise InvalidInput.of("outputs", "people_out_of_range", message)
    found = projection.project(
        outputs,
        groups_of(program, group_max_payments),
        value=value_of(**value),
        block_share_percent=block_share_percent,
    )
    rows = CostBaseline.objects.filter(program=program).order_by("name", "-pk").distinct("name")
    baselines = rows.select_related("entered_by") if program is not None else []
    return Projected(found, tuple(_compare(row, found.value) for row in baselines))


def _require(column: str, value: int | None, most: int, least: int = 1) -> None:
    if value is not None and not least <= value <= most:
        raise InvalidInput.of(column, "out_of_range", f"Give {least} to {most:,}.")


def _compare(row: CostBaseline, value: Value) -> Comparison:
    ratio = Fraction(row.numerator, row.denominator)
    if not row.currency:
        if value.amount_sat is None:
            return Comparison(row, None, "It is a share of the value, and no amount was given.")
        return Comparison(row, ratio * value.amount_sat, "")
    if value.price_minor is None or row.currency != value.currency:
        return Comparison(row, None, f"It is in {row.currency}, and no price in {row.currency} was given.")
    return Comparison(row, ratio * projection.SAT_PER_BTC / value.price_minor, "")
