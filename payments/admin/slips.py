"""Draws the slips that people without a telephone get on paper: a link as QR code, and the same code to be typed."""

from typing import NamedTuple

import segno
from django.utils.safestring import SafeString, mark_safe

from payments.services.claim_links import Slip


class Drawn(NamedTuple):
    """A slip as it is printed."""

    reference: str
    secret: str
    page: str
    expires: str
    picture: SafeString


def draw(slip: Slip) -> Drawn:
    """Return a slip with its picture; the picture holds letters of our own only."""
    return Drawn(
        slip.link.enrollment.reference,
        slip.secret,
        slip.address.partition("#")[0],
        f"{slip.link.expires_at:%Y-%m-%d}",
        picture(slip.address),
    )


def picture(text: str) -> SafeString:
    """Return a text as a QR code that stands in the page itself, which asks nobody for anything."""
    code = segno.make(text, error="m")
    drawn = code.svg_inline(scale=4, border=2, svgclass="qr", lineclass=None, omitsize=False)
    return mark_safe(drawn)  # noqa: S308 - made of paths by segno.
