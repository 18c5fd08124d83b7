"""What a board decides, kind by kind: which terms it has, and what is done once two members have signed it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User

from govpay.errors import InvalidInput
from ledger import books
from ledger.law import policy
from ledger.models.lot import MOST_MINOR, MOST_SAT
from ledger.treasury import movements
from ledger.treasury import trust as entries
from ledger.treasury.lots import Movement
from payments.models import Trust, TrustDecision, TrustDecisionKind, TrustPurse
from payments.prices import currency as currencies
from payments.reserve import ceiling
from payments.services import trust_payouts
from payments.trust import money

K = TrustDecisionKind
MAX_REFERENCE = 60
# Entries and lots are called after their decision.
KEY = ceiling.TRADED
# The bounds of each term that is a number.
BOUNDS: dict[str, tuple[int, int]] = {
    "amount_minor": (1, MOST_MINOR),
    "value_minor": (1, MOST_MINOR),
    "amount_sat": (1, MOST_SAT),
    "floor_minor": (0, MOST_MINOR),
    "limit_minor": (1, MOST_MINOR),
    "inventory_cap_sat": (0, MOST_SAT),
}
TERMS = ("currency", *BOUNDS, "reference")


class Context(NamedTuple):
    """A decision that two members have signed, its locked trust, the second member, and when."""

    decision: TrustDecision
    trust: Trust
    by: User
    at: datetime

    @property
    def key(self) -> str:
        """What its entry, or its lot, is called."""
        return f"{KEY}{self.decision.pk}"

    @property
    def words(self) -> dict[str, Any]:
        """What its entry says of people and papers."""
        return {
            "key": self.key,
            "source_ref": self.key,
            "memo": self.decision.terms["reference"],
            "actor": self.decision.made_by.get_username(),
            "approver": self.by.get_username(),
            "effective_at": self.at,
        }


class Act(NamedTuple):
    """A kind of decision: the terms that it needs, all and no other, and what is done."""

    terms: tuple[str, ...]
    do: Callable[[Context], None]


def read(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the terms of a decision as they are stored; raise InvalidInput with one error a field."""
    needed, errors = ACTS[kind].terms, []
    for name in TERMS:
        value = given.get(name)
        if name not in needed:
            if value is not None:
                errors.append((name, "out_of_place", f"This is no part of the decision {kind}."))
        elif value is None or value == "":
            errors.append((name, "missing", f"The decision {kind} needs it."))
        elif name in BOUNDS and not BOUNDS[name][0] <= value <= BOUNDS[name][1]:
            least, most = BOUNDS[name]
            errors.append((name, "out_of_range", f"Give {least:,} to {most:,}."))
        elif name == "reference" and not (value.isprintable() and len(value) <= MAX_REFERENCE):
            errors.append((name, "invalid", f"Give one line of up to {MAX_REFERENCE} characters."))
    if errors:
        raise InvalidInput.of_each(errors)
    if "currency" in needed:
        currencies.scale(given["currency"])
    return {name: given[name] for name in needed}


def carry_out(context: Context) -> None:
    """Do what two members have signed; raise what stands against it, and then nothing is done or booked."""
    ACTS[context.decision.kind].do(context)


def _capital(sign: int) -> Callable[[Context], None]:
    def do(context: Context) -> None:
        terms, trust = context.decision.terms, context.trust
        purse = money.lock_purse(trust, terms["currency"])
        if sign > 0:
            money.put_in(purse, terms["amount_minor"])
        else:
            money.take_out(purse, terms["amount_minor"])
        entry = entries.capital(
            scope=trust.scope,
            currency=purse.currency,
            amount_minor=sign * terms["amount_minor"],
            **context.words,
        )
        books.post([entry])

    return do


