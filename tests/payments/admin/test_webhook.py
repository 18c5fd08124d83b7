"""Webhooks in the admin: each button makes its one call, for security administrators of the program and nobody else."""

import base64
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ledger.models import AuditEvent
from payments.models import (
    Disbursement,
    Program,
    Proposal,
    StatusChange,
    Webhook,
    WebhookDelivery,
    WebhookSecret,
)
from payments.payout import alarms, events, hooks
from payments.services import webhooks
from tests import factories
from tests.payments.payout import receiver as receivers
from tests.payments.payout.receiver import Receiver

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
URL = "https://hooks.example.org/govpay"
# Every button, and what its form takes.
BUTTONS: dict[str, dict[str, Any]] = {
    "rotate": {"overlap_hours": 2},
    "ping": {},
    "pause": {"note": "Their systems are moved."},
    "resume": {"note": ""},
    "replay": {"first_number": 1, "last_number": 1, "note": ""},
    "change_address": {"url": URL, "note": "They moved."},
    "end": {"note": "The contract is over."},
}


def page(row: Any, button: str = "change") -> str:
    return reverse(f"admin:payments_{row._meta.model_name}_{button}", args=[row.pk])


@pytest.fixture
def security(program: Program) -> User:
    """Keeps webhooks up."""
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def webhook(program: Program) -> Webhook:
    return factories.make_webhook(program, "https://old.example.org/hook", secret=receivers.SECRET)


@pytest.fixture
def told(program: Program, officer: User, webhook: Webhook) -> Webhook:
    """A webhook that was told of two events, and took them."""
    draft: Disbursement = factories.make_disbursement(program, officer, amounts_sat=[1_000])
    for new in ("submitted", "approved"):
        StatusChange.objects.create(subject="disbursement", subject_id=draft.pk, old="x", new=new, reason="r")
    events.number()
    hooks.replay(webhook, 1, 2)
    WebhookDelivery.objects.update(is_waiting=False, replays=0, delivered_at=timezone.now())
    Webhook.objects.filter(pk=webhook.pk).update(seen_number=2)
    webhook.refresh_from_db()
    return webhook


def acts(action: str, by: User) -> int:
    return AuditEvent.objects.filter(action=action, actor=by.username).count()


class TestButtons:
    def test_are_what_can_be_done_now(self, webhook: Webhook, security: User, browser: Browser) -> None:
        client = browser(security)

        def offered() -> set[str]:
            shown = client.get(page(webhook)).content.decode()
            return {button for button in BUTTONS if page(webhook, button) in shown}

        assert offered() == set(BUTTONS) - {"resume"}
        webhooks.pause(by=security, webhook_id=webhook.pk)
        assert offered() == set(BUTTONS) - {"pause"}
        webhooks.end(by=security, webhook_id=webhook.pk)
        assert offered() == set()

    @pytest.mark.parametrize("button", BUTTONS)
    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "treasurer", "auditor"])
    def test_are_nobody_elses(
        self, told: Webhook, program: Program, browser: Browser, button: str, role: str
    ) -> None:
        client = browser(factories.make_member(program, role, "somebody"))
        before = (
            Webhook.objects.values().get(),
            WebhookDelivery.objects.count(),
            WebhookSecret.objects.count(),
        )
        assert page(told, button) not in client.get(page(told)).content.decode()
        assert client.get(page(told, button)).status_code == 403
        assert client.post(page(told, button), BUTTONS[button]).status_code == 403
        assert before == (
            Webhook.objects.values().get(),
            WebhookDelivery.objects.count(),
            WebhookSecret.objects.count(),
        )
        assert Proposal.objects.filter(proposed_by__username="somebody").count() == 0

    @pytest.mark.parametrize("button", BUTTONS)
    def test_are_not_there_for_another_programs_administrator(
        self, told: Webhook, browser: Browser, button: str
    ) -> None:
        stranger = factories.make_member(factories.make_program("OTHER"), "security", "stranger")
        answer = browser(stranger).post(page(told, button), BUTTONS[button])
        assert answer.status_code in (302, 403, 404)
        assert AuditEvent.objects.filter(actor="stranger", action__startswith="webhook.").count() == 0

    @pytest.mark.parametrize("button", sorted(set(BUTTONS) - {"change_address"}))
    def test_do_nothing_more_once_it_has_ended(
        self, told: Webhook, security: User, browser: Browser, button: str
    ) -> None:
        webhooks.end(by=security, webhook_id=told.pk)
        answer = browser(security).post(page(told, button), BUTTONS[button])
        assert answer.status_code == 409
        assert "ended for good" in answer.content.decode()

    @pytest.mark.parametrize("button", BUTTONS)
    def test_ask_before_they_do(self, told: Webhook, security: User, browser: Browser, button: str) -> None:
        client = browser(security)
        assert client.get(page(told, button)).status_code == 200
        assert AuditEvent.objects.filter(action__startswith="webhook.").count() == 0


