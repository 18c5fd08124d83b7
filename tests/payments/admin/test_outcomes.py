"""Outcomes of a program in the admin, and the page on which a treasurer enters what was before."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from payments.models import OutcomeBaseline, Program
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
COST = {"figure": "cost_share", "numerator": 16, "denominator": 1_000, "source": "A report, page 7"}


def page(program: Program, name: str) -> str:
    """The address of a page about the program."""
    return f"/admin/payments/program/{program.pk}/{name}/"


class TestShow:
    def test_shows_what_was_counted_of_how_many(
        self, program: Program, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        answer = browser(auditor).get(page(program, "outcomes"))
        assert answer.status_code == 200
        assert "0 settled of 3 approved payments" in answer.content.decode()

    def test_goes_to_the_days_that_were_chosen(
        self, program: Program, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        answer = client.post(page(program, "outcomes"), {"first": "2020-01-01", "last": "2020-12-31"})
        assert answer["Location"] == "?first=2020-01-01&last=2020-12-31"
        shown = client.get(page(program, "outcomes") + answer["Location"]).content.decode()
        assert "0 settled of 0 approved payments" in shown

    def test_refuses_days_out_of_order(self, program: Program, auditor: User, browser: Browser) -> None:
        answer = browser(auditor).post(
            page(program, "outcomes"), {"first": "2021-01-01", "last": "2020-12-31"}
        )
        assert "The last day is not before the first." in answer.content.decode()

    def test_shows_nothing_to_whoever_only_sets_programs_up(self, program: Program, browser: Browser) -> None:
        assert browser(factories.make_administrator()).get(page(program, "outcomes")).status_code == 403


class TestEnter:
    def test_shows_the_figure_with_its_source(self, program: Program, browser: Browser) -> None:
        client = browser(factories.make_member(program, "treasurer"))
        answer = client.post(page(program, "baseline"), COST)
        assert answer.status_code == 302
        shown = client.get(page(program, "outcomes")).content.decode()
        assert "1.60% (16 of 1,000)" in shown
        assert "A report, page 7" in shown

    def test_says_in_place_what_is_wrong(self, program: Program, browser: Browser) -> None:
        client = browser(factories.make_member(program, "treasurer"))
        answer = client.post(page(program, "baseline"), COST | {"seconds": 5})
        assert answer.status_code == 422
        assert "leave the seconds out" in answer.content.decode()
        assert not OutcomeBaseline.objects.exists()

    def test_refuses_whoever_is_no_treasurer(self, program: Program, officer: User, browser: Browser) -> None:
        answer = browser(officer).post(page(program, "baseline"), COST)
        assert answer.status_code == 403
        assert not OutcomeBaseline.objects.exists()
