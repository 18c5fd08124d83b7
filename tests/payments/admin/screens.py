"""The admin's pages in a real browser: somebody is signed in, and a page is looked at wide and narrow."""

from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page

from tests import browser as browsing

WIDE = {"width": 1400, "height": 900}
SCREENS = {"wide": WIDE, "phone": browsing.PHONE}


def signed_in(browser: Browser, live_server: Any, user: User, **context: Any) -> Page:
    """Return an empty page of a browser in which somebody is signed in."""
    client = Client()
    client.force_login(user)
    opened = browser.new_context(**context)
    cookie = client.cookies["sessionid"].value
    opened.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    return opened.new_page()


def require_well_made(browser: Browser, live_server: Any, user: User, url: str) -> None:
    """A page fits a wide screen and a telephone, light and dark; axe finds nothing, and nothing complains."""
    for name, screen in SCREENS.items():
        scheme: Any = "dark" if name == "wide" else "light"
        page = signed_in(browser, live_server, user, viewport=screen, color_scheme=scheme)
        wrong = browsing.complaints(page)
        page.goto(f"{live_server.url}{url}")
        page.wait_for_load_state("networkidle")
        browsing.require_fitting(page)
        browsing.require_accessible(page)
        assert wrong == [], name
        page.context.close()
