"""Which step of bringing a file is at hand."""

from payments.admin import steps
from payments.models import ImportJob
from payments.states import ImportStatus

NAMES = ("Upload", "Columns", "Check", "Confirm", "Result")
PLACES = {
    ImportStatus.MAPPING: 1,
    ImportStatus.WAITING: 2,
    ImportStatus.CHECKING: 2,
    ImportStatus.READY: 3,
    ImportStatus.LOADING: 4,
    ImportStatus.DONE: 5,
}


def of_upload() -> list[steps.Step]:
    """Return the steps at their beginning."""
    return steps.at(NAMES, 0)


def of_job(job: ImportJob) -> list[steps.Step]:
    """Return the steps of a job; none of one that was taken back."""
    if job.status == ImportStatus.CANCELLED:
        return []
    if job.status == ImportStatus.REFUSED:
        return steps.at(NAMES, 2 if job.confirmed_at is None else 4, is_wrong=True)
    return steps.at(NAMES, PLACES[ImportStatus(job.status)])
