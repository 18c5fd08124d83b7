"""A payout's page and its signers' codes in a real browser: on both screens, its chart, its picture, and without script."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Browser

from payments.models import Payout, PayoutTx, Program, SigningRequest
from tests import browser as browsing
from tests import factories
from tests.payments.admin import scenes, screens
from tests.payments.admin.test_payout_page import make, replace

pytestmark = [pytest.mark.django_db(transaction=True), browsing.needs_chromium]


def page(row: Any, verb: str = "change") -> str:
    return reverse(f"admin:payments_{row._meta.model_name}_{verb}", args=[row.pk])


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser of its own."""
    with browsing.launched(monkeypatch) as found:
        yield found


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


@pytest.fixture
def payout(program: Program, officer: User, approver: User, releaser: User) -> Payout:
    """A payout of a hundred payments that was bumped seven times and is frozen with a long reason."""
    factories.fund(program, 100_000_000)
    made = make(program, officer, approver, releaser, 100)
    for number in range(2, 9):
        replace(made, number)
    Payout.objects.filter(pk=made.pk).update(status="frozen", problem="A stranger spent its coin. " * 8)
    return Payout.objects.get(pk=made.pk)


def test_is_well_made_when_it_was_bumped_and_is_frozen(
    live_server: Any, payout: Payout, treasurer: User, chromium: Browser
) -> None:
    screens.require_well_made(chromium, live_server, treasurer, page(payout))


def test_draws_its_chart_and_tells_the_same_in_a_table(
    live_server: Any, payout: Payout, treasurer: User, chromium: Browser
) -> None:
    shown = screens.signed_in(chromium, live_server, treasurer)
    shown.goto(f"{live_server.url}{page(payout)}")
    chart = shown.get_by_role("img", name="Fee rates over time")
    chart.wait_for()
    # Something of the line's color was drawn.
    assert chart.evaluate(
        """canvas => {
            const drawn = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            for (let at = 0; at < drawn.length; at += 4)
                if (drawn[at] === 147 && drawn[at + 1] === 51 && drawn[at + 2] === 234) return true;
            return false;
        }"""
    )
    table = shown.get_by_role("region", name="Fee rates as a table")
    assert not table.is_visible()
    shown.get_by_text("The same as a table").press("Enter")
    assert table.get_by_role("row").count() == 9
    picture = shown.get_by_role("img", name="What goes into each version and comes out")
    assert "100 payments of" in (picture.locator("desc").text_content() or "")
    shown.get_by_role("region", name="Picture of its transactions").focus()


def test_says_the_same_without_script(
    live_server: Any, payout: Payout, treasurer: User, chromium: Browser
) -> None:
    shown = screens.signed_in(chromium, live_server, treasurer, java_script_enabled=False)
    shown.goto(f"{live_server.url}{page(payout)}")
    shown.get_by_role("img", name="What goes into each version and comes out").wait_for()
    assert shown.locator("canvas").is_visible() is False
    shown.get_by_text("The same as a table").click()
    assert shown.get_by_role("region", name="Fee rates as a table").get_by_role("row").count() == 9


def test_gains_confirmations_by_itself(
    live_server: Any, payout: Payout, treasurer: User, chromium: Browser
) -> None:
    Payout.objects.filter(pk=payout.pk).update(status="sent", problem="")
    shown = screens.signed_in(chromium, live_server, treasurer)
    shown.clock.install()
    shown.goto(f"{live_server.url}{page(payout)}")
    bar = shown.get_by_role("progressbar", name="Confirmations")
    assert bar.get_attribute("aria-valuenow") == "0"
    newest = PayoutTx.objects.filter(payout=payout).latest("pk")
    Payout.objects.filter(pk=payout.pk).update(
        status="settled", mined_txid=newest.txid, mined_height=0, mined_block_hash="00" * 32
    )
    shown.clock.fast_forward(10_000)
    shown.locator("#confirmed:not([hx-get])").wait_for()
    assert int(bar.get_attribute("aria-valuenow") or 0) > 0


class TestCodes:
    @pytest.fixture
    def request_(self, program: Program, officer: User, approver: User, releaser: User) -> SigningRequest:
        """What waits for signers of a wallet that only watches."""
        rows = scenes.furnish(program, officer, approver, releaser)
        found: SigningRequest = rows["signingrequest"]
        return found

    def test_are_well_made_and_stand_in_order(
        self, live_server: Any, request_: SigningRequest, treasurer: User, chromium: Browser
    ) -> None:
        screens.require_well_made(chromium, live_server, treasurer, page(request_))
        screens.require_well_made(chromium, live_server, treasurer, page(request_, "show_codes"))
        shown = screens.signed_in(chromium, live_server, treasurer)
        shown.goto(f"{live_server.url}{page(request_, 'show_codes')}")
        code = shown.get_by_role("img", name="QR code 1 of 1")
        code.scroll_into_view_if_needed()
        shown.wait_for_function("document.querySelector('.gp-codes img').naturalWidth > 0")
