"""Where the money is, for the first page: balances as the books have them, and lists and payouts by their state."""

from typing import Any

from django.db.models import Count, Sum
from django.http import HttpRequest
from django.utils.html import format_html

from ledger import books, chart
from ledger.admin.base import READ
from ledger.models import Account
from payments.admin import cells, scope
from payments.admin.tables import Table
from payments.models import Disbursement, Payout, Program
from payments.prices import currency as currencies
from payments.states import DisbursementStatus, PayoutStatus

SHOWN = 20
BITCOIN = chart.BITCOIN.currency


def balances(request: HttpRequest) -> Table:
    """Show what the books say now of each program; readers of the books are led to the account with the same figure."""
    programs = scope.limit(request, Program.objects.order_by("code"), "pk")[:SHOWN]
    found = {row.code: row for row in books.standing([program.scope for program in programs])}
    may_follow = request.user.has_perm(READ)

    def cell(code: str) -> str:
        row = found.get(code)
        if row is None:
            return cells.EMPTY
        return _figure(row, Account(pk=row.id) if may_follow else None)

    rows = []
    for program in programs:
        codes = chart.program_accounts(program.pk)
        columns = (codes.hot_wallet, codes.in_transit, codes.payable, codes.network_fees)
        rows.append((cells.link(program), *map(cell, columns)))
    return Table(
        "Balances in the books",
        ("Program", "Funding wallet", "In transit", "Owed to people", "Network fees"),
        rows,
        "No program's books are open yet.",
        cells.list_of(Account) if may_follow else "",
        "Open the accounts",
        note="Debits minus credits, of what is settled, now: what is owed stands as a credit, below zero.",
    )


def lists(request: HttpRequest) -> Table:
    """Count the lists of the user's programs by state, with their payments and satoshis."""
    rows = scope.limit(request, Disbursement.objects.all(), "program")
    found = (
        rows.order_by()
        .values("status")
        .annotate(rows=Count("pk"), payments=Sum("payment_count"), sat=Sum("total_sat"))
    )
    title, note = "Lists by state", "Lists of money have satoshis once their release has converted them."
    return _by_state(title, Disbursement, DisbursementStatus, list(found), "Lists", note)


def payouts(request: HttpRequest) -> Table:
    """Count the payouts of the user's programs by state, with their payments and satoshis."""
    rows = scope.limit(request, Payout.objects.all(), "wallet__program")
    found = (
        rows.order_by()
        .values("status")
        .annotate(rows=Count("pk"), payments=Sum("payment_count"), sat=Sum("payments_sat"))
    )
    return _by_state("Payouts by state", Payout, PayoutStatus, list(found), "Payouts", "")


def _by_state(
    title: str, model: Any, states: Any, found: list[dict[str, Any]], called: str, note: str
) -> Table:
    by_state = {row["status"]: row for row in found}
    rows = [
        (
            format_html(
                '<a class="gp-link" href="{}">{}</a>',
                cells.list_of(model, status__exact=state.value),
                cells.label(state.value, state.label),
            ),
            cells.number(by_state[state.value]["rows"]),
            cells.number(by_state[state.value]["payments"]),
            cells.sat(by_state[state.value]["sat"]),
        )
        for state in states
        if state.value in by_state
    ]
    headers = ("State", called, "Payments", "Amount")
    return Table(title, headers, rows, "There is none yet.", cells.list_of(model), note=note)


def _figure(row: books.Standing, account: Account | None) -> str:
    text = (
        f"{row.balance:,} sat" if row.currency == BITCOIN else currencies.in_words(row.balance, row.currency)
    )
    return cells.figure(text) if account is None else cells.link(account, cells.figure(text))
