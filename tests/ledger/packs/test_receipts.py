"""Receipts of an entry that was sealed in each way, with a tx and a block that were made for it: right, or refused."""

from typing import NamedTuple

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.test import Client

from ledger import books, events, verify
from ledger.models import Checkpoint
from ledger.packs import receipts
from ledger.packs.evidence import Anchor, Output
from ledger.seals import canonical, checkpoints, sealer
from tests.ledger.seals import scene

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")

PAYOUT, PAID = 5, {41: 40_000, 42: 50_000}
SPENT = "11" * 32 + ":0"
SPENDS = f"Spends {SPENT}"
SCRIPT = bytes.fromhex("0014" + "22" * 20)


class Witness(NamedTuple):
    """Testifies that a payment is the second output of the tx, or of another one."""

    tx: bytes

    def network(self) -> str:
        return "regtest"

    def address(self, script: bytes) -> str | None:
        return "bcrt1qof22s" if script == SCRIPT else None

    def anchor(self, checkpoint: Checkpoint) -> Anchor | None:
        return None

    def output(self, payment_id: int) -> Output | None:
        header = mine(verify.double_sha256(self.tx))
        return Output(PAYOUT, PAID.get(payment_id, 1), SCRIPT, 1, self.tx, b"", [header], 300)

    def elsewhere(self, payment_id: int) -> None:
        return None

    def leg(self, payment_id: int) -> None:
        return None


WITNESS = Witness(b"")


def backend() -> Witness:
    """What the settings name."""
    return WITNESS


def tx_of(*amounts_sat: int) -> bytes:
    """A tx without witnesses that spends the outpoint."""
    outputs = b"".join(sat.to_bytes(8, "little") + bytes([len(SCRIPT)]) + SCRIPT for sat in amounts_sat)
    spent = b"\x01" + b"\x11" * 32 + bytes(4) + b"\x00" + b"\xff" * 4
    return b"\x02\x00\x00\x00" + spent + bytes([len(amounts_sat)]) + outputs + bytes(4)


def mine(root: bytes) -> bytes:
    """A header over one tx, with the little work that regtest wants."""
    for nonce in range(1_000):
        header = bytes(36) + root + bytes(4) + bytes.fromhex("ffff7f20") + nonce.to_bytes(4, "little")
        if verify.double_sha256(header)[-1] < 0x7F:
            return header
    raise AssertionError("no nonce")


@pytest.fixture(autouse=True)
def _told(settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LEDGER_PACK_EVIDENCE = f"{__name__}.backend"  # type: ignore[attr-defined]
    tell(monkeypatch, tx_of(*PAID.values()))


def tell(monkeypatch: pytest.MonkeyPatch, tx: bytes) -> None:
    monkeypatch.setitem(globals(), "WITNESS", Witness(tx))


def book(memo: str = SPENDS) -> None:
    """Book the payout, seal the entry and sign a checkpoint."""
    draft = events.payout_sent(
        program_id=scene.PROGRAM,
        payout_id=PAYOUT,
        payment_ids=list(PAID),
        amounts_sat=list(PAID.values()),
        fee_sat=300,
        effective_at=scene.AT,
        memo=memo,
    )
    books.post([draft])
    sealer.seal()
    checkpoints.issue()


def refused(payment_id: int = 42) -> tuple[str, str]:
    with pytest.raises(receipts.NoReceipt) as refusal:
        receipts.make(payment_id)
    return refusal.value.code, refusal.value.details["rule"]


class TestMake:
    def test_is_right(self) -> None:
        book()
        found = verify.check_receipt(receipts.make(42), "regtest", [str(checkpoints.signer().verifier)])
        assert (found.payment, found.amount_sat, found.vout, found.block_height) == ("42", 50_000, 1, 300)

    def test_is_read_by_the_public_page_as_people_write_addresses_and_amounts(self, client: Client) -> None:
        book()
        cache.clear()
        answer = client.post("/verify/", {"file": ContentFile(receipts.make(42), name="receipt.json")})
        assert answer.status_code == 200
        assert "<strong>50,000 satoshis</strong>" in answer.content.decode()
        assert "<code>bcrt1qof22s</code>" in answer.content.decode()

    def test_refuses_an_entry_that_names_no_outpoint(self) -> None:
        book(memo="")
        assert refused() == ("no_receipt", "outpoint")

    def test_refuses_an_entry_of_version_1(self, monkeypatch: pytest.MonkeyPatch) -> None:
        encode = canonical.encode
        monkeypatch.setattr(canonical, "encode", lambda entry: encode(entry, "govpay/entry/1"))
        book()
        assert refused() == ("no_receipt", "form")

    def test_refuses_an_entry_without_a_line_of_the_payment(self) -> None:
        book()
        assert refused(43) == ("no_receipt", "wrong_line")

    @pytest.mark.parametrize(
        ("amounts_sat", "memo", "rule"),
        [
            ((40_000, 50_001), SPENDS, "wrong_output"),
            ((40_000, 50_000), "Spends " + "33" * 32 + ":0", "wrong_tx"),
            ((40_000, 50_000), "About something else", "wrong_tx"),
        ],
    )
    def test_hands_out_none_that_would_be_refused(
        self, monkeypatch: pytest.MonkeyPatch, amounts_sat: tuple[int, ...], memo: str, rule: str
    ) -> None:
        book(memo)
        tell(monkeypatch, tx_of(*amounts_sat))
        assert refused() == ("no_receipt", rule)
