"""What paying will cost in the admin, and the page on which a treasurer enters what it costs elsewhere."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from payments.models import CostBaseline, Program
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
COST = {
    "name": "M-Pesa",
    "currency": "",
    "numerator": 16,
    "denominator": 1_000,
    "source": "GiveDirectly",
    "measured_date": "2014-01-01",
}


def page(program: Program, name: str) -> str:
    """The address of a page about the program."""
    return f"/admin/payments/program/{program.pk}/{name}/"


class TestShow:
    def test_asks_for_people_where_there_are_none(
        self, program: Program, auditor: User, browser: Browser
    ) -> None:
        shown = browser(auditor).get(page(program, "projection")).content.decode()
        assert "Say how many are paid" in shown

    def test_shows_what_everybody_costs_who_is_enrolled(
        self, program: Program, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        shown = browser(auditor).get(page(program, "projection")).content.decode()
        assert "What it takes of the chain" in shown
        assert "Nobody entered what paying costs elsewhere" in shown

    def test_goes_to_the_numbers_that_were_given(
        self, program: Program, auditor: User, browser: Browser
    ) -> None:
        client = browser(auditor)
        given = {
            "p2wpkh": 10_200_000,
            "currency": "PKR",
            "price_minor": 2_810_000_000,
            "amount_minor": 1_450_000,
        }
        answer = client.post(page(program, "projection"), given)
        assert (
            answer["Location"] == "?p2wpkh=10200000&amount_minor=1450000&currency=PKR&price_minor=2810000000"
        )
        shown = client.get(page(program, "projection") + answer["Location"]).content.decode()
        for figure in (
            "318,484,800",
            "53.2 (2.2 days)",
            "156.120",
            "4,386.972 minor units of PKR",
            "0.303 %",
        ):
            assert figure in shown

    def test_says_in_place_what_is_wrong(self, program: Program, auditor: User, browser: Browser) -> None:
        client = browser(auditor)
        answer = client.post(page(program, "projection"), {"p2tr": 5, "amount_minor": 5})
        assert answer.status_code == 422
        assert "Give the price of a bitcoin in the currency." in answer.content.decode()

    def test_shows_no_other_numbers_than_those_of_its_address(
        self, program: Program, furnished: dict[str, Any], auditor: User, browser: Browser
    ) -> None:
        shown = browser(auditor).get(page(program, "projection") + "?p2wpkh=-1").content.decode()
        assert "People paid to P2WPKH: Ensure this value is greater than or equal to 0." in shown
        assert "What it takes of the chain" not in shown

    def test_shows_nothing_to_whoever_only_sets_programs_up(self, program: Program, browser: Browser) -> None:
        assert browser(factories.make_administrator()).get(page(program, "projection")).status_code == 403


class TestEnter:
    def test_shows_the_cost_with_its_source(self, program: Program, browser: Browser) -> None:
        client = browser(factories.make_member(program, "treasurer"))
        assert client.post(page(program, "cost-baseline"), COST)["Location"] == "../projection/"
        shown = client.get(page(program, "projection") + "?p2wpkh=1000&amount_sat=100000").content.decode()
        for figure in ("M-Pesa", "1,600.000", "51.24", "GiveDirectly, 2014-01-01"):
            assert figure in shown
        shown = client.get(page(program, "projection") + "?p2wpkh=1000").content.decode()
        assert "It is a share of the value, and no amount was given." in shown

    def test_says_in_place_what_is_wrong(self, program: Program, browser: Browser) -> None:
        client = browser(factories.make_member(program, "treasurer"))
        answer = client.post(page(program, "cost-baseline"), COST | {"measured_date": "2999-01-01"})
        assert answer.status_code == 422
        assert "a day that has not come" in answer.content.decode()
        assert not CostBaseline.objects.exists()

    def test_refuses_whoever_is_no_treasurer(self, program: Program, officer: User, browser: Browser) -> None:
        assert browser(officer).post(page(program, "cost-baseline"), COST).status_code == 403
        assert not CostBaseline.objects.exists()
