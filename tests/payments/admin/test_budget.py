"""Budgets in the admin: a treasurer opens a period, an officer proposes, a treasurer confirms."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from payments.models import BudgetPeriod, Disbursement, Program, StatusChange, Warrant
from payments.services import budgets, disbursements
from tests import budgeting, factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
PERIODS = "/admin/payments/budgetperiod/"
WARRANTS = "/admin/payments/warrant/"


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


@pytest.fixture
def period(program: Program, officer: User, treasurer: User) -> BudgetPeriod:
    return budgeting.make_period(program, allotted_sat=500_000, cash_sat=300_000)


def page(row: Any) -> str:
    return reverse(f"admin:payments_{row._meta.model_name}_change", args=[row.pk])


class TestPeriod:
    def test_is_opened_for_the_fiscal_year_that_is_offered(
        self, browser: Browser, program: Program, treasurer: User
    ) -> None:
        client = browser(treasurer)
        assert f"{PERIODS}open/" in client.get(PERIODS).content.decode()
        asked = client.get(f"{PERIODS}open/").content.decode()
        first, last = budgets.fiscal_year(timezone.now().date())
        assert f'value="{first}"' in asked
        assert f'value="{last}"' in asked
        answer = client.post(
            f"{PERIODS}open/",
            {"program": program.pk, "name": "2026-27", "first_date": str(first), "last_date": str(last)},
        )
        made = BudgetPeriod.objects.get()
        assert answer["Location"] == page(made)
        assert (made.first_date, made.last_date, made.opened_by) == (first, last, treasurer)
        again = client.post(
            f"{PERIODS}open/",
            {"program": program.pk, "name": "Again", "first_date": str(last), "last_date": str(last)},
        )
        assert again.status_code == 409
        assert "no day is in two open periods" in again.content.decode()

    def test_is_opened_by_nobody_else(self, browser: Browser, program: Program, officer: User) -> None:
        client = browser(officer)
        assert f"{PERIODS}open/" not in client.get(PERIODS).content.decode()
        assert client.get(f"{PERIODS}open/")["Location"] == PERIODS
        answer = client.post(
            f"{PERIODS}open/",
            {"program": program.pk, "name": "x", "first_date": "2026-07-01", "last_date": "2027-06-30"},
        )
        assert answer["Location"] == PERIODS
        assert BudgetPeriod.objects.count() == 0

    def test_shows_its_totals_its_warrants_and_its_lists(
        self, browser: Browser, period: BudgetPeriod, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program)
        made = scenes.approved(program, officer, approver)
        need_sat = 180_000 + (made.fee_reserved_sat or 0)
        text = browser(approver).get(page(period)).content.decode()
        for shown in (
            "500,000 sat",
            "300,000 sat",
            f"{need_sat:,} sat",
            f"{500_000 - need_sat:,} sat",
            f"List {made.pk}",
        ):
            assert shown in text
        for warrant in Warrant.objects.all():
            assert page(warrant) in text

    def test_is_closed_by_a_treasurer(
        self, browser: Browser, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        address = f"{PERIODS}{period.pk}/close/"
        assert browser(officer).post(address, {"note": "x"}).status_code == 403
        assert browser(treasurer).post(address, {"note": "The year is over."}).status_code == 302
        text = browser(treasurer).get(page(period)).content.decode()
        assert "The year is over." in text
        assert f"{PERIODS}{period.pk}/close/" not in text


class TestWarrant:
    @pytest.mark.parametrize(
        ("button", "kind", "text", "amount_sat"),
        [("allot", "allotment", "20000", 20_000), ("release-cash", "cash_release", "-30000", -30_000)],
    )
    def test_is_proposed_by_an_officer_and_confirmed_by_a_treasurer(
        self,
        browser: Browser,
        period: BudgetPeriod,
        officer: User,
        treasurer: User,
        button: str,
        kind: str,
        text: str,
        amount_sat: int,
    ) -> None:
        address = f"{PERIODS}{period.pk}/{button}/"
        assert address in browser(officer).get(page(period)).content.decode()
        assert address not in browser(treasurer).get(page(period)).content.decode()
        assert "500,000 sat" in browser(officer).get(address).content.decode()
        answer = browser(officer).post(address, {"amount": text, "note": "As voted."})
        assert answer["Location"] == page(period)
        made = Warrant.objects.latest("pk")
        assert (made.kind, made.amount_sat, made.proposed_by) == (kind, amount_sat, officer)
        confirm = f"{WARRANTS}{made.pk}/confirm/"
        assert confirm not in browser(officer).get(page(made)).content.decode()
        assert "Waits for you" in browser(treasurer).get(page(made)).content.decode()
        assert browser(treasurer).post(confirm, {"note": ""})["Location"] == page(made)
        made.refresh_from_db()
        assert (made.status, made.decided_by) == ("confirmed", treasurer)
        column = "allotted_sat" if kind == "allotment" else "cash_released_sat"
        before = {"allotted_sat": 500_000, "cash_released_sat": 300_000}[column]
        assert getattr(BudgetPeriod.objects.get(), column) == before + amount_sat

    @pytest.mark.parametrize("text", ["", "1.5", "+5", "--5", "1,000", "٣", "9" * 17])
    def test_takes_plain_satoshis(
        self, browser: Browser, period: BudgetPeriod, officer: User, text: str
    ) -> None:
        before = Warrant.objects.count()
        answer = browser(officer).post(f"{PERIODS}{period.pk}/allot/", {"amount": text, "note": "As voted."})
        assert answer.status_code == 422
        assert Warrant.objects.count() == before

    def test_that_does_not_fit_says_the_figures(
        self, browser: Browser, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        made = budgets.propose(
            by=officer, budget_period_id=period.pk, kind="cash_release", amount_sat=200_001, note="More."
        )
        answer = browser(treasurer).post(f"{WARRANTS}{made.pk}/confirm/", {"note": ""})
        assert answer.status_code == 409
        assert "500001 sat would be released as cash in 2026-27, where 500000 sat are allotted." in (
            answer.content.decode()
        )

    def test_is_rejected_or_taken_back(
        self, browser: Browser, period: BudgetPeriod, officer: User, treasurer: User
    ) -> None:
        for verb, by, status in (("reject", treasurer, "rejected"), ("withdraw", officer, "withdrawn")):
            made = budgets.propose(
                by=officer, budget_period_id=period.pk, kind="allotment", amount_sat=1, note="More."
            )
            assert browser(by).post(f"{WARRANTS}{made.pk}/{verb}/", {"note": "No."}).status_code == 302
            made.refresh_from_db()
            assert made.status == status
            assert "No." in browser(by).get(page(made)).content.decode()
            change = StatusChange.objects.get(subject="warrant", subject_id=made.pk)
            assert f"Warrant {made.pk}" in browser(by).get(page(change)).content.decode()


class TestList:
    def test_that_does_not_fit_is_refused_on_its_page(
        self, browser: Browser, program: Program, officer: User, treasurer: User, approver: User
    ) -> None:
        budgeting.make_period(program, allotted_sat=180_000)
        factories.fund(program)
        made = factories.make_disbursement(program, officer)
        made = scenes.disbursements.submit(by=officer, disbursement_id=made.pk)
        url = f"/admin/payments/disbursement/{made.pk}/approve/"
        shown = browser(approver).get(url).content.decode()
        need_sat = made.total_sat + (made.fee_reserved_sat or 0)
        assert f"{need_sat - 180_000:,} sat are missing in 2026-27" in shown
        answer = browser(approver).post(
            url,
            {"manifest_hash": bytes(made.manifest_hash or b"").hex()},
        )
        assert answer.status_code == 409
        assert "of what is allotted in 2026-27 180,000 sat are free" in answer.content.decode()
        assert Disbursement.objects.get().status == "submitted"


class TestDecisions:
    def test_shows_what_its_period_has_left_before_it_is_approved_and_released(
        self,
        browser: Browser,
        program: Program,
        officer: User,
        approver: User,
        releaser: User,
        period: BudgetPeriod,
    ) -> None:
        factories.fund(program, 1_000_000)
        made = scenes.approved(program, officer, approver)
        period.refresh_from_db()
        shown = (
            browser(releaser)
            .get(reverse("admin:payments_disbursement_release", args=[made.pk]))
            .content.decode()
        )
        for fact in (page(period), f"{period.available_sat:,} sat", "300,000 sat"):
            assert fact in shown
        waiting = disbursements.submit(
            by=officer,
            disbursement_id=factories.make_disbursement(program, officer, period="2026-12").pk,
        )
        shown = (
            browser(approver)
            .get(reverse("admin:payments_disbursement_approve", args=[waiting.pk]))
            .content.decode()
        )
        assert f"{period.available_sat:,} sat" in shown
        assert "Left of the cash released" in shown

    def test_warns_of_cash_that_does_not_carry_the_list(
        self, browser: Browser, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        budgeting.make_period(program, allotted_sat=500_000, cash_sat=1_000)
        factories.fund(program, 1_000_000)
        made = scenes.approved(program, officer, approver)
        url = reverse("admin:payments_disbursement_release", args=[made.pk])
        need_sat = made.total_sat + (made.fee_reserved_sat or 0)
        assert (
            f"{need_sat - 1_000:,} sat are missing in 2026-27" in browser(releaser).get(url).content.decode()
        )
