"""What is published of all programs: set-based, without a person, and with small groups left out (``groups``)."""

from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction
from typing import Any, NamedTuple

from django.db.models import Count

from ledger.models import Case, Checkpoint, ReconciliationRun, ReserveBalance
from ledger.models.case import CaseStatus
from ledger.treasury import reserve
from payments.models import Payout, Program
from payments.states import PayoutStatus
from payments.transparency import groups, rails
from payments.transparency.groups import NOBODY, Group

VERSION = "govpay-transparency-1"
# A payment belongs to one payout; a payout settles at once, so that its time is looked up once for all of its payments.
PAID = """
WITH settled AS MATERIALIZED (
    SELECT o.id, d.program_id, date_trunc('month', s.at AT TIME ZONE 'UTC') AS month
    FROM payments_payout o JOIN payments_disbursement d ON d.id = o.disbursement_id
    CROSS JOIN LATERAL (SELECT max(c.at) AS at FROM payments_statuschange c
        WHERE c.subject = 'payout' AND c.subject_id = o.id AND c.new = 'settled') s
    WHERE o.status = 'settled' AND o.payment_count > 0
)
SELECT s.program_id, to_char(s.month, 'YYYY-MM'), count(*), count(DISTINCT m.beneficiary_id), sum(m.amount_sat)::bigint
FROM settled s JOIN payments_payment m ON m.payout_id = s.id
GROUP BY GROUPING SETS ((s.program_id), (s.program_id, s.month)) ORDER BY s.program_id, s.month NULLS FIRST
"""
PENDING = """
SELECT d.program_id, count(*), count(DISTINCT m.beneficiary_id), sum(m.amount_sat)::bigint
FROM payments_disbursement d JOIN payments_payment m ON m.disbursement_id = d.id
LEFT JOIN payments_payout o ON o.id = m.payout_id
WHERE d.rail = 'bitcoin' AND d.status IN ('approved', 'released') AND m.status IN ('pending', 'held')
    AND o.status IS DISTINCT FROM 'settled'
GROUP BY d.program_id
"""
# Fees of settled payouts with those of their children, and how long settled payments took, weighed by payments.
SETTLED = """
WITH settled AS MATERIALIZED (
    SELECT o.id, d.program_id, o.payment_count AS payments, o.booked_fee_sat, s.at - d.approved_at AS took
    FROM payments_payout o JOIN payments_disbursement d ON d.id = o.disbursement_id
    CROSS JOIN LATERAL (SELECT max(c.at) AS at FROM payments_statuschange c
        WHERE c.subject = 'payout' AND c.subject_id = o.id AND c.new = 'settled') s
    WHERE o.status = 'settled' AND o.payment_count > 0
), waits AS (
    SELECT program_id, took, sum(payments) OVER (PARTITION BY program_id ORDER BY took, id) AS until,
        sum(payments) OVER (PARTITION BY program_id) AS measured
    FROM settled
), children AS (
    SELECT s.program_id, sum(c.booked_fee_sat) AS fees_sat
    FROM payments_payout c JOIN settled s ON s.id = c.parent_id GROUP BY s.program_id
), fees AS (
    SELECT s.program_id, sum(s.booked_fee_sat) AS fees_sat FROM settled s GROUP BY s.program_id
)
SELECT f.program_id, (coalesce(f.fees_sat, 0) + coalesce(c.fees_sat, 0))::bigint,
    extract(epoch FROM (SELECT min(took) FROM waits w WHERE w.program_id = f.program_id AND until >= measured * 0.5)),
    extract(epoch FROM (SELECT min(took) FROM waits w WHERE w.program_id = f.program_id AND until >= measured * 0.95))
FROM fees f LEFT JOIN children c ON c.program_id = f.program_id
"""


class Settled(NamedTuple):
    """Fees of what is settled, and the seconds within which half and 95 of 100 payments settled."""

    fees_sat: int
    p50_s: float | None
    p95_s: float | None


NEVER = Settled(0, None, None)


