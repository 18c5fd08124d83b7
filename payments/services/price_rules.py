"""The kinds of proposals about prices: the rule of a currency, and its sources; two security administrators for each."""

from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.db import connection, models
from django.db.models.functions import Now
from django.utils import timezone

from govpay.errors import InvalidInput
from ledger import audit
from payments import outbound
from payments.models import PriceReading, PriceRule, PriceSource, PriceStatus, Proposal, SourceKind
from payments.models.price import MOST_SOURCES
from payments.prices import asking, reading
from payments.prices import currency as currencies
from payments.services import rules
from payments.services.change import Kind

# Whoever proposes or confirms anything about prices waits for whoever does so now: there is not always a row to lock.
LOCK = 0x676F7672
OF_RULE = ("is_on", "least_sources", "spread_bps", "jump_bps", "floor", "ceiling", "quote_s")
OF_SOURCE = ("currency", "name", "kind", "address", "fresh_s", "is_ended")
# What is asked once, and never changed: another one is another source.
FIXED = ("currency", "kind")
PRICES = ("floor", "ceiling")


def _current_rule(proposal: Proposal) -> dict[str, Any]:
    currency = proposal.asked["currency"]
    currencies.scale(currency)
    _lock()
    found = PriceRule.objects.select_for_update(no_key=True).filter(currency=currency).first()
    return {"currency": currency} | {name: _plain(found, name) for name in OF_RULE}


