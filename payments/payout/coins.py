"""Reads which confirmed coins of a wallet are free to spend; reservations live in PostgreSQL only."""

from typing import Any

from django.db import connection
from django.db.models import QuerySet

from payments.models import Coin, ScriptPurpose, Wallet, WalletScript
from payments.onchain import fee, tx
from payments.payout.selection import MAX_INPUTS, FreeCoin, Terms
from payments.states import PayoutStatus

COINBASE_MATURITY = 100
# How many coins of each kind selection is offered, whatever the wallet holds.
LARGEST = MAX_INPUTS
MAX_SAT = 2_100_000_000_000_001
SMALLEST = MAX_INPUTS

# Confirmed, mature, reserved by nobody, not found gone a moment ago, and not a stranger's dust.
FREE = """
SELECT c.txid, c.vout, c.amount_sat, c.script_pubkey FROM payments_coin c
WHERE c.wallet_id = %(wallet)s AND c.spent_by_txid IS NULL AND c.amount_sat >= %(least)s
AND (c.funding_entry_id IS NULL OR c.amount_sat >= %(least_deposit)s)
AND (NOT c.is_coinbase OR c.block_height + %(maturity)s <=
    (SELECT max(height) FROM payments_block WHERE is_active))
AND NOT EXISTS (
    SELECT FROM payments_reservation r WHERE r.txid = c.txid AND r.vout = c.vout AND r.is_live)
AND (c.txid, c.vout) NOT IN (
    SELECT r.txid, r.vout FROM payments_payout p JOIN payments_reservation r ON r.payout_id = p.id
    WHERE p.status = 'unsealed' AND p.due_at > clock_timestamp())
"""
# A few that suffice alone, smallest first; the largest and the smallest.
OFFERED = f"""
WITH free AS ({FREE})
(SELECT * FROM free WHERE amount_sat >= %(need)s ORDER BY amount_sat, txid, vout LIMIT %(singles)s)
UNION (SELECT * FROM free ORDER BY amount_sat DESC, txid, vout LIMIT {LARGEST})
UNION (SELECT * FROM free ORDER BY amount_sat, txid, vout LIMIT {SMALLEST})
"""  # noqa: S608 - all parts are constants.
FREE_SAT = f"SELECT coalesce(sum(amount_sat), 0) FROM ({FREE}) f"  # noqa: S608 - all parts are constants.

BY_SIZE = f"""
SELECT * FROM ({FREE}) f WHERE amount_sat < %(below)s
ORDER BY amount_sat * %(sign)s, txid, vout LIMIT %(most)s
"""  # noqa: S608 - all parts are constants.
LARGER = f"""
SELECT count(*) FROM ({FREE}) f WHERE (amount_sat, txid, vout) > (%(amount)s, %(txid)s, %(vout)s)
"""  # noqa: S608 - all parts are constants.

# Change that a block will confirm, unless somebody must look at its payout.
COMING = """
SELECT t.txid, o.vout, o.amount_sat, o.script_pubkey FROM payments_payout p
JOIN payments_payouttx t ON t.id = p.current_id JOIN payments_changeoutput o ON o.version_id = t.id
WHERE p.wallet_id = %(wallet)s AND p.status = ANY(%(statuses)s) LIMIT %(most)s
"""
COMING_STATUSES = [PayoutStatus.SEALED, PayoutStatus.COMMITTED, PayoutStatus.SIGNED, PayoutStatus.SENT]
COMING_AT_MOST = 100


def terms(wallet: Wallet, feerate_sat_kvb: int) -> Terms:
    """Return what inputs and change of the wallet cost at this feerate and in the long run."""
    return Terms(
        feerate_sat_kvb=feerate_sat_kvb,
        long_term_sat_kvb=wallet.program.feerate_long_term_sat_kvb,
        input_weight=wallet.input_weight,
        change_weight=wallet.change_weight,
    )