def take(*, network: str, at: datetime) -> dict[str, Any]:
    """Return all that is published, ready for JSON: amounts as text in satoshis or minor units, times in UTC.

    What stands in a program itself is of bitcoin; ``rails`` has its payments by bank and voucher, in its money.
    """
    totals: dict[int, Group] = {}
    months: dict[int, dict[str, Group]] = {}
    for program_id, month, *group in groups.rows(PAID):
        if month is None:
            totals[program_id] = Group(*group)
        else:
            months.setdefault(program_id, {})[month] = Group(*group)
    pending = {program_id: Group(*group) for program_id, *group in groups.rows(PENDING)}
    settled = {program_id: Settled(*found) for program_id, *found in groups.rows(SETTLED)}
    runs = _runs()
    programs = list(Program.objects.order_by("code"))
    others = rails.of_programs(programs)
    return {
        "version": VERSION,
        "network": network,
        "taken_at": _time(at),
        "least_people": groups.LEAST,
        "books": _books(),
        "programs": [
            {
                "code": program.code,
                "name": program.name,
                "paid": (paid := groups.told(totals.get(program.pk, NOBODY), "amount_sat")),
                "pending": groups.told(pending.get(program.pk, NOBODY), "amount_sat"),
                "fees": _fees(paid, settled.get(program.pk)),
                "time_to_settle": groups.waits(paid, *settled.get(program.pk, NEVER)[1:]),
                "months": groups.months(months.get(program.pk, {}), "amount_sat"),
                "reconciliation": runs.get(program.scope),
                "rails": others.get(program.pk, []),
            }
            for program in programs
        ],
        "reserve": _reserve(),
    }


def _fees(paid: dict[str, Any] | None, settled: Settled | None) -> dict[str, Any] | None:
    """Return the fees and what they are a share of; None where nothing was paid, or what was is not told."""
    if settled is None or paid is None:
        return None
    share = Fraction(settled.fees_sat, int(paid["amount_sat"]))
    return {
        "fees_sat": str(settled.fees_sat),
        "of_sat": paid["amount_sat"],
        "share_bps": f"{float(share * 10_000):.2f}",
    }


def _runs() -> dict[str, dict[str, Any]]:
    """Return what the newest run of reconciliation said of each scope, and how many of its cases are open."""
    still = [CaseStatus.OPEN, CaseStatus.PROPOSED, CaseStatus.SUSPENDED]
    counted = Case.objects.filter(status__in=still).values("scope").annotate(count=Count("pk"))
    open_cases = dict(counted.values_list("scope", "count"))
    newest = ReconciliationRun.objects.order_by("scope", "-pk").distinct("scope")
    return {
        run.scope: {
            "status": str(run.status),
            "finished_at": _time(run.finished_at),
            "block_height": run.block_height,
            "open_breaks": open_cases.get(run.scope, 0),
        }
        for run in newest
    }


def _books() -> dict[str, Any] | None:
    """Return the newest checkpoint of the books, and the tx of the newest anchor that is in a block; None before any."""
    newest = Checkpoint.objects.select_related("seal").order_by("-seal__size").first()
    if newest is None:
        return None
    anchors = Payout.objects.filter(checkpoint__isnull=False, status=PayoutStatus.SETTLED)
    anchor = anchors.select_related("checkpoint__seal").order_by("-checkpoint__seal__size").first()
    return {
        "entries": newest.seal.size,
        "root": bytes(newest.seal.root).hex(),
        "signed_at": _time(newest.signed_at),
        "note": newest.note,
        "anchor": anchor
        and anchor.checkpoint
        and {
            "entries": anchor.checkpoint.seal.size,
            "txid": anchor.mined_txid,
            "block_height": anchor.mined_height,
        },
    }


def _reserve() -> dict[str, Any] | None:
    """Return every address of the reserve at the newest block that was looked at; None before any look."""
    scan = reserve.standing().first()
    if scan is None:
        return None
    rows: Iterable[ReserveBalance] = ReserveBalance.objects.filter(scan=scan).order_by("scope", "address")
    return {
        "block_height": scan.height,
        "block_hash": scan.block_hash,
        "block_at": _time(scan.block_at),
        "addresses": [
            {
                "institution": row.scope,
                "address": row.address,
                "amount_sat": str(row.amount_sat),
                "badge": str(row.badge),
            }
            for row in rows
        ],
    }


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
