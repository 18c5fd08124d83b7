"""Lists in the admin: upload, submit, approve, reject, release, withdraw, and how far their payment has come."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import (
    approval,
    books,
    cells,
    choice,
    conversion,
    costs,
    decisions,
    paying,
    proved,
    rail,
    scope,
    screened,
    timeline,
    travel,
    uploads,
    verbs,
)
from payments.admin import manifest as manifest_pages
from payments.admin.base import ProgramScopedAdmin, is_hash
from payments.admin.filters import ProblemFilter, ProgramFilter
from payments.admin.tables import Notice, Table
from payments.models import Disbursement, Enrollment, Payment, Payout, Role
from payments.states import DisbursementStatus

NEXT = {
    DisbursementStatus.DRAFT: "The officer who made the list checks it and submits it.",
    DisbursementStatus.SUBMITTED: "An approver, who did not make the list, approves or rejects it.",
    DisbursementStatus.APPROVED: "A releaser, who neither made nor approved the list, releases it.",
}


@admin.register(Disbursement)
class DisbursementAdmin(ProgramScopedAdmin):
    """Lists with their control totals; every button is one service call."""

    noun = "List"
    also = (Role.HELPDESK,)
    list_display = ("number", "program", "cycle_name", "state", "count", "owed", "maker", "made", "waits")
    list_filter = (ProgramFilter, ("status", ChoicesDropdownFilter), ProblemFilter)
    date_hierarchy = "made_at"
    search_fields = ("pk",)
    search_help_text = "Search by list number, period, reference of a person, or manifest hash"
    actions_list = ("upload", "approver_key", "retire_key")
    actions_detail = (
        *("rail", "submit", "approve", "sign_manifest", "quote", "release", "reject", "cancel"),
        *("choices", "download_manifest", "pack"),
    )
    change_form_template = "payments/admin/disbursement.html"
    when_empty = "No list yet. An officer uploads one with New list; the people must be enrolled first."
    fieldsets = (
        (None, {"fields": ("state", "program", "cycle_name", "paid_by", "waits")}),
        ("Control totals", {"fields": ("count", "owed", "fee_ceiling", "urgency", "manifest", "file")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Disbursement]:
        """Return the lists of the user's programs with what their rows show."""
        rows: QuerySet[Disbursement] = super().get_queryset(request)
        return rows.select_related("program", "cycle", "intake", "made_by", "approved_by", "released_by")

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by number, period, manifest hash, or a person on the list."""
        if is_hash(term):
            return Q(manifest_hash=bytes.fromhex(term))
        people = scope.limit(request, Enrollment.objects.filter(reference=term), "program", *self.also)
        listed = Payment.objects.filter(beneficiary__in=people.values("beneficiary"))
        return super().find(request, term) | Q(cycle__period=term) | Q(pk__in=listed.values("disbursement"))

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a new list to officers, and their keys to approvers."""
        names = ["upload"] if scope.programs_as(request, Role.OFFICER) else []
        if scope.programs_as(request, Role.APPROVER):
            names += ["approver_key", *(["retire_key"] if manifest_pages.has_key(request) else [])]
        return [self.get_unfold_action(name) for name in names]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the list's status and the user's role allow."""
        row = self.get_object(request, str(object_id))
        names = (
            []
            if row is None
            else verbs.of_disbursement(request, row)
            + manifest_pages.offered(request, row)
            + (["choices"] if choice.is_listed(request, row) else [])
            + (["rail"] if rail.is_offered(request, row) else [])
            + (["quote"] if conversion.is_offered(request, row) else [])
            + (["pack"] if proved.is_offered(request, row) else [])
        )
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="New list", url_path="upload", icon="upload_file", variant=ActionVariant.PRIMARY)
    def upload(self, request: HttpRequest) -> HttpResponse:
        """Make a list from a file."""
        return uploads.payment_list(self, request)

    @action(description="Choose how it is paid", url_path="rail", icon="alt_route")
    def rail(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say how a draft is paid."""
        return rail.choose(self, request, self.get_row(request, object_id))

    @action(description="Submit", url_path="submit", icon="send", variant=ActionVariant.PRIMARY)
    def submit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Fix the list for approval."""
        return decisions.submit(self, request, self.get_row(request, object_id))

    @action(description="Approve", url_path="approve", icon="check", variant=ActionVariant.PRIMARY)
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree to the list."""
        return decisions.approve(self, request, self.get_row(request, object_id))

    @action(
        description="Take a quote", url_path="quote", icon="currency_exchange", variant=ActionVariant.PRIMARY
    )
    def quote(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """See what the list is in satoshis now, and go on to its release."""
        return conversion.quote(self, request, self.get_row(request, object_id))

    @action(description="Release", url_path="release", icon="lock_open", variant=ActionVariant.PRIMARY)
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the engine pay the list."""
        return decisions.release(self, request, self.get_row(request, object_id))

    @action(description="Reject", url_path="reject", icon="block", variant=ActionVariant.DANGER)
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse the list for a reason."""
        return decisions.reject(self, request, self.get_row(request, object_id))

    @action(description="Withdraw", url_path="cancel", icon="undo", variant=ActionVariant.DANGER)
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take the list back for a reason."""
        return decisions.cancel(self, request, self.get_row(request, object_id))

    @action(description="List what people chose", url_path="choices", icon="alt_route")
    def choices(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make the list of those who take something else than currency that no trust paid."""
        return choice.list_them(self, request, self.get_row(request, object_id))

    @action(description="Sign manifest", url_path="sign-manifest", icon="signature")
    def sign_manifest(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Bring the approver's signature."""
        return manifest_pages.sign(self, request, self.get_row(request, object_id))

    @action(description="Download manifest", url_path="manifest", icon="download")
    def download_manifest(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give out the text that approvers sign."""
        return manifest_pages.download(self, request, self.get_row(request, object_id))

    @action(description="Make the pack", url_path="pack", icon="inventory_2")
    def pack(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for what proves the list to an auditor."""
        return proved.ask(self, request, self.get_row(request, object_id))

    @action(description="My approver key", url_path="approver-key", icon="key")
    def approver_key(self, request: HttpRequest) -> HttpResponse:
        """Register the approver's own key."""
        return manifest_pages.key(self, request)

    @action(description="Retire my key", url_path="retire-key", icon="key_off")
    def retire_key(self, request: HttpRequest) -> HttpResponse:
        """End the approver's own key."""
        return manifest_pages.retire(self, request)

    def notices(self, request: HttpRequest, obj: Disbursement) -> list[Notice]:
        """Say what happens next, and what the engine waits for."""
        found = []
        if obj.problem:
            text = f"{obj.problem} The engine goes on by itself as soon as it can."
            found.append(Notice(text, cells.BAD, "The payment of this list waits"))
        found += manifest_pages.notices(obj)
        if text := decisions.stands_in_for(obj):
            found.append(Notice(said("It stands in for {0}.", text), cells.INFO, "Reissue"))
        if obj.status in NEXT:
            found.append(Notice(NEXT[DisbursementStatus(obj.status)], cells.INFO, "Next"))
        if obj.status == DisbursementStatus.RELEASED:
            found.append(Notice(rail.NEXT[rail.of(obj)], cells.INFO, "Next"))
        return found

    def parts(self, request: HttpRequest, obj: Disbursement) -> dict[str, Any]:
        """Show how far its payments have come, and who did what."""
        return {"paying": paying.of_list(obj), "timeline": timeline.of_list(obj)}

    def tables(self, request: HttpRequest, obj: Disbursement) -> list[Table]:
        """Show what speaks against it, what it costs, how it is paid, and what proves that."""
        return [
            *screened.tables(obj),
            *costs.tables(obj),
            *conversion.table(obj),
            *travel.table(obj),
            approval.table(obj),
            *rail.tables(obj),
            *_stuck(obj),
            *manifest_pages.table(obj),
            *proved.tables(request, obj),
            *books.of_source(request, f"disbursement:{obj.pk}"),
        ]

    def get_custom_urls(self) -> tuple[tuple[str, str, Any], ...]:
        """Add the part of the page that asks for itself again."""
        return (("<path:object_id>/paying/", "payments_disbursement_paying", self.paying),)

    def paying(self, request: HttpRequest, object_id: str, model_admin: Any = None) -> HttpResponse:
        """Return how far the payments have come."""
        return paying.answer(request, self.get_row(request, object_id))

    @display(description="list")
    def number(self, row: Disbursement) -> str:
        """The list's number."""
        return f"List {row.pk}"

    @display(description="cycle")
    def cycle_name(self, row: Disbursement) -> str:
        """Period and purpose."""
        return cells.long(str(row.cycle))

    @display(description="status")
    def state(self, row: Disbursement) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="way of payment")
    def paid_by(self, row: Disbursement) -> str:
        """On which rail."""
        return said(rail.of(row).label)

    @display(description="payments")
    def count(self, row: Disbursement) -> str:
        """How many payments it has."""
        return cells.number(row.payment_count)

    @display(description="total")
    def owed(self, row: Disbursement) -> str:
        """What it pays."""
        return cells.money(row.total, row.program)

    @display(description="network fees, at most")
    def fee_ceiling(self, row: Disbursement) -> str:
        """What is set aside for fees."""
        return rail.fees(row)

    @display(description="urgency")
    def urgency(self, row: Disbursement) -> str:
        """Whether it is paid while fees are high."""
        return rail.urgency(row)

    @display(description="manifest hash")
    def manifest(self, row: Disbursement) -> str:
        """The hash that is approved."""
        return cells.whole(row.manifest_hash)

    @display(description="file")
    def file(self, row: Disbursement) -> str:
        """Where it came from."""
        return cells.link(row.intake, row.intake.filename or f"File {row.intake_id}")

    @display(description="made by")
    def maker(self, row: Disbursement) -> str:
        """Who made it."""
        return cells.person(row.made_by)

    @display(description="made")
    def made(self, row: Disbursement) -> str:
        """When it was made."""
        return cells.moment(row.made_at)

    @display(description="waits for")
    def waits(self, row: Disbursement) -> str:
        """Why the engine waits."""
        return cells.problem(row.problem) or cells.EMPTY


def _stuck(disbursement: Disbursement) -> list[Table]:
    """List the payouts that wait or are frozen, each with its reason."""
    rows = Payout.objects.filter(disbursement=disbursement).exclude(problem="").order_by("pk")[:20]
    table = Table(
        "Payouts that wait or are frozen",
        ("Payout", "Status", "Why"),
        [(cells.link(p, f"Payout {p.pk}"), cells.status_of(p), cells.problem(p.problem)) for p in rows],
    )
    return [table] if table.rows else []
