"""Reads payments together with what the chain says of their payouts, never asking the node."""

from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from payments.models import Enrollment, Payment, Payout, PayoutTx, Reservation
from payments.selectors import node, scope

_PAYMENT = (
    "id",
    "disbursement_id",
    "line",
    "reference",
    "amount_sat",
    "status",
    "script_pubkey",
    "payout_id",
    "payout_status",
    "txid",
    "vout",
    "block_hash",
    "block_height",
    "confirmations",
)
_PAYOUT = (
    "id",
    "program_id",
    "disbursement_id",
    "status",
    "payment_count",
    "payments_sat",
    "current_txid",
    "fee_sat",
    "change_sat",
    "vsize_vb",
    "feerate_sat_kvb",
    "attempts",
    "problem",
    "mined_block_hash",
    "mined_height",
    "confirmations",
    "created_at",
)


def payments(user: Any) -> QuerySet[Any]:
    """Return a dict for each payment of the user's programs, its payout's state included."""
    enrolled = Enrollment.objects.filter(
        beneficiary_id=OuterRef("beneficiary_id"), program_id=OuterRef("disbursement__program_id")
    )
    rows = Payment.objects.filter(disbursement__program_id__in=scope.programs(user)).annotate(
        reference=Subquery(enrolled.values("reference")[:1]),
        payout_status=F("payout__status"),
        txid=Coalesce("payout__mined_txid", "payout__txid"),
        block_hash=F("payout__mined_block_hash"),
        block_height=F("payout__mined_height"),
        confirmations=Coalesce(Subquery(node.tip_height()) - F("payout__mined_height") + 1, 0),
    )
    return rows.values(*_PAYMENT)


def payouts(user: Any) -> QuerySet[Any]:
    """Return a dict for each payout of the user's programs."""
    rows = Payout.objects.filter(disbursement__program_id__in=scope.programs(user)).annotate(
        program_id=F("disbursement__program_id"),
        current_txid=Coalesce("mined_txid", "txid"),
        confirmations=Coalesce(Subquery(node.tip_height()) - F("mined_height") + 1, 0),
    )
    return rows.values(*_PAYOUT)


def payout_txs(payout_id: int) -> QuerySet[Any]:
    """Return a dict for each signed version of a payout, oldest first."""
    rows = PayoutTx.objects.filter(payout_id=payout_id).order_by("id")
    return rows.values("txid", "fee_sat", "vsize_vb", "signed_at")


def payout_inputs(payout_id: int) -> QuerySet[Any]:
    """Return a dict for each outpoint that a payout spends, in the order of its inputs."""
    rows = Reservation.objects.filter(payout_id=payout_id).order_by("position")
    return rows.values("position", "txid", "vout", "amount_sat", "is_live")
