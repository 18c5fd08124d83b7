"""Lists paid from watch-only wallets on a real node, signed by a second bitcoind that has no network and no chain."""

from collections.abc import Iterator

import pytest
from django.utils import timezone

from ledger.reconciliation.service import reconcile
from payments.models import Payout, PayoutTx
from payments.onchain import descriptor as descriptors
from payments.onchain import tx
from payments.states import PayoutStatus
from tests.regtest.ministry import use_node
from tests.regtest.offline import OfflineNode, OfflineWallet, offline_node
from tests.regtest.treasury import Treasury

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def offline() -> Iterator[OfflineNode]:
    with offline_node() as found:
        yield found


@pytest.fixture(autouse=True)
def _node(settings: object) -> None:
    use_node(settings)


def keep(offline: OfflineNode, treasury: Treasury) -> list[OfflineWallet]:
    """Give each signer a wallet on the offline node."""
    descriptor = descriptors.parse(treasury.ministry.program.wallet.descriptor)
    return [offline.keep(person, descriptor) for person in treasury.people]


class TestPaying:
    @pytest.mark.parametrize(("needed", "of"), [(1, 1), (2, 3)])
    def test_a_list_that_signers_elsewhere_sign(self, offline: OfflineNode, needed: int, of: int) -> None:
        treasury = Treasury.open(needed, of)
        keys = keep(offline, treasury)
        ministry = treasury.ministry
        payout, request = treasury.seal([500_000, 600_000, 50_000])
        assert (payout.status, payout.current.raw) == (PayoutStatus.COMMITTED, None)
        planned_vb = payout.current.vsize_vb
        assert request.needed == needed
        for number, key in enumerate(keys[-needed:], start=1):
            found = treasury.upload(request, key.sign(request.psbt))
            assert (len(found.added), found.repeated) == (1, ())
            payout = Payout.objects.select_related("current").get(pk=payout.pk)
            assert payout.status == (PayoutStatus.SENT if number == needed else PayoutStatus.COMMITTED)
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        version = PayoutTx.objects.get()
        # Ground for a low R, each signature is a byte shorter than it was counted with, sometimes two.
        spared = 4 * (planned_vb - version.vsize_vb)
        assert -3 <= spared - len(tx.inputs_of(bytes(version.unsigned_tx))) * needed <= 3 + needed * 2
        (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
        assert (run.status, run.reason) == ("clean", "")
        ministry.judge(exactly=True)
