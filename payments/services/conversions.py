"""Converts a list of money to satoshis by a quote, inside its release: set-based, in exact integers, halves to even.

Which lines are converted are those that bitcoin can pay: with a script, and not withdrawn. What waits for its person stays
money: another list pays it, by a quote of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Max

from govpay.errors import Conflict, InvalidInput, NotFound
from ledger import books, conversion
from ledger.conversion import Converted
from payments.models import Disbursement, Quote, Rail, Role
from payments.payout import agreed
from payments.prices import currency as currencies
from payments.prices import quotes
from payments.selectors import funds
from payments.services import authority, encumbrances
from payments.services.lines import DUST
from payments.signer.conversion import COIN, PRICE_UNIT
from payments.states import DisbursementStatus, StatusConflict

MAX_ERRORS = 100
# Advisory locks, one a quote: the application has no right to lock its row, because nobody may change that.
LOCKS = 0x6771 << 48
PAYABLE = "disbursement_id = %(list)s AND script_pubkey IS NOT NULL AND status IN ('pending', 'held')"


def rates_of(lines: str, number: str = "numeric") -> str:
    """Return the expressions that convert lines in a type of numbers, each amount once: most lists pay many the same."""
    unit, rate = f"%(unit)s::{number}", f"%(rate)s::{number}"
    whole = "div({}, {})" if number == "numeric" else "({}) / ({})"
    return f"""
WITH rates AS MATERIALIZED (
    SELECT a.amount_minor, b.sat, a.amount_minor - (d.worth + CASE WHEN 2 * d.rest > {unit}
        OR (2 * d.rest = {unit} AND d.worth %% 2 = 1) THEN 1 ELSE 0 END) AS remainder_minor
    FROM (
        SELECT DISTINCT amount_minor FROM payments_payment WHERE {lines}
    ) a
    CROSS JOIN LATERAL (SELECT {whole.format(f"a.amount_minor * {unit}", rate)} AS sat) q
    CROSS JOIN LATERAL (SELECT a.amount_minor * {unit} - q.sat * {rate} AS rest) r
    CROSS JOIN LATERAL (SELECT q.sat + CASE WHEN 2 * r.rest > {rate}
        OR (2 * r.rest = {rate} AND q.sat %% 2 = 1) THEN 1 ELSE 0 END AS sat) b
    CROSS JOIN LATERAL (SELECT {whole.format(f"b.sat * {rate}", unit)} AS worth, b.sat * {rate} %% {unit} AS rest) d
), lines AS (
    SELECT p.id, p.line, r.sat, r.remainder_minor, p.amount_minor,
        r.sat < CASE length(p.script_pubkey) {DUST} END AS is_dust
    FROM payments_payment p JOIN rates r USING (amount_minor) WHERE {lines}
)
"""  # noqa: S608 - numbers of our own


# Machine numbers take a third of the time of exact ones without bounds, and are as exact where every product fits.
FIGURES = {
    number: rates_of(PAYABLE, number)
    + """
SELECT count(*), coalesce(sum(amount_minor), 0), coalesce(sum(sat), 0), coalesce(sum(remainder_minor), 0),
    count(*) FILTER (WHERE is_dust) FROM lines
