"""The page behind every button: facts to check, a form, one service call, and its refusal in place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from govpay.errors import GovPayError, NotFound
from govpay.said import said, say_form
from payments.admin.steps import Step
from payments.admin.tables import Notice, Table

SHOWN_ERRORS = 100


@dataclass(frozen=True)
class Refusal:
    """Why nothing was done: a message, the broken rules (row, column, code, message), and where to read on."""

    message: str
    errors: Sequence[Mapping[str, Any]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    http_status: int = 422

    @property
    def shown(self) -> Sequence[Mapping[str, Any]]:
        """The first broken rules."""
        return self.errors[:SHOWN_ERRORS]


@dataclass(frozen=True)
class Page:
    """What the page says and calls; ``call`` gets the cleaned form and answers with a redirect or a Refusal."""

    title: str
    form_class: type[forms.BaseForm]
    call: Callable[[dict[str, Any]], HttpResponse | Refusal]
    submit: str
    back: str
    is_dangerous: bool = False
    initial: Mapping[str, Any] = field(default_factory=dict)
    form_options: Mapping[str, Any] = field(default_factory=dict)
    facts: list[tuple[str, Any]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    help_text: str = ""
    # Of a way of several pages, this one marked.
    steps: list[Step] = field(default_factory=list)


def answer(model_admin: Any, request: HttpRequest, page: Page) -> HttpResponse:
    """Show the page, or do what it is for; a GovPayError becomes its message, with its status, never a failure."""
    refusal = None
    if request.method == "POST":
        form = page.form_class(request.POST, request.FILES, **page.form_options)
        if form.is_valid():
            try:
                outcome = page.call(form.cleaned_data)
            except NotFound as error:
                raise Http404 from error
            except GovPayError as error:
                outcome = Refusal(
                    error.message, error.details.get("errors", []), http_status=error.http_status
                )
            # A file that is streamed is an answer too, and no HttpResponse.
            if not isinstance(outcome, Refusal):
                return outcome
            refusal = outcome
        else:
            refusal = Refusal("Some fields need another look; nothing was done.")
    else:
        form = page.form_class(initial=dict(page.initial), **page.form_options)
    say_form(form)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media + form.media,
        "title": said(page.title),
        "page": page,
        "form": form,
        "refusal": refusal,
        "notices": page.notices,
        "tables": page.tables,
        "steps": page.steps,
    }
    status = refusal.http_status if refusal else 200
    return TemplateResponse(request, "payments/admin/ask.html", context, status=status)
