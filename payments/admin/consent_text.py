"""The texts that people of a program are asked to agree to, in the admin, and what each person said."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, pages, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.forms import InProgramForm
from payments.admin.tables import Table
from payments.models import Consent, ConsentText, Enrollment, Role
from payments.services import consents


class TextForm(InProgramForm):
    """A version of the text of a program."""

    version = forms.CharField(max_length=consents.MAX_VERSION, widget=widgets.UnfoldAdminTextInputWidget())
    text = forms.CharField(
        max_length=consents.MAX_TEXT, widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 12})
    )


class ConsentForm(forms.Form):
    """What a person said to which text."""

    version = forms.ChoiceField(widget=widgets.UnfoldAdminSelectWidget())
    is_given = forms.ChoiceField(
        label="The person",
        # What a person said is theirs: nothing is chosen beforehand.
        choices=[("", "Choose"), ("yes", "agrees"), ("no", "takes that back")],
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    note = forms.CharField(
        label="How it was said",
        required=False,
        max_length=consents.MAX_NOTE,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Such as the number of a form; no names.",
    )
    said_date = forms.DateField(
        label="Day on the form", required=False, widget=widgets.UnfoldAdminSingleDateWidget()
    )

    def __init__(self, *args: Any, versions: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["version"]
        field.choices = [(version, version) for version in versions]


def ask(model_admin: Any, request: HttpRequest, row: Enrollment) -> HttpResponse:
    """Record what the person said."""
    texts = ConsentText.objects.filter(program_id=row.program_id).order_by("-pk")
    versions = list(texts.values_list("version", flat=True)[:50])
    if not versions:
        messages.warning(request, "The program has no text yet to which people could agree.")
        return HttpResponseRedirect(cells.list_of(ConsentText))

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        consents.record(
            by=by,
            enrollment_id=row.pk,
            version=cleaned["version"],
            is_given=cleaned["is_given"] == "yes",
            note=cleaned["note"],
            said_date=cleaned["said_date"],
        )
        messages.success(request, "What the person said is recorded.")
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Record the consent of {0}", row.reference),
            form_class=ConsentForm,
            form_options={"versions": versions},
            call=call,
            submit="Record it",
            back=cells.page_of(row),
            help_text="While a consent is taken back, payments to the person are held.",
        ),
    )


def table(row: Enrollment) -> Table:
    """Return what the person said in the program, newest first."""
    said = Consent.objects.filter(program_id=row.program_id, beneficiary_id=row.beneficiary_id)
    return Table(
        title="Consent",
        headers=("Recorded", "Day on the form", "Text", "Said", "How", "Recorded by"),
        rows=[
            (
                cells.moment(one.recorded_at),
                str(one.said_date or cells.EMPTY),
                cells.link(one.text),
                cells.label("", "agreed", cells.GOOD)
                if one.is_given
                else cells.label("", "took it back", cells.BAD),
                cells.long(one.note),
                cells.person(one.recorded_by),
            )
            for one in said.select_related("text", "recorded_by").order_by("-pk")[:50]
        ],
        empty="The person was not asked, or has not answered.",
    )


@admin.register(ConsentText)
class ConsentTextAdmin(ProgramScopedAdmin):
    """The versions of each program's text."""

    noun = "Text"
    list_display = ("version_text", "program_name", "made")
    list_filter = (ProgramFilter,)
    search_fields = ("pk",)
    search_help_text = "Search by number"
    fields = ("version_text", "program_name", "words", "maker", "made")
    actions_list = ("publish",)
    when_empty = "No program asks people for their consent yet."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsentText]:
        """Return the texts of the user's programs."""
        rows: QuerySet[ConsentText] = super().get_queryset(request)
        return rows.select_related("program", "created_by")

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a new version to officers."""
        is_offered = scope.programs_as(request, Role.OFFICER).exists()
        return super().get_actions_list(request) if is_offered else []

    @action(description="New version", url_path="publish", icon="add", variant=ActionVariant.PRIMARY)
    def publish(self, request: HttpRequest) -> HttpResponse:
        """Add a version of a program's text."""
        programs = scope.programs_as(request, Role.OFFICER)
        if not programs:
            raise PermissionDenied

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            program = cleaned.pop("program")
            by: Any = request.user
            made = consents.publish(by=by, program_id=program.pk, **cleaned)
            messages.success(request, said("Version {0} is kept as it is from now on.", made.version))
            return HttpResponseRedirect(cells.page_of(made))

        return pages.answer(
            self,
            request,
            pages.Page(
                title="New version of the text",
                form_class=TextForm,
                form_options={"programs": programs},
                call=call,
                submit="Keep this version",
                back=cells.list_of(ConsentText),
                help_text="Who agreed to an older version has agreed to that one only.",
            ),
        )

    @display(description="version")
    def version_text(self, row: ConsentText) -> str:
        """Its version."""
        return row.version

    @display(description="program")
    def program_name(self, row: ConsentText) -> str:
        """Whose text it is."""
        return str(row.program)

    @display(description="text")
    def words(self, row: ConsentText) -> str:
        """The text."""
        return cells.words(row.text)

    @display(description="made by")
    def maker(self, row: ConsentText) -> str:
        """Who wrote it."""
        return cells.person(row.created_by)

    @display(description="made")
    def made(self, row: ConsentText) -> str:
        """When."""
        return cells.moment(row.created_at)
