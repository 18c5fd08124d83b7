"""Packs and receipts of lists that a real node paid, checked by ``ledger/verify.py`` alone, in an empty environment."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Concat
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger import verify
from ledger.models import Checkpoint, Entry, Leaf, LeafSalt, Period
from ledger.packs import receipts
from ledger.reconciliation import service
from ledger.seals import checkpoints, note, redaction, sealer
from payments.models import Disbursement, Payment, Payout
from payments.person import receipt as person_receipt
from payments.services import disbursements
from tests import factories
from tests.regtest.forger import Forger
from tests.regtest.ministry import Ministry
from tests.regtest.paid_list import AMOUNTS, prove_all, seal_and_anchor
from tests.regtest.paid_list import ministry as ministry
from tests.regtest.paid_list import story as story

pytestmark = pytest.mark.django_db(transaction=True)

PROGRAM = Path(verify.__file__)


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
        progress = io.StringIO()
        call_command("audit_pack", str(tmp_path / name), all=True, stderr=progress)
        assert progress.getvalue().splitlines()[:2] == [
            "Writing entries: 0 of 7 written",
            "Writing journal.csv",
        ]
        code, said = run(tmp_path / name)
        assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said
        assert said.splitlines()[:5] == [
            "Pack of all on regtest",
            f"  7 entries with 19 lines, all balanced; the tree has {Leaf.objects.count()} leaves",
            "  2 checkpoints, each continuing the one before; 1 in blocks",
            "  1 list, 3 payments in 2 payouts as they were approved",
            "  2 blocks, 1 reconciliation run",
        ]


def found_wrong(pack: Path) -> verify.Wrong:
    """Return the first thing that the verifier finds wrong."""
    with pytest.raises(verify.Wrong) as found:
        verify.Pack(verify.Folder(pack), None, (), lambda text: None).check()
    return found.value


class TestTampering:
    def test_with_any_byte_is_found_and_the_file_named(self, story: Disbursement, tmp_path: Path) -> None:
        pack = tmp_path / "pack"
        call_command("audit_pack", str(pack), all=True)
        flipped = 0
        for path in sorted(pack.rglob("*")):
            if path.is_dir():
                continue
            name, raw = path.relative_to(pack).as_posix(), path.read_bytes()
            # Of long files some bytes, unless `make flip` asks for all.
            step = 1 if "GOVPAY_EVERY_BYTE" in os.environ else 1 + len(raw) // 2_000
            for at in range(0, len(raw), step):
                path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
                wrong = found_wrong(pack)
                flipped += 1
                if not name.startswith("manifest."):
                    assert (wrong.code, wrong.file) == ("changed_file", name)
            for cut in (0, len(raw) // 2, len(raw) - 1):
                path.write_bytes(raw[:cut])
                found_wrong(pack)
            path.unlink()
            assert found_wrong(pack).code in ("missing_file", "not_a_pack")
            path.write_bytes(raw)
        assert flipped > 15_000
        (pack / "more").write_text("x")
        wrong = found_wrong(pack)
        assert (wrong.code, wrong.file) == ("unlisted_file", "more")
        (pack / "more").unlink()
        verify.Pack(verify.Folder(pack), None, (), lambda text: None).check()

    def test_by_who_has_the_key_is_found_too(self, story: Disbursement, tmp_path: Path) -> None:
        story.refresh_from_db()
        pack, listed = tmp_path / "pack", f"lists/{story.pk}"
        call_command("audit_pack", str(pack), all=True)
        facts = json.loads((pack / f"{listed}/list.json").read_text())
        paid = [json.loads(line) for line in (pack / "payments.jsonl").read_text().splitlines()]
        payout = json.loads((pack / "payouts.jsonl").read_text().splitlines()[0])
        raw, branch = payout["versions"][0]["raw"], payout["mined"]["branch"]
        header = json.loads((pack / "headers.jsonl").read_text().splitlines()[3])["header"]
        size = min(int(path.stem) for path in (pack / "checkpoints").glob("*.ots"))
        script = bytes(Payment.objects.filter(disbursement=story).latest("pk").script_pubkey or b"").hex()
        leaves, run_file = "journal/leaves.jsonl", "reconciliation/runs.jsonl"
        approved, maker = f'"approved_by":"{facts["approved_by"]}"', facts["made_by"]
        payments = [f'"payment":"{each["payment"]}"' for each in paid]
        cases = [
            (leaves, '\\"50000\\"', '\\"50001\\"', "entry_unbalanced"),
            (leaves, "Assets:", "Assets:X", "head_differs"),
            (leaves, '"salt":"', '"salt":"0', "bad_hex"),
            (leaves, '{"entry"', '{ "entry"', "not_canonical"),
            (leaves, '"leaf":"1"', '"leaf":"2"', "leaf_missing"),
            (f"checkpoints/{size}.note", "\n8\n" if size == 8 else f"\n{size}\n", "\n99\n", "bad_signature"),
            (f"checkpoints/{size}.json", '"network":"regtest"', '"network":"signet"', "wrong_network"),
            (f"checkpoints/{size}.json", '"block_height":', '"block_height":1', "anchor_block"),
            (f"{listed}/list.json", approved, f'"approved_by":"{maker}"', "same_person"),
            (f"{listed}/list.json", approved, '"approved_by":"zoe"', "approval_differs"),
            (f"{listed}/list.json", f'"released_by":"{facts["released_by"]}"', '"released_by":"zoe"', "approval_differs"),
            (f"{listed}/list.json", facts["manifest_sha256"], "00" * 32, "manifest_differs"),
            (f"{listed}/list.json", '"program":"PENSIONS"', '"program":"OTHERS"', "bad_manifest_text"),
            (f"{listed}/manifest.txt", "|50000|", "|50001|", "manifest_totals"),
            (f"{listed}/manifest.txt", f"|{script}|", f"|{script[:-2]}00|", "manifest_differs"),
            ("payments.jsonl", payments[0], payments[1], "payment_unknown"),
            ("payments.jsonl", '"vout":0', '"vout":7', "bad_order"),
            ("payouts.jsonl", payout["spends"], "00" * 32 + ":0", "txs_share_no_input"),
            ("payouts.jsonl", script, script[:-2] + "00", "output_differs"),
            ("payouts.jsonl", raw, raw[:-2], "truncated_bytes"),
            ("payouts.jsonl", f'"branch":"{branch}"', f'"branch":"00{"11" * 32}{branch}"', "not_in_block"),
            ("payouts.jsonl", payout["mined"]["block_hash"], "00" * 32, "not_in_chain"),
            ("payouts.jsonl", f'"fee_sat":"{payout["fee_sat"]}"', '"fee_sat":"1"', "fee_differs"),
            ("headers.jsonl", header, header[:8] + "00" + header[10:], "headers_broken no_work"),
            ("headers.jsonl", header, header[:-2], "bad_header"),
            (run_file, '"matched":3', '"matched":4', "run_differs"),
            ("exports/journal.csv", ",50000,", ",50001,", "totals_differ"),
            ("exports/journal.jsonl", '"50000"', '"50001"', "totals_differ"),
            ("exports/journal.beancount", "  0.00050000 BTC", "  0.00050001 BTC", "totals_differ"),
            ("exports/journal.journal", "  0.00050000 BTC", "  0.00050001 BTC", "totals_differ"),
            ("pack.json", '"network":"regtest"', '"network":"signet"', "wrong_network"),
            ("pack.json", '"not_sealed":"0"', '"not_sealed":"-1"', "bad_number"),
        ]  # fmt: skip
        for number, (name, old, new, code) in enumerate(cases):
            forged = tmp_path / f"forged-{number}"
            shutil.copytree(pack, forged)
            forger = Forger(forged)
            forger.change(name, old, new)
            forger.reseal()
            assert found_wrong(forged).code in code.split(), (name, old, new, str(found_wrong(forged)))
        lines = {leaves: (2, "leaf_missing"), "payments.jsonl": (1, "payment_missing")}
        for name, (line, code) in lines.items():
            forged = tmp_path / f"dropped-{line}"
            shutil.copytree(pack, forged)
            forger = Forger(forged)
            forger.drop_line(name, line)
            forger.reseal()
            assert found_wrong(forged).code in (code, "output_unexplained"), (name, str(found_wrong(forged)))

    def test_that_leaves_out_what_the_books_say_is_found(self, story: Disbursement, tmp_path: Path) -> None:
        pack = tmp_path / "pack"
        call_command("audit_pack", str(pack), disbursement=str(story.pk))
        for name, code in (("payout", "payout_missing"), ("tx", "tx_missing")):
            forged = tmp_path / name
            shutil.copytree(pack, forged)
            payouts = [json.loads(line) for line in (forged / "payouts.jsonl").read_text().splitlines()]
            payments = [json.loads(line) for line in (forged / "payments.jsonl").read_text().splitlines()]
            if name == "payout":
                # As if the list had never been paid.
                payouts = []
                for payment in payments:
                    payment |= {"payout": None, "vout": None, "status": "cancelled"}
            else:
                payouts[0] |= {"versions": [], "mined": None}
            for file, records in (("payouts.jsonl", payouts), ("payments.jsonl", payments)):
                lines = "".join(verify.canonical(record) + "\n" for record in records)
                (forged / file).write_text(lines, encoding="utf-8")
            Forger(forged).reseal()
            assert found_wrong(forged).code == code, str(found_wrong(forged))

    def test_of_a_zip_file_is_said_in_a_line_whatever_it_breaks(
        self, story: Disbursement, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "pack.zip"
        call_command("audit_pack", str(path), disbursement=str(story.pk))
        raw = path.read_bytes()
        capsys.readouterr()
        for at in range(0, len(raw), 1 + len(raw) // 400):
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :])
            code = verify.main(["--quiet", str(path)])
            said = capsys.readouterr().out
            # A byte of the zip file's own, such as a date, may be free.
            assert said.startswith("WRONG") if code else said.endswith("VERIFIED\n")

    def test_with_control_characters_does_not_pass_for_the_verdict(
        self, story: Disbursement, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pack = tmp_path / "pack"
        call_command("audit_pack", str(pack), disbursement=str(story.pk))
        forger = Forger(pack)
        story.refresh_from_db()
        assert story.approved_by is not None
        approver = f'"approved_by":"{story.approved_by.username}"'
        forger.change(f"lists/{story.pk}/list.json", approver, '"approved_by":"\x1b[2KVERIFIED"')
        forger.reseal()
        capsys.readouterr()
        assert verify.main(["--quiet", str(pack)]) == 1
        assert "\x1b" not in capsys.readouterr().out

    def test_of_list_and_manifest_alike_is_found_by_the_books(
        self, story: Disbursement, tmp_path: Path
    ) -> None:
        pack = tmp_path / "pack"
        call_command("audit_pack", str(pack), disbursement=str(story.pk))
        verify.Pack(verify.Folder(pack), None, (), lambda text: None).check()
        forger, name = Forger(pack), f"lists/{story.pk}/manifest.txt"
        was = hashlib.sha256((pack / name).read_bytes()).hexdigest()
        forger.change(name, "purpose|pension", "purpose|bonus")
        forger.change(f"lists/{story.pk}/list.json", '"purpose":"pension"', '"purpose":"bonus"')
        now = hashlib.sha256((pack / name).read_bytes()).hexdigest()
        forger.change(f"lists/{story.pk}/list.json", was, now)
        forger.reseal()
        wrong = found_wrong(pack)
        assert (wrong.code, wrong.file) == ("approval_differs", f"lists/{story.pk}/list.json")


class TestOtherWorlds:
    def test_are_refused(self, story: Disbursement, tmp_path: Path) -> None:
        pack, receipt = tmp_path / "pack.zip", tmp_path / "receipt.json"
        call_command("audit_pack", str(pack), all=True)
        call_command("receipt", Payment.objects.filter(disbursement=story).latest("pk").pk, str(receipt))
        other = str(note.Signer("govpay/regtest", bytes(32)).verifier)
        for path in (pack, receipt):
            assert run(path, "--network", "signet")[0] == 1
            assert "wrong_network" in run(path, "--network", "signet")[1]
            assert "unknown_key" in run(path, "--key", other)[1]
            code, said = run(path, "--node", "http://user:secret@127.0.0.1:9")
            assert (code, "node_silent" in said, "secret" in said) == (3, True, False)
            assert run(path, "--node", settings.GOVPAY_NODE_URL)[0] == 0
            path.write_bytes(path.read_bytes()[:-100])
            assert run(path)[0] == 2

    def test_in_which_the_blocks_are_gone_are_noticed(
        self, ministry: Ministry, story: Disbursement, tmp_path: Path
    ) -> None:
        pack = tmp_path / "pack"
        call_command("audit_pack", str(pack), all=True)
        depth = ministry.miner.node.call("getblockcount")
        anchored = Payout.objects.filter(kind="anchor").latest("pk")
        ministry.miner.reorg(
            depth - anchored.mined_height + 1, depth - anchored.mined_height + 2, with_mempool=False
        )
        code, said = run(pack, "--node", settings.GOVPAY_NODE_URL)
        assert (code, "not_in_chain" in said) == (1, True), said
        assert run(pack)[0] == 0
        ministry.mine(0)
        again = tmp_path / "again"
        call_command("audit_pack", str(again), all=True)
        code, said = run(again, "--node", settings.GOVPAY_NODE_URL)
        assert (code, "2 of 2 checkpoints are in no final block yet" in said) == (0, True), said


class TestReceipt:
    def test_verifies_with_nothing_else(self, story: Disbursement, tmp_path: Path) -> None:
        payment = Payment.objects.get(disbursement=story, amount_sat=50_000)
        path = tmp_path / "receipt.json"
        told = io.StringIO()
        call_command("receipt", payment.pk, str(path), stdout=told)
        assert told.getvalue().endswith(f"python3 -I ledger/verify.py {path}\n")
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
        assert f'"{payment.pk}\\"]' in private
        for other in Payment.objects.filter(disbursement=story).exclude(pk=payment.pk):
            # A line ends with the payment that it is of; an entry may have the same number.
            assert f'"{other.pk}\\"]' not in private
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

    def test_is_shown_to_whoever_was_given_its_address(self, story: Disbursement, client: Client) -> None:
        payment = Payment.objects.get(disbursement=story, amount_sat=50_000)
        address = person_receipt.address_of(payment.pk)
        answer = client.get(address, {"lang": "es"})
        assert answer.status_code == 200
        page = answer.content.decode()
        assert "50\xa0000 satoshis" in page
        assert payment.payout.mined_txid in page
        assert "<svg" in page
        file = client.get(f"{address}receipt.json")
        assert verify.check_receipt(file.content, "regtest").payment == str(payment.pk)

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


class TestRedaction:
    def test_leaves_a_pack_that_verifies_and_says_so(self, story: Disbursement, tmp_path: Path) -> None:
        clerk, judge = (factories.make_user(name, "ledger.redact_leaf") for name in ("clerk", "judge"))
        payout = Payout.objects.get(disbursement=story)
        entry = Entry.objects.get(kind="payout_sent", source_ref=f"payout:{payout.pk}")
        asked = redaction.ask(by=clerk, entry_id=entry.pk, why="A judge ordered it.")
        redaction.carry_out(by=judge, request_id=asked.pk)
        call_command("audit_pack", str(tmp_path / "pack"), all=True)
        code, said = run(tmp_path / "pack")
        assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said
        assert "NOTE 1 entries are blacked out; the tree over them is whole." in said
        assert f"NOTE The books do not say that payout {payout.pk} left." in said
        for path in (tmp_path / "pack").rglob("*"):
            assert path.is_dir() or entry.idempotency_key.encode() not in path.read_bytes(), path
        payment = Payment.objects.filter(disbursement=story).first()
        with pytest.raises(receipts.NoReceipt) as refusal:
            receipts.make(payment.pk)
        assert refusal.value.details["rule"] == "redacted"


class TestStatements:
    def test_are_as_many_for_any_number_of_lists_checkpoints_and_runs(
        self, story: Disbursement, ministry: Ministry, tmp_path: Path
    ) -> None:
        def build(name: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                call_command("audit_pack", str(tmp_path / name), all=True)
            code, said = run(tmp_path / name)
            assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said
            return len(captured)

        few = build("few")
        for month in (10, 11, 12):
            ministry.deposit([900_000])
            ministry.pay(ministry.release(AMOUNTS, period=f"2027-{month}"))
            ministry.mine(6)
            seal_and_anchor(ministry)
            service.reconcile(scope=None, now=timezone.now())
        sealer.seal()
        checkpoints.issue()
        assert build("many") == few
        _, said = run(tmp_path / "many")
        assert said.splitlines()[2:5] == [
            "  6 checkpoints, each continuing the one before; 4 in blocks",
            "  4 lists, 12 payments in 8 payouts as they were approved",
            "  8 blocks, 4 reconciliation runs",
        ]


class TestSelections:
    def test_of_a_list_hides_all_other_entries(
        self, story: Disbursement, ministry: Ministry, tmp_path: Path
    ) -> None:
        ministry.deposit([900_000])
        other = ministry.release([70_000, 80_000], period="2026-12")
        ministry.pay(other)
        ministry.mine(6)
        prove_all()
        sealer.seal()
        checkpoints.issue()
        call_command("audit_pack", str(tmp_path / "pack"), disbursement=str(story.pk))
        code, said = run(tmp_path / "pack")
        assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said
        assert f"Pack of disbursement {story.pk} on regtest" in said
        assert "1 list, 3 payments in 1 payout as they were approved" in said
        for path in (tmp_path / "pack").rglob("*"):
            assert path.is_dir() or f"disbursement:{other.pk}" not in path.read_text(errors="replace"), path
        call_command("audit_pack", str(tmp_path / "other"), disbursement=str(other.pk))
        assert run(tmp_path / "other")[0] == 0

    def test_of_a_period_and_of_a_scope(
        self, story: Disbursement, ministry: Ministry, tmp_path: Path
    ) -> None:
        Period.objects.create(name="2026", ends_at=timezone.now() + timedelta(days=1), opened_by="dalia")
        for name, which in (
            ("period", {"period": "2026"}),
            ("scope", {"all": True, "scope": ministry.program.scope}),
        ):
            call_command("audit_pack", str(tmp_path / name), **which)
            code, said = run(tmp_path / name)
            assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said
            leaves = Leaf.objects.count()
            assert f"7 entries with 19 lines, all balanced; the tree has {leaves} leaves" in said

    def test_of_a_period_has_lists_that_were_approved_in_the_one_before(
        self, ministry: Ministry, tmp_path: Path
    ) -> None:
        now = timezone.now()
        for name, ends_at in (("2026-10", now - timedelta(hours=1)), ("2026-11", now + timedelta(days=1))):
            Period.objects.create(name=name, ends_at=ends_at, opened_by="dalia")
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=AMOUNTS)
        made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
        agreed = {"disbursement_id": made.pk, "manifest_hash": bytes(made.manifest_hash or b"")}
        disbursements.approve(by=ministry.approver, now=now - timedelta(hours=2), **agreed)
        disbursements.release(by=ministry.releaser, **agreed)
        ministry.pay(made)
        ministry.mine(6)
        prove_all()
        sealer.seal()
        checkpoints.issue()
        for name, lacking in (("2026-10", "released"), ("2026-11", "approved")):
            call_command("audit_pack", str(tmp_path / name), period=name)
            code, said = run(tmp_path / name)
            assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said
            assert f"NOTE The books do not say that list {made.pk} was {lacking}." in said

    def test_of_all_books_show_the_runs_of_programs_without_entries(
        self, story: Disbursement, ministry: Ministry, tmp_path: Path
    ) -> None:
        other = factories.make_program("QUIET")
        service.reconcile(scope=other.scope, now=timezone.now())
        sealer.seal()
        checkpoints.issue()
        for name, which, runs in (
            ("all", {"all": True}, "2 reconciliation runs"),
            ("scope", {"all": True, "scope": other.scope}, "1 reconciliation run"),
            ("list", {"disbursement": str(story.pk)}, "1 reconciliation run"),
        ):
            call_command("audit_pack", str(tmp_path / name), **which)
            code, said = run(tmp_path / name)
            assert (code, f", {runs}\n" in said) == (0, True), said
            assert ("leaves are hidden" in said) == (name != "all"), said
        assert f"Pack of all {other.scope} on regtest" in run(tmp_path / "scope")[1]

    def test_of_people_who_have_another_name_by_now(self, story: Disbursement, tmp_path: Path) -> None:
        User.objects.update(username=Concat("username", Value("-renamed")))
        call_command("audit_pack", str(tmp_path / "pack"), disbursement=str(story.pk))
        code, said = run(tmp_path / "pack")
        assert (code, said.splitlines()[-1]) == (0, "VERIFIED"), said

    def test_say_how_much_is_younger(self, story: Disbursement, ministry: Ministry, tmp_path: Path) -> None:
        ministry.deposit([500_000])
        call_command("audit_pack", str(tmp_path / "pack"), all=True)
        code, said = run(tmp_path / "pack")
        assert (code, "NOTE 1 entries are younger than the last checkpoint" in said) == (0, True), said

    @pytest.mark.parametrize(
        ("which", "code"),
        [
            ({"disbursement": "999999"}, "not_found"),
            ({"period": "x"}, "not_found"),
            ({"disbursement": "x"}, "invalid"),
            ({"all": True, "scope": "program:999999"}, "not_found"),
        ],
    )
    def test_refuse_what_is_not_there_and_leave_nothing(
        self, story: Disbursement, tmp_path: Path, which: dict[str, str], code: str
    ) -> None:
        for name in ("pack", "pack.zip"):
            with pytest.raises(CommandError, match=code):
                call_command("audit_pack", str(tmp_path / name), **which)
        assert list(tmp_path.iterdir()) == []

    def test_refuse_a_list_of_which_nothing_is_sealed(
        self, story: Disbursement, ministry: Ministry, tmp_path: Path
    ) -> None:
        made = ministry.release([70_000], period="2026-12")
        with pytest.raises(CommandError, match="nothing_sealed"):
            call_command("audit_pack", str(tmp_path / "pack"), disbursement=str(made.pk))
        assert list(tmp_path.iterdir()) == []

    def test_never_overwrite(self, story: Disbursement, tmp_path: Path) -> None:
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / "mine").write_text("kept")
        (tmp_path / "pack.zip").write_text("kept")
        for name in ("pack", "pack.zip"):
            with pytest.raises(CommandError, match="cannot be written"):
                call_command("audit_pack", str(tmp_path / name), all=True)
        assert (tmp_path / "pack" / "mine").read_text() == (tmp_path / "pack.zip").read_text() == "kept"
