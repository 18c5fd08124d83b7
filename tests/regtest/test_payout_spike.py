"""Fee spikes, floors that rise and estimates that lie, on a real node whose estimates a proxy answers."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F

from payments.models import Alarm, Disbursement, Payout, PayoutTx, PayoutTxKind, Program, Stop
from payments.payout import dispatch, feerate, rounds
from payments.payout import hasten as hastening
from payments.states import PayoutStatus
from tests.faults.proxy import NodeProxy
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

RULES = {"feerate_patient_sat_kvb": 10_000, "feerate_ceiling_sat_kvb": 40_000, "bump_after_blocks": 2}


@pytest.fixture
def proxy(settings: object) -> Iterator[NodeProxy]:
    use_node(settings)
    with NodeProxy(settings.GOVPAY_NODE_URL) as between:  # type: ignore[attr-defined]
        yield between


@pytest.fixture
def ministry(proxy: NodeProxy, settings: object) -> Ministry:
    made = Ministry.open(deposits_sat=[1_000_000, 1_000_000, 1_000_000], **RULES)
    settings.GOVPAY_NODE_URL = proxy.url  # type: ignore[attr-defined]
    return made


def estimate(proxy: NodeProxy, sat_vb: float | str) -> None:
    """Let the node expect this feerate."""
    btc = float(Decimal(str(sat_vb)) / 100_000)
    proxy.answer("estimatesmartfee", {"feerate": btc, "blocks": 6})


def make_urgent(disbursement: Disbursement) -> Disbursement:
    Disbursement.objects.filter(pk=disbursement.pk).update(is_urgent=True)
    disbursement.refresh_from_db()
    return disbursement


def blocks_without_it(ministry: Ministry, count: int) -> None:
    """Blocks in which a miner had no room for our txs."""
    for _ in range(count):
        ministry.miner.mine_only([])
    ministry.mine(0)


def hasten(ministry: Ministry) -> None:
    """Ring as the sweep does, and visit what came of it."""
    dispatch.hasten(wallet_id=ministry.program.wallet.pk)
    for pk in Payout.objects.exclude(status=PayoutStatus.SETTLED).order_by("pk").values_list("pk", flat=True):
        dispatch.advance(payout_id=pk)


class TestEstimate:
    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"errors": ["Insufficient data or no feerate found"]},
            {"feerate": 0},
            {"feerate": -0.5},
            {"feerate": None},
            {"feerate": "0.0001"},
            {"feerate": True},
            {"feerate": 0.2},
            {"feerate": 1e300},
            {"feerate": float("nan")},
            {"feerate": float("inf")},
            [],
            None,
            "high",
        ],
    )
    def test_that_is_none_pays_the_fallback(self, answer: Any, proxy: NodeProxy, ministry: Ministry) -> None:
        """F49, A40: never the ceiling, which is what whoever feeds us an absurd estimate would want."""
        proxy.answer("estimatesmartfee", answer)
        (payout,) = ministry.pay(ministry.release([50_000]))
        assert payout.status == PayoutStatus.SENT
        planned = payout.current.fee_sat * 1000 / payout.current.vsize_vb
        assert 2_000 <= planned < 2_030

    def test_that_the_node_refuses_to_give_pays_the_fallback(
        self, proxy: NodeProxy, ministry: Ministry
    ) -> None:
        proxy.refuse("estimatesmartfee", -32603, "Fee estimation disabled")
        (payout,) = ministry.pay(ministry.release([50_000]))
        assert 2_000 <= payout.current.feerate_sat_kvb < 2_030

    @pytest.mark.parametrize(
        ("sat_vb", "expected"), [("0.1", 1_000), ("7.25", 7_250), ("39", 40_000), ("90", 40_000)]
    )
    def test_is_kept_between_floor_and_ceiling(
        self, sat_vb: str, expected: int, proxy: NodeProxy, ministry: Ministry
    ) -> None:
        estimate(proxy, sat_vb)
        (payout,) = ministry.pay(make_urgent(ministry.release([50_000])))
        wanted = min(expected, 39_000) if sat_vb == "39" else expected
        assert wanted <= payout.current.feerate_sat_kvb < wanted * 1.02


class TestSpike:
    def test_lets_urgent_lists_pay_and_the_others_wait(self, proxy: NodeProxy, ministry: Ministry) -> None:
        estimate(proxy, 25)
        patient = ministry.release([50_000], period="2026-10")
        urgent = make_urgent(ministry.release([60_000], period="2026-11"))
        assert ministry.pay(patient) == []
        (paid,) = ministry.pay(urgent)
        assert (paid.status, paid.current.feerate_sat_kvb // 100) == (PayoutStatus.SENT, 250)
        patient.refresh_from_db()
        assert "Fees are high now: 25 sat/vB" in patient.problem
        assert patient.fees_wait_since is not None
        assert Alarm.objects.filter(code=feerate.ALARM).count() == 0
        estimate(proxy, 8)
        (later,) = ministry.pay(patient)
        patient.refresh_from_db()
        assert (patient.problem, patient.fees_wait_since) == ("", None)
        assert later.current.feerate_sat_kvb // 100 == 80
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_that_lasts_opens_one_alarm_and_closes_it(self, proxy: NodeProxy, ministry: Ministry) -> None:
        estimate(proxy, 25)
        patient = ministry.release([50_000])
        ministry.pay(patient)
        long_ago = timedelta(seconds=feerate.ALARM_AFTER_S + 1)
        Disbursement.objects.update(fees_wait_since=F("fees_wait_since") - long_ago)
        ministry.pay(patient)
        ministry.pay(patient)
        alarm = Alarm.objects.get(code=feerate.ALARM)
        assert (alarm.subject, alarm.subject_id, alarm.times, alarm.closed_at) == (
            "disbursement",
            patient.pk,
            2,
            None,
        )
        estimate(proxy, 3)
        ministry.pay(patient)
        alarm.refresh_from_db()
        assert alarm.close_note == "The list is paid again."
        assert alarm.closed_at is not None

    def test_above_the_ceiling_is_paid_up_to_the_ceiling_by_urgent_lists(
        self, proxy: NodeProxy, ministry: Ministry
    ) -> None:
        (stuck,) = ministry.pay(make_urgent(ministry.release([50_000])))
        blocks_without_it(ministry, 2)
        estimate(proxy, 400)
        hasten(ministry)
        stuck.refresh_from_db()
        assert stuck.current.kind == PayoutTxKind.BUMP
        assert stuck.current.feerate_sat_kvb // 100 == 400
        assert ministry.miner.node.call("getrawmempool") == [stuck.current.txid]

    def test_leaves_stuck_payouts_that_are_not_urgent_as_they_are(
        self, proxy: NodeProxy, ministry: Ministry
    ) -> None:
        (patient,) = ministry.pay(ministry.release([50_000]))
        blocks_without_it(ministry, 2)
        estimate(proxy, 30)
        hasten(ministry)
        patient.refresh_from_db()
        assert patient.current.kind == PayoutTxKind.ORIGINAL
        assert Alarm.objects.filter(code=feerate.ALARM).count() == 0
        blocks_without_it(ministry, 6)
        hasten(ministry)
        alarm = Alarm.objects.get(code=feerate.ALARM)
        assert (alarm.subject, alarm.subject_id) == ("payout", patient.pk)
        ministry.mine(1)
        alarm.refresh_from_db()
        assert alarm.close_note == "It is mined."


class TestSchedule:
    def test_bumps_once_in_so_many_blocks_and_no_more(self, proxy: NodeProxy, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([50_000]))
        estimate(proxy, 6)
        blocks_without_it(ministry, 1)
        hasten(ministry)
        assert PayoutTx.objects.count() == 1
        blocks_without_it(ministry, 1)
        hasten(ministry)
        payout.refresh_from_db()
        assert (payout.status, payout.txs.count()) == (PayoutStatus.SENT, 2)
        assert payout.current.feerate_sat_kvb // 100 == 60
        assert payout.sent_height == ministry.miner.node.call("getblockcount")
        estimate(proxy, 9)
        hasten(ministry)
        blocks_without_it(ministry, 1)
        hasten(ministry)
        assert payout.txs.count() == 2
        blocks_without_it(ministry, 1)
        hasten(ministry)
        assert payout.txs.count() == 3
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_leaves_alone_what_pays_enough(self, proxy: NodeProxy, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([50_000]))
        blocks_without_it(ministry, 3)
        estimate(proxy, 2)
        hasten(ministry)
        assert payout.txs.count() == 1

    def test_lets_nobody_wait_behind_what_pays_enough(
        self, proxy: NodeProxy, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hastening, "AT_ONCE", 1)
        estimate(proxy, 9)
        (enough,) = ministry.pay(ministry.release([50_000], period="2026-10"))
        estimate(proxy, 2)
        (low,) = ministry.pay(ministry.release([60_000], period="2026-11"))
        estimate(proxy, 6)
        blocks_without_it(ministry, 2)
        hasten(ministry)
        assert (enough.txs.count(), low.txs.count()) == (1, 2)

    def test_stops_at_a_cap_and_calls_a_person(self, proxy: NodeProxy, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([50_000]))
        Program.objects.update(fee_budget_daily_sat=payout.current.fee_sat + 100)
        estimate(proxy, 9)
        blocks_without_it(ministry, 8)
        hasten(ministry)
        assert payout.txs.count() == 1
        payout.refresh_from_db()
        alarm = Alarm.objects.get(code=feerate.ALARM)
        assert "budget" in alarm.message
        assert (alarm.subject_id, payout.status) == (payout.pk, PayoutStatus.SENT)


class TestFloor:
    def test_that_rises_bumps_what_the_node_does_not_take_any_more(
        self, proxy: NodeProxy, ministry: Ministry
    ) -> None:
        """F32: the node says so to the bytes, and its minimum says by how much."""
        proxy.refuse("sendrawtransaction", -26, "min relay fee not met, 282 < 705")
        info = ministry.miner.node.call("getmempoolinfo")
        (payout,) = ministry.pay(ministry.release([50_000]))
        assert (payout.status, "higher fee" in payout.problem) == (PayoutStatus.SIGNED, True)
        proxy.heal("sendrawtransaction")
        proxy.answer("getmempoolinfo", {**jsonable(info), "mempoolminfee": 0.00005})
        dispatch.bump(payout_id=payout.pk)
        dispatch.advance(payout_id=payout.pk)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SENT
        assert payout.current.kind == PayoutTxKind.BUMP
        assert payout.current.feerate_sat_kvb // 100 == 50
        # Ringing again changes nothing: once in so many blocks.
        dispatch.bump(payout_id=payout.pk)
        assert payout.txs.count() == 2
        ministry.mine(6)
        ministry.judge(exactly=True)

    def test_above_the_ceiling_stops_and_calls_nobody_yet(self, proxy: NodeProxy, ministry: Ministry) -> None:
        proxy.refuse("sendrawtransaction", -26, "mempool min fee not met, 282 < 7050")
        info = ministry.miner.node.call("getmempoolinfo")
        (payout,) = ministry.pay(ministry.release([50_000]))
        proxy.answer("getmempoolinfo", {**jsonable(info), "mempoolminfee": 0.0005})
        dispatch.bump(payout_id=payout.pk)
        payout.refresh_from_db()
        assert (payout.txs.count(), "ceiling" in payout.problem) == (1, True)


def jsonable(found: dict[str, Any]) -> dict[str, Any]:
    return {key: float(value) if isinstance(value, Decimal) else value for key, value in found.items()}


class TestStop:
    def test_keeps_fees_as_they_are_and_calls_nobody(self, proxy: NodeProxy, ministry: Ministry) -> None:
        (payout,) = ministry.pay(ministry.release([50_000]))
        estimate(proxy, 9)
        blocks_without_it(ministry, 9)
        stop = Stop.objects.create(thrown_by=ministry.officer, reason="A rehearsal.")
        hasten(ministry)
        assert (payout.txs.count(), Alarm.objects.filter(code=feerate.ALARM).count()) == (1, 0)
        assert [found.task for found in rounds.fees_stuck()] == []
        stop.delete()
        assert [(found.task, found.ids) for found in rounds.fees_stuck()] == [
            ("hasten", {"wallet_id": ministry.program.wallet.pk})
        ]
        hasten(ministry)
        assert payout.txs.count() == 2
