"""Bank accounts of people in the admin: the number masked, the title never shown, and what the bank says of it."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from payments.admin import beneficiary, cells
from payments.admin.base import ProgramScopedAdmin
from payments.models import BankAccount, TitleMatch
from payments.rails import iban
from payments.services import bank_accounts


@admin.register(BankAccount)
class BankAccountAdmin(ProgramScopedAdmin):
    """Where the people of the user's programs are and were paid by bank; accounts come and change over the API."""

    noun = "Bank account"
    list_display = ("number", "account", "person", "state", "title", "since")
    list_filter = (("title_match", ChoicesDropdownFilter),)
    list_select_related = ("created_by", "decided_by")
    search_fields = ("pk",)
    search_help_text = "Search by exact IBAN"
    fields = ("account", "person", "state", "title", "since", "given_by", "why", "decided")
    when_empty = "No account was brought yet."

    def get_queryset(self, request: HttpRequest) -> QuerySet[BankAccount]:
        """Return the accounts of people enrolled in the user's programs."""
        mine = beneficiary.visible_enrollments(request).values("beneficiary")
        rows = BankAccount.objects.filter(beneficiary__in=mine).select_related("beneficiary", "created_by")
        return rows.defer("beneficiary__personal")

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
    def account(self, row: BankAccount) -> str:
        """Country, check digits and the last four characters."""
        known = row.account.get("iban", "")
        return iban.masked(known) if known else "erased"

    @display(description="person")
    def person(self, row: BankAccount) -> str:
        """Whose it is."""
        return cells.link(row.beneficiary, f"Person {row.beneficiary_id}")

    @display(description="state")
    def state(self, row: BankAccount) -> str:
        """Whether new lists pay there."""
        if row.is_current:
            return cells.label("", "current", cells.GOOD)
        is_open = row.replaces_id is not None and row.decided_at is None
        return (
            cells.label("", "waits for a second person", cells.BUSY) if is_open else cells.label("", "past")
        )

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
