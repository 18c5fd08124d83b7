"""Reconciliation runs in a pack, each with what its digest was taken of."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from ledger.exports import Selection
from ledger.models import ReconciliationRun, RunStatus
from ledger.packs import journal, record

AT_ONCE = 100
# As the digest takes them.
ROW = (
    "kind",
    "unit",
    "amount_sat",
    "payment_id",
    "payout_id",
    "txid",
    "vout",
    "expected",
    "found",
    "message",
)


def lines(selection: Selection) -> Iterator[bytes]:
    """Yield a record for each run of the scopes of the selected entries, in the selected time.

    ``is_cut`` says that more breaks were found than were stored, so that the digest cannot be taken again.
    """
    runs = ReconciliationRun.objects.filter(scope__in=list(journal.scopes(selection))).order_by("pk")
    if selection.effective_from is not None:
        runs = runs.filter(finished_at__gte=selection.effective_from)
    if selection.effective_before is not None:
        runs = runs.filter(finished_at__lt=selection.effective_before)
    for run in runs.iterator(chunk_size=AT_ONCE):
        breaks = [] if run.status == RunStatus.INCONCLUSIVE else list(run.breaks.order_by("pk").values(*ROW))
        is_cut = run.break_count > len(breaks) and run.status != RunStatus.INCONCLUSIVE
        yield record.line(
            {
                "breaks": [[each[name] for name in ROW] for each in breaks],
                "digest": bytes(run.digest).hex(),
                "finished_at": run.finished_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "heading": _heading(run),
                "is_cut": is_cut,
                "run": str(run.pk),
            }
        )


def _heading(run: ReconciliationRun) -> dict[str, Any]:
    """Return what the digest begins with, as `ledger.reconciliation.run` writes it."""
    return {
        "version": 2,
        "scope": run.scope,
        "block_hash": run.block_hash,
        "block_height": run.block_height,
        "status": run.status,
        "reason": run.reason,
        "counts": run.counts,
        "totals": run.totals,
        "explained_count": run.explained_count,
    }
