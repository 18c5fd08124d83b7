"""Taxes on gains from bitcoin: dated rules by jurisdiction, and what is due by them, or that nobody knows (R-33)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from govpay.errors import InvalidInput
from ledger.law.tables import BadTable, Fields, Span, read
from ledger.treasury.lots import half_even

FOLDER = Path(__file__).with_name("taxes")
WHOLE_BPS = 10_000


class Treatment(StrEnum):
    """How gains are taxed. Undetermined: the gain is told, and no tax."""

    EXEMPT = "exempt"
    TAXED = "taxed"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True)
class TaxRule:
    """How gains are taxed on some days, where that is written and where it can be read.

    What is taxed is at ``rate_bps``, in 1/10,000 of the gain of each disposal; a loss pays nothing and lessens no other's
    gain.
    """

    treatment: Treatment
    span: Span
    text: str
    law: str
    source: str
    rate_bps: int

    def tax_minor(self, gain_minor: int) -> int | None:
        """Return what is due on a disposal's gain in minor units, half to even; None where nobody knows."""
        if self.treatment == Treatment.UNDETERMINED:
            return None
        return half_even(max(gain_minor, 0) * self.rate_bps, WHOLE_BPS)


@dataclass(frozen=True)
class TaxTable:
    """A jurisdiction's rules, which follow each other."""

    name: str
    title: str
    rules: tuple[TaxRule, ...]

    def rule_at(self, at: datetime) -> TaxRule:
        """Return the rule of a moment; what no rule speaks of is undetermined."""
        return next((rule for rule in self.rules if rule.span.holds(at)), SILENT)


class UnknownJurisdiction(InvalidInput):
    """There is no tax table of this name."""

    code = "unknown_jurisdiction"


def load(folder: Path = FOLDER) -> dict[str, TaxTable]:
    """Read all tables by name; raise BadTable with the file and the place in it."""
    return {name: _table(name, fields) for name, fields in read(folder)}


def get_table(name: str) -> TaxTable:
    """Return a jurisdiction's table; raise UnknownJurisdiction."""
    if name not in TABLES:
        message = f"There is no tax table {name!r:.60}; there are {', '.join(TABLES)}."
        error = {"row": 0, "column": "jurisdiction", "code": UnknownJurisdiction.code, "message": message}
        raise UnknownJurisdiction(message, errors=[error])
    return TABLES[name]


def _table(name: str, fields: Fields) -> TaxTable:
    title = fields.take("title", str)
    rules = tuple(
        _rule(Fields(f"{fields.place}, rule {number}", given))
        for number, given in enumerate(fields.take("rules", list), start=1)
    )
    fields.done()
    for before, after in pairwise(rules):
        if before.span.end != after.span.first:
            raise BadTable(f"{fields.place}: each rule begins on the day on which the one before it ends.")
    if not rules:
        raise BadTable(f"{fields.place} has no rules.")
    return TaxTable(name, title, rules)


def _rule(fields: Fields) -> TaxRule:
    try:
        treatment = Treatment(fields.take("treatment", str))
    except ValueError as error:
        raise BadTable(f"{fields.place}: {error}.") from error
    is_known = treatment != Treatment.UNDETERMINED
    rule = TaxRule(
        treatment,
        fields.span(),
        fields.take("text", str),
        # What is not determined has no place where it is written.
        fields.take("law", str, ... if is_known else ""),
        fields.take("source", str, ... if is_known else ""),
        fields.take("rate_bps", int) if treatment == Treatment.TAXED else 0,
    )
    if not 0 <= rule.rate_bps <= WHOLE_BPS:
        raise BadTable(f"{fields.place}: rate_bps is 0 to {WHOLE_BPS}.")
    fields.done()
    return rule


SILENT = TaxRule(Treatment.UNDETERMINED, Span(date.min), "No rule speaks of this day.", "", "", 0)
# Read once, when govpay starts: a file that is wrong stops it.
TABLES: Mapping[str, TaxTable] = load()
