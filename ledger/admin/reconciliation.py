"""Reconciliation runs and their breaks in the admin, and the button that makes a run."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from govpay.said import said
from ledger import audit
from ledger.admin import cells, scopes, sources
from ledger.admin.base import BookAdmin, Table, is_hash, is_number, posted
from ledger.admin.filters import ScopeFilter, by_number
from ledger.models import Break, Case, ReconciliationRun, RunStatus, RunUnderWay
from ledger.reconciliation import service
from ledger.reconciliation.run import MOST_BREAKS_STORED

RECONCILE = "ledger.add_reconciliationrun"
SHOWN = 100
LEVELS = {
    RunStatus.CLEAN: messages.SUCCESS,
    RunStatus.BREAKS: messages.ERROR,
    RunStatus.INCONCLUSIVE: messages.WARNING,
}


class ReconcileForm(forms.Form):
    """What to reconcile."""

    scope = forms.ChoiceField(required=False)
    is_full = forms.BooleanField(required=False, label="Read all, and not only what changed")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = [("", "all scopes"), *scopes.with_accounts()]  # type: ignore[attr-defined]


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(BookAdmin):
    """Comparisons of claims, books and blocks, latest first."""

    list_display = ("number", "of_scope", "outcome", "breaks_found", "matched", "block_short", "finished")
    list_filter = (ScopeFilter, ("status", ChoicesDropdownFilter))
    search_fields = ("block_hash",)
    search_help_text = "Search by number or block hash"
    fields = (
        ("outcome", "of_scope", "breaks_found"),
        "reason",
        "block",
        ("started", "finished", "extent"),
        "fingerprint",
    )
    actions_list = ("reconcile_now",)
    when_empty = "Nothing was reconciled yet. Reconcile now compares claims, books and blocks."

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Say above the runs what is under way."""
        for row in RunUnderWay.objects.order_by("pk") if self.has_view_permission(request) else ():
            self.message_user(request, _how_far(row), messages.INFO)
        answer: HttpResponse = super().changelist_view(request, extra_context)
        return answer

    def find(self, term: str) -> Q:
        """Search by number or block."""
        return Q(block_hash=term.lower()) if is_hash(term) else super().find(term)

    def tables(self, row: Any) -> list[Table]:
        """Show the breaks, the counts and the sums."""
        breaks = row.breaks.order_by("pk")[:SHOWN]
        found = row.break_count
        waiting = f"{row.uncased_count:,}" if row.uncased_count else ""
        return [
            Table(
                "Breaks" if found <= SHOWN else f"The first {SHOWN} of {found:,} breaks",
                ("Kind", "Payment", "Outpoint", "Expected", "Found", "What it means"),
                [
                    (
                        cells.label(one.get_kind_display(), cells.BAD),
                        sources.payment(one.payment_id),
                        cells.outpoint(one.txid, one.vout),
                        cells.compared(one.expected, is_short=True),
                        cells.compared(one.found, is_short=True),
                        cells.sentence(one.message, is_short=True),
                    )
                    for one in breaks
                ],
                "Nothing was compared."
                if row.status == RunStatus.INCONCLUSIVE
                else "None: all is explained.",
                cells.list_of(Break, f"run={row.pk}"),
                "Show all" if found <= MOST_BREAKS_STORED else f"Show the first {MOST_BREAKS_STORED:,}",
            ),
            Table(
                "Cases that it found last" + (f", and {waiting} that the next runs open" if waiting else ""),
                ("Case", "Kind", "Owner"),
                [
                    (
                        cells.link(cells.page_of(Case, found.pk), f"Case {found.pk}"),
                        found.get_kind_display(),
                        str(found.owner or "nobody"),
                    )
                    for found in Case.objects.filter(last_run=row)
                    .select_related("owner")
                    .order_by("pk")[:SHOWN]
                ],
                "None, or a later run found them too.",
            ),
            Table("Counts", ("Outcome", "Count"), _pairs(row.counts), "Nothing was counted."),
            Table("Sums", ("Of what", "Amount"), _pairs(row.totals), "Nothing was added up."),
        ]

    # Named by a method: a permission's own name makes the theme's start-up check ask the database, which may be empty.
    def has_reconcile_permission(self, request: HttpRequest) -> bool:
        """Let those reconcile who may add a run."""
        return self.may(request, RECONCILE)

    @action(
        description="Reconcile now",
        url_path="reconcile",
        icon="rule",
        variant=ActionVariant.PRIMARY,
        permissions=["reconcile"],
    )
    def reconcile_now(self, request: HttpRequest) -> HttpResponse:
        """Ask for the scope, reconcile, and say what came of it."""
        form = ReconcileForm(posted(request))
        if form.is_valid():
            return self._reconcile(request, form.cleaned_data["scope"] or None, form.cleaned_data["is_full"])
        context = self.page(request, "Reconcile now") | {
            "meaning": "Every payment that we say we signed is compared with the books and with the node's blocks, at one"
            " block. This can take a while on a long chain; what it finds is stored as a run, and may"
            " open cases and an alarm; nothing is booked.",
            "form": form,
            "back": cells.list_of(ReconciliationRun),
        }
        return TemplateResponse(request, "ledger/admin/ask.html", context, status=422 if form.errors else 200)

    def _reconcile(self, request: HttpRequest, scope: str | None, is_full: bool) -> HttpResponse:
        # The runs follow in database transactions of their own, after the node was asked.
        by: Any = request.user
        with transaction.atomic():
            audit.record("reconciliation.begin", by=by, scope=scope or "")
        try:
            runs = service.reconcile(scope=scope, now=timezone.now(), is_full=is_full)
        except GovPayError as error:
            self.message_user(request, error.message, messages.ERROR)
            return redirect(cells.list_of(ReconciliationRun))
        for run in runs:
            self.message_user(request, _verdict(run), LEVELS[RunStatus(run.status)])
        if not runs:
            self.message_user(request, "There is no program to reconcile yet.", messages.WARNING)
        only = runs[0].pk if len(runs) == 1 else None
        return redirect(cells.page_of(ReconciliationRun, only) if only else cells.list_of(ReconciliationRun))

    @display(description="run")
    def number(self, row: ReconciliationRun) -> str:
        """The run's number."""
        return f"Run {row.pk}"

    @display(description="outcome")
    def outcome(self, row: ReconciliationRun) -> str:
        """What it concluded."""
        return cells.label(row.get_status_display(), cells.TONES[row.status])

    @display(description="breaks")
    def breaks_found(self, row: ReconciliationRun) -> str:
        """How many differences it found."""
        return cells.EMPTY if row.status == RunStatus.INCONCLUSIVE else cells.number(row.break_count)

    @display(description="matched")
    def matched(self, row: ReconciliationRun) -> str:
        """How many payments agree in claims, books and blocks."""
        return cells.number(row.counts.get("matched"))

    @display(description="block")
    def block_short(self, row: ReconciliationRun) -> str:
        """The block at which it compared, shortened."""
        return cells.place(row.block_height, row.block_hash, is_short=True)

    @display(description="block")
    def block(self, row: ReconciliationRun) -> str:
        """The block at which it compared."""
        return cells.place(row.block_height, row.block_hash)

    @display(description="started")
    def started(self, row: ReconciliationRun) -> str:
        """When it began."""
        return cells.moment(row.started_at)

    @display(description="finished")
    def finished(self, row: ReconciliationRun) -> str:
        """When it ended."""
        return cells.moment(row.finished_at)

    @display(description="read")
    def extent(self, row: ReconciliationRun) -> str:
        """Whether it read all, or went on from another run."""
        if row.is_full or row.previous_id is None:
            return "all"
        previous = cells.link(cells.page_of(ReconciliationRun, row.previous_id), f"run {row.previous_id}")
        return format_html("what changed since {}", previous)

    @display(description="digest")
    def fingerprint(self, row: ReconciliationRun) -> str:
        """The hash of what it found."""
        return cells.whole(bytes(row.digest).hex())


