"""The one rule of the admin of payments: people see their own programs, and nothing is edited in place.

Access follows membership, not Django's model permissions: staff read the rows of the programs that they belong to,
whatever their role, but for help desk and security administrators, who read what their work needs; a superuser reads
every program. Nobody adds, changes or deletes a row through Django's own forms: each button makes one service call, and
the service checks the role again.
"""

from typing import Any, ClassVar

from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from govpay.errors import GovPayError
from govpay.said import said
from ledger.exports.source import snapshot
from payments.admin import links, scope
from payments.admin.paging import BoundedChangeList, BoundedPaginator
from payments.admin.tables import Notice, Table
from payments.onchain import address, network

DATE_LOOKUPS = ("gte", "lt", "year", "month", "day")


class ProgramScopedAdmin(ModelAdmin):
    """Lists and pages of the rows of the user's programs; ``program_path`` leads from a row to its program."""

    program_path: ClassVar[str] = "program"
    # Of help desk and security administrators, who may read these rows too.
    also: ClassVar[tuple[str, ...]] = ()
    search_help_text: str | None = None
    when_empty: ClassVar[str] = "There is nothing here yet."
    # What a row is called together with its number; the row's own text where this is empty.
    noun: ClassVar[str] = ""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_filter_submit = True
    actions = None
    sortable_by: tuple[str, ...] = ()
    ordering: tuple[str, ...] = ("-pk",)
    actions_detail_hide_default = True
    compressed_fields = False
    change_list_template = "payments/admin/change_list.html"
    change_form_template = "payments/admin/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows of the user's programs; every page, filter and search starts from these."""
        return scope.limit(request, super().get_queryset(request), self.program_path, *self.also)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to members and superusers."""
        return scope.may_look(request, *self.also)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let members and superusers read; which rows, get_queryset decides for lists and pages alike."""
        return scope.may_look(request, *self.also)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: rows are made by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: rows are changed by services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: nothing is deleted."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Return every field that the page shows."""
        return list(flatten_fieldsets(self.get_fieldsets(request, obj)))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the filters on the screen only, so that a URL cannot ask about rows of another program."""
        allowed = set()
        for entry in self.list_filter:
            if isinstance(entry, tuple):
                allowed |= {entry[0], f"{entry[0]}__exact"}
            else:
                allowed.add(getattr(entry, "parameter_name", entry))
        if self.date_hierarchy:
            allowed |= {f"{self.date_hierarchy}__{part}" for part in DATE_LOOKUPS}
        return lookup in allowed

    def find(self, request: HttpRequest, term: str) -> Q:
        """Return the condition of the search box: here, the row's own number."""
        return Q(pk=int(term)) if is_number(term) else Q(pk__in=[])

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by exact values only, which indexes answer however many rows there are."""
        term = search_term.strip()
        return (queryset.filter(self.find(request, term)) if term else queryset), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BoundedChangeList]:
        """Return the list that counts only as far as it is paged through."""
        return BoundedChangeList

    def get_row(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row for an action; raise Http404 unless it is in one of the user's programs."""
        found = self.get_object(request, unquote(str(object_id)))
        if found is None or not self.has_view_permission(request, found):
            raise Http404
        return found

    def tables(self, request: HttpRequest, obj: Any) -> list[Table]:
        """Return the tables under a row's page."""
        return []

    def notices(self, request: HttpRequest, obj: Any) -> list[Notice]:
        """Return the sentences above a row's page."""
        return []

    def parts(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return what the template of a row's page shows besides notices, facts and tables."""
        return {}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        """Add the notices and tables to a row's page."""
        if obj is not None:
            context |= {
                "title": said(f"{self.noun} {obj.pk}") if self.noun else str(obj),
                "subtitle": None,
                "notices": self.notices(request, obj),
                "tables": self.tables(request, obj),
                **self.parts(request, obj),
            }
        response: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return response

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list; what govpay refuses to read is a sentence on the screen."""
        try:
            with links.shown_to(request):
                return _rendered(super().changelist_view(request, extra_context))
        except GovPayError as error:
            return self._refusal(request, error)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the page of a row; what govpay refuses to read is a sentence on the screen."""
        try:
            # A worker goes on meanwhile: what the page says of a row, its history and the rest is of one moment.
            with snapshot(is_read_only=False), links.shown_to(request):
                return _rendered(super().changeform_view(request, object_id, form_url, extra_context))
        except GovPayError as error:
            return self._refusal(request, error)

    def _refusal(self, request: HttpRequest, error: GovPayError) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": said("This cannot be shown"),
            "notices": [Notice(error.message, "bad", "This cannot be shown")],
        }
        return TemplateResponse(
            request, "payments/admin/refusal.html", context, status=error.http_status
        ).render()


def is_number(term: str) -> bool:
    """Say whether the text can be a row's number."""
    return term.isascii() and term.isdecimal() and len(term) < 19


def is_hash(term: str) -> bool:
    """Say whether the text can be a txid or a block hash."""
    return len(term) == 64 and term.isascii() and all(c in "0123456789abcdef" for c in term.lower())


def script_of(term: str) -> bytes | None:
    """Return the script_pubkey of an address of our network, or None when the text is not one."""
    try:
        return address.script_from_address(term, network.current())
    except address.InvalidAddress:
        return None


def _rendered(response: HttpResponse) -> HttpResponse:
    """Render while errors can still be caught: rows are read when the template asks for them."""
    if isinstance(response, TemplateResponse):
        return response.render()
    return response
