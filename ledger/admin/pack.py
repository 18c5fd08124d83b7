"""Evidence packs in the admin: asked for, followed, downloaded."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from govpay.said import said
from ledger.admin import cells
from ledger.admin.base import BookAdmin, find_row, posted
from ledger.models import PackJob, PackKind, PackStatus
from ledger.packs import answer, jobs

TONES = {
    PackStatus.WAITING: cells.PLAIN,
    PackStatus.RUNNING: cells.UNSURE,
    PackStatus.DONE: cells.GOOD,
    PackStatus.FAILED: cells.BAD,
    PackStatus.EXPIRED: cells.PLAIN,
}


class PackForm(forms.Form):
    """What a pack is wanted of."""

    kind = forms.ChoiceField(label="Of what", choices=PackKind.choices)
    name = forms.CharField(
        label="Name", required=False, max_length=30, help_text="A period's name, or a list's number."
    )
    scope = forms.CharField(
        label="Scope", required=False, max_length=40, help_text="One scope such as program:1; empty for all."
    )


@admin.register(PackJob)
class PackJobAdmin(BookAdmin):
    """The packs that were asked for, latest first."""

    list_display = ("number", "subject", "state", "progress", "asker", "asked", "size")
    list_filter = (("status", ChoicesDropdownFilter),)
    search_fields = ("pk",)
    search_help_text = "Search by number"
    fields = (
        ("state", "subject"),
        "progress",
        ("asker", "asked"),
        ("size", "finished"),
        "fingerprint",
        "reason",
    )
    actions_list = ("make",)
    actions_detail = ("download",)
    when_empty = (
        "Nobody asked for a pack yet. Make one with the button above; anybody checks it with verify.py."
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to those who may make packs."""
        return request.user.has_perm(jobs.RIGHT)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those look who may make packs."""
        return request.user.has_perm(jobs.RIGHT)

    # Named by a method: a permission's own name makes the theme's start-up check ask the database, which may be empty.
    def has_pack_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Let those make and download packs who may."""
        return request.user.has_perm(jobs.RIGHT)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the file where there is one."""
        row: Any = self.get_object(request, str(object_id))
        if row is None or row.status != PackStatus.DONE:
            return []
        return [self.get_unfold_action("download")]

    @action(
        description="Make a pack",
        url_path="make",
        icon="inventory_2",
        variant=ActionVariant.PRIMARY,
        permissions=["pack"],
    )
    def make(self, request: HttpRequest) -> HttpResponseBase:
        """Ask for what, and let a worker make it."""
        return self.ask(
            request,
            PackForm(posted(request)),
            title="Make a pack",
            meaning="It holds the entries, lists, approvals, transactions and proofs up to the newest checkpoint, of all"
            " programs unless you name a list or a scope. People in it are numbers, officers user names; the notes of"
            " periods are in it as they were written.",
            call=jobs.ask,
            done="It is made in the background; load this page again to see how far it is.",
        )

    @action(description="Download", url_path="download", icon="download", permissions=["pack"])
    def download(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Hand out the file."""
        by: Any = request.user
        job = find_row(lambda pk: jobs.get(by=by, job_id=pk), object_id)
        try:
            return answer.as_file(*jobs.download(by=by, job_id=job.pk))
        except GovPayError as error:
            self.message_user(request, error.message, messages.ERROR)
            return redirect(cells.page_of(PackJob, job.pk))

    @display(description="pack")
    def number(self, row: PackJob) -> str:
        """Its number."""
        return f"Pack {row.pk}"

    @display(description="of")
    def subject(self, row: PackJob) -> str:
        """What it is of."""
        return " ".join(part for part in (row.get_kind_display(), row.name, row.scope) if part)

    @display(description="state")
    def state(self, row: PackJob) -> str:
        """How far it is."""
        return cells.label(row.get_status_display(), TONES[PackStatus(row.status)])

    @display(description="progress")
    def progress(self, row: PackJob) -> str:
        """What is being written, and how many entries are until all are."""
        if row.status == PackStatus.WAITING:
            return "a worker takes it in some seconds"
        if row.status == PackStatus.RUNNING:
            count = f": {row.done:,} of {row.total:,} written" if row.done < row.total else ""
            return f"{row.step or 'begins'}{count}"
        return f"{row.total:,} entries" if row.status == PackStatus.DONE else cells.EMPTY

    @display(description="asked by")
    def asker(self, row: PackJob) -> str:
        """Who asked for it."""
        return row.asked_by

    @display(description="asked")
    def asked(self, row: PackJob) -> str:
        """When."""
        return cells.moment(row.asked_at)

    @display(description="finished")
    def finished(self, row: PackJob) -> str:
        """When it ended."""
        return cells.moment(row.finished_at)

    @display(description="bytes")
    def size(self, row: PackJob) -> str:
        """How large the file is."""
        return cells.number(row.size_bytes)

    @display(description="SHA-256")
    def fingerprint(self, row: PackJob) -> str:
        """The hash of the file."""
        return cells.EMPTY if row.sha256 is None else cells.whole(bytes(row.sha256).hex())

    @display(description="why")
    def reason(self, row: PackJob) -> str:
        """Why it failed, or why its file was deleted."""
        return cells.long(said(row.message)) if row.message else cells.EMPTY
