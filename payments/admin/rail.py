"""How a list is paid, in the admin: chosen by who made it, and what follows where it is not paid in bitcoin."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from govpay.said import said
from payments.admin import cells, pages, scope, versions
from payments.admin.tables import Table
from payments.models import BankFile, Disbursement, Rail, Role, Voucher
from payments.prices import currency as currencies
from payments.services import rail_files, rails
from payments.states import DisbursementStatus, VoucherStatus

# What happens once a list is released.
NEXT = {
    Rail.BITCOIN: "The engine pays it and follows the payments until they are settled.",
    Rail.BANK: "A treasurer takes its file to the bank, and brings what the bank says of it.",
    Rail.VOUCHER: "An officer prints the slips, and paying agents redeem them.",
}
DONE = {
    Rail.BITCOIN: "is released; the engine pays it now",
    Rail.BANK: "is released; its file for the bank is written now",
    Rail.VOUCHER: "is released; its vouchers are made now",
}
AT_RELEASE = {
    Rail.BITCOIN: "Payment starts at once and cannot be called back.",
    Rail.BANK: "Its file is written at once, and a treasurer takes that to the bank.",
    Rail.VOUCHER: "Its vouchers are made at once, and an officer prints them.",
}
SHOWN = 50


class RailForm(forms.Form):
    """How a list is paid."""

    rail = forms.ChoiceField(
        label="Way of payment", choices=Rail.choices, widget=widgets.UnfoldAdminSelectWidget()
    )


def of(row: Disbursement) -> Rail:
    """Return how a list is paid."""
    return Rail(row.rail)


def fees(row: Disbursement) -> str:
    """Write what is set aside for network fees, of which other rails have none."""
    return cells.sat(row.fee_reserved_sat) if row.rail == Rail.BITCOIN else cells.EMPTY


def urgency(row: Disbursement) -> str:
    """Write whether a list is paid while these are high."""
    return cells.urgency(row.is_urgent) if row.rail == Rail.BITCOIN else cells.EMPTY


def is_offered(request: HttpRequest, row: Disbursement) -> bool:
    """Say whether the person may choose: who made a draft of money."""
    is_own_draft = row.status == DisbursementStatus.DRAFT and row.made_by_id == request.user.pk
    return is_own_draft and not row.program.pays_sat and scope.holds(request, row.program_id, Role.OFFICER)


def choose(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Say how a draft is paid."""
    if request.method == "GET" and not is_offered(request, row):
        raise PermissionDenied
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = rails.choose(by=by, disbursement_id=row.pk, rail=cleaned["rail"])
        messages.success(request, said("List {0} is paid so: {1}.", row.pk, of(made).label))
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"Choose how list {row.pk} is paid",
            form_class=RailForm,
            initial={"rail": row.rail},
            call=call,
            submit="Choose",
            back=cells.page_of(row),
            facts=[("Total", cells.money(row.total, row.program))],
            help_text="Everybody on the list is paid in the same way. By bank file, people need an account.",
        ),
    )


def tables(row: Disbursement) -> list[Table]:
    """Show what pays a list: payouts, files for the bank, or vouchers."""
    if row.rail == Rail.BANK:
        return [_files(row)]
    return [_vouchers(row)] if row.rail == Rail.VOUCHER else versions.of_list(row)


def _files(row: Disbursement) -> Table:
    found = BankFile.objects.filter(origin=rail_files.NAME, origin_id=row.pk).order_by("-pk")[:SHOWN]
    return Table(
        "Bank files",
        ("File", "Status", "Transfers", "Total", "To be paid on"),
        [
            (
                cells.link(each, each.message_id),
                cells.status_of(each),
                cells.number(each.line_count),
                cells.figure(currencies.in_words(each.total_minor, each.currency)),
                each.execution_date.isoformat(),
            )
            for each in found
        ],
        "The file is made once the list is released.",
        cells.list_of(BankFile, program=row.program_id),
    )


def _vouchers(row: Disbursement) -> Table:
    vouchers = Voucher.objects.filter(payment__disbursement=row).values("status")
    found = {each["status"]: each for each in vouchers.annotate(n=Count("pk"), total=Sum("amount_minor"))}
    return Table(
        "Vouchers",
        ("Status", "Vouchers", "Amount"),
        [
            (
                cells.label(status.value, status.label),
                cells.number(found[status]["n"]),
                cells.figure(currencies.in_words(found[status]["total"], row.program.currency)),
            )
            for status in VoucherStatus
            if status in found
        ],
        "The vouchers are made once the list is released.",
        cells.list_of(Voucher, disbursement=row.pk),
    )
