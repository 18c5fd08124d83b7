"""A receiver of alarms on loopback: checks signatures with code of its own, and misbehaves as it is told."""

import base64
import hashlib
import hmac
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SECRET_BYTES = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(SECRET_BYTES).decode()

Answer = Callable[[BaseHTTPRequestHandler], None]


class Message(NamedTuple):
    """A request that was signed with the secret."""

    id: str
    timestamp: int
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = json.loads(self.body)
        return found


def take(request: BaseHTTPRequestHandler) -> None:
    """Say that the message was taken."""
    status(204)(request)


def status(code: int, **headers: str) -> Answer:
    """Answer with a status and nothing else."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def raw(data: bytes) -> Answer:
    """Answer with these bytes, whatever they are."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(data)

    return answer


class Receiver:
    """Listens from its making until ``close``; ``answers`` are used up one a request, then it answers as ``usual``."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.messages: list[Message] = []
        self.signatures: list[str] = []
        self.refused: list[str] = []
        self.answers: list[Answer] = []
        self.usual: Answer = take
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if tls is not None:
            self.server.socket = tls.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_address[1]}/alarms?from=govpay"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop, and let whoever hangs go."""
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def said(self) -> list[tuple[str, int]]:
        """Type and alarm of each message in the order of arrival, doubles dropped by their ids."""
        first = {message.id: message for message in reversed(self.messages)}
        return [
            (message.content["type"], message.content["data"]["alarm_id"])
            for message in self.messages
            if first[message.id] is message
        ]

    def hang(self, request: BaseHTTPRequestHandler) -> None:
        """Answer nothing until the receiver closes."""
        self.closing.wait()

    def drip(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a byte now and then, and never come to the end of the headers."""
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.closing.wait(0.05):
            request.wfile.write(b"z")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                message = verified(self.path, dict(self.headers.items()), body)
                if message is None:
                    receiver.refused.append(self.path)
                    status(401)(self)
                    return
                receiver.messages.append(message)
                receiver.signatures.append(self.headers["webhook-signature"])
                answer = receiver.answers.pop(0) if receiver.answers else receiver.usual
                try:
                    answer(self)
                except OSError:
                    # The sender has gone: it read as much as it wanted.
                    self.close_connection = True

            def do_GET(self) -> None:
                receiver.refused.append(self.path)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        return Handler


def verified(path: str, headers: dict[str, str], body: bytes) -> Message | None:
    """Check what a receiver must by Standard Webhooks 1.0.0, and the address; nothing when it is not ours."""
    names = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = names.get("webhook-id", ""), names.get("webhook-timestamp", "")
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(SECRET_BYTES, signed, hashlib.sha256).digest()
    signatures = names.get("webhook-signature", "").split(" ")
    is_ours = f"v1,{base64.b64encode(digest).decode()}" in signatures
    if not is_ours or path != "/alarms?from=govpay" or names["content-type"] != "application/json":
        return None
    return Message(message_id, int(timestamp), body)


def make_certificate(path: Path, name: str = "") -> ssl.SSLContext:
    """Write a self-signed certificate of a name, or of 127.0.0.1, with its key, and return what serves with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    loopback = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) if name else loopback]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
