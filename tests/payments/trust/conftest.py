"""A trust, a price that two people gave, and lists whose people elect currency."""

from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from payments.models import Disbursement, Enrollment, Payment, PriceReading, PriceStatus, Program, Trust
from payments.services import elections
from tests import claiming, factories


class Three(NamedTuple):
    """Make, approve, release."""

    officer: User
    approver: User
    releaser: User


@pytest.fixture
def three(officer: User, approver: User, releaser: User) -> Three:
    """Make, approve, release."""
    return Three(officer, approver, releaser)


def give_price(price: str, currency: str = "PKR") -> None:
    """Let three sources say that a bitcoin costs so much now."""
    rule = factories.make_price_rule(
        currency, floor=Decimal(1_000_000), ceiling=Decimal(100_000_000), jump_bps=5_000
    )
    for kind in ("kraken", "coinbase", "bitstamp"):
        source = factories.make_price_source(currency, kind, f"https://{kind}.example", fresh_s=3_600)
        PriceReading.objects.create(
            source=source, value=Decimal(price), value_at=timezone.now(), asked_at=timezone.now()
        )
    PriceStatus.objects.filter(rule=rule).update(accepted_price=Decimal(price), accepted_at=timezone.now())


def elect_all(draft: Disbursement, trust: Trust, officer: User, *, but: tuple[int, ...] = ()) -> None:
    """Let everybody on a list elect rupees, but for the people of some lines."""
    for payment in Payment.objects.filter(disbursement=draft).exclude(line__in=but):
        person = Enrollment.objects.get(program=draft.program_id, beneficiary=payment.beneficiary_id)
        elections.elect(
            by=officer,
            enrollment_id=person.pk,
            choice="currency",
            trust_id=trust.pk,
            currency="PKR",
            note="By letter.",
        )


def make_list(
    program: Program,
    three: Three,
    trust: Trust,
    amounts_sat: list[int],
    *,
    but: tuple[int, ...] = (),
    **columns: Any,
) -> Disbursement:
    """A draft whose people elected rupees, in a program whose wallet carries it."""
    factories.fund(program, 2 * sum(amounts_sat) + 1_000_000)
    draft = factories.make_disbursement(program, three.officer, amounts_sat=amounts_sat, **columns)
    elect_all(draft, trust, three.officer, but=but)
    return draft


def release(draft: Disbursement, three: Three) -> Disbursement:
    """Fix, approve and release it."""
    return claiming.release(draft, *three)
