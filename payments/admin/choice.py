"""What people want to be paid in, and take where a trust cannot, in the admin: an officer writes it down, and lists it."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from govpay.said import said
from payments.admin import cells, pages, scope
from payments.admin.tables import Notice, Table
from payments.models import (
    Disbursement,
    ElectionChoice,
    Enrollment,
    HoldRule,
    Instead,
    Payment,
    Rail,
    Role,
    TrustPurse,
)
from payments.selectors import trusts as selector
from payments.services import chosen_lists, elections
from payments.states import PaymentStatus

SHOWN = 10
# Nothing is chosen for anybody.
NOTHING = ("", "Choose")
ACTS = {
    Instead.BITCOIN: elections.take_bitcoin,
    Instead.VOUCHER: elections.take_voucher,
    Instead.AGAIN: elections.ask_again,
}


class NoteForm(forms.Form):
    """How the person told it."""

    note = forms.CharField(
        label="How the person told it",
        max_length=elections.MAX_NOTE,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="A letter, a call. Kept in the history, for the auditor.",
    )


class InsteadForm(NoteForm):
    """What the person takes of what the program can give."""

    choice = forms.ChoiceField(label="Takes instead", widget=widgets.UnfoldAdminSelectWidget())
    field_order = ("choice", "note")

    def __init__(self, *args: Any, choices: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["choice"].choices = [NOTHING, *choices]  # type: ignore[attr-defined]


class ElectionForm(NoteForm):
    """Bitcoin, or a currency of a trust."""

    wants = forms.ChoiceField(label="Wants", widget=widgets.UnfoldAdminSelectWidget())
    field_order = ("wants", "note")

    def __init__(self, *args: Any, purses: list[TrustPurse], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        of_trusts = [(str(purse.pk), str(purse)) for purse in purses]
        bitcoin = (ElectionChoice.BITCOIN.value, ElectionChoice.BITCOIN.label)
        self.fields["wants"].choices = [NOTHING, bitcoin, *of_trusts]  # type: ignore[attr-defined]


class RailForm(forms.Form):
    """How those on the new list are paid."""

    rail = forms.ChoiceField(label="Paid by", widget=widgets.UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, rails: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["rail"].choices = [(rail, Rail(rail).label) for rail in rails]  # type: ignore[attr-defined]


def is_asked(payment: Payment) -> bool:
    """Say whether the line waits for what its person takes instead of a trust's currency."""
    holds = payment.holds.filter(rule=HoldRule.TRUST_REFUSED, ended_at=None)
    return payment.status == PaymentStatus.HELD and holds.exists()


def notices(payment: Payment) -> list[Notice]:
    """Say that the line waits for its person, or what they chose."""
    if is_asked(payment):
        text = "An officer asks the person what they take instead, and writes it down; it does not go on by itself."
        return [Notice(text, cells.BUSY, "The trust did not take the bitcoin of this line")]
    chosen = selector.chosen_instead(payment)
    if chosen is None:
        return []
    text = (
        "The line is withdrawn; another list pays it, which an officer makes on the page of this line's list."
    )
    return [Notice(text, cells.INFO, said("The person takes instead: {0}", said(chosen.label)))]


def take(model_admin: Any, request: HttpRequest, payment: Payment) -> HttpResponse:
    """Write down what the person of a line takes that no trust took, which withdraws it."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        choose: Any = ACTS[Instead(cleaned["choice"])]
        choose(by=request.user, payment_id=payment.pk, note=cleaned["note"])
        messages.success(request, said("It is written down, and payment {0} is withdrawn.", payment.pk))
        return HttpResponseRedirect(cells.page_of(payment))

    program = payment.disbursement.program
    choices = [
        (each.value, each.label) for each in Instead if each != Instead.VOUCHER or not program.pays_sat
    ]
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("What the person of payment {0} takes instead", payment.pk),
            form_class=InsteadForm,
            form_options={"choices": choices},
            call=call,
            submit="Write it down",
            back=cells.page_of(payment),
            facts=[
                ("List", said("List {0}, {1}", payment.disbursement_id, payment.disbursement.cycle)),
                ("Amount", cells.money(payment.amount, program)),
                ("Status", cells.status_of(payment)),
            ],
            help_text="The line is withdrawn, which is proof that nothing of it is paid. On the page of its list you make"
            " the list that pays what people chose, for all of them at once.",
        ),
    )


def may_elect() -> bool:
    """Say whether there is a trust that people may elect."""
    return selector.purses().exists()


def elect(model_admin: Any, request: HttpRequest, enrollment: Enrollment) -> HttpResponse:
    """Write down what a person wants to be paid in from now on."""
    purses = list(selector.purses())

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        purse = next((each for each in purses if str(each.pk) == cleaned["wants"]), None)
        by: Any = request.user
        elections.elect(
            by=by,
            enrollment_id=enrollment.pk,
            choice=ElectionChoice.BITCOIN if purse is None else ElectionChoice.CURRENCY,
            note=cleaned["note"],
            trust_id=None if purse is None else purse.trust_id,
            currency="" if purse is None else purse.currency,
        )
        messages.success(request, "It is written down, and counts from the next list on.")
        return HttpResponseRedirect(cells.page_of(enrollment))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("What {0} wants to be paid in", enrollment.reference),
            form_class=ElectionForm,
            form_options={"purses": purses},
            call=call,
            submit="Write it down",
            back=cells.page_of(enrollment),
            facts=[("Program", str(enrollment.program))],
            help_text="A trust gives currency for the bitcoin that a list pays. Lists that are submitted already stay as"
            " they are; the last that is written down counts.",
        ),
    )


def table(enrollment: Enrollment) -> list[Table]:
    """Return what the person elected, the last first, where they elected anything."""
    shown = [
        (
            cells.link(row),
            row.get_choice_display(),
            cells.EMPTY if row.purse is None else cells.link(row.purse.trust, str(row.purse)),
            cells.moment(row.made_at),
            cells.person(row.made_by) if row.made_by else said("the person"),
        )
        for row in selector.elections(enrollment.pk)[:SHOWN]
    ]
    headers = ("Election", "Choice", "Paid by", "Written down", "By")
    return [Table("What the person elected", headers, shown)] if shown else []


def is_listed(request: HttpRequest, disbursement: Disbursement) -> bool:
    """Say whether the user may make a list of what people of this one chose."""
    return scope.holds(request, disbursement.program_id, Role.OFFICER) and bool(
        chosen_lists.rails_of(disbursement)
    )


def list_them(model_admin: Any, request: HttpRequest, disbursement: Disbursement) -> HttpResponse:
    """Make a draft of what people of a list chose instead of currency."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        made = chosen_lists.of_list(by=by, disbursement_id=disbursement.pk, rail=cleaned["rail"])
        messages.success(request, said("List {0} is a draft; submit it when it is right.", made.pk))
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("List what people of list {0} chose", disbursement.pk),
            form_class=RailForm,
            form_options={"rails": chosen_lists.rails_of(disbursement)},
            call=call,
            submit="Make the list",
            back=cells.page_of(disbursement),
            facts=[("List", said("List {0}, {1}", disbursement.pk, disbursement.cycle))],
            help_text="The same people and amounts in the same cycle. In bitcoin it has those who take bitcoin, and those"
            " for whom the trust is asked again. It goes through three people like any list.",
        ),
    )
