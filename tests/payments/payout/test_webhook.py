"""Messages about alarms, against a real receiver on loopback that checks each signature with code of its own."""

import json
import re
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from payments import doorbell, tasks
from payments.models import Alarm, AlarmDelivery, Heartbeat, Program
from payments.payout import alarms, core, rounds, webhook
from payments.services import alarms as in_hand
from payments.services import stops
from tests import factories
from tests.faults.killing import kill_at
from tests.payments.payout import receiver as receivers
from tests.payments.payout.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    made = Receiver()
    settings.GOVPAY_ALARM_WEBHOOK_URL, settings.GOVPAY_ALARM_WEBHOOK_SECRET = made.url, receivers.SECRET
    yield made
    made.close()


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every doorbell that was rung, in order."""
    found: list[str] = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **_: found.append(task))
    return found


def sound(subject_id: int = 1, program: Program | None = None) -> Alarm:
    return alarms.sound(
        "payout_stuck",
        subject="payout",
        subject_id=subject_id,
        program_id=program.pk if program else None,
        message="It waits.",
    )


def pass_time() -> None:
    """The rest of the receiver and every wait are over."""
    Heartbeat.objects.all().delete()
    AlarmDelivery.objects.update(due_at=Now())


def state() -> list[tuple[str, int, bool, str]]:
    rows = AlarmDelivery.objects.order_by("pk")
    return [(row.event, row.attempts, row.delivered_at is not None, row.error) for row in rows]


class TestAnnounce:
    def test_tells_what_happened_to_what_and_nothing_that_a_person_wrote(
        self, receiver: Receiver, program: Program, rung: list[str]
    ) -> None:
        treasurer = factories.make_member(program, "treasurer")
        before = time.time()
        stops.throw(by=treasurer, reason="Ayesha Bibi says that she was paid twice.")
        alarm = Alarm.objects.get()
        webhook.deliver()
        (message,) = receiver.messages
        assert int(before) <= message.timestamp <= time.time()
        assert re.fullmatch(r"msg_[0-9a-f]{32}", message.id)
        content = message.content
        assert datetime.fromisoformat(content.pop("timestamp")) >= alarm.opened_at
        installation = content["data"].pop("installation")
        assert re.fullmatch(r"[0-9a-f-]{36}", installation)
        assert content == {
            "type": "alarm.opened",
            "data": {
                "network": "regtest",
                "alarm_id": alarm.pk,
                "code": "engine_stopped",
                "means": "Somebody threw the global stop: nothing is sealed, signed or sent, in any program.",
                "subject": "engine",
                "subject_id": 0,
                "program": None,
                "opened_at": alarm.opened_at.isoformat(),
            },
        }
        for word in ("Ayesha", "paid twice", treasurer.get_username()):
            assert word not in message.body.decode()

    def test_tells_of_opening_taking_and_closing_in_this_order(
        self, receiver: Receiver, program: Program
    ) -> None:
        treasurer = factories.make_member(program, "treasurer")
        alarm = sound(program=program)
        sound(program=program)
        in_hand.take(by=treasurer, alarm_id=alarm.pk)
        in_hand.close(by=treasurer, alarm_id=alarm.pk, note="It was the node.")
        for _ in range(3):
            webhook.deliver()
        assert receiver.said == [
            ("alarm.opened", alarm.pk),
            ("alarm.taken", alarm.pk),
            ("alarm.closed", alarm.pk),
        ]
        assert {message.content["data"]["program"] for message in receiver.messages} == {program.code}
        assert len(receiver.messages) == 3

    def test_tells_when_the_engine_finds_the_cause_gone(self, receiver: Receiver) -> None:
        found = [sound(1), sound(2), sound(3)]
        alarms.clear_all("payout_stuck", subject="payout", subject_ids=[1, 2, 9], note="It is mined.")
        alarms.clear("payout_stuck", subject="payout", subject_id=2, note="Again.")
        webhook.deliver()
        assert sorted(receiver.said) == sorted(
            [("alarm.opened", alarm.pk) for alarm in found]
            + [("alarm.closed", alarm.pk) for alarm in found[:2]]
        )

    def test_that_is_rolled_back_tells_nothing(self, receiver: Receiver, rung: list[str]) -> None:
        with transaction.atomic():
            sound()
            transaction.set_rollback(True)
        webhook.deliver()
        assert (AlarmDelivery.objects.count(), receiver.messages) == (0, [])

    def test_without_a_receiver_keeps_nothing(self, rung: list[str]) -> None:
        assert django_settings.GOVPAY_ALARM_WEBHOOK_URL == ""
        alarm = sound()
        alarms.clear("payout_stuck", subject="payout", subject_id=1, note="Gone.")
        rounds.sweep()
        assert (AlarmDelivery.objects.count(), rung.count("deliver")) == (0, 0)
        alarm.refresh_from_db()
        assert alarm.closed_at is not None

    def test_rings_for_a_worker_of_the_rounds_and_never_for_one_that_pays(
        self, receiver: Receiver, rung: list[str]
    ) -> None:
        sound()
        assert rung == ["deliver"]
        routes = django_settings.CELERY_TASK_ROUTES
        assert routes[tasks.deliver.name]["queue"] == django_settings.GOVPAY_ROUNDS_QUEUE

    def test_is_rung_again_by_the_sweep_until_it_was_taken(self, receiver: Receiver, rung: list[str]) -> None:
        sound()
        rung.clear()
        rounds.sweep()
        assert rung.count("deliver") == 1
        webhook.deliver()
        rounds.sweep()
        assert rung.count("deliver") == 1


class TestDeliver:
    def test_sends_the_same_id_and_body_until_they_are_taken(self, receiver: Receiver) -> None:
        receiver.answers = [receivers.status(500), receivers.status(404)]
        sound()
        for _ in range(4):
            webhook.deliver()
            pass_time()
        assert len(receiver.messages) == 3
        assert len({(message.id, message.body) for message in receiver.messages}) == 1
        assert state() == [("opened", 3, True, "")]

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (receivers.status(500), "The receiver answered HTTP 500."),
            (receivers.status(410), "The receiver answered HTTP 410."),
            (receivers.status(429), "The receiver answered HTTP 429."),
            (
                receivers.status(302, Location="/elsewhere"),
                "The receiver answered HTTP 302; no redirect is followed.",
            ),
            (
                receivers.status(307, Location="/alarms?from=govpay"),
                "The receiver answered HTTP 307; no redirect is followed.",
            ),
            (receivers.raw(b"SSH-2.0-OpenSSH_9.9\r\n"), "is not HTTP (BadStatusLine)"),
            (receivers.raw(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 200), "is not HTTP (HTTPException)"),
            (receivers.raw(b"HTTP/1.1 200 " + b"K" * 1_000_000), "is not HTTP (LineTooLong)"),
            (receivers.raw(b""), "is not HTTP (RemoteDisconnected)"),
        ],
    )
    def test_notes_why_a_message_was_not_taken_and_leaves_the_receiver_alone_for_a_while(
        self, receiver: Receiver, answer: receivers.Answer, reason: str
    ) -> None:
        receiver.answers = [answer]
        sound()
        webhook.deliver()
        webhook.deliver()
        ((event, attempts, is_delivered, error),) = state()
        assert (event, attempts, is_delivered) == ("opened", 1, False)
        assert reason in error
        assert (len(receiver.messages), receiver.refused) == (1, [])
        pass_time()
        webhook.deliver()
        assert state() == [("opened", 2, True, "")]

    def test_reads_no_further_than_the_headers_of_a_huge_reply(self, receiver: Receiver) -> None:
        sent = []

        def flood(request: Any) -> None:
            request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            for _ in range(1000):
                request.wfile.write(bytes(1_000_000))
                sent.append(1_000_000)

        receiver.answers = [flood]
        sound()
        webhook.deliver()
        assert state() == [("opened", 1, True, "")]
        assert sum(sent) < 100_000_000

    @pytest.mark.parametrize("fault", ["hang", "drip"])
    def test_gives_one_attempt_a_round_to_a_receiver_that_hangs(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        timeout_s = webhook.TIMEOUT_S
        monkeypatch.setattr(webhook, "TIMEOUT_S", 0.3)
        receiver.usual = getattr(receiver, fault)
        first, second, third = sound(1), sound(2), sound(3)
        webhook.deliver()
        webhook.deliver()
        late = "The receiver did not answer within 0.3 s."
        assert state() == [("opened", 1, False, late), ("opened", 0, False, ""), ("opened", 0, False, "")]
        Heartbeat.objects.all().delete()
        webhook.deliver()
        assert state()[:2] == [("opened", 1, False, late), ("opened", 1, False, late)]
        monkeypatch.setattr(webhook, "TIMEOUT_S", timeout_s)
        receiver.usual = receivers.take
        pass_time()
        webhook.deliver()
        assert [is_delivered for _, _, is_delivered, _ in state()] == [True, True, True]
        assert sorted(receiver.said) == [("alarm.opened", alarm.pk) for alarm in (first, second, third)]

    def test_of_a_receiver_that_is_not_there_waits(self, receiver: Receiver, settings: Any) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            settings.GOVPAY_ALARM_WEBHOOK_URL = f"http://127.0.0.1:{taken.getsockname()[1]}/secret-token"
            sound()
            webhook.deliver()
        ((_, attempts, is_delivered, error),) = state()
        assert (attempts, is_delivered, error) == (
            1,
            False,
            "No connection to the receiver: Connection refused.",
        )
        settings.GOVPAY_ALARM_WEBHOOK_URL = receiver.url
        pass_time()
        webhook.deliver()
        assert state() == [("opened", 2, True, "")]

    def test_is_refused_by_a_receiver_with_another_secret(self, receiver: Receiver, settings: Any) -> None:
        settings.GOVPAY_ALARM_WEBHOOK_SECRET = "whsec_" + "B" * 32
        sound()
        webhook.deliver()
        assert (receiver.messages, len(receiver.refused)) == ([], 1)
        assert state() == [("opened", 1, False, "The receiver answered HTTP 401.")]

    def test_keeps_the_closing_back_until_the_opening_was_taken(self, receiver: Receiver) -> None:
        receiver.answers = [receivers.status(503)]
        first = sound(1)
        alarms.clear("payout_stuck", subject="payout", subject_id=1, note="It moves.")
        second = sound(2)
        webhook.deliver()
        Heartbeat.objects.all().delete()
        webhook.deliver()
        assert receiver.said == [("alarm.opened", first.pk), ("alarm.opened", second.pk)]
        pass_time()
        webhook.deliver()
        assert [row[:3] for row in state()] == [("opened", 2, True), ("closed", 1, True), ("opened", 1, True)]
        types = [message.content["type"] for message in receiver.messages]
        assert types.index("alarm.closed") == len(types) - 1

    def test_waits_longer_after_each_failure_up_to_a_quarter_of_an_hour(self, receiver: Receiver) -> None:
        receiver.answers = [receivers.status(500)] * 12
        sound()
        waits = []
        for _ in range(12):
            webhook.deliver()
            row = AlarmDelivery.objects.annotate(now=Now()).get()
            waits.append((row.due_at - row.now).total_seconds())
            pass_time()
        assert len(receiver.messages) == 12
        assert all(wait <= webhook.AGAIN_MOST_S * 1.25 for wait in waits)
        # Each is the one before doubled, give or take a quarter, so that the next but one is longer for certain.
        assert all(later > earlier for earlier, later in zip(waits[:5:2], waits[2:7:2], strict=False))

    def test_is_not_begun_anew_while_an_attempt_may_last(self) -> None:
        shortest_s = min(
            core.backoff_s(webhook.AGAIN_S, webhook.AGAIN_MOST_S, times=0, payout_id=pk)
            for pk in range(2_000)
        )
        assert shortest_s > webhook.TIMEOUT_S

    def test_comes_to_an_end_when_its_time_is_over(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webhook, "BUDGET_S", 0)
        sound()
        webhook.deliver()
        assert state() == [("opened", 0, False, "")]

    def test_leaves_to_another_worker_what_that_one_sends_and_takes_it_over_later(
        self, receiver: Receiver
    ) -> None:
        sound()
        row = webhook._claim()
        assert row is not None
        webhook.deliver()
        assert receiver.messages == []
        pass_time()
        webhook.deliver()
        assert [message.id for message in receiver.messages] == [row.message_id]
        assert state() == [("opened", 2, True, "")]

    def test_that_comes_too_late_to_fail_leaves_a_message_delivered(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One worker is stopped past its claim; another sends the message meanwhile."""
        send = webhook._send

        def overtaken(row: AlarmDelivery) -> str:
            monkeypatch.setattr(webhook, "_send", send)
            pass_time()
            webhook.deliver()
            return "The receiver did not answer."

        monkeypatch.setattr(webhook, "_send", overtaken)
        sound()
        webhook.deliver()
        assert state() == [("opened", 2, True, "")]


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        return tmp_path / "receiver.pem"

    @pytest.fixture
    def receiver(self, settings: Any, certificate: Path) -> Iterator[Receiver]:
        made = Receiver(receivers.make_certificate(certificate))
        settings.GOVPAY_ALARM_WEBHOOK_URL, settings.GOVPAY_ALARM_WEBHOOK_SECRET = made.url, receivers.SECRET
        yield made
        made.close()

    def test_delivers_to_whose_certificate_is_trusted(
        self, receiver: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        alarm = sound()
        webhook.deliver()
        assert (receiver.said, state()) == ([("alarm.opened", alarm.pk)], [("opened", 1, True, "")])

    def test_tells_nothing_to_a_stranger(self, receiver: Receiver) -> None:
        sound()
        webhook.deliver()
        error = "No TLS with the receiver: CERTIFICATE_VERIFY_FAILED."
        assert (receiver.messages, receiver.refused, state()) == ([], [], [("opened", 1, False, error)])

    def test_tells_nothing_to_whoever_has_a_certificate_of_another_name(
        self, receiver: Receiver, certificate: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        settings.GOVPAY_ALARM_WEBHOOK_URL = receiver.url.replace("127.0.0.1", "localhost")
        sound()
        webhook.deliver()
        error = "No TLS with the receiver: CERTIFICATE_VERIFY_FAILED."
        assert (receiver.messages, state()) == ([], [("opened", 1, False, error)])

    def test_does_not_wait_for_ever_for_a_handshake(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webhook, "TIMEOUT_S", 0.3)
        settings.GOVPAY_ALARM_WEBHOOK_SECRET = receivers.SECRET
        with socket.create_server(("127.0.0.1", 0)) as silent:
            settings.GOVPAY_ALARM_WEBHOOK_URL = f"https://127.0.0.1:{silent.getsockname()[1]}/"
            sound()
            webhook.deliver()
        assert state() == [("opened", 1, False, "The receiver did not answer within 0.3 s.")]

    def test_is_not_spoken_by_a_receiver_of_plain_http(self, settings: Any) -> None:
        plain = Receiver()
        settings.GOVPAY_ALARM_WEBHOOK_SECRET = receivers.SECRET
        settings.GOVPAY_ALARM_WEBHOOK_URL = plain.url.replace("http:", "https:")
        sound()
        webhook.deliver()
        plain.close()
        ((_, attempts, is_delivered, error),) = state()
        assert (attempts, is_delivered, plain.messages) == (1, False, [])
        assert error.startswith("No TLS with the receiver")


@pytest.mark.django_db(transaction=True)
class TestKilled:
    def test_after_it_sent_and_before_it_noted_so_sends_the_same_message_again(
        self, receiver: Receiver
    ) -> None:
        """K20: the receiver gets it twice, under one id, and drops the double."""
        alarm = sound()
        kill_at("K20", webhook.deliver)
        assert (len(receiver.messages), state()) == (1, [("opened", 1, False, "")])
        webhook.deliver()
        assert len(receiver.messages) == 1
        pass_time()
        webhook.deliver()
        first, again = receiver.messages
        assert (first.id, first.body) == (again.id, again.body)
        assert receiver.said == [("alarm.opened", alarm.pk)]
        assert state() == [("opened", 2, True, "")]


class TestWatch:
    def test_delivers_what_it_finds_when_nobody_sweeps(self, receiver: Receiver) -> None:
        assert not Heartbeat.objects.filter(name="sweep").exists()
        rounds.watch()
        assert receiver.said == [("alarm.opened", Alarm.objects.get(code="sweep_late").pk)]


class TestBody:
    def test_is_the_same_however_the_alarm_changes_before_it_is_sent(
        self, receiver: Receiver, program: Program, officer: User
    ) -> None:
        alarm = sound(program=program)
        kept = AlarmDelivery.objects.get().body
        in_hand.take(by=officer, alarm_id=alarm.pk)
        sound(program=program)
        webhook.deliver()
        assert receiver.messages[0].body.decode() == kept
        assert json.loads(kept)["data"]["alarm_id"] == alarm.pk
