"""What people without an address are entitled to, in the admin: links by message and on paper, and the list of claims."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from unfold import widgets
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, pages, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.slips import Drawn, draw
from payments.admin.tables import Table, history
from payments.models import Channel, Disbursement, Entitlement, Message, Role
from payments.selectors import claims as selector
from payments.services import claim_links, entitlements
from payments.states import ENTITLEMENT_OPEN, EntitlementStatus


class OfListForm(forms.Form):
    """One of the lists whose people wait, or have claimed."""

    disbursement = forms.ModelChoiceField(
        queryset=Disbursement.objects.none(),
        label="List",
        empty_label=None,
        widget=widgets.UnfoldAdminSelectWidget(),
    )

    def __init__(self, *args: Any, lists: QuerySet[Disbursement], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["disbursement"].queryset = lists  # type: ignore[attr-defined]


class SlipsForm(OfListForm):
    """And for whom of them."""

    is_for_all = forms.BooleanField(
        label="Also for people who have a link",
        required=False,
        help_text="Their links end, those too that they got by SMS or e-mail.",
        widget=widgets.UnfoldBooleanWidget(),
    )


class LinkForm(forms.Form):
    """How a link goes to one person."""

    channel = forms.ChoiceField(
        choices=[(Channel.SMS, "SMS, to the telephone of the registry"), (Channel.EMAIL, "E-mail")],
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    email = forms.EmailField(
        label="E-mail address", required=False, widget=widgets.UnfoldAdminEmailInputWidget()
    )


@admin.register(Entitlement)
class EntitlementAdmin(ProgramScopedAdmin):
    """Lines of released lists whose people had no address."""

    program_path = "payment__disbursement__program"
    noun = "Entitlement"
    also = (Role.HELPDESK,)
    list_display = ("number", "program", "person", "amount", "state", "list_link", "link_state", "expires")
    list_filter = (ProgramFilter, ("status", ChoicesDropdownFilter))
    search_fields = ("pk",)
    search_help_text = "Search by reference"
    when_empty = (
        "Nobody waits. Where a program has a term for claims, lists may hold people without an address."
    )
    actions_list = ("send_links", "print_slips", "list_claimed")
    actions_detail = ("send_link", "hand_code")
    fieldsets = (
        (None, {"fields": ("program", "person", "amount", "state", "link_state")}),
        ("Lines", {"fields": ("list_link", "payment_link", "paid_by_link")}),
        ("Times", {"fields": ("opened", "expires", "ended")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entitlement]:
        """Return the entitlements of the user's programs."""
        return selector.described(super().get_queryset(request)).select_related("paid_by")

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by the person's reference."""
        return Q(reference=term)

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer links and lists to officers."""
        offered = super().get_actions_list(request)
        return offered if scope.programs_as(request, Role.OFFICER).exists() else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer officers a link while somebody waits, and a code for the counter while a link is out."""
        row: Any = self.get_object(request, str(object_id))
        if row is None or not scope.holds(request, row.program_id, Role.OFFICER):
            return []
        names = ["send_link"] if row.status == EntitlementStatus.WAITING and not row.has_address else []
        names += ["hand_code"] if row.has_link else []
        return [self.get_unfold_action(name) for name in names]

    @action(description="Send links", url_path="send-links", icon="sms", variant=ActionVariant.PRIMARY)
    def send_links(self, request: HttpRequest) -> HttpResponse:
        """Send a link to everybody on a list who waits and has a telephone."""

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            count = claim_links.send(by=by, disbursement_id=cleaned["disbursement"].pk)
            messages.success(request, f"{count:,} people get a link; links that they had before have ended.")
            return HttpResponseRedirect(cells.list_of(Message))

        text = "Each link counts once, until its entitlement expires. Links that these people had before end."
        return self._ask(request, "Send links", call, text)

    @action(description="Print slips", url_path="print-slips", icon="qr_code_2")
    def print_slips(self, request: HttpRequest) -> HttpResponse:
        """Show slips with a link each, to be printed now: they are nowhere else."""

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            made = claim_links.print_slips(
                by=by, disbursement_id=cleaned["disbursement"].pk, is_for_all=cleaned["is_for_all"]
            )
            drawn: list[Drawn] = [draw(slip) for slip in made]
            context = {"slips": drawn, "disbursement": cleaned["disbursement"]}
            response = render(request, "payments/admin/slips.html", context)
            response["Cache-Control"] = "no-store"
            return response

        text = "The slips are shown once, on the next page: print them there."
        return self._ask(request, "Print slips", call, text, SlipsForm)

    @action(description="List what is claimed", url_path="list-claimed", icon="playlist_add_check")
    def list_claimed(self, request: HttpRequest) -> HttpResponse:
        """Make a draft of what people on a list have claimed."""

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            made = entitlements.list_claimed(by=by, disbursement_id=cleaned["disbursement"].pk)
            messages.success(request, f"List {made.pk} pays what was claimed; submit it next.")
            return HttpResponseRedirect(cells.page_of(made))

        text = "It goes through three people like any list. The money stays with the first list until it is approved."
        return self._ask(request, "List what is claimed", call, text)

    @action(
        description="Send a link",
        url_path="send-link",
        icon="forward_to_inbox",
        variant=ActionVariant.PRIMARY,
    )
    def send_link(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send one person a link."""
        row: Any = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            claim_links.send_one(by=by, enrollment_id=row.enrollment_id or 0, **cleaned)
            messages.success(
                request, said("{0} gets a link; one that they had before has ended.", row.reference)
            )
            return HttpResponseRedirect(cells.page_of(row))

        return pages.answer(
            self,
            request,
            pages.Page(
                title=said("Send {0} a link", row.reference),
                form_class=LinkForm,
                call=call,
                submit="Send it",
                back=cells.page_of(row),
                help_text="The six digits go to the telephone of the registry, whatever way the link goes.",
            ),
        )

    @action(description="Code for the counter", url_path="hand-code", icon="pin")
    def hand_code(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Hand a code to somebody who shows papers."""
        row: Any = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            code = claim_links.hand_code(by=by, enrollment_id=row.enrollment_id or 0)
            messages.success(
                request, said("The code of {0} is {1}. It counts for ten minutes.", row.reference, code)
            )
            return HttpResponseRedirect(cells.page_of(row))

        return pages.answer(
            self,
            request,
            pages.Page(
                title=said("Code for {0}", row.reference),
                form_class=forms.Form,
                call=call,
                submit="I have seen their papers",
                back=cells.page_of(row),
                help_text="Only for somebody who is here and shows who they are. It is recorded as yours.",
            ),
        )

    def _ask(
        self,
        request: HttpRequest,
        title: str,
        call: Any,
        help_text: str,
        form_class: type[OfListForm] = OfListForm,
    ) -> HttpResponse:
        waits = Entitlement.objects.filter(
            payment__disbursement=OuterRef("pk"), status__in=(*ENTITLEMENT_OPEN, "listed")
        )
        programs = scope.programs_as(request, Role.OFFICER)
        lists = Disbursement.objects.filter(Exists(waits), program__in=programs).order_by("-pk")
        if not lists.exists():
            messages.info(request, "No list of yours has people who wait.")
            return HttpResponseRedirect(cells.list_of(Entitlement))
        return pages.answer(
            self,
            request,
            pages.Page(
                title=title,
                form_class=form_class,
                form_options={"lists": lists},
                call=call,
                submit=title,
                back=cells.list_of(Entitlement),
                help_text=help_text,
            ),
        )

    def tables(self, request: HttpRequest, obj: Entitlement) -> list[Table]:
        """Show the history."""
        return [history("entitlement", obj.pk)]

    @display(description="entitlement")
    def number(self, row: Entitlement) -> str:
        """Its number."""
        return str(row)

    @display(description="program")
    def program(self, row: Entitlement) -> str:
        """The program."""
        return str(row.payment.disbursement.program)

    @display(description="person")
    def person(self, row: Any) -> str:
        """The reference in the program."""
        return cells.long(row.reference or "")

    @display(description="amount")
    def amount(self, row: Entitlement) -> str:
        """In satoshis."""
        return cells.money(row.payment.amount, row.payment.disbursement.program)

    @display(description="status")
    def state(self, row: Entitlement) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="list")
    def list_link(self, row: Entitlement) -> str:
        """The list that owes it."""
        return cells.link(row.payment.disbursement)

    @display(description="payment")
    def payment_link(self, row: Entitlement) -> str:
        """Its line."""
        return cells.link(row.payment)

    @display(description="paid by")
    def paid_by_link(self, row: Entitlement) -> str:
        """The line of the list that pays it."""
        return cells.link(row.paid_by)

    @display(description="link")
    def link_state(self, row: Any) -> str:
        """Whether its person has a link, or an address."""
        return "has an address" if row.has_address else "link is out" if row.has_link else "no link"

    @display(description="opened")
    def opened(self, row: Entitlement) -> str:
        """With the release of its list."""
        return cells.moment(row.opened_at)

    @display(description="expires")
    def expires(self, row: Entitlement) -> str:
        """Until when it may be claimed."""
        return cells.moment(row.expires_at)

    @display(description="ended")
    def ended(self, row: Entitlement) -> str:
        """When."""
        return cells.moment(row.ended_at)
