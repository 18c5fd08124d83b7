"""Reports in the admin: what there is, a page that leads from a balance to its entries, and files to download."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from govpay.errors import GovPayError, InvalidInput
from govpay.said import said
from ledger import reports, selectors
from ledger.admin import cells, scopes, sources
from ledger.admin.base import READ
from ledger.models import Entry, Layer
from ledger.models.account import CODE
from ledger.reports import documents, words
from ledger.reports.report import TIMES, Document, Report, Unit, UnknownReport
from ledger.treasury import movements

INDEX = "admin:ledger_account_show_reports"
SHOWN = 500
TIME = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
LABELS = {
    "person": "For (such as enrollment:12)",
    "since": "From (UTC)",
    "before": "Before (UTC)",
    "known_at": "As known at (UTC)",
}


class AskForm(forms.Form):
    """What a document takes; what it does not take is not asked."""

    scope = forms.ChoiceField(required=False)
    account = forms.CharField(required=False, max_length=120)
    person = forms.CharField(required=False, max_length=40)
    layer = forms.ChoiceField(required=False, choices=Layer.choices)
    month = forms.RegexField(
        r"^\d{4}-\d{2}$", required=False, widget=forms.TextInput(attrs={"type": "month"})
    )
    period = forms.ChoiceField(required=False)
    since = forms.DateTimeField(required=False, widget=TIME)
    before = forms.DateTimeField(required=False, widget=TIME)
    known_at = forms.DateTimeField(required=False, widget=TIME)

    def __init__(self, document: Document, data: QueryDict) -> None:
        super().__init__(data)
        for name in set(self.fields) - set(document.parameters):
            del self.fields[name]
        for name, label in LABELS.items():
            if name in self.fields:
                self.fields[name].label = label
        if "scope" in self.fields:
            of_lots = document.of_lots
            offered = scopes.choices(movements.institutions()) if of_lots else scopes.with_accounts()
            every = "choose" if "scope" in document.needs else "all scopes"
            self._offer("scope", [("", every), *offered])
        periods = selectors.periods().values_list("name", flat=True)
        self._offer("period", [("", "—"), *((name, name) for name in periods)])

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def given(self) -> dict[str, Any]:
        """Return what was filled in; raise InvalidInput with the first field that is wrong."""
        if not self.is_valid():
            name, errors = next(iter(self.errors.items()))
            raise InvalidInput(f"{name}: {errors[0]}")
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", None)}


def urls(model_admin: Any) -> list[URLPattern]:
    """Return the addresses of one report, which stand below those of accounts."""
    site = model_admin.admin_site

    def view(handle: Any) -> Any:
        return site.admin_view(lambda request, **kwargs: handle(model_admin, request, **kwargs))

    return [
        path("reports/<str:name>/", view(show), name="ledger_report"),
        path("reports/<str:name>/<str:form>/", view(download), name="ledger_report_file"),
    ]


def index(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """List the documents."""
    _require(request)
    rows = [
        (cells.link(_page(document.name), document.title), document.meaning)
        for document in documents.DOCUMENTS.values()
        if documents.may_have(document, request.user)
    ]
    context = model_admin.page(request, "Reports") | {"rows": rows}
    return TemplateResponse(request, "ledger/admin/reports.html", context)


def show(model_admin: Any, request: HttpRequest, *, name: str) -> HttpResponse:
    """Ask for the time, and show the first rows with links to what is behind each figure."""
    _require(request)
    document = _document(request, name)
    form = AskForm(document, request.GET)
    context = model_admin.page(request, document.title)
    context |= {"document": document, "form": form, "index": reverse(INDEX)}
    context |= {"links": [], "refusal": "", "shown": SHOWN, "is_table": isinstance(document, Report)}
    # What is as long as the books is not read before somebody says what of it.
    is_long = isinstance(document, Report) and not document.signed
    is_asked = bool(request.GET) or not (document.needs or is_long)
    try:
        asked = reports.ask(document, now=timezone.now(), **form.given()) if is_asked else None
        if asked is not None:
            context |= _files(document, request) | {"time": words.time_of(asked)}
            if isinstance(document, Report):
                context |= _table(document, asked, request.GET)
    except GovPayError as error:
        context["refusal"] = error.message
    status = 422 if context["refusal"] else 200
    return TemplateResponse(request, "ledger/admin/report.html", context, status=status)


def download(model_admin: Any, request: HttpRequest, *, name: str, form: str) -> HttpResponse:
    """Stream a document as a file, or lead back to its page, which says why it cannot be had."""
    _require(request)
    document = _document(request, name)
    try:
        asked = reports.ask(document, now=timezone.now(), **AskForm(document, request.GET).given())
        pieces = documents.produce(document, form, asked)
    except GovPayError as error:
        model_admin.message_user(request, error.message, "error")
        return redirect(f"{_page(name)}?{request.GET.urlencode()}")
    response = StreamingHttpResponse(pieces, content_type=documents.FORMS[form].media_type)
    filename = documents.filename(document, form, asked)
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response  # type: ignore[return-value]


def _require(request: HttpRequest) -> None:
    if not request.user.has_perm(READ):
        raise Http404


def _document(request: HttpRequest, name: str) -> Document:
    try:
        document = documents.get_document(name)
    except UnknownReport as error:
        raise Http404 from error
    if not documents.may_have(document, request.user):
        raise Http404
    return document


def _page(name: str, **query: str) -> str:
    url = reverse("admin:ledger_report", args=[name])
    return f"{url}?{urlencode(query)}" if query else url


def _files(document: Document, request: HttpRequest) -> dict[str, Any]:
    query = request.GET.urlencode()
    return {
        "links": [
            (reverse("admin:ledger_report_file", args=[document.name, form.name]) + f"?{query}", form.name)
            for form in documents.forms_of(document)
        ]
    }


def _table(report: Report, asked: reports.Asked, query: QueryDict) -> dict[str, Any]:
    places = [place for place, column in enumerate(report.columns) if column.name != "scale"]
    with reports.tabulate(report, asked) as table:
        rows = list(islice(table.rows, SHOWN + 1))
        basis = table.basis
    return {
        "headings": [
            (report.columns[place].heading, report.columns[place].unit in words.RIGHT) for place in places
        ],
        "rows": [
            [
                (_cell(report, row, place, query), report.columns[place].unit in words.RIGHT)
                for place in places
            ]
            for row in rows[:SHOWN]
        ],
        "is_cut": len(rows) > SHOWN,
        "checkpoint": ""
        if basis is None
        else said("{0} leaves under {1}", f"{basis.size:,}", basis.head.hex()),
    }


def _cell(report: Report, row: Sequence[Any], place: int, query: QueryDict) -> str:
    """Write a cell; what it names is a link: an account to its lines, a line to its entry, an entry to its payment."""
    column, value = report.columns[place], row[place]
    if value is None or value == "":
        return ""
    if column.name == "entry_id":
        return cells.link(cells.page_of(Entry, value), said("Entry {0}", value))
    if column.name == "reference":
        return sources.payment(value)
    is_account = column.name == "account" or (report.name == "statement" and re.fullmatch(CODE, str(value)))
    if column.name in ("source_ref", "item") and report.name != "statement":
        return sources.about(value)
    if is_account:
        # What the account's line says is the sum of these.
        times = {name: str(query[name]) for name in (*TIMES, "layer") if query.get(name)}
        return cells.link(_page("general-ledger", account=value, **times), value)
    if column.unit == Unit.MOMENT:
        return cells.moment(value)
    text = words.cell(report, row, place)
    return cells.long(text) if column.unit == Unit.TEXT else text
