"""Baselines: who may enter one, and what makes it a figure."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from govpay.errors import InvalidInput, NotFound
from payments.models import OutcomeBaseline, OutcomeFigure, Program
from payments.services import outcomes
from payments.services.authority import RoleMissing
from tests import factories

pytestmark = pytest.mark.django_db

COST: dict[str, Any] = {"figure": "cost_share", "numerator": 16, "denominator": 1_000, "source": "A report"}
TIME: dict[str, Any] = {
    "figure": "approved_to_settled_p50",
    "numerator": 80,
    "denominator": 100,
    "seconds": 86_400,
    "source": "A report",
}


@pytest.fixture
def treasurer(program: Program) -> User:
    """Somebody who may enter figures."""
    return factories.make_member(program, "treasurer")


class TestEnterBaseline:
    @pytest.mark.parametrize("given", [COST, TIME])
    def test_keeps_the_figure_and_its_source(
        self, program: Program, treasurer: User, given: dict[str, Any]
    ) -> None:
        made = outcomes.enter_baseline(by=treasurer, program_id=program.pk, **given)
        assert {name: getattr(made, name) for name in given} == given
        assert made.entered_by == treasurer

    def test_needs_the_treasurer(self, program: Program, officer: User) -> None:
        with pytest.raises(RoleMissing):
            outcomes.enter_baseline(by=officer, program_id=program.pk, **COST)

    def test_hides_other_programs(self, treasurer: User) -> None:
        with pytest.raises(NotFound):
            outcomes.enter_baseline(by=treasurer, program_id=factories.make_program("OTHER").pk, **COST)

    @pytest.mark.parametrize(
        ("given", "column", "code"),
        [
            (COST | {"denominator": 0}, "denominator", "denominator_missing"),
            (COST | {"source": "  "}, "source", "invalid"),
            (COST | {"source": "x" * 301}, "source", "invalid"),
            (COST | {"figure": "happiness"}, "figure", "invalid"),
            (COST | {"numerator": -1}, "numerator", "invalid"),
            (COST | {"seconds": 5}, "seconds", "seconds_out_of_place"),
            (TIME | {"seconds": None}, "seconds", "seconds_missing"),
            (TIME | {"numerator": 101}, "numerator", "numerator_above_denominator"),
        ],
    )
    def test_refuses_what_is_no_figure_and_names_field_and_rule(
        self, program: Program, treasurer: User, given: dict[str, Any], column: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            outcomes.enter_baseline(by=treasurer, program_id=program.pk, **given)
        assert [(error["column"], error["code"]) for error in refused.value.details["errors"]] == [
            (column, code)
        ]
        assert not OutcomeBaseline.objects.exists()


class TestDatabase:
    @pytest.mark.parametrize(
        "columns",
        [
            {"denominator": 0},
            {"source": ""},
            {"seconds": 1},
            {"figure": OutcomeFigure.APPROVED_TO_SETTLED_P95},
        ],
    )
    def test_refuses_what_is_no_figure(
        self, program: Program, treasurer: User, columns: dict[str, Any]
    ) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            OutcomeBaseline.objects.create(program=program, entered_by=treasurer, **COST | columns)
