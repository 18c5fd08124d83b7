"""Reads what an installation's database says, with own SQL, as plain facts for the checks."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from tests.invariants.chain import parse_tx
from tests.invariants.checks import OutPoint, Owed, SignedTx

ARCHITECTURE = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"

PAYMENTS = """
SELECT p.id, p.status, p.script_pubkey, p.amount_sat, p.payout_id, p.vout, p.reissue_of_id, p.disbursement_id,
    d.status AS list_status, d.program_id
FROM payments_payment p JOIN payments_disbursement d ON d.id = p.disbursement_id
"""
PAYOUTS = """
SELECT o.id, o.kind, o.status, o.payment_count, o.mined_txid, o.booked_fee_sat, o.disbursement_id, o.wallet_id,
    o.anchor_txid, o.anchor_vout, w.program_id, g.feerate_ceiling_sat_kvb AS ceiling_sat_kvb, c.note
FROM payments_payout o JOIN payments_wallet w ON w.id = o.wallet_id
LEFT JOIN ledger_checkpoint c ON c.id = o.checkpoint_id
JOIN payments_program g ON g.id = w.program_id
"""
VERSIONS = "SELECT id, payout_id, kind, txid, fee_sat, raw FROM payments_payouttx ORDER BY id"
RESERVATIONS = "SELECT payout_id, txid, vout, is_live FROM payments_reservation"
RESERVES = "SELECT id, fee_reserved_sat FROM payments_disbursement WHERE fee_reserved_sat IS NOT NULL"
ALARMS = "SELECT code, subject, subject_id, program_id FROM payments_alarm WHERE closed_at IS NULL"
HISTORY = "SELECT subject, subject_id, old, new FROM payments_statuschange ORDER BY id"
STATUSES = """
SELECT 'payout' AS subject, id, status FROM payments_payout
UNION ALL SELECT 'disbursement', id, status FROM payments_disbursement
UNION ALL SELECT 'payment', id, status FROM payments_payment
UNION ALL SELECT 'intervention', id, status FROM payments_intervention
UNION ALL SELECT 'warrant', id, status FROM payments_warrant
"""
UNBALANCED = """
SELECT e.id FROM ledger_entry e LEFT JOIN ledger_posting p ON p.entry_id = e.id
LEFT JOIN ledger_account a ON a.id = p.account_id
GROUP BY e.id, a.currency, p.layer HAVING coalesce(sum(p.amount), 1) <> 0
"""
SAME_PEOPLE = """
SELECT id FROM payments_disbursement
WHERE made_by_id = approved_by_id OR made_by_id = released_by_id OR approved_by_id = released_by_id
UNION SELECT disbursement_id FROM payments_approval GROUP BY disbursement_id, user_id HAVING count(DISTINCT step) > 1
"""
BOOKS = """
SELECT split_part(a.code, ':', 2) AS account, substr(split_part(a.code, ':', 3), 2)::bigint AS program_id,
    coalesce(sum(p.amount), 0)::bigint AS sat
FROM ledger_account a LEFT JOIN ledger_posting p ON p.account_id = a.id AND p.layer = 'settled'
WHERE a.code LIKE 'Assets:HotWallet:P%' OR a.code LIKE 'Expenses:NetworkFees:P%'
GROUP BY a.code
"""


# What each trust says of its money in a currency, and what the books do: cash, owed, promised.
PURSES = """
SELECT u.id, u.currency, u.cash_minor AS cash, u.owed_minor AS owed, u.promised_minor AS promised,
    coalesce(sum(p.amount) FILTER (WHERE a.code LIKE 'Assets:TrustCash:%'), 0) AS booked_cash,
    -coalesce(sum(p.amount) FILTER (WHERE a.code LIKE 'Liabilities:TrustPayable:%' AND p.layer = 'settled'), 0)
        AS booked_owed,
    -coalesce(sum(p.amount) FILTER (WHERE a.code LIKE 'Liabilities:TrustPayable:%' AND p.layer = 'encumbered'), 0)
        AS booked_promised
