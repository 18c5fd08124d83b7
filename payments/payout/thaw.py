"""Thaws: lets a frozen payout go on with what was sealed, once two people judged that it may."""

from typing import Any

from payments.models import Payout, PayoutTx, PayoutTxKind
from payments.models.history import move
from payments.states import PayoutStatus


def target(payout: Payout) -> str:
    """Return where a frozen payout goes on: given up it stays, signed its bytes go out again, else it is signed first."""
    versions = PayoutTx.objects.filter(payout=payout)
    if versions.filter(kind=PayoutTxKind.VOID).exists():
        return PayoutStatus.VOIDING
    return PayoutStatus.SIGNED if versions.filter(raw__isnull=False).exists() else PayoutStatus.COMMITTED


def thaw(payout: Payout, *, actor_id: int | None, note: str) -> None:
    """Let it go on with the same sealed tx; the caller holds its row and lease."""
    changes: dict[str, Any] = {"problem": "", "due_at": None, "attempts": 0}
    rows = Payout.objects.filter(pk=payout.pk, lease_token=payout.lease_token)
    move(rows, old=PayoutStatus.FROZEN, new=target(payout), actor_id=actor_id, note=note, **changes)
