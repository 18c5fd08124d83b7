"""The pages on which a security administrator proposes other rules, a new role, or the end of one."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from govpay.said import said
from payments.admin import cells, pages
from payments.admin.forms import ReasonForm
from payments.admin.program_form import RulesForm
from payments.models import Program, Role
from payments.models.program import RULES
from payments.services import proposals, roles

NEXT = "Another security administrator of the program confirms it."


class RoleForm(ReasonForm):
    """Whose role it is, and which."""

    username = forms.CharField(
        label="User name",
        max_length=150,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    role = forms.ChoiceField(
        choices=[("", "Choose"), *Role.choices], widget=widgets.UnfoldAdminSelectWidget()
    )

    field_order = ("username", "role", "note")


def propose_rules(model_admin: Any, request: HttpRequest, program: Program) -> HttpResponse:
    """Ask for other rules of the program."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        asked = {name: cleaned[name] for name in RULES}
        made = proposals.propose_rules(by=by, program_id=program.pk, asked=asked, note=cleaned["note"])
        messages.success(request, said("{0} waits for another security administrator.", made))
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Propose rules of {0}", program.code),
            form_class=RulesForm,
            call=call,
            submit="Propose",
            back=cells.page_of(program),
            initial={name: getattr(program, name) for name in RULES},
            help_text=NEXT,
        ),
    )


def propose_role(model_admin: Any, request: HttpRequest, program: Program, kind: str) -> HttpResponse:
    """Ask for a role to be given, or to end."""
    by: Any = request.user
    is_grant = kind == roles.GRANT.name

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = proposals.propose_role(by=by, program_id=program.pk, kind=kind, **cleaned)
        messages.success(request, said("{0} waits for another security administrator.", made))
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Propose a role in {0}", program.code)
            if is_grant
            else said("Propose that a role in {0} ends", program.code),
            form_class=RoleForm,
            call=call,
            submit="Propose",
            back=cells.page_of(program),
            is_dangerous=not is_grant,
            help_text=f"{NEXT} Whoever it is about is signed out then, everywhere.",
        ),
    )
