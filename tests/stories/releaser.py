"""The releaser's story: the list is released with a code, and followed until everybody is paid for good."""

from tests.stories.officer import GOOD
from tests.stories.play import Play


def tell(play: Play) -> None:
    """The bar moves by itself, from the release to the sixth block."""
    carmen = play.staff("carmen")
    carmen.look("releaser-home")
    carmen.let_code_age()
    carmen.go(play.made["list"])
    carmen.follow("Release")
    carmen.give_code("releaser-code")
    carmen.look("releaser-release")
    carmen.reads(play.made["hash"], "cannot be called back")
    carmen.press("Release", "releaser-released")
    carmen.reads("the engine pays it now")
    bar = carmen.page.get_by_role("progressbar", name="Payments")
    bar.wait_for()
    carmen.page.locator("#paying tr").filter(has_text="Seen in a block").filter(has_text=str(GOOD)).wait_for()
    carmen.keep("releaser-paying")
    wait_until_settled(play, play.made["list"], GOOD)
    carmen.look("releaser-settled")


def release(play: Play, address: str) -> None:
    """Release another list."""
    carmen = play.staff("carmen")
    carmen.decide(address, "Release", "Release")
    carmen.reads("the engine pays it now")


def wait_until_settled(play: Play, address: str, count: int) -> None:
    """Follow a list until so many of its payments are paid for good."""
    carmen = play.staff("carmen")
    carmen.go(address)
    carmen.page.locator(f"[role=progressbar][aria-valuenow='{count}']").wait_for(timeout=60_000)
