"""The pages on which a member of a trust's board takes its file to the bank, and brings what the bank says of it."""

from collections import Counter
from typing import Any, BinaryIO, cast

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from payments.admin import bank_carrying, cells, pages
from payments.admin.tables import Table
from payments.models import BankFile, TrustDecision
from payments.prices import currency
from payments.services import board, trust_files
from payments.services.trust_payouts import ORIGIN
from payments.states import BankFileStatus


def offered(request: HttpRequest, row: TrustDecision) -> list[str]:
    """Return the names of the buttons that a member of the board has for the file of a decision."""
    user: Any = request.user
    found = _file(row)
    if found is None or found.status == BankFileStatus.WAITING or not board.is_member(user, row.trust_id):
        return []
    return ["take_file", "bring_report"] if found.fetched_at is not None else ["take_file"]


def take(model_admin: Any, request: HttpRequest, row: TrustDecision) -> HttpResponse:
    """Give the file of a decision out, once it was said that it goes to the bank."""
    return bank_carrying.give_out(model_admin, request, trust_files.file_of(row.pk), back=cells.page_of(row))


def bring(model_admin: Any, request: HttpRequest, row: TrustDecision) -> HttpResponse:
    """Take what the bank said of a file of the trust."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        upload: UploadedFile = cleaned["file"]
        made = trust_files.take_report(by=by, trust_id=row.trust_id, file=cast(BinaryIO, upload.file))
        bank_carrying.tell(request, made)
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Bring the bank's report",
            form_class=bank_carrying.ReportForm,
            call=call,
            submit="Take the report",
            back=cells.page_of(row),
            facts=[("Trust", str(row.trust))],
            help_text="What the bank paid is owed no more; what it rejected is owed again, and goes into the next file.",
        ),
    )


def table(row: TrustDecision) -> list[Table]:
    """Return the file that a decision made, and what the bank has said of it."""
    found = _file(row)
    if found is None:
        return []
    outcomes = Counter(found.lines.values_list("outcome", flat=True))
    cell = (
        found.message_id,
        cells.status_of(found),
        cells.number(found.line_count),
        cells.figure(currency.in_words(found.total_minor, found.currency)),
        cells.person(found.fetched_by) if found.fetched_by else cells.EMPTY,
        cells.number(outcomes["settled"]),
        cells.number(outcomes["rejected"]),
    )
    headers = ("File", "Status", "Transfers", "Total", "Taken to the bank by", "Paid", "Rejected")
    return [Table("File for the bank", headers, [cell], note=found.problem)]


def _file(row: TrustDecision) -> BankFile | None:
    files = BankFile.objects.filter(origin=ORIGIN, origin_id=row.pk)
    return files.select_related("fetched_by").first()
