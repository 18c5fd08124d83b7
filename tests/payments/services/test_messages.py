"""The outbox: a real gateway over HTTP and a real SMTP server on loopback, taken once, tried again, forgotten."""

import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from payments.models import ClaimLink, Heartbeat, Message, Program
from payments.services import messages
from tests import factories

pytestmark = pytest.mark.django_db


class Gateway(ThreadingHTTPServer):
    """Answers each POST with the next of ``statuses``, the last one for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = [202]
        self.taken: list[tuple[dict[str, str], dict[str, Any]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((dict(self.headers), json.loads(body)))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Mail(socketserver.ThreadingTCPServer):
    """As much of SMTP as a client needs; ``refused`` is a recipient that it does not take."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.refused = ""
        self.mails: list[str] = []


class _Smtp(socketserver.StreamRequestHandler):
    server: Mail

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            if verb == "RCPT" and self.server.refused and self.server.refused in line:
                self._say("550 nobody")
            elif verb == "DATA":
                self._say("354 go on")
                text = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    text += part
                self.server.mails.append(text.decode())
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def gateway(settings: Any) -> Iterator[Gateway]:
    """A gateway for SMS, as the settings name it."""
    with Gateway() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.GOVPAY_SMS_URL = f"http://127.0.0.1:{server.server_address[1]}/send"
        settings.GOVPAY_SMS_TOKEN = "gateway-token"
        yield server
        server.shutdown()


@pytest.fixture
def mail(settings: Any) -> Iterator[Mail]:
    """A mail server, as the settings name it."""
    with Mail() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.GOVPAY_EMAIL_URL = "smtp://127.0.0.1"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address[:2]
        yield server
        server.shutdown()


@pytest.fixture
def link(program: Program, officer: User) -> ClaimLink:
    now = timezone.now()
    return ClaimLink.objects.create(
        enrollment=factories.make_enrollment(program),
        secret_hash=bytes(32),
        channel="sms",
        made_by=officer,
        made_at=now,
        expires_at=now + timedelta(days=1),
    )


def put(link: ClaimLink, channel: str = "sms", **times: Any) -> Message:
    now = timezone.now()
    values = {"now": now, "expires_at": now + timedelta(hours=1)} | times
    to = "+923000000001" if channel == "sms" else "amina@example.org"
    return messages.put(
        link, kind="claim_link", channel=channel, to=to, subject="Money", text="Secret words", **values
    )


def again() -> None:
    """Let the gateway's rest and the wait of each message be over."""
    Heartbeat.objects.filter(name=messages.REST).delete()
    Message.objects.update(due_at=timezone.now())


class TestSms:
    def test_is_posted_once_and_forgotten(self, gateway: Gateway, link: ClaimLink) -> None:
        row = put(link)
        assert (messages.send_due(), messages.send_due()) == (1, 0)
        ((headers, body),) = gateway.taken
        assert body == {"id": str(row.message_id), "to": "+923000000001", "text": "Secret words"}
        assert headers["Idempotency-Key"] == str(row.message_id)
        assert headers["Authorization"] == "Bearer gateway-token"
        row.refresh_from_db()
        assert (row.content, row.attempts, row.sent_at is None) == (None, 1, False)

    def test_is_encrypted_while_it_waits(self, link: ClaimLink) -> None:
        put(link)
        with connection.cursor() as cursor:
            cursor.execute("SELECT content FROM payments_message")
            assert b"Secret" not in bytes(cursor.fetchone()[0])

    def test_is_tried_again_with_the_same_id(self, gateway: Gateway, link: ClaimLink) -> None:
        gateway.statuses = [503, 429, 202]
        row = put(link)
        for _ in range(3):
            messages.send_due()
            again()
        assert {body["id"] for _, body in gateway.taken} == {str(row.message_id)}
        row.refresh_from_db()
        assert (len(gateway.taken), row.attempts, row.error, row.content) == (3, 3, "", None)

    def test_waits_longer_each_time_and_leaves_the_gateway_alone(
        self, gateway: Gateway, link: ClaimLink
    ) -> None:
        gateway.statuses = [503]
        first, second = put(link), put(link)
        assert messages.send_due() == 0
        assert len(gateway.taken) == 1
        first.refresh_from_db()
        assert timedelta(seconds=25) < first.due_at - timezone.now() <= timedelta(seconds=30)
        second.refresh_from_db()
        assert second.attempts == 0
        assert not messages.has_due()

    def test_is_given_up_where_the_gateway_never_takes_it(self, gateway: Gateway, link: ClaimLink) -> None:
        gateway.statuses = [422]
        row = put(link)
        messages.send_due()
        row.refresh_from_db()
        assert (row.failed_at is None, row.content, row.error) == (
            False,
            None,
            "The receiver answered HTTP 422.",
        )
        assert not messages.has_due()

    def test_is_given_up_when_it_is_too_late(self, gateway: Gateway, link: ClaimLink) -> None:
        now = timezone.now()
        row = put(link, now=now - timedelta(hours=2), expires_at=now - timedelta(hours=1))
        messages.send_due()
        row.refresh_from_db()
        assert (gateway.taken, row.failed_at is None, row.content) == ([], False, None)

    def test_is_dropped_with_its_link(self, gateway: Gateway, link: ClaimLink) -> None:
        row = put(link)
        messages.drop(ClaimLink.objects.filter(pk=link.pk), now=timezone.now())
        assert messages.send_due() == 0
        row.refresh_from_db()
        assert (gateway.taken, row.content) == ([], None)


class TestEmail:
    def test_goes_by_smtp_once(self, mail: Mail, link: ClaimLink) -> None:
        row = put(link, "email")
        assert (messages.send_due(), messages.send_due()) == (1, 0)
        (text,) = mail.mails
        assert "To: amina@example.org" in text
        assert "Secret words" in text
        assert str(row.message_id) in text

    def test_is_given_up_where_the_recipient_is_refused(self, mail: Mail, link: ClaimLink) -> None:
        mail.refused = "amina"
        row = put(link, "email")
        messages.send_due()
        row.refresh_from_db()
        assert (mail.mails, row.failed_at is None, row.content) == ([], False, None)

    def test_waits_for_a_server_that_is_down(self, settings: Any, mail: Mail, link: ClaimLink) -> None:
        settings.EMAIL_PORT = 1
        row = put(link, "email")
        assert messages.send_due() == 0
        row.refresh_from_db()
        assert (row.attempts, row.failed_at, row.content is None) == (1, None, False)


class TestLocal:
    def test_keeps_what_it_says_until_it_expires(self, link: ClaimLink) -> None:
        row = put(link)
        assert messages.send_due() == 1
        row.refresh_from_db()
        assert (row.content or {})["text"] == "Secret words"
        assert messages.forget(timezone.now() + timedelta(hours=2)) == 1
        row.refresh_from_db()
        assert row.content is None

    def test_is_none_where_no_gateway_is_set(self, settings: Any, link: ClaimLink) -> None:
        settings.GOVPAY_SMS_URL = ""
        row = put(link)
        assert messages.send_due() == 0
        row.refresh_from_db()
        assert row.error == "No gateway for SMS is set (GOVPAY_SMS_URL)."
