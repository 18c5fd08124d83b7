"""What each institution has of bitcoin, what it had cost and what it is worth by a quote, if there was one (R-30)."""

from collections.abc import Iterator
from typing import Any

from ledger.reports.asked import Asked
from ledger.reports.report import CURRENCY, Column, Report, Unit
from ledger.treasury import positions


def table(rows: Iterator[tuple[Any, ...]], asked: Asked) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each institution and currency."""
    for each in positions.read(rows):
        held = (each.verified_sat, each.declared_sat, each.badge, f"{each.share_percent:f}")
        worth = (each.lot_sat, each.cost_minor if each.lot_sat else None, each.average_minor)
        price = "" if each.price is None else f"{each.price:f}"
        quote = "" if each.quote_number is None else f"quote {each.quote_number}"
        by = (price, each.fair_minor, each.unrealised_minor, quote or f"{each.rule}: {each.message}")
        yield (
            each.scope,
            *held,
            each.currency,
            each.scale,
            *worth,
            *by,
            each.height,
            each.block_hash,
            each.block_at,
        )


REPORT = Report(
    name="position",
    title="Position in bitcoin by institution",
    meaning="What each institution holds at the last block that was scanned before the end, verified in this node or"
    " declared only; what the recorded lots had cost by weighted average; and what the holding is worth by the quote that"
    " was taken with the scan. Without a quote there is no value, and the last column says why. What is unrealised is of"
    " the lots.",
    has_beginning=False,
    columns=(
        Column("scope", "Institution"),
        Column("verified_sat", "Verified (sat)", Unit.NUMBER),
        Column("declared_sat", "Declared (sat)", Unit.NUMBER),
        Column("badge", "Known by"),
        Column("share_percent", "Percent of 21 million"),
        *CURRENCY,
        Column("lot_sat", "In lots (sat)", Unit.NUMBER),
        Column("cost", "Cost", Unit.UNITS),
        Column("average_cost", "Cost of a bitcoin", Unit.UNITS),
        Column("price", "Price"),
        Column("fair_value", "Fair value", Unit.UNITS),
        Column("unrealised", "Unrealised", Unit.UNITS),
        Column("valued_by", "Valued by"),
        Column("height", "Block", Unit.NUMBER),
        Column("block_hash", "Block hash"),
        Column("block_at", "Time of the block", Unit.MOMENT),
    ),
    sql=positions.SQL,
    derive=table,
)
