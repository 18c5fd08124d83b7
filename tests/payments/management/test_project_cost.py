"""``manage.py project_cost``: what is printed, and what is refused."""

from datetime import date
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from payments.models import Program
from payments.services import projections
from tests import factories

pytestmark = pytest.mark.django_db


def printed(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("project_cost", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_prints_the_chain_the_fees_and_the_baselines(program: Program) -> None:
    treasurer = factories.make_member(program, "treasurer")
    for name, currency in (("M-Pesa", ""), ("Cash", "USD")):
        projections.enter_baseline(
            by=treasurer,
            program_id=program.pk,
            name=name,
            currency=currency,
            numerator=16,
            denominator=1_000,
            source="GiveDirectly",
            measured_date=date(2014, 1, 1),
        )
    value = ("--amount-minor", "1450000", "--currency", "PKR", "--price-minor", "2810000000")
    assert printed("--program", "PENSIONS", "--p2wpkh", "10200000", *value) == [
        "10,200,000 people in 20,400 payouts: 318,484,800 vB",
        "319 blocks with all of each, 53.2 hours (2.2 days)",
        "  1 sat/vB: 318,484,800 sat, 31.224 sat a payment (877.394 PKR minor units), 0.061 % of the value",
        "  5 sat/vB: 1,592,424,000 sat, 156.120 sat a payment (4,386.972 PKR minor units), 0.303 % of the value",
        " 20 sat/vB: 6,369,696,000 sat, 624.480 sat a payment (17,547.888 PKR minor units), 1.210 % of the value",
        " 50 sat/vB: 15,924,240,000 sat, 1,561.200 sat a payment (43,869.720 PKR minor units), 3.026 % of the value",
        "Cash (GiveDirectly, 2014-01-01): It is in USD, and no price in USD was given.",
        "M-Pesa (GiveDirectly, 2014-01-01): 825.616 sat a payment, 26.44 times ours at 1 sat/vB, "
        "5.29 times ours at 5 sat/vB, 1.32 times ours at 20 sat/vB, 0.53 times ours at 50 sat/vB",
    ]


def test_needs_no_program() -> None:
    assert printed("--p2tr", "1", "--block-share", "50")[:3] == [
        "1 person in 1 payout: 153 vB",
        "1 block with 50 % of each, 0.2 hours (0.0 days)",
        "  1 sat/vB: 153 sat, 153.000 sat a payment",
    ]


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ((), "outputs: people_out_of_range: Say how many are paid"),
        (("--p2tr", "-1"), "p2tr: out_of_range: Give 0 to 10,000,000,000"),
        (("--p2tr", "-1", "--p2wpkh", "2"), "p2tr: out_of_range"),
        (("--p2tr", "1", "--program", "NOBODY"), "There is no program NOBODY"),
        (("--p2tr", "1", "--group", "0"), "group_max_payments: out_of_range: Give 1 to 3,000"),
        (("--p2tr", "1", "--block-share", "101"), "block_share_percent: out_of_range: Give 1 to 100"),
        (("--p2tr", "1", "--currency", "PKR"), "price_minor: price_missing: Give the price of a bitcoin"),
        (("--p2tr", "1", "--currency", "pkr", "--price-minor", "9"), "currency: currency_malformed"),
        (("--p2tr", "1", "--currency", "PKR", "--price-minor", "0"), "price_minor: out_of_range"),
        (("--p2tr", "1", "--amount-sat", "2100000000000001"), "amount_sat: out_of_range"),
        (
            ("--p2tr", "1", "--amount-minor", "21000001", "--currency", "PKR", "--price-minor", "1"),
            "amount_minor: amount_too_large",
        ),
    ],
)
def test_refuses_what_is_no_question(arguments: tuple[str, ...], refusal: str) -> None:
    with pytest.raises(CommandError, match=refusal):
        printed(*arguments)


def test_says_that_a_program_has_nobody(program: Program) -> None:
    with pytest.raises(CommandError, match="Nobody is enrolled in PENSIONS"):
        printed("--program", "PENSIONS")
