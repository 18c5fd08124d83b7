"""The journal for beancount, whose checker then adds it up again and compares it with what the books say stands.

Dates are those of the effective times in UTC; the times and all else that is known stand in metadata. What is pending or
encumbered is no balance yet: it goes to accounts of its own below Equity:Pending and Equity:Encumbered, which sum to zero
like each layer. An apostrophe, a quotation mark or any letter of any script passes; control characters become spaces.
"""

from collections.abc import Iterator
from datetime import UTC, date, timedelta

from ledger.exports.form import Form, decimal, moment, one_line
from ledger.exports.source import Journal, Total
from ledger.models import Layer
from ledger.seals.canonical import SealedEntry

FIRST_DATE = date(1970, 1, 1)


def account(code: str, layer: str) -> str:
    """Return the account's name: its code, below Equity for what is not settled."""
    return code if layer == Layer.SETTLED else f"Equity:{layer.capitalize()}:{code}"


def write(journal: Journal) -> Iterator[str]:
    """Yield accounts, what stood before, the entries, and what must stand after the last of them to the unit."""
    selection = journal.selection
    yield f'option "title" {_text("govpay, " + (selection.scope or "all scopes"))}\n'
    for currency in sorted({total.currency for total in journal.totals}):
        yield f'option "operating_currency" "{currency}"\n'
    yield "\n" + "".join(map(_open, journal.totals))
    last = FIRST_DATE
    carried = [total for total in journal.totals if total.opening]
    if selection.effective_from is not None and carried:
        last = _day(selection.effective_from - timedelta(days=1))
        yield f'\n{last} * "opening" "What stood before {moment(selection.effective_from)}"\n'
        yield "".join(_posting(total, total.opening) for total in carried)
    for entry in journal.entries:
        last = max(last, _day(entry.effective_at))
        yield _transaction(entry)
    yield "\n" + "".join(
        _balance(total, journal.totals, last + timedelta(days=1)) for total in journal.totals
    )


def _open(total: Total) -> str:
    facts = [("name", total.name), ("scope", total.scope), *total.elements._asdict().items()]
    lines = [f"{FIRST_DATE} open {account(total.code, total.layer)} {total.currency}\n"]
    return "".join([*lines, *(f"  {key}: {_text(value)}\n" for key, value in facts if value)])


def _transaction(entry: SealedEntry) -> str:
    facts = {
        "entry": str(entry.id),
        "scope": entry.scope,
        "effective": moment(entry.effective_at),
        "original": moment(entry.original_at),
        "recorded": moment(entry.recorded_at),
        "source": entry.source_ref,
        "key": entry.idempotency_key,
        "actor": entry.actor,
        "approver": entry.approver,
        "block-height": "" if entry.block_height is None else str(entry.block_height),
        "block-hash": entry.block_hash,
    }
    links = f"^entry-{entry.id}" + (f" ^entry-{entry.reversal_of}" if entry.reversal_of else "")
    parts = [f"\n{_day(entry.effective_at)} * {_text(entry.kind)} {_text(entry.memo)} {links}\n"]
    parts += [f"  {key}: {_text(value)}\n" for key, value in facts.items() if value]
    for line in entry.lines:
        amount = decimal(line.amount, line.scale)
        parts.append(f"  {account(line.account, line.layer)}  {amount} {line.currency}\n")
        if line.reference is not None:
            parts.append(f'    payment: "{line.reference}"\n')
    return "".join(parts)


def _posting(total: Total, units: int) -> str:
    amount = decimal(units, total.scale)
    return f"  {account(total.code, total.layer)}  {amount} {total.currency}\n"


def _balance(total: Total, totals: list[Total], on: date) -> str:
    """Assert a balance to the unit; beancount counts accounts below an account with it."""
    name = account(total.code, total.layer)
    units = sum(
        other.closing
        for other in totals
        if (account(other.code, other.layer) + ":").startswith(name + ":")
        and (other.currency, other.scale) == (total.currency, total.scale)
    )
    amount = decimal(units, total.scale)
    return f"{on} balance {name}  {amount} ~ 0 {total.currency}\n"


def _day(moment_at: object) -> date:
    return moment_at.astimezone(UTC).date()  # type: ignore[attr-defined, no-any-return]


def _text(text: str) -> str:
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


FORM = Form("beancount", "beancount", "text/plain", write)
