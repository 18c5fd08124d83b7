"""Who works in which program, in the admin, and the page that gives somebody a role."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.decorators import display

from govpay.said import said
from payments.admin import cells, pages
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.tables import Table
from payments.models import Membership, PastMembership, Program, Role
from payments.models.program import LIMITED
from payments.services import roles


class MemberForm(forms.Form):
    """Gives a user a role in a program."""

    program = forms.ModelChoiceField(
        queryset=Program.objects.order_by("code"), empty_label=None, widget=widgets.UnfoldAdminSelectWidget()
    )
    user = forms.ModelChoiceField(
        queryset=User.objects.filter(is_active=True).order_by("username"),
        # Nobody is chosen beforehand: a role that changes signs its person out.
        empty_label="Choose",
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    role = forms.ChoiceField(
        choices=[("", "Choose"), *Role.choices], widget=widgets.UnfoldAdminSelectWidget()
    )


@admin.register(Membership)
class MembershipAdmin(ProgramScopedAdmin):
    """Who works in the user's programs."""

    also = LIMITED
    list_display = ("who", "role_held", "program", "since", "giver")
    list_select_related = ("user", "program", "granted_by")
    list_filter = (ProgramFilter,)
    fields = ("who", "role_held", "program", "since", "giver")
    search_fields = ("user",)
    search_help_text = "Search by user name"
    when_empty = "Nobody works here yet. Open the program and add a member."

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by user name."""
        return Q(user__username=term)

    @display(description="who")
    def who(self, membership: Membership) -> str:
        """The member."""
        return cells.person(membership.user)

    @display(description="role")
    def role_held(self, membership: Membership) -> str:
        """What the member may do."""
        return cells.label(membership.role, membership.get_role_display(), cells.INFO)

    @display(description="since")
    def since(self, membership: Membership) -> str:
        """When the role was given."""
        return cells.moment(membership.created_at)

    @display(description="given by")
    def giver(self, membership: Membership) -> str:
        """Who gave it."""
        return cells.person(membership.granted_by)


def table(program: Program) -> Table:
    """Lay out a program's members, at most 100."""
    members = Membership.objects.filter(program=program).select_related("user", "granted_by")
    return Table(
        "Members",
        ("Who", "User name", "Role", "Since", "Given by"),
        [
            (
                cells.person(m.user),
                m.user.get_username(),
                cells.label(m.role, m.get_role_display(), cells.INFO),
                cells.moment(m.created_at),
                cells.person(m.granted_by),
            )
            for m in members.order_by("role", "user__username")[:100]
        ],
        "Nobody works in this program yet.",
    )


def past(program: Program) -> list[Table]:
    """Lay out the roles that ended, the last 50, where there are any."""
    ended = PastMembership.objects.filter(program=program).select_related("user", "granted_by", "ended_by")
    rows = [
        (
            cells.person(m.user),
            m.user.get_username(),
            cells.label(m.role, m.get_role_display()),
            cells.moment(m.granted_at),
            cells.moment(m.ended_at),
            cells.person(m.ended_by),
        )
        for m in ended.order_by("-pk")[:50]
    ]
    headers = ("Who", "User name", "Role", "Since", "Until", "Ended by")
    return [Table("Former members", headers, list(rows))] if rows else []


def add(model_admin: Any, request: HttpRequest, program: Program) -> HttpResponse:
    """Give somebody a role in the program through the service."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        roles.grant(
            by=request.user,  # type: ignore[arg-type]
            program_id=cleaned["program"].pk,
            user=cleaned["user"],
            role=cleaned["role"],
        )
        messages.success(
            request,
            said(
                "{0} is {1} of {2} now.",
                cleaned["user"],
                Role(cleaned["role"]).label.lower(),
                cleaned["program"].code,
            ),
        )
        return HttpResponseRedirect(cells.page_of(cleaned["program"]))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Add a member to {0}", program.code),
            form_class=MemberForm,
            call=call,
            submit="Give the role",
            back=cells.page_of(program),
            initial={"program": program.pk},
        ),
    )
