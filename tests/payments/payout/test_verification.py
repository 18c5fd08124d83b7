"""The verifier, on a real loopback server: only a whole answer confirms, and whatever else it does nobody new is payable."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import Beneficiary, Disbursement, Heartbeat, Hold, Program, Verification
from payments.payout import rounds, screening, verification
from payments.services import disbursements
from tests import factories

pytestmark = pytest.mark.django_db

Answer = Callable[[BaseHTTPRequestHandler, list[str]], None]


def reply(request: BaseHTTPRequestHandler, content: bytes, status: int = 200) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def redirect(request: BaseHTTPRequestHandler, hashes: list[str]) -> None:
    """Lead to an address that would confirm everybody."""
    request.send_response(307)
    request.send_header("Location", f"http://{request.headers['Host']}/elsewhere")
    request.send_header("Content-Length", "0")
    request.end_headers()


def say(standing: str) -> Answer:
    """Say the same of everybody."""
    return lambda request, hashes: reply(
        request, json.dumps({"answers": dict.fromkeys(hashes, standing)}).encode()
    )


class Verifier:
    """A server that answers as ``answer`` does, and keeps whom it was asked for and with which key."""

    def __init__(self) -> None:
        self.answer: Answer = say("confirmed")
        self.asked: list[list[str]] = []
        self.keys: set[str] = set()
        self.closing = threading.Event()
        verifier = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hashes = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["hashes"]
                verifier.asked.append(hashes)
                verifier.keys.add(self.headers["Authorization"])
                try:
                    verifier.answer(self, hashes)
                except OSError:
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/people?v=1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def hang(self, request: BaseHTTPRequestHandler, hashes: list[str]) -> None:
        self.closing.wait()

    def drip(self, request: BaseHTTPRequestHandler, hashes: list[str]) -> None:
        request.send_response(200)
        request.end_headers()
        while not self.closing.wait(0.02):
            request.wfile.write(b" ")


@pytest.fixture
def verifier(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Verifier]:
    made = Verifier()
    settings.GOVPAY_VERIFIER_URL, settings.GOVPAY_VERIFIER_KEY = made.url, "a-key"
    monkeypatch.setattr(verification, "TIMEOUT_S", 1)
    yield made
    made.close()


def standings() -> list[str]:
    return list(Verification.objects.order_by("beneficiary_id").values_list("standing", flat=True))


def statuses(disbursement: Disbursement) -> list[str]:
    return list(disbursement.payments.order_by("line").values_list("status", flat=True))


def released(program: Program, officer: User, approver: User, releaser: User) -> Disbursement:
    factories.fund(program)
    made = factories.make_disbursement(program, officer)
    made = disbursements.submit(by=officer, disbursement_id=made.pk)
    agreed = bytes(made.manifest_hash or b"")
    disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
    return disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)


class TestAsk:
    def test_sends_hashes_and_the_key_and_nothing_else(self, program: Program, verifier: Verifier) -> None:
        for _ in range(3):
            factories.make_enrollment(program)
        verification.ask()
        hashes = sorted(bytes(h).hex() for h in Beneficiary.objects.values_list("identity_hash", flat=True))
        assert [sorted(part) for part in verifier.asked] == [hashes]
        assert verifier.keys == {"Bearer a-key"}
        assert standings() == ["confirmed"] * 3
        verification.ask()
        assert len(verifier.asked) == 1

    def test_does_nothing_without_a_verifier(self, program: Program) -> None:
        factories.make_enrollment(program)
        verification.ask()
        assert not verification.has_due()
        assert Verification.objects.count() == 0


class TestPayments:
    def test_of_the_unverified_are_held_and_go_on_once_confirmed(
        self, program: Program, officer: User, approver: User, releaser: User, verifier: Verifier
    ) -> None:
        made = released(program, officer, approver, releaser)
        assert statuses(made) == ["held"] * 3
        assert set(Hold.objects.values_list("rule", "note")) == {
            ("person_unverified", "The person is not verified yet.")
        }
        verifier.answer = lambda request, hashes: reply(
            request,
            json.dumps({"answers": {hashes[0]: "confirmed", hashes[1]: "refused"}}).encode(),
        )
        verification.ask()
        assert sorted(standings()) == ["confirmed", "refused", "unverified"]
        assert [ring.ids for ring in rounds.lists_to_review()] == [{"disbursement_id": made.pk}]
        screening.review(made.pk)
        assert sorted(statuses(made)) == ["held", "held", "pending"]

    def test_are_not_held_where_there_is_no_verifier(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        assert statuses(released(program, officer, approver, releaser)) == ["pending"] * 3


class TestFailsClosed:
    @pytest.mark.parametrize(
        "answer",
        [
            lambda request, hashes: reply(request, b"", 500),
            redirect,
            lambda request, hashes: reply(request, b"<html>confirmed</html>"),
            lambda request, hashes: reply(request, b"[" * 100_000),
            lambda request, hashes: reply(request, b'{"answers": "confirmed"}'),
            lambda request, hashes: reply(request, json.dumps({"answers": {hashes[0]: True}}).encode()),
            lambda request, hashes: reply(request, json.dumps({"answers": {hashes[0]: "yes"}}).encode()),
            lambda request, hashes: reply(
                request, json.dumps({"answers": {hashes[0]: "confirmed", "ab" * 32: "confirmed"}}).encode()
            ),
            lambda request, hashes: reply(
                request, json.dumps({"answers": {hashes[0]: "confirmed"}}).encode() + b" " * 300_000
            ),
            lambda request, hashes: reply(
                request, f'{{"answers": {{"{hashes[0]}": "refused", "{hashes[0]}": "confirmed"}}}}'.encode()
            ),
            lambda request, hashes: request.wfile.write(b"SSH-2.0\r\n\r\n"),
            lambda request, hashes: request.connection.close(),
        ],
        ids=[
            "500", "redirect", "html", "deep", "no-map", "true", "other-word", "stranger", "long", "twice", "no-http", "cut"
        ],
    )  # fmt: skip
    def test_on_an_odd_answer(self, program: Program, verifier: Verifier, answer: Answer) -> None:
        factories.make_enrollment(program)
        verifier.answer = answer
        verification.ask()
        assert len(verifier.asked) == 1
        assert standings() == ["unverified"]
        assert not verification.has_due()

    @pytest.mark.parametrize("how", ["hang", "drip"])
    def test_when_it_is_slow_without_holding_the_worker(
        self, program: Program, verifier: Verifier, how: str
    ) -> None:
        factories.make_enrollment(program)
        verifier.answer = getattr(verifier, how)
        began = time.monotonic()
        verification.ask()
        assert time.monotonic() - began < 30
        assert standings() == ["unverified"]

    def test_when_it_is_down_and_leaves_who_was_confirmed(self, program: Program, verifier: Verifier) -> None:
        factories.make_enrollment(program)
        verification.ask()
        verifier.close()
        factories.make_enrollment(program)
        verification.ask()
        assert standings() == ["confirmed", "unverified"]

    def test_and_asks_again_when_it_has_rested(self, program: Program, verifier: Verifier) -> None:
        factories.make_enrollment(program)
        verifier.answer = lambda request, hashes: reply(request, b"", 503)
        verification.ask()
        verification.ask()
        assert len(verifier.asked) == 1
        Heartbeat.objects.all().delete()
        Verification.objects.update(due_at="2020-01-01T00:00:00Z")
        verifier.answer = say("confirmed")
        verification.ask()
        assert standings() == ["confirmed"]
