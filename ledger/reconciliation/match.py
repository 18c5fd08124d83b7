"""Applies the rules to what was loaded, sums up where the scope stands, and asserts the balance at the block."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from ledger.models import BreakKind, Standing
from ledger.reconciliation import acts, outcomes, rules
from ledger.reconciliation.evidence import UtxoFact
from ledger.reconciliation.touched import Scope

# What differs is what people explain: the sums themselves are others after the next payment.
BALANCE_BREAK = """
INSERT INTO recon_break VALUES (%(unit)s, 'balance', NULL, NULL, '', NULL, '0', %(found)s, %(message)s, %(difference)s)
"""
OUTCOMES = ("claims", "matched", *BreakKind.values)


class Result(NamedTuple):
    """How often each outcome occurred, and sums in satoshis; the breaks themselves are in ``recon_break``."""

    counts: dict[str, int]
    totals: dict[str, int]
    break_count: int


def match(scope: Scope, standing: Standing, utxo: UtxoFact, now: datetime) -> Result:
    """Apply every rule to the loaded tables; must run in the database transaction that loaded them.

    The books, what is about to leave the wallet and what the breaks explain must be what the blocks add up to, and that
    must be what the node holds unspent.
    """
    values = scope.values | {
        "overdue": now - settings.GOVPAY_RECONCILE_PATIENCE,
        "patience_s": settings.GOVPAY_RECONCILE_PATIENCE.total_seconds(),
    }
    with connection.cursor() as cursor:
        for statement in (*rules.COMPARE, acts.breaks(is_full=scope.is_full), *outcomes.SUM_UP):
            cursor.execute(statement, values)
        cursor.execute(outcomes.SUMS, values)
        sums: dict[str, tuple[int, int]] = {
            outcome: (count, amount_sat) for outcome, count, amount_sat in cursor.fetchall()
        }

        def total(outcome: str) -> int:
            return sums.get(outcome, (0, 0))[1]

        expected_sat = standing.booked_sat + total("leaving") + total("difference")
        booked, unspent, counted = expected_sat, standing.unspent_sat, utxo.amount_sat
        for unit, expected, found, message in (
            (
                *("wallet", booked, unspent),
                f"By the books {booked:,} sat are unspent, by the blocks {unspent:,} sat.",
            ),
            (
                *("coins", unspent, counted),
                f"By the blocks {unspent:,} sat are unspent, by the node's own set {counted:,} sat.",
            ),
        ):
            if expected != found:
                difference = found - expected
                shown: dict[str, str | int] = {
                    "unit": unit,
                    "found": str(difference),
                    "difference": difference,
                    "message": message,
                }
                cursor.execute(BALANCE_BREAK, shown)
                sums["balance"] = (sums.get("balance", (0, 0))[0] + 1, 0)
        cursor.execute("SELECT count(*) FROM recon_break")
        (break_count,) = cursor.fetchone()
    return Result(
        {outcome: sums.get(outcome, (0, 0))[0] for outcome in OUTCOMES},
        {
            "claimed_sat": total("claims"),
            "matched_sat": total("matched"),
            "in_flight_sat": total("in_flight"),
            "entries": standing.entry_count,
            "wallet_booked_sat": standing.booked_sat,
            "wallet_leaving_sat": total("leaving"),
            "wallet_explained_sat": total("difference"),
            "wallet_unspent_sat": utxo.amount_sat,
            "wallet_unspent_count": utxo.coin_count,
        },
        break_count,
    )
