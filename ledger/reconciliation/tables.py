"""The temporary tables of one run: claims and chain side by side, gone with the database transaction."""

from collections.abc import Iterator
from itertools import islice

from django.db import connection

from ledger.reconciliation.evidence import Backend, ChangeClaim, Claim, PayoutClaim
from ledger.reconciliation.spool import TABLES, Spool

BATCH = 5_000

CREATE = """
CREATE TEMP TABLE recon_claim (payment_id bigint, payout_id bigint, txid text, vout bigint, script_pubkey bytea,
    amount_sat bigint, is_mined boolean) ON COMMIT DROP;
CREATE TEMP TABLE recon_payout (payout_id bigint, txid text, fee_sat bigint, payments_sat bigint, is_mined boolean)
    ON COMMIT DROP;
CREATE TEMP TABLE recon_change (txid text, vout bigint, script_pubkey bytea, amount_sat bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_tx (txid text, block_hash text, block_height bigint, input_count bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_output (txid text, vout bigint, script_pubkey bytea, amount_sat bigint, is_ours boolean)
    ON COMMIT DROP;
CREATE TEMP TABLE recon_spend (txid text, from_txid text, from_vout bigint, amount_sat bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_outcome (payment_id bigint, payout_id bigint, txid text, vout bigint, outcome text,
    claimed_sat bigint, found_sat bigint, booked_sat bigint, claimed_script bytea, found_script bytea)
    ON COMMIT DROP;
CREATE TEMP TABLE recon_break (kind text, payment_id bigint, payout_id bigint, txid text, vout bigint,
    expected text, found text, message text) ON COMMIT DROP;
"""
ALL = ("recon_claim", "recon_payout", "recon_change", *TABLES, "recon_outcome", "recon_break")
DROP = "DROP TABLE IF EXISTS " + ", ".join(f"pg_temp.{table}" for table in ALL)


def load(backend: Backend, scope: str, spool: Spool) -> None:
    """Make the tables and fill them with the chain from the spool and the claims from the backend.

    Must run inside a database transaction, whose snapshot the claims are.
    """
    with connection.cursor() as cursor:
        # A transaction around several scopes reuses the names.
        cursor.execute(DROP)
        cursor.execute(CREATE)
        for table in TABLES:
            with cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
                for chunk in spool.chunks(table):
                    copy.write(chunk)
    _copy("recon_claim", backend.claims(scope))
    _copy("recon_payout", backend.payouts(scope))
    _copy("recon_change", backend.change(scope))
    with connection.cursor() as cursor:
        # The planner knows nothing of a table that was just filled.
        cursor.execute("ANALYZE recon_claim, recon_payout, recon_change, recon_tx, recon_output, recon_spend")


def _copy(table: str, rows: Iterator[Claim] | Iterator[PayoutClaim] | Iterator[ChangeClaim]) -> None:
    # The rows come from a cursor of this very connection, which cannot be read while it copies.
    while batch := list(islice(rows, BATCH)):
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in batch:
                copy.write_row(row)
