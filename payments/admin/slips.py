"""Draws the slips that people without a telephone get on paper: a link as QR code, and the same code to be typed."""

import re
from typing import NamedTuple

from django.utils.safestring import SafeString

from govpay.pictures import picture
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
        re.split("[?#]", slip.address, maxsplit=1)[0],
        f"{slip.link.expires_at:%Y-%m-%d}",
        picture(slip.address),
    )
