"""A bank on a real loopback server says whether titles fit; whatever else it does, nobody is confirmed (R-35)."""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import BankAccount, Heartbeat, Program
from payments.rails import payee
from tests import banking, factories

pytestmark = pytest.mark.django_db

Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


def reply(request: BaseHTTPRequestHandler, content: bytes, status: int = 200) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def say(code: str) -> Answer:
    return lambda request, body: reply(request, json.dumps({"partyNameMatch": code}).encode())


def redirect(request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    request.send_response(307)
    request.send_header("Location", f"http://{request.headers['Host']}/elsewhere")
    request.send_header("Content-Length", "0")
    request.end_headers()


class Bank:
    """A server that answers as ``answer`` does, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = say("MTCH")
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.headers: list[dict[str, str]] = []
        self.closing = threading.Event()
        bank = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                bank.asked.append(body)
                bank.keys.add(self.headers["Authorization"])
                bank.headers.append(dict(self.headers))
                try:
                    bank.answer(self, body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/payee-verifications"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def hang(self, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self.closing.wait()


@pytest.fixture
def bank(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bank]:
    made = Bank()
    settings.GOVPAY_PAYEE_CHECK_URL, settings.GOVPAY_PAYEE_CHECK_KEY = made.url, "a-key"
    monkeypatch.setattr(payee, "TIMEOUT_S", 1)
    yield made
    made.closing.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def account(program: Program, officer: User) -> BankAccount:
    return banking.make_account(factories.make_enrollment(program).beneficiary, officer)


def matched(account: BankAccount) -> str:
    account.refresh_from_db()
    return account.title_match


def ask_again(account: BankAccount) -> None:
    Heartbeat.objects.all().delete()
    BankAccount.objects.filter(pk=account.pk).update(due_at=account.created_at)
    payee.ask()


class TestAsk:
    def test_sends_title_and_iban_with_the_key(self, bank: Bank, account: BankAccount) -> None:
        payee.ask()
        assert bank.asked == [
            {"party": {"name": account.account["title"]}, "partyAccount": {"iban": account.account["iban"]}}
        ]
        assert bank.keys == {"Bearer a-key"}
        assert matched(account) == "MTCH"
        payee.ask()
        assert len(bank.asked) == 1

    def test_names_both_banks_and_numbers_its_question_as_the_scheme_wants(
        self, bank: Bank, program: Program, officer: User, settings: Any
    ) -> None:
        settings.GOVPAY_PAYEE_CHECK_BIC = "SBPPPKKA"
        row = banking.make_account(factories.make_enrollment(program).beneficiary, officer)
        BankAccount.objects.filter(pk=row.pk).update(account=row.account | {"bic": "SCBLPKKX"})
        payee.ask()
        (body,), (headers,) = bank.asked, bank.headers
        assert body["partyAgent"] == {"financialInstitutionId": {"bicfi": "SCBLPKKX"}}
        assert body["requestingAgent"] == {"financialInstitutionId": {"bicfi": "SBPPPKKA"}}
        assert uuid.UUID(headers["X-Request-ID"]).version == 4
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", headers["X-Request-Timestamp"])

    @pytest.mark.parametrize("code", ["CMTC", "NMTC", "NOAP"])
    def test_keeps_what_the_bank_says_and_asks_again_later(
        self, bank: Bank, account: BankAccount, code: str
    ) -> None:
        bank.answer = say(code)
        payee.ask()
        assert matched(account) == code
        bank.answer = say("MTCH")
        ask_again(account)
        assert matched(account) == "MTCH"

    @pytest.mark.parametrize(
        "answer",
        [
            redirect,
            say("OK"),
            lambda request, body: reply(request, b'{"partyNameMatch": "MTCH"}', 500),
            lambda request, body: reply(request, b'{"partyNameMatch": "NMTC", "partyNameMatch": "MTCH"}'),
            lambda request, body: reply(request, b'{"partyNameMatch": ["MTCH"]}'),
            lambda request, body: reply(request, b"MTCH"),
            lambda request, body: reply(request, b'{"partyNameMatch": "MTCH"}' + b" " * 20_000),
        ],
    )
    def test_takes_nothing_else_for_a_confirmation(
        self, bank: Bank, account: BankAccount, answer: Answer
    ) -> None:
        bank.answer = answer
        payee.ask()
        assert (matched(account), account.attempts) == ("", 1)

    def test_gives_up_on_a_bank_that_hangs_and_leaves_it_alone(
        self, bank: Bank, account: BankAccount
    ) -> None:
        bank.answer = bank.hang
        payee.ask()
        assert matched(account) == ""
        assert not payee.has_due()

    def test_asks_nobody_without_a_setting(self, bank: Bank, account: BankAccount, settings: Any) -> None:
        settings.GOVPAY_PAYEE_CHECK_URL = ""
        payee.ask()
        assert bank.asked == []
