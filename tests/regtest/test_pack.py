"""Packs and receipts of lists that a real node paid, checked by ``ledger/verify.py`` alone, in an empty environment."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from ledger import verify
from ledger.models import Checkpoint, LeafSalt
from ledger.packs import receipts
from ledger.seals import checkpoints, sealer
from payments.models import Disbursement, Payment, Payout
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
    prove_all()
    return checkpoint


def prove_all() -> None:
    for pk in proofs.unproved().values_list("pk", flat=True):
        dispatch.prove(block_id=pk)


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


class TestReceipt:
    def test_verifies_with_nothing_else(self, story: Disbursement, tmp_path: Path) -> None:
        payment = Payment.objects.get(disbursement=story, amount_sat=50_000)
        path = tmp_path / "receipt.json"
        call_command("receipt", payment.pk, str(path))
        key = Checkpoint.objects.latest("pk").verifier
        code, said = run(path, "--network", "regtest", "--key", key, "--node", settings.GOVPAY_NODE_URL)
        assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said
        found = verify.check_receipt(path.read_bytes())
        assert (found.payment, found.amount_sat) == (str(payment.pk), 50_000)
        assert (found.script, found.txid) == (payment.script_pubkey.hex(), payment.payout.mined_txid)
        assert (found.vout, found.anchor_height is not None) == (payment.vout, True)

    def test_shows_nothing_of_anybody_else(self, story: Disbursement, tmp_path: Path) -> None:
        payment = Payment.objects.get(disbursement=story, amount_sat=50_000)
        text = receipts.make(payment.pk).decode()
        # The tx is public; all else must not know the others.
        private = text.replace(bytes(payment.payout.current.unsigned_tx).hex(), "")
        for other in Payment.objects.filter(disbursement=story).exclude(pk=payment.pk):
            assert f'"{other.pk}\\"' not in private
            assert f'"{other.amount_sat}' not in private
            assert bytes(other.script_pubkey or b"").hex() not in private
        salts = {bytes(salt).hex() for salt in LeafSalt.objects.values_list("salt", flat=True)}
        assert not [salt for salt in salts if salt in text]

    @pytest.mark.parametrize("blocks", [0, 5])
    def test_waits_until_the_payment_is_settled(self, ministry: Ministry, blocks: int) -> None:
        made = ministry.release(AMOUNTS)
        ministry.pay(made)
        if blocks:
            ministry.mine(blocks)
        payment = Payment.objects.filter(disbursement=made).first()
        with pytest.raises(receipts.ReceiptNotReady) as refusal:
            receipts.make(payment.pk)
        assert refusal.value.details["rule"] == "settled"

    def test_waits_until_a_checkpoint_covers_it(self, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        ministry.pay(made)
        ministry.mine(6)
        prove_all()
        payment = Payment.objects.filter(disbursement=made).first()
        for _ in range(2):
            with pytest.raises(receipts.ReceiptNotReady) as refusal:
                receipts.make(payment.pk)
            assert refusal.value.details["rule"] == "sealed"
            sealer.seal()
        checkpoints.issue()
        found = verify.check_receipt(receipts.make(payment.pk), "regtest")
        assert (found.payment, found.anchor_height) == (str(payment.pk), None)

    def test_is_checked_by_the_page(self, story: Disbursement, client: Client) -> None:
        payment = Payment.objects.get(disbursement=story, amount_sat=50_000)
        made = receipts.make(payment.pk)
        for sent in ({"text": made.decode()}, {"file": io.BytesIO(made)}):
            answer = client.post("/verify/", sent)
            assert answer.status_code == 200, answer.content.decode()
            assert "The receipt is right." in answer.content.decode()
            assert payment.payout.mined_txid in answer.content.decode()
        changed = made.replace(b'"amount_sat":"50000"', b'"amount_sat":"50001"')
        answer = client.post("/verify/", {"text": changed.decode()})
        assert answer.status_code == 422
        assert "<code>wrong_amount</code>" in answer.content.decode()
