"""The lookout: alarms about what stops without a payout to blame, and their end when the cause is gone."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from ledger.models import BreakKind, ReconciliationRun, RunStatus
from payments.models import Alarm, AlarmDelivery, Block, Heartbeat, NodeStatus, Payout, Program
from payments.models.history import move
from payments.payout import alarms, dispatch, follow, guard, lookout, rounds, webhook
from payments.services import alarms as in_hand
from payments.states import TRANSITIONS, PayoutStatus
from tests import factories
from tests.payments.payout import receiver as receivers
from tests.payments.payout.receiver import Receiver

pytestmark = pytest.mark.django_db


def codes() -> list[str]:
    """What is open."""
    return list(Alarm.objects.filter(closed_at=None).order_by("code").values_list("code", flat=True))


def age(**columns: int) -> None:
    """Let moments of the look at the node lie so many seconds back."""
    now = timezone.now()
    NodeStatus.objects.update(**{name: now - timedelta(seconds=age_s) for name, age_s in columns.items()})


def stay_awake() -> None:
    """Sweeps have come for an hour, and the last one just now."""
    now = timezone.now()
    for name, beat_at in (("sweep", now), ("awake", now - timedelta(hours=1))):
        Heartbeat.objects.update_or_create(name=name, defaults={"beat_at": beat_at})


class TestNode:
    @pytest.fixture(autouse=True)
    def _awake(self, db: None) -> None:
        stay_awake()

    @pytest.fixture
    def nobody(self, settings: Any) -> Iterator[None]:
        """No node listens where the settings say."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            settings.GOVPAY_NODE_URL = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}"
            yield

    def test_that_does_not_answer_for_a_minute_is_an_alarm_until_it_answers(self, nobody: None) -> None:
        rounds.sweep()
        dispatch.follow()
        rounds.sweep()
        assert codes() == []
        age(ok_at=lookout.UNREACHABLE_S + 1)
        dispatch.follow()
        rounds.sweep()
        rounds.sweep()
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject, alarm.times) == ("node_unreachable", "node", 2)
        assert "No connection to the node" in alarm.message
        assert "secret" not in alarm.message
        guard.record(is_ok=True)
        rounds.sweep()
        assert codes() == []

    def test_that_answers_now_and_then_is_none(self, nobody: None) -> None:
        for _ in range(3):
            guard.record(is_ok=True)
            dispatch.follow()
            lookout.look()
        assert NodeStatus.objects.get().is_ok is False
        assert codes() == []

    def test_is_not_closed_by_a_person_while_it_lasts(self, nobody: None, program: Program) -> None:
        dispatch.follow()
        age(ok_at=3600)
        lookout.look()
        treasurer = factories.make_member(program, "treasurer")
        with pytest.raises(in_hand.AlarmGoesOn):
            in_hand.close(by=treasurer, alarm_id=Alarm.objects.get().pk, note="I do not care.")
        assert codes() == ["node_unreachable"]

    @pytest.mark.parametrize("code", lookout.ANOTHER_CHAIN)
    def test_on_another_chain_is_an_alarm_at_once(self, code: str) -> None:
        guard.record(is_ok=False, code=code, message="It follows another chain.")
        lookout.look()
        age(ok_at=3600)
        lookout.look()
        assert codes() == ["node_elsewhere"]
        guard.record(is_ok=True)
        lookout.look()
        assert codes() == []

    def test_that_pruned_a_block_has_that_alarm_only(self) -> None:
        guard.record(is_ok=False, code=follow.BlocksPruned.code, message="Block 7 is gone.")
        age(ok_at=3600)
        lookout.look()
        assert codes() == []

    def test_at_which_nobody_looks_is_an_alarm(self) -> None:
        lookout.look()
        assert codes() == []
        guard.record(is_ok=True)
        age(checked_at=61)
        lookout.look()
        assert codes() == ["follow_late"]
        guard.record(is_ok=True)
        lookout.look()
        assert codes() == []

    def test_whose_blocks_are_being_read_is_looked_at(self) -> None:
        guard.record(is_ok=True)
        age(checked_at=600)
        Block.objects.create(block_hash="bb" * 32, prev_hash="aa" * 32, height=7, time=timezone.now())
        lookout.look()
        assert codes() == []
        Block.objects.update(read_at=timezone.now() - timedelta(seconds=61))
        lookout.look()
        assert codes() == ["follow_late"]

    def test_at_which_nobody_looked_because_nothing_ran_has_its_minute(self) -> None:
        """Everything was down: the first sweep must not tell that the node was not looked at."""
        guard.record(is_ok=False, code="node_unreachable", message="Nobody answers.")
        age(ok_at=3600, checked_at=3600)
        Heartbeat.objects.filter(name="sweep").update(beat_at=timezone.now() - timedelta(hours=1))
        rounds.sweep()
        rounds.sweep()
        assert codes() == []
        stay_awake()
        rounds.sweep()
        assert codes() == ["follow_late", "node_unreachable"]


