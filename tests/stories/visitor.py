"""Somebody at a browser: every page that they come to is looked at, and kept as a picture."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response

from tests import browser as browsing
from tests.stories.pictures import KEPT

PATIENCE_MS = 20_000
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
# The content policy is watched by the page itself, before anything in it runs.
WATCH = """addEventListener("securitypolicyviolation", (seen) => {
    console.error(`content policy: ${seen.violatedDirective} ${seen.blockedURI}`);
});"""


class Visitor:
    """One browser context and its one page."""

    def __init__(self, browser: Browser, url: str, *, screen: Any = browsing.DESK, **options: Any) -> None:
        self.url = url
        self.screen = screen
        self.context = browser.new_context(viewport=screen, base_url=url, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(WATCH)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.wrong.append(error.message))
        self.page.on("request", self._watch)
        self.page.on("response", self._read)
        self.page.on("requestfailed", self._miss)

    @property
    def address(self) -> str:
        """Where they are, without the host."""
        return self.page.url.removeprefix(self.url)

    def go(self, address: str, picture: str = "") -> None:
        """Open an address, and look at the page."""
        self.page.goto(address)
        self.look(picture)

    def follow(self, name: str, picture: str = "", *, within: Locator | None = None) -> None:
        """Follow a link, and look at where it leads."""
        # Before the words of a button its icon is a word, too.
        words = re.compile(rf"^(\w+ )?{re.escape(name)}$")
        link = (within or self.page).get_by_role("link", name=words).locator("visible=true").first
        self.do(link.click, picture)

    def press(self, name: str, picture: str = "", *, exact: bool = False) -> None:
        """Press a button that sends a form, and look at the answer."""
        button = self.page.get_by_role("button", name=name, exact=exact).first
        self.do(button.click, picture)

    def send(self, picture: str = "") -> None:
        """Send the page's form, whatever its language calls that."""
        self.do(self.page.locator("main form button[type=submit]").click, picture)

    def do(self, act: Callable[[], Any], picture: str = "") -> None:
        """Do what leads to another page, and look at it."""
        with self.page.expect_navigation():
            act()
        self.look(picture)

    def fill(self, **fields: str) -> None:
        """Fill in fields of a form, by their names."""
        for name, value in fields.items():
            self.page.locator(f"[name={name}]:not([type=hidden])").first.fill(value)

    def attach(self, name: str, file: Path) -> None:
        """Choose a file for a form's field."""
        self.page.locator(f"input[type=file][name={name}]").set_input_files(file)

    def reads(self, *texts: str | re.Pattern[str]) -> None:
        """Find these words on the page."""
        for text in texts:
            self.page.get_by_text(text).locator("visible=true").first.wait_for()

    def until(self, text: str | re.Pattern[str], picture: str = "", *, patience_s: float = 60) -> None:
        """Load the page again until it has these words, and look at it then."""
        begin = time.monotonic()
        while not self.page.get_by_text(text).locator("visible=true").count():
            assert time.monotonic() - begin < patience_s, f"{self.page.url} does not say {text}"
            self.page.wait_for_timeout(1_000)
            self.page.reload()
        self.look(picture)

    def said(self, pattern: str) -> str:
        """Return the first words on the page that match."""
        found = re.search(pattern, self.page.get_by_text(re.compile(pattern)).first.inner_text())
        assert found is not None
        return found[0]

    def look(self, picture: str = "") -> None:
        """Hold the page to what every page must bear, and keep its picture."""
        self.page.wait_for_load_state("load")
        if picture:
            self.keep(picture)
        browsing.require_accessible(self.page)
        for screen in (browsing.PHONE, self.screen):
            self.page.set_viewport_size(screen)
            self._require_fitting()
        assert self.wrong == [], f"{self.page.url}: {self.wrong}"

    def keep(self, picture: str) -> None:
        """Keep what the screen shows."""
        self.page.screenshot(path=KEPT / f"{picture}.png", animations="disabled", scale="css")

    def _require_fitting(self) -> None:
        """Nothing is wider than the screen; a chart takes a new width in its own time."""
        for _ in range(30):
            if self.page.evaluate(FITS):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{self.page.url} is wider than {self.page.viewport_size}")

    def _hear(self, line: ConsoleMessage) -> None:
        # A refusal is an answer too; that it is the right one is read on its page.
        if line.type in ("error", "warning") and "the server responded with a status of 4" not in line.text:
            self.wrong.append(line.text)

    def _watch(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.wrong.append(f"leads elsewhere: {request.url}")

    def _read(self, response: Response) -> None:
        is_page = response.request.is_navigation_request()
        if response.status >= (500 if is_page else 400):
            self.wrong.append(f"{response.status}: {response.url}")

    def _miss(self, request: Request) -> None:
        # Whoever leaves a page takes back what it was asking for.
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(f"failed: {request.url}")
