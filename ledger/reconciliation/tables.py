"""The temporary tables of one run: what it compares side by side, all or what changed, gone with the transaction."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db import connection

from ledger.reconciliation import touched
from ledger.reconciliation.evidence import Backend
from ledger.reconciliation.touched import Scope

BATCH = 5_000

CREATE = """
CREATE TEMP TABLE recon_claim (payment_id bigint, payout_id bigint, txid text, vout bigint, script_pubkey bytea,
    amount_sat bigint, is_mined boolean, obligation bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_conversion (payment_id bigint, payout_id bigint, amount_minor bigint, amount_sat bigint,
    price numeric, scale int) ON COMMIT DROP;
CREATE TEMP TABLE recon_list (list_id bigint, amount_minor bigint, amount_sat bigint, remainder_minor bigint)
    ON COMMIT DROP;
CREATE TEMP TABLE recon_payout (payout_id bigint, txid text, fee_sat bigint, payments_sat bigint, is_mined boolean,
    is_settled boolean, was_sent boolean, was_mined boolean, since timestamptz) ON COMMIT DROP;
CREATE TEMP TABLE recon_version (payout_id bigint, txid text) ON COMMIT DROP;
CREATE TEMP TABLE recon_change (txid text, vout bigint, script_pubkey bytea, amount_sat bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_waiting (txid text) ON COMMIT DROP;
CREATE TEMP TABLE recon_txid (txid text PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE recon_source (source_ref text PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE recon_reference (payment_id bigint PRIMARY KEY) ON COMMIT DROP;
CREATE TEMP TABLE recon_entry (id bigint, source_ref text, scope text) ON COMMIT DROP;
CREATE TEMP TABLE recon_booked_payment (payment_id bigint, amount bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_booked_source (source_ref text, wallet_sat bigint, fee_sat bigint, settled_sat bigint,
    block_hash text, block_height bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_payment (payment_id bigint, payout_id bigint, txid text, vout bigint, outcome text,
    is_break boolean, claimed_sat bigint, found_sat bigint, booked_sat bigint, claimed_script bytea, found_script bytea)
    ON COMMIT DROP;
CREATE TEMP TABLE recon_movement (source_ref text, is_out boolean, txid text, vout bigint, spender text, booked_sat bigint,
    chain_sat bigint, is_off_chain boolean) ON COMMIT DROP;
CREATE TEMP TABLE recon_wallet (payout_id bigint, leaving_sat bigint, booked_sat bigint, chain_sat bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_break (unit text, kind text, payment_id bigint, payout_id bigint, txid text, vout bigint,
    expected text, found text, message text, amount_sat bigint) ON COMMIT DROP;
CREATE TEMP TABLE recon_unit (unit text, outcome text, count bigint, amount_sat bigint, is_open boolean) ON COMMIT DROP;
"""
ALL = (
    "recon_claim", "recon_conversion", "recon_list", "recon_payout", "recon_version", "recon_change", "recon_waiting",
    "recon_txid", "recon_source", "recon_reference", "recon_entry", "recon_booked_payment", "recon_booked_source",
    "recon_payment", "recon_movement", "recon_wallet", "recon_break", "recon_unit",
)  # fmt: skip
DROP = "DROP TABLE IF EXISTS " + ", ".join(f"pg_temp.{table}" for table in ALL)


def create() -> None:
    """Make the tables; must run inside a database transaction."""
    with connection.cursor() as cursor:
        # A transaction around several scopes reuses the names.
        cursor.execute(DROP)
        cursor.execute(CREATE)


def load(backend: Backend, scope: Scope, waiting: Iterable[str]) -> None:
    """Fill the tables with what is to be compared, after the blocks were taken in: all of it, or what changed.

    The claims are those of the transaction's snapshot.
    """
    _copy("recon_waiting", ((txid,) for txid in waiting))
    touched.entries(scope)
    if scope.is_full:
        _claims(backend, scope.name, None)
    else:
        found = set(touched.payouts())
        found.update(backend.changed(scope.name, scope.books_mark, touched.txids(scope)))
        found.update(backend.rivals(scope.name, sorted(found)))
        _claims(backend, scope.name, sorted(found))
        # What is booked for a payment may stand under a source that is not its payout's.
        owners = set(backend.owners(scope.name, touched.references_of_others(scope))) - found
        _claims(backend, scope.name, sorted(owners))
    if lists := touched.lists(scope):
        _copy("recon_list", backend.converted(scope.name, lists))
    with connection.cursor() as cursor:
        # The planner knows nothing of a table that was just filled.
        cursor.execute("ANALYZE recon_claim, recon_payout, recon_version, recon_change, recon_waiting")
    touched.books(scope)


def _claims(backend: Backend, scope: str, only: list[int] | None) -> None:
    if only is None or only:
        _copy("recon_claim", backend.claims(scope, only))
        _copy("recon_conversion", backend.conversions(scope, only))
        _copy("recon_payout", backend.payouts(scope, only))
        _copy("recon_version", backend.versions(scope, only))
        _copy("recon_change", backend.change(scope, only))


def _copy(table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    # The rows come from a cursor of this very connection, which cannot be read while it copies.
    left: Iterator[tuple[Any, ...]] = iter(rows)
    while batch := list(islice(left, BATCH)):
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in batch:
                copy.write_row(row)
