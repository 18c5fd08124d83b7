"""The travel rule in the admin: which payments it counted, the payload for whom it is for, and who pays in a program."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action, display

from govpay.said import said
from payments.admin import cells, pages, scope
from payments.admin.base import ProgramScopedAdmin, is_number
from payments.admin.filters import by_number
from payments.admin.forms import AgreeForm, ReasonForm
from payments.admin.tables import Notice, Table
from payments.models import Disbursement, Program, TravelRecord
from payments.prices import currency
from payments.services import originators, proposals, travel_records

TEXT: dict[str, Any] = {"attrs": {"autocomplete": "off", "spellcheck": "false"}}
LABELS = {
    "legal_name": "Legal name",
    "lei": "Legal entity identifier",
    "address_line": "Address",
    "town": "Town",
    "country": "Country of registration",
}
HELP = {
    "lei": "ISO 17442, 20 characters; or give the address.",
    "country": "ISO 3166-1, two capitals, such as PK.",
}


class OriginatorForm(ReasonForm):
    """Who pays in a program."""

    field_order = (*originators.OF_ORIGINATOR, "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in LABELS.items():
            self.fields[name] = forms.CharField(
                label=label,
                max_length=100,
                required=name in ("legal_name", "country"),
                help_text=HELP.get(name, ""),
                widget=widgets.UnfoldAdminTextInputWidget(**TEXT),
            )
        self.order_fields(self.field_order)


class KeptFilter(DropdownFilter):
    """By whether there is a payload."""

    title = "payload"
    parameter_name = "kept"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("kept", "Kept"), ("missing", "Something is not known"), ("over", "Its time is over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what is asked for."""
        found = {
            "kept": Q(payload__isnull=False),
            "missing": ~Q(missing=""),
            "over": Q(forgotten_at__isnull=False),
        }
        return queryset.filter(found.get(str(self.value()), Q()))


