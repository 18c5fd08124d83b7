"""What people said of lists, in the admin: each step with its person, group and end."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from govpay.said import said
from payments.admin import cells
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter, by_number
from payments.admin.tables import Table
from payments.models import Approval, Disbursement
from payments.selectors import approvals as selector
from payments.services import approvals


@admin.register(Approval)
class ApprovalAdmin(ProgramScopedAdmin):
    """Submissions, approvals and releases of the user's programs."""

    noun = "Approval"
    program_path = "disbursement__program"
    list_display = ("number", "list_of", "program", "said", "group", "who", "when", "until")
    list_filter = (ProgramFilter, ("step", ChoicesDropdownFilter), by_number("disbursement", "list"))
    list_select_related = ("disbursement__program", "user")
    fields = ("list_of", "program", "said", "group", "who", "when", "until", "manifest", "key")
    search_fields = ("pk",)
    search_help_text = "Search by number"
    when_empty = "Nobody has submitted a list yet."

    @display(description="approval")
    def number(self, row: Approval) -> str:
        """Its number."""
        return f"Approval {row.pk}"

    @display(description="list")
    def list_of(self, row: Approval) -> str:
        """The list."""
        return cells.link(row.disbursement, f"List {row.disbursement_id}")

    @display(description="program")
    def program(self, row: Approval) -> str:
        """The program."""
        return str(row.disbursement.program)

    @display(description="what")
    def said(self, row: Approval) -> str:
        """Which step it is."""
        return cells.label(row.step, row.get_step_display(), cells.INFO)

    @display(description="for the group")
    def group(self, row: Approval) -> str:
        """For whom it counts."""
        return row.group_name or cells.EMPTY

    @display(description="who")
    def who(self, row: Approval) -> str:
        """The person."""
        return cells.person(row.user)

    @display(description="when")
    def when(self, row: Approval) -> str:
        """When it was said."""
        return cells.moment(row.at)

    @display(description="counts until")
    def until(self, row: Approval) -> str:
        """When it expires."""
        return _until(row, timezone.now())

    @display(description="manifest hash")
    def manifest(self, row: Approval) -> str:
        """What it is said of."""
        return cells.whole(row.manifest_hash)

    @display(description="key")
    def key(self, row: Approval) -> str:
        """Which of our keys its MAC is by."""
        return row.key_id


def _until(row: Approval, now: datetime) -> str:
    if row.expires_at is None:
        return cells.EMPTY
    shown = cells.moment(row.expires_at)
    return shown if now < row.expires_at else cells.join(cells.label("expired", tone=cells.BAD), shown)


def table(disbursement: Disbursement) -> Table:
    """Lay out who submitted, approved and released a list."""
    now = timezone.now()
    return Table(
        "Approvals",
        ("What", "For the group", "Who", "When", "Counts until"),
        [
            (
                cells.label(row.step, row.get_step_display(), cells.INFO),
                row.group_name or cells.EMPTY,
                cells.person(row.user),
                cells.moment(row.at),
                _until(row, now),
            )
            for row in selector.of_list(disbursement.pk).order_by("pk")[:100]
        ],
        "Nobody has said anything of this list yet.",
    )


def facts(disbursement: Disbursement) -> list[tuple[str, Any]]:
    """Say whose approvals a list needs, and whose it lacks."""
    tier = disbursement.approval_tier
    if not tier:
        return []
    lacking = approvals.missing(disbursement, timezone.now())
    return [
        ("Approvals needed", counts(tier["needs"])),
        ("Still missing", counts(lacking) if lacking else "none"),
    ]


def counts(needs: dict[str, int]) -> str:
    """Write how many of which group."""
    return ", ".join(said("{0} of {1}", count, group) for group, count in sorted(needs.items()))


def is_part(request: HttpRequest, disbursement: Disbursement) -> bool:
    """Say whether the user approved the list."""
    return Approval.objects.filter(
        disbursement=disbursement, step="approve", user=request.user.pk or 0
    ).exists()
