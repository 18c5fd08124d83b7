"""The rounds: whom the sweep rings for, and first, so that what fails for ever keeps nobody else waiting."""

from datetime import timedelta

import pytest
from amqp.exceptions import ChannelError
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from govpay.errors import GovPayError
from govpay.models import IdempotencyRecord
from payments import doorbell
from payments.doorbell import Ring
from payments.models import Alarm, Disbursement, Heartbeat, Payout, Program
from payments.payout import dispatch, guard, rounds
from payments.states import PayoutStatus
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def disbursement(program: Program) -> Disbursement:
    return factories.make_disbursement(program, factories.make_member(program, "officer"))


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The payouts that were rung for, in order."""
    ids: list[int] = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **found: ids.extend(payouts(found)))
    return ids


def payouts(found: dict[str, int]) -> list[int]:
    """A ring's payout; programs, which are due for reconciliation as well, are none."""
    return [pk for name, pk in found.items() if name != "program_id"]


def make_payout(disbursement: Disbursement, number: int, **columns: object) -> Payout:
    """A row as the sweep sees it."""
    values = {
        "payment_count": 1,
        "payments_sat": 1,
        "manifest_hash": bytes(32),
        "anchor_txid": "aa" * 32,
        "anchor_vout": number,
    }
    return Payout.objects.create(
        disbursement=disbursement, wallet=disbursement.program.wallet, **(values | columns)
    )


class TestSweep:
    def test_rings_first_for_what_was_never_tried_and_then_for_what_waits_longest(
        self, disbursement: Disbursement, rung: list[int]
    ) -> None:
        now = timezone.now()
        recent = make_payout(disbursement, 1, status=PayoutStatus.SENT, due_at=now - timedelta(seconds=5))
        oldest = make_payout(disbursement, 2, status=PayoutStatus.SENT, due_at=now - timedelta(seconds=50))
        resting = make_payout(disbursement, 3, status=PayoutStatus.SENT, due_at=now + timedelta(seconds=50))
        untried = make_payout(disbursement, 4)
        rounds.sweep()
        assert rung == [untried.pk, oldest.pk, recent.pk]
        assert resting.pk not in rung

    def test_rings_only_for_as_many_as_do_not_wait_in_the_queue_already(self, rung: list[int]) -> None:
        rings = [Ring("advance", {"payout_id": pk}) for pk in range(1, 6)]
        for _ in range(2):
            current_app.send_task("payments.tasks.seal_books")
        doorbell.ring_missing(rings)
        assert len(rung) == len(set(rung)) == 3
        assert rung == sorted(rung)
        for _ in range(3):
            current_app.send_task("payments.tasks.seal_books")
        rung.clear()
        doorbell.ring_missing(rings)
        assert rung == []

    def test_leaves_nobody_out_for_ever_while_something_else_waits(self, rung: list[int]) -> None:
        rings = [Ring("advance", {"payout_id": pk}) for pk in range(1, 6)]
        for _ in range(4):
            current_app.send_task("payments.tasks.seal_books")
        for _ in range(300):
            doorbell.ring_missing(rings)
        assert len(rung) == 300
        assert set(rung) == {1, 2, 3, 4, 5}

    def test_drops_rounds_that_piled_up_while_nobody_worked(self) -> None:
        queue = settings.GOVPAY_ROUNDS_QUEUE
        with current_app.connection_for_write() as connection:
            channel = connection.default_channel
            for _ in range(rounds.MOST_ROUNDS + 1):
                current_app.send_task("payments.tasks.follow")
            assert channel.queue_declare(queue, passive=True).message_count == rounds.MOST_ROUNDS + 1
            rounds.sweep()
            with pytest.raises(ChannelError):
                channel.queue_declare(queue, passive=True)

    def test_notes_when_it_was_last_done(self) -> None:
        before = timezone.now()
        rounds.sweep()
        rounds.sweep()
        assert before <= Heartbeat.objects.get(name="sweep").beat_at <= timezone.now()


class TestWatch:
    def test_sounds_an_alarm_when_nothing_swept_for_ten_rounds_and_the_next_sweep_closes_it(self) -> None:
        rounds.sweep()
        rounds.watch()
        assert Alarm.objects.count() == 0
        Heartbeat.objects.update(beat_at=timezone.now() - timedelta(seconds=rounds.late_s() + 1))
        rounds.watch()
        rounds.watch()
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject, alarm.times) == ("sweep_late", "scheduler", 2)
        rounds.sweep()
        alarm.refresh_from_db()
        assert alarm.close_note == "It sweeps again."


class TestPrune:
    def test_deletes_stored_answers_after_thirty_days_and_keeps_younger_ones(
        self, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rounds, "AT_ONCE", 2)
        for key, days in (("oldest", 33), ("older", 32), ("old", 31), ("young", 29)):
            record = IdempotencyRecord.objects.create(user=officer, key=key, request_hash=bytes(32))
            created_at = timezone.now() - timedelta(days=days)
            IdempotencyRecord.objects.filter(pk=record.pk).update(created_at=created_at)
        rounds.prune()
        assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["young"]


class TestAdvance:
    def test_that_cannot_work_lets_others_go_first(
        self, disbursement: Disbursement, rung: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: object, **__: object) -> None:
            raise GovPayError("The node is elsewhere.")

        stuck = make_payout(disbursement, 1)
        monkeypatch.setattr(guard, "require_chain", refuse)
        dispatch.advance(payout_id=stuck.pk)
        stuck.refresh_from_db()
        assert (stuck.status, stuck.problem) == (PayoutStatus.SEALED, "The node is elsewhere.")
        rounds.sweep()
        assert rung == []
