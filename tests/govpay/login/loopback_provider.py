"""A provider of identities on this machine that speaks OpenID Connect, honest unless a test bends it.

It shares no code with what it is tested against: it signs with cryptography alone.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CLIENT, SECRET = "govpay", "not-very-secret"
SUBJECT = "248289761001"


def text(data: bytes) -> str:
    """Write bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def whole(number: int) -> str:
    """Write a number as base64url."""
    return text(number.to_bytes((number.bit_length() + 7) // 8, "big"))


class Key:
    """A key that signs ID tokens, under a name."""

    def __init__(self, alg: str) -> None:
        self.alg, self.kid = alg, secrets.token_hex(4)
        self.private: Any = (
            rsa.generate_private_key(65537, 2048)
            if alg == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )

    def public(self) -> dict[str, str]:
        """Return the key as a JWK (RFC 7517)."""
        found = {"kid": self.kid, "alg": self.alg, "use": "sig"}
        numbers = self.private.public_key().public_numbers()
        if self.alg == "RS256":
            return found | {"kty": "RSA", "n": whole(numbers.n), "e": whole(numbers.e)}
        x, y = (text(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
        return found | {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def sign(self, data: bytes) -> bytes:
        """Sign as JWS does (RFC 7518)."""
        if self.alg == "RS256":
            signed: bytes = self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
            return signed
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Provider:
    """The provider. ``claims`` and ``header`` are laid over what is honest; ``bend`` changes the finished token."""

    def __init__(self) -> None:
        self.key = Key("RS256")
        self.published = [self.key]
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.bend: Callable[[str], str] = lambda token: token
        self.codes: dict[str, dict[str, str]] = {}
        self.calls: list[str] = []
        self.is_down = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self.server.shutdown()
        self.server.server_close()

    def visit(self, address: str) -> dict[str, str]:
        """Do what a browser does there, as somebody who is signed in at the provider: return where to come back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", CLIENT, "openid")
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def token(self, asked: dict[str, str]) -> str:
        """Make the ID token for what was asked."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": SUBJECT,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "email": "officer@example.gov",
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.key.alg, "kid": self.key.kid, "typ": "JWT"} | self.header
        data = ".".join(text(json.dumps(part).encode()) for part in (header, claims))
        return self.bend(f"{data}.{text(self.key.sign(data.encode()))}")

    def answer(self, path: str, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        """Answer a request."""
        self.calls.append(path)
        if self.is_down:
            return 503, {}
        if path == "/.well-known/openid-configuration":
            names = {"authorization": "authorize", "token": "token", "end_session": "logout"}
            found = {f"{name}_endpoint": f"{self.issuer}/{last}" for name, last in names.items()}
            found |= {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"}
            # What it says here must open nothing.
            return 200, found | {"id_token_signing_alg_values_supported": ["none", "HS256"]} | self.metadata
        if path == "/jwks":
            return 200, {"keys": [key.public() for key in self.published]}
        assert path == "/token"
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if authorization != f"Basic {basic}":
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form["code"], None)
        if asked is None:
            return 400, {"error": "invalid_grant"}
        challenge = text(hashlib.sha256(form["code_verifier"].encode()).digest())
        if (challenge, form["redirect_uri"]) != (asked["code_challenge"], asked["redirect_uri"]):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(asked)}

    def _handler(provider) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own.
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                form = {n: v[0] for n, v in parse_qs(self.rfile.read(length).decode()).items()}
                found = provider.answer(self.path, form, self.headers.get("Authorization", ""))
                status, body = found[0], json.dumps(found[1]).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the server calls it so.

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler
