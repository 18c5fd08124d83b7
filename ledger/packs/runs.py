"""Reconciliation runs in a pack, each with what its digest was taken of."""

from collections.abc import Iterable, Iterator
from datetime import UTC
from operator import itemgetter
from typing import Any

from django.db.models.expressions import RawSQL

from ledger.exports import Selection
from ledger.models import Break, ReconciliationRun, RunStatus
from ledger.packs import record
from ledger.packs.beside import Beside

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


def lines(selection: Selection, scopes: RawSQL | Iterable[str]) -> Iterator[bytes]:
    """Yield a record for each run of the scopes, in the selected time.

    ``is_cut`` says that more breaks were found than were stored, so that the digest cannot be taken again.
    """
    runs = ReconciliationRun.objects.filter(scope__in=scopes).order_by("pk")
    if selection.effective_from is not None:
        runs = runs.filter(finished_at__gte=selection.effective_from)
    if selection.effective_before is not None:
        runs = runs.filter(finished_at__lt=selection.effective_before)
    rows = Break.objects.filter(run__in=runs.order_by()).exclude(run__status=RunStatus.INCONCLUSIVE)
    found = Beside(
        rows.order_by("run", "pk").values_list("run", *ROW).iterator(chunk_size=AT_ONCE), itemgetter(0)
    )
    for run in runs.iterator(chunk_size=AT_ONCE):
        breaks = [list(values) for _, *values in found.of(run.pk)]
        is_cut = run.break_count > len(breaks) and run.status != RunStatus.INCONCLUSIVE
        yield record.line(
            {
                "breaks": breaks,
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
