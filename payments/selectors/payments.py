"""Reads payments together with what the chain says of their payouts, never asking the node."""

from typing import Any

from django.db.models import Case, F, OuterRef, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from payments.models import Enrollment, Payment, Payout, PayoutTx, Reservation, Role
from payments.selectors import node, scope
from payments.states import PaymentStatus, PayoutStatus

_PAYMENT = (
    "id",
    "disbursement_id",
    "line",
    "reference",
    "currency",
    "price",
    "amount_minor",
    "amount_sat",
    "remainder_minor",
    "status",
    "rail",
    "sent_at",
    "settled_at",
    "script_pubkey",
    "payout_id",
    "payout_status",
    "txid",
    "paying_vout",
    "reissue_of_id",
    "reissued_by_id",
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
    "payments_minor",
    "payments_sat",
    "kind",
    "parent_id",
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
    return shown(Payment.objects.filter(disbursement__program_id__in=scope.programs(user, Role.HELPDESK)))


def shown(payments: QuerySet[Payment]) -> QuerySet[Any]:
    """Return a dict for each payment, its payout's state included.

    A payout that is given up pays nobody: its void has another output there, so its payments have no tx and no block.
    """
    enrolled = Enrollment.objects.filter(
        beneficiary_id=OuterRef("beneficiary_id"), program_id=OuterRef("disbursement__program_id")
    )
    reissues = Payment.objects.filter(reissue_of=OuterRef("pk")).exclude(status=PaymentStatus.CANCELLED)
    rows = payments.annotate(
        reference=Subquery(enrolled.values("reference")[:1]),
        currency=F("disbursement__program__currency"),
        price=F("disbursement__quote__price"),
        payout_status=F("payout__status"),
        reissued_by_id=Subquery(reissues.values("pk")[:1]),
        txid=_unless_given_up(Coalesce("payout__mined_txid", "payout__current__txid")),
        paying_vout=_unless_given_up(F("vout")),
        block_hash=_unless_given_up(F("payout__mined_block_hash")),
        block_height=_unless_given_up(F("payout__mined_height")),
        confirmations=Coalesce(
            _unless_given_up(Subquery(node.tip_height()) - F("payout__mined_height") + 1), 0
        ),
    )
    return rows.values(*_PAYMENT)


def _unless_given_up(value: Any) -> Case:
    return Case(
        When(payout__status__in=(PayoutStatus.VOIDING, PayoutStatus.VOIDED), then=None), default=value
    )


def payouts(user: Any) -> QuerySet[Any]:
    """Return a dict for each payout of the user's programs."""
    rows = Payout.objects.filter(wallet__program_id__in=scope.programs(user)).annotate(
        program_id=F("wallet__program_id"),
        current_txid=Coalesce("mined_txid", "current__txid"),
        fee_sat=F("current__fee_sat"),
        change_sat=F("current__change_sat"),
        vsize_vb=F("current__vsize_vb"),
        feerate_sat_kvb=F("current__feerate_sat_kvb"),
        confirmations=Coalesce(Subquery(node.tip_height()) - F("mined_height") + 1, 0),
    )
    return rows.values(*_PAYOUT)


def add_payouts(user: Any, rows: list[dict[str, Any]]) -> None:
    """Add to each payment that has a payout, as `payout`, what `payouts` says of it; one query for all."""
    found = {row["id"]: row for row in payouts(user).filter(pk__in={row["payout_id"] for row in rows})}
    for row in rows:
        if row["payout_id"] in found:
            row["payout"] = found[row["payout_id"]]


def payout_txs(payout_id: int) -> QuerySet[Any]:
    """Return a dict for each version of a payout, oldest first; ``signed_at`` is empty until its bytes are stored."""
    rows = PayoutTx.objects.filter(payout_id=payout_id).order_by("id")
    return rows.values(
        "kind", "txid", "fee_sat", "change_sat", "vsize_vb", "feerate_sat_kvb", "built_at", "signed_at"
    )


def payout_inputs(payout_id: int) -> QuerySet[Any]:
    """Return a dict for each outpoint that a payout spends, in the order of its inputs."""
    rows = Reservation.objects.filter(payout_id=payout_id).order_by("position")
    return rows.values("position", "txid", "vout", "amount_sat", "is_live")
