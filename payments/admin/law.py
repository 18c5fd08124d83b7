"""The law that a program goes by, on its page: each rule of its policy profile and where it is written."""

from datetime import datetime

from ledger.law import policy
from ledger.law.policy import Provision, Ruling, get_profile
from payments.admin import cells
from payments.admin.tables import Notice, Table
from payments.models import Program
from payments.prices import currency

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


def notices(program: Program, now: datetime) -> list[Notice]:
    """Warn whoever decides about a list that its release will be refused, and say by which law."""
    try:
        policy.require(program.policy_profile, policy.Rule.PAY_IN_BTC, at=now)
    except policy.PolicyRefused as error:
        return [Notice(error.message, cells.BAD, "The law of the program does not let this list be released")]
    return []


def _row(each: Provision) -> tuple[str, ...]:
    end = f" to before {each.span.end}" if each.span.end else " on"
    bound = ""
    if each.ceiling_sat is not None:
        bound = f" At most {each.ceiling_sat:,} sat."
    if each.licensed_by:
        bound = f" By {each.licensed_by}."
    if each.threshold is not None:
        bound = f" From {currency.in_words(each.threshold.from_minor, each.threshold.currency)} on."
    return (
        each.rule.value.replace("_", " "),
        cells.label("", each.ruling.value, TONES[each.ruling]),
        f"from {each.span.first}{end}",
        cells.long(each.text + bound),
        cells.long(each.law or "nowhere that was found"),
    )
