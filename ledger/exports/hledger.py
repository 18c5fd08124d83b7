"""The journal for hledger (and ledger), which checks at its end that each account stands where the books say it does.

Dates are those of the effective times in UTC; all else that is known stands in tags. What is pending or encumbered goes to
accounts of its own, as in `beancount`.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from ledger.exports.beancount import FIRST_DATE, account
from ledger.exports.form import Form, decimal, moment, one_line
from ledger.exports.source import Journal, Total
from ledger.seals.canonical import SealedEntry


def write(journal: Journal) -> Iterator[str]:
    """Yield commodities, accounts, what stood before, the entries, and what must stand after the last of them."""
    for currency, scale in sorted({(total.currency, total.scale) for total in journal.totals}):
        yield f"commodity {decimal(1_000 * 10**scale, scale)}{'' if scale else '.'} {currency}\n"
    yield "\n" + "".join(map(_account, journal.totals))
    since = journal.selection.effective_from
    last = FIRST_DATE
    carried = [total for total in journal.totals if total.opening]
    if since is not None and carried:
        last = _day(since - timedelta(days=1))
        yield f"\n{last} * opening  ; what stood before {moment(since)}\n"
        yield "".join(_posting(total, decimal(total.opening, total.scale)) for total in carried)
    for entry in journal.entries:
        last = max(last, _day(entry.effective_at))
        yield _transaction(entry)
    if journal.totals:
        yield f"\n{last} * closing  ; what must stand now\n"
        yield "".join(
            _posting(total, decimal(0, total.scale), decimal(total.closing, total.scale))
            for total in journal.totals
        )


def _account(total: Total) -> str:
    facts = [("name", total.name), ("scope", total.scope), *total.elements._asdict().items()]
    head = f"account {account(total.code, total.layer)}\n"
    return head + "".join(_tag(key, value) for key, value in facts if value)


def _transaction(entry: SealedEntry) -> str:
    facts = {
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
        "undoes": "" if entry.reversal_of is None else str(entry.reversal_of),
        "memo": entry.memo,
    }
    description = one_line(entry.kind).replace(";", ",")
    parts = [f"\n{_day(entry.effective_at)} * ({entry.id}) {description}\n"]
    parts += [_tag(key, value) for key, value in facts.items() if value]
    for line in entry.lines:
        about = "" if line.reference is None else f"  ; payment: {line.reference}"
        amount = decimal(line.amount, line.scale)
        parts.append(f"    {account(line.account, line.layer)}  {amount} {line.currency}{about}\n")
    return "".join(parts)


def _posting(total: Total, amount: str, asserted: str | None = None) -> str:
    name = account(total.code, total.layer)
    check = "" if asserted is None else f" = {asserted} {total.currency}"
    return f"    {name}  {amount} {total.currency}{check}\n"


def _tag(key: str, value: str) -> str:
    return f"    ; {key}: {one_line(value)}\n"


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


FORM = Form("hledger", "journal", "text/plain", write)
