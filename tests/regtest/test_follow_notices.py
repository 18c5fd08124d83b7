"""The node's notices over ZMQ, on a real node: a block is read at once, and no message can change anything (F46)."""

import time
from collections.abc import Iterator

import pytest
import zmq
from django.conf import settings as django_settings

from payments.models import Block, ChainFact, NodeStatus
from payments.onchain import node, notices
from payments.payout import dispatch, listen
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000])


@pytest.fixture
def forger() -> Iterator[tuple[str, zmq.Socket]]:
    """A publisher of our own, and its address."""
    socket = zmq.Context.instance().socket(zmq.PUB)
    socket.setsockopt(zmq.LINGER, 0)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    yield f"tcp://127.0.0.1:{port}", socket
    socket.close()


def hear_for(heard: notices.BlockNotices, seconds: float, *, is_owed: bool = False) -> None:
    """Listen for a while, as the process does for ever."""
    now = time.monotonic()
    listen.hear(heard, is_owed=is_owed, until=now + seconds, begin=now)


def hear_of(heard: notices.BlockNotices, block_hash: str) -> None:
    """Listen until that block was read."""
    deadline = time.monotonic() + 20
    while NodeStatus.objects.get().block_hash != block_hash:
        assert time.monotonic() < deadline, "the block was not read in 20 s"
        hear_for(heard, 0.1)


def subscribed(heard: notices.BlockNotices, publish: object) -> None:
    """Publish until the subscription has arrived; what was sent before is lost, as ZMQ loses it."""
    deadline = time.monotonic() + 20
    while not heard.wait(0.05):
        assert time.monotonic() < deadline, "no notice arrived in 20 s"
        publish()  # type: ignore[operator]


class TestNotice:
    def test_is_published_where_the_node_says_and_has_the_block_read(self, ministry: Ministry) -> None:
        client = node.connect()
        url = notices.find_url(client)
        assert url.startswith("tcp://127.0.0.1:")
        with notices.BlockNotices(url) as heard:
            subscribed(heard, lambda: ministry.miner.mine(1))
            # Blocks that were mined before the first notice came have notices of their own.
            while heard.wait(0.5):
                pass
            dispatch.follow()
            (mined,) = ministry.miner.mine(1)
            assert NodeStatus.objects.get().block_hash != mined
            hear_of(heard, mined)

    def test_that_is_lost_costs_only_the_time_until_the_next_look(self, ministry: Ministry) -> None:
        with notices.BlockNotices("tcp://127.0.0.1:9") as deaf:
            (mined,) = ministry.miner.mine(1)
            hear_for(deaf, 0.1)
            assert NodeStatus.objects.get().block_hash != mined
            # The listener owes a look whenever it begins, and the scheduler rings each second.
            hear_for(deaf, 0.1, is_owed=True)
        assert NodeStatus.objects.get().block_hash == mined

    def test_that_is_doubled_reordered_or_garbage_changes_nothing(
        self, ministry: Ministry, forger: tuple[str, zmq.Socket]
    ) -> None:
        (payout,) = ministry.pay(ministry.release([40_000]))
        ministry.mine(2)
        blocks = list(Block.objects.order_by("height").values("block_hash", "is_active"))
        facts = list(ChainFact.objects.order_by("pk").values())
        hashes = [bytes.fromhex(block["block_hash"]) for block in blocks]
        url, socket = forger
        with notices.BlockNotices(url) as heard:
            subscribed(heard, lambda: socket.send_multipart([notices.TOPIC, b"", b""]))
            for body in [*reversed(hashes), hashes[0], hashes[0], b"\xff" * 32, b"", b"x" * 900]:
                socket.send_multipart([notices.TOPIC, body, (7).to_bytes(4, "little")])
                socket.send(notices.TOPIC + b"\x00garbage in one part")
            hear_for(heard, 0.5)
            socket.send_multipart([notices.TOPIC, b"y" * 5_000])
            hear_for(heard, 0.2)
        assert list(Block.objects.order_by("height").values("block_hash", "is_active")) == blocks
        assert list(ChainFact.objects.order_by("pk").values()) == facts
        payout.refresh_from_db()
        assert payout.status == "mined"
        assert NodeStatus.objects.get().is_ok is True


class TestListener:
    def test_finds_nothing_to_listen_to_at_a_node_that_is_away(self, settings: object) -> None:
        settings.GOVPAY_NODE_URL = "http://user:secret@127.0.0.1:9"  # type: ignore[attr-defined]
        assert listen._find_url() == ""

    def test_takes_the_address_of_the_settings_first(self, settings: object) -> None:
        settings.GOVPAY_NODE_ZMQ_URL = "tcp://192.0.2.1:28332"  # type: ignore[attr-defined]
        assert listen._find_url() == "tcp://192.0.2.1:28332"

    def test_puts_the_nodes_host_where_it_listens_on_all(self) -> None:
        assert django_settings.GOVPAY_NODE_ZMQ_URL == ""
        assert notices._reachable("tcp://0.0.0.0:28332", "10.1.2.3") == "tcp://10.1.2.3:28332"
        assert notices._reachable("tcp://127.0.0.1:28332", "10.1.2.3") == "tcp://127.0.0.1:28332"
