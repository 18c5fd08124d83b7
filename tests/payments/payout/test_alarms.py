"""Alarms: one open row for each cause."""

import pytest

from payments.models import Alarm
from payments.payout import alarms

pytestmark = pytest.mark.django_db


class TestSound:
    def test_counts_how_often_an_open_cause_was_seen(self) -> None:
        first = alarms.sound("node_hangs", subject="node", message="It hangs.")
        again = alarms.sound("node_hangs", subject="node", message="It hangs still.")
        assert first.pk == again.pk
        alarm = Alarm.objects.get()
        assert (alarm.times, alarm.message) == (2, "It hangs still.")

    def test_opens_a_new_row_once_the_old_one_is_closed(self) -> None:
        alarms.sound("node_hangs", subject="node", message="It hangs.")
        alarms.clear("node_hangs", subject="node", note="It answers.")
        alarms.sound("node_hangs", subject="node", message="It hangs.")
        assert [alarm.closed_at is None for alarm in Alarm.objects.order_by("pk")] == [False, True]
