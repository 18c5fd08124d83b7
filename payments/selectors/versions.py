"""The versions that replaced others, and the children that pay for them: what each added, and who wanted it."""

from dataclasses import dataclass

from django.db.models import OuterRef, Q, Subquery

from payments.models import Disbursement, Intervention, Payout, PayoutTx, PayoutTxKind

SHOWN = 50


@dataclass(frozen=True)
class Raised:
    """A version with the fee rate of the one before it (None of a child's first), and the request it came of, if any."""

    version: PayoutTx
    old_feerate_sat_kvb: int | None
    asked: Intervention | None

    @property
    def is_child(self) -> bool:
        """Say whether it pays for another payout."""
        return self.version.payout.parent_id is not None


def of_list(disbursement: Disbursement) -> list[Raised]:
    """Return the newest versions that raised the fees of a list, or took a payout back; two queries."""
    return _raised(Q(payout__disbursement=disbursement), Q(payout__parent__disbursement=disbursement))


def of_payout(payout: Payout) -> list[Raised]:
    """Return the same of one payout; two queries."""
    return _raised(Q(payout=payout), Q(payout__parent=payout))


def _raised(of_payouts: Q, of_children: Q) -> list[Raised]:
    before = PayoutTx.objects.filter(payout=OuterRef("payout"), pk__lt=OuterRef("pk")).order_by("-pk")
    rows = (
        PayoutTx.objects.filter(of_payouts & ~Q(kind=PayoutTxKind.ORIGINAL) | of_children)
        .annotate(old_feerate=Subquery(before.values("feerate_sat_kvb")[:1]))
        .select_related("payout__parent")
        .defer("raw", "unsigned_tx")
        .order_by("-built_at", "-pk")
    )
    found = list(rows[:SHOWN])
    asked = {
        row.version_id: row
        for row in Intervention.objects.filter(version__in=[version.pk for version in found]).select_related(
            "proposed_by", "decided_by"
        )
    }
    return [Raised(version, version.old_feerate, asked.get(version.pk)) for version in found]  # type: ignore[attr-defined]