class TestRotate:
    def test_shows_the_secret_this_once(self, webhook: Webhook, security: User, browser: Browser) -> None:
        client = browser(security)
        answer = client.post(page(webhook, "rotate"), {"overlap_hours": 2})
        made = WebhookSecret.objects.get(webhook=webhook, ends_at=None)
        assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)
        assert made.secret["secret"] in answer.content.decode()
        assert len(base64.b64decode(made.secret["secret"].removeprefix("whsec_"))) == 32
        (old,) = WebhookSecret.objects.exclude(pk=made.pk)
        assert old.ends_at is not None
        assert old.ends_at - timezone.now() == pytest.approx(timedelta(hours=2), abs=timedelta(minutes=1))
        assert made.secret["secret"] not in client.get(page(webhook)).content.decode()
        assert acts("webhook.rotate", security) == 1

    @pytest.mark.parametrize("hours", ["", "-1", "169", "x"])
    def test_refuses_hours_that_are_none(
        self, webhook: Webhook, security: User, browser: Browser, hours: str
    ) -> None:
        assert browser(security).post(page(webhook, "rotate"), {"overlap_hours": hours}).status_code == 422
        assert WebhookSecret.objects.count() == 1


class TestPause:
    def test_ends_with_resume_and_its_alarm_too(
        self, webhook: Webhook, security: User, browser: Browser
    ) -> None:
        client = browser(security)
        assert client.post(page(webhook, "pause"), BUTTONS["pause"])["Location"] == page(webhook)
        webhook.refresh_from_db()
        assert (webhook.state, webhook.pause_reason) == ("paused", "by_hand")
        assert "Paused by hand" in client.get(page(webhook)).content.decode()
        assert client.post(page(webhook, "pause"), {"note": ""}).status_code == 409
        alarm = alarms.sound(
            hooks.PAUSED,
            subject="endpoint",
            subject_id=webhook.pk,
            program_id=webhook.program_id,
            message="It took nothing for days.",
        )
        Webhook.objects.filter(pk=webhook.pk).update(failures=9, failing_since=timezone.now())
        assert client.post(page(webhook, "resume"), {"note": "They are back."}).status_code == 302
        webhook.refresh_from_db()
        alarm.refresh_from_db()
        assert (webhook.state, webhook.failures, alarm.closed_at is None) == ("active", 0, False)
        assert client.post(page(webhook, "resume"), {"note": ""}).status_code == 409
        assert (acts("webhook.pause", security), acts("webhook.resume", security)) == (1, 1)

    def test_ends_it_for_good(self, webhook: Webhook, security: User, browser: Browser) -> None:
        client = browser(security)
        assert client.post(page(webhook, "end"), BUTTONS["end"]).status_code == 302
        webhook.refresh_from_db()
        assert webhook.state == "ended"
        assert (acts("webhook.end", security), client.get(page(webhook)).status_code) == (1, 200)


