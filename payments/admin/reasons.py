"""The page behind a button that asks for a reason and makes one call."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from payments.admin import cells, forms, pages


def ask(
    model_admin: Any,
    request: HttpRequest,
    row: Model,
    *,
    title: str,
    call: Callable[[str], object],
    done: str,
    facts: list[tuple[str, Any]] | None = None,
    help_text: str = "",
    is_dangerous: bool = False,
) -> HttpResponse:
    """Ask why, call with the answer, say that it is done, and lead back to the row's page."""

    def answer(cleaned: dict[str, Any]) -> HttpResponse:
        call(cleaned["note"])
        messages.success(request, done)
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=title,
            form_class=forms.ReasonForm,
            call=answer,
            submit=title,
            back=cells.page_of(row),
            facts=facts or [],
            help_text=help_text,
            is_dangerous=is_dangerous,
        ),
    )
