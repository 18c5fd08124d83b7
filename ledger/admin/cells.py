"""Writes values the way accountants read them: grouped amounts to the right, short hashes, times with their zone."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html

from govpay.said import said

EMPTY = "—"
GOOD, BAD, UNSURE, PLAIN = "good", "bad", "unsure", "plain"
# In a sentence of reconciliation: satoshis, and no number of a payment, height or hash.
SATOSHIS = re.compile(r"\b\d{4,}(?= sat\b)|(?<=\binstead of )\d{4,}\b")
HASHES = re.compile(r"\b[0-9a-f]{40,}\b")
TONES = {"clean": GOOD, "breaks": BAD, "inconclusive": UNSURE}


def amount(units: int, currency: str = "BTC", scale: int = 8) -> str:
    """Write whole units of a currency, grouped by thousands; satoshis as such, others with their point."""
    return format_html('<span class="gl-number">{}</span>', in_words(units, currency, scale))


def amounts(debits: Sequence[Mapping[str, Any]]) -> str:
    """Write the sums of an entry's debits, of which there is one a currency."""
    return format_html('<span class="gl-number">{}</span>', sums(debits))


def sums(debits: Sequence[Mapping[str, Any]]) -> str:
    """Write them as plain text."""
    return "; ".join(in_words(each["total"], each["currency"], each["scale"]) for each in debits) or in_words(
        0
    )


def in_words(units: int, currency: str = "BTC", scale: int = 8) -> str:
    """Write such an amount as plain text."""
    if (currency, scale) == ("BTC", 8):
        return f"{units:,} sat"
    whole, rest = divmod(abs(units), 10**scale)
    text = ("-" if units < 0 else "") + f"{whole:,}" + (f".{rest:0{scale}d}" if scale else "")
    return f"{text} {currency}"


def number(count: int | None) -> str:
    """Write a count, grouped by thousands and aligned to the right."""
    return EMPTY if count is None else format_html('<span class="gl-number">{}</span>', f"{count:,}")


def short(text: str) -> str:
    """Write the two ends of a hash, monospaced; the whole of it is the title."""
    if not text:
        return EMPTY
    return format_html('<code class="gl-hash" title="{}">{}</code>', text, _ends(text))


def whole(text: str) -> str:
    """Write a hash in full, monospaced and free to break."""
    return format_html('<code class="gl-hash gl-whole">{}</code>', text) if text else EMPTY


def moment(at: datetime | None) -> str:
    """Write a time to the second with its zone."""
    if at is None:
        return EMPTY
    text = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time class="gl-time" datetime="{}">{}</time>', at.isoformat(), text)


def label(text: str, tone: str = PLAIN) -> str:
    """Write a state as a colored label."""
    return format_html('<span class="gl-label gl-{}">{}</span>', tone, said(text))


def long(text: str) -> str:
    """Write text of any length so that it breaks instead of pushing its neighbors away."""
    return format_html('<span class="gl-long">{}</span>', text) if text else EMPTY


def sentence(text: str, *, is_short: bool = False) -> str:
    """Write what reconciliation says, with its satoshis grouped, and hashes shortened where a row must stay low."""
    shown = SATOSHIS.sub(lambda found: f"{int(found[0]):,}", said(text))
    if not is_short:
        return long(shown)
    shown = HASHES.sub(lambda found: _ends(found[0]), shown)
    return format_html('<span class="gl-long" title="{}">{}</span>', said(text), shown) if text else EMPTY


def compared(text: str, *, is_short: bool = False) -> str:
    """Write one side of a difference: satoshis grouped, a txid or script as a hash, and else words."""
    if len(text) < 20 and text.removeprefix("-").isdecimal():
        return amount(int(text))
    return long(text) if not HASHES.fullmatch(text) else short(text) if is_short else whole(text)


def lines(text: str) -> str:
    """Write text whose line ends count, so that it can be copied as it is."""
    return format_html('<pre class="gl-lines">{}</pre>', text) if text else EMPTY


def link(url: str, text: Any) -> str:
    """Write a link."""
    return format_html('<a class="gl-link" href="{}">{}</a>', url, said(text))


def page_of(model: type[Model], pk: int) -> str:
    """Return the address of a row's page in the admin."""
    return reverse(f"admin:ledger_{model._meta.model_name}_change", args=[pk])


def list_of(model: type[Model], query: str = "") -> str:
    """Return the address of a model's list in the admin, filtered."""
    return reverse(f"admin:ledger_{model._meta.model_name}_changelist") + (f"?{query}" if query else "")


def place(height: int | None, block_hash: str, *, is_short: bool = False) -> str:
    """Write a block as its height and hash."""
    if height is None:
        return EMPTY
    return format_html("{} {}", f"{height:,}", short(block_hash) if is_short else whole(block_hash))


def outpoint(txid: str, vout: int | None, *, is_short: bool = True) -> str:
    """Write an outpoint, or the txid alone."""
    if not txid:
        return EMPTY
    text = short(txid) if is_short else whole(txid)
    return text if vout is None else format_html("{}:{}", text, vout)


def _ends(text: str) -> str:
    return f"{text[:8]}…{text[-6:]}" if len(text) > 18 else text
