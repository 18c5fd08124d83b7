"""Writes values the way officers read them: grouped satoshis, short hashes, times with their zone, colored states."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from govpay.said import said
from payments.admin import links
from payments.models import Program
from payments.onchain import address as onchain_address
from payments.onchain import network
from payments.prices import currency as currencies
from payments.selectors import people

EMPTY = "—"
GOOD, BUSY, INFO, BAD, PLAIN = "good", "busy", "info", "bad", "plain"
TONES = {
    "submitted": INFO,
    "approved": INFO,
    "released": BUSY,
    "completed": GOOD,
    "rejected": BAD,
    "held": BUSY,
    "committed": INFO,
    "signed": INFO,
    "sent": BUSY,
    "mined": BUSY,
    "settled": GOOD,
    "frozen": BAD,
    "voiding": BUSY,
    "voided": PLAIN,
    "proposed": BUSY,
    "confirmed": GOOD,
    "withdrawn": PLAIN,
    "done": GOOD,
    "failed": BAD,
    "waiting": BUSY,
    "claimed": INFO,
    "listed": GOOD,
    "expired": PLAIN,
    "lodged": INFO,
    "working": BUSY,
    "answered": GOOD,
    "loaded": GOOD,
    "mapping": BUSY,
    "checking": BUSY,
    "ready": INFO,
    "loading": BUSY,
    "refused": BAD,
}


def sat(amount_sat: int | None) -> str:
    """Write satoshis, grouped by thousands and aligned to the right."""
    if amount_sat is None:
        return EMPTY
    return format_html('<span class="gp-number">{} sat</span>', f"{amount_sat:,}")


def money(amount: int | None, program: Program) -> str:
    """Write an amount that is in the program's own unit: satoshis, or money with its point."""
    return EMPTY if amount is None else figure(in_words(amount, program))


def in_words(amount: int, program: Program) -> str:
    """Write such an amount as plain text."""
    return f"{amount:,} sat" if program.pays_sat else currencies.in_words(amount, program.currency)


def number(count: int | None) -> str:
    """Write a count, grouped by thousands and aligned to the right."""
    return EMPTY if count is None else format_html('<span class="gp-number">{}</span>', f"{count:,}")


def figure(text: str) -> str:
    """Write a figure with its unit, aligned to the right."""
    return format_html('<span class="gp-number">{}</span>', text)


def feerate(sat_kvb: int) -> str:
    """Write a rate given in satoshis per 1,000 vB as sat/vB, exactly."""
    whole, rest = divmod(sat_kvb, 1_000)
    text = f"{whole:,}" + (f".{rest:03d}".rstrip("0") if rest else "")
    return format_html('<span class="gp-number">{} sat/vB</span>', text)


def short(value: Any, *, url: str = "") -> str:
    """Write the two ends of a hash, monospaced; the whole of it is the title."""
    text = hexadecimal(value)
    if not text:
        return EMPTY
    shown = f"{text[:8]}…{text[-6:]}" if len(text) > 18 else text
    code = format_html('<code class="gp-hash" title="{}">{}</code>', text, shown)
    return format_html('<a class="gp-link" href="{}">{}</a>', url, code) if url else code


def outpoint(txid: str, vout: int) -> str:
    """Write an outpoint with the two ends of its txid."""
    return format_html(
        '<code class="gp-hash" title="{0}:{2}">{1}:{2}</code>', txid, f"{txid[:8]}…{txid[-6:]}", vout
    )


def whole(value: Any) -> str:
    """Write a hash, a script or an address in full, monospaced and free to break."""
    text = hexadecimal(value)
    return format_html('<code class="gp-hash gp-whole">{}</code>', text) if text else EMPTY


def hexadecimal(value: Any) -> str:
    """Return bytes as hex and text as it is; nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else bytes(value).hex()


def address(script_pubkey: Any) -> str:
    """Write a script as the address it has on our network, in full."""
    return whole(address_text(script_pubkey))


def address_short(script_pubkey: Any) -> str:
    """Write the two ends of a script's address."""
    return short(address_text(script_pubkey))


def address_text(script_pubkey: Any) -> str:
    """Return the address of a script on our network, or nothing for none."""
    if script_pubkey is None:
        return ""
    return onchain_address.address_from_script(bytes(script_pubkey), network.current())


def moment(at: datetime | None) -> str:
    """Write a time to the second with its zone."""
    if at is None:
        return EMPTY
    text = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time class="gp-time" datetime="{}">{}</time>', at.isoformat(), text)


def urgency(is_urgent: bool) -> str:
    """Say whether a list is paid while fees are high."""
    if is_urgent:
        return label("", "urgent: paid while fees are high", INFO)
    return str(said("not urgent: waits while fees are high"))


def label(status: str, text: str = "", tone: str = "") -> str:
    """Write a status as a colored label."""
    return format_html(
        '<span class="gp-label gp-{}">{}</span>',
        tone or TONES.get(status, PLAIN),
        said(text or status.replace("_", " ")),
    )


def status_of(row: Any) -> str:
    """Write the status of a row that has one."""
    return label(row.status, row.get_status_display())


def problem(text: str) -> str:
    """Write why something waits; nothing when nothing does."""
    return format_html('<span class="gp-problem">{}</span>', text) if text else ""


def long(text: str) -> str:
    """Write a name of any length so that it breaks instead of pushing its neighbors away."""
    return format_html('<span class="gp-long">{}</span>', text) if text else EMPTY


def words(text: str) -> str:
    """Write sentences across two columns of a page."""
    return format_html('<span class="gp-words">{}</span>', text) if text else EMPTY


def link(row: Model | None, text: Any = "") -> str:
    """Write a link to the row's own page in the admin; only its name for whoever may not open that."""
    if row is None:
        return EMPTY
    if not links.may_open(type(row)):
        return format_html("{}", said(text or str(row)))
    return format_html('<a class="gp-link" href="{}">{}</a>', page_of(row), said(text or str(row)))


def page_of(row: Model) -> str:
    """Return the address of the row's page in the admin."""
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def list_of(model: type[Model], **parameters: Any) -> str:
    """Return the address of a model's list in the admin, filtered; nothing for whoever may not open it."""
    if not links.may_open(model):
        return ""
    meta = model._meta
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist") + (f"?{query}" if query else "")


def person(user: Any) -> str:
    """Write who somebody is: the full name, or the user name."""
    if user is None:
        return EMPTY
    return format_html(
        '<span class="gp-long" title="{}">{}</span>', user.get_username(), user.get_full_name() or user
    )


def masked(text: str) -> str:
    """Return a name of which only the initials can be read."""
    return people.masked(text) or EMPTY


def join(*parts: str) -> str:
    """Write parts one after the other with a space between."""
    return format_html_join(" ", "{}", ((part,) for part in parts if part))
