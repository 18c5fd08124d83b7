"""Failed logins in the admin: who is locked out, and the way to unlock them."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold.decorators import action, display

from govpay.login import lockout
from govpay.models import FailedLogin
from govpay.said import said
from payments.admin import cells, forms, pages
from payments.admin.base import ProgramScopedAdmin


@admin.register(FailedLogin)
class FailedLoginAdmin(ProgramScopedAdmin):
    """Belongs to no program: for those who look after users."""

    noun = "Failed login"
    list_display = ("number", "name", "address", "failures", "last", "state")
    fields = ("name", "address", "failures", "last", "state")
    ordering = ("-attempt_time",)
    when_empty = "Nobody has mistyped a password lately."
    actions_detail = ("unlock_user", "unlock_address")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return all rows to those who look after users."""
        rows = FailedLogin.objects.order_by("-attempt_time")
        return rows if self.has_view_permission(request) else rows.none()

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to those who look after users."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let those read who may change users, and so their passwords."""
        return request.user.is_active and request.user.has_perm(lockout.UNLOCKS)

    @action(description="Unlock the user", url_path="unlock-user", icon="lock_open")
    def unlock_user(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the user try again."""
        row: FailedLogin = self.get_row(request, object_id)
        return self._unlock(request, row, "user", username=row.username)

    @action(description="Unlock the address", url_path="unlock-address", icon="lock_open")
    def unlock_address(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let everybody at the address try again."""
        row: FailedLogin = self.get_row(request, object_id)
        return self._unlock(request, row, "address", address=row.ip_address)

    def _unlock(self, request: HttpRequest, row: FailedLogin, what: str, **which: str | None) -> HttpResponse:
        def call(cleaned: dict[str, Any]) -> HttpResponse:
            user: Any = request.user
            lockout.unlock(**which, by=user)
            messages.success(request, said("The {0} is unlocked.", what))
            return HttpResponseRedirect(cells.list_of(FailedLogin))

        page = pages.Page(
            title=said("Unlock the {0}", what),
            form_class=forms.AgreeForm,
            call=call,
            submit="Unlock",
            back=cells.page_of(row),
            facts=[("User name", self.name(row)), ("Address", self.address(row))],
            help_text="Ask the person first whether it was they who mistyped.",
        )
        return pages.answer(self, request, page)

    @display(description="failed login")
    def number(self, row: FailedLogin) -> str:
        """Its number."""
        return f"Failed login {row.pk}"

    @display(description="user name")
    def name(self, row: FailedLogin) -> str:
        """What was typed as the user name."""
        return cells.long(row.username or "")

    @display(description="address")
    def address(self, row: FailedLogin) -> str:
        """Where it came from."""
        return row.ip_address or cells.EMPTY

    @display(description="failures")
    def failures(self, row: FailedLogin) -> str:
        """How many there were."""
        return cells.number(row.failures_since_start)

    @display(description="last")
    def last(self, row: FailedLogin) -> str:
        """When the last one was."""
        return cells.moment(row.attempt_time)

    @display(description="counts")
    def state(self, row: FailedLogin) -> str:
        """Whether it still counts."""
        is_old = row.attempt_time < timezone.now() - settings.AXES_COOLOFF_TIME
        return cells.label("", "no more") if is_old else cells.label("", "yes", cells.BUSY)
