"""Webhooks: two people say where they lead, one keeps them up, and what signs is shown once and kept encrypted."""

import base64
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, NotFound, SamePersonTwice
from ledger.models import AuditEvent
from payments.models import (
    Alarm,
    Disbursement,
    Program,
    Proposal,
    StatusChange,
    Webhook,
    WebhookDelivery,
    WebhookSecret,
)
from payments.payout import alarms, events, hooks
from payments.services import proposals, webhooks
from payments.services.authority import RoleMissing
from tests import factories, racing
from tests.payments.payout.receiver import Receiver, status, verified

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.org/govpay"


@pytest.fixture
def security(program: Program) -> User:
    """Proposes, and keeps up."""
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    """Confirms."""
    return factories.make_member(program, "security", "samuel")


@pytest.fixture
def webhook(program: Program, security: User, second: User) -> Webhook:
    made = propose(security, program, url=URL)
    proposals.confirm(by=second, proposal_id=made.pk)
    return Webhook.objects.get()


@pytest.fixture
def draft(program: Program, officer: User) -> Disbursement:
    return factories.make_disbursement(program, officer, amounts_sat=[1_000])


def propose(by: User, program: Program, **columns: Any) -> Proposal:
    return proposals.propose_webhook(
        by=by, program_id=program.pk, **{"note": "The ministry's system."} | columns
    )


def happen(row: Disbursement, *news: str) -> None:
    for new in news:
        StatusChange.objects.create(subject="disbursement", subject_id=row.pk, old="x", new=new, reason="r")
    events.number()


