"""The law that a program goes by, on its page: each rule of its policy profile and where it is written."""

from ledger.law.policy import Provision, Ruling, get_profile
from payments.admin import cells
from payments.admin.tables import Table
from payments.models import Program

TONES = {
    Ruling.ALLOWED: cells.GOOD,
    Ruling.LIMITED: cells.BUSY,
    Ruling.REFUSED: cells.BAD,
    Ruling.UNDETERMINED: cells.BAD,
}


def table(program: Program) -> Table:
    """Return the rules, with the days on which they hold."""
    profile = get_profile(program.policy_profile)
    return Table(
        f"Law: {profile.title}",
        ("Rule", "Ruling", "Days", "What it says", "Where it is written"),
        [_row(each) for each in profile.provisions],
    )


def _row(each: Provision) -> tuple[str, ...]:
    end = f" to before {each.span.end}" if each.span.end else " on"
    bound = ""
    if each.ceiling_sat is not None:
        bound = f" At most {each.ceiling_sat:,} sat."
    if each.licensed_by:
        bound = f" By {each.licensed_by}."
    return (
        each.rule.value.replace("_", " "),
        cells.label("", each.ruling.value, TONES[each.ruling]),
        f"from {each.span.first}{end}",
        cells.long(each.text + bound),
        cells.long(each.law or "nowhere that was found"),
    )
