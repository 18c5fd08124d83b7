"""Takes quotes: a price that several sources agree on at a moment, or a refusal that names the rule; there is no default."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict
from ledger import audit
from payments.models import PriceBreaker, PriceReading, PriceRule, PriceSource, PriceStatus, Quote, SourceKind
from payments.prices import consensus, manual
from payments.prices import currency as currencies
from payments.prices.consensus import Broken, Said, Terms, Verdict
from payments.prices.reading import text_of


class NoPrice(Conflict):
    """There is no price now; ``rule`` says what stands against it, ``sources`` what each of them said."""

    code = "no_price"


@dataclass(frozen=True)
class Standing:
    """What is to be believed of a currency at a moment, and by what."""

    rule: PriceRule
    status: PriceStatus
    breaker: PriceBreaker | None
    verdict: Verdict

    @property
    def broken(self) -> tuple[str, str]:
        """The rule that stands against a quote, with a sentence; an open breaker before all else."""
        if not self.rule.is_on:
            return Broken.NO_RULE, f"Prices in {self.rule.currency} are switched off."
        if self.breaker is not None:
            moved = f"from {text_of(self.breaker.from_price)} to {text_of(self.breaker.to_price)}"
            return (
                Broken.BREAKER,
                f"The price jumped {moved}, and two people have not closed the breaker yet.",
            )
        return self.verdict.broken, self.verdict.message


def take(currency: str, *, at: datetime | None = None) -> Quote:
    """Return a new quote of a currency, as of now or of ``at``. Nobody is asked: it is made of what sources said lately.

    It locks nothing, so that it may be taken inside a long database transaction. Raises UnknownCurrency, and NoPrice
    with the ``rule`` that is broken and what each source said.
    """
    currencies.scale(currency)
    moment = at or timezone.now()
    found = stand(currency, at=moment)
    if found is None:
        raise NoPrice(
            f"Nobody has said yet how a price in {currency} is made.",
            currency=currency,
            rule=str(Broken.NO_RULE),
        )
    broken, message = found.broken
    price, values = found.verdict.price, found.verdict.values
    if broken or price is None:
        raise NoPrice(message, currency=currency, rule=str(broken), sources=values)
    with transaction.atomic():
        quote = Quote.objects.create(
            currency=currency,
            price=price,
            taken_at=moment,
            expires_at=moment + timedelta(seconds=found.rule.quote_s),
            values=values,
            rule=_by(found),
        )
        audit.record("quote.take", quote)
    return quote


def stand(currency: str, *, at: datetime) -> Standing | None:
    """Return what is to be believed of a currency at a moment, or nothing where nobody made a rule.

    What sources said is read before the status and the breaker: the watch writes all of these in one database
    transaction, so that no value is ever judged without the breaker that it opened.
    """
    rule = PriceRule.objects.filter(currency=currency).first()
    if rule is None:
        return None
    said = heard(currency)
    status = PriceStatus.objects.get(rule=rule)
    breaker = rule.breakers.filter(closed_at=None).first()
    return Standing(rule, status, breaker, judge(rule, said, at=at, accepted=status.accepted_price))


def judge(rule: PriceRule, said: list[Said], *, at: datetime, accepted: Decimal | None) -> Verdict:
    """Return what is to be believed of these values by a currency's rule."""
    terms = Terms(rule.currency, rule.least_sources, rule.spread_bps, rule.jump_bps, rule.floor, rule.ceiling)
    return consensus.judge(terms, said, at=at, accepted=accepted)


def heard(currency: str) -> list[Said]:
    """Return what each source of a currency said last, by name."""
    sources = list(
        PriceSource.objects.filter(currency=currency, ended_at=None)
        .select_related("reading")
        .order_by("name")
    )
    given = manual.newest([source.pk for source in sources if source.kind == SourceKind.MANUAL])
    return [_said(source, given) for source in sources]


def _said(source: PriceSource, given: Mapping[int, manual.Given]) -> Said:
    known = (source.pk, source.name, source.kind, source.fresh_s)
    if source.kind == SourceKind.MANUAL:
        found = given.get(source.pk, manual.Given(None))
        if found.row is None:
            return Said(*known, None, None, found.fault)
        return Said(*known, found.row.price, found.row.given_at)
    reading: PriceReading | None = getattr(source, "reading", None)
    if reading is None:
        return Said(*known, None, None)
    return Said(*known, reading.value, reading.value_at, reading.fault)


def _by(found: Standing) -> dict[str, Any]:
    """Return the rule that a quote was judged by, as it stood."""
    rule, status = found.rule, found.status
    return {
        "proposal": rule.proposal_id,
        "least_sources": rule.least_sources,
        "spread_bps": rule.spread_bps,
        "jump_bps": rule.jump_bps,
        "floor": text_of(rule.floor),
        "ceiling": text_of(rule.ceiling),
        "accepted_price": text_of(status.accepted_price),
        "accepted_at": None if status.accepted_at is None else status.accepted_at.isoformat(),
    }
