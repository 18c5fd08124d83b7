"""Small tables on a payout's page: its versions, its coins and outputs, and what people asked of the engine."""

from typing import Any

from payments.admin import cells, payout_graph
from payments.admin.reservation import liveness
from payments.admin.tables import SHOWN, Table
from payments.models import Intervention, Payment, Payout, PayoutTx


def read_versions(payout: Payout) -> list[PayoutTx]:
    """Return the newest versions, the newest first, without their bytes."""
    rows = payout.txs.select_related("signing_request").order_by("-pk")
    return list(rows.defer("raw", "unsigned_tx", "signing_request__psbt")[:SHOWN])


def first_payments(payout: Payout) -> list[Payment]:
    """Return the payments of the first outputs."""
    return list(payout.payments.order_by("vout")[: payout_graph.PAYMENTS + 1])


def versions(payout: Payout) -> Table:
    """List the versions of its tx, and which of them a block holds."""
    return Table(
        "Versions",
        ("Txid", "Kind", "Fee", "Fee rate", "Size", "Built", "Signed", "Block"),
        [
            (
                cells.short(tx.txid, url=cells.page_of(tx)),
                tx.get_kind_display(),
                cells.sat(tx.fee_sat),
                cells.feerate(tx.feerate_sat_kvb),
                cells.figure(f"{tx.vsize_vb:,} vB"),
                cells.moment(tx.built_at),
                _signed(tx),
                cells.label("", "holds it", cells.GOOD) if tx.txid == payout.mined_txid else cells.EMPTY,
            )
            for tx in read_versions(payout)
        ],
        "Not built yet.",
    )


def coins(payout: Payout) -> Table:
    """List the coins that it spends, and which of them a bump added."""
    return Table(
        "Coins it spends",
        ("Outpoint", "Amount", "Since", "Reserved"),
        [
            (
                cells.outpoint(row.txid, row.vout),
                cells.sat(row.amount_sat),
                "the first version" if row.is_original else "a bump",
                liveness(row),
            )
            for row in payout.reservations.order_by("position")[:SHOWN]
        ],
    )


def outputs(payout: Payout) -> Table:
    """List the first payments, how many more there are, and what comes back to the wallet by the newest version."""
    payments = first_payments(payout)
    rows: list[tuple[Any, ...]] = [
        (
            cells.link(payment, f"Payment {payment.pk}"),
            cells.sat(payment.amount_sat),
            cells.address(payment.script_pubkey),
        )
        for payment in payments
    ]
    if rest := payout.payment_count - len(payments):
        rest_sat = payout.payments_sat - sum(payment.amount_sat for payment in payments)
        rows.append((f"and {rest:,} more payments", cells.sat(rest_sat), cells.EMPTY))
    change = payout.current.change.order_by("vout") if payout.current else []
    rows += [
        ("Back to the wallet", cells.sat(output.amount_sat), cells.address(output.script_pubkey))
        for output in change
    ]
    return Table(
        "Outputs",
        ("What", "Amount", "Address"),
        rows,
        "It pays nobody and gives nothing back.",
        cells.list_of(Payment, payout=payout.pk) if payout.payment_count else "",
        "Show its payments",
    )


def asked(payout: Payout) -> Table:
    """List what people asked of the engine about it."""
    return Table(
        "What was asked of the engine",
        ("Intervention", "Asked for", "Status", "Added fee", "By", "Reason"),
        [
            (
                cells.link(row, f"Intervention {row.pk}"),
                row.get_kind_display(),
                cells.status_of(row),
                cells.sat(row.preview.get("fee_added_sat")),
                cells.person(row.proposed_by),
                cells.long(row.note),
            )
            for row in payout.interventions.select_related("proposed_by").order_by("-pk")[:20]
        ],
        "Nothing.",
        cells.list_of(Intervention, payout=payout.pk),
    )


def _signed(tx: PayoutTx) -> str:
    """Write when a version was signed; until then, the way to its signing request."""
    request = getattr(tx, "signing_request", None)
    if tx.signed_at is None and request is not None:
        return cells.link(request, f"Request {request.pk}")
    return cells.moment(tx.signed_at)
