"""The part of an import's page that says how far a worker is, and asks again by itself until the worker is done."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from govpay import fragments
from govpay.said import said
from payments.models import ImportJob
from payments.states import ImportStatus

TEMPLATE = "payments/admin/import_progress.html"
EVERY_S = 5
# What a worker is at, and what that means.
MOVING = {
    ImportStatus.WAITING: ("Waiting for a worker", "A worker takes the file in some seconds."),
    ImportStatus.CHECKING: ("Checking", "Every row is checked. Nothing of the file counts yet."),
    ImportStatus.LOADING: ("Writing", "It is written, whole or not at all."),
}


@dataclass(frozen=True)
class Progress:
    """What the part shows."""

    title: str
    text: str
    done: int
    total: int
    url: str
    every_s: int = EVERY_S

    @property
    def left(self) -> int:
        """How many rows are not checked yet."""
        return self.total - self.done

    @property
    def percent(self) -> int:
        """The share of the rows that are checked; what is left is never rounded away."""
        return 100 * self.done // self.total if self.total else 0

    @property
    def in_words(self) -> str:
        """The bar for those who do not see it."""
        return said("{0} of {1} rows are checked.", f"{self.done:,}", f"{self.total:,}")


def of_job(job: ImportJob) -> Progress | None:
    """Return how far a worker is, or None when nobody is at the file."""
    if job.status not in MOVING:
        return None
    title, text = MOVING[ImportStatus(job.status)]
    done = min(job.rows_done, job.rows_total)
    address = reverse("admin:payments_importjob_progress", args=[job.pk])
    return Progress(title, text, done, job.rows_total, f"{address}?at={job.status}&done={done}")


def answer(request: HttpRequest, job: ImportJob) -> HttpResponse:
    """Return the part alone, as it is now; with another status the whole page is another."""
    progress = of_job(job)
    if progress is None or request.GET.get("at") != job.status:
        return fragments.load_anew()
    if request.GET.get("done") == str(progress.done):
        return HttpResponse(status=fragments.UNCHANGED)
    return TemplateResponse(request, TEMPLATE, {"progress": progress})
