"""The trial balance: debits and credits of every account; in honest books they are equal in each currency."""

from ledger.books import balances
from ledger.reports.report import CURRENCY, ELEMENTS, Column, Report, Unit

SQL = f"""
SELECT code, name, kind, entity, function, object, fund, project, currency, scale, debit, credit, debit - credit AS balance
FROM ({balances.BALANCES.format(postings=balances.POSTINGS_THEN)})
    b (code, name, kind, currency, scale, debit, credit, entity, function, object, fund, project)
ORDER BY code
"""  # noqa: S608 - all parts are constants.

REPORT = Report(
    name="trial-balance",
    title="Trial balance",
    meaning="Debits and credits of every account up to the end, and debits minus credits.",
    columns=(
        Column("account", "Account"),
        Column("name", "Name"),
        Column("kind", "Kind"),
        *ELEMENTS,
        *CURRENCY,
        Column("debit", "Debits", Unit.UNITS),
        Column("credit", "Credits", Unit.UNITS),
        Column("balance", "Balance", Unit.UNITS),
    ),
    sql=SQL,
    takes=("scope", "layer"),
    has_beginning=False,
)
