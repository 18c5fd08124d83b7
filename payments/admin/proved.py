"""What proves a list from outside: the last reconciliation of its program, what that found of it, and its pack."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from govpay.said import said
from ledger.admin.base import READ
from ledger.models import Break, PackJob, PackKind, PackStatus, ReconciliationRun, RunStatus
from ledger.packs import jobs
from payments.admin import cells, forms, pages
from payments.admin.tables import Table
from payments.models import Disbursement, Payment, Payout
from payments.states import DisbursementStatus

SHOWN = 20
PAID = (DisbursementStatus.RELEASED, DisbursementStatus.COMPLETED)
RUN_TONES = {
    RunStatus.CLEAN: cells.GOOD,
    RunStatus.BREAKS: cells.BAD,
    RunStatus.INCONCLUSIVE: cells.BUSY,
}
PACK_TONES = {
    PackStatus.WAITING: cells.BUSY,
    PackStatus.RUNNING: cells.BUSY,
    PackStatus.DONE: cells.GOOD,
    PackStatus.FAILED: cells.BAD,
    PackStatus.EXPIRED: cells.PLAIN,
}


def tables(request: HttpRequest, disbursement: Disbursement) -> list[Table]:
    """Show reconciliation to those who read the books, and the pack to those who make packs, once a list is paid."""
    if disbursement.status not in PAID:
        return []
    found = _reconciliation(disbursement) if request.user.has_perm(READ) else []
    return [*found, _packs(disbursement)] if request.user.has_perm(jobs.RIGHT) else found


def is_offered(request: HttpRequest, disbursement: Disbursement) -> bool:
    """Say whether the person may ask for the list's pack."""
    return disbursement.status in PAID and request.user.has_perm(jobs.RIGHT)


def ask(model_admin: Any, request: HttpRequest, disbursement: Disbursement) -> HttpResponse:
    """Ask for the list's pack, which a worker makes."""
    if not request.user.has_perm(jobs.RIGHT):
        raise PermissionDenied
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        job = jobs.ask(by=by, kind=PackKind.DISBURSEMENT, name=str(disbursement.pk))
        messages.success(
            request, f"Pack {job.pk} is made in the background; this page shows when it is there."
        )
        return HttpResponseRedirect(cells.page_of(disbursement))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"Make the evidence pack of list {disbursement.pk}",
            form_class=forms.AgreeForm,
            call=call,
            submit="Make the pack",
            back=cells.page_of(disbursement),
            facts=[
                ("List", cells.link(disbursement, f"List {disbursement.pk}")),
                ("Status", cells.status_of(disbursement)),
                ("Payments", cells.number(disbursement.payment_count)),
                ("Total", cells.money(disbursement.total, disbursement.program)),
            ],
            help_text="It holds the list's entries, approvals, manifest, transactions and proofs, up to the newest"
            " checkpoint of the books. People in it are numbers. Anybody checks it with verify.py.",
        ),
    )


def _reconciliation(disbursement: Disbursement) -> list[Table]:
    runs = ReconciliationRun.objects.filter(scope=disbursement.program.scope)
    run = runs.order_by("-pk").first()
    headers = ("Run", "Outcome", "At block", "Finished", "Differences in this list")
    if run is None:
        return [Table("Reconciliation", headers, [], "Claims, books and blocks have not been compared yet.")]
    breaks = _breaks(run, disbursement)
    count = breaks.count()
    row = (
        cells.link(run, f"Run {run.pk}"),
        cells.label("", run.get_status_display(), RUN_TONES[RunStatus(run.status)]),
        cells.number(run.block_height),
        cells.moment(run.finished_at),
        cells.EMPTY if run.status == RunStatus.INCONCLUSIVE else cells.number(count),
    )
    made = [Table("Reconciliation of its program, the last run", headers, [row])]
    if count:
        made.append(
            Table(
                "Differences in this list"
                if count <= SHOWN
                else f"The first {SHOWN} of {count:,} differences",
                ("Difference", "What", "Expected", "Found", "What it means"),
                [
                    (
                        cells.link(one, one.get_kind_display()),
                        f"Payment {one.payment_id}" if one.payment_id else f"Payout {one.payout_id}",
                        cells.long(one.expected),
                        cells.long(one.found),
                        cells.long(said(one.message)),
                    )
                    for one in breaks.order_by("pk")[:SHOWN]
                ],
            )
        )
    return made


def _breaks(run: ReconciliationRun, disbursement: Disbursement) -> "QuerySet[Break, Break]":
    payouts = Payout.objects.filter(pk=OuterRef("payout_id"), disbursement=disbursement)
    payments = Payment.objects.filter(pk=OuterRef("payment_id"), disbursement=disbursement)
    return Break.objects.filter(Exists(payouts) | Exists(payments), run=run)


def _packs(disbursement: Disbursement) -> Table:
    rows = PackJob.objects.filter(kind=PackKind.DISBURSEMENT, name=str(disbursement.pk)).order_by("-pk")
    return Table(
        "Evidence pack",
        ("Pack", "State", "Asked by", "Asked", "Size", "File"),
        [
            (
                cells.link(job, f"Pack {job.pk}"),
                cells.join(_state(job), cells.long(said(job.message)) if job.message else ""),
                cells.long(job.asked_by),
                cells.moment(job.asked_at),
                cells.EMPTY if job.size_bytes is None else cells.figure(f"{job.size_bytes:,} bytes"),
                _file(job),
            )
            for job in rows[:3]
        ],
        "Nobody asked for its pack yet: Make the pack is above.",
    )


def _state(job: PackJob) -> str:
    text = job.get_status_display()
    if job.status == PackStatus.RUNNING and job.total:
        text = f"{text}: {job.done:,} of {job.total:,} entries"
    return cells.label("", text, PACK_TONES[PackStatus(job.status)])


def _file(job: PackJob) -> str:
    if job.status != PackStatus.DONE:
        return cells.EMPTY
    url = reverse("admin:ledger_packjob_download", args=[job.pk])
    return format_html('<a class="gp-link" href="{}">Download</a>', url)
