"""A security key in a real browser: Chromium with a virtual authenticator, on a real server."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import CDPSession, Page

from tests import browser as browsing
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), browsing.needs_chromium]


@pytest.fixture
def server(live_server: Any, settings: Any) -> str:
    """The server's address, which is the installation's own."""
    settings.GOVPAY_ORIGIN = live_server.url
    settings.GOVPAY_KEY_DOMAIN = "localhost"
    settings.GOVPAY_SECOND_FACTOR = "required"
    found: str = live_server.url
    return found


@pytest.fixture
def page(officer: User, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A page of a new browser; what goes wrong in its console is kept."""
    with browsing.launched(monkeypatch) as browser:
        yield browser.new_page()


@pytest.fixture
def authenticator(page: Page) -> tuple[CDPSession, str]:
    """A key that its person touches and unlocks at once."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, made["authenticatorId"]


def sign_in(page: Page, server: str, username: str) -> None:
    """Give name and password."""
    page.context.clear_cookies()
    page.goto(f"{server}/admin/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_is_added_and_signs_in_and_steps_up(
    server: str, officer: User, page: Page, authenticator: tuple[CDPSession, str]
) -> None:
    session, number = authenticator
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
    page.on("pageerror", lambda error: complaints.append(error.message))

    sign_in(page, server, officer.username)
    page.get_by_role("link", name="Add a security key instead").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Add the key").click()
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_url(f"{server}/admin/")

    sign_in(page, server, officer.username)
    for name in ("Use a security key", "Sign in"):
        color = page.get_by_role("button", name=name).evaluate("it => getComputedStyle(it).backgroundColor")
        assert color not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
    session.send("WebAuthn.setUserVerified", {"authenticatorId": number, "isUserVerified": False})
    page.get_by_role("button", name="Use a security key").click()
    page.get_by_text("The key gave no answer (NotAllowedError).").wait_for()
    session.send("WebAuthn.setUserVerified", {"authenticatorId": number, "isUserVerified": True})
    page.get_by_role("button", name="Use a security key").click()
    page.wait_for_url(f"{server}/admin/")

    page.goto(f"{server}/admin/step-up/?next=/admin/second-factor/")
    page.get_by_role("button", name="Use a security key").click()
    page.wait_for_url(f"{server}/admin/second-factor/")
    assert page.get_by_label("Name of the key").input_value() == "laptop"
    assert page.get_by_text("last used").count() == 1
    assert complaints == []

    # The same server under another name: the browser refuses before anything is signed.
    other = server.replace("localhost", "127.0.0.1")
    sign_in(page, other, officer.username)
    page.get_by_role("button", name="Use a security key").click()
    page.get_by_text("The key gave no answer (SecurityError).").wait_for()
