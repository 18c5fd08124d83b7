"""What the admin shows on every page."""

from django.conf import settings
from django.http import HttpRequest


def network_badge(request: HttpRequest) -> list[str]:
    """Return the badge that names the network, so that nobody takes test coins for money."""
    return [settings.GOVPAY_NETWORK, "warning"]
