"""A signing request's PSBT as a numbered series of QR codes, for signers whose devices have a camera and no cable."""

import io
from typing import Any

import segno
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from govpay.errors import GovPayError
from govpay.said import said
from payments.admin import cells
from payments.admin.tables import Notice
from payments.models import SigningRequest
from payments.onchain import bbqr
from payments.services import signing as service

# More than anybody scans one after the other without losing count: the file goes on a card then.
MOST_CODES = 60


def show(model_admin: Any, request: HttpRequest, row: SigningRequest) -> HttpResponse:
    """Show all codes in order, or say that the PSBT is too large for them."""
    try:
        parts = _parts(request, row)
    except GovPayError as error:
        refusal: HttpResponse = model_admin._refusal(request, error)
        return refusal
    count = len(parts)
    is_too_large = count > MOST_CODES
    numbers = [] if is_too_large else range(1, count + 1)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": f"QR codes of signing request {row.pk}",
        "back": cells.page_of(row),
        "notices": [_notice(row, count, is_too_large=is_too_large)],
        "count": count,
        "codes": [
            (number, reverse("admin:payments_signingrequest_code", args=[row.pk, number]))
            for number in numbers
        ],
    }
    return TemplateResponse(request, "payments/admin/signing_codes.html", context)


def picture(model_admin: Any, request: HttpRequest, row: SigningRequest, number: int) -> HttpResponse:
    """Return one code, counted from 1, as a picture; raise Http404 where there is none of the number."""
    try:
        parts = _parts(request, row)
    except GovPayError as error:
        refusal: HttpResponse = model_admin._refusal(request, error)
        return refusal
    if not 0 < number <= min(len(parts), MOST_CODES):
        raise Http404
    # All of a series are of one size; only a file that fits one code may be in a smaller one.
    version = bbqr.CODE_VERSION if len(parts) > 1 else None
    code = segno.make(
        parts[number - 1], version=version, error="l", mode="alphanumeric", micro=False, boost_error=False
    )
    drawn = io.BytesIO()
    code.save(drawn, kind="svg", scale=4, border=4, light="#fff", omitsize=True)
    return HttpResponse(drawn.getvalue(), content_type="image/svg+xml")


def _parts(request: HttpRequest, row: SigningRequest) -> list[str]:
    by: Any = request.user
    return bbqr.split(service.download(by=by, request_id=row.pk), "P")


def _notice(row: SigningRequest, count: int, *, is_too_large: bool) -> Notice:
    if is_too_large:
        text = (
            f"It would be {count:,} codes. Download the PSBT and carry the file to the signers on a card; what they return"
            " is uploaded as a file, too."
        )
        return Notice(text, cells.BUSY, "This PSBT is too large for QR codes")
    what = "One code holds" if count == 1 else f"{count} codes hold, in any order,"
    text = said(
        "{0} the PSBT of payout {1}, by BBQr; devices that read UR alone take the file. Back come the "
        "texts of the device's own codes, into the form for signatures, or a file.",
        what,
        row.version.payout_id,
    )
    return Notice(text, cells.INFO, "Scan with the signer's camera")
