"""A trust's money under lock: what may leave above its floor, and what may come below its cap.

Whoever changes it locks the trust, and then its purses by number; both after lists and wallets, and before payments.
"""

from govpay.errors import Conflict, InvalidInput
from payments.models import Trust, TrustPurse


class TrustBelowFloor(Conflict):
    """The trust's cash, less what it owes people and has promised them, would fall below its floor."""

    code = "trust_below_floor"


class TrustAboveCap(Conflict):
    """The trust would have more bitcoin than its cap."""

    code = "trust_above_cap"


class InventoryShort(Conflict):
    """The trust sells more bitcoin than it has."""

    code = "inventory_short"


def lock(trust_id: int) -> Trust:
    """Return a trust, locked until the database transaction ends."""
    return Trust.objects.select_for_update(no_key=True).get(pk=trust_id)


def lock_purse(trust: Trust, currency: str) -> TrustPurse:
    """Return a locked trust's money in a currency, locked too; raise InvalidInput where it has none."""
    found = TrustPurse.objects.select_for_update(no_key=True).filter(trust=trust, currency=currency).first()
    if found is None:
        raise InvalidInput.of("currency", "trust_without_currency", f"{trust} has no money in {currency}.")
    found.trust = trust
    return found


def put_in(purse: TrustPurse, amount_minor: int) -> None:
    """Add cash."""
    purse.cash_minor += amount_minor
    purse.save(update_fields=["cash_minor"])


def take_out(purse: TrustPurse, amount_minor: int) -> None:
    """Take cash that nobody is owed; raise TrustBelowFloor, with the figures, and change nothing."""
    if amount_minor > purse.free_minor:
        raise TrustBelowFloor(
            f"{purse.trust} may pay out {max(purse.free_minor, 0):,} minor units of {purse.currency} before its floor of "
            f"{purse.floor_minor:,}; this is {amount_minor:,}.",
            rule="floor",
            currency=purse.currency,
            floor_minor=purse.floor_minor,
            cash_minor=purse.cash_minor,
            owed_minor=purse.owed_minor,
            promised_minor=purse.promised_minor,
            needed_minor=amount_minor,
        )
    purse.cash_minor -= amount_minor
    purse.save(update_fields=["cash_minor"])


def add_bitcoin(trust: Trust, amount_sat: int) -> None:
    """Add bitcoin to what the trust has; raise TrustAboveCap, with the figures, and change nothing."""
    if amount_sat > trust.room_sat:
        raise TrustAboveCap(
            f"{trust} may take {max(trust.room_sat, 0):,} sat before its cap of {trust.inventory_cap_sat:,}; this is "
            f"{amount_sat:,}.",
            rule="cap",
            cap_sat=trust.inventory_cap_sat,
            inventory_sat=trust.inventory_sat,
            promised_sat=trust.promised_sat,
            needed_sat=amount_sat,
        )
    trust.inventory_sat += amount_sat
    trust.save(update_fields=["inventory_sat"])


def take_bitcoin(trust: Trust, amount_sat: int) -> None:
    """Take bitcoin from what the trust has; raise InventoryShort, and change nothing."""
    if amount_sat > trust.inventory_sat:
        raise InventoryShort(
            f"{trust} has {trust.inventory_sat:,} sat; this is {amount_sat:,}.",
            rule="inventory",
            inventory_sat=trust.inventory_sat,
            needed_sat=amount_sat,
        )
    trust.inventory_sat -= amount_sat
    trust.save(update_fields=["inventory_sat"])
