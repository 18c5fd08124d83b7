"""The people of PENSIONS, one after the other, each in their own browser over one stack that `make up` would start."""

import shutil
from collections.abc import Callable, Iterator

import pytest

from deploy.local.postgres import Postgres
from tests import browser as browsing
from tests import services
from tests.stories import (
    approver,
    auditor,
    officer,
    person,
    pictures,
    releaser,
    rupees,
    treasurer,
    wrong_turns,
)
from tests.stories.pictures import KEPT
from tests.stories.play import Play
from tests.stories.stage import Stage

pytestmark = [pytest.mark.real, browsing.needs_chromium]

# In this order: each goes on where the one before ended.
STORIES = [
    Play.enroll,
    treasurer.fund,
    officer.tell,
    officer.bring,
    approver.tell,
    releaser.tell,
    person.be_listed,
    treasurer.bump,
    person.claim,
    person.follow,
    auditor.drill,
    auditor.prove,
    wrong_turns.self_approval,
    wrong_turns.stale_page,
    wrong_turns.lockout,
    wrong_turns.dead_node,
    rupees.expired_quote,
]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """The stage with its lights on."""
    state_dir = services.ensure_state_dir() / "stories"
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    with (
        pytest.MonkeyPatch.context() as patch,
        Stage(state_dir) as stage,
        browsing.launched(patch) as browser,
    ):
        yield Play(stage, browser, tmp_path_factory.mktemp("files"))
    Postgres(state_dir).remove()


@pytest.mark.parametrize(
    "story", STORIES, ids=lambda story: f"{story.__module__.rpartition('.')[2]}-{story.__name__}"
)
def test_is_told(play: Play, story: Callable[[Play], None]) -> None:
    if play.broken_at:
        pytest.skip(f"{play.broken_at} did not come to its end.")
    play.tell(story)


def test_they_take_each_picture_that_a_guide_shows(play: Play) -> None:
    assert set(pictures.shown()) - pictures.kept(KEPT) == set()
