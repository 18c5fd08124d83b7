"""What every page must bear in a real browser: its content policy, a narrow screen, and axe's look at it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connections
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="There is no Chromium on PATH.")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
SERIOUS = ("serious", "critical")


@contextmanager
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """Start a browser of its own."""
    # The browser is driven by a loop in this thread, in which Django would not ask the database.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            # Within the loop Django connects anew, and only there can that connection be closed.
            connections.close_all()
            browser.close()


def complaints(page: Page) -> list[str]:
    """Return a list that fills with what the page's console, scripts and requests complain of."""
    found: list[str] = []

    def hear(line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            found.append(line.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: found.append(error.message))
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url}"))
    return found


def require_fitting(page: Page) -> None:
    """Nothing is wider than the screen."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def require_accessible(page: Page) -> None:
    """Axe finds nothing serious (WCAG 2.2 A and AA among its rules)."""
    found: Any = Axe().run(page).response
    wrong = [
        f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
    ]
    assert not wrong, "\n".join(wrong)
