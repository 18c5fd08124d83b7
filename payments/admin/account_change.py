"""The pages on which an officer proposes to pay somebody at another account in a bank, and a second person decides."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.contrib.filters.admin import DropdownFilter

from govpay.said import said
from payments.admin import cells, pages, reasons, scope
from payments.admin.forms import ReasonForm
from payments.models import BankAccount, Enrollment
from payments.rails import iban
from payments.services import bank_accounts

# Which accounts somebody has to decide about.
OPEN = Q(replaces__isnull=False, decided_at=None)
TYPED = {"autocomplete": "off", "spellcheck": "false"}


class AccountForm(ReasonForm):
    """Where the person is to be paid, and why; the service holds the number to its grammar."""

    title = forms.CharField(
        label="Title of the account", max_length=140, widget=widgets.UnfoldAdminTextInputWidget(attrs=TYPED)
    )
    iban = forms.CharField(
        label="IBAN", max_length=50, widget=widgets.UnfoldAdminTextInputWidget(attrs=TYPED)
    )
    bic = forms.CharField(
        label="BIC", required=False, max_length=11, widget=widgets.UnfoldAdminTextInputWidget(attrs=TYPED)
    )
    field_order = ("title", "iban", "bic", "note")


class WaitsFilter(DropdownFilter):
    """Separates what somebody has to decide about."""

    title = "state"
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the one part that is looked for."""
        return [("yes", "Waits for a second person")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep that part."""
        return queryset.filter(OPEN) if self.value() == "yes" else queryset


def propose(model_admin: Any, request: HttpRequest, row: Enrollment) -> HttpResponse:
    """Propose an account for somebody who has one; a first one counts at once."""
    current = BankAccount.objects.filter(beneficiary=row.beneficiary_id, is_current=True).first()

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        made = bank_accounts.propose(by=by, enrollment_id=row.pk, **cleaned)
        text = (
            "{0} has an account now."
            if made.is_current
            else "{0} is paid at the old account until somebody else confirms."
        )
        messages.success(request, said(text, row.reference))
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Change the account of {0}", row.reference),
            form_class=AccountForm,
            call=call,
            submit="Propose the change",
            back=cells.page_of(row),
            facts=[("Program", str(row.program)), ("Now paid at", masked(current))],
            help_text="A second officer or an approver confirms it; then it cools before anything is paid there. A first "
            "account counts at once. Lists that were submitted already keep the account they were submitted with.",
        ),
    )


def may_decide(request: HttpRequest, row: BankAccount) -> bool:
    """Say whether the account waits, and the user is of those who decide about the person's accounts."""
    programs = scope.programs_as(request, *bank_accounts.DECIDERS)
    return is_open(row) and programs.filter(enrollments__beneficiary=row.beneficiary_id).exists()


def is_open(row: BankAccount) -> bool:
    """Say whether somebody has to decide about it."""
    return row.replaces_id is not None and row.decided_at is None


def confirm(model_admin: Any, request: HttpRequest, row: BankAccount) -> HttpResponse:
    """Agree as a second person."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        bank_accounts.confirm(by=by, bank_account_id=row.pk)
        messages.success(request, "The account is confirmed.")
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Confirm the account",
            form_class=forms.Form,
            call=call,
            submit="Confirm",
            back=cells.page_of(row),
            facts=_facts(row),
            help_text="New lists pay there once the program's cooling period is over; until then their line is held.",
        ),
    )


def refuse(model_admin: Any, request: HttpRequest, row: BankAccount) -> HttpResponse:
    """Refuse it as a second person, or take back what one proposed oneself."""
    by: Any = request.user
    return reasons.ask(
        model_admin,
        request,
        row,
        title="Refuse the account",
        call=lambda note: bank_accounts.refuse(by=by, bank_account_id=row.pk, note=note),
        done="The account is refused.",
        facts=_facts(row),
        help_text="The person is paid at the old account.",
    )


def masked(row: BankAccount | None) -> str:
    """Return country, check digits and the last four characters of an account's number."""
    known = "" if row is None else row.account.get("iban", "")
    return iban.masked(known) if known else cells.EMPTY


def _facts(row: BankAccount) -> list[tuple[str, Any]]:
    return [
        ("Person", cells.link(row.beneficiary, f"Person {row.beneficiary_id}")),
        ("Now paid at", masked(row.replaces)),
        ("New account", masked(row)),
        ("What the bank says of its title", row.get_title_match_display()),
        ("Reason", cells.long(row.note)),
        ("Proposed by", cells.join(cells.person(row.created_by), cells.moment(row.created_at))),
    ]