@admin.register(Break)
class BreakAdmin(BookAdmin):
    """Differences that runs found."""

    list_display = ("number", "run_link", "type", "payment", "outpoint", "asked", "seen", "meaning")
    list_select_related = ("run",)
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        by_number("run", "run_id"),
        by_number("payment", "payment_id"),
    )
    search_fields = ("payment_id",)
    search_help_text = "Search by the number of a payment, or by txid"
    fields = (
        "run_link",
        "type",
        "payment",
        "payout_id",
        "outpoint_whole",
        "asked_whole",
        "seen_whole",
        "meaning_whole",
    )
    when_empty = "No break was ever found."

    def find(self, term: str) -> Q:
        """Search by payment or tx."""
        if is_hash(term):
            return Q(txid=term.lower())
        return Q(payment_id=int(term)) if is_number(term) else Q(pk__in=[])

    @display(description="break")
    def number(self, row: Break) -> str:
        """The break's number."""
        return f"Break {row.pk}"

    @display(description="run")
    def run_link(self, row: Break) -> str:
        """The run that found it."""
        return cells.link(cells.page_of(ReconciliationRun, row.run_id), f"Run {row.run_id}")

    @display(description="kind")
    def type(self, row: Break) -> str:
        """What differs."""
        return cells.label(row.get_kind_display(), cells.BAD)

    @display(description="payment")
    def payment(self, row: Break) -> str:
        """The payment that it is about."""
        return sources.payment(row.payment_id)

    @display(description="expected")
    def asked(self, row: Break) -> str:
        """What should be there, shortened."""
        return cells.compared(row.expected, is_short=True)

    @display(description="expected")
    def asked_whole(self, row: Break) -> str:
        """What should be there."""
        return cells.compared(row.expected)

    @display(description="found")
    def seen(self, row: Break) -> str:
        """What is there, shortened."""
        return cells.compared(row.found, is_short=True)

    @display(description="found")
    def seen_whole(self, row: Break) -> str:
        """What is there."""
        return cells.compared(row.found)

    @display(description="what it means")
    def meaning(self, row: Break) -> str:
        """What differs, in a sentence whose hashes are shortened."""
        return cells.sentence(row.message, is_short=True)

    @display(description="what it means")
    def meaning_whole(self, row: Break) -> str:
        """What differs, in a sentence."""
        return cells.sentence(row.message)

    @display(description="outpoint")
    def outpoint(self, row: Break) -> str:
        """Where to look on chain, shortened."""
        return cells.outpoint(row.txid, row.vout)

    @display(description="outpoint")
    def outpoint_whole(self, row: Break) -> str:
        """Where to look on chain."""
        return cells.outpoint(row.txid, row.vout, is_short=False)


