"""What boards of trusts were asked, in the admin: the terms, who signed, and the second signature."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, pages, trust_carrying, trusts
from payments.admin.filters import by_number
from payments.admin.forms import AgreeForm, ReasonForm
from payments.admin.tables import Table, history
from payments.models import TrustDecision
from payments.prices import currency
from payments.selectors import trusts as selector
from payments.services import board, trust_boards
from payments.states import DecisionStatus


@admin.register(TrustDecision)
class TrustDecisionAdmin(trusts.OfTrusts):
    """Decisions of boards, two of three."""

    noun = "Decision"
    list_display = ("name", "trust", "kind", "state", "proposer", "proposed")
    list_filter = (
        by_number("trust", "trust"),
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
    )
    when_empty = "No board was asked anything yet."
    actions_detail = ("sign", "withdraw", "take_file", "bring_report")
    fieldsets = (
        (None, {"fields": ("trust_link", "kind", "state", "reason")}),
        ("People", {"fields": ("proposer", "proposed", "expires", "ended")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrustDecision]:
        """Return every decision to whoever may look."""
        rows = selector.decisions()
        return rows if trusts.may_look(request, *self.also) else rows.none()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer a second member the signature, and its proposer the way back."""
        row = self.get_object(request, str(object_id))
        if row is None:
            return []
        is_open = row.status == DecisionStatus.OPEN
        names = _offered(request, row) if is_open else trust_carrying.offered(request, row)
        return [self.get_unfold_action(name) for name in names]

    @action(description="Sign", url_path="sign", icon="draw", variant=ActionVariant.PRIMARY)
    def sign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Sign as a second member; it is done with that."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            trust_boards.sign(by=_user(request), decision_id=row.pk)
            messages.success(request, said("{0} is carried, and done.", row))
            return HttpResponseRedirect(cells.page_of(row))

        page = pages.Page(
            title=said("Sign {0}", row),
            form_class=AgreeForm,
            call=call,
            submit="Sign it",
            back=cells.page_of(row),
            facts=[
                ("Trust", str(row.trust)),
                ("Kind", row.get_kind_display()),
                *((name.capitalize(), value) for name, value in _terms(row)),
                ("Reason", cells.long(row.note)),
                ("Proposed by", cells.person(row.made_by)),
            ],
            help_text="Two of three members decide: it is done at once.",
        )
        return pages.answer(self, request, page)

    @action(description="Withdraw", url_path="withdraw", icon="undo", variant=ActionVariant.WARNING)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take back what one proposed."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            trust_boards.withdraw(by=_user(request), decision_id=row.pk, **cleaned)
            messages.success(request, said("{0} is withdrawn.", row))
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

    @action(
        description="Take to the bank", url_path="bank-file", icon="download", variant=ActionVariant.PRIMARY
    )
    def take_file(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give the file out that pays what people are owed."""
        return trust_carrying.take(self, request, self.get_row(request, object_id))

    @action(description="Bring the bank's report", url_path="bank-report", icon="upload_file")
    def bring_report(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take what the bank said."""
        return trust_carrying.bring(self, request, self.get_row(request, object_id))

    def tables(self, request: HttpRequest, obj: TrustDecision) -> list[Table]:
        """Show the terms, the signatures and the history."""
        signed = [(cells.person(vote.user), cells.moment(vote.at)) for vote in obj.votes.all()]
        terms = _terms(obj)
        return [
            Table("Terms", ("Term", "Value"), terms, "It has none."),
            Table("Signatures", ("Member", "Signed"), signed),
            *trust_carrying.table(obj),
            history("decision", obj.pk),
        ]

    @display(description="decision")
    def name(self, row: TrustDecision) -> str:
        """Its number."""
        return str(row)

    @display(description="trust")
    def trust_link(self, row: TrustDecision) -> str:
        """Whose board."""
        return cells.link(row.trust)

    @display(description="state")
    def state(self, row: TrustDecision) -> str:
        """Where it stands."""
        return cells.status_of(row)

    @display(description="reason")
    def reason(self, row: TrustDecision) -> str:
        """What its proposer said."""
        return cells.long(row.note)

    @display(description="proposed by")
    def proposer(self, row: TrustDecision) -> str:
        """Who asked."""
        return cells.person(row.made_by)

    @display(description="proposed")
    def proposed(self, row: TrustDecision) -> str:
        """When."""
        return cells.moment(row.made_at)

    @display(description="to be signed until")
    def expires(self, row: TrustDecision) -> str:
        """Until when a second member may sign."""
        return cells.moment(row.expires_at)

    @display(description="ended")
    def ended(self, row: TrustDecision) -> str:
        """When it was carried, withdrawn or void."""
        return cells.moment(row.ended_at)


def _offered(request: HttpRequest, row: TrustDecision) -> list[str]:
    user = _user(request)
    names = ["sign"] if selector.may_sign(user, row) else []
    if row.made_by_id == user.pk and board.is_member(user, row.trust_id):
        names.append("withdraw")
    return names


def _terms(row: TrustDecision) -> list[tuple[str, str]]:
    """Return the terms by their names, amounts with their units."""
    return [_term(name, value, row.terms.get("currency")) for name, value in row.terms.items()]


def _term(name: str, value: Any, code: str | None) -> tuple[str, str]:
    if isinstance(value, int):
        words, _, unit = name.rpartition("_")
        if unit == "minor" and code is not None:
            return words.replace("_", " "), cells.figure(currency.in_words(value, code))
        if unit == "sat":
            return words.replace("_", " "), cells.sat(value)
        return name.replace("_", " "), cells.number(value)
    return name.replace("_", " "), cells.long(str(value))


def _user(request: HttpRequest) -> Any:
    return request.user
