"""Rules of approval in the admin: versions, the page that proposes one, and the buttons that confirm or drop it."""

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import approval, cells, pages, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.admin.forms import AgreeForm, ReasonForm
from payments.admin.tables import Notice, Table
from payments.models import ApprovalPolicy, Program
from payments.models.program import SAT
from payments.services import policies

TONES = {"proposed": cells.BUSY, "confirmed": cells.GOOD, "dropped": cells.PLAIN}


def _area(help_text: str) -> forms.CharField:
    return forms.CharField(
        required=False,
        max_length=10_000,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=help_text,
    )


class PolicyForm(ReasonForm):
    """All rules of a program, one a line."""

    field_order = ("program", "approval_days", "groups", "tiers", "caps", "note")
    program = forms.ModelChoiceField(
        queryset=Program.objects.order_by("code"), empty_label=None, widget=widgets.UnfoldAdminSelectWidget()
    )
    approval_days = forms.IntegerField(
        label="Days that an approval counts",
        initial=policies.DAYS,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )
    groups = _area("One a line: directors: maria, omar. The group approvers is everybody with that role.")
    tiers = _area(
        "One a line: 1000000: approvers 1, and last any: approvers 2, directors 1. Empty: one approver."
    )
    caps = _area(
        "One a line: maker 7 5000000, for days and how much, in the program's unit. Also program, beneficiary, destination."
    )

    def clean_groups(self) -> dict[str, list[str]]:
        """Return user names by group."""
        rows = self._rows("groups", r"([^:\s]+):\s*(.*)")
        return {name: [one.strip() for one in members.split(",") if one.strip()] for name, members in rows}

    def clean_tiers(self) -> list[dict[str, Any]]:
        """Return limits with counts by group."""
        tiers = []
        for limit, needs in self._rows("tiers", r"([0-9]{1,16}|any):\s*(.*)"):
            found = {}
            for need in needs.split(","):
                match = re.fullmatch(r"\s*(\S+) ([0-9]{1,2})\s*", need)
                if match is None or match[1] in found:
                    raise forms.ValidationError(
                        f"A tier needs groups and counts, not {need!r}.", code="malformed"
                    )
                found[match[1]] = int(match[2])
            tiers.append({self._own("up_to"): None if limit == "any" else int(limit), "needs": found})
        return tiers

    def clean_caps(self) -> list[dict[str, Any]]:
        """Return kinds with windows and satoshis."""
        rows = self._rows("caps", r"([a-z]+) ([0-9]{1,3}) ([0-9]{1,16})")
        return [{"kind": k, "window_days": int(days), self._own("most"): int(sat)} for k, days, sat in rows]

    def _own(self, name: str) -> str:
        """Return the name of an amount in the unit of the program that was chosen."""
        program = self.cleaned_data.get("program")
        return f"{name}_{SAT if program is None else program.unit}"

    def _rows(self, field: str, shape: str) -> list[Any]:
        """Return the parts of each line; the first of each line is named once, but for caps."""
        found: list[Any] = []
        for line in self.cleaned_data[field].splitlines():
            match = re.fullmatch(shape, line.strip(), re.ASCII)
            if line.strip() and match is None:
                raise forms.ValidationError(
                    f"This line is not of that form: {line.strip()!r}.", code="malformed"
                )
            if match is not None:
                if field != "caps" and match[1] in [row[0] for row in found]:
                    raise forms.ValidationError(f"{match[1]} is named twice.", code="named_twice")
                found.append(match.groups())
        return found