class TestFrozen:
    @pytest.fixture
    def payout(self, program: Program, officer: User) -> Payout:
        made = factories.make_disbursement(program, officer)
        return Payout.objects.create(
            disbursement=made,
            wallet=program.wallet,
            status=PayoutStatus.FROZEN,
            payment_count=1,
            payments_sat=1,
            manifest_hash=bytes(32),
            anchor_txid="aa" * 32,
            anchor_vout=0,
        )

    @pytest.fixture
    def alarm(self, payout: Payout) -> Alarm:
        return alarms.sound("payout_frozen", subject="payout", subject_id=payout.pk, message="A stranger.")

    @pytest.mark.parametrize(
        "status", [arrow.new for arrow in TRANSITIONS["payout"] if arrow.old == PayoutStatus.FROZEN]
    )
    def test_payout_that_is_so_no_more_closes_its_alarm(
        self, status: str, payout: Payout, alarm: Alarm
    ) -> None:
        rounds.sweep()
        assert codes() == ["payout_frozen"]
        with transaction.atomic():
            move(Payout.objects.filter(pk=payout.pk), old=PayoutStatus.FROZEN, new=status)
        rounds.sweep()
        alarm.refresh_from_db()
        assert codes() == []
        assert alarm.close_note == f"It is {PayoutStatus(status).label.lower()}."

    def test_payout_leaves_the_alarms_of_others_open(self, payout: Payout, alarm: Alarm) -> None:
        alarms.sound("payout_frozen", subject="payout", subject_id=payout.pk + 1, message="Unknown.")
        alarms.sound("payout_stuck", subject="payout", subject_id=payout.pk, message="Also.")
        Payout.objects.filter(pk=payout.pk).update(status=PayoutStatus.MINED)
        lookout.look()
        assert codes() == ["payout_frozen", "payout_stuck"]


@pytest.mark.django_db(transaction=True)
class TestRace:
    def test_of_an_end_and_a_new_sighting_leaves_an_open_alarm(self) -> None:
        """Who sounds it waits for who closes it, and opens another."""
        alarms.sound("payout_frozen", subject="payout", subject_id=7, message="First.")
        begun = threading.Event()

        def see_again() -> None:
            try:
                begun.set()
                alarms.sound("payout_frozen", subject="payout", subject_id=7, message="Again.")
            finally:
                connection.close()

        seer = threading.Thread(target=see_again)
        with transaction.atomic():
            alarms.clear("payout_frozen", subject="payout", subject_id=7, note="It is thawed.")
            seer.start()
            begun.wait()
            wait_until_somebody_waits_for_a_lock()
        seer.join()
        assert list(Alarm.objects.order_by("pk").values_list("message", "times", "close_note")) == [
            ("First.", 1, "It is thawed."),
            ("Again.", 1, ""),
        ]


