"""Anchors on a real node: a checkpoint's hash in a block, once, final, over reorganizations, and proved by files."""

import hashlib
import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from ledger.models import Checkpoint, Entry
from ledger.reconciliation import service
from ledger.seals import checkpoints, note, sealer
from payments.models import (
    Heartbeat,
    InclusionProof,
    Payout,
    PayoutKind,
    PayoutTx,
    Program,
    Reservation,
)
from payments.onchain import node
from payments.payout import anchor, bump, caps, dispatch, proofs, rounds
from payments.selectors.funds import Funds
from payments.services import interventions
from payments.states import PayoutStatus
from tests import factories
from tests.regtest.ministry import Ministry, use_node

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNTS = [40_000, 50_000]


@pytest.fixture
def ministry(settings: object) -> Ministry:
    use_node(settings)
    settings.GOVPAY_SEAL_KEY = bytes(range(32))  # type: ignore[attr-defined]
    settings.GOVPAY_ANCHOR_PROGRAM = "PENSIONS"  # type: ignore[attr-defined]
    return Ministry.open(deposits_sat=[1_000_000, 900_000])


def issue() -> Checkpoint:
    sealer.seal()
    found = checkpoints.issue()
    assert found is not None
    return found


def send(checkpoint: Checkpoint) -> Payout:
    """Ring the doorbells that anchor a checkpoint."""
    dispatch.anchor(checkpoint_id=checkpoint.pk)
    payout = Payout.objects.get(checkpoint=checkpoint)
    dispatch.advance(payout_id=payout.pk)
    payout.refresh_from_db()
    return payout


def rings() -> set[str]:
    Heartbeat.objects.filter(name="prove").delete()
    return {ring.task for find in (rounds.checkpoints_to_anchor, rounds.blocks_to_prove) for ring in find()}


def prove_all() -> None:
    for pk in proofs.unproved().values_list("pk", flat=True):
        dispatch.prove(block_id=pk)


def prove(raw: bytes, digest: bytes) -> tuple[bytes, int]:
    """Read an .ots file by the format's own rules; return the root that it leads to, and the height it names."""
    magic = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
    assert raw.startswith(magic + b"\x01\x08" + digest)
    at, found = len(magic) + 2 + 32, digest

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def data() -> bytes:
        nonlocal at
        length = number()
        at += length
        return raw[at - length : at]

    while raw[at] != 0:
        tag = raw[at]
        at += 1
        if tag == 0xF0:
            found += data()
        elif tag == 0xF1:
            found = data() + found
        else:
            assert tag == 0x08
            found = hashlib.sha256(found).digest()
    assert raw[at + 1 : at + 9].hex() == "0588960d73d71901"
    at += 9
    length = number()
    end = at + length
    height = number()
    assert at == end == len(raw)
    return found, height


def give_up(ministry: Ministry, payout: Payout) -> Payout:
    """Two people void a payout, and the void is sent."""
    treasurer = factories.make_member(ministry.program, "treasurer")
    shown = interventions.preview(by=treasurer, payout_id=payout.pk, kind="void")
    asked = interventions.propose(
        by=treasurer, payout_id=payout.pk, kind="void", note="Too dear.", shown=shown
    )
    agreed = interventions.approve(by=ministry.approver, intervention_id=asked.pk, note="I looked.")
    dispatch.intervene(intervention_id=agreed.pk)
    dispatch.advance(payout_id=payout.pk)
    return payout


