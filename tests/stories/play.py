"""What the stories share: the stage, the browser, who is signed in, and what was made so far."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.stories.staff import Staff
from tests.stories.stage import Stage
from tests.stories.visitor import Visitor

# Who acts in the stories, of those whom `make up` names.
CAST = ("ayesha", "bruno", "carmen", "dalia", "farid", "grace", "jamal", "karin")


class Play:
    """One run of all stories, each of which goes on where the one before ended."""

    def __init__(self, stage: Stage, browser: Browser, folder: Path) -> None:
        self.stage = stage
        self.browser = browser
        # Where files lie that people bring or take away.
        self.folder = folder
        self.made: dict[str, str] = {}
        self.broken_at = ""
        self._staff: dict[str, Staff] = {}

    def staff(self, name: str) -> Staff:
        """Return somebody who is signed in; they enroll a second factor when they first come."""
        if name not in self._staff:
            self._staff[name] = Staff(self.browser, self.stage, name)
            self._staff[name].enroll("login" if name == "ayesha" else "")
        return self._staff[name]

    def enroll(self) -> None:
        """Let everybody come for the first time, so that their codes have aged when they act."""
        for name in CAST:
            self.staff(name)

    def visitor(self, **options: Any) -> Visitor:
        """Return somebody without an account, in a browser of their own."""
        return Visitor(self.browser, self.stage.url, **options)

    def tell(self, story: Callable[["Play"], None]) -> None:
        """Tell one story; a later one knows where an earlier one broke."""
        self.broken_at = self.broken_at or story.__module__
        story(self)
        self.broken_at = ""
        ended = self.stage.stack.find_ended()
        assert ended is None, f"{ended.name} ended:\n{ended.tail()}"
