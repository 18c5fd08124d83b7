"""The page on which an officer takes down an appeal against an exclusion."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from govpay.said import said
from payments.admin import cells, pages
from payments.admin.tables import Notice
from payments.models import Enrollment, Exclusion
from payments.selectors import exclusions as selector
from payments.services import appeals


class AppealForm(forms.Form):
    """Against which entry, who speaks, and what they say."""

    exclusion = forms.ChoiceField(label="Against", widget=widgets.UnfoldAdminSelectWidget())
    lodged_by = forms.CharField(
        max_length=appeals.MAX_NAME,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="The person, or who speaks for them.",
    )
    text = forms.CharField(
        label="What they say",
        max_length=appeals.MAX_TEXT,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 5}),
        help_text="Encrypted like a name.",
    )

    def __init__(self, *args: Any, entries: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["exclusion"].choices = entries  # type: ignore[attr-defined]


def _entries(row: Enrollment) -> list[Exclusion]:
    found = selector.entries_of(row.program_id, row.beneficiary.identity_hash)
    return list(found.select_related("exclusion_list").order_by("pk"))


def notices(row: Enrollment) -> list[Notice]:
    """Say which lists exclude the person."""
    return [
        Notice(
            said("On the list {0}: {1}", entry.exclusion_list.name, entry.exclusion_list.reason),
            cells.BUSY,
            "Payments to this person are held",
        )
        for entry in _entries(row)
    ]


def ask(model_admin: Any, request: HttpRequest, row: Enrollment) -> HttpResponse:
    """Take down what the person says; somebody else decides."""
    entries = _entries(row)
    if not entries:
        messages.warning(request, said("No list excludes {0}.", row.reference))
        return HttpResponseRedirect(cells.page_of(row))

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        made = appeals.lodge(
            by=by,
            enrollment_id=row.pk,
            exclusion_id=int(cleaned["exclusion"]),
            lodged_by=cleaned["lodged_by"],
            text=cleaned["text"],
        )
        messages.success(request, f"Appeal {made.pk} is recorded; somebody else decides.")
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Record an appeal of {0}", row.reference),
            form_class=AppealForm,
            form_options={"entries": [(e.pk, e.exclusion_list.name) for e in entries]},
            call=call,
            submit="Record the appeal",
            back=cells.page_of(row),
            help_text="It is decided by somebody who neither put the entry nor recorded the appeal.",
        ),
    )
