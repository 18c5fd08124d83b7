"""A list that a real node paid, in books that were sealed and anchored: what packs and receipts are made of."""

import pytest
from django.utils import timezone

from ledger.models import Checkpoint
from ledger.reconciliation import service
from ledger.seals import checkpoints, sealer
from payments.models import Disbursement, Payout
from payments.payout import dispatch, proofs
from tests import services
from tests.regtest.forger import SEED
from tests.regtest.ministry import Ministry

AMOUNTS = [40_000, 50_000, 60_000]
DEPOSITS = [1_000_000, 900_000]


def rules() -> dict[str, object]:
    """Return the settings of an installation that seals its books and anchors them."""
    return {
        "GOVPAY_NODE_URL": services.ensure_node().url,
        "GOVPAY_SEAL_KEY": SEED,
        "GOVPAY_ANCHOR_PROGRAM": "PENSIONS",
    }


@pytest.fixture
def ministry(settings: object) -> Ministry:
    """A ministry with a key for its seals."""
    for name, value in rules().items():
        setattr(settings, name, value)
    return Ministry.open(deposits_sat=DEPOSITS)


@pytest.fixture
def story(ministry: Ministry) -> Disbursement:
    """A list that was paid and settled, in books that were sealed and anchored twice."""
    return tell_story(ministry)


def tell_story(ministry: Ministry) -> Disbursement:
    """Pay a list and settle it, seal the books and anchor them, reconcile, and seal again."""
    made = ministry.release(AMOUNTS)
    ministry.pay(made)
    ministry.mine(6)
    seal_and_anchor(ministry)
    service.reconcile(scope=None, now=timezone.now())
    sealer.seal()
    checkpoints.issue()
    return made


def seal_and_anchor(ministry: Ministry) -> Checkpoint:
    """Sign a checkpoint, and bury its anchor."""
    sealer.seal()
    checkpoint = checkpoints.issue()
    assert checkpoint is not None
    dispatch.anchor(checkpoint_id=checkpoint.pk)
    dispatch.advance(payout_id=Payout.objects.get(checkpoint=checkpoint).pk)
    ministry.mine(6)
    prove_all()
    return checkpoint


def prove_all() -> None:
    """Keep where in their blocks final payouts lie."""
    for pk in proofs.unproved().values_list("pk", flat=True):
        dispatch.prove(block_id=pk)
