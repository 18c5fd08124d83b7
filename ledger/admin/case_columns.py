"""The columns of a case of reconciliation on its page and in the list."""

from unfold.decorators import display

from ledger.admin import cells
from ledger.models import Account, Case, CaseStatus, Entry, ReconciliationRun
from ledger.reconciliation import cases, suspense

S = CaseStatus
TONES = {
    S.OPEN: cells.BAD,
    S.PROPOSED: cells.UNSURE,
    S.EXPLAINED: cells.GOOD,
    S.SUSPENDED: cells.UNSURE,
    S.CLOSED: cells.PLAIN,
}


def entry_link(entry_id: int | None) -> str:
    """Link to an entry, if there is one."""
    return (
        cells.EMPTY if entry_id is None else cells.link(cells.page_of(Entry, entry_id), f"Entry {entry_id}")
    )


class CaseColumns:
    """A column a fact."""

    @display(description="case")
    def number(self, row: Case) -> str:
        """Its number."""
        return f"Case {row.pk}"

    @display(description="kind")
    def type(self, row: Case) -> str:
        """What differs."""
        return row.get_kind_display()

    @display(description="state")
    def state(self, row: Case) -> str:
        """How far it has come."""
        return cells.label(row.get_status_display(), TONES[S(row.status)])

    @display(description="owner")
    def owned(self, row: Case) -> str:
        """Whose it is."""
        return str(row.owner or "nobody")

    @display(description="moved on chain")
    def amount(self, row: Case) -> str:
        """What the chain moved more than the books."""
        return cells.EMPTY if row.amount_sat is None else cells.amount(row.amount_sat)

    @display(description="age")
    def age(self, row: Case) -> str:
        """Blocks and days."""
        blocks, days = cases.age_blocks(row), cases.age_days(row)
        return f"{days:,} days" if blocks is None else f"{blocks:,} blocks, {days:,} days"

    @display(description="what it means")
    def meaning(self, row: Case) -> str:
        """What differs, in a sentence."""
        return cells.sentence(row.message)

    @display(description="what it means")
    def brief(self, row: Case) -> str:
        """What differs, in a sentence whose hashes are shortened."""
        return cells.sentence(row.message, is_short=True)

    @display(description="expected")
    def asked(self, row: Case) -> str:
        """What should be there."""
        return cells.compared(row.expected)

    @display(description="found")
    def seen(self, row: Case) -> str:
        """What is there."""
        return cells.compared(row.found)

    @display(description="about")
    def about(self, row: Case) -> str:
        """What it is about, in the books' words."""
        return cells.whole(row.unit)

    # Plain names: links to users are for those who may change them.
    @display(description="proposed by")
    def proposer(self, row: Case) -> str:
        """Who proposed."""
        return cells.EMPTY if row.proposed_by is None else row.proposed_by.get_username()

    @display(description="decided by")
    def decider(self, row: Case) -> str:
        """Who decided."""
        return cells.EMPTY if row.decided_by is None else row.decided_by.get_username()

    @display(description="outpoint")
    def outpoint(self, row: Case) -> str:
        """Where to look on chain."""
        return cells.outpoint(row.txid, row.vout, is_short=False)

    @display(description="opened")
    def opened(self, row: Case) -> str:
        """Since when it has been there."""
        return cells.moment(row.opened_at)

    @display(description="closed")
    def closed(self, row: Case) -> str:
        """When it was gone."""
        return cells.moment(row.closed_at)

    @display(description="first found by")
    def first(self, row: Case) -> str:
        """The first run that found it."""
        return cells.link(cells.page_of(ReconciliationRun, row.first_run_id), f"Run {row.first_run_id}")

    @display(description="last found by")
    def last(self, row: Case) -> str:
        """The last run that found it."""
        return cells.link(cells.page_of(ReconciliationRun, row.last_run_id), f"Run {row.last_run_id}")

    @display(description="explanation")
    def explanation(self, row: Case) -> str:
        """What was proposed."""
        return cells.long(row.note)

    @display(description="SHA-256 of the file")
    def evidence(self, row: Case) -> str:
        """The hash of what is kept elsewhere."""
        return cells.whole(bytes(row.evidence_sha256).hex()) if row.evidence_sha256 else cells.EMPTY

    @display(description="entry")
    def booked(self, row: Case) -> str:
        """The entry that resolves it."""
        return entry_link(row.entry_id)

    @display(description="to the account")
    def target(self, row: Case) -> str:
        """Where it goes from suspense."""
        return (
            cells.EMPTY
            if row.account is None
            else cells.link(cells.page_of(Account, row.account.pk), row.account)
        )

    @display(description="on suspense")
    def standing(self, row: Case) -> str:
        """What stands on suspense for it."""
        return cells.amount(suspense.standing_sat(row)) if row.suspense_ref else cells.EMPTY
