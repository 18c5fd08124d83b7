"""What a run did and how it ended: the faults that came, the figures of the database, and the verdict."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.catalog import CATALOG

FIGURES = {
    "lists released": "SELECT count(*) FROM payments_disbursement WHERE status IN ('released', 'completed')",
    "payments settled": "SELECT count(*) FROM payments_payment p JOIN payments_payout o ON o.id = p.payout_id"
    " WHERE o.status = 'settled'",
    "payouts": "SELECT count(*) FROM payments_payout WHERE status <> 'unsealed'",
    "payouts unsealed": "SELECT count(*) FROM payments_payout WHERE status = 'unsealed'",
    "versions signed": "SELECT count(*) FROM payments_payouttx WHERE raw IS NOT NULL",
    "bumps": "SELECT count(*) FROM payments_payouttx WHERE kind = 'bump'",
    "voids": "SELECT count(*) FROM payments_payouttx WHERE kind = 'void'",
    "payouts voided": "SELECT count(*) FROM payments_payout WHERE status = 'voided'",
    "payments voided": "SELECT count(*) FROM payments_payment WHERE status = 'voided'",
    "reissues": "SELECT count(*) FROM payments_payment WHERE reissue_of_id IS NOT NULL AND payout_id IS NOT NULL",
    "children": "SELECT count(*) FROM payments_payout WHERE kind = 'child' AND status <> 'unsealed'",
    "consolidations": "SELECT count(*) FROM payments_payout"
    " WHERE kind = 'consolidation' AND status <> 'unsealed'",
    "payments refused by the node": "SELECT count(DISTINCT subject_id) FROM payments_statuschange"
    " WHERE subject = 'payment' AND new = 'held'",
    "coins that strangers spent": "SELECT count(*) FROM payments_coin c WHERE c.spent_by_txid IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM payments_payouttx t WHERE t.txid = c.spent_by_txid)",
    "blocks disconnected": "SELECT count(*) FROM payments_block WHERE NOT is_active",
    "blocks": "SELECT count(*) FROM payments_block WHERE is_active",
    "alarms opened": "SELECT count(*) FROM payments_alarm",
    "alarms open": "SELECT count(*) FROM payments_alarm WHERE closed_at IS NULL",
}


@dataclass
class Report:
    """What a run did and how it ended; ``violation`` is empty when everything held."""

    seed: int
    seconds: float
    faults: Counter[str] = field(default_factory=Counter)
    people: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    quiet_s: float = 0.0
    violation: str = ""

    def lines(self) -> list[str]:
        """Return the report as a person reads it."""
        rows = [("fault", "ids", "times")]
        rows += [(fault.name, fault.ids, str(self.faults[fault.name])) for fault in CATALOG]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
        figures = [f"{name}: {value}" for name, value in (self.figures | self.people).items()]
        verdict = f"VIOLATION {self.violation}" if self.violation else "every invariant held"
        return [
            *table,
            "",
            *figures,
            f"quiet after {self.quiet_s:.1f} s",
            f"seed {self.seed}: {verdict}",
        ]