"""
    for number in ("bigint", "numeric")
}
DUSTY = f"{rates_of(PAYABLE)} SELECT line, sat FROM lines WHERE is_dust ORDER BY line LIMIT %(rows)s"  # noqa: S608 - the same
# What a trust takes over is wanted in satoshis at once. All other lines get theirs when they are sealed, with their output:
# they follow from the quote, and writing each line once more would take longer than all else of a release.
CONVERT = f"""{rates_of(f"{PAYABLE} AND id IN (SELECT payment_id FROM payments_trustleg)")}
UPDATE payments_payment p SET amount_sat = l.sat, remainder_minor = l.remainder_minor FROM lines l WHERE p.id = l.id
"""  # noqa: S608 - the same


class QuoteRequired(InvalidInput):
    """The list is of money: whoever releases it says by which quote."""

    code = "quote_required"


class QuoteUnneeded(InvalidInput):
    """Nothing of the list is converted, and a quote was given."""

    code = "quote_unneeded"


class QuoteExpired(Conflict):
    """The quote does not hold any more; take another one."""

    code = "quote_expired"


class QuoteUsed(Conflict):
    """Another list was converted by the quote."""

    code = "quote_used"


class QuoteOfAnother(Conflict):
    """The quote is of another currency than the list."""

    code = "quote_of_another_currency"


@dataclass(frozen=True)
class Figures:
    """What a list would be by a quote: how many lines, their money, satoshis and remainder, and how many are dust."""

    count: int
    amount_minor: int
    amount_sat: int
    remainder_minor: int
    dust_count: int


@dataclass(frozen=True)
class Preview:
    """A quote that was taken for a list, what the list would be by it, and what is free in its wallet."""

    quote: Quote
    figures: Figures
    available_sat: int


@transaction.atomic
def preview(*, by: User, disbursement_id: int, now: datetime | None = None) -> Preview:
    """Take a quote for an approved list, and say what it would be by that; nothing is converted.

    Raises NotFound, RoleMissing, StatusConflict, QuoteUnneeded, and quotes.NoPrice with the rule that is broken.
    """
    found = Disbursement.objects.filter(pk=disbursement_id, program__memberships__user_id=by.pk)
    disbursement = found.select_related("program").distinct().first()
    if disbursement is None:
        raise NotFound("There is no such disbursement in your programs.")
    authority.require(user=by, program_id=disbursement.program_id, roles=(Role.RELEASER,))
    if disbursement.status != DisbursementStatus.APPROVED:
        raise StatusConflict(
            f"The disbursement is {disbursement.status}, not approved.",
            subject="disbursement",
            status=disbursement.status,
            needed=DisbursementStatus.APPROVED,
        )
    if not is_needed(disbursement):
        raise _unneeded()
    quote = quotes.take(disbursement.program.currency, at=now, by=by)
    available_sat = funds.of_program(disbursement.program_id).available_sat
    return Preview(quote, figures(disbursement, quote), available_sat)


def is_needed(disbursement: Disbursement) -> bool:
    """Say whether something of a list is converted when it is released: of money, a line that bitcoin can pay."""
    if disbursement.program.pays_sat or disbursement.rail != Rail.BITCOIN:
        return False
    return disbursement.payments.filter(script_pubkey__isnull=False, status__in=("pending", "held")).exists()


def figures(disbursement: Disbursement, quote: Quote) -> Figures:
    """Return what a list that is not released would be by a quote."""
    values = _values(disbursement, quote)
    most = disbursement.payments.aggregate(most=Max("amount_minor"))["most"] or 0
    with connection.cursor() as cursor:
        cursor.execute(FIGURES[number_for(most, values)], values)
        return Figures(*map(int, cursor.fetchone()))


def number_for(most_minor: int, values: Mapping[str, Any]) -> str:
    """Return the type of numbers that holds every product where no line is more than that."""
    largest = most_minor * values["unit"] + 2 * (values["unit"] + values["rate"])
    return "bigint" if largest < 2**63 else "numeric"


def choose(disbursement: Disbursement, quote_id: int | None, *, at: datetime) -> None:
    """Put the quote onto a list in memory that is about to be released, after every check of it; None where none is needed.

    Raises QuoteRequired, QuoteUnneeded, NotFound, quotes.QuoteForged, QuoteOfAnother, QuoteUsed, QuoteExpired.
    """
    if not is_needed(disbursement):
        if quote_id is not None:
            raise _unneeded()
        return
    currency = disbursement.program.currency
    if quote_id is None:
        message = f"The list is of {currency}: take a quote, and release it with that."
        raise QuoteRequired.of("quote_id", QuoteRequired.code, message)
    quote = Quote.objects.filter(pk=quote_id).first()
    if quote is None:
        raise NotFound(f"There is no quote {quote_id}.")
    quotes.verify(quote)
    if quote.currency != currency:
        raise QuoteOfAnother(f"Quote {quote.pk} is of {quote.currency}, and the list of {currency}.")
    _lock(quote)
    other = Disbursement.objects.filter(quote=quote).values_list("pk", flat=True).first()
    if other is not None:
        raise QuoteUsed(f"List {other} was converted by quote {quote.pk}.", disbursement_id=other)
    if quote.is_expired(at) or at < quote.taken_at:
        raise QuoteExpired(
            f"Quote {quote.pk} held until {quote.expires_at:%Y-%m-%d %H:%M:%S} UTC; take another one.",
            expires_at=agreed.moment(quote.expires_at),
        )
    disbursement.quote = quote


def _lock(quote: Quote) -> None:
    """Let the second of two lists that are released by one quote at once wait, so that it is told."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCKS + quote.pk])


