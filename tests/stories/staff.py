"""A member of staff: a password, an authenticator in the hand, and codes where a page asks for one."""

import base64
import time

from django_otp.oath import TOTP
from playwright.sync_api import Browser

from tests.stories.stage import SETTINGS, Stage
from tests.stories.visitor import Visitor

STEP_S = 30
CODE_AGE_S = int(SETTINGS["GOVPAY_STEP_UP_S"])


class Staff(Visitor):
    """Signs in as one of those whom `make up` names."""

    def __init__(self, browser: Browser, stage: Stage, name: str) -> None:
        super().__init__(browser, stage.url)
        self.name = name
        self.password = stage.passwords[name]
        self.key = b""
        self.last_step = 0
        self.proved_at = 0.0

    def enroll(self, picture: str = "") -> None:
        """Sign in for the first time: scan the picture, give its first code, note the codes for recovery."""
        self.give_password(picture and f"{picture}-password")
        self.reads("Scan the picture")
        self.key = base64.b32decode(self.page.locator("code.gp-whole").inner_text())
        self.look(picture and f"{picture}-factor")
        self.fill(code=self.code())
        self.press("Enroll")
        self.proved_at = time.monotonic()
        self.reads("Write them down")
        self.follow("I have kept them")

    def sign_in(self) -> None:
        """Sign in again: password, then a code."""
        self.give_password()
        self.give_code(submit="Sign in")

    def code(self) -> str:
        """Return what the authenticator shows, or will show or has just shown: each counts once."""
        step = max(self.last_step + 1, int(time.time()) // STEP_S - 1)
        # One step early is taken; before that the next one is waited for.
        time.sleep(max(0.0, (step - 1) * STEP_S - time.time() + 0.2))
        self.last_step = step
        totp = TOTP(self.key, step=STEP_S)
        totp.time = step * STEP_S
        return f"{totp.token():06}"

    def give_code(self, picture: str = "", *, submit: str = "Go on") -> None:
        """Give a code to the page that asks for one."""
        self.reads("six digits")
        self.look(picture)
        self.fill(code=self.code())
        self.press(submit)
        self.proved_at = time.monotonic()

    def press(self, name: str, picture: str = "", *, exact: bool = False) -> None:
        """Press a button; where the last code has aged meanwhile, give another one and press again."""
        super().press(name, picture, exact=exact)
        if self.page.get_by_role("heading", name="A code is needed").count():
            self.follow("Give the code")
            self.give_code()
            super().press(name, picture, exact=exact)

    def open_decision(self, address: str, link: str) -> None:
        """Open something, follow the link to a decision about it, and give a code where it is asked for."""
        self.go(address)
        self.follow(link)
        if "/step-up/" in self.page.url:
            self.give_code()

    def decide(self, address: str, link: str, button: str) -> None:
        """Open something, and decide about it."""
        self.open_decision(address, link)
        self.press(button)

    def let_code_age(self) -> None:
        """Wait until the last code counts no more, as it does for who reads a list with care."""
        time.sleep(max(0.0, self.proved_at + CODE_AGE_S + 0.5 - time.monotonic()))

    def give_password(self, picture: str = "") -> None:
        """Give the password to the page of the login."""
        self.go("/admin/login/?next=/admin/", picture)
        self.fill(username=self.name, password=self.password)
        self.press("Log in")
