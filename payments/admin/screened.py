"""What speaks or spoke against lines of a list: holds by rule and line by line, and addresses that two people share."""

from govpay.said import said
from payments.admin import cells
from payments.admin.tables import Table
from payments.models import Disbursement, Hold
from payments.selectors import screened as selector
from payments.states import DisbursementStatus

CLEAR = "No rule speaks against any line. Nobody is on it twice: a cycle takes one line of a person."
NOT_YET = (
    "Lines are checked when the list is submitted. Nobody is on it twice: a cycle takes one line of a person."
)


def tables(disbursement: Disbursement) -> list[Table]:
    """Lay out what screening found: a table by rule always, and the lines where there are any."""
    found = selector.by_rule(disbursement)
    if not found:
        return [_by_rule(disbursement, found)]
    shared, lines = _shared(disbursement), _lines(disbursement)
    return [_by_rule(disbursement, found), *(table for table in (shared, lines) if table.rows)]


def _by_rule(disbursement: Disbursement, found: list[selector.Found]) -> Table:
    is_draft = disbursement.status == DisbursementStatus.DRAFT
    return Table(
        "Holds and duplicates",
        ("Rule", "Held now", "Amount held", "Let go by a person", "Ended by itself"),
        [
            (
                cells.long(said(row.label)),
                cells.number(row.open),
                cells.money(row.amount, disbursement.program),
                cells.number(row.judged),
                cells.number(row.passed),
            )
            for row in found
        ],
        NOT_YET if is_draft else CLEAR,
    )


def _shared(disbursement: Disbursement) -> Table:
    """List who shares an address with whom: perhaps one person twice, perhaps a family."""
    return Table(
        "Lines whose address somebody else has, too",
        ("Line", "Amount", "Whose it is", "Who else has it", "Now"),
        [
            (
                cells.link(row.hold.payment, f"Line {row.hold.payment.line:,}"),
                cells.money(row.hold.payment.amount, disbursement.program),
                row.reference or cells.EMPTY,
                cells.link(row.other, row.other.reference) if row.other else "somebody of another program",
                _now(row.hold),
            )
            for row in selector.shared(disbursement)
        ],
    )


def _lines(disbursement: Disbursement) -> Table:
    return Table(
        "Lines that a rule or a person stopped",
        ("Line", "Amount", "Rule", "Why", "Since", "Now"),
        [
            (
                cells.link(row.payment, f"Line {row.payment.line:,}"),
                cells.money(row.payment.amount, disbursement.program),
                cells.link(row, row.label),
                cells.long(row.note),
                cells.moment(row.placed_at),
                _now(row),
            )
            for row in selector.lines(disbursement)
        ],
    )


def _now(hold: Hold) -> str:
    if hold.ended_at is None:
        return cells.label("held", "held")
    if hold.ended_by is None:
        return cells.join(cells.label("", "ended by itself"), cells.moment(hold.ended_at))
    return cells.join(
        cells.label("", "let go", cells.INFO), cells.person(hold.ended_by), cells.moment(hold.ended_at)
    )
