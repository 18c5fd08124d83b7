"""Packs and receipts of lists that a real node paid, checked by ``ledger/verify.py`` alone, in an empty environment."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from ledger import verify
from ledger.models import Checkpoint
from ledger.seals import checkpoints, sealer
from payments.models import Disbursement, Payout
from payments.payout import dispatch, proofs
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNTS = [40_000, 50_000, 60_000]
PROGRAM = Path(verify.__file__)


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    settings.GOVPAY_SEAL_KEY = bytes(range(32))  # type: ignore[attr-defined]
    settings.GOVPAY_ANCHOR_PROGRAM = "PENSIONS"  # type: ignore[attr-defined]
    return Ministry.open(deposits_sat=[1_000_000, 900_000])


def seal_and_anchor(ministry: Ministry) -> Checkpoint:
    """Sign a checkpoint, and bury its anchor."""
    sealer.seal()
    checkpoint = checkpoints.issue()
    assert checkpoint is not None
    dispatch.anchor(checkpoint_id=checkpoint.pk)
    dispatch.advance(payout_id=Payout.objects.get(checkpoint=checkpoint).pk)
    ministry.mine(6)
    for pk in proofs.unproved().values_list("pk", flat=True):
        dispatch.prove(block_id=pk)
    return checkpoint


@pytest.fixture
def story(ministry: Ministry) -> Disbursement:
    """A list that was paid and settled, in books that were sealed and anchored twice."""
    made = ministry.release(AMOUNTS)
    ministry.pay(made)
    ministry.mine(6)
    seal_and_anchor(ministry)
    sealer.seal()
    checkpoints.issue()
    return made


def run(path: Path, *options: str) -> tuple[int, str]:
    """Run the verifier as an auditor would: no environment, no installation, another folder."""
    alone = path.parent / "verify.py"
    shutil.copy(PROGRAM, alone)
    done = subprocess.run(
        [sys.executable, "-I", str(alone), str(path), *options],
        capture_output=True,
        text=True,
        env={},
        cwd=path.parent,
    )
    return done.returncode, done.stdout


class TestPack:
    @pytest.mark.parametrize("name", ["pack", "pack.zip"])
    def test_verifies_with_nothing_else(self, story: Disbursement, tmp_path: Path, name: str) -> None:
        call_command("audit_pack", str(tmp_path / name), all=True)
        code, said = run(tmp_path / name)
        assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said
