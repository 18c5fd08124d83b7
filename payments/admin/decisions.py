"""The pages on which an officer decides about a list: what is agreed to, and the hash of exactly that."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from govpay.said import said
from payments.admin import approval, cells, conversion, costs, forms, law, pages, rail, screened
from payments.admin.home import trouble
from payments.admin.tables import Notice
from payments.models import BudgetPeriod, Disbursement, Rail
from payments.selectors import budgets, funds
from payments.selectors import disbursements as selector
from payments.services import disbursements
from payments.states import DisbursementStatus, PaymentStatus


def submit(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Fix the list: destinations are copied, the manifest is hashed."""
    return _ask(
        model_admin,
        request,
        row,
        title=f"Submit list {row.pk}",
        form_class=forms.AgreeForm,
        service=disbursements.submit,
        done="is submitted; somebody else approves it next",
        submit="Submit for approval",
        facts=_totals(row),
        help_text="Each person's current address is copied into the list. From here the list cannot be edited.",
    )


def approve(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Agree to the list with the hash on the page, and set its funds aside."""
    held = funds.of_program(row.program_id)
    needed = _needed(row)
    # Of money fees are satoshis of the wallet, and what it is in satoshis is known when it is released.
    need_sat = needed if row.program.pays_sat else row.fee_reserved_sat or 0
    notices = _of_law(row)
    if need_sat > held.available_sat:
        text = f"{need_sat - held.available_sat:,} sat are missing: fund the program's wallet first."
        notices.append(Notice(text, cells.BAD, "The free funds do not carry this list"))
    period = budgets.of_list(row, datetime.now(UTC).date())
    if period is not None and needed > period.available_sat:
        missing = cells.in_words(needed - period.available_sat, row.program)
        text = said("{0} are missing in {1}: an officer proposes an allotment first.", missing, period)
        notices.append(Notice(text, cells.BAD, "What is allotted does not carry this list"))
    projected, costs_shown = costs.at_decision(row)
    return _ask(
        model_admin,
        request,
        row,
        title=f"Approve list {row.pk}",
        form_class=forms.ManifestForm,
        service=disbursements.approve,
        done="has your approval; with the last one that it needs its funds are set aside, and somebody else releases it",
        submit=said(
            "Approve {0} payment of {1}" if row.payment_count == 1 else "Approve {0} payments of {1}",
            f"{row.payment_count:,}",
            _total(row),
        ),
        initial={"manifest_hash": cells.hexadecimal(row.manifest_hash)},
        facts=[
            *_totals(row),
            *_held(row),
            *projected,
            *approval.facts(row),
            ("Needed in all", cells.money(needed, row.program)),
            *conversion.estimate(row, datetime.now(UTC)),
            *_wallet(row, ("Free in the wallet", held.available_sat)),
            *_budget(period),
        ],
        notices=notices,
        tables=[*screened.tables(row), *costs_shown],
        help_text="You agree to exactly the list with this manifest hash.",
    )


def release(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Let the engine pay the list with the hash on the page."""
    held = funds.of_program(row.program_id)
    period = budgets.of_list(row, datetime.now(UTC).date())
    quote = conversion.chosen(request, row)
    notices = [
        *(trouble.node_notices() if row.rail == Rail.BITCOIN else []),
        *_of_law(row),
        *conversion.notices(row, quote),
    ]
    needed = _needed(row)
    if period is not None and needed > period.cash_left_sat:
        missing = cells.in_words(needed - period.cash_left_sat, row.program)
        text = said("{0} are missing in {1}: an officer proposes a cash release first.", missing, period)
        notices.append(Notice(text, cells.BAD, "What is released as cash does not carry this list"))
    projected, costs_shown = costs.at_decision(row)
    return _ask(
        model_admin,
        request,
        row,
        title=f"Release list {row.pk}",
        form_class=forms.QuotedForm,
        service=disbursements.release,
        done=rail.DONE[rail.of(row)],
        submit=said("Release {0}", _total(row)),
        initial={
            "manifest_hash": cells.hexadecimal(row.manifest_hash),
            "quote_id": None if quote is None else quote.pk,
        },
        facts=[
            *_totals(row),
            *_held(row),
            *projected,
            *conversion.facts(row, quote),
            *approval.facts(row),
            ("Approved by", cells.join(cells.person(row.approved_by), cells.moment(row.approved_at))),
            *_wallet(
                row, ("In the wallet", held.booked_sat), ("Free after all approved lists", held.available_sat)
            ),
            *_budget(period),
        ],
        notices=notices,
        tables=[*screened.tables(row), *costs_shown],
        help_text=rail.AT_RELEASE[rail.of(row)],
    )


def _total(row: Disbursement) -> str:
    return cells.in_words(row.total, row.program)


def _needed(row: Disbursement) -> int:
    """Return what the list owes without its withdrawn lines, in its own unit; of satoshis with its fees at most."""
    withdrawn = row.payments.filter(status=PaymentStatus.CANCELLED).aggregate(total=Sum("amount"))
    owed: int = row.total - (withdrawn["total"] or 0)
    return owed + (row.fee_reserved_sat or 0) if row.program.pays_sat else owed


def _of_law(row: Disbursement) -> list[Notice]:
    """Say what the law about paying in bitcoin holds against a list; other rails it does not speak of."""
    return law.notices(row.program, datetime.now(UTC)) if row.rail == Rail.BITCOIN else []


def _wallet(row: Disbursement, *figures: tuple[str, int]) -> list[tuple[str, Any]]:
    """Say what stands in the wallet, for a list that is paid out of it."""
    return [(name, cells.sat(sat)) for name, sat in figures] if row.rail == Rail.BITCOIN else []


def _budget(period: BudgetPeriod | None) -> list[tuple[str, Any]]:
    """Say what a list's budget period has left; nothing of a program without one."""
    if period is None:
        return []
    return [
        ("Budget period", cells.link(period)),
        ("Left of the allotment", cells.money(period.available_sat, period.program)),
        ("Left of the cash released", cells.money(period.cash_left_sat, period.program)),
    ]


def reject(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Refuse the list for a reason."""
    return _ask(
        model_admin,
        request,
        row,
        title=f"Reject list {row.pk}",
        form_class=forms.NoteForm,
        service=disbursements.reject,
        done="is rejected; its people can be listed again",
        submit="Reject the list",
        facts=_totals(row),
        is_dangerous=True,
    )


def cancel(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Take the list back for a reason."""
    return _ask(
        model_admin,
        request,
        row,
        title=f"Withdraw list {row.pk}",
        form_class=forms.NoteForm,
        service=disbursements.cancel,
        done="is withdrawn; its people can be listed again",
        submit="Withdraw the list",
        facts=_totals(row),
        is_dangerous=True,
        help_text="What an approved list held of the allotment is free again.",
    )


def _ask(
    model_admin: Any,
    request: HttpRequest,
    row: Disbursement,
    *,
    service: Callable[..., Disbursement],
    done: str,
    **page: Any,
) -> HttpResponse:
    def call(cleaned: dict[str, Any]) -> HttpResponse:
        service(by=request.user, disbursement_id=row.pk, **cleaned)
        messages.success(request, said("List {0} {1}.", row.pk, done))
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(model_admin, request, pages.Page(call=call, back=cells.page_of(row), **page))


def stands_in_for(row: Disbursement) -> str:
    """Say whose voided payments the list pays anew; nothing for a list that is no reissue."""
    found = selector.stood_in_for(row.pk)
    return ", ".join(f"{count:,} voided payments of list {number}" for number, count in found)


def _unclaimed(row: Disbursement) -> list[tuple[str, Any]]:
    """Say how much of a submitted list is for people who have no address yet."""
    if row.status == DisbursementStatus.DRAFT or row.rail != Rail.BITCOIN:
        return []
    lines = row.payments.filter(script_pubkey=None).aggregate(n=Count("pk"), total=Sum("amount"))
    total = cells.in_words(lines["total"] or 0, row.program)
    text = said("{0} payments of {1}, paid by another list once they bring one", f"{lines['n']:,}", total)
    return [("Without an address", text)] if lines["n"] else []


def _held(row: Disbursement) -> list[tuple[str, Any]]:
    """Say how much of the list is held, and is not paid with the rest."""
    held = row.payments.filter(status=PaymentStatus.HELD).aggregate(n=Count("pk"), total=Sum("amount"))
    if not held["n"]:
        return [("Held", said("no line"))]
    text = "{0} line of {1}; the rest is paid" if held["n"] == 1 else "{0} lines of {1}; the rest is paid"
    return [("Held", said(text, f"{held['n']:,}", cells.in_words(held["total"], row.program)))]


def _totals(row: Disbursement) -> list[tuple[str, Any]]:
    return [
        ("Program", cells.join(str(row.program), cells.long(row.program.name))),
        ("Cycle", str(row.cycle)),
        ("Status", cells.status_of(row)),
        ("Payments", cells.number(row.payment_count)),
        *([("Stands in for", reissued)] if (reissued := stands_in_for(row)) else []),
        ("Total", cells.money(row.total, row.program)),
        *_unclaimed(row),
        ("Way of payment", said(rail.of(row).label)),
        ("Network fees, at most", rail.fees(row)),
        ("Urgency", rail.urgency(row)),
        ("Manifest hash", cells.whole(row.manifest_hash)),
        ("Made by", cells.join(cells.person(row.made_by), cells.moment(row.made_at))),
    ]
