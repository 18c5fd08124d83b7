"""Programs in the admin, with their rules, wallet, funds and members."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import authority, cells, home, law, membership, pages, scope, travel, webhook_pages
from payments.admin.base import ProgramScopedAdmin, is_number
from payments.admin.measures import MeasuredPages
from payments.admin.program_form import ProgramForm
from payments.admin.rules import RulesShown
from payments.admin.tables import Notice, Table
from payments.models import Disbursement, Enrollment, Program, Role, ScriptPurpose
from payments.models.program import LIMITED
from payments.selectors import funds
from payments.services import programs, roles

ADD_PROGRAM = "payments.add_program"
ADD_MEMBER = "payments.add_membership"
OF_SECURITY = ("propose_rules", "propose_role", "propose_revocation", "propose_webhook", "propose_originator")


def administers(request: HttpRequest) -> bool:
    """Say whether the user sets up programs or members: sees programs, but no people, lists or funds."""
    user = request.user
    return bool(
        user.is_active and user.is_staff and (user.has_perm(ADD_PROGRAM) or user.has_perm(ADD_MEMBER))
    )


@admin.register(Program)
class ProgramAdmin(RulesShown, MeasuredPages, ProgramScopedAdmin):
    """Programs with their rules, wallet, funds and members."""

    program_path = "pk"
    also = LIMITED
    list_display = ("code", "full_name", "network", "wallet_state", "settled_after", "made")
    list_select_related = ("wallet", "created_by")
    search_fields = ("code",)
    search_help_text = "Search by code"
    ordering = ("code",)
    actions_list = ("new_program",)
    actions_detail = (
        *("enroll_people", "new_list", "outcomes", "baseline", "projection", "cost_baseline"),
        "add_member",
        *OF_SECURITY,
    )
    when_empty = "You belong to no program yet. An administrator gives you a role in one."
    fieldsets = (
        (None, {"fields": ("code", "full_name", "currency", "network", "creator", "made")}),
        ("Wallet", {"fields": ("wallet_state", "funding_address", "booked", "reserved", "free")}),
        (
            "Rules",
            {
                "fields": (
                    "target",
                    "floor",
                    "fallback",
                    "ceiling",
                    "patience",
                    "share_ceiling",
                    "budget",
                    "bump_after",
                    "bump_alone_limit",
                    "settled_after",
                    "group_max",
                    "group_size",
                )
            },
        ),
        (
            "Coins and signers",
            {"fields": ("coins_wanted", "merging", "merging_budget", "signing_deadline", "cooling", "proof")},
        ),
        ("People", {"fields": ("claim_term", "claimed", "grievance_due", "language_name")}),
        ("Law", {"fields": ("law",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of programs, and of what the first page follows."""
        return [*home.urls(self), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Program]:
        """Return the user's programs; all of them to somebody who sets up programs or members."""
        if administers(request):
            return Program.objects.select_related("wallet", "created_by")
        return super().get_queryset(request).select_related("wallet", "created_by")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show programs to members and to those who set them up."""
        return scope.may_look(request, *self.also) or administers(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let members, and those who set programs up, read."""
        return self.has_module_permission(request)

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by code or number."""
        return Q(code=term.upper()) | (Q(pk=int(term)) if is_number(term) else Q())

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer a new program to those who may make one."""
        return super().get_actions_list(request) if request.user.has_perm(ADD_PROGRAM) else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the user's role in this program allows."""
        program_id = int(object_id) if is_number(str(object_id)) else 0
        is_officer = scope.holds(request, program_id, Role.OFFICER)
        offered = {"enroll_people": is_officer, "new_list": is_officer}
        reads = scope.sees_everything(request) or program_id in scope.reads(request)
        is_treasurer = scope.holds(request, program_id, Role.TREASURER)
        offered |= {
            "outcomes": reads,
            "baseline": is_treasurer,
            "projection": reads,
            "cost_baseline": is_treasurer,
        }
        offered["add_member"] = request.user.has_perm(ADD_MEMBER) and not roles.is_set_up(program_id)
        is_security = scope.holds(request, program_id, Role.SECURITY)
        offered |= dict.fromkeys(OF_SECURITY, is_security)
        return [self.get_unfold_action(name) for name, is_offered in offered.items() if is_offered]

    @action(description="New program", url_path="new", icon="add", variant=ActionVariant.PRIMARY)
    def new_program(self, request: HttpRequest) -> HttpResponse:
        """Make a program through the service."""

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            program = programs.create(by=request.user, **cleaned)  # type: ignore[arg-type]
            messages.success(
                request, said("Program {0} exists; its wallet is being made in the node.", program.code)
            )
            return HttpResponseRedirect(cells.page_of(program))

        return pages.answer(
            self,
            request,
            pages.Page(
                title="New program",
                form_class=ProgramForm,
                call=call,
                submit="Create program",
                back=cells.list_of(Program),
                help_text="Two security administrators change the rules later. Give the program's people their roles next.",
            ),
        )

    @action(description="Enroll people", url_path="enroll-people", icon="group_add")
    def enroll_people(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go on to the upload of people, with the program chosen."""
        program = self.get_row(request, object_id)
        return HttpResponseRedirect(f"{cells.list_of(Enrollment)}import/?program={program.pk}")

    @action(description="New list", url_path="new-list", icon="playlist_add", variant=ActionVariant.PRIMARY)
    def new_list(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go on to the upload of a list, with the program chosen."""
        program = self.get_row(request, object_id)
        return HttpResponseRedirect(f"{cells.list_of(Disbursement)}upload/?program={program.pk}")

    @action(description="Add member", url_path="add-member", icon="person_add")
    def add_member(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give somebody a role in this program through the service."""
        # The form names every user, which is more than a member may know.
        if not request.user.has_perm(ADD_MEMBER):
            raise PermissionDenied
        return membership.add(self, request, self.get_row(request, object_id))

    @action(description="Propose rules", url_path="propose-rules", icon="tune")
    def propose_rules(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for other rules."""
        return authority.propose_rules(self, request, self._administered(request, object_id))

    @action(description="Propose a role", url_path="propose-role", icon="person_add")
    def propose_role(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for somebody to get a role."""
        return authority.propose_role(self, request, self._administered(request, object_id), roles.GRANT.name)

    @action(description="End a role", url_path="propose-revocation", icon="person_remove")
    def propose_revocation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for somebody's role to end."""
        return authority.propose_role(
            self, request, self._administered(request, object_id), roles.REVOCATION.name
        )

    @action(description="Propose a webhook", url_path="propose-webhook", icon="webhook")
    def propose_webhook(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for an address to be told what happens."""
        return webhook_pages.propose(self, request, self._administered(request, object_id))

    @action(description="Propose who pays", url_path="propose-originator", icon="badge")
    def propose_originator(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for who pays, as the travel rule wants it known."""
        return travel.propose_originator(self, request, self._administered(request, object_id))

    def _administered(self, request: HttpRequest, object_id: str) -> Program:
        program: Program = self.get_row(request, object_id)
        if not scope.holds(request, program.pk, Role.SECURITY):
            raise PermissionDenied
        return program

    def notices(self, request: HttpRequest, obj: Program) -> list[Notice]:
        """Say what is missing before the program can pay."""
        if obj.wallet.ready_at is None:
            text = "The engine makes the wallet in the node as soon as the node answers. Nothing to do here."
            return [Notice(text, cells.BUSY, "The funding wallet is not ready")]
        return []

    def tables(self, request: HttpRequest, obj: Program) -> list[Table]:
        """Show the members, and to members the last lists."""
        found = [membership.table(obj), *membership.past(obj)]
        if self._shows_money(request, obj):
            lists = Disbursement.objects.filter(program=obj).select_related("cycle", "made_by")
            found.append(
                Table(
                    "Last lists",
                    ("List", "Cycle", "Status", "Payments", "Total", "Made by", "Made"),
                    [
                        (
                            cells.link(d, f"List {d.pk}"),
                            str(d.cycle),
                            cells.status_of(d),
                            cells.number(d.payment_count),
                            cells.money(d.total, obj),
                            cells.person(d.made_by),
                            cells.moment(d.made_at),
                        )
                        for d in lists.order_by("-pk")[:10]
                    ],
                    "No list yet: an officer uploads one with New list.",
                    cells.list_of(Disbursement, program=obj.pk),
                )
            )
        return [*found, law.table(obj), travel.payer(obj)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave the wallet out for somebody who only sets programs up."""
        if obj is not None and not self._shows_money(request, obj):
            return tuple(fieldset for fieldset in self.fieldsets if fieldset[0] != "Wallet")
        return self.fieldsets

    def _shows_money(self, request: HttpRequest, program: Program) -> bool:
        return scope.sees_everything(request) or program.pk in scope.reads(request)

    @display(description="name")
    def full_name(self, program: Program) -> str:
        """The whole name."""
        return cells.long(program.name)

    @display(description="wallet")
    def wallet_state(self, program: Program) -> str:
        """Whether the wallet is in the node yet."""
        if program.wallet.ready_at is None:
            return cells.label("", "being made", cells.BUSY)
        return cells.label("", "ready", cells.GOOD)

    @display(description="made by")
    def creator(self, program: Program) -> str:
        """Who made the program."""
        return cells.person(program.created_by)

    @display(description="made")
    def made(self, program: Program) -> str:
        """When the program was made."""
        return cells.moment(program.created_at)

    @display(description="funding address")
    def funding_address(self, program: Program) -> str:
        """Where to send test coins to fund the program."""
        script = program.wallet.scripts.filter(purpose=ScriptPurpose.FUNDING).order_by("pk").first()
        if script is None:
            return cells.EMPTY
        return cells.address(script.script_pubkey)

    @display(description="in the books")
    def booked(self, program: Program) -> str:
        """What the books say the wallet holds."""
        return cells.sat(_funds(program).booked_sat)

    @display(description="set aside")
    def reserved(self, program: Program) -> str:
        """What approved lists still need."""
        return format_html("{} for approved lists and their fees", cells.sat(_funds(program).reserved_sat))

    @display(description="free")
    def free(self, program: Program) -> str:
        """What a new approval may use."""
        return cells.sat(_funds(program).available_sat)


def _funds(program: Program) -> funds.Funds:
    """Return the funds, read once for the three figures of a page."""
    found: funds.Funds | None = getattr(program, "funds_seen", None)
    if found is None:
        found = program.funds_seen = funds.of_program(program.pk)  # type: ignore[attr-defined]
    return found
