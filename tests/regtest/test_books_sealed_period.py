"""A list is paid over the sealed end of a period: it is sent in one period, and what blocks say counts in the next.

Two people close and seal the period while the payout is on its way; the books of that period stay to the satoshi as they
were sealed, with the list in transit, and the open period settles it, or takes it back.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ledger import books, periods, selectors
from ledger.models import Entry
from ledger.reconciliation.service import reconcile
from payments.states import PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry, follow, use_node

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    return Ministry.open(deposits_sat=[1_000_000])


def seal_until_now() -> Any:
    """Two people close and seal everything that happened so far; return the period."""
    closer, sealer = (factories.make_user(who, periods.RIGHT) for who in ("dalia", "emil"))
    periods.open_next(by=closer, name="october", ends_at=timezone.now())
    periods.close(by=closer, name="october")
    digest = periods.figures(selectors.get_period("october")).digest
    periods.seal(by=sealer, name="october", digest=digest)
    return selectors.get_period("october")


def balances(ministry: Ministry, as_of: Any = None) -> dict[str, int]:
    """The program's accounts by their noun."""
    trial = books.trial_balance(ministry.program.scope, as_of)
    assert trial.is_balanced
    return {account.code.split(":")[1]: account.balance for account in trial.accounts}


@pytest.mark.parametrize("is_mined_before", [True, False])
def test_a_list_sent_in_a_sealed_period_settles_in_the_open_one(
    is_mined_before: bool, ministry: Ministry
) -> None:
    """Its block may be mined before the seal, and read after it, or be mined after it."""
    (payout,) = ministry.pay(ministry.release([50_000, 60_000]))
    fee_sat = payout.txs.get().fee_sat
    if is_mined_before:
        ministry.miner.mine(6)
    october = seal_until_now()
    last_moment = october.ends_at - timedelta(microseconds=1)
    sealed = {
        "HotWallet": 890_000 - fee_sat,
        "InTransit": 110_000,
        "BeneficiariesPayable": -110_000,
        "Appropriation": -1_000_000,
        "Transfers": 110_000,
        "NetworkFees": fee_sat,
    }
    assert balances(ministry, last_moment) == sealed
    if is_mined_before:
        follow(ministry.miner)
    else:
        ministry.mine(6)
    payout.refresh_from_db()
    assert payout.status == PayoutStatus.SETTLED
    settled = Entry.objects.get(kind="settlement")
    assert settled.effective_at >= october.ends_at
    assert settled.block_hash == payout.mined_block_hash
    assert balances(ministry) == sealed | {"InTransit": 0, "BeneficiariesPayable": 0}
    assert balances(ministry, last_moment) == sealed
    assert periods.is_as_sealed(october)
    (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
    assert run.status == "clean"


def test_a_list_settled_in_a_sealed_period_is_taken_back_in_the_open_one(ministry: Ministry) -> None:
    (payout,) = ministry.pay(ministry.release([50_000]))
    ministry.mine(6)
    settled = Entry.objects.get(kind="settlement")
    october = seal_until_now()
    assert settled.effective_at < october.ends_at
    ministry.miner.reorg(6, 1)
    follow(ministry.miner)
    assert Entry.objects.get(reversal_of=settled).effective_at >= october.ends_at
    assert balances(ministry)["InTransit"] == 50_000
    ministry.mine(6)
    payout.refresh_from_db()
    assert payout.status == PayoutStatus.SETTLED
    assert Entry.objects.get(kind="settlement", reversed_by=None).effective_at >= october.ends_at
    assert balances(ministry)["InTransit"] == 0
    assert periods.is_as_sealed(october)
    ministry.judge(exactly=True)
