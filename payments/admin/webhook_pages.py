"""The pages on which security administrators set webhooks, give them secrets, and keep them up."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold import widgets

from govpay.said import said
from payments.admin import cells, pages
from payments.admin.forms import AgreeForm, ConsentForm, ReasonForm
from payments.models import Program, Webhook
from payments.services import proposals, webhooks

NEXT = "Another security administrator of the program confirms it."


class WebhookForm(ReasonForm):
    """Where it leads, and what it is told."""

    url = forms.CharField(
        label="Address",
        max_length=webhooks.MAX_URL,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="https, at a public address. Members of the program see it: put no secret into it.",
    )
    event_types = forms.MultipleChoiceField(
        label="Event types",
        required=False,
        choices=[(name, name) for name in webhooks.EVENT_TYPES],
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="None: every event.",
    )

    field_order = ("url", "event_types", "note")


class SecretForm(forms.Form):
    """For how long the one before goes on."""

    overlap_hours = forms.IntegerField(
        label="Hours that the secret before signs beside it",
        min_value=0,
        max_value=webhooks.MOST_OVERLAP_HOURS,
        initial=24,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )


class ReplayForm(ConsentForm):
    """Which events."""

    first_number = forms.IntegerField(
        label="First event", min_value=1, widget=widgets.UnfoldAdminIntegerFieldWidget()
    )
    last_number = forms.IntegerField(
        label="Last event", min_value=1, widget=widgets.UnfoldAdminIntegerFieldWidget()
    )

    field_order = ("first_number", "last_number", "note")


def propose(
    model_admin: Any, request: HttpRequest, program: Program, row: Webhook | None = None
) -> HttpResponse:
    """Ask for a webhook of the program, or for another address or other event types of one."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = proposals.propose_webhook(
            by=by, program_id=program.pk, webhook_id=row.pk if row else None, **cleaned
        )
        messages.success(request, said("{0} waits for another security administrator.", made))
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Propose another address of {0}", row)
            if row
            else said("Propose a webhook of {0}", program.code),
            form_class=WebhookForm,
            call=call,
            submit="Propose",
            back=cells.page_of(row or program),
            initial={"url": row.url, "event_types": row.event_types} if row else {},
            help_text=NEXT if row else f"{NEXT} It is told nothing until it has a secret.",
        ),
    )


def rotate(model_admin: Any, request: HttpRequest, row: Webhook) -> HttpResponse:
    """Make a new secret and show it, this once."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        _, text = webhooks.rotate(by=by, webhook_id=row.pk, **cleaned)
        context = {
            **model_admin.admin_site.each_context(request),
            "opts": model_admin.opts,
            "title": said("The new secret of {0}", row),
            "secret": text,
            "back": cells.page_of(row),
        }
        answer = TemplateResponse(request, "payments/admin/secret.html", context)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("New secret of {0}", row),
            form_class=SecretForm,
            call=call,
            submit="Make it",
            back=cells.page_of(row),
            initial={"overlap_hours": 24},
            help_text="Messages are signed with both until the one before ends. It is shown once.",
        ),
    )


def replay(model_admin: Any, request: HttpRequest, row: Webhook) -> HttpResponse:
    """Send events once more."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        count = webhooks.replay(by=by, webhook_id=row.pk, **cleaned)
        messages.success(request, f"{count:,} messages wait to be sent once more.")
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Replay events to {0}", row),
            form_class=ReplayForm,
            call=call,
            submit="Send them once more",
            back=cells.page_of(row),
            help_text="They keep their ids: a receiver that has them drops them.",
        ),
    )


def ping(model_admin: Any, request: HttpRequest, row: Webhook) -> HttpResponse:
    """Send a message about nothing."""
    by: Any = request.user

    def call(_: dict[str, Any]) -> HttpResponse:
        webhooks.ping(by=by, webhook_id=row.pk)
        messages.success(request, "A ping is on its way; its line below says what came back.")
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Ping {0}", row),
            form_class=AgreeForm,
            call=call,
            submit="Send it",
            back=cells.page_of(row),
        ),
    )


def turn(
    model_admin: Any, request: HttpRequest, row: Webhook, verb: str, help_text: str, *, is_dangerous: bool
) -> HttpResponse:
    """Pause, resume or end it."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        done = getattr(webhooks, verb)(by=by, webhook_id=row.pk, **cleaned)
        messages.success(request, said("{0} is {1}.", row, done.state))
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"{verb.capitalize()} {row}",
            form_class=ConsentForm,
            call=call,
            submit=f"{verb.capitalize()} it",
            back=cells.page_of(row),
            is_dangerous=is_dangerous,
            help_text=help_text,
        ),
    )
