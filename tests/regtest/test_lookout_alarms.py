"""Alarms about a node that is silent, payouts that it refused and books that differ: they end with their cause."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from ledger.reconciliation import service
from payments.models import Alarm, Heartbeat, NodeStatus, Payment, Payout
from payments.payout import dispatch, rounds
from payments.services import interventions
from payments.states import PayoutStatus
from tests import factories
from tests.faults.proxy import NodeProxy
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: Any) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000])


@pytest.fixture
def proxy(ministry: Ministry, settings: Any) -> Iterator[NodeProxy]:
    with NodeProxy(settings.GOVPAY_NODE_URL) as between:
        settings.GOVPAY_NODE_URL, settings.GOVPAY_NODE_TIMEOUT_S = between.url, 2
        yield between


def open_codes() -> list[str]:
    return list(Alarm.objects.filter(closed_at=None).order_by("code").values_list("code", flat=True))


class TestNode:
    @pytest.mark.parametrize("how", ["hang", "busy", "html", "unauthorized"])
    def test_that_gives_no_useful_answer_is_an_alarm_until_it_does(
        self, how: str, ministry: Ministry, proxy: NodeProxy
    ) -> None:
        dispatch.follow()
        proxy.fail("*", how, times=None)
        dispatch.follow()
        rounds.sweep()
        assert open_codes() == []
        an_hour_ago = timezone.now() - timedelta(hours=1)
        NodeStatus.objects.update(ok_at=an_hour_ago)
        Heartbeat.objects.filter(name="awake").update(beat_at=an_hour_ago)
        dispatch.follow()
        rounds.sweep()
        assert open_codes() == ["node_unreachable"]
        proxy.heal()
        dispatch.follow()
        rounds.sweep()
        assert open_codes() == []
        made = ministry.release([40_000])
        ministry.pay(made)
        ministry.mine(6)
        ministry.judge(exactly=True)


class TestFrozen:
    @pytest.fixture
    def payout(self, ministry: Ministry, proxy: NodeProxy) -> Payout:
        """The node refused its bytes for good, or so it said."""
        proxy.refuse("sendrawtransaction", -26, "bad-txns-nonsense", times=1)
        (payout,) = ministry.pay(ministry.release([40_000]))
        assert payout.status == PayoutStatus.FROZEN
        rounds.sweep()
        assert open_codes() == ["payout_frozen"]
        return payout

    def test_payout_that_two_people_thaw_has_no_alarm_any_more(
        self, ministry: Ministry, payout: Payout
    ) -> None:
        treasurer = factories.make_member(ministry.program, "treasurer")
        shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="thaw")
        asked = interventions.propose(
            by=treasurer, payout_id=payout.pk, kind="thaw", note="The node was wrong.", shown=shown
        )
        interventions.approve(by=ministry.approver, intervention_id=asked.pk)
        rounds.sweep()
        assert open_codes() == ["payout_frozen"]
        dispatch.intervene(intervention_id=asked.pk)
        rounds.sweep()
        assert open_codes() == []
        dispatch.advance(payout_id=payout.pk)
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_payout_that_a_block_holds_after_all_has_no_alarm_any_more(
        self, ministry: Ministry, payout: Payout
    ) -> None:
        node = ministry.miner.node
        version = payout.txs.get()
        assert version.raw is not None
        node.call("sendrawtransaction", bytes(version.raw).hex())
        ministry.mine(1)
        rounds.sweep()
        alarm = Alarm.objects.get()
        assert alarm.closed_at is not None
        assert alarm.close_note == "It is mined."
        ministry.mine(5)
        ministry.judge(exactly=True)


class TestReconciliation:
    def test_of_tampered_claims_is_an_alarm_until_a_run_is_clean(self, ministry: Ministry) -> None:
        ministry.pay(ministry.release([40_000, 50_000]))
        ministry.mine(1)

        def set_amount(amount_sat: int) -> None:
            with connection.cursor() as cursor:
                change = "UPDATE payments_payment SET amount_sat = %s WHERE vout = 0"
                cursor.execute(change, [amount_sat])

        def look() -> list[str]:
            # All of it: what somebody changed behind the payout's back is not among what an increment looks at.
            service.reconcile(scope=None, now=timezone.now(), is_full=True)
            rounds.sweep()
            return open_codes()

        true_sat = Payment.objects.get(vout=0).amount_sat
        assert look() == []
        set_amount(true_sat + 1)
        assert look() == ["reconciliation_break"]
        assert Alarm.objects.get().program == ministry.program
        set_amount(true_sat)
        assert look() == []