def least_deposit_sat(wallet: Wallet) -> int:
    """Return the least deposit that payouts spend: what its input costs at the program's ceiling.

    A stranger can send less to any of our scripts, to link them when they are spent together; it is booked as any
    other deposit and left where it is.
    """
    return fee.fee_sat(weight=wallet.input_weight, feerate_sat_kvb=wallet.program.feerate_ceiling_sat_kvb)


def is_dust(coin: Coin) -> bool:
    """Tell whether this is a stranger's dust, which payouts leave where it is."""
    return coin.funding_entry_id is not None and coin.amount_sat < least_deposit_sat(coin.wallet)


def free(wallet: Wallet, need_sat: int, *, feerate_sat_kvb: int) -> list[FreeCoin]:
    """Return the coins among which ``need_sat`` is best found, of those that are free: a bounded number of them.

    Left out are coins whose input costs more than they hold at this feerate, and deposits of strangers' dust. Call it
    under the wallet's row lock, and reserve what is chosen in the same database transaction.
    """
    values = _values(wallet, feerate_sat_kvb)
    values |= {"need": need_sat, "singles": wallet.program.coins_wanted + 1}
    return _read(wallet, OFFERED, values)


def free_sat(wallet: Wallet, *, feerate_sat_kvb: int) -> int:
    """Return what all the coins hold that ``free`` chooses from."""
    with connection.cursor() as cursor:
        cursor.execute(FREE_SAT, _values(wallet, feerate_sat_kvb))
        return int(cursor.fetchone()[0])


def coming(wallet: Wallet) -> list[FreeCoin]:
    """Return change of payouts that no block holds yet: it may not be spent, but waited for. At most a hundred."""
    values = {"wallet": wallet.pk, "statuses": COMING_STATUSES, "most": COMING_AT_MOST}
    return _read(wallet, COMING, values)


def by_size(
    wallet: Wallet, *, least_sat: int, most: int, below_sat: int = MAX_SAT, largest_first: bool = False
) -> list[FreeCoin]:
    """Return free coins of ``least_sat`` up to ``below_sat``, the smallest or the largest first, deposits included."""
    values = _values(wallet, 0) | {"least": least_sat, "least_deposit": 0, "below": below_sat, "most": most}
    return _read(wallet, BY_SIZE, values | {"sign": -1 if largest_first else 1})


def count_larger(wallet: Wallet, found: list[FreeCoin]) -> int:
    """Count the free coins beyond the largest of those that ``by_size`` found."""
    if not found:
        return 0
    last = found[-1]
    values = _values(wallet, 0) | {
        "amount": last.amount_sat,
        "txid": last.outpoint.txid,
        "vout": last.outpoint.vout,
    }
    with connection.cursor() as cursor:
        cursor.execute(LARGER, values)
        return int(cursor.fetchone()[0])


def change_scripts(wallet: Wallet) -> QuerySet[WalletScript]:
    """Return the change scripts that no payout has claimed."""
    return WalletScript.objects.filter(wallet=wallet, purpose=ScriptPurpose.CHANGE, is_claimed=False)


def change_in_store(wallet: Wallet, most: int) -> int:
    """Count the change scripts that no payout has claimed, up to ``most``."""
    return change_scripts(wallet)[:most].count()


def _read(wallet: Wallet, query: str, values: dict[str, Any]) -> list[FreeCoin]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [
            FreeCoin(tx.OutPoint(txid, vout), amount_sat, bytes(script), wallet.input_weight)
            for txid, vout, amount_sat, script in cursor.fetchall()
        ]


def _values(wallet: Wallet, feerate_sat_kvb: int) -> dict[str, Any]:
    return {
        "wallet": wallet.pk,
        "maturity": COINBASE_MATURITY,
        "least": fee.fee_sat(weight=wallet.input_weight, feerate_sat_kvb=feerate_sat_kvb) + 1,
        "least_deposit": least_deposit_sat(wallet),
    }
