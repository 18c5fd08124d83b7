"""The treasurer's story: coins come in, balances are read, a payout that waits is made dearer."""

import re

from tests.stories import releaser
from tests.stories.play import Play

DEPOSIT_SAT, DEPOSITS = 25_000_000, 4


def fund(play: Play) -> None:
    """The program's page says where coins go; they are booked once a block holds them."""
    dalia = play.staff("dalia")
    dalia.look("treasurer-home")
    dalia.go("/admin/payments/program/")
    dalia.follow("PENSIONS", "treasurer-program")
    address = dalia.page.get_by_text("bcrt1").first.inner_text().strip()
    play.stage.deposit(address, [DEPOSIT_SAT] * DEPOSITS)
    dalia.go("/admin/")
    # The first anchor of the books may have been paid by now.
    dalia.reads(re.compile(r"^(100,000,000|99,99\d,\d{3}) sat$"))
    dalia.look("treasurer-funded")


def bump(play: Play) -> None:
    """A payout that no block takes is made dearer, with what it costs on the page before anything is done."""
    dalia = play.staff("dalia")
    with play.stage.without_blocks():
        releaser.release(play, play.made["second list"])
        dalia.go(play.made["second list"])
        dalia.follow("Payouts")
        dalia.page.get_by_role("link", name=re.compile("^Payout [0-9]+$")).first.click()
        dalia.reads("Sent")
        dalia.look("treasurer-payout")
        address = dalia.page.url
        dalia.follow("Bump the fee")
        dalia.fill(feerate_sat_vb="20")
        dalia.press("Show what it costs", "treasurer-bump")
        dalia.reads("Fee of the value paid", "It needs nobody else.")
        dalia.fill(note="No block took it for an hour.")
        dalia.press("Do it")
        dalia.reads("the engine does it now")
        dalia.go(address)
        dalia.until(re.compile("^2. "), "treasurer-bumped")
    releaser.wait_until_settled(play, play.made["second list"], 3)