def _buy(context: Context) -> None:
    terms, trust = context.decision.terms, context.trust
    purse = money.lock_purse(trust, terms["currency"])
    _require_ceiling(trust, terms["amount_sat"], context.at)
    money.take_out(purse, terms["value_minor"])
    money.add_bitcoin(trust, terms["amount_sat"])
    _trade(context, purse, terms["amount_sat"], terms["value_minor"])


def _require_ceiling(trust: Trust, more_sat: int, at: datetime) -> None:
    """Raise PolicyRefused unless the law lets trusts buy so much, besides what they and all institutions under it added.

    What people's legs bring is bitcoin that the public sector had: it adds none.
    """
    profile = trust.policy_profile
    ceiling.lock_law(profile)
    total_sat = ceiling.room(profile, at=at).total_sat + more_sat
    policy.require(profile, policy.Rule.ACCUMULATION_CEILING, at=at, total_sat=total_sat)


def _sell(context: Context) -> None:
    terms, trust = context.decision.terms, context.trust
    purse = money.lock_purse(trust, terms["currency"])
    money.take_bitcoin(trust, terms["amount_sat"])
    money.put_in(purse, terms["value_minor"])
    _trade(context, purse, -terms["amount_sat"], -terms["value_minor"])


def _trade(context: Context, purse: TrustPurse, amount_sat: int, value_minor: int) -> None:
    """Book bitcoin that came, or, below zero, went, and the lot with it."""
    trust, is_acquisition = context.trust, amount_sat > 0
    movement = Movement(
        at=context.at,
        is_acquisition=is_acquisition,
        amount_sat=abs(amount_sat),
        value_minor=abs(value_minor),
        reference=context.key,
        jurisdiction="" if is_acquisition else trust.jurisdiction,
    )
    movements.enter(
        by=context.by, scope=trust.scope, currency=purse.currency, scale=purse.scale, movements=[movement]
    )
    entry = entries.trade(
        scope=trust.scope,
        currency=purse.currency,
        amount_sat=amount_sat,
        value_minor=value_minor,
        **context.words,
    )
    books.post([entry])


def _set_terms(context: Context) -> None:
    open_purse(context.trust, **context.decision.terms)


def open_purse(trust: Trust, *, currency: str, floor_minor: int, limit_minor: int) -> TrustPurse:
    """Give a trust's money in a currency these terms, and its accounts, where it has none yet."""
    scale = currencies.scale(currency)
    entries.open_currency(trust.scope, currency, scale)
    purse, _ = TrustPurse.objects.update_or_create(
        trust=trust,
        currency=currency,
        defaults={"floor_minor": floor_minor, "limit_minor": limit_minor},
        create_defaults={"floor_minor": floor_minor, "limit_minor": limit_minor, "scale": scale},
    )
    return purse


def _pay(context: Context) -> None:
    trust_payouts.pay(context.decision, context.trust, at=context.at)


def _set_cap(context: Context) -> None:
    context.trust.inventory_cap_sat = context.decision.terms["inventory_cap_sat"]
    context.trust.save(update_fields=["inventory_cap_sat"])


def _pause(is_paused: bool) -> Callable[[Context], None]:
    def do(context: Context) -> None:
        context.trust.is_paused = is_paused
        context.trust.save(update_fields=["is_paused"])

    return do


ACTS: dict[str, Act] = {
    K.CAPITAL_IN: Act(("currency", "amount_minor", "reference"), _capital(1)),
    K.CAPITAL_OUT: Act(("currency", "amount_minor", "reference"), _capital(-1)),
    K.PURCHASE: Act(("currency", "amount_sat", "value_minor", "reference"), _buy),
    K.SALE: Act(("currency", "amount_sat", "value_minor", "reference"), _sell),
    K.TERMS: Act(("currency", "floor_minor", "limit_minor"), _set_terms),
    K.PAY: Act(("currency",), _pay),
    K.CAP: Act(("inventory_cap_sat",), _set_cap),
    K.PAUSE: Act((), _pause(True)),
    K.RESUME: Act((), _pause(False)),
}
