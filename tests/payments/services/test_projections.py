"""Costs elsewhere: who enters one, what makes it one, and what it is compared with."""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from govpay.errors import InvalidInput, NotFound
from ledger.models import AuditEvent
from payments.models import CostBaseline, Program
from payments.selectors import projections as selector
from payments.services import projections
from payments.services.authority import RoleMissing
from tests import factories

pytestmark = pytest.mark.django_db

CASH: dict[str, Any] = {
    "name": "Cash at a counter",
    "currency": "USD",
    "numerator": 40_000_00,
    "denominator": 100_000,
    "source": "WFP Jordan, monthly saving",
    "measured_date": date(2019, 6, 1),
}
SHARE: dict[str, Any] = CASH | {"name": "M-Pesa", "currency": "", "numerator": 16, "denominator": 1_000}
WHO: dict[str, Any] = {"outputs": {"p2wpkh": 1_000}, "amount_sat": 51_601}


@pytest.fixture
def treasurer(program: Program) -> User:
    """Somebody who may enter figures."""
    return factories.make_member(program, "treasurer")


class TestEnterBaseline:
    @pytest.mark.parametrize("given", [CASH, SHARE])
    def test_keeps_the_cost_and_its_source(
        self, program: Program, treasurer: User, given: dict[str, Any]
    ) -> None:
        made = projections.enter_baseline(by=treasurer, program_id=program.pk, **given)
        assert {name: getattr(made, name) for name in given} == given
        assert made.entered_by == treasurer
        assert AuditEvent.objects.filter(action="projection.enter_baseline").count() == 1

    def test_needs_the_treasurer(self, program: Program, officer: User) -> None:
        with pytest.raises(RoleMissing):
            projections.enter_baseline(by=officer, program_id=program.pk, **CASH)

    def test_hides_other_programs(self, treasurer: User) -> None:
        with pytest.raises(NotFound):
            projections.enter_baseline(by=treasurer, program_id=factories.make_program("OTHER").pk, **CASH)

    @pytest.mark.parametrize(
        ("given", "column", "code"),
        [
            (CASH | {"denominator": 0}, "denominator", "invalid"),
            (CASH | {"source": "  "}, "source", "invalid"),
            (CASH | {"name": " "}, "name", "invalid"),
            (CASH | {"currency": "usd"}, "currency", "invalid"),
            (CASH | {"numerator": -1}, "numerator", "invalid"),
            (
                CASH | {"measured_date": timezone.now().date() + timedelta(days=2)},
                "measured_date",
                "date_to_come",
            ),
        ],
    )
    def test_refuses_what_is_no_cost_and_names_field_and_rule(
        self, program: Program, treasurer: User, given: dict[str, Any], column: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            projections.enter_baseline(by=treasurer, program_id=program.pk, **given)
        errors = refused.value.details["errors"]
        assert {(error["column"], error["code"]) for error in errors} == {(column, code)}
        assert not CostBaseline.objects.exists()

    @pytest.mark.parametrize(
        "columns", [{"denominator": 0}, {"source": ""}, {"name": ""}, {"currency": "usd"}]
    )
    def test_is_refused_by_the_database_too(
        self, program: Program, treasurer: User, columns: dict[str, Any]
    ) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            CostBaseline.objects.create(program=program, entered_by=treasurer, **CASH | columns)


class TestProject:
    def test_begins_without_any_baseline(self, program: Program) -> None:
        assert selector.project(program=program, **WHO).comparisons == ()

    def test_pays_as_the_program_pays(self, program: Program) -> None:
        Program.objects.filter(pk=program.pk).update(group_max_payments=100)
        program.refresh_from_db()
        assert selector.project(program=program, **WHO).projection.payouts == 10
        assert selector.project(program=program, group_max_payments=250, **WHO).projection.payouts == 4
        assert selector.project(program=None, **WHO).projection.payouts == 2

    def test_compares_a_share_with_the_amount_and_a_cost_at_the_price(
        self, program: Program, treasurer: User
    ) -> None:
        for given in (CASH | {"numerator": 1}, CASH, SHARE):
            projections.enter_baseline(by=treasurer, program_id=program.pk, **given)
        found = selector.project(program=program, currency="USD", price_minor=10_000_000, **WHO)
        # USD 0.40 at USD 100,000 a bitcoin are 400 sat; 1.6 % of 51,601 sat are 825.6.
        assert [each.per_payment_sat for each in found.comparisons] == [400, Fraction(825_616, 1_000)]
        cost = found.projection.costs[1]
        assert found.comparisons[0].times(cost) == Fraction(400 * 1_000, cost.fee_sat)

    def test_says_why_it_cannot_compare_instead_of_assuming_a_price(
        self, program: Program, treasurer: User
    ) -> None:
        for given in (CASH, SHARE):
            projections.enter_baseline(by=treasurer, program_id=program.pk, **given)
        found = selector.project(
            program=program, outputs={"p2wpkh": 5}, currency="PKR", price_minor=2_810_000_000
        )
        assert [(each.per_payment_sat, each.why_not) for each in found.comparisons] == [
            (None, "It is in USD, and no price in USD was given."),
            (None, "It is a share of the value, and no amount was given."),
        ]
        assert found.comparisons[0].times(found.projection.costs[0]) is None

    @pytest.mark.parametrize(
        ("given", "column", "code"),
        [
            ({"outputs": {"p2tr": 0}}, "outputs", "people_out_of_range"),
            ({"outputs": {"p2tr": 10_000_000_000, "p2wpkh": 1}}, "outputs", "people_out_of_range"),
            ({"amount_minor": 5}, "amount_minor", "amount_twice"),
            ({"amount_sat": None, "amount_minor": 5}, "price_minor", "price_missing"),
            ({"currency": "USD"}, "price_minor", "price_missing"),
            ({"price_minor": 5}, "currency", "currency_missing"),
            (
                {"amount_sat": None, "amount_minor": 1, "currency": "USD", "price_minor": 10**9},
                "amount_minor",
                "amount_nothing",
            ),
        ],
    )
    def test_refuses_what_says_no_list_or_no_value(
        self, program: Program, given: dict[str, Any], column: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            selector.project(program=program, **WHO | given)
        assert [(error["column"], error["code"]) for error in refused.value.details["errors"]] == [
            (column, code)
        ]
