"""Payouts of a list with their txs, and everything that raised a fee: from what to what, who wanted it, and why."""

from typing import Any

from django.db.models import Case, Count, When

from payments.admin import cells
from payments.admin.tables import Table
from payments.models import Disbursement, Payout, PayoutTxKind
from payments.payout import feerate
from payments.selectors import versions as selector
from payments.selectors.versions import Raised
from payments.states import PayoutStatus

SHOWN = 50


def payouts(disbursement: Disbursement) -> Table:
    """List the payouts of a list with the tx that speaks for each, those that are frozen first; one query."""
    rows = (
        Payout.objects.filter(disbursement=disbursement)
        .select_related("current")
        .defer("current__raw", "current__unsigned_tx")
        .annotate(
            version_count=Count("txs"), calm=Case(When(status=PayoutStatus.FROZEN, then=False), default=True)
        )
        .order_by("calm", "-pk")
    )
    return Table(
        "Payouts",
        ("Payout", "Status", "Payments", "Amount", "Tx", "Versions", "Fee", "Fee rate", "Block"),
        [
            (
                cells.link(row, f"Payout {row.pk}"),
                cells.status_of(row),
                cells.number(row.payment_count),
                cells.sat(row.payments_sat),
                cells.short(row.mined_txid or (row.current.txid if row.current else None)),
                cells.number(row.version_count),
                cells.sat(row.booked_fee_sat or (row.current.fee_sat if row.current else None)),
                cells.feerate(row.current.feerate_sat_kvb) if row.current else cells.EMPTY,
                cells.number(row.mined_height),
            )
            for row in rows[:SHOWN]
        ],
        "The engine seals groups of payments once the list is released.",
        cells.list_of(Payout, disbursement=disbursement.pk),
        "Show all payouts",
    )


def of_list(disbursement: Disbursement) -> list[Table]:
    """Show a list's payouts, and every version that raised a fee of theirs where one did."""
    found = selector.of_list(disbursement)
    return [payouts(disbursement), *([_table(found, with_payout=True)] if found else [])]


def of_payout(payout: Payout) -> list[Table]:
    """Show the same of one payout."""
    found = selector.of_payout(payout)
    return [_table(found, with_payout=False)] if found else []


def _table(found: list[Raised], *, with_payout: bool) -> Table:
    first = ("Payout",) if with_payout else ()
    return Table(
        "Raised fees",
        ("When", *first, "What", "Tx", "Fee", "Fee rate", "Who and why"),
        [
            (
                cells.moment(row.version.built_at),
                *((_payout(row),) if with_payout else ()),
                "Fee by a child" if row.is_child else row.version.get_kind_display(),
                cells.short(row.version.txid, url=cells.page_of(row.version)),
                cells.figure(f"{row.version.fee_sat:,} sat, {row.version.fee_added_sat:,} more"),
                _rates(row),
                _who_and_why(row),
            )
            for row in found
        ],
    )


def _payout(row: Raised) -> str:
    payout = row.version.payout.parent or row.version.payout
    return cells.link(payout, f"Payout {payout.pk}")


def _rates(row: Raised) -> str:
    new = feerate.text(row.version.feerate_sat_kvb)
    return cells.figure(
        new if row.old_feerate_sat_kvb is None else f"{feerate.text(row.old_feerate_sat_kvb)} → {new}"
    )


def _who_and_why(row: Raised) -> str:
    if row.asked is None:
        is_void = row.version.kind == PayoutTxKind.VOID
        return cells.long(
            "The engine: it was given up." if is_void else "The engine: it waited, or nodes took it no more."
        )
    names = " and ".join(_name(user) for user in (row.asked.proposed_by, row.asked.decided_by) if user)
    return cells.long(f"{names}: {row.asked.note}")


def _name(user: Any) -> str:
    return user.get_full_name() or user.get_username()
