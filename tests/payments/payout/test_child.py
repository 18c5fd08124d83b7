"""What a child pays: its parent and itself, together, at the feerate that was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.models import Payout, PayoutKind, PayoutTx, Program
from payments.onchain import fee, node, tx
from payments.payout import bump, child, rbf
from payments.states import PayoutStatus
from tests import factories
from tests.payments.onchain import fake_node
from tests.payments.onchain.fake_node import FakeNode

SPARE = bytes(22)


def lift(parent: PayoutTx, coin_sat: int, feerate_sat_kvb: int) -> rbf.Replacement | None:
    """A child of one change output."""
    old = rbf.Old(inputs=(tx.OutPoint("aa" * 32, 1),), inputs_sat=coin_sat, payments=(), change=())
    return rbf.balance(
        old,
        (),
        (tx.Output(0, SPARE),),
        bump.asked(parent, feerate_sat_kvb),
        lambda weight: fee.fee_sat(weight=weight, feerate_sat_kvb=1_000),
        fee.P2WPKH_INPUT_WEIGHT,
    )


class TestPrice:
    def test_is_what_the_parent_lacks_and_the_childs_own(self) -> None:
        found = lift(PayoutTx(fee_sat=2_000, vsize_vb=1_000), 100_000, 10_000)
        assert found is not None
        assert (found.vsize_vb, found.fee_sat) == (110, 1_110 * 10 - 2_000)
        assert found.change == (tx.Output(100_000 - 9_100, SPARE),)

    def test_is_never_below_what_nodes_relay(self) -> None:
        found = lift(PayoutTx(fee_sat=10_900, vsize_vb=1_000), 100_000, 10_000)
        assert found is not None
        assert (found.asked_sat, found.least_sat, found.fee_sat) == (200, 110, 200)
        found = lift(PayoutTx(fee_sat=11_050, vsize_vb=1_000), 100_000, 10_000)
        assert found is not None
        assert (found.asked_sat, found.fee_sat) == (50, 110)

    def test_that_leaves_nothing_worth_an_output_is_refused(self) -> None:
        parent = PayoutTx(fee_sat=2_000, vsize_vb=1_000)
        assert lift(parent, 10_099, 10_000) is None
        found = lift(parent, 10_100, 10_000)
        assert found is not None
        assert found.change[0].amount_sat == 1_000

    @given(
        fee_sat=st.integers(100, 50_000),
        vsize_vb=st.integers(110, 25_000),
        feerate_sat_kvb=st.integers(1_000, 100_000),
    )
    def test_lifts_both_to_the_feerate_and_no_satoshi_higher(
        self, fee_sat: int, vsize_vb: int, feerate_sat_kvb: int
    ) -> None:
        found = lift(PayoutTx(fee_sat=fee_sat, vsize_vb=vsize_vb), 10**9, feerate_sat_kvb)
        assert found is not None
        both_vb = vsize_vb + found.vsize_vb
        assert (fee_sat + found.fee_sat) * 1000 >= feerate_sat_kvb * both_vb
        if found.fee_sat > found.least_sat:
            assert (fee_sat + found.fee_sat - 1) * 1000 < feerate_sat_kvb * both_vb


@pytest.mark.django_db
class TestBuild:
    @pytest.mark.parametrize("spender", [None, "bb" * 32])
    def test_finds_nothing_to_spend_where_the_node_has_no_version_of_the_payout(
        self, spender: str | None, program: Program
    ) -> None:
        made = factories.make_disbursement(program, factories.make_member(program, "officer"))
        payout = Payout.objects.create(
            kind=PayoutKind.PAYMENTS,
            disbursement=made,
            wallet=program.wallet,
            status=PayoutStatus.SENT,
            payment_count=3,
            payments_sat=180_000,
            manifest_hash=bytes(32),
            anchor_txid="aa" * 32,
            anchor_vout=0,
        )
        entry = {"txid": "aa" * 32, "vout": 0} | ({} if spender is None else {"spendingtxid": spender})
        with FakeNode(fake_node.result([entry]), fake_node.result([entry])) as served:
            client = node.Node(served.url)
            for call in (child.preview, child.build):
                with pytest.raises(child.NoChangeToSpend):
                    call(payout.pk, 10_000, client)
            client.close()
        payout.refresh_from_db()
        assert (Payout.objects.count(), payout.lease_until) == (1, None)
