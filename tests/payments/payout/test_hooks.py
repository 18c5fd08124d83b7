"""Webhooks of programs, against real receivers on loopback that check each signature with code of their own."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone

from payments import doorbell, tasks
from payments.models import (
    Alarm,
    Disbursement,
    Entitlement,
    Program,
    StatusChange,
    Webhook,
    WebhookDelivery,
    WebhookSecret,
)
from payments.payout import events, hooks, rounds
from payments.services import entitlements, grievances
from tests import claiming, factories
from tests.faults.killing import kill_at
from tests.payments.payout import receiver as receivers
from tests.payments.payout.receiver import Receiver
from tests.payments.test_outbound import Names

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.GOVPAY_OUTBOUND_LOOPBACK = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def webhook(program: Program, receiver: Receiver) -> Webhook:
    return factories.make_webhook(program, receiver.url, secret=receivers.SECRET)


@pytest.fixture
def draft(program: Program, officer: User) -> Disbursement:
    """A list that nothing happened to."""
    return factories.make_disbursement(program, officer, amounts_sat=[1_000])


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, int]]]:
    """Every doorbell that was rung, in order."""
    found: list[tuple[str, dict[str, int]]] = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **ids: found.append((task, ids)))
    return found


def happen(row: Disbursement, *news: str) -> None:
    """Things happen to a list, and are numbered."""
    for new in news:
        StatusChange.objects.create(
            subject="disbursement",
            subject_id=row.pk,
            old="draft",
            new=new,
            reason="r",
            note="Ayesha Bibi says that she was paid twice.",
        )
    events.number()


def told(receiver: Receiver) -> list[tuple[str, int]]:
    """Type and number of each message in the order of arrival, doubles too."""
    return [(found.content["type"], found.content["data"].get("number")) for found in receiver.messages]


def pass_time() -> None:
    """Every wait and every lease is over."""
    Webhook.objects.update(due_at=Now(), lease_until=None)


def rows() -> list[tuple[int | None, str, int, int | None]]:
    """Number, status, attempts and the last answer of each delivery."""
    found = WebhookDelivery.objects.order_by("pk")
    return [(row.number, row.status, row.attempts, row.response_status) for row in found]


class TestMessage:
    def test_says_what_changed_and_nothing_that_a_person_wrote(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        (message,) = receiver.messages
        content = message.content
        installation = content["data"].pop("installation")
        assert message.id == f"msg_{installation.replace('-', '')}_{webhook.pk}_1"
        assert content == {
            "type": "disbursement.submitted",
            "timestamp": StatusChange.objects.get().at.isoformat(),
            "data": {
                "network": "regtest",
                "program": "PENSIONS",
                "webhook_id": webhook.pk,
                "number": 1,
                "subject": "disbursement",
                "subject_id": draft.pk,
                "old": "draft",
                "new": "submitted",
            },
        }
        assert b"Ayesha" not in message.body
        assert abs(message.timestamp - timezone.now().timestamp()) < 60

    def test_is_signed_by_the_newest_secret_and_those_that_have_not_ended(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement, officer: User
    ) -> None:
        """The receiver knows the middle one; the first has ended, and is not used any more."""
        other = "whsec_" + base64.b64encode(bytes(32)).decode()
        ended = "whsec_" + base64.b64encode(b"e" * 32).decode()
        now = timezone.now()
        webhook.secrets.update(ends_at=now + timedelta(hours=1))
        for text, ends_at in ((ended, now - timedelta(seconds=1)), (other, None)):
            WebhookSecret.objects.create(
                webhook=webhook, secret={"secret": text}, made_by=officer, ends_at=ends_at
            )
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        (message,) = receiver.messages
        signed = f"{message.id}.{message.timestamp}.".encode() + message.body
        keys = (bytes(32), receivers.SECRET_BYTES)
        made = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys]
        assert sorted(receiver.signatures[0].split(" ")) == sorted(f"v1,{text}" for text in made)

    def test_is_not_sent_before_there_is_a_secret(
        self, program: Program, receiver: Receiver, draft: Disbursement, officer: User
    ) -> None:
        silent = factories.make_webhook(program, receiver.url)
        happen(draft, "submitted")
        hooks.deliver(silent.pk)
        assert (receiver.messages, rows(), list(hooks.due())) == ([], [], [])
        WebhookSecret.objects.create(webhook=silent, secret={"secret": receivers.SECRET}, made_by=officer)
        hooks.deliver(silent.pk)
        assert told(receiver) == [("disbursement.submitted", 1)]


class TestOrder:
    def test_is_that_of_the_numbers_whatever_is_refused(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        receiver.answers = [receivers.take, receivers.status(500), receivers.status(503)]
        happen(draft, "submitted", "approved", "released")
        for _ in range(4):
            hooks.deliver(webhook.pk)
            pass_time()
        assert [number for _, number in told(receiver)] == [1, 2, 2, 2, 3]
        assert len({message.id for message in receiver.messages}) == 3
        assert len({message.body for message in receiver.messages}) == 3
        assert rows() == [(1, "delivered", 1, 204), (2, "delivered", 3, 204), (3, "delivered", 1, 204)]

    def test_has_only_the_types_that_were_asked_for_and_only_of_the_program(
        self, program: Program, receiver: Receiver, draft: Disbursement, officer: User
    ) -> None:
        chosen = factories.make_webhook(
            program, receiver.url, secret=receivers.SECRET, event_types=["disbursement.approved"]
        )
        theirs = factories.make_disbursement(factories.make_program("OTHER"), officer, amounts_sat=[1_000])
        happen(theirs, "approved")
        happen(draft, "submitted", "approved", "released")
        hooks.deliver(chosen.pk)
        assert told(receiver) == [("disbursement.approved", 2)]
        chosen.refresh_from_db()
        assert (chosen.seen_number, list(hooks.due())) == (3, [])

    def test_tells_a_benefits_office_of_claims_and_complaints(
        self, program: Program, receiver: Receiver, officer: User, approver: User, releaser: User
    ) -> None:
        chosen = ["entitlement.claimed", "entitlement.expired", "grievance.lodged"]
        webhook = factories.make_webhook(program, receiver.url, secret=receivers.SECRET, event_types=chosen)
        factories.fund(program, 1_000_000)
        waiting = claiming.waiting_list(program, officer, amounts_sat=[50_000, 60_000], without=[1, 2])
        released = claiming.release(waiting, officer, approver, releaser)
        claiming.bring_address(released, 1, officer)
        first, second = Entitlement.objects.order_by("payment__line")
        entitlements.expire(released.pk, now=second.expires_at)
        complaint = grievances.lodge_in_person(
            program_id=program.pk, reference="", national_id="", category="other", text="Ayesha was not paid."
        ).grievance
        events.number()
        hooks.deliver(webhook.pk)
        said = [(m.content["type"], m.content["data"]["subject_id"]) for m in receiver.messages]
        assert said == list(zip(chosen, [first.pk, second.pk, complaint.pk], strict=True))
        assert "Ayesha" not in str([message.content for message in receiver.messages])

    def test_holds_over_many_parts_of_the_feed(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hooks, "AT_ONCE", 2)
        happen(draft, *"abcde")
        hooks.deliver(webhook.pk)
        assert [number for _, number in told(receiver)] == [1, 2, 3, 4, 5]

    def test_keeps_what_a_receiver_that_is_down_is_not_told_in_the_feed(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hooks, "AT_ONCE", 2)
        receiver.usual = receivers.status(503)
        happen(draft, *"abcdefgh")
        for _ in range(3):
            hooks.deliver(webhook.pk)
            pass_time()
        assert rows() == [(1, "waiting", 3, 503), (2, "waiting", 0, None)]
        receiver.usual = receivers.take
        hooks.deliver(webhook.pk)
        assert [row[:2] for row in rows()] == [(number, "delivered") for number in range(1, 9)]


class TestRetry:
    def test_waits_longer_each_time_and_an_hour_at_most(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        receiver.usual = receivers.status(500)
        happen(draft, "submitted")
        waits = []
        for _ in range(12):
            Webhook.objects.update(due_at=Now(), failing_since=None)
            before = timezone.now()
            hooks.deliver(webhook.pk)
            webhook.refresh_from_db()
            waits.append((webhook.due_at - before).total_seconds())
        for position, wait_s in enumerate(waits):
            middle_s = min(10 * 2**position, 3600)
            assert 0.7 * middle_s <= wait_s <= 1.3 * middle_s + 60
        assert webhook.state == "failing"
        hooks.deliver(webhook.pk)
        assert len(receiver.messages) == 12

    def test_goes_on_at_once_when_a_message_is_taken(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        receiver.answers = [receivers.status(500)]
        happen(draft, "submitted", "approved")
        hooks.deliver(webhook.pk)
        pass_time()
        hooks.deliver(webhook.pk)
        webhook.refresh_from_db()
        assert (webhook.failures, webhook.failing_since, webhook.state) == (0, None, "active")
        assert [number for _, number in told(receiver)] == [1, 1, 2]

    @pytest.mark.parametrize(
        ("answer", "reason", "status"),
        [
            (
                receivers.status(302, Location="/elsewhere"),
                "The receiver answered HTTP 302; no redirect is followed.",
                302,
            ),
            (receivers.status(401), "The receiver answered HTTP 401.", 401),
            (receivers.raw(b"SSH-2.0-OpenSSH_9.9\r\n"), "not HTTP (BadStatusLine)", None),
            (
                receivers.raw(b"HTTP/1.1 500 t0ken\r\nX: t0ken\r\n\r\nt0ken"),
                "The receiver answered HTTP 500.",
                500,
            ),
        ],
    )
    def test_notes_why_and_nothing_of_what_came_back(
        self,
        webhook: Webhook,
        receiver: Receiver,
        draft: Disbursement,
        answer: receivers.Answer,
        reason: str,
        status: int | None,
    ) -> None:
        receiver.answers = [answer]
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        row = WebhookDelivery.objects.get()
        assert (row.status, row.attempts, row.response_status) == ("waiting", 1, status)
        assert reason in row.error
        assert "t0ken" not in row.error

    def test_sends_nothing_to_an_address_that_became_ours(
        self, program: Program, receiver: Receiver, draft: Disbursement
    ) -> None:
        """Each attempt looks the name up anew, and checks again (A14)."""
        url = receiver.url.replace("127.0.0.1", "hook.example")
        webhook = factories.make_webhook(program, url, secret=receivers.SECRET)
        names = Names(hook_example=[["127.0.0.1"], ["169.254.169.254"]])
        happen(draft, "submitted")
        hooks.deliver(webhook.pk, names)
        happen(draft, "approved")
        hooks.deliver(webhook.pk, names)
        assert told(receiver) == [("disbursement.submitted", 1)]
        row = WebhookDelivery.objects.get(number=2)
        assert row.error == "The host is at an address to which nothing is sent."


class TestPause:
    def test_comes_with_an_alarm_after_days_without_an_answer_that_counts(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        receiver.usual = receivers.status(500)
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        assert not Alarm.objects.exists()
        Webhook.objects.update(failing_since=Now() - hooks.GIVE_UP, due_at=Now())
        hooks.deliver(webhook.pk)
        webhook.refresh_from_db()
        assert (webhook.state, webhook.pause_reason) == ("paused", "failing")
        alarm = Alarm.objects.get()
        assert (alarm.code, alarm.subject, alarm.subject_id) == ("webhook_paused", "endpoint", webhook.pk)
        assert alarm.program_id == webhook.program_id
        pass_time()
        hooks.deliver(webhook.pk)
        assert (len(receiver.messages), list(hooks.due())) == (2, [])

    def test_comes_at_once_when_the_receiver_says_that_it_is_gone(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        receiver.usual = receivers.status(410)
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        webhook.refresh_from_db()
        assert (webhook.state, webhook.pause_reason) == ("paused", "gone")
        assert Alarm.objects.get().code == "webhook_paused"


class TestPing:
    def test_is_sent_before_what_waits_and_while_the_webhook_is_paused(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        happen(draft, "submitted")
        Webhook.objects.update(paused_at=Now(), pause_reason="by_hand")
        WebhookDelivery.objects.create(webhook=webhook)
        hooks.deliver(webhook.pk)
        assert told(receiver) == [("ping", None)]
        assert rows() == [(None, "delivered", 1, 204)]

    def test_is_sent_once_however_it_ends(self, webhook: Webhook, receiver: Receiver) -> None:
        receiver.usual = receivers.status(500)
        WebhookDelivery.objects.create(webhook=webhook)
        hooks.deliver(webhook.pk)
        hooks.deliver(webhook.pk)
        webhook.refresh_from_db()
        assert (rows(), len(receiver.messages)) == ([(None, "failed", 1, 500)], 1)
        assert webhook.failures == 0


class TestReplay:
    def test_sends_again_what_was_taken_under_the_same_id_and_what_was_never_told(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        happen(draft, "submitted", "approved", "released")
        Webhook.objects.update(seen_number=2)
        hooks.deliver(webhook.pk)
        assert [number for _, number in told(receiver)] == [3]
        assert hooks.replay(Webhook.objects.get(), 2, 3) == 2
        hooks.deliver(webhook.pk)
        assert [number for _, number in told(receiver)] == [3, 2, 3]
        first, _, again = receiver.messages
        assert (first.id, first.body) == (again.id, again.body)
        assert rows() == [(3, "delivered", 2, 204), (2, "delivered", 1, 204)]

    def test_keeps_the_id_when_the_log_was_forgotten_meanwhile(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        hooks.forget()
        assert len(rows()) == 1
        WebhookDelivery.objects.update(attempted_at=Now() - hooks.KEPT - timedelta(days=1))
        hooks.forget()
        assert rows() == []
        hooks.replay(Webhook.objects.get(), 1, 1)
        hooks.deliver(webhook.pk)
        first, again = receiver.messages
        assert (first.id, first.body) == (again.id, again.body)

    def test_that_is_asked_for_while_a_message_is_under_way_is_not_lost(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = hooks._send

        def asked_meanwhile(*args: Any) -> Any:
            monkeypatch.setattr(hooks, "_send", send)
            answer = send(*args)
            hooks.replay(Webhook.objects.get(), 1, 1)
            return answer

        monkeypatch.setattr(hooks, "_send", asked_meanwhile)
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        assert [number for _, number in told(receiver)] == [1, 1]
        assert rows() == [(1, "delivered", 2, 204)]


class TestTurns:
    def test_are_rung_by_the_sweep_while_there_is_something_to_send(
        self,
        webhook: Webhook,
        receiver: Receiver,
        draft: Disbursement,
        rung: list[tuple[str, dict[str, int]]],
    ) -> None:
        ring = ("send_webhook", {"webhook_id": webhook.pk})
        happen(draft, "submitted")
        rounds.sweep()
        assert ring in rung
        hooks.deliver(webhook.pk)
        rung.clear()
        rounds.sweep()
        assert ring not in rung

    def test_are_in_a_queue_that_neither_payouts_nor_rounds_wait_in(self) -> None:
        routes = django_settings.CELERY_TASK_ROUTES
        queue = routes[tasks.send_webhook.name]["queue"]
        assert queue not in (django_settings.CELERY_TASK_DEFAULT_QUEUE, django_settings.GOVPAY_ROUNDS_QUEUE)

    def test_end_after_a_while_for_the_next(
        self,
        webhook: Webhook,
        receiver: Receiver,
        draft: Disbursement,
        rung: list[tuple[str, dict[str, int]]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(hooks, "VISIT_S", 0)
        happen(draft, "submitted", "approved")
        hooks.deliver(webhook.pk)
        assert told(receiver) == [("disbursement.submitted", 1)]
        assert rung == [("send_webhook", {"webhook_id": webhook.pk})]

    @pytest.mark.parametrize("column", ["paused_at", "ended_at"])
    def test_end_when_the_webhook_is_paused_or_ended_meanwhile(
        self,
        webhook: Webhook,
        receiver: Receiver,
        draft: Disbursement,
        monkeypatch: pytest.MonkeyPatch,
        column: str,
    ) -> None:
        reason = {"pause_reason": "by_hand"} if column == "paused_at" else {}
        happen(draft, "submitted", "approved")
        send = hooks._send

        def end_meanwhile(*args: Any) -> Any:
            Webhook.objects.update(**{column: Now()}, **reason)
            return send(*args)

        monkeypatch.setattr(hooks, "_send", end_meanwhile)
        hooks.deliver(webhook.pk)
        assert told(receiver) == [("disbursement.submitted", 1)]

    def test_are_taken_by_one_worker_at_a_time(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another worker comes while the first sends, and does nothing."""
        send = hooks._send

        def another_comes(*args: Any) -> Any:
            monkeypatch.setattr(hooks, "_send", send)
            hooks.deliver(webhook.pk)
            return send(*args)

        monkeypatch.setattr(hooks, "_send", another_comes)
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        assert told(receiver) == [("disbursement.submitted", 1)]

    def test_of_others_come_while_one_receiver_hangs(
        self, program: Program, receiver: Receiver, draft: Disbursement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hooks, "TIMEOUT_S", 0.2)
        slow = Receiver()
        slow.usual = slow.hang
        hung = factories.make_webhook(program, slow.url, secret=receivers.SECRET)
        well = factories.make_webhook(program, receiver.url, secret=receivers.SECRET)
        happen(draft, "submitted", "approved")
        for found in list(hooks.due().order_by("pk")):
            hooks.deliver(found.pk)
        slow.close()
        assert len(slow.messages) == 1
        assert [number for _, number in told(receiver)] == [1, 2]
        hung.refresh_from_db()
        well.refresh_from_db()
        assert (hung.state, well.state) == ("failing", "active")
        assert list(hooks.due()) == []

    def test_of_a_worker_that_lost_its_lease_change_nothing_but_what_was_taken(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It stood still for longer than its lease, and another delivered the message meanwhile."""
        send = hooks._send

        def overtaken(*args: Any) -> Any:
            monkeypatch.setattr(hooks, "_send", send)
            Webhook.objects.update(lease_until=Now() - timedelta(seconds=1))
            hooks.deliver(webhook.pk)
            return None, "The receiver did not answer."

        monkeypatch.setattr(hooks, "_send", overtaken)
        happen(draft, "submitted")
        hooks.deliver(webhook.pk)
        webhook.refresh_from_db()
        assert (rows(), webhook.failures) == ([(1, "delivered", 1, 204)], 0)


@pytest.mark.django_db(transaction=True)
class TestKilled:
    def test_after_it_sent_and_before_it_noted_so_sends_the_same_message_again(
        self, webhook: Webhook, receiver: Receiver, draft: Disbursement
    ) -> None:
        """K20: the receiver gets it twice, under one id, and drops the double."""
        happen(draft, "submitted", "approved")
        kill_at("K20", lambda: hooks.deliver(webhook.pk))
        assert (told(receiver), rows()) == (
            [("disbursement.submitted", 1)],
            [(1, "waiting", 0, None), (2, "waiting", 0, None)],
        )
        hooks.deliver(webhook.pk)
        assert len(receiver.messages) == 1
        pass_time()
        hooks.deliver(webhook.pk)
        first, again, _ = receiver.messages
        assert (first.id, first.body) == (again.id, again.body)
        assert [number for _, number in told(receiver)] == [1, 1, 2]
        assert re.fullmatch(r"msg_[0-9a-f]{32}_[0-9]+_1", first.id)
