"""The receiver in docs/webhooks.md runs as it stands: it takes what we send, and nothing forged, late or doubled (A15)."""

import base64
import hashlib
import hmac
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Program, StatusChange, Webhook, WebhookDelivery
from payments.payout import events, hooks
from payments.services import webhooks
from tests import factories

pytestmark = pytest.mark.django_db

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
STARTS_WITHIN_S = 60


class Example:
    """The block of the guide as a process."""

    def __init__(self, secret: str) -> None:
        (block,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        settings = {"SECRET": secret, "PORT": str(self.port)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", block], env=os.environ | settings, stdout=subprocess.PIPE, text=True
        )
        until = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < until, "The example does not listen."
                time.sleep(0.05)

    def close(self) -> str:
        """End it, and return what it said."""
        if self.process.returncode is None:
            self.process.kill()
            self.said, _ = self.process.communicate()
        return self.said

    def post(self, body: bytes, **headers: str) -> int:
        """Return the status that answers a message of somebody's own making."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(
            "POST", "/", body, {name.replace("_", "-"): text for name, text in headers.items()}
        )
        return connection.getresponse().status


@pytest.fixture
def webhook(program: Program, settings: Any) -> Webhook:
    settings.GOVPAY_OUTBOUND_LOOPBACK = True
    return factories.make_webhook(program, "http://127.0.0.1:9/")


@pytest.fixture
def secret(webhook: Webhook, program: Program) -> str:
    security = factories.make_member(program, "security", "sana")
    return webhooks.rotate(by=security, webhook_id=webhook.pk)[1]


@pytest.fixture
def example(webhook: Webhook, secret: str) -> Iterator[Example]:
    made = Example(secret)
    Webhook.objects.update(url=f"http://127.0.0.1:{made.port}/")
    yield made
    made.close()


def sign(secret: str, name: str, moment: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{name}.{moment}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def test_takes_what_we_send_once(webhook: Webhook, example: Example, program: Program, officer: User) -> None:
    draft = factories.make_disbursement(program, officer, amounts_sat=[1_000])
    for new in ("submitted", "approved"):
        StatusChange.objects.create(subject="disbursement", subject_id=draft.pk, old="x", new=new, reason="r")
    events.number()
    hooks.deliver(webhook.pk)
    hooks.replay(Webhook.objects.get(), 1, 2)
    hooks.deliver(webhook.pk)
    assert list(WebhookDelivery.objects.order_by("pk").values_list("attempts", "response_status")) == [
        (2, 204),
        (2, 204),
    ]
    assert example.close().splitlines() == ["disbursement.submitted 1", "disbursement.approved 2"]


def test_refuses_what_is_forged_or_late(example: Example, secret: str) -> None:
    body, now = b'{"type": "payout.settled", "data": {}}', str(int(time.time()))
    late, early = str(int(time.time()) - 3_600), str(int(time.time()) + 3_600)
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    honest = {
        "webhook_id": "msg_1",
        "webhook_timestamp": now,
        "webhook_signature": sign(secret, "msg_1", now, body),
    }
    forged = [
        honest | {"webhook_signature": sign(other, "msg_1", now, body)},
        honest | {"webhook_signature": ""},
        honest | {"webhook_id": "msg_2"},
        honest | {"webhook_timestamp": str(int(now) + 1)},
        honest | {"webhook_timestamp": late, "webhook_signature": sign(secret, "msg_1", late, body)},
        honest | {"webhook_timestamp": early, "webhook_signature": sign(secret, "msg_1", early, body)},
        honest | {"webhook_timestamp": "now"},
        {},
    ]
    assert [example.post(body, **headers) for headers in forged] == [401] * len(forged)
    assert example.post(body + b" ", **honest) == 401
    several = honest | {"webhook_signature": f"v1,AAAA {honest['webhook_signature']}"}
    assert [example.post(body, **headers) for headers in (honest, several)] == [204, 204]
    assert example.close().splitlines() == ["payout.settled None"]