class TestPropose:
    def test_makes_a_webhook_once_another_confirms(
        self, program: Program, security: User, second: User, draft: Disbursement
    ) -> None:
        happen(draft, "submitted")
        made = propose(security, program, url=URL, event_types=["payout.settled", "payment.held"])
        assert not Webhook.objects.exists()
        assert made.before == {"webhook_id": None, "url": None, "event_types": None}
        assert made.after == {
            "webhook_id": None,
            "url": URL,
            "event_types": ["payment.held", "payout.settled"],
        }
        with pytest.raises(SamePersonTwice):
            proposals.confirm(by=security, proposal_id=made.pk)
        assert not Webhook.objects.exists()
        proposals.confirm(by=second, proposal_id=made.pk)
        found = Webhook.objects.get()
        assert (found.url, found.event_types, found.proposal_id, found.seen_number, found.state) == (
            URL,
            ["payment.held", "payout.settled"],
            made.pk,
            1,
            "active",
        )

    def test_changes_the_address_once_another_confirms(
        self, webhook: Webhook, program: Program, security: User, second: User
    ) -> None:
        made = propose(security, program, webhook_id=webhook.pk, url=f"{URL}/2")
        assert Webhook.objects.get().url == URL
        proposals.confirm(by=second, proposal_id=made.pk)
        found = Webhook.objects.get()
        assert (found.url, found.event_types, found.proposal_id) == (f"{URL}/2", [], made.pk)

    def test_is_stale_once_the_address_has_changed(
        self, webhook: Webhook, program: Program, security: User, second: User
    ) -> None:
        first, other = (propose(security, program, webhook_id=webhook.pk, url=f"{URL}/{n}") for n in (2, 3))
        proposals.confirm(by=second, proposal_id=first.pk)
        with pytest.raises(proposals.ProposalStale):
            proposals.confirm(by=second, proposal_id=other.pk)
        assert Webhook.objects.get().url == f"{URL}/2"

    @pytest.mark.parametrize(
        ("columns", "column", "code"),
        [
            ({}, "url", "missing"),
            ({"url": "http://hooks.example.org/"}, "url", "address_refused"),
            ({"url": "https://2130706433/"}, "url", "address_refused"),
            ({"url": "https://user:word@hooks.example.org/"}, "url", "address_refused"),
            ({"url": "https://hooks.example.org/" + "a" * 500}, "url", "too_long"),
            ({"url": URL, "event_types": ["payment.paid"]}, "event_types", "unknown_event_type"),
            ({"url": URL, "note": " "}, "note", "missing"),
        ],
    )
    def test_refuses_what_leads_nowhere(
        self, program: Program, security: User, columns: dict[str, Any], column: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            propose(security, program, **columns)
        error = refusal.value.details["errors"][0]
        assert (error["column"], error["code"]) == (column, code)
        assert not Proposal.objects.exists()

    def test_refuses_a_change_of_nothing(self, webhook: Webhook, program: Program, security: User) -> None:
        with pytest.raises(InvalidInput):
            propose(security, program, webhook_id=webhook.pk, url=URL, event_types=[])

    def test_refuses_another_programs_webhook(self, webhook: Webhook, program: Program, second: User) -> None:
        other = factories.make_program("OTHER")
        theirs = factories.make_member(other, "security", "otto")
        with pytest.raises(NotFound):
            propose(theirs, other, webhook_id=webhook.pk, url=f"{URL}/2")
        with pytest.raises(NotFound):
            propose(theirs, program, webhook_id=webhook.pk, url=f"{URL}/2")
        assert Proposal.objects.count() == 1

    @pytest.mark.parametrize("role", ["officer", "approver", "releaser", "treasurer", "auditor"])
    def test_is_for_security_administrators(self, program: Program, role: str) -> None:
        with pytest.raises(RoleMissing):
            propose(factories.make_member(program, role, "other"), program, url=URL)
        assert not Proposal.objects.exists()

    def test_counts_those_that_are_not_ended(self, program: Program, security: User, second: User) -> None:
        made = [propose(security, program, url=f"{URL}/{n}") for n in range(webhooks.MOST + 1)]
        for found in made[:-1]:
            proposals.confirm(by=second, proposal_id=found.pk)
        with pytest.raises(webhooks.TooManyWebhooks):
            proposals.confirm(by=second, proposal_id=made[-1].pk)
        webhooks.end(by=second, webhook_id=Webhook.objects.order_by("pk")[0].pk)
        proposals.confirm(by=second, proposal_id=made[-1].pk)
        assert Webhook.objects.filter(ended_at=None).count() == webhooks.MOST

    @pytest.mark.django_db(transaction=True)
    def test_counts_right_for_two_at_once(self, program: Program, security: User, second: User) -> None:
        for n in range(webhooks.MOST - 1):
            proposals.confirm(by=second, proposal_id=propose(security, program, url=f"{URL}/{n}").pk)
        first, other = (propose(security, program, url=f"{URL}/x{n}") for n in (1, 2))
        _, racer = racing.race(
            lambda: proposals.confirm(by=second, proposal_id=first.pk),
            lambda: proposals.confirm(by=second, proposal_id=other.pk),
        )
        assert isinstance(racer.error, webhooks.TooManyWebhooks)
        assert Webhook.objects.count() == webhooks.MOST


class TestRotate:
    def test_shows_the_secret_once_and_keeps_it_encrypted(self, webhook: Webhook, security: User) -> None:
        made, text = webhooks.rotate(by=security, webhook_id=webhook.pk)
        assert len(base64.b64decode(text.removeprefix("whsec_"))) == 32
        assert WebhookSecret.objects.get().secret == {"secret": text}
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM payments_webhooksecret")
            (stored,) = cursor.fetchone()
        assert text.encode() not in bytes(stored)
        assert made.ends_at is None
        event = AuditEvent.objects.get(action="webhook.rotate")
        assert (event.actor, event.subject_id) == ("sana", str(webhook.pk))

    def test_lets_the_one_before_sign_for_a_while(self, webhook: Webhook, security: User) -> None:
        now = timezone.now()
        for _ in range(2):
            webhooks.rotate(by=security, webhook_id=webhook.pk)
        webhooks.rotate(by=security, webhook_id=webhook.pk, overlap_hours=0)
        first, before, newest = WebhookSecret.objects.order_by("pk")
        assert now + timedelta(hours=23) < first.ends_at < now + timedelta(hours=25)
        assert before.ends_at <= timezone.now()
        assert newest.ends_at is None

    def test_leaves_one_newest_for_the_database_too(self, webhook: Webhook, security: User) -> None:
        webhooks.rotate(by=security, webhook_id=webhook.pk)
        with pytest.raises(IntegrityError), transaction.atomic():
            WebhookSecret.objects.create(webhook=webhook, secret={"secret": "x"}, made_by=security)


class TestKeep:
    def test_pauses_and_goes_on_from_where_it_stopped(
        self, webhook: Webhook, security: User, draft: Disbursement
    ) -> None:
        done = webhooks.pause(by=security, webhook_id=webhook.pk, note="The receiver moves.")
        assert (done.state, done.pause_reason) == ("paused", "by_hand")
        with pytest.raises(webhooks.WebhookState):
            webhooks.pause(by=security, webhook_id=webhook.pk)
        webhooks.rotate(by=security, webhook_id=webhook.pk)
        happen(draft, "submitted")
        assert list(hooks.due()) == []
        assert webhooks.resume(by=security, webhook_id=webhook.pk).state == "active"
        with pytest.raises(webhooks.WebhookState):
            webhooks.resume(by=security, webhook_id=webhook.pk)
        assert list(hooks.due()) == [webhook]
        said = AuditEvent.objects.filter(action__startswith="webhook.").order_by("pk")
        assert [(event.action, event.reason) for event in said] == [
            ("webhook.create", "The ministry's system."),
            ("webhook.pause", "The receiver moves."),
            ("webhook.rotate", ""),
            ("webhook.resume", ""),
        ]

    def test_closes_the_alarm_when_it_goes_on_or_ends(self, webhook: Webhook, security: User) -> None:
        for verb in (webhooks.resume, webhooks.end):
            Webhook.objects.update(paused_at=timezone.now(), pause_reason="failing", failures=9)
            alarms.sound(hooks.PAUSED, subject="endpoint", subject_id=webhook.pk, message="m")
            done = verb(by=security, webhook_id=webhook.pk)
            assert not Alarm.objects.filter(closed_at=None).exists()
            assert done.state == ("active" if verb == webhooks.resume else "ended")

    def test_ends_for_good(self, webhook: Webhook, program: Program, security: User) -> None:
        webhooks.end(by=security, webhook_id=webhook.pk)
        for call in acts(webhook):
            with pytest.raises(webhooks.WebhookEnded):
                call(security)
        with pytest.raises(webhooks.WebhookEnded):
            propose(security, program, webhook_id=webhook.pk, url=f"{URL}/2")

    @pytest.mark.parametrize("role", ["officer", "treasurer", "auditor"])
    def test_is_for_security_administrators(self, webhook: Webhook, program: Program, role: str) -> None:
        other = factories.make_member(program, role, "other")
        before = Webhook.objects.values().get()
        for call in acts(webhook):
            with pytest.raises(RoleMissing):
                call(other)
        assert Webhook.objects.values().get() == before
        assert (WebhookSecret.objects.count(), WebhookDelivery.objects.count()) == (0, 0)

    def test_is_not_for_another_program(self, webhook: Webhook) -> None:
        stranger = factories.make_member(factories.make_program("OTHER"), "security", "otto")
        for call in acts(webhook):
            with pytest.raises(NotFound):
                call(stranger)

    def test_bounds_the_pings_that_wait(self, webhook: Webhook, security: User) -> None:
        for _ in range(webhooks.MOST_PINGS):
            webhooks.ping(by=security, webhook_id=webhook.pk)
        with pytest.raises(webhooks.TooManyPings):
            webhooks.ping(by=security, webhook_id=webhook.pk)
        assert WebhookDelivery.objects.count() == webhooks.MOST_PINGS


class TestReplay:
    @pytest.mark.parametrize(
        ("first", "last", "code"),
        [(2, 1, "before_first"), (1, 10_001, "too_many"), (1, 3, "not_told_yet")],
    )
    def test_refuses_spans_that_make_no_sense(
        self, webhook: Webhook, security: User, first: int, last: int, code: str
    ) -> None:
        Webhook.objects.update(seen_number=2)
        with pytest.raises(InvalidInput) as refusal:
            webhooks.replay(by=security, webhook_id=webhook.pk, first_number=first, last_number=last)
        assert refusal.value.details["errors"][0]["code"] == code
        assert not WebhookDelivery.objects.exists()

    def test_sends_what_was_before_the_webhook(
        self, program: Program, security: User, second: User, draft: Disbursement
    ) -> None:
        happen(draft, "submitted", "approved")
        proposals.confirm(by=second, proposal_id=propose(security, program, url=URL).pk)
        found = Webhook.objects.get()
        assert webhooks.replay(by=security, webhook_id=found.pk, first_number=1, last_number=2) == 2
        assert list(WebhookDelivery.objects.order_by("pk").values_list("number", "is_waiting")) == [
            (1, True),
            (2, True),
        ]


class TestHourWithoutReceiver:
    """L10: what happens meanwhile waits in the feed, and all of it comes in order, once."""

    @pytest.fixture
    def receiver(self, settings: Any) -> Iterator[Receiver]:
        settings.GOVPAY_OUTBOUND_LOOPBACK = True
        made = Receiver()
        yield made
        made.close()

    def test_loses_nothing_and_doubles_nothing(
        self, program: Program, receiver: Receiver, draft: Disbursement
    ) -> None:
        secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
        webhook = factories.make_webhook(program, receiver.url, secret=secret)
        receiver.usual = status(503)
        attempts = 0
        # Each wait is as long as it was written; an hour of them passes by moving the row's clock.
        passed = timedelta(0)
        while passed < timedelta(hours=1):
            happen(draft, *(f"s{attempts}{n}" for n in range(30)))
            hooks.deliver(webhook.pk)
            attempts += 1
            webhook.refresh_from_db()
            passed += webhook.due_at - timezone.now()
            Webhook.objects.update(due_at=timezone.now())
        assert (len(receiver.messages), webhook.state) == (attempts, "failing")
        assert WebhookDelivery.objects.count() <= hooks.AT_ONCE
        receiver.usual = status(204)
        while hooks.due().exists():
            hooks.deliver(webhook.pk)
        numbers = [message.content["data"]["number"] for message in receiver.messages[attempts:]]
        assert numbers == list(range(1, 30 * attempts + 1))
        assert attempts < 12


class TestAnswer:
    def test_of_the_receiver_that_tests_use_is_no_to_what_was_forged(self) -> None:
        """The checks of these tests are themselves checked."""
        assert verified("/alarms?from=govpay", {"webhook-signature": "v1,forged"}, b"{}") is None


def acts(webhook: Webhook) -> list[Callable[[User], object]]:
    """Everything that keeps a webhook up, as somebody."""
    return [
        lambda by: webhooks.rotate(by=by, webhook_id=webhook.pk),
        lambda by: webhooks.pause(by=by, webhook_id=webhook.pk),
        lambda by: webhooks.resume(by=by, webhook_id=webhook.pk),
        lambda by: webhooks.ping(by=by, webhook_id=webhook.pk),
        lambda by: webhooks.replay(by=by, webhook_id=webhook.pk, first_number=1, last_number=1),
        lambda by: webhooks.end(by=by, webhook_id=webhook.pk),
    ]
