"""Bank accounts of people in the admin: the number masked, the title never shown, and what the bank says of it."""

from typing import Any, BinaryIO, cast

from django import forms
from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import account_change, beneficiary, cells, pages, scope, uploads
from payments.admin.base import ProgramScopedAdmin
from payments.admin.forms import InProgramForm, check_size
from payments.models import BankAccount, Role, TitleMatch
from payments.rails import iban
from payments.services import bank_accounts


class AccountsForm(InProgramForm):
    """A file of people's first accounts."""

    file = forms.FileField(
        label="CSV file",
        allow_empty_file=True,
        widget=widgets.UnfoldAdminFileFieldWidget(),
        help_text="UTF-8, with the columns reference, title and iban, and bic if there is any.",
    )

    def clean_file(self) -> UploadedFile:
        """Return the file unless it is too large."""
        return check_size(self.cleaned_data["file"])


@admin.register(BankAccount)
class BankAccountAdmin(ProgramScopedAdmin):
    """Where the people of the user's programs are and were paid by bank; two people change that."""

    noun = "Bank account"
    list_display = ("number", "masked", "person", "state", "title", "since")
    list_filter = (account_change.WaitsFilter, ("title_match", ChoicesDropdownFilter))
    list_select_related = ("created_by", "decided_by")
    search_fields = ("pk",)
    search_help_text = "Search by exact IBAN"
    fields = ("masked", "person", "state", "title", "since", "given_by", "why", "decided")
    when_empty = "No account was brought yet. An officer brings a file of them."
    actions_list = ("bring",)
    actions_detail = ("confirm", "refuse")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BankAccount]:
        """Return the accounts of people enrolled in the user's programs."""
        mine = beneficiary.visible_enrollments(request).values("beneficiary")
        rows = BankAccount.objects.filter(beneficiary__in=mine).select_related("beneficiary", "created_by")
        return rows.defer("beneficiary__personal")

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a file of first accounts to officers."""
        is_officer = scope.programs_as(request, Role.OFFICER).exists()
        return [self.get_unfold_action("bring")] if is_officer else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the role and the second-person rule allow."""
        row = self.get_object(request, str(object_id))
        if row is None or not account_change.may_decide(request, row):
            return []
        is_own = row.created_by_id == request.user.pk
        return [
            self.get_unfold_action(name) for name in self.actions_detail if not (is_own and name == "confirm")
        ]

    @action(description="Confirm", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Agree to an account as a second person."""
        return account_change.confirm(self, request, self.get_row(request, object_id))

    @action(description="Refuse", url_path="refuse", icon="close", variant=ActionVariant.WARNING)
    def refuse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse an account, or take back what one proposed oneself."""
        return account_change.refuse(self, request, self.get_row(request, object_id))

    @action(description="Bring accounts", url_path="bring", icon="upload_file")
    def bring(self, request: HttpRequest) -> HttpResponse:
        """Give people their first account from a file."""
        programs = uploads.own_programs(request)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            upload: UploadedFile = cleaned["file"]
            count = bank_accounts.load_csv(
                by=by, program_id=cleaned["program"].pk, file=cast(BinaryIO, upload.file)
            )
            messages.success(request, said("{0} people have an account now.", f"{count:,}"))
            return HttpResponseRedirect(cells.list_of(BankAccount))

        return pages.answer(
            self,
            request,
            pages.Page(
                title="Bring accounts",
                form_class=AccountsForm,
                form_options={"programs": programs},
                call=call,
                submit="Check and take",
                back=cells.list_of(BankAccount),
                help_text="Whole or not at all: every row that breaks a rule is named. Who has an account keeps it.",
            ),
        )

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by the keyed hash of an account number."""
        try:
            return Q(iban_hash=bank_accounts.hash_of(iban.normalize(term)))
        except iban.InvalidIban:
            return Q(pk__in=[])

    @display(description="number")
    def number(self, row: BankAccount) -> str:
        """Its number here."""
        return f"Bank account {row.pk}"

    @display(description="account")
    def masked(self, row: BankAccount) -> str:
        """Country, check digits and the last four characters."""
        return account_change.masked(row) if row.account.get("iban") else "erased"

    @display(description="person")
    def person(self, row: BankAccount) -> str:
        """Whose it is."""
        return cells.link(row.beneficiary, f"Person {row.beneficiary_id}")

    @display(description="state")
    def state(self, row: BankAccount) -> str:
        """Whether new lists pay there."""
        if row.is_current:
            return cells.label("", "current", cells.GOOD)
        if account_change.is_open(row):
            return cells.label("", "waits for a second person", cells.BUSY)
        return cells.label("", "past")

    @display(description="title")
    def title(self, row: BankAccount) -> str:
        """What the bank says of the title."""
        tones = {TitleMatch.MATCH: cells.GOOD, TitleMatch.UNKNOWN: cells.BUSY}
        return cells.label(
            "", row.get_title_match_display(), tones.get(TitleMatch(row.title_match), cells.BAD)
        )

    @display(description="since")
    def since(self, row: BankAccount) -> str:
        """When it was given."""
        return cells.moment(row.created_at)

    @display(description="given by")
    def given_by(self, row: BankAccount) -> str:
        """Who wrote it down."""
        return cells.person(row.created_by)

    @display(description="why")
    def why(self, row: BankAccount) -> str:
        """The reason."""
        return cells.long(row.note) if row.note else cells.EMPTY

    @display(description="decided by")
    def decided(self, row: BankAccount) -> str:
        """The second person."""
        return cells.person(row.decided_by) if row.decided_by else cells.EMPTY
