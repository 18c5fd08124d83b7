"""Classings in the admin: what outputs came for, confirmed by a second treasurer."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, pages
from payments.admin import institution_forms as forms
from payments.admin.forms import ReasonForm
from payments.admin.prices import OfPrices
from payments.admin.tables import SHOWN, Table
from payments.models import InflowClassing
from payments.prices import currency
from payments.selectors import treasury as selector
from payments.services import inflows, prices

TONES = {"given": cells.BUSY, "confirmed": cells.GOOD, "withdrawn": cells.PLAIN}


@admin.register(InflowClassing)
class InflowClassingAdmin(OfPrices):
    """What people said that outputs came for."""

    noun = "Classing"
    list_display = ("number", "institution", "kind", "count", "amount", "state_label", "giver", "given")
    list_filter = (("kind", ChoicesDropdownFilter),)
    when_empty = "Nothing was classed yet. Treasurers do so on an institution's page."
    actions_detail = ("confirm", "withdraw")
    fieldsets = (
        (None, {"fields": ("institution_link", "kind", "funded_by", "plan_link", "count", "amount", "cost")}),
        (
            "People",
            {"fields": ("state_label", "reason", "giver", "given", "confirmer", "confirmed", "withdrawer")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[InflowClassing]:
        """Return all of them with their people."""
        visible = super().get_queryset(request).values("pk")
        return selector.classings().filter(pk__in=visible)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what a treasurer may do with it."""
        row, user = self.get_object(request, str(object_id)), _user(request)
        if row is None or row.state != "given" or not prices.may_keep(user):
            return []
        names = ["withdraw"] if row.given_by_id == user.pk else ["confirm", "withdraw"]
        return [self.get_unfold_action(name) for name in names]

    @action(description="Confirm", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person; lots are recorded with it."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            inflows.confirm(by=_user(request), classing_id=row.pk, **cleaned)
            messages.success(request, "It counts from now on.")
            return HttpResponseRedirect(cells.page_of(row))

        page = pages.Page(
            title=f"Confirm what {row.output_count:,} outputs came for",
            form_class=forms.SeenForm,
            call=call,
            submit="Confirm it",
            back=cells.page_of(row),
            initial={"amount_sat": row.amount_sat},
            facts=[
                ("Institution", str(row.institution)),
                ("Came for", row.get_kind_display()),
                ("Funded by", cells.long(row.funding_source)),
                ("Together", cells.sat(row.amount_sat)),
                ("Cost", self.cost(row)),
                ("Acquired", cells.moment(row.acquired_at)),
                ("Reason", cells.long(row.note)),
                ("Classed by", cells.person(row.given_by)),
            ],
            help_text="What is acquired is recorded as a lot an output, which nobody can take back.",
        )
        return pages.answer(self, request, page)

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take it back."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            inflows.withdraw(by=_user(request), classing_id=row.pk, **cleaned)
            messages.success(request, "It is withdrawn; its outputs can be classed anew.")
            return HttpResponseRedirect(cells.page_of(row))

        page = pages.Page(
            title=said("Withdraw {0}", row),
            form_class=ReasonForm,
            call=call,
            submit="Withdraw it",
            back=cells.page_of(row),
            is_dangerous=True,
        )
        return pages.answer(self, request, page)

    def tables(self, request: HttpRequest, obj: InflowClassing) -> list[Table]:
        """Show its outputs."""
        return [
            Table(
                "Outputs",
                ("Output", "Address", "Amount", "Counts as", "Lot"),
                [
                    (
                        cells.outpoint(row.txid, row.vout),
                        cells.whole(row.address),
                        cells.sat(row.amount_sat),
                        (row.kind or "").replace("_", " ") or cells.EMPTY,
                        row.lot_reference or cells.EMPTY,
                    )
                    for row in selector.outputs_of(obj)[:SHOWN]
                ],
            )
        ]

    @display(description="classing")
    def number(self, row: InflowClassing) -> str:
        """Its number."""
        return f"Classing {row.pk}"

    @display(description="institution")
    def institution_link(self, row: InflowClassing) -> str:
        """Whose outputs."""
        return cells.link(row.institution)

    @display(description="funded by")
    def funded_by(self, row: InflowClassing) -> str:
        """Whose money or bitcoin it was."""
        return cells.long(row.funding_source)

    @display(description="plan")
    def plan_link(self, row: InflowClassing) -> str:
        """Of a purchase its plan."""
        return cells.link(row.plan)

    @display(description="outputs")
    def count(self, row: InflowClassing) -> str:
        """How many."""
        return cells.number(row.output_count)

    @display(description="together")
    def amount(self, row: InflowClassing) -> str:
        """Their sum."""
        return cells.sat(row.amount_sat)

    @display(description="cost")
    def cost(self, row: InflowClassing) -> str:
        """What all of it cost."""
        code = row.institution.currency
        if row.cost_minor is None:
            return cells.EMPTY
        return cells.figure(currency.in_words(row.cost_minor, code))

    @display(description="state")
    def state_label(self, row: InflowClassing) -> str:
        """Where it stands."""
        return cells.label("", row.state, TONES[row.state])

    @display(description="reason")
    def reason(self, row: InflowClassing) -> str:
        """What its giver said."""
        return cells.long(row.note)

    @display(description="classed by")
    def giver(self, row: InflowClassing) -> str:
        """Who classed them."""
        return cells.person(row.given_by)

    @display(description="classed")
    def given(self, row: InflowClassing) -> str:
        """When."""
        return cells.moment(row.given_at)

    @display(description="confirmed by")
    def confirmer(self, row: InflowClassing) -> str:
        """Who confirmed it."""
        return cells.person(row.confirmed_by)

    @display(description="confirmed")
    def confirmed(self, row: InflowClassing) -> str:
        """When."""
        return cells.moment(row.confirmed_at)

    @display(description="withdrawn by")
    def withdrawer(self, row: InflowClassing) -> str:
        """Who withdrew it."""
        return cells.person(row.withdrawn_by)


def _user(request: HttpRequest) -> Any:
    return request.user
