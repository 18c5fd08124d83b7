"""What goes wrong, and what the pages then say: people who may not, pages that are old, wrong codes, a dead node."""

import re

from tests.stories import officer, releaser
from tests.stories.play import Play


def self_approval(play: Play) -> None:
    """Whoever made a list cannot approve it: no button offers it, and its address refuses."""
    ayesha = play.staff("ayesha")
    address = officer.submit(ayesha, play.folder / "third.csv", "bonus", [("PEN-00005", 30_000)])
    play.made["third list"] = address
    assert ayesha.page.get_by_role("link", name=re.compile("Approve$")).count() == 0
    ayesha.let_code_age()
    ayesha.go(address.replace("/change/", "/approve/"))
    ayesha.give_code()
    ayesha.press("Approve 1 payment", "wrong-self-approval")
    ayesha.reads("This needs the role of approver in the program.")


def stale_page(play: Play) -> None:
    """Of two open pages the second decides nothing: the list is not any more what it was."""
    bruno, address = play.staff("bruno"), play.made["third list"]
    bruno.open_decision(address, "Approve")
    other = bruno.context.new_page()
    other.goto(f"{bruno.url}{address.replace('/change/', '/approve/')}")
    other.get_by_role("button", name="Approve 1 payment").click()
    other.get_by_text("has your approval").wait_for()
    other.close()
    bruno.press("Approve 1 payment", "wrong-stale")
    bruno.reads("The disbursement is approved, not submitted.")
    releaser.release(play, address)


def lockout(play: Play) -> None:
    """Wrong codes lock out; an administrator's command unlocks, and the right code counts again."""
    grace = play.staff("grace")
    grace.context.clear_cookies()
    grace.give_password()
    for _ in range(3):
        # After each wrong code the next is taken a little later.
        while True:
            grace.fill(code="000000")
            grace.press("Sign in")
            if not grace.page.get_by_text("may be tried in").count():
                break
            grace.page.wait_for_timeout(500)
    grace.reads("Locked out", "locked_out")
    grace.look("wrong-locked-out")
    play.stage.stack.manage("unlock", "--user", "grace")
    grace.sign_in()
    grace.reads("Your programs")


def dead_node(play: Play) -> None:
    """While the node is dead pages say so, and nothing else fails; afterwards they say that it is back."""
    farid, anybody = play.staff("farid"), play.visitor()
    farid.go("/admin/")
    farid.reads(re.compile("^ok$"))
    with play.stage.without_node():
        farid.page.get_by_text("cannot be used").first.wait_for(timeout=60_000)
        farid.look("wrong-dead-node")
        health = farid.context.request.get("/health/")
        assert (health.status, health.json()["checks"]["node"]) == (503, "node_unreachable")
        anybody.go("/transparency/", "transparency-dead-node")
    farid.page.get_by_text(re.compile("^ok$")).first.wait_for(timeout=60_000)
    farid.look("auditor-node-back")
    assert farid.context.request.get("/health/").status == 200
    anybody.go("/transparency/", "transparency")
