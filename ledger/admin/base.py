"""The one rule of the ledger's admin: readers of the books look, and nobody adds, changes or deletes anything."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.decorators import display

from govpay.errors import GovPayError, NotFound
from govpay.said import said
from ledger.admin import cells, scopes

READ = "ledger.view_entry"
MOST_ROWS = 10_000

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Table:
    """A title, headers and rows of cells under a row's page; ``empty`` says what it means that there is nothing."""

    title: str
    headers: tuple[str, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    empty: str = "Nothing."
    more_url: str = ""
    more_text: str = "Show all"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts and shows the first 10,000 rows of a list; what lies behind is found by filters."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or MOST_ROWS when there are more."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_ROWS].count())


class BookAdmin(ModelAdmin):
    """Lists and pages that are read only, in a constant number of statements."""

    when_empty: ClassVar[str] = "There is nothing here yet."

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_filter_submit = True
    actions = None
    sortable_by: tuple[str, ...] = ()
    ordering: tuple[str, ...] = ("-pk",)
    compressed_fields = False
    change_list_template = "ledger/admin/change_list.html"
    change_form_template = "ledger/admin/change_form.html"

    class Media:
        """What the pages look like."""

        css = {"all": ["ledger/admin.css"]}

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to readers of the books."""
        return request.user.has_perm(READ)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let readers of the books read all of it."""
        return request.user.has_perm(READ)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: entries are posted by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: the books are never changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: nothing is deleted."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Return every field that the page shows."""
        return list(flatten_fieldsets(self.get_fieldsets(request, obj)))

    @display(description="Scope", ordering="scope")
    def of_scope(self, row: Any) -> str:
        """The scope by its name."""
        return scopes.named(row.scope)

    def find(self, term: str) -> Q:
        """Return the condition of the search box: here, the row's own number."""
        return Q(pk=int(term)) if is_number(term) else Q(pk__in=[])

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by exact values only, which indexes answer however many rows there are."""
        term = search_term.strip()
        return (queryset.filter(self.find(term)) if term else queryset), False

    def tables(self, row: Any) -> list[Table]:
        """Return the tables under a row's page."""
        return []

    def may(self, request: HttpRequest, right: str) -> bool:
        """Say whether somebody holds a right, and reads the books: a page that asks shows what it asks about."""
        return request.user.has_perms([READ, right])

    def ask(
        self,
        request: HttpRequest,
        form: forms.Form,
        *,
        title: str,
        meaning: str,
        call: Callable[..., object],
        row: Model | None = None,
        done: str = "",
    ) -> HttpResponse:
        """Show a form; once it is complete make the one call with its fields, and lead to the row, saying what came of it.

        Without a row it leads to the one that the call returned. A refusal is shown on the form.
        """
        refusal = ""
        if form.is_valid():
            try:
                made = call(by=request.user, **form.cleaned_data)
            except GovPayError as error:
                refusal = error.message
            else:
                self.message_user(request, done or said("{0}: done.", title), messages.SUCCESS)
                return redirect(self._page_of(row or made))
        context = self.page(request, title) | {
            "meaning": meaning,
            "form": form,
            "refusal": refusal,
            "back": self._page_of(row),
        }
        status = 422 if form.errors or refusal else 200
        return TemplateResponse(request, "ledger/admin/ask.html", context, status=status)

    def page(self, request: HttpRequest, title: str) -> dict[str, Any]:
        """Return what a page that is not a row's is shown with: the way at its head ends with its own title."""
        context: dict[str, Any] = self.admin_site.each_context(request)
        return context | {"model_admin": self, "media": self.media, "title": said(title)}

    def _page_of(self, row: object) -> str:
        return cells.page_of(self.model, row.pk) if isinstance(row, self.model) else cells.list_of(self.model)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        """Add the tables to a row's page."""
        if obj is not None:
            context |= {"title": said(capfirst(str(obj))), "subtitle": None, "tables": self.tables(obj)}
            # Django's own page of changes: nothing is changed here, and what is done is an audit event.
            context["show_history"] = False
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response


def posted(request: HttpRequest) -> QueryDict | None:
    """Return what a form was sent with, or None where it is only shown."""
    return request.POST if request.method == "POST" else None


def is_number(term: str) -> bool:
    """Say whether the text can be a row's number."""
    return term.isascii() and term.isdecimal() and len(term) < 19


def is_hash(term: str) -> bool:
    """Say whether the text can be a txid or a block hash."""
    return len(term) == 64 and term.isascii() and all(c in "0123456789abcdef" for c in term.lower())


def find_row(find: Callable[[int], Row], object_id: str) -> Row:
    """Return what the address of an action names; raise Http404 when nothing has the number."""
    try:
        return find(int(object_id))
    except (ValueError, NotFound) as error:
        raise Http404(f"There is nothing with the number {object_id}.") from error
