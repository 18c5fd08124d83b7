"""What the admin shows on every page, and the page of named tokens."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay import tokens
from govpay.login import admin as failed_logins
from govpay.models import ApiToken
from govpay.said import said
from payments.admin import cells, pages
from payments.admin.base import ProgramScopedAdmin

__all__ = ["failed_logins", "network_badge"]


def network_badge(request: HttpRequest) -> list[str]:
    """Return the badge that names the network, so that nobody takes test coins for money."""
    return [settings.GOVPAY_NETWORK, "warning"]


def subheader(request: HttpRequest) -> str:
    """Return what stands below the name of the site."""
    return str(said("Payments on {0}", settings.GOVPAY_NETWORK))


@admin.register(ApiToken)
class ApiTokenAdmin(ProgramScopedAdmin):
    """One's own tokens, or as an administrator everybody's; they are made over the API, which shows each once."""

    noun = "Token"
    list_display = ("number", "name", "owner", "reach", "state", "expires", "used")
    fields = ("name", "owner", "reach", "of_program", "state", "made", "expires", "used", "ended", "ender")
    when_empty = "There is no token. They are made over the API, at /api/v1/tokens/, which shows each once."
    actions_detail = ("end",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        """Return what the user may end."""
        return tokens.visible(request.user).order_by("-pk")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to staff."""
        return request.user.is_active and request.user.is_staff

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let staff look; at which rows, get_queryset decides."""
        return request.user.is_active and request.user.is_staff

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer to end a live token."""
        row = self.get_object(request, str(object_id))
        return [self.get_unfold_action("end")] if row is not None and row.is_live else []

    @action(description="End the token", url_path="end", icon="key_off", variant=ActionVariant.DANGER)
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a token at once."""
        row: ApiToken = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            tokens.end(by=by, api_token_id=row.pk)
            messages.success(request, "The token has ended; whatever still carries it is refused.")
            return HttpResponseRedirect(cells.page_of(row))

        page = pages.Page(
            title=f"End token {row.pk}",
            form_class=forms.Form,
            call=call,
            submit="End the token",
            back=cells.page_of(row),
            is_dangerous=True,
            facts=[
                ("Name", cells.long(row.name)),
                ("Owner", cells.person(row.user)),
                ("Last used", cells.moment(row.last_used_at)),
            ],
            help_text="Programs that use it are refused from now on. It cannot be made good again; make another.",
        )
        return pages.answer(self, request, page)

    @display(description="token")
    def number(self, row: ApiToken) -> str:
        """Its number."""
        return f"Token {row.pk}"

    @display(description="owner")
    def owner(self, row: ApiToken) -> str:
        """Whose it is."""
        return cells.person(row.user)

    @display(description="reaches")
    def reach(self, row: ApiToken) -> str:
        """Its scopes."""
        return cells.words(", ".join(row.scopes))

    @display(description="program")
    def of_program(self, row: ApiToken) -> str:
        """The only program that it reaches."""
        return row.program.code if row.program else "all of its owner's"

    @display(description="state")
    def state(self, row: ApiToken) -> str:
        """Whether it opens anything."""
        return cells.label("", "live", cells.INFO) if row.is_live else cells.label("", "ended")

    @display(description="made")
    def made(self, row: ApiToken) -> str:
        """When it was made."""
        return cells.moment(row.created_at)

    @display(description="ends")
    def expires(self, row: ApiToken) -> str:
        """When it ends by itself."""
        return cells.moment(row.expires_at)

    @display(description="last used")
    def used(self, row: ApiToken) -> str:
        """When it was last used, to the minute."""
        return cells.moment(row.last_used_at)

    @display(description="ended")
    def ended(self, row: ApiToken) -> str:
        """When somebody ended it."""
        return cells.moment(row.ended_at)

    @display(description="ended by")
    def ender(self, row: ApiToken) -> str:
        """Who ended it."""
        return cells.person(row.ended_by)
