"""Exclusion lists in the admin: made and filled here; who is on them is never shown."""

from typing import Any, BinaryIO, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, pages, reasons, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.forms import check_size
from payments.models import ExclusionList, Program, Role
from payments.services import exclusions


class ListForm(forms.Form):
    """A list: whose, why, on whose word, and for how long."""

    program = forms.ModelChoiceField(
        queryset=Program.objects.none(),
        required=False,
        empty_label=None,
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    name = forms.CharField(max_length=exclusions.MAX_NAME, widget=widgets.UnfoldAdminTextInputWidget())
    reason = forms.CharField(max_length=exclusions.MAX_TEXT, widget=widgets.UnfoldAdminTextInputWidget())
    source = forms.CharField(
        max_length=exclusions.MAX_TEXT,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="On whose word, such as the civil registry's file of October.",
    )
    valid_from = forms.DateField(
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-11-01"})
    )
    valid_to = forms.DateField(
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"placeholder": "2027-10-31"}),
        help_text="The last day; empty for a list without end.",
    )

    def __init__(self, *args: Any, programs: QuerySet[Program], is_keeper: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["program"]
        field.queryset = programs
        field.required = not is_keeper
        field.empty_label = "All programs" if is_keeper else None


class EntriesForm(forms.Form):
    """A file of national ids."""

    file = forms.FileField(
        label="CSV file",
        allow_empty_file=True,
        widget=widgets.UnfoldAdminFileFieldWidget(),
        help_text="UTF-8, with the one column national_id. The ids are hashed and forgotten.",
    )

    def clean_file(self) -> Any:
        """Return the file unless it is too large."""
        return check_size(self.cleaned_data["file"])


@admin.register(ExclusionList)
class ExclusionListAdmin(ProgramScopedAdmin):
    """The lists that hold in the user's programs."""

    noun = "Exclusion list"
    list_display = ("title", "of_program", "reason_text", "valid", "entries_count")
    search_fields = ("name",)
    search_help_text = "Search by name"
    fields = ("title", "of_program", "reason_text", "source_text", "valid", "entries_count", "maker")
    actions_list = ("make",)
    actions_detail = ("load", "end")
    when_empty = "Nobody is excluded."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExclusionList]:
        """Return the lists of the user's programs and of the installation."""
        rows = ExclusionList.objects.select_related("program", "created_by").annotate(
            size=Count("entries"), lifted=Count("entries", filter=Q(entries__lifted_at__isnull=False))
        )
        if scope.sees_everything(request):
            return rows
        return rows.filter(Q(program__in=list(scope.roles(request))) | Q(program=None))

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by name."""
        return Q(name=term)

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a new list to officers and to who keeps those of all programs."""
        is_offered = scope.programs_as(request, Role.OFFICER).exists() or _is_keeper(request)
        return super().get_actions_list(request) if is_offered else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer entries and the end to who keeps the list."""
        row = self.get_object(request, str(object_id))
        if row is None:
            return []
        is_mine = (
            scope.holds(request, row.program_id, Role.OFFICER) if row.program_id else _is_keeper(request)
        )
        return super().get_actions_detail(request, object_id) if is_mine else []

    @action(description="New list", url_path="make", icon="add", variant=ActionVariant.PRIMARY)
    def make(self, request: HttpRequest) -> HttpResponse:
        """Make an empty list."""
        programs = scope.programs_as(request, Role.OFFICER)
        if not programs and not _is_keeper(request):
            raise PermissionDenied

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            program = cleaned.pop("program")
            by: Any = request.user
            made = exclusions.create(by=by, program_id=program.pk if program else None, **cleaned)
            messages.success(request, said("The list {0} is made; now load who is on it.", made.name))
            return HttpResponseRedirect(cells.page_of(made))

        return pages.answer(
            self,
            request,
            pages.Page(
                title="New exclusion list",
                form_class=ListForm,
                form_options={"programs": programs, "is_keeper": _is_keeper(request)},
                call=call,
                submit="Make the list",
                back=cells.list_of(ExclusionList),
                help_text="Who is on it is enrolled as anybody else; their payments are held, and they may appeal.",
            ),
        )

    @action(description="Load people", url_path="load", icon="upload_file", variant=ActionVariant.PRIMARY)
    def load(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put the people of a file on the list."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            file = cast(BinaryIO, cleaned["file"].file)
            loaded = exclusions.load(by=by, exclusion_list_id=row.pk, file=file)
            messages.success(request, f"{loaded.added:,} of {loaded.rows:,} people are new on the list.")
            return HttpResponseRedirect(cells.page_of(row))

        return pages.answer(
            self,
            request,
            pages.Page(
                title=said("Load people on {0}", row.name),
                form_class=EntriesForm,
                call=call,
                submit="Check and load",
                back=cells.page_of(row),
                help_text="One wrong row refuses the whole file. Who was lifted on appeal stays lifted.",
            ),
        )

    @action(description="End", url_path="end", icon="event_busy", variant=ActionVariant.WARNING)
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the list."""
        row = self.get_row(request, object_id)
        by: Any = request.user
        return reasons.ask(
            self,
            request,
            row,
            title=said("End {0}", row.name),
            call=lambda note: exclusions.end(by=by, exclusion_list_id=row.pk, note=note),
            done=said("The list {0} holds nobody any more.", row.name),
            help_text="What it has held goes on within a minute.",
        )

    @display(description="list")
    def title(self, row: ExclusionList) -> str:
        """Its name."""
        return cells.long(row.name)

    @display(description="program")
    def of_program(self, row: ExclusionList) -> str:
        """Whose it is."""
        return str(row.program) if row.program else "all programs"

    @display(description="reason")
    def reason_text(self, row: ExclusionList) -> str:
        """Why."""
        return cells.long(row.reason)

    @display(description="source")
    def source_text(self, row: ExclusionList) -> str:
        """On whose word."""
        return cells.long(row.source)

    @display(description="valid")
    def valid(self, row: ExclusionList) -> str:
        """From and to."""
        return (
            said("{0} to {1}", row.valid_from, row.valid_to) if row.valid_to else f"from {row.valid_from} on"
        )

    @display(description="people")
    def entries_count(self, row: Any) -> str:
        """How many are on it, and how many of them were lifted."""
        return f"{row.size:,}, {row.lifted:,} of them lifted on appeal"

    @display(description="made by")
    def maker(self, row: ExclusionList) -> str:
        """Who made it."""
        return cells.join(cells.person(row.created_by), cells.moment(row.created_at))


def _is_keeper(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(exclusions.PERMISSION))