def convert(disbursement: Disbursement) -> Mapping[str, Any]:
    """Convert a list by its quote; return the columns that its release sets with it, and put them onto it in memory.

    The caller holds the list's row. Raises InvalidInput with one error a line that would be dust, and
    funds.InsufficientFunds with the figures; nothing is converted then.
    """
    quote = disbursement.quote
    if quote is None:
        return {}
    planned = figures(disbursement, quote)
    if planned.dust_count:
        raise _dusty(disbursement, quote)
    funds.require(disbursement.program_id, planned.amount_sat, fees_sat=0)
    with connection.cursor() as cursor:
        cursor.execute(CONVERT, _values(disbursement, quote))
    columns = {
        "quote": quote,
        "total_sat": planned.amount_sat,
        "converted_minor": planned.amount_minor,
        "remainder_minor": planned.remainder_minor,
    }
    for name, value in columns.items():
        setattr(disbursement, name, value)
    return columns


def book(disbursement: Disbursement, *, at: datetime, actor: str, approver: str) -> None:
    """Book the two legs of a list that was converted; nothing of any other."""
    quote = disbursement.quote
    if quote is None:
        return
    found = of_list(disbursement)
    assert found is not None
    books.post(
        [
            conversion.conversion(
                program_id=disbursement.program_id,
                disbursement_id=disbursement.pk,
                converted=found,
                effective_at=at,
                actor=actor,
                approver=approver,
                memo=f"{encumbrances.agreed(disbursement)}, quote {quote.pk}: {quote.price:.8f} {quote.currency}",
            )
        ]
    )


def of_list(disbursement: Disbursement) -> Converted | None:
    """Return what a list was converted to at its release; None of satoshis, and before."""
    minor, sat, rest = disbursement.converted_minor, disbursement.total_sat, disbursement.remainder_minor
    return None if minor is None or sat is None or rest is None else Converted(minor, sat, rest)


def _values(disbursement: Disbursement, quote: Quote) -> dict[str, Any]:
    price, scale = agreed.rate(quote)
    unit, rate = COIN * PRICE_UNIT, price * 10**scale
    # Prices have few decimals, so that both are multiples of much.
    common = math.gcd(unit, rate)
    return {"list": disbursement.pk, "unit": unit // common, "rate": rate // common, "rows": MAX_ERRORS}


def _dusty(disbursement: Disbursement, quote: Quote) -> InvalidInput:
    with connection.cursor() as cursor:
        cursor.execute(DUSTY, _values(disbursement, quote))
        rows = cursor.fetchall()
    words = currencies.in_words
    message = "{} are {} sat by the quote, below what the network relays to this kind of address."
    amounts = dict(
        disbursement.payments.filter(line__in=[row for row, _ in rows]).values_list("line", "amount_minor")
    )
    return InvalidInput(
        f"{len(rows)} lines or more are dust by the quote; nothing was released.",
        errors=[
            {
                "row": row,
                "column": "amount_minor",
                "code": "amount_dust",
                "message": message.format(words(amounts[row] or 0, quote.currency), sat),
            }
            for row, sat in rows
        ],
    )


def _unneeded() -> QuoteUnneeded:
    message = (
        "Nothing of the list is converted: it is of satoshis, is not paid in bitcoin, or waits for addresses."
    )
    return QuoteUnneeded.of("quote_id", QuoteUnneeded.code, message)
