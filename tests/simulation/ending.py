"""What must be true of the simulation once everything has healed."""

from collections.abc import Iterable

from payments.states import PayoutStatus
from tests.invariants import checks
from tests.simulation.network import ODD, Network
from tests.simulation.rows import CHANGE, MOST_FEE_SAT
from tests.simulation.store import MemoryStore


def check_known(network: Network, store: MemoryStore) -> None:
    """I3: whatever spends a coin of ours is stored as it is, but for a stranger's."""
    stored = {v.txid for payout in store.payouts.values() for v in payout.versions if v.raw}
    spenders = checks.find_spenders({CHANGE}, network.live())
    strange = {tx.txid for tx in spenders} - stored - network.stolen
    if strange:
        raise checks.Violation(f"I3: {strange} spend our outpoints and are not stored")


def check_alive(network: Network, store: MemoryStore, owed: Iterable[checks.Owed], *, group: int) -> None:
    """I5: everybody is paid exactly once, but for those whom the coins that were left do not carry."""
    live = network.live()
    odd = {pk for pk, line in store.lines.items() if line.script_pubkey.startswith(ODD)}
    if not store.held <= odd:
        raise checks.Violation(f"I5: payments {store.held - odd} are held, and no node refuses them")
    unsealed = [pk for pk in store.lines if store.is_waiting(pk)]
    if unsealed:
        free_sat = sum(coin.amount_sat for coin in store.free_coins())
        if free_sat > min(store.lines[pk].amount_sat for pk in unsealed) * group + MOST_FEE_SAT:
            raise checks.Violation(f"I5: payments {unsealed} wait in front of {free_sat} sat")
    stuck = {
        payout.payout_id: payout.status
        for payout in store.payouts.values()
        if payout.status not in (PayoutStatus.SETTLED, PayoutStatus.UNSEALED, PayoutStatus.VOIDED)
    }
    if stuck:
        raise checks.Violation(f"I5: payouts {stuck} move no more")
    excused = {*unsealed, *store.held}
    checks.check_paid([o for o in owed if o.payment_id not in excused], live, exactly=True)
