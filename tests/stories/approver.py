"""The approver's story: totals, hash and costs are read, and the list is approved with a code."""

from tests.stories.officer import TOTAL_SAT
from tests.stories.play import Play


def tell(play: Play) -> None:
    """The list that waits is found on the first page, read, and approved."""
    bruno = play.staff("bruno")
    bruno.look("approver-home")
    bruno.go(play.made["list"], "approver-list")
    play.made["hash"] = bruno.said(r"\b[0-9a-f]{64}\b")
    bruno.let_code_age()
    bruno.follow("Approve")
    bruno.give_code("approver-code")
    bruno.look("approver-approve")
    bruno.reads(f"{TOTAL_SAT:,} sat", play.made["hash"], "Network fees, at most")
    bruno.press("Approve 992 payments", "approver-approved")
    bruno.reads("has your approval")


def approve(play: Play, address: str) -> None:
    """Approve another list."""
    bruno = play.staff("bruno")
    bruno.decide(address, "Approve", "Approve")
    bruno.reads("has your approval")
