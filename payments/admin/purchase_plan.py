"""Plans to buy in the admin: proposed on an institution's page, approved by a second treasurer, ended by any."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, pages
from payments.admin import institution_forms as forms
from payments.admin.forms import ReasonForm
from payments.admin.prices import OfPrices, number
from payments.models import PurchasePlan
from payments.selectors import treasury as selector
from payments.services import prices, purchase_plans

TONES = {"proposed": cells.BUSY, "approved": cells.GOOD, "ended": cells.PLAIN}


@admin.register(PurchasePlan)
class PurchasePlanAdmin(OfPrices):
    """What may be bought, and what was."""

    noun = "Purchase plan"
    list_display = ("title", "institution", "amount", "bought", "limit", "state_label", "until")
    when_empty = "Nobody plans to buy. Treasurers propose plans on an institution's page."
    actions_detail = ("approve", "end")
    fieldsets = (
        (None, {"fields": ("institution_link", "amount", "bought", "left", "limit", "funded_by", "until")}),
        (
            "People",
            {"fields": ("state_label", "reason", "proposer", "proposed", "approver", "approved", "ender")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return all of them with what was bought."""
        visible = super().get_queryset(request).values("pk")
        return selector.plans().filter(pk__in=visible)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what a treasurer may do with it."""
        row, user = self.get_object(request, str(object_id)), _user(request)
        if row is None or row.state == "ended" or not prices.may_keep(user):
            return []
        may_approve = row.state == "proposed" and row.proposed_by_id != user.pk
        return [self.get_unfold_action(name) for name in (["approve"] if may_approve else []) + ["end"]]

    @action(description="Approve", url_path="approve", icon="check", variant=ActionVariant.PRIMARY)
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree as a second person."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            purchase_plans.approve(by=_user(request), plan_id=row.pk, **cleaned)
            messages.success(request, "What is bought may be classed under it from now on.")
            return HttpResponseRedirect(cells.page_of(row))

        page = pages.Page(
            title=said("Approve {0}", row),
            form_class=forms.SeenForm,
            call=call,
            submit=f"Approve {row.amount_sat:,} sat",
            back=cells.page_of(row),
            initial={"amount_sat": row.amount_sat},
            facts=[
                ("Institution", str(row.institution)),
                ("Amount", cells.sat(row.amount_sat)),
                ("A bitcoin costs at most", self.limit(row)),
                ("Funded by", cells.long(row.funding_source)),
                ("Until", cells.moment(row.ends_at)),
                ("Reason", cells.long(row.note)),
                ("Proposed by", cells.person(row.proposed_by)),
            ],
            help_text="The law's ceiling is asked again.",
        )
        return pages.answer(self, request, page)

    @action(description="End", url_path="end", icon="block", variant=ActionVariant.WARNING)
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let nothing more be bought under it."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            purchase_plans.end(by=_user(request), plan_id=row.pk, **cleaned)
            messages.success(request, "The plan is ended.")
            return HttpResponseRedirect(cells.page_of(row))

        page = pages.Page(
            title=said("End {0}", row),
            form_class=ReasonForm,
            call=call,
            submit="End it",
            back=cells.page_of(row),
            is_dangerous=True,
            help_text="What was bought and is not classed yet needs another plan.",
        )
        return pages.answer(self, request, page)

    @display(description="plan")
    def title(self, row: PurchasePlan) -> str:
        """Its number."""
        return f"Plan {row.pk}"

    @display(description="institution")
    def institution_link(self, row: PurchasePlan) -> str:
        """Who buys."""
        return cells.link(row.institution)

    @display(description="amount")
    def amount(self, row: PurchasePlan) -> str:
        """What may be bought."""
        return cells.sat(row.amount_sat)

    @display(description="bought")
    def bought(self, row: Any) -> str:
        """What was."""
        return cells.sat(row.bought_sat)

    @display(description="left")
    def left(self, row: Any) -> str:
        """What is left."""
        return cells.sat(row.left_sat)

    @display(description="a bitcoin costs at most")
    def limit(self, row: PurchasePlan) -> str:
        """In major units."""
        return number(row.limit_price, row.currency)

    @display(description="funded by")
    def funded_by(self, row: PurchasePlan) -> str:
        """Whose money it is."""
        return cells.long(row.funding_source)

    @display(description="until")
    def until(self, row: PurchasePlan) -> str:
        """When it is over."""
        return cells.moment(row.ends_at)

    @display(description="state")
    def state_label(self, row: PurchasePlan) -> str:
        """Where it stands."""
        return cells.label("", row.state, TONES[row.state])

    @display(description="reason")
    def reason(self, row: PurchasePlan) -> str:
        """Why."""
        return cells.long(row.note)

    @display(description="proposed by")
    def proposer(self, row: PurchasePlan) -> str:
        """Who proposed it."""
        return cells.person(row.proposed_by)

    @display(description="proposed")
    def proposed(self, row: PurchasePlan) -> str:
        """When."""
        return cells.moment(row.proposed_at)

    @display(description="approved by")
    def approver(self, row: PurchasePlan) -> str:
        """Who approved it."""
        return cells.person(row.approved_by)

    @display(description="approved")
    def approved(self, row: PurchasePlan) -> str:
        """When."""
        return cells.moment(row.approved_at)

    @display(description="ended by")
    def ender(self, row: PurchasePlan) -> str:
        """Who ended it."""
        return cells.person(row.ended_by)


def _user(request: HttpRequest) -> Any:
    return request.user
