"""A trust on a real node: people elect rupees, their bitcoin settles on its addresses, and the statement ties to a block.

The list, the payout, the blocks and the scan are the product's own; prices are what three sources said.
"""

from typing import Any

import pytest
from django.contrib.auth.models import User

from ledger.models import Entry
from payments.models import Enrollment, Holding, Payment, Trust, TrustLeg, TrustPurse
from payments.onchain import address, network
from payments.payout import rounds
from payments.reserve import scanning
from payments.services import elections
from payments.states import PayoutStatus
from payments.trust import following
from tests import factories
from tests.ledger.reports.asking import columns
from tests.payments.trust.conftest import give_price
from tests.regtest.ministry import Ministry, use_node
from tests.regtest.reserve import addresses_of, branch

pytestmark = pytest.mark.django_db(transaction=True)

GOLDEN_SAT, GOLDEN_MINOR = 51_601, 1_449_988


@pytest.fixture
def ministry(settings: Any) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000], code="TRUSTED")


@pytest.fixture
def trust(ministry: Ministry) -> Trust:
    """A trust whose bitcoin goes to four addresses of a watch-only descriptor of its own."""
    give_price("28100000")
    found = ministry.miner.node.call("deriveaddresses", branch(), [0, 3])
    scripts = [address.script_from_address(text, network.current()) for text in found]
    return factories.make_trust(cash_minor=10 * GOLDEN_MINOR, addresses=scripts)


def differences(trust: Trust) -> dict[str, tuple[int, str]]:
    rows = columns("trust", "part", "item", "amount", "note", scope=trust.scope)
    return {item: (amount, note) for part, item, amount, note in rows if part == "difference"}


def elect(ministry: Ministry, trust: Trust, by: User, lines: tuple[int, ...]) -> Any:
    draft = factories.make_disbursement(ministry.program, by, amounts_sat=[GOLDEN_SAT] * 4)
    for payment in Payment.objects.filter(disbursement=draft, line__in=lines):
        person = Enrollment.objects.get(program=ministry.program, beneficiary=payment.beneficiary_id)
        elections.elect(
            by=by,
            enrollment_id=person.pk,
            choice="currency",
            trust_id=trust.pk,
            currency="PKR",
            note="By letter.",
        )
    return draft


class TestTrust:
    def test_gets_the_bitcoin_at_its_addresses_and_owes_the_rupees(
        self, ministry: Ministry, trust: Trust
    ) -> None:
        disbursement = ministry.go_on(elect(ministry, trust, ministry.officer, (1, 2, 3)))
        (payout,) = ministry.pay(disbursement)
        ministry.mine(1)
        assert following.follow(trust.pk) == 0
        ministry.mine(ministry.program.confirmations_settled - 1)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        assert [ring.ids for ring in rounds.trusts_to_follow()] == [{"trust_id": trust.pk}]
        assert following.follow(trust.pk) == 3
        assert TrustLeg.objects.filter(status="owed").count() == 3
        assert TrustPurse.objects.get(trust=trust).owed_minor == 3 * GOLDEN_MINOR
        scanning.look()
        assert differences(trust) == {"books less lots": (0, "none"), "books less addresses": (0, "none")}
        paid = columns("trust", "item", "amount", scope=trust.scope)
        holding = addresses_of(Holding.objects.get(scope=trust.scope))
        assert [dict(paid)[text] for text in holding] == [GOLDEN_SAT, GOLDEN_SAT, GOLDEN_SAT, 0]
        ministry.judge(exactly=True)

    def test_keeps_its_debt_when_a_deep_reorganization_takes_the_block_away(
        self, ministry: Ministry, trust: Trust
    ) -> None:
        disbursement = ministry.go_on(elect(ministry, trust, ministry.officer, (1,)))
        ministry.pay(disbursement)
        ministry.mine(ministry.program.confirmations_settled)
        following.follow(trust.pk)
        before = Entry.objects.filter(scope=trust.scope).count()
        node, deep = ministry.miner.node, ministry.program.confirmations_settled
        node.call("invalidateblock", node.call("getblockhash", node.call("getblockcount") - deep + 1))
        for blocks, status in ((1, PayoutStatus.MINED), (deep, PayoutStatus.SETTLED)):
            ministry.mine(blocks)
            assert ministry.payouts(disbursement).get().status == status
            assert following.follow(trust.pk) == 0
            assert TrustLeg.objects.get().status == "owed"
        assert Entry.objects.filter(scope=trust.scope).count() == before