class TestPing:
    @pytest.fixture
    def receiver(self, settings: Any) -> Iterator[Receiver]:
        settings.GOVPAY_OUTBOUND_LOOPBACK = True
        made = Receiver()
        yield made
        made.close()

    def test_is_sent_and_shown_with_what_came_back(
        self, program: Program, receiver: Receiver, security: User, browser: Browser
    ) -> None:
        webhook = factories.make_webhook(program, receiver.url, secret=receivers.SECRET)
        client = browser(security)
        assert client.post(page(webhook, "ping"), {}).status_code == 302
        hooks.deliver(webhook.pk)
        assert [message.content["type"] for message in receiver.messages] == ["ping"]
        shown = client.get(page(WebhookDelivery.objects.get())).content.decode()
        assert "delivered" in shown.lower()
        assert "204" in shown

    def test_waits_ten_times_at_most(self, webhook: Webhook, security: User, browser: Browser) -> None:
        client = browser(security)
        answers = [client.post(page(webhook, "ping"), {}).status_code for _ in range(webhooks.MOST_PINGS + 1)]
        assert answers == [302] * webhooks.MOST_PINGS + [409]
        assert WebhookDelivery.objects.count() == webhooks.MOST_PINGS


class TestReplay:
    def test_lets_events_wait_once_more(self, told: Webhook, security: User, browser: Browser) -> None:
        sent = {"first_number": 2, "last_number": 2, "note": "They lost it."}
        assert browser(security).post(page(told, "replay"), sent).status_code == 302
        rows = WebhookDelivery.objects.order_by("number")
        assert list(rows.values_list("number", "is_waiting", "replays")) == [(1, False, 0), (2, True, 1)]
        assert acts("webhook.replay", security) == 1

    @pytest.mark.parametrize(
        ("first", "last"), [(2, 1), (1, 3), (0, 1), ("", 1), (1, 10_001), ("x", 1), (1, 2**70)]
    )
    def test_refuses_numbers_that_were_never_told(
        self, told: Webhook, security: User, browser: Browser, first: Any, last: Any
    ) -> None:
        answer = browser(security).post(page(told, "replay"), {"first_number": first, "last_number": last})
        assert answer.status_code == 422
        assert WebhookDelivery.objects.filter(is_waiting=True).count() == 0


class TestAddress:
    def test_changes_once_another_administrator_confirms(
        self, program: Program, webhook: Webhook, security: User, browser: Browser
    ) -> None:
        second = factories.make_member(program, "security", "samuel")
        asked = {
            "url": URL,
            "event_types": ["entitlement.claimed", "grievance.lodged"],
            "note": "They moved.",
        }
        assert browser(security).post(page(webhook, "change_address"), asked).status_code == 302
        made = Proposal.objects.get(proposed_by=security)
        webhook.refresh_from_db()
        assert webhook.url == "https://old.example.org/hook"
        assert browser(security).post(page(made, "confirm"), {"note": ""}).status_code == 403
        assert URL in browser(second).get(page(made, "confirm")).content.decode()
        assert browser(second).post(page(made, "confirm"), {"note": ""}).status_code == 302
        webhook.refresh_from_db()
        assert (webhook.url, webhook.event_types) == (URL, asked["event_types"])

    def test_is_proposed_on_the_programs_page(
        self, program: Program, security: User, browser: Browser
    ) -> None:
        client = browser(security)
        assert page(program, "propose_webhook") in client.get(page(program)).content.decode()
        sent = {"url": URL, "event_types": ["payout.settled"], "note": "Their ledger follows."}
        assert client.post(page(program, "propose_webhook"), sent).status_code == 302
        assert (Proposal.objects.get().after["url"], Webhook.objects.count()) == (URL, 0)

    @pytest.mark.parametrize(
        "changes",
        [
            {"url": "http://hooks.example.org/x"},
            {"url": "https://127.0.0.1/x"},
            {"url": "https://169.254.169.254/latest"},
            {"url": ""},
            {"event_types": ["payout.spent"]},
            {"note": ""},
        ],
    )
    def test_is_refused_in_place(
        self, webhook: Webhook, security: User, browser: Browser, changes: dict[str, Any]
    ) -> None:
        sent = {"url": URL, "event_types": ["payout.settled"], "note": "They moved."} | changes
        assert browser(security).post(page(webhook, "change_address"), sent).status_code == 422
        assert Proposal.objects.filter(proposed_by=security).count() == 0
