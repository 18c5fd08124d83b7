"""The public page: what was published last, as a page, as the signed bytes, and as tables for spreadsheets."""

import functools
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import condition, require_safe

from govpay.languages import spoken
from ledger.exports import spreadsheet
from ledger.models.reconciliation import RunStatus
from ledger.models.reserve import Badge
from ledger.seals import checkpoints
from payments.models import Publication, Rail
from payments.public import door
from payments.transparency import publishing

# Figures are taken once a day at most times; whoever asks within a minute is told the same by any cache on the way.
FRESH_S = 60
# Of the addresses of the reserve; the files have all.
SHOWN = 200
PROGRAM_COLUMNS = (
    *("code", "name", "payments_paid", "people_paid", "paid_sat", "payments_pending", "people_pending"),
    *("pending_sat", "fees_sat", "fee_share_bps", "settled_p50_s", "settled_p95_s", "reconciliation"),
    *("open_breaks", "reconciled_at", "rail", "word", "currency", "paid_minor", "pending_minor"),
    *("payments_back", "people_back", "back_minor"),
)
RESERVE_COLUMNS = ("institution", "address", "amount_sat", "badge", "block_height", "block_hash", "block_at")
RECONCILED = {
    RunStatus.CLEAN: _("yes"),
    RunStatus.BREAKS: _("no"),
    RunStatus.INCONCLUSIVE: _("not known"),
}
RAILS = {Rail.BANK: _("by bank file"), Rail.VOUCHER: _("by voucher")}
View = Callable[[HttpRequest, Publication | None], HttpResponse]


def _etag(request: HttpRequest, found: Publication | None) -> str | None:
    return None if found is None else f'"{bytes(found.sha256).hex()}-{get_language()}"'


def public(view: View) -> Callable[[HttpRequest], HttpResponse]:
    """Show anybody what was published last, and let caches keep it; there is nothing here where figures are never taken."""

    conditional = condition(etag_func=_etag)(view)

    @spoken
    @door.limited
    @require_safe
    @cache_control(public=True, max_age=FRESH_S)
    @functools.wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not settings.GOVPAY_TRANSPARENCY_S:
            raise Http404("No figures are published here.")
        return conditional(request, publishing.newest())

    return guarded


@public
def show(request: HttpRequest, found: Publication | None) -> HttpResponse:
    """Show the figures; without any yet, say so."""
    if found is None:
        return render(request, "payments/public/nothing.html", status=503)
    figures = json.loads(found.document)
    books, seen = figures["books"], figures["reserve"]
    addresses = seen["addresses"] if seen else []
    context = {
        "found": found,
        "figures": figures,
        "sha256": bytes(found.sha256).hex(),
        "signed_at": books and _time(books["signed_at"]),
        "programs": [row | _words(row) for row in figures["programs"]],
        "reserve_at": seen and _time(seen["block_at"]),
        "reserve_sat": sum(int(row["amount_sat"]) for row in addresses if row["badge"] == Badge.VERIFIED),
        "addresses": addresses[:SHOWN],
        "more_addresses": max(len(addresses) - SHOWN, 0),
        "keys": checkpoints.own_keys(),
        "ask_language": request.language_query.replace("?", "&"),  # type: ignore[attr-defined]
    }
    return render(request, "payments/public/transparency.html", context)


@public
def figures(request: HttpRequest, found: Publication | None) -> HttpResponse:
    """Hand out the bytes that were hashed and signed."""
    return _file(_require(found).document, "application/json", "figures.json")


@public
def note(request: HttpRequest, found: Publication | None) -> HttpResponse:
    """Hand out the note over the hash of ``figures.json``."""
    text = _require(found).note
    if not text:
        raise Http404("The figures are not signed: the installation has no key.")
    return _file(text, "text/plain; charset=utf-8", "figures.json.note")


@public
def programs(request: HttpRequest, found: Publication | None) -> HttpResponse:
    """Hand out a row for each rail of a program; a cell is empty where it is not told, or does not belong to the rail."""
    rows = (cells for row in json.loads(_require(found).document)["programs"] for cells in _program(row))
    return _file(_table(PROGRAM_COLUMNS, rows), "text/csv; charset=utf-8", "programs.csv")


@public
def reserve(request: HttpRequest, found: Publication | None) -> HttpResponse:
    """Hand out a row an address."""
    seen = json.loads(_require(found).document)["reserve"]
    block = [] if seen is None else [seen["block_height"], seen["block_hash"], seen["block_at"]]
    rows = (
        [row["institution"], row["address"], row["amount_sat"], row["badge"], *block]
        for row in (seen or {"addresses": []})["addresses"]
    )
    return _file(_table(RESERVE_COLUMNS, rows), "text/csv; charset=utf-8", "reserve.csv")


def _require(found: Publication | None) -> Publication:
    if found is None:
        raise Http404("No figures were published yet.")
    return found


def _program(row: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield the cells of a program in bitcoin, and of each of its other rails."""
    for part in ({"rail": "bitcoin", "word": "chain", "currency": "sat"} | row, *row.get("rails", [])):

        def cells(name: str, *names: str, part: dict[str, Any] = part) -> list[Any]:
            return [(part.get(name) or {}).get(each, "") for each in names]

        yield [
            row["code"],
            row["name"],
            *cells("paid", "payments", "people", "amount_sat"),
            *cells("pending", "payments", "people", "amount_sat"),
            *cells("fees", "fees_sat", "share_bps"),
            *cells("time_to_settle", "p50_s", "p95_s"),
            *cells("reconciliation", "status", "open_breaks", "finished_at"),
            *(part[name] for name in ("rail", "word", "currency")),
            *cells("paid", "amount_minor"),
            *cells("pending", "amount_minor"),
            *cells("came_back", "payments", "people", "amount_minor"),
        ]


def _table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    return "".join([spreadsheet.line(list(columns)), *(spreadsheet.line(list(row)) for row in rows)])


def _file(content: str, content_type: str, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    # Anybody's program may read it, from any page: nothing here is secret, and no cookie counts.
    response["Access-Control-Allow-Origin"] = "*"
    return response


def _words(row: dict[str, Any]) -> dict[str, Any]:
    """Return a program's figures as people read them."""
    run, fees, waits = row["reconciliation"], row["fees"], row["time_to_settle"]
    return {
        "fee_percent": fees and f"{Decimal(fees['share_bps']) / 100:.2f}",
        "half_within": waits and _span(waits["p50_s"]),
        "reconciled_at": run and _time(run["finished_at"]),
        "reconciliation_word": run and RECONCILED[RunStatus(run["status"])],
        "others": [_rail(part) for part in row.get("rails", [])],
    }


def _rail(part: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a rail as people read them: amounts in major units of the currency."""
    waits = part["time_to_settle"]

    def amount(name: str) -> Decimal | None:
        return part[name] and Decimal(part[name]["amount_minor"]).scaleb(-part["scale"])

    return part | {
        "name": RAILS[Rail(part["rail"])],
        "paid_amount": amount("paid"),
        "pending_amount": amount("pending"),
        "half_within": waits and _span(waits["p50_s"]),
    }


def _span(seconds: int) -> str:
    """Return a time in the unit that fits: seconds below two minutes, minutes below two hours, else hours."""
    if seconds < 120:
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
    minutes = round(seconds / 60)
    if minutes < 120:
        return ngettext("%(count)s minute", "%(count)s minutes", minutes) % {"count": minutes}
    hours = round(seconds / 3600)
    return ngettext("%(count)s hour", "%(count)s hours", hours) % {"count": hours}


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
