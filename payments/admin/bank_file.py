"""Files for banks in the admin: where each stands, what the bank has said, and which of its lines it rejected."""

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from payments.admin import bank_carrying, cells, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.tables import Notice, Table
from payments.models import BankFile, BankFileLine, Disbursement, Payment, Role
from payments.prices import currency
from payments.rails import iban
from payments.services import rail_files

SHOWN = 100


@admin.register(BankFile)
class BankFileAdmin(ProgramScopedAdmin):
    """Files of credit transfers; treasurers take them to the bank, and bring its answers."""

    noun = "Bank file"
    list_display = ("name", "program", "state", "lines_count", "total", "made", "who")
    list_filter = (ProgramFilter, ("status", ChoicesDropdownFilter))
    list_select_related = ("program", "fetched_by")
    search_fields = ("pk",)
    search_help_text = "Search by number, or by the file's own id"
    fields = (
        "name",
        "program",
        "made_for",
        "state",
        "lines_count",
        "total",
        "debtor_account",
        "day",
        "hash",
        "made",
        "who",
    )
    actions_list = ("bring_report",)
    actions_detail = ("download",)
    when_empty = "No list was released that is paid by bank file."

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by number, or by the id that the bank answers with."""
        return super().find(request, term) | Q(message_id=term)

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer the bank's reports to treasurers."""
        is_treasurer = scope.programs_as(request, Role.TREASURER).exists()
        return [self.get_unfold_action("bring_report")] if is_treasurer else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the file to treasurers, once it is written."""
        row = self.get_object(request, str(object_id))
        is_offered = row is not None and bank_carrying.is_offered(request, row)
        return [self.get_unfold_action("download")] if is_offered else []

    @action(description="Bring the bank's report", url_path="bring-report", icon="upload_file")
    def bring_report(self, request: HttpRequest) -> HttpResponse:
        """Take what the bank said."""
        return bank_carrying.bring(self, request)

    @action(description="Take to the bank", url_path="download", icon="download")
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give the file out."""
        return bank_carrying.download(self, request, self.get_row(request, object_id))

    def notices(self, request: HttpRequest, obj: BankFile) -> list[Notice]:
        """Say why it is not written."""
        return [Notice(obj.problem, cells.BAD, "Not written")] if obj.problem else []

    def tables(self, request: HttpRequest, obj: BankFile) -> list[Table]:
        """Show the bank's reports, and the first lines that it rejected."""
        reports = [
            (
                row.message_id,
                cells.moment(row.brought_at),
                cells.person(row.brought_by),
                cells.number(row.settled_count),
                cells.number(row.rejected_count),
            )
            for row in obj.reports.select_related("brought_by").order_by("pk")[:SHOWN]
        ]
        rejected = BankFileLine.objects.filter(bank_file=obj, outcome="rejected").order_by("number")[:SHOWN]
        lines = [
            (
                row.end_to_end_id,
                _settles(row),
                currency.in_words(row.amount_minor, obj.currency),
                row.reason,
            )
            for row in rejected
        ]
        found = [Table("Reports of the bank", ("Report", "Taken", "Brought by", "Paid", "Rejected"), reports)]
        if lines:
            columns = ("Transfer", "What it was to settle", "Amount", "Reason")
            found.append(Table(f"Rejected, at most {SHOWN} shown", columns, lines))
        return found

    @display(description="file")
    def name(self, row: BankFile) -> str:
        """The message's own id."""
        return row.message_id

    @display(description="made for")
    def made_for(self, row: BankFile) -> str:
        """What decided on it: of a program, a list."""
        if row.origin != rail_files.NAME:
            return cells.EMPTY
        return cells.link(Disbursement(pk=row.origin_id), f"List {row.origin_id}")

    @display(description="status")
    def state(self, row: BankFile) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="transfers")
    def lines_count(self, row: BankFile) -> str:
        """How many transfers it has."""
        return cells.number(row.line_count)

    @display(description="total")
    def total(self, row: BankFile) -> str:
        """How much it pays."""
        return currency.in_words(row.total_minor, row.currency)

    @display(description="paid from")
    def debtor_account(self, row: BankFile) -> str:
        """The account that pays, as it was then."""
        return f"{row.debtor['title']}, {iban.masked(row.debtor['iban'])}"

    @display(description="to be paid on")
    def day(self, row: BankFile) -> str:
        """The day that the bank is asked for."""
        return row.execution_date.isoformat()

    @display(description="SHA-256")
    def hash(self, row: BankFile) -> str:
        """The hash of its bytes, which is in the books too."""
        return cells.whole(row.sha256) if row.sha256 else cells.EMPTY

    @display(description="made")
    def made(self, row: BankFile) -> str:
        """When it was decided."""
        return cells.moment(row.made_at)

    @display(description="taken to the bank by")
    def who(self, row: BankFile) -> str:
        """Who had it first."""
        return cells.person(row.fetched_by) if row.fetched_by else cells.EMPTY


def _settles(line: BankFileLine) -> str:
    """Lead to what a line was to settle: of a list's file, a payment."""
    if line.settles != rail_files.SETTLES:
        return f"{line.settles} {line.settles_id}"
    return cells.link(Payment(pk=line.settles_id), f"Payment {line.settles_id}")
