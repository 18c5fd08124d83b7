"""What paying will cost, in the admin: what a payment of so many people takes of the chain, beside costs elsewhere."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold import widgets

from govpay.errors import InvalidInput
from govpay.said import said
from payments.admin import cells, pages
from payments.admin.tables import Notice, Table
from payments.models import Program
from payments.models.outcome import MOST
from payments.onchain.amount import MAX_SAT
from payments.payout.projection import SCRIPTS, Cost
from payments.selectors import projections as selector
from payments.selectors.projections import MOST_PEOPLE, Comparison, Projected, in_decimals
from payments.services import projections as service

CURRENCY = r"^[A-Z]{3}\Z"
VALUE = ("amount_sat", "amount_minor", "currency", "price_minor")
COUNTED = (
    "One output a person, one input and one output of change a payout, grouped as the engine would. Without numbers of"
    " people it is for everybody who is enrolled. Blocks are the least; an hour is six."
)


def _whole(label: str, most: int, least: int = 1, help_text: str = "") -> forms.IntegerField:
    widget = widgets.UnfoldAdminIntegerFieldWidget()
    return forms.IntegerField(
        label=label, required=False, min_value=least, max_value=most, widget=widget, help_text=help_text
    )


class ProjectionForm(forms.Form):
    """How many people are paid, and what they get."""

    p2wpkh, p2wsh, p2tr, p2pkh, p2sh = (
        _whole(said("People paid to {0}", kind.upper()), MOST_PEOPLE, 0) for kind in SCRIPTS
    )
    group_max_payments = _whole("Payments in one tx, at most", 3_000, help_text="Else the program's rule.")
    block_share_percent = _whole("Percent of each block that is for them", 100, help_text="Else all.")
    amount_sat = _whole("What each person gets (sat)", MAX_SAT)
    amount_minor = _whole("The same in minor units of a currency", MOST)
    currency = forms.RegexField(CURRENCY, required=False, widget=widgets.UnfoldAdminTextInputWidget())
    price_minor = _whole("What a bitcoin costs, in its minor units", MOST, help_text="None is assumed.")


class CostForm(forms.Form):
    """What paying costs elsewhere, with its source."""

    name = forms.CharField(max_length=100, widget=widgets.UnfoldAdminTextInputWidget())
    currency = forms.RegexField(
        CURRENCY,
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Of a cost in minor units of it, such as USD; empty, the figure is a share of the value paid.",
    )
    numerator = forms.IntegerField(
        min_value=0, max_value=MOST, widget=widgets.UnfoldAdminIntegerFieldWidget()
    )
    denominator = forms.IntegerField(
        min_value=1,
        max_value=MOST,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
        help_text="For so many payments, or of so many parts of the value.",
    )
    source = forms.CharField(
        max_length=300,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Where the figure is from: a report with its page, or an address.",
    )
    measured_date = forms.DateField(label="For which day", widget=widgets.UnfoldAdminSingleDateWidget())


def show(model_admin: Any, request: HttpRequest, program: Program) -> HttpResponse:
    """Show the projection of the numbers that the address names, and ask for others."""
    form = ProjectionForm(request.GET)
    asked = _given(form.cleaned_data) if form.is_valid() else {}

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        _project(program, _given(cleaned))
        return HttpResponseRedirect("?" + urlencode(_given(cleaned)))

    notices = [Notice(COUNTED, cells.INFO, "What is counted")]
    tables: list[Table] = []
    if form.is_valid():
        try:
            tables = _tables(_project(program, asked))
        except InvalidInput as error:
            notices.append(Notice(error.message, cells.BUSY, "There is nothing to show yet"))
    else:
        wrong = [f"{form[name].label}: {' '.join(map(str, texts))}" for name, texts in form.errors.items()]
        notices.append(Notice(" ".join(wrong), cells.BAD, "This page's address asks for what there is not"))
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("What paying will cost: {0}", program.code),
            form_class=ProjectionForm,
            call=call,
            submit="Show it",
            back=cells.page_of(program),
            initial=asked,
            facts=[("Program", program.code)],
            notices=notices,
            tables=tables,
        ),
    )


def enter(model_admin: Any, request: HttpRequest, program: Program) -> HttpResponse:
    """Enter what paying costs elsewhere."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        service.enter_baseline(by=by, program_id=program.pk, **cleaned)
        return HttpResponseRedirect("../projection/")

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"A cost elsewhere for {program.code}",
            form_class=CostForm,
            call=call,
            submit="Enter it",
            back=cells.page_of(program),
            facts=[("Program", program.code)],
            help_text="It stands beside projections from then on; an earlier one of the same name is kept.",
        ),
    )


def _given(cleaned: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cleaned.items() if value not in (None, "")}


def _project(program: Program, asked: dict[str, Any]) -> Projected:
    """Raises InvalidInput, as the selector does."""
    options = {name: asked[name] for name in ("group_max_payments", "block_share_percent") if name in asked}
    return selector.project(
        program=program,
        outputs={kind: asked.get(kind, 0) for kind in SCRIPTS},
        **options,
        **{name: asked[name] for name in VALUE if name in asked},
    )


def _tables(found: Projected) -> list[Table]:
    whole = found.projection
    days = in_decimals(whole.hours / 24, 1)
    chain = [
        ("People", cells.number(whole.people)),
        ("Payouts", cells.number(whole.payouts)),
        ("Virtual bytes", cells.number(whole.vsize_vb)),
        ("Blocks", cells.number(whole.blocks)),
        ("Hours", cells.figure(f"{in_decimals(whole.hours, 1):,} ({days} days)")),
    ]
    return [
        Table("What it takes of the chain", ("", "Number"), chain),
        Table(
            "What it costs",
            ("Fee rate (sat/vB)", "Fees", "A payment (sat)", "A payment in currency", "Of the value"),
            [_cost(cost, whole.value.currency) for cost in whole.costs],
        ),
        Table(
            "What it costs elsewhere",
            (
                "Name",
                "A payment (sat)",
                *(said("Times ours at {0}", cost.feerate_sat_vb) for cost in whole.costs),
                "Source",
            ),
            [_comparison(each, whole.costs) for each in found.comparisons],
            "Nobody entered what paying costs elsewhere; a treasurer does with Enter a cost elsewhere.",
        ),
    ]


def _cost(cost: Cost, currency: str) -> tuple[str, ...]:
    minor, share = cost.per_payment_minor, cost.share
    return (
        cells.number(cost.feerate_sat_vb),
        cells.sat(cost.fee_sat),
        cells.figure(f"{in_decimals(cost.per_payment_sat, 3):,}"),
        cells.EMPTY
        if minor is None
        else cells.figure(said("{0} minor units of {1}", f"{in_decimals(minor, 3):,}", currency)),
        cells.EMPTY if share is None else cells.figure(f"{in_decimals(share * 100, 3)} %"),
    )


def _comparison(each: Comparison, costs: list[Cost]) -> tuple[str, ...]:
    row, sat = each.baseline, each.per_payment_sat
    times = [each.times(cost) for cost in costs]
    return (
        cells.long(row.name),
        cells.long(each.why_not) if sat is None else cells.figure(f"{in_decimals(sat, 3):,}"),
        *(cells.EMPTY if found is None else cells.figure(f"{in_decimals(found, 2):,}") for found in times),
        cells.long(f"{row.source}, {row.measured_date}"),
    )
