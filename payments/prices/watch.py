"""Keeps watching prices: asks the sources of currencies in use, judges what they say, opens breakers, sounds alarms."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from ledger import audit
from payments.models import PriceBreaker, PriceReading, PriceRule, PriceSource, PriceStatus
from payments.payout import alarms
from payments.prices import asking, quotes
from payments.prices.asking import Heard
from payments.prices.consensus import Broken
from payments.prices.reading import grouped

MISSING, OPEN = "price_missing", "price_breaker_open"
SUBJECT = "price"
# A look or two may fail; a currency without a price for so long waits for a person.
UNPRICED_S = 300
_WRITTEN = ("value", "value_at", "sha256", "seen_at", "asked_at", "fault", "message")


def due() -> list[int]:
    """Return the rules whose sources are to be asked now."""
    waiting = PriceStatus.objects.filter(rule__is_on=True, due_at__lte=Now()).order_by("due_at")
    return list(waiting.values_list("rule_id", flat=True))


def visit(rule_id: int) -> None:
    """Ask the sources of a currency and store what they said, unless somebody else does that now or has just done it."""
    mine = PriceStatus.objects.filter(rule_id=rule_id, rule__is_on=True, due_at__lte=Now()).update(
        due_at=Now() + timedelta(seconds=settings.GOVPAY_PRICES_S)
    )
    if mine:
        look(rule_id)


def look(rule_id: int) -> None:
    """Ask the sources of a currency, outside every database transaction, and store what they said."""
    asked_at = timezone.now()
    currency = PriceRule.objects.values_list("currency", flat=True).get(pk=rule_id)
    sources = list(PriceSource.objects.filter(currency=currency, ended_at=None))
    store(rule_id, asking.ask_all(sources), asked_at=asked_at)


@transaction.atomic
def store(rule_id: int, heard: Mapping[PriceSource, Heard], *, asked_at: datetime) -> None:
    """Write what sources said and what is believed of it, and open the breaker where that jumped, all together.

    Looks may overlap: what was asked for later stays.
    """
    rule = PriceRule.objects.select_for_update(no_key=True).get(pk=rule_id)
    _write(rule, heard, asked_at)
    now = timezone.now()
    standing = quotes.stand(rule.currency, at=now)
    assert standing is not None, "The rule is there: it is locked."
    verdict = standing.verdict
    if verdict.broken == Broken.JUMP and standing.breaker is None:
        _open(rule, standing, now)
    rule_against, message = standing.against
    changes = {"checked_at": now, "broken_rule": str(rule_against), "message": message[:300]}
    if standing.price is not None:
        changes |= {"accepted_price": standing.price, "accepted_at": now}
    PriceStatus.objects.filter(rule=rule).update(**changes)


def tell(now: datetime) -> None:
    """Open and close the alarms about open breakers and currencies without a price; every look finds the same."""
    breakers = PriceBreaker.objects.filter(closed_at=None, rule__is_on=True).select_related("rule")
    jumped = {row.rule_id: row for row in breakers.order_by("rule")}
    for row in jumped.values():
        before, after = grouped(row.from_price), grouped(row.to_price, row.rule.currency)
        message = f"The price of a bitcoin jumped from {before} to {after}."
        alarms.sound(OPEN, subject=SUBJECT, subject_id=row.rule_id, message=message)
    alarms.clear_others(
        OPEN,
        subject=SUBJECT,
        subject_ids=jumped,
        note="Two people closed it, or the currency is off.",
    )
    old = now - timedelta(seconds=UNPRICED_S)
    missing = {
        row.rule_id: row
        for row in PriceStatus.objects.filter(rule__is_on=True)
        .select_related("rule__proposal")
        .order_by("rule")
        if row.rule_id not in jumped and (row.accepted_at or row.rule.proposal.decided_at or now) < old
    }
    for status in missing.values():
        why = status.message or "Nobody has asked its sources."
        alarms.sound(
            MISSING,
            subject=SUBJECT,
            subject_id=status.rule_id,
            message=f"There is no price in {status.rule.currency}. {why}",
        )
    alarms.clear_others(
        MISSING,
        subject=SUBJECT,
        subject_ids=missing,
        note="It is over: there is a price, or a breaker, or the currency is off.",
    )


def _open(rule: PriceRule, standing: quotes.Standing, now: datetime) -> None:
    """Open the breaker; that it was opened is an act of its own."""
    old, new = standing.status.accepted_price, standing.verdict.price
    assert old is not None and new is not None, "It jumped from one price to another."  # noqa: PT018
    breaker = PriceBreaker.objects.create(rule=rule, opened_at=now, from_price=old, to_price=new)
    audit.record("price_breaker.open", breaker)


def _write(rule: PriceRule, heard: Mapping[PriceSource, Heard], asked_at: datetime) -> None:
    """Write what each source said with one statement; what was ended, or led elsewhere, since it was asked is left out."""
    asked = {source.pk: (source.address, said) for source, said in heard.items()}
    current = PriceSource.objects.filter(currency=rule.currency, ended_at=None, pk__in=asked)
    rows = []
    for source in current.select_related("reading"):
        address, said = asked[source.pk]
        before: PriceReading | None = getattr(source, "reading", None)
        if source.address == address and (before is None or before.asked_at < asked_at):
            rows.append(_reading(source.pk, said, before, asked_at))
    PriceReading.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["source"], update_fields=_WRITTEN
    )


def _reading(source_id: int, said: Heard, before: PriceReading | None, asked_at: datetime) -> PriceReading:
    made = PriceReading(source_id=source_id, asked_at=asked_at, fault=said.fault, message=said.message[:300])
    if before is not None:
        made.sha256, made.seen_at = before.sha256, before.seen_at
    if said.fault in asking.SILENT and before is not None:
        made.value, made.value_at = before.value, before.value_at
    if said.value is None:
        return made
    if said.sha256 != bytes(made.sha256 or b""):
        made.sha256, made.seen_at = said.sha256, asked_at
    made.value, made.value_at = said.value, said.at or made.seen_at
    return made
