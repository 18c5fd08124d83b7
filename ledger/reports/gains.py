"""Gains and losses on bitcoin: lot by lot, and as a statement of each institution and person (R-33)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ledger.law import tax
from ledger.reports.asked import Asked
from ledger.reports.report import CURRENCY, Column, Report, Unit
from ledger.treasury.lots import Fifo, Movement, WeightedAverage

# Everything up to the end, for lots come from before the beginning; by institution and currency, in order of time.
SQL = """
SELECT scope, currency, scale, effective_at, kind = 'acquisition', amount_sat, value_minor, reference, person, jurisdiction
FROM ledger_lotmovement
WHERE (%(scope)s::text IS NULL OR scope = %(scope)s) AND effective_at < %(before)s AND recorded_at <= %(known_at)s
ORDER BY scope, currency, scale, effective_at, id
"""
Row = tuple[Any, ...]


@dataclass
class Sums:
    """What a person's disposals under one tax rule add up to; a tax is None where nobody knows it."""

    disposals: int = 0
    amount_sat: int = 0
    proceeds: int = 0
    fifo_gain: int = 0
    fifo_tax: int | None = 0
    average_gain: int = 0
    average_tax: int | None = 0


def lot_by_lot(rows: Iterator[Row], asked: Asked) -> Iterator[Row]:
    """Yield a row for each part of each disposal, by FIFO."""
    for (scope, currency, scale), movements in _partitions(rows):
        method = Fifo()
        for movement in movements:
            for part in method.move(movement):
                assert part.lot is not None
                if _is_asked(movement, asked):
                    names = (scope, movement.reference, movement.at, part.lot.reference, part.lot.at)
                    figures = (part.amount_sat, part.proceeds_minor, part.cost_minor, part.gain_minor)
                    yield *names, movement.person, currency, scale, *figures


def statement(rows: Iterator[Row], asked: Asked) -> Iterator[Row]:
    """Yield a row for each institution, currency, person and tax rule, by both methods; tax is rounded a disposal."""
    for (scope, currency, scale), movements in _partitions(rows):
        fifo, average = Fifo(), WeightedAverage()
        found: dict[tuple[str, str, tax.TaxRule], Sums] = {}
        for movement in movements:
            by_fifo, by_average = fifo.move(movement), average.move(movement)
            if movement.is_acquisition or not _is_asked(movement, asked):
                continue
            rule = tax.get_table(movement.jurisdiction).rule_at(movement.at)
            sums = found.setdefault((movement.person, movement.jurisdiction, rule), Sums())
            fifo_gain = sum(part.gain_minor for part in by_fifo)
            average_gain = sum(part.gain_minor for part in by_average)
            sums.disposals += 1
            sums.amount_sat += movement.amount_sat
            sums.proceeds += movement.value_minor
            sums.fifo_gain += fifo_gain
            sums.fifo_tax = _add(sums.fifo_tax, rule.tax_minor(fifo_gain))
            sums.average_gain += average_gain
            sums.average_tax = _add(sums.average_tax, rule.tax_minor(average_gain))
        for (person, jurisdiction, rule), sums in sorted(found.items(), key=_order):
            figures = (sums.disposals, sums.amount_sat, sums.proceeds, sums.fifo_gain, sums.fifo_tax)
            averages = (sums.average_gain, sums.average_tax)
            yield (
                scope,
                person,
                currency,
                scale,
                *figures,
                *averages,
                jurisdiction,
                rule.treatment.value,
                rule.law,
            )


def _partitions(rows: Iterator[Row]) -> Iterator[tuple[Row, Iterator[Movement]]]:
    for key, group in groupby(rows, key=lambda row: row[:3]):
        yield key, (Movement(*row[3:]) for row in group)


def _is_asked(movement: Movement, asked: Asked) -> bool:
    is_theirs = asked.person is None or movement.person == asked.person
    return is_theirs and (asked.since is None or movement.at >= asked.since)


def _add(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more


def _order(item: tuple[tuple[str, str, tax.TaxRule], Sums]) -> tuple[str, str, Any]:
    (person, jurisdiction, rule), _ = item
    return person, jurisdiction, rule.span.first


LOTS = Report(
    name="lots",
    title="Disposals of bitcoin, lot by lot",
    meaning="Each part of each disposal by FIFO: from which acquisition it came, what it brought and what it had cost.",
    columns=(
        Column("scope", "Institution"),
        Column("disposal", "Disposal"),
        Column("disposed_at", "Disposed of", Unit.MOMENT),
        Column("acquisition", "Acquisition"),
        Column("acquired_at", "Acquired", Unit.MOMENT),
        Column("person", "For"),
        *CURRENCY,
        Column("amount_sat", "Satoshis", Unit.NUMBER),
        Column("proceeds", "Proceeds", Unit.UNITS),
        Column("cost", "Cost", Unit.UNITS),
        Column("gain", "Gain", Unit.UNITS),
    ),
    sql=SQL,
    derive=lot_by_lot,
    signed=False,
    takes=("scope", "person"),
    of_lots=True,
)
STATEMENT = Report(
    name="gains",
    title="Gains and losses on bitcoin",
    meaning="What disposals brought, gained by FIFO and by weighted average, and the tax by the law of their day; where that"
    " is undetermined the gain stands without a tax.",
    columns=(
        Column("scope", "Institution"),
        Column("person", "For"),
        *CURRENCY,
        Column("disposals", "Disposals", Unit.NUMBER),
        Column("amount_sat", "Satoshis", Unit.NUMBER),
        Column("proceeds", "Proceeds", Unit.UNITS),
        Column("fifo_gain", "Gain by FIFO", Unit.UNITS),
        Column("fifo_tax", "Tax on it", Unit.UNITS),
        Column("average_gain", "Gain by average", Unit.UNITS),
        Column("average_tax", "Tax on it", Unit.UNITS),
        Column("jurisdiction", "Jurisdiction"),
        Column("treatment", "Treatment"),
        Column("law", "Law"),
    ),
    sql=SQL,
    derive=statement,
    takes=("scope", "person"),
    of_lots=True,
)
