"""The feerate to pay: estimates inside a policy, patience, and what a person may ask for."""

from typing import Any

import pytest
from django.db import connection

from govpay.errors import InvalidInput
from payments.models import Alarm, Disbursement, Payout, PayoutKind, PayoutTx, Program
from payments.onchain import fee, node
from payments.payout import caps, feerate, seal
from payments.services import disbursements
from tests import factories
from tests.payments.onchain import fake_node
from tests.payments.onchain.fake_node import FakeNode

pytestmark = pytest.mark.django_db

POOL = {"mempoolminfee": 0.00001, "minrelaytxfee": 0.00001}


def choose(program: Program, estimate: Any, *, is_urgent: bool = False, minimum: float = 0.00001) -> int:
    """Choose with a node on loopback that gives this estimate, BTC per kvB, and this minimum."""
    answers = (
        fake_node.result({} if estimate is None else {"feerate": estimate}),
        fake_node.result(POOL | {"mempoolminfee": minimum}),
    )
    with FakeNode(*answers) as served:
        client = node.Node(served.url)
        try:
            return feerate.choose(program, client, is_urgent=is_urgent)
        finally:
            client.close()


@pytest.fixture
def patient() -> Program:
    """A program whose lists pay up to 10 sat/vB, and up to 50 when they are urgent."""
    return factories.make_program("PATIENT", feerate_patient_sat_kvb=10_000)


class TestChoose:
    @pytest.mark.parametrize(
        ("estimate", "expected"),
        [(0.00003, 3_000), (0.00000001, 1_000), (0.001, 50_000), (None, 2_000), (0, 2_000), (-1, 2_000)],
    )
    def test_keeps_the_estimate_in_the_bounds_and_falls_back(
        self, program: Program, estimate: Any, expected: int
    ) -> None:
        assert choose(program, estimate) == expected

    def test_takes_an_estimate_above_the_sane_bound_for_none(self, program: Program) -> None:
        assert choose(program, 0.1) == 50_000
        assert choose(program, 0.10000001) == 2_000

    def test_pays_the_nodes_minimum_at_least(self, program: Program) -> None:
        assert choose(program, 0.00003, minimum=0.00004) == 4_000

    def test_waits_where_the_nodes_minimum_is_above_the_ceiling(self, program: Program) -> None:
        with pytest.raises(fee.FeerateOutOfBounds):
            choose(program, 0.00003, minimum=0.0006)

    @pytest.mark.parametrize("estimate", [0.0001, 0.00005])
    def test_is_the_same_for_all_up_to_the_programs_patience(self, patient: Program, estimate: float) -> None:
        assert choose(patient, estimate) == choose(patient, estimate, is_urgent=True)

    def test_above_the_patience_lets_only_urgent_lists_pay(self, patient: Program) -> None:
        assert choose(patient, 0.0001001, is_urgent=True) == 10_010
        with pytest.raises(feerate.FeeSpike) as caught:
            choose(patient, 0.0001001)
        assert caught.value.is_transient
        assert caught.value.details == {"feerate_sat_kvb": 10_010, "patient_sat_kvb": 10_000}

    def test_takes_no_guess_for_a_spike(self) -> None:
        program = factories.make_program(
            "GUESS", feerate_patient_sat_kvb=1_500, feerate_fallback_sat_kvb=2_000
        )
        assert choose(program, None) == 1_500
        assert choose(program, None, is_urgent=True) == 2_000

    def test_waits_for_a_minimum_above_the_patience(self, patient: Program) -> None:
        with pytest.raises(feerate.FeeSpike):
            choose(patient, None, minimum=0.0002)