def _change_rule(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    is_new = before["least_sources"] is None
    after = before | ({"is_on": True} if is_new else {})
    after |= {name: proposal.asked[name] for name in OF_RULE if name in proposal.asked}
    _require_all(after)
    for name in PRICES:
        after[name] = _price(name, after[name])
    if Decimal(after["ceiling"]) <= Decimal(after["floor"]):
        raise InvalidInput.of("ceiling", "not_above_floor", "The ceiling must be above the floor.")
    if after == before:
        raise InvalidInput.of("", "nothing_changes", "The rule says this already.")
    found = PriceRule.objects.filter(currency=after["currency"]).first() or PriceRule()
    _check(found, {name: after[name] for name in ("currency", *OF_RULE)}, proposal)
    return after


def _apply_rule(proposal: Proposal, by: User) -> None:
    after = proposal.after
    found = PriceRule.objects.filter(currency=after["currency"]).first()
    was = None if found is None else audit.digest(found)
    row, _ = PriceRule.objects.update_or_create(
        currency=after["currency"], defaults={name: after[name] for name in OF_RULE} | {"proposal": proposal}
    )
    # Its sources are asked at once.
    PriceStatus.objects.update_or_create(rule=row, defaults={"due_at": Now()})
    _record("price_rule.change" if was else "price_rule.create", row, by, proposal, was)


def _current_source(proposal: Proposal) -> dict[str, Any]:
    _lock()
    source_id = proposal.asked["source_id"]
    if source_id is None:
        return {"source_id": None} | dict.fromkeys(OF_SOURCE)
    found = PriceSource.objects.select_for_update(no_key=True).filter(pk=source_id).first()
    if found is None:
        raise InvalidInput.of("source_id", "unknown_source", "There is no such source.")
    return {"source_id": source_id} | {name: _plain(found, name) for name in OF_SOURCE}


def _change_source(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    asked, is_new = proposal.asked, before["source_id"] is None
    if before["is_ended"]:
        raise InvalidInput.of("source_id", "source_ended", "The source was ended for good; propose another.")
    after = before | ({"is_ended": False, "address": ""} if is_new else {})
    after |= {name: asked[name] for name in OF_SOURCE if name in asked}
    for name in FIXED:
        if not is_new and after[name] != before[name]:
            raise InvalidInput.of(
                name, "source_fixed", "Currency and kind of a source stay; end it, and propose another."
            )
    _require_all(after, but="source_id")
    currencies.scale(after["currency"])
    if is_new and after["is_ended"]:
        raise InvalidInput.of("is_ended", "nothing_to_end", "There is no source yet to be ended.")
    after["address"] = after["address"].rstrip("/")
    if after == before:
        raise InvalidInput.of("", "nothing_changes", "The source is set like this already.")
    _require_address(after["kind"], after["address"])
    if not after["is_ended"]:
        _require_another(after)
    if (
        is_new
        and PriceSource.objects.filter(currency=after["currency"], ended_at=None).count() >= MOST_SOURCES
    ):
        raise InvalidInput.of(
            "currency", "too_many_sources", f"A currency has {MOST_SOURCES} sources at most; end one first."
        )
    found = PriceSource() if is_new else PriceSource.objects.get(pk=before["source_id"])
    _check(found, _columns(after), proposal)
    return after


def _apply_source(proposal: Proposal, by: User) -> None:
    after = proposal.after
    if after["source_id"] is None:
        made = PriceSource.objects.create(**_columns(after), proposal=proposal)
        _record("price_source.create", made, by, proposal, None)
    else:
        found = PriceSource.objects.get(pk=after["source_id"])
        was = audit.digest(found)
        PriceSource.objects.filter(pk=found.pk).update(**_columns(after), proposal=proposal)
        # What it said, it said from elsewhere.
        PriceReading.objects.filter(source=found).delete()
        _record("price_source.end" if after["is_ended"] else "price_source.change", found, by, proposal, was)
    PriceStatus.objects.filter(rule__currency=after["currency"]).update(due_at=Now())


def _columns(after: dict[str, Any]) -> dict[str, Any]:
    found = {name: after[name] for name in OF_SOURCE if name != "is_ended"}
    return found | {"ended_at": timezone.now() if after["is_ended"] else None}


def _plain(row: Any, name: str) -> Any:
    """Return a column of a row as JSON has it; nothing of no row."""
    if row is None:
        return None
    if name == "is_ended":
        return row.ended_at is not None
    return reading.text_of(getattr(row, name)) if name in PRICES else getattr(row, name)


def _require_all(after: dict[str, Any], but: str = "") -> None:
    for name, value in after.items():
        if value is None and name != but:
            raise InvalidInput.of(name, "missing", "This is needed of a new one.")


def _price(column: str, text: str) -> str:
    try:
        return reading.text_of(reading.price(text)) or ""
    except reading.Unreadable as error:
        raise InvalidInput.of(column, error.fault, error.message) from error


def _require_address(kind: str, address: str) -> None:
    """Raise InvalidInput unless a source of this kind can be asked at the address."""
    if kind == SourceKind.MANUAL:
        if address:
            raise InvalidInput.of("address", "address_refused", "Two people have no address.")
        return
    if kind == SourceKind.FILE:
        if asking.FILE_NAME.fullmatch(address) is None:
            message = (
                "A file is named by letters, digits, points, hyphens and underscores, without its folder."
            )
            raise InvalidInput.of("address", "address_refused", message)
        return
    try:
        outbound.check(address, outbound.public())
    except outbound.AddressRefused as error:
        raise InvalidInput.of("address", "address_refused", str(error)) from error
    if urlsplit(address).query or "?" in address:
        raise InvalidInput.of(
            "address", "address_refused", "The address ends before the path that its kind adds."
        )


def _require_another(after: dict[str, Any]) -> None:
    """Raise InvalidInput for a name that cannot be told from another source's, and for one that would be believed twice."""
    if not after["name"].isprintable():
        raise InvalidInput.of("name", "not_printable", "A name is one line, without control characters.")
    others = PriceSource.objects.filter(currency=after["currency"], ended_at=None).exclude(
        pk=after["source_id"]
    )
    if others.filter(name=after["name"]).exists():
        raise InvalidInput.of("name", "name_taken", "A source of the currency has this name already.")
    if others.filter(kind=after["kind"], address=after["address"]).exists():
        message = "A source of this kind is asked at this address already."
        raise InvalidInput.of("address", "asked_already", message)


def _check(row: models.Model, values: dict[str, Any], proposal: Proposal) -> None:
    """Raise InvalidInput with one error a field unless the row may be so."""
    for name, value in values.items():
        setattr(row, name, value)
    rules.check(row, exclude=("proposal",))


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _record(action: str, row: models.Model, by: User, proposal: Proposal, was: bytes | None) -> None:
    audit.record(action, row, by=by, reason=proposal.note, before=was)


RULE = Kind("price_rule", "Rule of a price", _current_rule, _change_rule, _apply_rule)
SOURCE = Kind("price_source", "Source of a price", _current_source, _change_source, _apply_source)