class TestAnchor:
    def test_is_in_a_block_and_booked_as_a_fee(self, ministry: Ministry) -> None:
        made = ministry.release(AMOUNTS)
        ministry.pay(made)
        ministry.mine(1)
        checkpoint = issue()
        payout = send(checkpoint)
        assert (payout.kind, payout.status, payout.payment_count) == (PayoutKind.ANCHOR, PayoutStatus.SENT, 0)
        version = PayoutTx.objects.get(payout=payout)
        digest = hashlib.sha256(checkpoint.note.encode()).digest()
        outputs = ministry.miner.node.call("decoderawtransaction", bytes(version.raw or b"").hex())["vout"]
        assert outputs[0]["scriptPubKey"]["hex"] == "6a20" + digest.hex()
        assert outputs[0]["value"] == 0
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        entry = Entry.objects.get(source_ref=f"payout:{payout.pk}")
        assert {posting.amount for posting in entry.postings.all()} == {version.fee_sat, -version.fee_sat}
        ministry.judge(exactly=True)
        (run,) = service.reconcile(scope=f"program:{ministry.program.pk}", now=entry.recorded_at)
        assert run.status == "clean", run.breaks.values_list("message", flat=True)

    def test_is_one_for_a_checkpoint(self, ministry: Ministry) -> None:
        checkpoint = issue()
        payout = send(checkpoint)
        for _ in range(2):
            dispatch.anchor(checkpoint_id=checkpoint.pk)
        assert Payout.objects.filter(kind=PayoutKind.ANCHOR).get() == payout
        payout.pk, payout.current = None, None
        with pytest.raises(IntegrityError, match="payout_one_anchor"), transaction.atomic():
            payout.save(force_insert=True)

    def test_is_repeated_once_it_is_void(self, ministry: Ministry) -> None:
        checkpoint = issue()
        first = give_up(ministry, send(checkpoint))
        ministry.mine(99)
        Heartbeat.objects.filter(name="anchor").delete()
        assert "anchor" not in rings()
        ministry.mine(1)
        first.refresh_from_db()
        assert first.status == PayoutStatus.VOIDED
        # The clock is not the point here: ten minutes are over.
        Heartbeat.objects.filter(name="anchor").delete()
        assert "anchor" in rings()
        for _ in range(2):
            dispatch.anchor(checkpoint_id=checkpoint.pk)
        second = Payout.objects.get(checkpoint=checkpoint, repeats=first)
        dispatch.advance(payout_id=second.pk)
        ministry.mine(6)
        second.refresh_from_db()
        assert second.status == PayoutStatus.SETTLED
        Heartbeat.objects.filter(name="anchor").delete()
        assert "anchor" not in rings()
        prove_all()
        found = anchor.proof_of(checkpoint)
        assert found is not None
        assert found[1].payout == second
        ministry.judge(exactly=True)
        second.pk, second.current = None, None
        with pytest.raises(IntegrityError, match="payout_repeated_once"), transaction.atomic():
            second.save(force_insert=True)

    def test_is_found_by_the_sweep_while_it_lacks_and_no_more(self, ministry: Ministry) -> None:
        assert rings() == set()
        checkpoint = issue()
        assert rings() == {"anchor"}
        payout = send(checkpoint)
        assert rings() == set()
        ministry.mine(6)
        assert rings() == {"prove"}
        prove_all()
        assert rings() == set()
        payout.refresh_from_db()
        assert InclusionProof.objects.get().block_hash == payout.mined_block_hash

    def test_is_not_made_without_a_program_that_pays(self, ministry: Ministry, settings: object) -> None:
        settings.GOVPAY_ANCHOR_PROGRAM = ""  # type: ignore[attr-defined]
        checkpoint = issue()
        assert rings() == set()
        dispatch.anchor(checkpoint_id=checkpoint.pk)
        assert not Payout.objects.exists()

    def test_is_tried_again_at_once_when_the_node_did_not_answer(
        self, ministry: Ministry, settings: object
    ) -> None:
        checkpoint = issue()
        url = settings.GOVPAY_NODE_URL  # type: ignore[attr-defined]
        settings.GOVPAY_NODE_URL = "http://nobody:none@127.0.0.1:1"  # type: ignore[attr-defined]
        dispatch.anchor(checkpoint_id=checkpoint.pk)
        assert not Payout.objects.exists()
        assert rings() == {"anchor"}
        settings.GOVPAY_NODE_URL = url  # type: ignore[attr-defined]
        send(checkpoint)
        assert rings() == set()

    def test_is_not_tried_before_the_program_has_coins(self, settings: object) -> None:
        use_node(settings)
        settings.GOVPAY_SEAL_KEY = bytes(range(32))  # type: ignore[attr-defined]
        settings.GOVPAY_ANCHOR_PROGRAM = "PENSIONS"  # type: ignore[attr-defined]
        empty = Ministry.open(deposits_sat=[])
        # Of another program, so that there is something to anchor.
        Ministry.open(deposits_sat=[1_000_000], code="OTHER")
        issue()
        assert rings() == set()
        empty.miner.fund([empty.funding_address()], 1_000_000)
        empty.mine(1)
        assert rings() == {"anchor"}

    def test_waits_for_the_money_that_lists_were_promised(
        self, ministry: Ministry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(anchor.funds, "of_program", lambda program_id: Funds(1_000, 1_000))
        checkpoint = issue()
        dispatch.anchor(checkpoint_id=checkpoint.pk)
        assert not Payout.objects.exists()
        assert rings() == set()
        with pytest.raises(anchor.AnchorWaits) as refusal:
            anchor.build(checkpoint.pk, ministry.program.wallet.pk, feerate_sat_kvb=1_000)
        assert refusal.value.details["rule"] == "funds"
        assert not Reservation.objects.exists()

    def test_leaves_a_list_the_last_coin(self, ministry: Ministry) -> None:
        other = Ministry.open(deposits_sat=[1_000_000], code="ONE")
        made = other.release(AMOUNTS)
        checkpoint = issue()
        with pytest.raises(anchor.AnchorWaits) as refusal:
            anchor.build(checkpoint.pk, other.program.wallet.pk, feerate_sat_kvb=1_000)
        assert refusal.value.details["rule"] == "lists"
        other.pay(made)
        other.mine(6)
        assert anchor.build(checkpoint.pk, other.program.wallet.pk, feerate_sat_kvb=1_000) is not None

    def test_counts_against_the_days_fees(self, ministry: Ministry) -> None:
        Program.objects.update(fee_budget_daily_sat=10)
        checkpoint = issue()
        with pytest.raises(caps.FeeOverBudget):
            anchor.build(checkpoint.pk, ministry.program.wallet.pk, feerate_sat_kvb=1_000)
        assert not Payout.objects.exists()

    def test_is_bumped_with_its_commitment(self, ministry: Ministry) -> None:
        checkpoint = issue()
        payout = send(checkpoint)
        bump.build(payout.pk, 9_000, node.connect())
        dispatch.advance(payout_id=payout.pk)
        ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        assert payout.mined_txid == PayoutTx.objects.get(kind="bump").txid
        ministry.judge(exactly=True)


class TestReorganization:
    def test_sends_the_same_bytes_until_they_are_final(self, ministry: Ministry) -> None:
        ministry.mine(12)
        payout = send(issue())
        ministry.mine(6)
        prove_all()
        first = InclusionProof.objects.get()
        ministry.miner.reorg(8, 9, with_mempool=False)
        ministry.mine(0)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SENT
        assert anchor.proof_of(Checkpoint.objects.get()) is None
        dispatch.advance(payout_id=payout.pk)
        ministry.mine(6)
        payout.refresh_from_db()
        assert (payout.status, payout.mined_txid) == (PayoutStatus.SETTLED, first.txid)
        prove_all()
        found = anchor.proof_of(Checkpoint.objects.get())
        assert found is not None
        assert found[0].block_hash == payout.mined_block_hash != first.block_hash
        assert InclusionProof.objects.count() == 2
        ministry.judge(exactly=True)


class TestExport:
    def test_proves_the_checkpoint_without_us(self, ministry: Ministry, tmp_path: Path) -> None:
        checkpoint = issue()
        payout = send(checkpoint)
        # Others share the block, so that the branch has steps.
        ministry.miner.fund([ministry.funding_address()] * 1, 50_000)
        ministry.mine(6)
        with pytest.raises(CommandError, match="not_anchored"):
            call_command("export_anchor", str(tmp_path))
        prove_all()
        call_command("export_anchor", str(tmp_path), stdout=io.StringIO())
        size = checkpoint.seal.size
        name = tmp_path / f"checkpoint-{size}"
        text = name.read_bytes()
        signed = note.Note.parse(text.decode())
        signed.require(note.Verifier.parse(checkpoint.verifier))
        beside = json.loads(name.with_suffix(".json").read_text())
        root, height = prove(name.with_suffix(".ots").read_bytes(), hashlib.sha256(text).digest())
        header = bytes.fromhex(beside["header"])
        assert (beside["network"], beside["block_height"], beside["txid"]) == (
            "regtest",
            height,
            payout.current.txid,
        )
        assert root == header[36:68]
        block_hash = hashlib.sha256(hashlib.sha256(header).digest()).digest()[::-1].hex()
        assert block_hash == beside["block_hash"] == ministry.miner.node.call("getblockhash", height)

    def test_is_on_the_page_of_the_checkpoint(self, ministry: Ministry, client: Client) -> None:
        checkpoint = issue()
        payout = send(checkpoint)
        ministry.mine(6)
        prove_all()
        client.force_login(factories.make_user("reader", "ledger.view_entry"))
        page = client.get(f"/admin/ledger/checkpoint/{checkpoint.pk}/change/").content.decode()
        payout.refresh_from_db()
        address = f"/admin/ledger/checkpoint/{checkpoint.pk}/ots/"
        for shown in (payout.mined_txid, payout.mined_block_hash, address):
            assert shown in page
        digest = hashlib.sha256(checkpoint.note.encode()).digest()
        assert prove(client.get(address).content, digest)[1] == payout.mined_height

    def test_says_what_is_not_there(self, ministry: Ministry, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="not_found"):
            call_command("export_anchor", str(tmp_path))
        checkpoint = issue()
        with pytest.raises(CommandError, match="not_anchored"):
            call_command("export_anchor", str(tmp_path), size=checkpoint.seal.size)
        with pytest.raises(CommandError, match="not_found"):
            call_command("export_anchor", str(tmp_path), size=checkpoint.seal.size + 1)
        assert list(tmp_path.iterdir()) == []