FROM payments_trustpurse u JOIN payments_trust t ON t.id = u.trust_id
LEFT JOIN ledger_account a ON a.scope = t.scope AND a.currency = u.currency
LEFT JOIN ledger_posting p ON p.account_id = a.id GROUP BY u.id
"""


@dataclass(frozen=True)
class Version:
    """A version of a payout; ``tx`` is what its signed bytes say, None while it is not signed."""

    payout_id: int
    kind: str
    txid: str
    fee_sat: int
    tx: SignedTx | None


@dataclass
class Facts:
    """Everything that the checks look at, in rows as the database has them."""

    payments: list[Any]
    payouts: dict[int, Any]
    versions: dict[int, list[Version]]
    reservations: list[Any]
    reserves: dict[int, int]
    alarms: list[Any]
    history: dict[tuple[str, int], list[tuple[str, str]]]
    statuses: dict[tuple[str, int], str]
    own_scripts: dict[bytes, int]
    books: dict[tuple[str, int], int]
    unbalanced: list[int]
    same_people: list[int]
    purses: list[Any] = field(default_factory=list)
    arrows: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: read_arrows(ARCHITECTURE))

    @property
    def signed(self) -> list[Version]:
        """All versions with signed bytes."""
        return [version for versions in self.versions.values() for version in versions if version.tx]

    @property
    def owed(self) -> list[Owed]:
        """The payments that are to be paid: of released lists, neither held nor withdrawn nor void."""
        return [
            Owed(row.id, row.script_pubkey, row.amount_sat)
            for row in self.payments
            if row.status == "pending" and row.list_status in ("released", "completed")
        ]

    def reserved_by(self, payout_id: int) -> set[OutPoint]:
        """The outpoints that a payout reserved, whether it still does or not."""
        return {(row.txid, row.vout) for row in self.reservations if row.payout_id == payout_id}

    def is_alarmed(self, payment: Any) -> bool:
        """Tell whether a person was called to a payment, its payout, list, wallet or program, or to the node."""
        payout = self.payouts.get(payment.payout_id)
        about = {("payment", payment.id), ("disbursement", payment.disbursement_id)}
        if payout is not None:
            about |= {("payout", payout.id), ("wallet", payout.wallet_id)}
        return any(
            (alarm.subject, alarm.subject_id) in about
            or alarm.subject == "node"
            or (alarm.subject in ("wallet", "program") and alarm.program_id == payment.program_id)
            for alarm in self.alarms
        )


def read(database_url: str) -> Facts:
    """Read an installation's facts, all from one moment."""
    with psycopg.connect(database_url, row_factory=namedtuple_row) as database:
        database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

        def ask(query: str) -> list[Any]:
            return database.execute(query).fetchall()  # type: ignore[arg-type]

        versions: dict[int, list[Version]] = defaultdict(list)
        for row in ask(VERSIONS):
            found = None if row.raw is None else parse_tx(bytes(row.raw))
            versions[row.payout_id].append(Version(row.payout_id, row.kind, row.txid, row.fee_sat, found))
        history: dict[tuple[str, int], list[tuple[str, str]]] = defaultdict(list)
        for row in ask(HISTORY):
            history[row.subject, row.subject_id].append((row.old, row.new))
        scripts = ask(
            "SELECT script_pubkey, w.program_id FROM payments_walletscript s"
            " JOIN payments_wallet w ON w.id = s.wallet_id"
        )
        return Facts(
            payments=[row._replace(script_pubkey=bytes(row.script_pubkey or b"")) for row in ask(PAYMENTS)],
            payouts={row.id: row for row in ask(PAYOUTS)},
            versions=versions,
            reservations=ask(RESERVATIONS),
            reserves={row.id: row.fee_reserved_sat for row in ask(RESERVES)},
            alarms=ask(ALARMS),
            history=history,
            statuses={(row.subject, row.id): row.status for row in ask(STATUSES)},
            own_scripts={bytes(row.script_pubkey): row.program_id for row in scripts},
            books={(row.account, row.program_id): row.sat for row in ask(BOOKS)},
            unbalanced=[row.id for row in ask(UNBALANCED)],
            same_people=[row.id for row in ask(SAME_PEOPLE)],
            purses=ask(PURSES),
        )


def read_arrows(path: Path) -> dict[str, set[tuple[str, str]]]:
    """Return the changes that the architecture's diagrams allow, for each subject."""
    found: dict[str, set[tuple[str, str]]] = {}
    for subject, drawn in re.findall(
        r"### (\w+)\n\n```mermaid\nstateDiagram-v2\n(.*?)```", path.read_text(), re.S
    ):
        found[subject.lower()] = set(re.findall(r"^    (\w+) --> (\w+): ", drawn, re.M))
    return found
