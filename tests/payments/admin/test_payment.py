"""Holding, resuming and withdrawing single payments in the admin."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from payments.models import Payment, Program, StatusChange
from payments.services import holds
from tests import factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
VERBS = ["hold", "resume", "withdraw"]
NOTE = {"note": "The clerk rang."}


def url(payment: Payment, verb: str) -> str:
    return reverse(f"admin:payments_payment_{verb}", args=[payment.pk])


def page(payment: Payment) -> str:
    return reverse("admin:payments_payment_change", args=[payment.pk])


def status(payment: Payment) -> str:
    return str(Payment.objects.get(pk=payment.pk).status)


@pytest.fixture
def payment(program: Program, officer: User, approver: User) -> Payment:
    """A line of an approved list."""
    factories.fund(program, 10_000_000)
    return Payment.objects.get(disbursement=scenes.approved(program, officer, approver), line=1)


class TestHold:
    def test_stops_the_line(self, payment: Payment, officer: User, browser: Browser) -> None:
        answer = browser(officer).post(url(payment, "hold"), NOTE)
        assert (answer.status_code, answer["Location"]) == (302, page(payment))
        assert status(payment) == "held"

    def test_refuses_a_line_in_a_payout(self, payment: Payment, officer: User, browser: Browser) -> None:
        scenes.make_payout(payment.disbursement, [payment])
        client = browser(officer)
        answer = client.post(url(payment, "hold"), NOTE)
        assert answer.status_code == 409
        assert "is in payout" in answer.content.decode()
        assert url(payment, "hold") not in client.get(page(payment)).content.decode()
        assert status(payment) == "pending"


class TestOutpoint:
    @pytest.mark.parametrize(
        ("payout_status", "is_shown"), [("sent", True), ("voiding", False), ("voided", False)]
    )
    def test_is_not_that_of_the_tx_which_takes_the_coin_back(
        self, payment: Payment, officer: User, browser: Browser, payout_status: str, is_shown: bool
    ) -> None:
        payout = scenes.make_payout(payment.disbursement, [payment], status=payout_status)
        assert payout.current is not None
        payment.refresh_from_db()
        shown = browser(officer).get(page(payment)).content.decode()
        assert (f"{payout.current.txid}:{payment.vout}" in shown) == is_shown


class TestResume:
    def test_needs_a_second_person(
        self, payment: Payment, officer: User, approver: User, browser: Browser
    ) -> None:
        holds.hold(by=officer, payment_id=payment.pk, note="stop")
        client = browser(officer)
        answer = client.post(url(payment, "resume"), NOTE)
        assert answer.status_code == 403
        assert url(payment, "resume") not in client.get(page(payment)).content.decode()
        assert status(payment) == "held"
        assert browser(approver).post(url(payment, "resume"), NOTE).status_code == 302
        assert status(payment) == "pending"


class TestWithdraw:
    def test_ends_the_line(self, payment: Payment, officer: User, approver: User, browser: Browser) -> None:
        holds.hold(by=officer, payment_id=payment.pk, note="stop")
        client = browser(approver)
        assert url(payment, "withdraw") in client.get(page(payment)).content.decode()
        assert client.post(url(payment, "withdraw"), NOTE).status_code == 302
        assert status(payment) == "cancelled"

    def test_refuses_a_line_that_nobody_held(
        self, payment: Payment, approver: User, browser: Browser
    ) -> None:
        assert browser(approver).post(url(payment, "withdraw"), NOTE).status_code == 409
        assert status(payment) == "pending"


class TestEveryVerb:
    @pytest.mark.parametrize("verb", VERBS)
    def test_does_not_know_the_payment_of_another_program(
        self, verb: str, payment: Payment, outsider: User, browser: Browser
    ) -> None:
        changes = StatusChange.objects.count()
        assert browser(outsider).post(url(payment, verb), NOTE).status_code == 404
        assert StatusChange.objects.count() == changes

    @pytest.mark.parametrize("verb", VERBS)
    def test_refuses_an_auditor(self, verb: str, payment: Payment, auditor: User, browser: Browser) -> None:
        changes = StatusChange.objects.count()
        client = browser(auditor)
        assert client.post(url(payment, verb), NOTE).status_code == 403
        assert url(payment, verb) not in client.get(page(payment)).content.decode()
        assert StatusChange.objects.count() == changes

    @pytest.mark.parametrize("verb", VERBS)
    def test_needs_a_reason(self, verb: str, payment: Payment, officer: User, browser: Browser) -> None:
        changes = StatusChange.objects.count()
        assert browser(officer).post(url(payment, verb), {"note": " "}).status_code == 422
        assert StatusChange.objects.count() == changes
