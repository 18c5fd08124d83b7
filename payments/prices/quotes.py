"""Takes quotes: a price that several sources agree on at a moment, or a refusal that names the rule; there is no default."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from govpay.errors import Conflict
from ledger import audit
from payments.models import PriceBreaker, PriceReading, PriceRule, PriceSource, PriceStatus, Quote, SourceKind
from payments.payout import agreed
from payments.prices import consensus, manual
from payments.prices import currency as currencies
from payments.prices.consensus import Broken, Said, Terms, Verdict
from payments.prices.reading import grouped, text_of

VERSION = "govpay-quote-1"


class NoPrice(Conflict):
    """There is no price now; ``rule`` says what stands against it, ``sources`` what each of them said."""

    code = "no_price"


class Against(NamedTuple):
    """The rule that stands against a quote, and a sentence about it; both empty where none does."""

    rule: str
    message: str


class QuoteForged(Conflict):
    """What the database says of a quote was written by none of our processes."""

    code = "quote_forged"


@dataclass(frozen=True)
class Standing:
    """What is to be believed of a currency at a moment, and by what."""

    rule: PriceRule
    status: PriceStatus
    breaker: PriceBreaker | None
    verdict: Verdict

    @property
    def against(self) -> Against:
        """What stands against a quote; an open breaker before all else but the switch."""
        if not self.rule.is_on:
            return Against(Broken.NO_RULE, f"Prices in {self.rule.currency} are switched off.")
        if self.breaker is not None:
            before, after = self.breaker.from_price, grouped(self.breaker.to_price, self.rule.currency)
            text = f"The price jumped from {grouped(before)} to {after}, and two people have not closed the breaker yet."
            return Against(Broken.BREAKER, text)
        return Against(self.verdict.broken, self.verdict.message)

    @property
    def price(self) -> Decimal | None:
        """The price, unless a rule stands against it."""
        return None if self.against.rule else self.verdict.price


def take(currency: str, *, at: datetime | None = None, by: User | None = None) -> Quote:
    """Return a new quote of a currency, as of now or of ``at``. Nobody is asked: it is made of what sources said lately.

    ``by`` is whose act it belongs to, if anybody's. It locks nothing, so that it may be taken inside a long database
    transaction. Raises UnknownCurrency, and NoPrice with the ``rule`` that is broken and what each source said.
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
    price, values = found.price, found.verdict.values
    if price is None:
        rule, message = found.against
        raise NoPrice(message, currency=currency, rule=str(rule), sources=values)
    quote = Quote(
        currency=currency,
        price=price,
        taken_at=moment,
        expires_at=moment + timedelta(seconds=found.rule.quote_s),
        values=values,
        rule=_by(found),
    )
    sign(quote)
    with transaction.atomic():
        quote.save()
        audit.record("quote.take", quote, by=by)
    return quote


def sign(quote: Quote) -> None:
    """Put the MAC of all that a quote says into a row that is about to be added."""
    quote.key_id = agreed.newest_key()
    quote.mac = agreed.mac_of(quote.key_id, *_fields(quote)) or b""


def verify(quote: Quote) -> None:
    """Raise QuoteForged unless a process of ours took the quote as it stands; whoever pays by one asks first."""
    if not agreed.is_mac(quote.mac, quote.key_id, *_fields(quote)):
        raise QuoteForged(f"Quote {quote.pk} was taken by none of our processes.", quote_id=quote.pk)


def stand(currency: str, *, at: datetime) -> Standing | None:
    """Return what is to be believed of a currency at a moment, or nothing where nobody made a rule.

    What sources said is read before the status and the breaker: the watch writes all of these in one database
    transaction, so that no value is ever judged without the breaker that it opened.
    """
    rule = PriceRule.objects.filter(currency=currency).first()
    if rule is None:
        return None
    heard = said(sources([currency]))
    status = PriceStatus.objects.get(rule=rule)
    return judge(rule, status, rule.breakers.filter(closed_at=None).first(), heard, at=at)


def judge(
    rule: PriceRule, status: PriceStatus, breaker: PriceBreaker | None, heard: Sequence[Said], *, at: datetime
) -> Standing:
    """Return what is to be believed by a currency's rule of what its sources said."""
    terms = Terms(rule.currency, rule.least_sources, rule.spread_bps, rule.jump_bps, rule.floor, rule.ceiling)
    verdict = consensus.judge(terms, heard, at=at, accepted=status.accepted_price)
    return Standing(rule, status, breaker, verdict)


def sources(codes: Iterable[str]) -> list[PriceSource]:
    """Return the sources of currencies with what each said last, by name."""
    rows = PriceSource.objects.filter(currency__in=list(codes), ended_at=None)
    return list(rows.select_related("reading").order_by("name", "pk"))


def said(asked: Sequence[PriceSource]) -> list[Said]:
    """Return what each of the sources said last."""
    given = manual.newest([source.pk for source in asked if source.kind == SourceKind.MANUAL])
    return [_said(source, given) for source in asked]


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


def _fields(quote: Quote) -> tuple[Any, ...]:
    times = (agreed.moment(quote.taken_at), agreed.moment(quote.expires_at))
    return (VERSION, quote.currency, f"{quote.price:.8f}", *times, quote.values, quote.rule)


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
