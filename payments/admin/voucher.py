"""Vouchers in the admin: where each stands, and the slips that are printed once."""

from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, Model, OuterRef, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold import widgets
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from payments.admin import cells, pages, scope, slips, voucher_desk, voucher_ending
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter, by_number
from payments.admin.tables import Table, history
from payments.models import Disbursement, Role, Voucher
from payments.prices import currency
from payments.services import vouchers
from payments.states import VoucherStatus


class PrintForm(forms.Form):
    """Of which list."""

    disbursement = forms.ModelChoiceField(
        queryset=Disbursement.objects.none(), label="List", widget=widgets.UnfoldAdminSelectWidget()
    )

    def __init__(self, *args: Any, lists: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["disbursement"]
        field.queryset = lists


class Drawn(NamedTuple):
    """A slip as it is printed; the picture is the code itself."""

    reference: str
    code: str
    amount: str
    expires: str
    picture: SafeString


@admin.register(Voucher)
class VoucherAdmin(ProgramScopedAdmin):
    """Vouchers of released lists; agents redeem them, and two people take one back."""

    noun = "Voucher"
    list_display = ("number", "program", "state", "amount", "payment_link", "expires")
    list_filter = (
        ProgramFilter,
        ("status", ChoicesDropdownFilter),
        by_number("payment__disbursement", "disbursement"),
    )
    list_select_related = ("program", "payment__disbursement", "issued_by", "redeemed_by")
    search_fields = ("pk",)
    search_help_text = "Search by number"
    fields = (
        *("program", "state", "amount", "payment_link", "made", "printed", "expires", "redeemed"),
        "cancellation",
    )
    actions_list = ("print_slips", "redeem")
    actions_detail = ("ask_to_cancel", "cancel")
    when_empty = "No list was released that is paid by voucher."

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by the row's number alone: nobody looks for a code here."""
        return super().find(request, term)

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer slips to officers, and the desk to agents, who see no voucher here."""
        names = ["print_slips"] if scope.programs_as(request, Role.OFFICER).exists() else []
        names += ["redeem"] if voucher_desk.is_agent(request) else []
        return [self.get_unfold_action(name) for name in names]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer to take it back, in two steps by two people."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else voucher_ending.offered(request, row)
        return [self.get_unfold_action(name) for name in names]

    @action(description="Ask to cancel", url_path="ask-to-cancel", icon="undo")
    def ask_to_cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for it to be cancelled."""
        return voucher_ending.ask(self, request, self.get_row(request, object_id))

    @action(description="Cancel", url_path="cancel", icon="block", variant=ActionVariant.DANGER)
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cancel what somebody else asked for."""
        return voucher_ending.decide(self, request, self.get_row(request, object_id))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the desk to agents too."""
        return super().has_module_permission(request) or voucher_desk.is_agent(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let agents come to the desk; the rows are those of who reads the program."""
        return super().has_view_permission(request, obj) or voucher_desk.is_agent(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead agents to the desk: there is no list for them."""
        if not super().has_view_permission(request) and voucher_desk.is_agent(request):
            return HttpResponseRedirect(reverse("admin:payments_voucher_redeem"))
        return super().changelist_view(request, extra_context)

    @action(
        description="Redeem a voucher", url_path="redeem", icon="point_of_sale", variant=ActionVariant.PRIMARY
    )
    def redeem(self, request: HttpRequest) -> HttpResponse:
        """Take a code for its money."""
        return voucher_desk.redeem(self, request)

    @action(description="Print slips", url_path="print-slips", icon="qr_code_2")
    def print_slips(self, request: HttpRequest) -> HttpResponse:
        """Show slips with a code each, to be printed now: they are nowhere else."""
        waits = Voucher.objects.filter(payment__disbursement=OuterRef("pk"), status=VoucherStatus.WAITING)
        programs = scope.programs_as(request, Role.OFFICER)
        lists = Disbursement.objects.filter(Exists(waits), program__in=programs).order_by("-pk")
        if not lists.exists():
            messages.info(request, "No list of yours has vouchers that are not printed.")
            return HttpResponseRedirect(cells.list_of(Voucher))

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            made = vouchers.issue(by=by, disbursement_id=cleaned["disbursement"].pk)
            context = {"slips": [_draw(slip) for slip in made], "disbursement": cleaned["disbursement"]}
            response = render(request, "payments/admin/voucher_slips.html", context)
            response["Cache-Control"] = "no-store"
            return response

        return pages.answer(
            self,
            request,
            pages.Page(
                title="Print slips",
                form_class=PrintForm,
                form_options={"lists": lists},
                call=call,
                submit="Print slips",
                back=cells.list_of(Voucher),
                help_text="The slips are shown once, on the next page: print them there, up to 500 at a time.",
            ),
        )

    def tables(self, request: HttpRequest, obj: Voucher) -> list[Table]:
        """Show the history."""
        return [history("voucher", obj.pk)]

    @display(description="voucher")
    def number(self, row: Voucher) -> str:
        """Its number."""
        return f"Voucher {row.pk}"

    @display(description="status")
    def state(self, row: Voucher) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="amount")
    def amount(self, row: Voucher) -> str:
        """How much it pays."""
        return currency.in_words(row.amount_minor, row.currency)

    @display(description="payment")
    def payment_link(self, row: Voucher) -> str:
        """What it pays."""
        return cells.link(row.payment)

    @display(description="made")
    def made(self, row: Voucher) -> str:
        """With the release of its list."""
        return cells.moment(row.made_at)

    @display(description="printed")
    def printed(self, row: Voucher) -> str:
        """When and by whom its code was shown."""
        who = cells.person(row.issued_by) if row.issued_by else ""
        return cells.join(cells.moment(row.issued_at), who) if row.issued_at else cells.EMPTY

    @display(description="expires")
    def expires(self, row: Voucher) -> str:
        """Until when it counts."""
        return cells.moment(row.expires_at)

    @display(description="redeemed by")
    def redeemed(self, row: Voucher) -> str:
        """The agent."""
        return cells.person(row.redeemed_by) if row.redeemed_by else cells.EMPTY

    @display(description="cancellation")
    def cancellation(self, row: Voucher) -> str:
        """What somebody asked for, and why."""
        return cells.long(row.cancel_note) if row.cancel_asked_by_id else cells.EMPTY


def _draw(slip: vouchers.Slip) -> Drawn:
    return Drawn(
        slip.reference,
        slip.code,
        currency.in_words(slip.amount_minor, slip.currency),
        f"{slip.expires_at:%Y-%m-%d}",
        slips.picture(slip.code),
    )
