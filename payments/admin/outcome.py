"""What a program achieves, in the admin: each figure with its numerator and denominator, and what was before it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold import widgets

from govpay.said import said
from payments.admin import cells, pages
from payments.admin.tables import Notice, Table
from payments.models import OutcomeBaseline, OutcomeFigure, Program, Rail
from payments.models.outcome import MOST, TIMES
from payments.selectors import outcomes as selector
from payments.services import outcomes as service

DAY = timedelta(days=1)
WHAT = {
    OutcomeFigure.COST_PER_PAYMENT: ("fees in satoshis", "payments settled in bitcoin"),
    OutcomeFigure.COST_SHARE: ("fees in satoshis", "satoshis paid"),
    OutcomeFigure.SETTLED_SHARE: ("settled", "approved payments"),
    OutcomeFigure.APPROVED_TO_SETTLED_P50: ("settled", "approved payments"),
    OutcomeFigure.APPROVED_TO_SETTLED_P95: ("settled", "approved payments"),
    OutcomeFigure.FAILED_SHARE: ("given up or come back", "approved payments"),
    OutcomeFigure.HELD_SHARE: ("held", "payments on lists"),
    OutcomeFigure.DUPLICATES_STOPPED: ("refused", "rows of files"),
    OutcomeFigure.SETTLED_TO_RECONCILED_P95: ("reconciled", "payments settled in bitcoin"),
    OutcomeFigure.DISPUTED_SHARE: ("complained of", "payments on released lists"),
    OutcomeFigure.UNCLAIMED_SHARE: ("unclaimed", "payments on released lists"),
    OutcomeFigure.ANSWERED_IN_TIME: ("answered in time", "grievances answered or due"),
}


class SpanForm(forms.Form):
    """Which days."""

    first = forms.DateField(label="First day (UTC)", widget=widgets.UnfoldAdminSingleDateWidget())
    last = forms.DateField(label="Last day (UTC)", widget=widgets.UnfoldAdminSingleDateWidget())

    def clean(self) -> dict[str, Any]:
        """Refuse a span that ends before it begins."""
        found: dict[str, Any] = super().clean() or {}
        if found.get("first") and found.get("last") and found["first"] > found["last"]:
            self.add_error("last", "The last day is not before the first.")
        return found


class BaselineForm(forms.Form):
    """A figure from before the program, with its source."""

    figure = forms.ChoiceField(choices=OutcomeFigure.choices, widget=widgets.UnfoldAdminSelectWidget())
    numerator = forms.IntegerField(
        min_value=0, max_value=MOST, widget=widgets.UnfoldAdminIntegerFieldWidget()
    )
    denominator = forms.IntegerField(
        min_value=1, max_value=MOST, widget=widgets.UnfoldAdminIntegerFieldWidget(), help_text="Of how many."
    )
    seconds = forms.IntegerField(
        min_value=0,
        max_value=MOST,
        required=False,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
        help_text="Of a figure that is a time: what so many of so many payments took.",
    )
    source = forms.CharField(
        max_length=300,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Where the figure is from: a report, its year and page.",
    )


def show(model_admin: Any, request: HttpRequest, program: Program) -> HttpResponse:
    """Show the figures over the days that the address names, the last year unless it does, and ask for others."""
    first, last = _days(request)
    since = datetime.combine(first, time.min, UTC)
    before = datetime.combine(last + DAY, time.min, UTC)

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        return HttpResponseRedirect(f"?first={cleaned['first']}&last={cleaned['last']}")

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Outcomes of {0}", program.code),
            form_class=SpanForm,
            call=call,
            submit="Show these days",
            back=cells.page_of(program),
            initial={"first": first, "last": last},
            facts=[("Program", program.code), ("Days", said("{0} to {1} (UTC)", first, last))],
            notices=[
                Notice(
                    "Lists approved, lists submitted and files brought on these days, with all that became of them.",
                    cells.INFO,
                    "What is counted",
                )
            ],
            tables=[_table(selector.of_program(program, since=since, before=before))],
        ),
    )


def enter(model_admin: Any, request: HttpRequest, program: Program) -> HttpResponse:
    """Enter a figure from before the program."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        service.enter_baseline(by=by, program_id=program.pk, **cleaned)
        return HttpResponseRedirect("../outcomes/")

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"A baseline for {program.code}",
            form_class=BaselineForm,
            call=call,
            submit="Enter it",
            back=cells.page_of(program),
            facts=[("Program", program.code)],
            help_text="It stands beside the outcome from then on; an earlier one of the same figure is kept.",
        ),
    )


def _days(request: HttpRequest) -> tuple[date, date]:
    today = timezone.now().astimezone(UTC).date()
    form = SpanForm(request.GET)
    return (
        (form.cleaned_data["first"], form.cleaned_data["last"])
        if form.is_valid()
        else (today - selector.YEAR, today)
    )


def _table(found: list[selector.Outcome]) -> Table:
    return Table(
        "Figures",
        ("Figure", "Value", "Counted", "Before", "By the word of"),
        [row for outcome in found for row in _rows(outcome)],
    )


def _rows(outcome: selector.Outcome) -> Iterator[tuple[Any, ...]]:
    """Yield a figure, and below it what it is on each rail where there is more than one."""
    yield (
        outcome.figure.label,
        _value(outcome.figure, outcome.now),
        _counted(outcome.figure, outcome.now),
        _before(outcome.baseline),
        cells.long(outcome.baseline.source) if outcome.baseline else cells.EMPTY,
    )
    if len(outcome.by_rail) > 1:
        for rail, measure in outcome.by_rail.items():
            counted = _counted(outcome.figure, measure)
            yield f"— {Rail(rail).label}", _value(outcome.figure, measure), counted, cells.EMPTY, cells.EMPTY


def _before(row: OutcomeBaseline | None) -> str:
    if row is None:
        return cells.EMPTY
    figure = OutcomeFigure(row.figure)
    measure = selector.Measure(row.numerator, row.denominator, row.seconds)
    return f"{_value(figure, measure)} ({row.numerator:,} of {row.denominator:,})"


def _value(figure: OutcomeFigure, measure: selector.Measure) -> str:
    if figure in TIMES:
        return cells.EMPTY if measure.seconds is None else _duration(measure.seconds)
    if measure.ratio is None:
        return cells.EMPTY
    if figure == OutcomeFigure.COST_PER_PAYMENT:
        return f"{float(measure.ratio):,.1f} sat"
    return f"{float(measure.ratio):.2%}"


def _counted(figure: OutcomeFigure, measure: selector.Measure) -> str:
    of, all_of = WHAT[figure]
    return f"{measure.numerator:,} {of} of {measure.denominator:,} {all_of}"


def _duration(seconds: int) -> str:
    """Write a time in its two largest units."""
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        return said("{0} min {1} s", seconds // 60, seconds % 60)
    if seconds < 86_400:
        return said("{0} h {1} min", seconds // 3600, seconds % 3600 // 60)
    return f"{seconds // 86_400} d {seconds % 86_400 // 3_600} h"
