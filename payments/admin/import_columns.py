"""The page that asks which column of a file holds which field: guessed, or as it was said of a like file, and corrected."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from unfold import widgets

from govpay.errors import Forbidden, NotFound
from govpay.said import said
from payments.admin import cells, import_steps, pages
from payments.admin.tables import Table
from payments.models import ImportJob
from payments.services import columns, import_files, imports
from payments.states import ImportStatus

# Of a value; so much tells what a column holds.
SHOWN_CHARACTERS = 24
LEFT_ALONE = "Columns that you choose for nothing are left alone."
LABELS = {
    "reference": ("Reference", "The ministry's own number for the person in the program."),
    "national_id": ("National id", "Used to find the same person twice."),
    "full_name": ("Full name", ""),
    "phone": ("Telephone", "Its values may be empty."),
    "address": (
        "Bitcoin address",
        "Not where people live. Empty only where the program lets people bring one later.",
    ),
    "consent_version": ("Consent version", "To which version of the consent text the person agreed."),
    "consent_date": ("Consent date", "When, such as 2026-11-29."),
    "amount_sat": ("Amount in satoshis", "Whole satoshis, in plain digits."),
    "amount_minor": ("Amount in minor units", "Minor units of the program's currency, in plain digits."),
}


class ColumnsForm(forms.Form):
    """For each field a choice of the file's columns."""

    def __init__(self, *args: Any, rows: list[list[str]], job: ImportJob, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._required, self._optional = import_files.fields(job)
        self._width = len(rows[0])
        choices = [(str(place), _choice(place, rows)) for place in range(1, self._width + 1)]
        for field in (*self._required, *self._optional):
            label, help_text = LABELS[field]
            is_required = field in self._required
            nothing = said("Choose a column" if is_required else "The file does not have it")
            self.fields[field] = forms.ChoiceField(
                label=label,
                choices=[("", nothing), *choices],
                required=is_required,
                help_text=help_text,
                widget=widgets.UnfoldAdminSelectWidget(),
                error_messages={"required": said("Say which column holds it: the field must be there.")},
            )

    def clean(self) -> dict[str, Any]:
        """Return the places, once each field that must be there has a column of its own."""
        places = {field: int(place) for field, place in self.cleaned_data.items() if place}
        for field, code, message in columns.wrong(places, self._width, self._required, self._optional):
            # What the field itself has refused is said once.
            if field in self.cleaned_data:
                self.add_error(field, forms.ValidationError(said(message), code=code))
        return {"places": places}


def say(model_admin: Any, request: HttpRequest, job: ImportJob) -> HttpResponse:
    """Ask, and let a worker check the file."""
    by: Any = request.user
    if job.status != ImportStatus.MAPPING:
        messages.warning(request, said("What the columns of import {0} hold is not asked any more.", job.pk))
        return HttpResponseRedirect(cells.page_of(job))
    try:
        rows = imports.sample(by=by, job_id=job.pk)
    except (Forbidden, NotFound) as error:
        raise PermissionDenied from error
    header = rows[0]
    known = columns.remembered(job.program_id, job.kind, header)
    guessed = columns.guess(header, sum(import_files.fields(job), ()))

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        imports.say_columns(by=by, job_id=job.pk, places=cleaned["places"])
        return HttpResponseRedirect(cells.page_of(job))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"Columns of import {job.pk}",
            form_class=ColumnsForm,
            form_options={"rows": rows, "job": job},
            initial=known or guessed,
            call=call,
            submit="Check the file",
            back=cells.page_of(job),
            tables=[_sample(rows)],
            steps=import_steps.of_job(job),
            help_text=_help(header, known is not None),
        ),
    )


def in_words(job: ImportJob) -> str:
    """Write where the fields of a job are."""
    if job.columns is None:
        return str(said("as the header names them")) if job.status != ImportStatus.MAPPING else ""
    there = [(label, job.columns[field]) for field, (label, _) in LABELS.items() if field in job.columns]
    return "; ".join(said("Column {0}: {1}", place, label) for label, place in there)


def _help(header: Sequence[str], is_known: bool) -> str:
    if len(header) == 1:
        return "The file has one column only: are its values separated by commas? Withdraw it if not, and save it so."
    known = "This is what was said of the last file with the very same header; look at it once more."
    guessed = "Guessed from the names in the header; compare each with the first rows below."
    return f"{said(known if is_known else guessed)} {said(LEFT_ALONE)}"


def _choice(place: int, rows: list[list[str]]) -> str:
    first = "".join(_values(place, rows)[:1])
    return f"{place}. {_name(place, rows)}" + f" ({_short(first)})" * bool(first)


def _short(value: str) -> str:
    return value[:SHOWN_CHARACTERS] + "…" * (len(value) > SHOWN_CHARACTERS)


def _sample(rows: list[list[str]]) -> Table:
    count = len(rows) - 1
    names = ("First row", "Second row", "Third row")[:count]
    width = len(rows[0])
    return Table(
        "The columns of the file, and its first rows",
        ("Column", "Name in the file", *names),
        [
            (
                cells.number(place),
                _in_its_direction(_name(place, rows)),
                *(_in_its_direction(_short(value) or cells.EMPTY) for value in _values(place, rows)),
            )
            for place in range(1, width + 1)
        ],
    )


def _in_its_direction(value: str) -> str:
    """Write what a file says, from left to right or from right to left as it is itself."""
    return format_html('<bdi class="gp-long">{}</bdi>', value)


def _values(place: int, rows: list[list[str]]) -> list[str]:
    return [row[place - 1] if place <= len(row) else "" for row in rows[1:]]


def _name(place: int, rows: list[list[str]]) -> str:
    return rows[0][place - 1] or str(said("without a name"))
