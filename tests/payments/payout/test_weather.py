"""Looks at the node's memory pool: what is kept of one, how often, for how long, and what pages read of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.models import Heartbeat, MempoolLook
from payments.onchain import node
from payments.payout import weather
from payments.selectors import weather as selector
from tests.payments.onchain import fake_node
from tests.payments.onchain.fake_node import FakeNode

pytestmark = pytest.mark.django_db

POOL = {"size": 3, "bytes": 1_234, "mempoolminfee": 0.00002, "minrelaytxfee": 0.00001}
ESTIMATES = [{"feerate": 0.00012345}, {}, {"feerate": 0.2}]


@contextmanager
def serving(*answers: Any) -> Iterator[tuple[node.Node, FakeNode]]:
    """A node on loopback with these answers."""
    with FakeNode(*answers) as served:
        client = node.Node(served.url)
        try:
            yield client, served
        finally:
            client.close()


def look(pool: dict[str, Any], *estimates: Any) -> None:
    with serving(*map(fake_node.result, [pool, *estimates])) as (client, _):
        weather.look(client)


def make(at: datetime, tx_count: int = 1, **columns: Any) -> MempoolLook:
    return MempoolLook.objects.create(at=at, tx_count=tx_count, vsize_vb=200, least_sat_kvb=1_000, **columns)


class TestLook:
    def test_keeps_the_pool_and_what_the_node_expects(self) -> None:
        look(POOL, *ESTIMATES)
        found = MempoolLook.objects.get()
        assert (found.tx_count, found.vsize_vb, found.least_sat_kvb) == (3, 1_234, 2_000)
        # The node had no estimate for an hour, and an insane one for a day.
        assert (found.next_sat_kvb, found.hour_sat_kvb, found.day_sat_kvb) == (12_345, None, None)

    def test_is_done_once_a_minute_whoever_follows(self) -> None:
        look(POOL, *ESTIMATES)
        with serving() as (client, served):
            weather.look(client)
            assert served.requests == []
        Heartbeat.objects.filter(name="weather").update(beat_at=timezone.now() - timedelta(seconds=61))
        look(POOL | {"size": 4}, *ESTIMATES)
        assert [row.tx_count for row in MempoolLook.objects.order_by("pk")] == [3, 4]

    def test_keeps_the_table_short(self) -> None:
        now = timezone.now()
        old, kept = make(now - timedelta(hours=49)), make(now - timedelta(hours=47))
        look(POOL, *ESTIMATES)
        ids = set(MempoolLook.objects.values_list("pk", flat=True))
        assert (old.pk in ids, kept.pk in ids, len(ids)) == (False, True, 2)

    def test_of_a_node_that_fails_keeps_nothing_and_stops_nobody(self) -> None:
        with serving(fake_node.error(-1, "Out of memory")) as (client, _):
            weather.look(client)
        assert MempoolLook.objects.count() == 0


class TestHistory:
    def test_takes_what_was_seen_last_in_each_half_hour_of_a_day(self) -> None:
        now = timezone.now()
        base = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
        make(now - timedelta(hours=25), 9)
        for minutes, tx_count in ((0, 1), (29, 2), (30, 3), (61, 4)):
            make(base + timedelta(minutes=minutes), tx_count, next_sat_kvb=tx_count * 1_000)
        steps = selector.history()
        assert [(step.at - base, step.tx_count, step.next_sat_kvb) for step in steps] == [
            (timedelta(minutes=0), 2, 2_000),
            (timedelta(minutes=30), 3, 3_000),
            (timedelta(minutes=60), 4, 4_000),
        ]

    def test_is_one_statement(self) -> None:
        for minute in range(90):
            make(timezone.now() - timedelta(minutes=minute))
        with CaptureQueriesContext(connection) as captured:
            assert len(selector.history()) in (4, 3)
        assert len(captured) == 1
