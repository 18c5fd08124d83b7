"""Reports from live data: each is one statement over the books, streamed, as of a time and as known at one."""

from ledger.reports import (
    accumulation,
    audit,
    budget,
    fees,
    gains,
    general_ledger,
    inflows,
    monthly_account,
    pefa,
    positions,
    reserve,
    statement,
    suspense,
    trial_balance,
    trust,
)
from ledger.reports.asked import Asked, ask
from ledger.reports.report import Column, Report, Unit, UnknownReport
from ledger.reports.table import Basis, Table, tabulate

REPORTS = {
    report.name: report
    for report in (
        trial_balance.REPORT,
        general_ledger.REPORT,
        statement.REPORT,
        monthly_account.REPORT,
        budget.REPORT,
        suspense.REPORT,
        fees.REPORT,
        pefa.REPORT,
        audit.REPORT,
        gains.STATEMENT,
        gains.LOTS,
        reserve.REPORT,
        trust.REPORT,
        positions.REPORT,
        accumulation.REPORT,
        inflows.REPORT,
    )
}

__all__ = [
    "REPORTS",
    "Asked",
    "Basis",
    "Column",
    "Report",
    "Table",
    "Unit",
    "UnknownReport",
    "ask",
    "get_report",
    "tabulate",
]


def get_report(name: str) -> Report:
    """Return a report by its name; raise UnknownReport."""
    if name not in REPORTS:
        raise UnknownReport(f"There is no report {name!r}; there are {', '.join(REPORTS)}.", report=name)
    return REPORTS[name]