@admin.register(ApprovalPolicy)
class ApprovalPolicyAdmin(ProgramScopedAdmin):
    """Versions of the rules of approval; the newest confirmed one of a program is in force."""

    noun = "Approval policy"
    list_display = ("number", "program", "state_of", "days", "proposer", "proposed", "confirmer")
    list_filter = (ProgramFilter,)
    fields = ("program", "state_of", "days", "reason", "proposer", "proposed", "confirmer", "dropper")
    search_fields = ("pk",)
    search_help_text = "Search by number"
    actions_list = ("propose",)
    actions_detail = ("confirm", "drop")
    when_empty = "Nobody made rules: one approver suffices for any list, and there are no caps."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApprovalPolicy]:
        """Return those of the user's programs, or all for whoever may make them."""
        rows: QuerySet[ApprovalPolicy] = (
            super(ProgramScopedAdmin, self).get_queryset(request)
            if _may(request)
            else super().get_queryset(request)
        )
        return rows.select_related("program", "proposed_by", "confirmed_by", "dropped_by")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to members and to whoever may make rules."""
        return scope.may_look(request) or _may(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let members and whoever may make rules read."""
        return self.has_module_permission(request)

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer new rules to whoever may make them."""
        return [self.get_unfold_action(name) for name in self.actions_list if _may(request)]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the second-person rule allows."""
        row = self.get_object(request, str(object_id))
        return [self.get_unfold_action(name) for name in _verbs(request, row)]

    @action(description="New rules", url_path="propose", icon="rule", variant=ActionVariant.PRIMARY)
    def propose(self, request: HttpRequest) -> HttpResponse:
        """Propose all rules of a program."""

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            program = cleaned.pop("program")
            made = policies.propose(by=request.user, program_id=program.pk, **cleaned)  # type: ignore[arg-type]
            messages.success(request, f"Approval policy {made.pk} is proposed; somebody else confirms it.")
            return HttpResponseRedirect(cells.page_of(made))

        return pages.answer(
            self,
            request,
            pages.Page(
                title="Propose rules of approval",
                form_class=PolicyForm,
                call=call,
                submit="Propose them",
                back=cells.list_of(ApprovalPolicy),
                help_text="They replace all rules of the program, for lists that are submitted once somebody else has"
                " confirmed them.",
            ),
        )

    @action(description="Confirm", url_path="confirm", icon="check", variant=ActionVariant.PRIMARY)
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put the rules in force as a second person."""
        return self._decide(request, object_id, "confirm", "in force now")

    @action(description="Drop", url_path="drop", icon="close", variant=ActionVariant.WARNING)
    def drop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Refuse the rules, or withdraw one's own."""
        return self._decide(request, object_id, "drop", "dropped")

    def _decide(self, request: HttpRequest, object_id: str, verb: str, done: str) -> HttpResponse:
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            getattr(policies, verb)(by=request.user, policy_id=row.pk)
            messages.success(request, said("Approval policy {0} is {1}.", row.pk, done))
            return HttpResponseRedirect(cells.page_of(row))

        return pages.answer(
            self,
            request,
            pages.Page(
                title=said("{0} approval policy {1} of {2}", verb.capitalize(), row.pk, row.program),
                form_class=AgreeForm,
                call=call,
                submit=verb.capitalize(),
                back=cells.page_of(row),
                tables=self.tables(request, row),
            ),
        )

    def notices(self, request: HttpRequest, obj: ApprovalPolicy) -> list[Notice]:
        """Say what happens next."""
        if obj.state != "proposed":
            return []
        return [Notice("Somebody else than who proposed it confirms or drops it.", cells.BUSY, "Next")]

    def tables(self, request: HttpRequest, obj: ApprovalPolicy) -> list[Table]:
        """Show groups, tiers and caps."""
        members = obj.members.select_related("user")
        return [
            Table(
                "Tiers",
                ("Lists up to", "Need"),
                [(_limit(tier, obj.program), approval.counts(tier["needs"])) for tier in obj.tiers],
            ),
            Table(
                "Groups",
                ("Group", "Who", "User name"),
                [(m.group_name, cells.person(m.user), m.user.get_username()) for m in members],
                "No group but the approvers of the program.",
            ),
            Table(
                "Rolling caps",
                ("Of each", "Days", "At most"),
                [
                    (
                        cap.get_kind_display(),
                        cells.number(cap.window_days),
                        cells.money(cap.most_sat, obj.program),
                    )
                    for cap in obj.caps.all()
                ],
                "No caps.",
            ),
        ]

    @display(description="approval policy")
    def number(self, row: ApprovalPolicy) -> str:
        """Its number."""
        return f"Approval policy {row.pk}"

    @display(description="state")
    def state_of(self, row: ApprovalPolicy) -> str:
        """Where it stands."""
        return cells.label(row.state, tone=TONES[row.state])

    @display(description="approvals count for")
    def days(self, row: ApprovalPolicy) -> str:
        """How long an approval counts."""
        return f"{row.approval_days} days"

    @display(description="reason")
    def reason(self, row: ApprovalPolicy) -> str:
        """Why."""
        return cells.long(row.note)

    @display(description="proposed by")
    def proposer(self, row: ApprovalPolicy) -> str:
        """Who proposed it."""
        return cells.person(row.proposed_by)

    @display(description="proposed")
    def proposed(self, row: ApprovalPolicy) -> str:
        """When it was proposed."""
        return cells.moment(row.proposed_at)

    @display(description="confirmed")
    def confirmer(self, row: ApprovalPolicy) -> str:
        """Who confirmed it when."""
        if row.confirmed_by is None:
            return cells.EMPTY
        return cells.join(cells.person(row.confirmed_by), cells.moment(row.confirmed_at))

    @display(description="dropped")
    def dropper(self, row: ApprovalPolicy) -> str:
        """Who dropped it when."""
        if row.dropped_by is None:
            return cells.EMPTY
        return cells.join(cells.person(row.dropped_by), cells.moment(row.dropped_at))


def _may(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_staff and request.user.has_perm(policies.RIGHT))


def _verbs(request: HttpRequest, row: ApprovalPolicy | None) -> list[str]:
    if row is None or row.state != "proposed" or not _may(request):
        return []
    return ["drop"] if row.proposed_by_id == request.user.pk else ["confirm", "drop"]


def _limit(tier: dict[str, Any], program: Program) -> str:
    return "any amount" if tier["up_to_sat"] is None else cells.money(tier["up_to_sat"], program)
