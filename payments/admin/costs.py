"""What paying a list will cost at some fee rates, or has cost so far, for whoever decides about it."""

from fractions import Fraction
from typing import Any

from payments.admin import cells
from payments.admin.tables import Table
from payments.models import Disbursement, Rail
from payments.payout.projection import Cost, Projection
from payments.selectors import costs as selector
from payments.selectors.projections import in_decimals
from payments.states import DisbursementStatus

AHEAD = (DisbursementStatus.DRAFT, DisbursementStatus.SUBMITTED, DisbursementStatus.APPROVED)
PAID = (DisbursementStatus.RELEASED, DisbursementStatus.COMPLETED)


def tables(disbursement: Disbursement) -> list[Table]:
    """Project a list that is not released, and add up one that is; nothing of another rail, or of a list that ended."""
    if disbursement.rail != Rail.BITCOIN:
        return []
    if disbursement.status in AHEAD:
        return _tables(selector.ahead(disbursement), disbursement.total_sat)
    return [_so_far(disbursement)] if disbursement.status in PAID else []


def at_decision(disbursement: Disbursement) -> tuple[list[tuple[str, Any]], list[Table]]:
    """Return what paying will cost in a line for whoever decides, and the tables of the same figures."""
    if disbursement.rail != Rail.BITCOIN:
        return [], []
    found = selector.ahead(disbursement)
    shown = _tables(found, disbursement.total_sat)
    if found is None:
        return [], shown
    least, *_, most = found.costs
    text = f"{least.fee_sat:,} sat at {least.feerate_sat_vb} sat/vB to {most.fee_sat:,} sat at {most.feerate_sat_vb} sat/vB"
    return [("Network fees, as projected", text)], shown


def _tables(found: Projection | None, total_sat: int | None) -> list[Table]:
    """Of money, what the list is in satoshis follows from the quote of its release: until then there is no share."""
    title = "What paying it will cost"
    headers = ("Fee rate", "Fees", "A payment", "Of the value")
    if found is None:
        return [Table(title, headers, [], "None of its lines has an address yet.")]
    takes = Table(
        "What it takes of the chain",
        ("Payments with an address", "Payouts", "Size", "Blocks, at least", "Hours, at least"),
        [
            (
                cells.number(found.people),
                cells.number(found.payouts),
                cells.figure(f"{found.vsize_vb:,} vB"),
                cells.number(found.blocks),
                cells.figure(f"{in_decimals(found.hours, 1):,} h"),
            )
        ],
    )
    return [Table(title, headers, [_cost(cost, total_sat) for cost in found.costs]), takes]


def _cost(cost: Cost, total_sat: int | None) -> tuple[Any, ...]:
    share = None if not total_sat else Fraction(cost.fee_sat, total_sat)
    return (
        cells.figure(f"{cost.feerate_sat_vb:,} sat/vB"),
        cells.sat(cost.fee_sat),
        cells.figure(f"{in_decimals(cost.per_payment_sat, 1):,} sat"),
        _share(share),
    )


def _so_far(disbursement: Disbursement) -> Table:
    found = selector.so_far(disbursement)
    rows: list[tuple[Any, ...]] = []
    if found is not None:
        rows = [
            (
                cells.sat(found.fee_sat),
                cells.sat(found.child_fee_sat),
                cells.sat(disbursement.fee_reserved_sat),
                cells.figure(f"{in_decimals(found.per_payment_sat, 1):,} sat"),
                _share(found.share),
            )
        ]
    return Table(
        "What paying it has cost",
        ("Network fees", "Of them for children", "Set aside at most", "A payment", "Of the value"),
        rows,
        "Nothing is in a payout yet.",
    )


def _share(share: Fraction | None) -> str:
    return cells.EMPTY if share is None else cells.figure(f"{in_decimals(share * 100, 3)} %")