class TestParse:
    @pytest.mark.parametrize(
        ("given", "expected"), [("1", 1_000), ("12.5", 12_500), ("0.001", 1), ("1000000.999", 1_000_000_999)]
    )
    def test_takes_at_most_three_digits_after_the_point(self, given: str, expected: int) -> None:
        assert feerate.parse_sat_vb(given) == expected

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "0",
            "0.000",
            "-1",
            "1.2345",
            "1.",
            ".5",
            "01",
            "1e3",
            "NaN",
            "Infinity",
            "1,5",
            " 1",
            "1 ",
            "1_0",
            "٣",
            "\uff11",
            "1\n",
        ],
    )
    def test_refuses_everything_else(self, given: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            feerate.parse_sat_vb(given)
        assert caught.value.details["errors"][0]["code"] == "feerate_invalid"


class TestBounds:
    @pytest.mark.parametrize(
        ("asked", "is_right"), [(999, False), (1_000, True), (50_000, True), (50_001, False)]
    )
    def test_are_the_programs_floor_and_ceiling(self, program: Program, asked: int, is_right: bool) -> None:
        if is_right:
            feerate.require_bounds(program, asked)
            return
        with pytest.raises(feerate.FeerateRefused) as caught:
            feerate.require_bounds(program, asked)
        assert (caught.value.details["floor_sat_kvb"], caught.value.details["ceiling_sat_kvb"]) == (
            1_000,
            50_000,
        )


class TestCaps:
    @pytest.fixture
    def disbursement(self, program: Program) -> Disbursement:
        made = factories.make_disbursement(program, factories.make_member(program, "officer"))
        made.fee_reserved_sat = 5_000
        made.save()
        return made

    def sealed(self, of: Disbursement, fee_sat: int, *, days_ago: int = 0, **columns: Any) -> Payout:
        payout = Payout.objects.create(
            **{
                "disbursement": of,
                "wallet": of.program.wallet,
                "payment_count": 1,
                "payments_sat": 1,
                "manifest_hash": bytes(32),
                "anchor_txid": "aa" * 32,
                "anchor_vout": 0,
            }
            | columns
        )
        payout.current = PayoutTx.objects.create(
            payout=payout,
            txid=f"{payout.pk:064x}",
            unsigned_tx=b"",
            fee_sat=fee_sat,
            fee_added_sat=fee_sat,
            change_sat=0,
            vsize_vb=100,
            feerate_sat_kvb=1_000,
        )
        payout.save()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE payments_payouttx SET built_at = built_at - make_interval(days => %s) WHERE id = %s",
                [days_ago, payout.current.pk],
            )
        return payout

    def test_by_share_refuse_one_satoshi_more(self, disbursement: Disbursement) -> None:
        program = disbursement.program
        caps.require(program, disbursement, payments_sat=5_000, fee_sat=1_000, added_sat=0)
        with pytest.raises(caps.FeeOverShare) as caught:
            caps.require(program, disbursement, payments_sat=5_000, fee_sat=1_001, added_sat=0)
        assert caught.value.details["most_sat"] == 1_000

    def test_by_day_count_what_was_built_today_and_not_given_up(self, disbursement: Disbursement) -> None:
        program = disbursement.program
        program.fee_budget_daily_sat = 1_000
        self.sealed(disbursement, 400)
        self.sealed(disbursement, 300, status="unsealed")
        self.sealed(disbursement, 200, days_ago=1)
        other = factories.make_program("OTHER")
        self.sealed(
            disbursement, 100, wallet=other.wallet, kind=PayoutKind.CHILD, disbursement=None, payment_count=0
        )
        assert caps.spent_today_sat(program) == 400
        caps.require(program, None, payments_sat=10**6, fee_sat=600, added_sat=600)
        with pytest.raises(caps.FeeOverBudget) as caught:
            caps.require(program, None, payments_sat=10**6, fee_sat=601, added_sat=601)
        assert caught.value.details == {"added_sat": 601, "spent_sat": 400, "budget_sat": 1_000}

    def test_by_reserve_count_payouts_and_their_children(self, disbursement: Disbursement) -> None:
        parent = self.sealed(disbursement, 2_000, days_ago=3)
        child = {"kind": PayoutKind.CHILD, "disbursement": None, "payment_count": 0, "parent": parent}
        self.sealed(disbursement, 1_500, **child)
        self.sealed(disbursement, 700, **child, status="voided")
        caps.require(disbursement.program, disbursement, payments_sat=10**6, fee_sat=0, added_sat=1_500)
        with pytest.raises(caps.FeeOverReserve) as caught:
            caps.require(disbursement.program, disbursement, payments_sat=10**6, fee_sat=0, added_sat=1_501)
        assert caught.value.details == {"fee_sat": 1_501, "spent_sat": 3_500, "reserved_sat": 5_000}


class TestSealing:
    @pytest.mark.parametrize(
        ("rule", "refusal"),
        [
            ({"fee_share_ceiling_bps": 1}, caps.FeeOverShare),
            ({"fee_budget_daily_sat": 100}, caps.FeeOverBudget),
        ],
    )
    def test_obeys_the_caps_and_seals_nothing(
        self, rule: dict[str, int], refusal: type[Exception], program: Program
    ) -> None:
        factories.fund(program)
        officer = factories.make_member(program, "officer")
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        said = {"disbursement_id": made.pk, "manifest_hash": bytes(made.manifest_hash or b"")}
        disbursements.approve(by=factories.make_member(program, "approver"), **said)
        disbursements.release(by=factories.make_member(program, "releaser"), **said)
        Program.objects.update(**rule)
        made = Disbursement.objects.select_related("program").get()
        with pytest.raises(refusal):
            seal.seal_next(made, feerate_sat_kvb=2_000)
        assert Payout.objects.count() == 0
        assert Alarm.objects.count() == 0
