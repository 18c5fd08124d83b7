"""A pruned node without a tx index: all works on it, and blocks that it lost before they were read are named (F35)."""

from collections.abc import Iterator

import pytest

from payments.models import Alarm, Block, NodeStatus, Payout
from payments.payout import dispatch
from payments.states import PayoutStatus
from tests.regtest.ministry import Ministry
from tests.regtest.nodes import Pair

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Ours prunes on demand, in small files; theirs keeps everything."""
    with Pair.started(tmp_path_factory.mktemp("pruned"), prune="1", fastprune="1") as pair:
        yield pair


@pytest.fixture
def ministry(two: Pair, settings: object) -> Ministry:
    settings.GOVPAY_NODE_URL = two.ours.url  # type: ignore[attr-defined]
    return Ministry.open(deposits_sat=[1_000_000, 900_000])


class TestPrunedNode:
    def test_pays_and_settles_and_names_the_blocks_that_it_lost(
        self, two: Pair, ministry: Ministry, settings: object
    ) -> None:
        rpc = two.ours.rpc
        assert rpc.call("getblockchaininfo")["pruned"] is True
        assert rpc.call("getindexinfo") == {}
        ministry.mine(400)
        two.wait_until_same()
        assert int(rpc.call("pruneblockchain", 380)) > 100
        (payout,) = ministry.pay(ministry.release([40_000]))
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED

        # The service is down while more blocks come than the node keeps.
        (late,) = ministry.pay(ministry.release([41_000], period="2026-12"))
        before = Block.objects.filter(is_active=True).latest("height")
        ministry.miner.mine(700)
        two.wait_until_same()
        pruned = int(rpc.call("pruneblockchain", before.height + 390))
        assert pruned > before.height + 1
        for _ in range(3):
            dispatch.follow()
        assert Block.objects.filter(is_active=True).latest("height") == before
        late.refresh_from_db()
        assert late.status == PayoutStatus.SENT
        alarm = Alarm.objects.get(code="blocks_pruned")
        assert (alarm.subject, alarm.times, alarm.closed_at) == ("node", 3, None)
        assert f"The node has pruned block {before.height + 1}, which was not read yet" in alarm.message
        status = NodeStatus.objects.get()
        assert (status.is_ok, status.code) == (False, "blocks_pruned")

        # Another node has them.
        settings.GOVPAY_NODE_URL = two.theirs.url  # type: ignore[attr-defined]
        dispatch.follow()
        assert Payout.objects.get(pk=late.pk).status == PayoutStatus.SETTLED
        alarm.refresh_from_db()
        assert alarm.close_note == "The blocks were read."
        assert NodeStatus.objects.get().is_ok is True
        # The checker reads every block there is.
        ministry.judge(exactly=True)
