"""The receipt of a payment, for whoever was given its address or picture: to read, to print, and for anybody to check."""

import functools
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from govpay.errors import GovPayError, NotFound
from govpay.pictures import picture
from ledger import verify
from ledger.packs import receipts
from payments.onchain import address, network
from payments.person import words
from payments.person.door import public

# Who has this page's address was given it; the number of a payment alone opens nothing.
SIGNER = signing.Signer(salt="person.receipt")
opened = functools.partial(public, counted="GET")


def address_of(payment_id: int) -> str:
    """Return where the receipt of a payment is, for whoever was shown it."""
    return reverse("person-receipt", args=[SIGNER.sign(str(payment_id))])


def _make(ticket: str) -> bytes:
    """Return the receipt; raise NotFound for a ticket that is none of ours, and what ``receipts.make`` raises."""
    try:
        payment_id = SIGNER.unsign(ticket)
    except signing.BadSignature as error:
        raise NotFound("There is no such receipt.", errors=[{"code": "receipt_unknown"}]) from error
    return receipts.make(int(payment_id))


@opened
def show(request: HttpRequest, ticket: str) -> HttpResponse:
    """Show what the receipt proves, with a picture that opens this page elsewhere."""
    try:
        found = verify.check_receipt(_make(ticket), network.current().value)
    except GovPayError as error:
        return _none(request, error)
    return render(request, "payments/person/receipt.html", shown(found, ticket))


def shown(found: verify.Receipt, ticket: str) -> dict[str, Any]:
    """Return what the page says of a receipt that was checked."""
    return {
        "found": found,
        "recorded_at": datetime.fromisoformat(found.recorded_at),
        "ticket": ticket,
        "address": found.script
        and address.address_from_script(bytes.fromhex(found.script), network.current()),
        "picture": picture(f"{settings.GOVPAY_PUBLIC_URL}{reverse('person-receipt', args=[ticket])}"),
    }


@opened
def download(request: HttpRequest, ticket: str) -> HttpResponse:
    """Hand out the receipt as the file that `verify.py` and the page /verify/ check."""
    try:
        made = _make(ticket)
    except GovPayError as error:
        return _none(request, error)
    response = HttpResponse(made, content_type="application/octet-stream")
    response["Content-Disposition"] = 'attachment; filename="receipt.json"'
    return response


def _none(request: HttpRequest, error: GovPayError) -> HttpResponse:
    context = {"problem": words.of(error)}
    return render(request, "payments/person/receipt_none.html", context, status=error.http_status)
