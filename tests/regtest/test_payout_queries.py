"""What a payout costs in statements does not grow with the people in it, from its seal to its void."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Payout
from payments.onchain import node
from payments.payout import bump, dispatch
from payments.services import interventions
from payments.states import PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry, follow, use_node

pytestmark = pytest.mark.django_db(transaction=True)

FEW, MANY = 5, 500
# Some looks (at the node's chain, at its memory pool) are made by the clock, now in one step and now in another.
BY_THE_CLOCK = 10


class Steps(dict[str, int]):
    """How many statements each step of a payout sent to the database."""

    def take(self, name: str, act: Callable[[], object]) -> None:
        with CaptureQueriesContext(connection) as queries:
            act()
        self[name] = len(queries)


def live(people: int) -> Steps:
    """Pay, bump, settle and unsettle one payout of so many people, and void another."""
    steps = Steps()
    ministry = Ministry.open(deposits_sat=[9_000_000, 8_000_000], code=f"PEOPLE-{people}")
    released = ministry.release([10_000] * people)
    steps.take("seal", lambda: dispatch.seal(disbursement_id=released.pk))
    paid = Payout.objects.get(disbursement=released)
    assert paid.payment_count == people
    steps.take("commit, sign, book and send", lambda: dispatch.advance(payout_id=paid.pk))
    client = node.connect()
    steps.take("bump", lambda: bump.build(paid.pk, 5_000, client))
    client.close()
    steps.take("send the bump", lambda: dispatch.advance(payout_id=paid.pk))
    ministry.miner.mine(6)
    steps.take("settle", lambda: follow(ministry.miner))
    require(paid, PayoutStatus.SETTLED)
    ministry.miner.reorg(6, 1)
    steps.take("unsettle", lambda: follow(ministry.miner))
    require(paid, PayoutStatus.MINED)
    ministry.mine(5)
    (given_up,) = ministry.pay(ministry.release([10_000] * people, period="2026-12"))
    agreed = agree(ministry, given_up)
    steps.take("void", lambda: dispatch.intervene(intervention_id=agreed))
    steps.take("send the void", lambda: dispatch.advance(payout_id=given_up.pk))
    ministry.miner.mine(1)
    steps.take("book the void", lambda: follow(ministry.miner))
    ministry.mine(98)
    require(given_up, PayoutStatus.VOIDING)
    ministry.miner.mine(1)
    steps.take("release its people", lambda: follow(ministry.miner))
    require(given_up, PayoutStatus.VOIDED)
    return steps


def agree(ministry: Ministry, payout: Payout) -> int:
    """Two people give the payout up; the engine has not heard of it yet."""
    treasurer = factories.make_member(ministry.program, "treasurer")
    shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="void")
    asked = interventions.propose(
        by=treasurer, payout_id=payout.pk, kind="void", note="The list was wrong.", shown=shown
    )
    return interventions.approve(by=ministry.approver, intervention_id=asked.pk, note="I looked.").pk


def require(payout: Payout, status: PayoutStatus) -> None:
    assert Payout.objects.values_list("status", flat=True).get(pk=payout.pk) == status


class TestStatements:
    def test_of_five_hundred_people_are_those_of_five(self, settings: object) -> None:
        use_node(settings)
        few, many = live(FEW), live(MANY)
        assert {name: (few[name], many[name]) for name in few if many[name] > few[name] + BY_THE_CLOCK} == {}
