"""Webhooks through the API, from a proposal to a message in a real receiver, and what everybody else is refused."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from govpay.models import IdempotencyRecord
from payments.models import Disbursement, Program, StatusChange, Webhook, WebhookDelivery
from payments.payout import events, hooks
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api
from tests.payments.payout import receiver as receivers
from tests.payments.payout.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def security(program: Program) -> User:
    """Proposes, and keeps up."""
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    """Confirms."""
    return factories.make_member(program, "security", "samuel")


@pytest.fixture
def receiver(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    settings.GOVPAY_OUTBOUND_LOOPBACK = True
    made = Receiver()
    yield made
    made.close()


def happen(row: Disbursement, *news: str) -> None:
    for new in news:
        StatusChange.objects.create(subject="disbursement", subject_id=row.pk, old="x", new=new, reason="r")
    events.number()


class TestWebhook:
    def test_is_proposed_confirmed_given_a_secret_and_told(
        self,
        api: Api,
        program: Program,
        draft: Disbursement,
        security: User,
        second: User,
        receiver: Receiver,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        asked = {"url": receiver.url, "event_types": ["disbursement.submitted"], "note": "Our system."}
        address = f"/api/v1/programs/{program.pk}/proposals/webhooks/"
        made = expect.ok(api(security).post(address, asked), 201)
        assert (made["kind"], made["after"]["url"]) == ("webhook", receiver.url)
        confirm = f"/api/v1/proposals/{made['id']}/confirm/"
        expect.problem(api(security).post(confirm, {}), 403, "same_person_twice")
        expect.ok(api(second).post(confirm, {}))
        (found,) = expect.ok(api(security).get(f"/api/v1/programs/{program.pk}/webhooks/"))["results"]
        assert (found["url"], found["state"], found["secrets"]) == (receiver.url, "active", [])
        one = f"/api/v1/webhooks/{found['id']}/"
        shown = expect.ok(api(security).post(f"{one}secrets/", {}), 201)
        monkeypatch.setattr(
            receivers, "SECRET_BYTES", base64.b64decode(shown["secret"].removeprefix("whsec_"))
        )
        assert shown["secret"] not in api(security).get(one).content.decode()
        happen(draft, "submitted", "approved")
        hooks.deliver(found["id"])
        (message,) = receiver.messages
        assert message.content["type"] == "disbursement.submitted"
        (row,) = expect.ok(api(security).get(f"{one}deliveries/"))["results"]
        assert (row["message_id"], row["type"], row["number"], row["status"], row["response_status"]) == (
            message.id,
            "disbursement.submitted",
            1,
            "delivered",
            204,
        )
        span = {"first_number": 1, "last_number": 2}
        assert expect.ok(api(security).post(f"{one}replay/", span), 202) == {"count": 1}
        assert expect.ok(api(security).get(f"{one}deliveries/?is_waiting=true"))["results"][0]["number"] == 1
        ping = expect.ok(api(security).post(f"{one}ping/", {}), 202)
        assert (ping["type"], ping["status"], ping["number"]) == ("ping", "waiting", None)
        hooks.deliver(found["id"])
        assert [m.content["type"] for m in receiver.messages[1:]] == ["ping", "disbursement.submitted"]
        assert receiver.messages[2].id == message.id

    def test_is_paused_resumed_and_ended(
        self, api: Api, program: Program, security: User, officer: User
    ) -> None:
        webhook = factories.make_webhook(program, "https://hooks.example.org/")
        one = f"/api/v1/webhooks/{webhook.pk}/"
        assert expect.ok(api(security).post(f"{one}pause/", {"note": "It moves."}))["state"] == "paused"
        expect.problem(api(security).post(f"{one}pause/", {}), 409, "webhook_state")
        assert expect.ok(api(security).post(f"{one}resume/", {}))["state"] == "active"
        for verb in ("pause", "resume", "end", "ping", "secrets"):
            expect.problem(api(officer).post(f"{one}{verb}/", {}), 403, "role_missing")
        assert expect.ok(api(officer).get(one))["state"] == "active"
        assert expect.ok(api(security).post(f"{one}end/", {}))["state"] == "ended"
        expect.problem(api(security).post(f"{one}ping/", {}), 409, "webhook_ended")

    def test_keeps_no_secret_in_answers_that_are_stored(
        self, api: Api, program: Program, security: User
    ) -> None:
        webhook = factories.make_webhook(program, "https://hooks.example.org/")
        client = api(security)
        answers = [
            client.post(f"/api/v1/webhooks/{webhook.pk}/secrets/", {}, HTTP_IDEMPOTENCY_KEY="once")
            for _ in range(2)
        ]
        assert len({expect.ok(answer, 201)["secret"] for answer in answers}) == 2
        assert answers[0]["Cache-Control"] == "no-store"
        assert not IdempotencyRecord.objects.exists()

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"url": "http://a.example/", "note": "n"}, "url", "address_refused"),
            ({"url": "https://127.1/", "note": "n"}, "url", "address_refused"),
        ],
    )
    def test_is_refused_with_its_field(
        self, api: Api, program: Program, security: User, body: dict[str, Any], field: str, code: str
    ) -> None:
        answer = api(security).post(f"/api/v1/programs/{program.pk}/proposals/webhooks/", body)
        found = expect.problem(answer, 422, "invalid_input")
        assert (found["errors"][0]["column"], found["errors"][0]["code"]) == (field, code)

    def test_lists_messages_with_as_many_statements_for_many_as_for_one(
        self, api: Api, program: Program, draft: Disbursement, security: User
    ) -> None:
        webhook = factories.make_webhook(program, "https://hooks.example.org/")
        client, address = api(security), f"/api/v1/webhooks/{webhook.pk}/deliveries/"
        counts: list[int] = []
        expect.ok(client.get(address))
        for news in (["a"], [f"b{n}" for n in range(40)]):
            happen(draft, *news)
            Webhook.objects.update(seen_number=1_000)
            hooks.replay(Webhook.objects.get(), 1, 1_000)
            with CaptureQueriesContext(connection) as queries:
                expect.ok(client.get(address))
            counts.append(len(queries))
        assert WebhookDelivery.objects.count() == 41
        assert counts[0] == counts[1]


class TestReceiversOwnCheck:
    def test_takes_what_the_shown_secret_signs(self) -> None:
        """The code of the receiver, which shares nothing with ours, agrees with the scheme's own text."""
        key, name, at, body = b"k" * 32, "msg_1", "1700000000", b"{}"
        signed = b".".join((name.encode(), at.encode(), body))
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        headers = {"webhook-id": name, "webhook-timestamp": at, "content-type": "application/json"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(receivers, "SECRET_BYTES", key)
            for signature, is_taken in ((f"v1,{digest}", True), (f"v1,{digest[:-2]}A=", False)):
                found = receivers.verified(
                    "/alarms?from=govpay", headers | {"webhook-signature": signature}, body
                )
                assert (found is not None) == is_taken
