"""Follows the legs that trusts took: owed once their payouts settle, freed where nothing of them will ever be paid.

What settled is owed for good: a reorganization that is deeper than a program waits takes a block away and no payment, whose
txs all share an input. Until the block is there again, the statement tells the difference between books and addresses.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from ledger import audit, books, events
from ledger.treasury import movements
from ledger.treasury import trust as entries
from ledger.treasury.lots import Movement
from payments.models import Trust, TrustLeg, TrustPurse
from payments.models.history import move
from payments.payout import alarms
from payments.states import LegStatus, PaymentStatus, PayoutStatus
from payments.trust import money

AT_ONCE = 5_000
EVERY_S = 30
BELOW_FLOOR, ABOVE_CAP = "trust_below_floor", "trust_above_cap"
SUBJECT, WITHIN = "trust", "It is within its terms again."
SETTLED = Q(status=LegStatus.TAKEN, payment__payout__status=PayoutStatus.SETTLED) & ~Q(
    payment__status=PaymentStatus.VOIDED
)
GONE = Q(
    status__in=[LegStatus.ASKED, LegStatus.TAKEN, LegStatus.REFUSED],
    payment__status__in=[PaymentStatus.CANCELLED, PaymentStatus.VOIDED],
)


def due() -> Iterator[int]:
    """Find trusts with legs that settled or are gone."""
    rows = TrustLeg.objects.filter(SETTLED | GONE).order_by("trust_id")
    yield from rows.values_list("trust_id", flat=True).distinct()


def follow(trust_id: int) -> int:
    """Owe what settled and free what is gone, some thousand legs at a time; return how many those were."""
    count = 0
    while done := _step(trust_id):
        count += done
    return count


@transaction.atomic
def _step(trust_id: int) -> int:
    trust, now, done = money.lock(trust_id), timezone.now(), 0
    for purse in TrustPurse.objects.select_for_update(no_key=True).filter(trust=trust).order_by("pk"):
        purse.trust = trust
        of_purse = TrustLeg.objects.filter(purse=purse).order_by("pk")
        settled = list(
            of_purse.filter(SETTLED).select_related("payment__disbursement__released_by")[:AT_ONCE]
        )
        gone = list(of_purse.filter(GONE).select_related("payment")[:AT_ONCE])
        if settled:
            _owe(purse, settled, now)
        if gone:
            _free(purse, gone, now)
        done += len(settled) + len(gone)
    if done:
        look(trust)
        audit.record_all("trust.follow", Trust, {trust.pk: trust.scope})
    return done


def _owe(purse: TrustPurse, legs: list[TrustLeg], now: datetime) -> None:
    """Take the bitcoin of legs into the inventory, a lot each, and owe their people the currency."""
    trust = purse.trust
    values, amounts = [leg.value_minor or 0 for leg in legs], [leg.amount_sat or 0 for leg in legs]
    _settle_promise(purse, sum(amounts), sum(values))
    purse.owed_minor += sum(values)
    purse.save(update_fields=["promised_minor", "owed_minor"])
    trust.inventory_sat += sum(amounts)
    trust.save(update_fields=["promised_sat", "inventory_sat"])
    by_releaser: dict[User, list[Movement]] = defaultdict(list)
    for leg in legs:
        released_by = leg.payment.disbursement.released_by
        assert released_by is not None, f"Leg {leg.pk} was taken of a list that nobody released."
        reference = f"leg:{leg.pk}"
        by_releaser[released_by].append(
            Movement(now, True, leg.amount_sat or 0, leg.value_minor or 0, reference)
        )
    for releaser, lots in by_releaser.items():
        movements.enter(
            by=releaser, scope=trust.scope, currency=purse.currency, scale=purse.scale, movements=lots
        )
    books.post(
        entries.owe(
            scope=trust.scope,
            currency=purse.currency,
            payment_ids=[leg.payment_id for leg in of_list],
            amounts_sat=[leg.amount_sat or 0 for leg in of_list],
            values_minor=[leg.value_minor or 0 for leg in of_list],
            key=f"trust_owe:leg:{of_list[0].pk}",
            source_ref=f"disbursement:{list_id}",
            actor=events.ENGINE,
            effective_at=now,
        )
        for list_id, of_list in _by_list(legs).items()
    )
    _move(legs, LegStatus.TAKEN, LegStatus.OWED, owed_at=now)


def _free(purse: TrustPurse, legs: list[TrustLeg], now: datetime) -> None:
    """Promise no more what is gone; what was not taken was never promised."""
    taken = [leg for leg in legs if leg.status == LegStatus.TAKEN]
    value_minor = sum(leg.value_minor or 0 for leg in taken)
    if taken:
        _settle_promise(purse, sum(leg.amount_sat or 0 for leg in taken), value_minor)
        purse.save(update_fields=["promised_minor"])
        purse.trust.save(update_fields=["promised_sat"])
        books.post(
            entries.promise(
                scope=purse.trust.scope,
                currency=purse.currency,
                value_minor=-sum(leg.value_minor or 0 for leg in of_list),
                key=f"trust_promise_freed:leg:{of_list[0].pk}",
                source_ref=f"disbursement:{list_id}",
                memo=f"{len(of_list)} legs",
                actor=events.ENGINE,
                effective_at=now,
            )
            for list_id, of_list in _by_list(taken).items()
        )
    for status in (LegStatus.ASKED, LegStatus.TAKEN, LegStatus.REFUSED):
        _move([leg for leg in legs if leg.status == status], status, LegStatus.FREED)


def _by_list(legs: list[TrustLeg]) -> dict[int, list[TrustLeg]]:
    """Return legs by the list that they are of: its entries, and no other list's, are in its evidence pack."""
    found: dict[int, list[TrustLeg]] = defaultdict(list)
    for leg in legs:
        found[leg.payment.disbursement_id].append(leg)
    return found


def _settle_promise(purse: TrustPurse, amount_sat: int, value_minor: int) -> None:
    purse.promised_minor -= value_minor
    purse.trust.promised_sat -= amount_sat


def _move(legs: list[TrustLeg], old: str, new: str, **changes: Any) -> None:
    ids = [leg.pk for leg in legs]
    if ids:
        move(TrustLeg.objects.filter(pk__in=ids), old=old, new=new, expected=len(ids), **changes)


def look(trust: Trust) -> None:
    """Sound an alarm while a trust is below a floor or above its cap, and close it when it is not."""
    about: dict[str, Any] = {"subject": SUBJECT, "subject_id": trust.pk}
    below = [purse for purse in TrustPurse.objects.filter(trust=trust).order_by("pk") if purse.free_minor < 0]
    if below:
        words = [
            f"{purse.currency}: {-purse.free_minor:,} minor units below the floor of {purse.floor_minor:,}."
            for purse in below
        ]
        alarms.sound(BELOW_FLOOR, message=f"{trust}: {' '.join(words)}", **about)
    else:
        alarms.clear(BELOW_FLOOR, note=WITHIN, **about)
    if trust.room_sat < 0:
        over = f"{-trust.room_sat:,} sat above the cap of {trust.inventory_cap_sat:,}."
        alarms.sound(ABOVE_CAP, message=f"{trust}: {over}", **about)
    else:
        alarms.clear(ABOVE_CAP, note=WITHIN, **about)
