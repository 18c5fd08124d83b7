"""Lists paid from watch-only wallets on a real node, signed by a second bitcoind that has no network and no chain."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ledger.reconciliation.service import reconcile
from payments.models import Payout, PayoutTx, SigningRequest
from payments.onchain import descriptor as descriptors
from payments.payout import dispatch
from payments.services import signing
from payments.states import PayoutStatus
from tests import factories, signers
from tests.regtest.ministry import Ministry, use_node
from tests.regtest.offline import OfflineNode, OfflineWallet, offline_node

pytestmark = pytest.mark.django_db(transaction=True)

_serial = itertools.count(1)


@pytest.fixture(scope="module")
def offline() -> Iterator[OfflineNode]:
    with offline_node() as found:
        yield found


@pytest.fixture(autouse=True)
def _node(settings: object) -> None:
    use_node(settings)


@dataclass
class Treasury:
    """A ministry whose wallet only watches, the wallets of its signers on their own node, and who carries files."""

    ministry: Ministry
    keys: list[OfflineWallet]
    people: list[signers.SoftSigner]
    carrier: User

    @classmethod
    def open(cls, offline: OfflineNode, needed: int, of: int, **rules: Any) -> "Treasury":
        """Open a ministry of new keys: the scripts of another test's would hold that test's coins."""
        serial = next(_serial)
        people = [signers.SoftSigner(f"{serial}-{number}") for number in range(of)]
        text = signers.single(people[0]) if of == 1 else signers.multi(needed, people)
        ministry = Ministry.open(
            deposits_sat=[1_000_000, 900_000], code=f"WATCH-{serial}", descriptor=text, **rules
        )
        descriptor = descriptors.parse(text)
        keys = [offline.keep(person, descriptor) for person in people]
        return cls(ministry, keys, people, factories.make_member(ministry.program, "signer"))

    def upload(self, request: SigningRequest, data: str) -> signing.Upload:
        """Bring back what a signer returned, and ring."""
        found = signing.upload(by=self.carrier, request_id=request.pk, data=data.encode())
        dispatch.advance(payout_id=request.version.payout_id)
        return found


class TestPaying:
    @pytest.mark.parametrize(("needed", "of"), [(1, 1), (2, 3)])
    def test_a_list_that_signers_elsewhere_sign(self, offline: OfflineNode, needed: int, of: int) -> None:
        treasury = Treasury.open(offline, needed, of)
        ministry = treasury.ministry
        (payout,) = ministry.pay(ministry.release([500_000, 600_000, 50_000]))
        assert (payout.status, payout.current.raw) == (PayoutStatus.COMMITTED, None)
        request = SigningRequest.objects.get()
        assert request.needed == needed
        for number, key in enumerate(treasury.keys[-needed:], start=1):
            found = treasury.upload(request, key.sign(request.psbt))
            assert (len(found.added), found.repeated) == (1, ())
            payout = Payout.objects.select_related("current").get(pk=payout.pk)
            assert payout.status == (PayoutStatus.SENT if number == needed else PayoutStatus.COMMITTED)
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        version = PayoutTx.objects.get()
        # Ground for a low R, a signature is a byte shorter than it was counted with, or two.
        assert version.vsize_vb * 4 - 3 <= 3 * len(version.unsigned_tx) + len(bytes(version.raw or b""))
        (run,) = reconcile(scope=ministry.program.scope, now=timezone.now())
        assert (run.status, run.reason) == ("clean", "")
        ministry.judge(exactly=True)
