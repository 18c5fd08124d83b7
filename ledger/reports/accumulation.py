"""What was added to the public sector's bitcoin, as a lender counts it and as addresses show it (R-27)."""

from collections.abc import Iterator
from typing import Any

from ledger.models.inflow import InflowKind
from ledger.reports.asked import Asked
from ledger.reports.report import Column, Report, Unit
from ledger.treasury import accumulation


def both_ways(rows: Iterator[tuple[Any, ...]], asked: Asked) -> Iterator[tuple[Any, ...]]:
    """Yield each institution's row with both counts behind it."""
    for row in rows:
        found = accumulation.of_row(row)
        yield *row, found.net_voluntary_sat, found.grown_sat, found.differs_sat


REPORT = Report(
    name="accumulation",
    title="Bitcoin added by the public sector, counted both ways",
    meaning="By institution what came to its verified addresses by kind, and what was disposed of. As a lender counts, net"
    " voluntary accumulation is purchases and mining less disposals: what was forfeited, given, moved between own addresses"
    " or is held for clients is not in it, nor what nobody has classed. As addresses show it, growth is what is on them at"
    " the end less what was on them at the beginning, whatever it came for.",
    columns=(
        Column("scope", "Institution"),
        *(Column(f"{kind.value}_sat", kind.label, Unit.NUMBER) for kind in InflowKind),
        Column("unclassed_sat", "Not classed", Unit.NUMBER),
        Column("disposed_sat", "Disposed of", Unit.NUMBER),
        Column("opening_sat", "At the beginning", Unit.NUMBER),
        Column("closing_sat", "At the end", Unit.NUMBER),
        Column("net_voluntary_sat", "Net voluntary", Unit.NUMBER),
        Column("grown_sat", "Growth", Unit.NUMBER),
        Column("differs_sat", "Difference", Unit.NUMBER),
    ),
    sql=accumulation.SQL,
    derive=both_ways,
)