def wait_until_somebody_waits_for_a_lock() -> None:
    """Poll the server until a session of this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    count = 0
    while not count:
        with connection.cursor() as cursor:
            # Within one database transaction the server shows what it saw first, unless told to look anew.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            count = cursor.fetchone()[0]


class TestReconciliation:
    def run(self, program: Program, status: str = RunStatus.BREAKS, **counts: int) -> ReconciliationRun:
        now = timezone.now()
        return ReconciliationRun.objects.create(
            scope=program.scope,
            status=status,
            block_height=100,
            counts=counts,
            break_count=sum(counts.get(kind, 0) for kind in BreakKind.values),
            digest=bytes(32),
            started_at=now,
            finished_at=now,
        )

    def test_with_breaks_is_an_alarm_until_a_run_is_clean(self, program: Program) -> None:
        self.run(program, RunStatus.CLEAN)
        lookout.look()
        assert codes() == []
        first = self.run(program, unbooked=2, fee=1, matched=7)
        rounds.sweep()
        rounds.sweep()
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject, alarm.subject_id) == ("reconciliation_break", "run", first.pk)
        assert (alarm.program, alarm.times) == (program, 1)
        assert alarm.message == f"Run {first.pk} of {program.scope} at block 100 found breaks: 3."
        self.run(program, RunStatus.INCONCLUSIVE)
        lookout.look()
        assert codes() == ["reconciliation_break"]
        clean = self.run(program, RunStatus.CLEAN)
        lookout.look()
        alarm.refresh_from_db()
        assert (codes(), alarm.close_note) == ([], f"Run {clean.pk} is clean.")

    def test_that_finds_them_again_is_noted_on_the_open_alarm(self, program: Program, officer: User) -> None:
        self.run(program, fee=1)
        lookout.look()
        alarm = Alarm.objects.get()
        in_hand.take(by=officer, alarm_id=alarm.pk)
        again = self.run(program, fee=4)
        lookout.look()
        found = Alarm.objects.get()
        assert (found.pk, found.owner, found.times, found.subject_id) == (alarm.pk, officer, 2, again.pk)
        assert found.message.endswith("found breaks: 4.")

    def test_that_a_person_explained_is_no_alarm_again_until_another_run(
        self, program: Program, officer: User
    ) -> None:
        self.run(program, fee=1)
        lookout.look()
        in_hand.close(by=officer, alarm_id=Alarm.objects.get().pk, note="A stranger paid the fee.")
        lookout.look()
        assert codes() == []
        self.run(program, fee=1)
        lookout.look()
        assert (codes(), Alarm.objects.count()) == (["reconciliation_break"], 2)

    def test_of_one_program_says_nothing_of_another(self, program: Program) -> None:
        other = factories.make_program(code="OTHER")
        self.run(program, fee=1)
        self.run(other, fee=1)
        lookout.look()
        self.run(other, RunStatus.CLEAN)
        lookout.look()
        assert Alarm.objects.get(closed_at=None).program == program


class TestWebhook:
    @pytest.fixture
    def receiver(self, settings: Any) -> Iterator[Receiver]:
        made = Receiver()
        settings.GOVPAY_ALARM_WEBHOOK_URL, settings.GOVPAY_ALARM_WEBHOOK_SECRET = made.url, receivers.SECRET
        yield made
        made.close()

    def test_that_takes_nothing_for_five_minutes_is_an_alarm_until_all_was_taken(
        self, receiver: Receiver
    ) -> None:
        receiver.answers = [receivers.status(500)]
        alarms.sound("payout_stuck", subject="payout", message="It waits.")
        webhook.deliver()
        lookout.look()
        assert codes() == ["payout_stuck"]
        old = timezone.now() - timedelta(seconds=lookout.UNTAKEN_S + 1)
        AlarmDelivery.objects.update(made_at=old)
        lookout.look()
        assert codes() == ["payout_stuck", "webhook_down"]
        message = Alarm.objects.get(code="webhook_down").message
        assert message.startswith("Messages wait since 20")
        assert message.endswith("UTC: 1. The receiver answered HTTP 500.")
        self.deliver_all()
        lookout.look()
        assert codes() == ["payout_stuck"]
        self.deliver_all()
        kinds = [(message.content["type"], message.content["data"]["code"]) for message in receiver.messages]
        assert kinds[-1] == ("alarm.closed", "webhook_down")
        assert kinds.count(("alarm.opened", "webhook_down")) == 1

    def test_that_the_settings_name_no_more_is_none(self, receiver: Receiver, settings: Any) -> None:
        alarms.sound("payout_stuck", subject="payout", message="It waits.")
        AlarmDelivery.objects.update(made_at=timezone.now() - timedelta(hours=1))
        lookout.look()
        assert codes() == ["payout_stuck", "webhook_down"]
        settings.GOVPAY_ALARM_WEBHOOK_URL = ""
        lookout.look()
        assert codes() == ["payout_stuck"]

    @staticmethod
    def deliver_all() -> None:
        Heartbeat.objects.all().delete()
        AlarmDelivery.objects.update(due_at=timezone.now() - timedelta(hours=1))
        webhook.deliver()