@admin.register(TravelRecord)
class TravelRecordAdmin(ProgramScopedAdmin):
    """What the travel rule counted; the payload itself is a download of auditors and releasers, each an audit event."""

    noun = "Travel record"
    program_path = "disbursement__program"
    list_display = ("number", "payment_link", "disbursement_link", "counted_words", "state", "until")
    list_filter = (by_number("disbursement", "disbursement"), KeptFilter)
    search_fields = ("pk",)
    search_help_text = "Search by number, or by a payment's"
    actions_detail = ("download",)
    when_empty = "No list was released whose law asks for who pays whom from an amount on that anybody got."
    fieldsets = (
        (None, {"fields": ("payment_link", "disbursement_link", "payer", "vasp_name", "state")}),
        (
            "Rule",
            {"fields": ("rule", "threshold", "counted_words", "least_words", "linked_links", "quote_link")},
        ),
        ("Payload", {"fields": ("hash", "made", "until", "forgotten")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TravelRecord]:
        """Return the records without what is encrypted."""
        rows: QuerySet[TravelRecord] = super().get_queryset(request)
        return rows.select_related("payment", "disbursement__program", "originator", "quote").defer("payload")

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by its number or its payment's."""
        return super().find(request, term) | (Q(payment=int(term)) if is_number(term) else Q(pk__in=[]))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the payload to whom it is for."""
        row = self.get_object(request, str(object_id))
        is_for = row is not None and _is_kept(row) and _reads(request, row)
        return [self.get_unfold_action("download")] if is_for else []

    @action(description="Download payload", url_path="download", icon="download")
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give out who pays whom, once it was said that this is read."""
        row: TravelRecord = self.get_row(request, object_id)
        by: Any = request.user

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            record, payload = travel_records.fetch(by=by, payment_id=row.payment_id)
            return HttpResponse(
                payload,
                content_type="application/json",
                headers={
                    "Content-Disposition": f'attachment; filename="{record.filename}"',
                    "Cache-Control": "no-store",
                },
            )

        return pages.answer(
            self,
            request,
            pages.Page(
                title=f"Download the payload of payment {row.payment_id}",
                form_class=AgreeForm,
                call=call,
                submit="Download",
                back=cells.page_of(row),
                facts=[("Payment", cells.link(row.payment)), ("SHA-256", self.hash(row))],
                help_text="It names the person who is paid, and their address. That you read it is written down.",
            ),
        )

    def notices(self, request: HttpRequest, obj: TravelRecord) -> list[Notice]:
        """Say what is not known, and who may read."""
        if obj.missing:
            text = said(
                "{0} is not known. The payment is held; withdraw it, and enroll the person anew.",
                obj.missing.capitalize(),
            )
            return [Notice(text, cells.BAD, "There is no payload")]
        if not _reads(request, obj):
            return [Notice("Auditors and releasers of the program download it.", cells.INFO, "Payload")]
        return []

    @display(description="record")
    def number(self, row: TravelRecord) -> str:
        """Its number."""
        return f"Travel record {row.pk}"

    @display(description="payment")
    def payment_link(self, row: TravelRecord) -> str:
        """Which payment."""
        return cells.link(row.payment, f"Payment {row.payment_id}")

    @display(description="list")
    def disbursement_link(self, row: TravelRecord) -> str:
        """Of which list."""
        return cells.link(row.disbursement)

    @display(description="who pays")
    def payer(self, row: TravelRecord) -> str:
        """The institution."""
        return cells.long(row.originator.legal_name)

    @display(description="address kept by")
    def vasp_name(self, row: TravelRecord) -> str:
        """The institution at whose address the person is paid."""
        return cells.long(row.vasp) if row.vasp else "the person"

    @display(description="payload")
    def state(self, row: TravelRecord) -> str:
        """Whether there is one."""
        if row.missing:
            return cells.label("", said("{0} is missing", row.missing), cells.BAD)
        return (
            cells.label("", "kept", cells.GOOD)
            if _is_kept(row)
            else cells.label("", "destroyed", cells.PLAIN)
        )

    @display(description="rule")
    def rule(self, row: TravelRecord) -> str:
        """What asks for it, and where that is written."""
        return cells.long(f"travel_rule of {row.profile}: {row.law}")

    @display(description="threshold")
    def threshold(self, row: TravelRecord) -> str:
        """From how much on, as the rule says."""
        return currency.in_words(row.threshold_minor, row.currency)

    @display(description="counted")
    def counted_words(self, row: TravelRecord) -> str:
        """What the person gets within the days of the rule."""
        return cells.money(row.counted, row.disbursement.program)

    @display(description="threshold in the program's unit")
    def least_words(self, row: TravelRecord) -> str:
        """From how much on, in what the program pays."""
        return cells.money(row.least, row.disbursement.program)

    @display(description="counted with")
    def linked_links(self, row: TravelRecord) -> str:
        """The other payments."""
        return (
            cells.long(", ".join(f"payment {pk}" for pk in row.linked)) if row.linked else "no other payment"
        )

    @display(description="quote")
    def quote_link(self, row: TravelRecord) -> str:
        """At which price."""
        return cells.link(row.quote) if row.quote else "none was needed"

    @display(description="SHA-256")
    def hash(self, row: TravelRecord) -> str:
        """The payload's hash."""
        return cells.whole(row.sha256) if row.sha256 else cells.EMPTY

    @display(description="made")
    def made(self, row: TravelRecord) -> str:
        """When the list was released."""
        return cells.moment(row.made_at)

    @display(description="kept until")
    def until(self, row: TravelRecord) -> str:
        """Until when the law wants it."""
        return cells.moment(row.keep_until)

    @display(description="destroyed")
    def forgotten(self, row: TravelRecord) -> str:
        """When it was destroyed."""
        return cells.moment(row.forgotten_at)


def _is_kept(row: TravelRecord) -> bool:
    return not row.missing and row.forgotten_at is None


def _reads(request: HttpRequest, row: TravelRecord) -> bool:
    return scope.holds(request, row.disbursement.program_id, *travel_records.READERS)


def table(disbursement: Disbursement) -> list[Table]:
    """Say how many payments of a list the rule counted, where it counted any."""
    rows = TravelRecord.objects.filter(disbursement=disbursement)
    count = rows.count()
    if not count:
        return []
    missing = rows.exclude(missing="").count()
    return [
        Table(
            "Travel rule",
            ("Payments counted", "Payloads", "Something is not known"),
            [(cells.number(count), cells.number(count - missing), cells.number(missing))],
            more_url=cells.list_of(TravelRecord, disbursement=disbursement.pk),
            more_text="Show them",
        )
    ]


def payer(program: Program) -> Table:
    """Say who pays in a program, as the travel rule wants it known."""
    found = originators.of_program(program.pk)
    said = {label: getattr(found, name, "") for name, label in LABELS.items()}
    return Table(
        "Who pays, for the travel rule",
        ("What", "As two people said"),
        [(label, cells.long(text) if text else cells.EMPTY) for label, text in said.items()] if found else [],
        "Nobody has said yet. Lists whose law asks for it are not released until two security administrators do.",
    )


def propose_originator(model_admin: Any, request: HttpRequest, program: Program) -> HttpResponse:
    """Ask for who pays in the program."""
    by: Any = request.user
    found = originators.of_program(program.pk)

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = proposals.propose_originator(by=by, program_id=program.pk, **cleaned)
        messages.success(request, said("{0} waits for another security administrator.", made))
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Propose who pays in {0}", program.code),
            form_class=OriginatorForm,
            call=call,
            submit="Propose",
            back=cells.page_of(program),
            initial={name: getattr(found, name, "") for name in LABELS},
            help_text="Another security administrator of the program confirms it.",
        ),
    )