def _how_far(row: RunUnderWay) -> str:
    so_far = f": {row.done:,} of {row.total:,}" if row.total else ""
    return f"A run of {scopes.named(row.scope)} is under way. At {row.seen_at:%Y-%m-%d %H:%M:%S} UTC: {row.step}{so_far}."


def _verdict(run: ReconciliationRun) -> str:
    if run.status == RunStatus.INCONCLUSIVE:
        return said("{0}: inconclusive, nothing is proved. {1}", scopes.named(run.scope), run.reason)
    place = f"at block {run.block_height:,}"
    if run.status == RunStatus.CLEAN:
        explained = ", or people explained why not" if run.explained_count else ""
        return said(
            "{0}: clean {1}; claims, books and blocks agree{2}.", scopes.named(run.scope), place, explained
        )
    return f"{scopes.named(run.scope)}: {run.break_count - run.explained_count:,} breaks {place}."


def _pairs(numbers: dict[str, int]) -> list[tuple[Any, ...]]:
    """Return words and figures, but no zeros; what a run counts in satoshis says so in its name."""
    return [
        (
            name.removesuffix("_sat").replace("_", " "),
            cells.amount(number) if name.endswith("_sat") else cells.number(number),
        )
        for name, number in sorted(numbers.items())
        if number
    ]
