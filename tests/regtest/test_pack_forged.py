"""Packs and receipts that a dishonest holder of the log's key builds: each is refused by name, or the verifier says what it
does not know. The honest ones they are made of are of a list that a real node paid."""

import json
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_django
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from ledger import verify
from ledger.models import Checkpoint, Period
from ledger.seals import checkpoints, note, sealer
from payments.models import Payment
from tests import services
from tests.conftest import books_may_be_emptied
from tests.regtest import forger, paid_list
from tests.regtest.forger import LEAVES, SEED, THIEF, Forger
from tests.regtest.ministry import Ministry
from tests.regtest.paid_list import ministry as ministry
from tests.regtest.paid_list import prove_all

# The database is made only for tests that are marked; the honest packs are what needs it.
pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Honest:
    """What an honest ministry handed out: packs of one list and of all books, a receipt, a checkpoint that was kept."""

    folder: Path
    list_id: int
    descriptors: list[str]

    @property
    def note(self) -> Path:
        """The checkpoint."""
        return self.folder / "kept.note"


@pytest.fixture(scope="module")
def honest(
    django_db_setup: None,
    django_db_blocker: pytest_django.DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Honest:
    """Made once: forging needs files only."""
    folder = tmp_path_factory.mktemp("honest")
    with django_db_blocker.unblock(), override_settings(**paid_list.rules()):
        ministry = Ministry.open(deposits_sat=paid_list.DEPOSITS)
        made = paid_list.tell_story(ministry)
        call_command("audit_pack", str(folder / "list"), disbursement=str(made.pk))
        call_command("audit_pack", str(folder / "all"), all=True)
        paid = Payment.objects.filter(disbursement=made).latest("pk")
        call_command("receipt", paid.pk, str(folder / "receipt.json"))
        (folder / "kept.note").write_text(Checkpoint.objects.earliest("pk").note, encoding="utf-8")
        known = ministry.wallet_rpc().call("listdescriptors")["descriptors"]
        with books_may_be_emptied():
            call_command("flush", interactive=False, verbosity=0)
    return Honest(folder, made.pk, [each["desc"] for each in known])


@pytest.fixture
def of_list(honest: Honest, tmp_path: Path) -> Forger:
    """A copy of the list's pack to forge."""
    return copy(honest, "list", tmp_path)


@pytest.fixture
def of_all(honest: Honest, tmp_path: Path) -> Forger:
    """A copy of the pack of all books to forge."""
    return copy(honest, "all", tmp_path)


def copy(honest: Honest, name: str, tmp_path: Path) -> Forger:
    shutil.copytree(honest.folder / name, tmp_path / name)
    return Forger(tmp_path / name)


def check(made: Forger, **known: Any) -> verify.Pack:
    """Let the verifier check what was forged, sealed anew."""
    made.reseal()
    pack = verify.Pack(verify.Folder(made.pack), None, (), lambda text: None, **known)
    pack.check()
    return pack


def code(made: Forger, **known: Any) -> str:
    """The code of what the verifier finds wrong."""
    with pytest.raises(verify.Wrong) as found:
        check(made, **known)
    return found.value.code


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """The verifier's exit code and what it says."""
    capsys.readouterr()
    done = verify.main(["--quiet", *map(str, arguments)])
    return done, capsys.readouterr().out


class TestHonest:
    def test_pass_planted_anew_and_say_what_is_their_own_word(self, of_list: Forger, of_all: Forger) -> None:
        for made in (of_list, of_all):
            made.plant(made.records(LEAVES))
            payouts = made.records("payouts.jsonl")
            own = [int(sat) for payout in payouts for _, _, sat in payout["versions"][0]["change"]]
            said = "\n".join(check(made).remarks)
            assert (
                f"{sum(own)} sat in {len(own)} outputs of txs in blocks went to {len(own)} scripts that are ours"
                in said
            )


class TestVoid:
    """A block holds a tx that pays a thief, and the pack calls it the payout's void, and the thief's script our own."""

    def void(self, made: Forger, spends: str, fee_sat: int) -> dict[str, Any]:
        """Mine the theft; return what changes in a payout's record."""
        raw = made.steal(spends, 400_000)
        for path in (made.pack / "checkpoints").iterdir():
            # The blocks of anchors would have to follow the forged one.
            if path.suffix != ".note":
                path.unlink()
        version = {
            "change": [[0, THIEF.hex(), "400000"]],
            "fee_sat": str(fee_sat),
            "kind": "void",
            "raw": raw,
        }
        height = made.records("headers.jsonl")[0]["height"]
        return {
            "fee_sat": str(fee_sat),
            "mined": made.mine(raw, height),
            "status": "voided",
            "versions": [version],
        }

    def test_that_the_books_know_nothing_of_is_refused(self, of_list: Forger) -> None:
        (payout,) = of_list.records("payouts.jsonl")
        made = self.void(of_list, payout["spends"], int(payout["fee_sat"]))
        made["versions"] = [*payout["versions"], *made["versions"]]
        of_list.write("payouts.jsonl", [payout | made])
        assert code(of_list) == "status_differs"
        payments = of_list.records("payments.jsonl")
        of_list.write("payments.jsonl", [payment | {"status": "voided"} for payment in payments])
        of_list.plant(of_list.records(LEAVES))
        assert code(of_list) == "void_not_booked"

    @pytest.mark.parametrize("fee_sat", [0, 110])
    def test_of_a_payout_that_the_books_do_not_know_is_refused(self, of_list: Forger, fee_sat: int) -> None:
        (payout,) = of_list.records("payouts.jsonl")
        made = self.void(of_list, "11" * 32 + ":0", fee_sat)
        other = {
            "kind": "consolidation",
            "list": None,
            "payout": str(int(payout["payout"]) + 1),
            "spends": "11" * 32 + ":0",
        }
        of_list.write("payouts.jsonl", [payout | {"mined": None}, payout | made | other])
        assert code(of_list) == "payout_not_booked"

    def test_that_the_books_took_back_while_a_block_pays_is_refused(self, of_list: Forger) -> None:
        (payout,) = of_list.records("payouts.jsonl")
        sent = next(
            list(map(json.loads, leaf["entry"][:-1].split("\n")))
            for leaf in of_list.records(LEAVES)
            if '"kind":"payout_sent"' in leaf.get("entry", "")
        )
        back = [[*line[:5], str(-int(line[5])), line[6]] for line in sent[1:] if line[6]]
        total = sum(int(line[5]) for line in back)
        heading = sent[0] | {"id": "999", "kind": "payout_voided", "lines": len(back) + 1, "memo": ""}
        wallet = next(line for line in sent[1:] if line[0].startswith("Assets:HotWallet"))
        of_list.add_leaf(heading, [*back, [*wallet[:5], str(-total), None]])
        assert code(of_list) == "void_differs"
        assert payout["kind"] == "payments"

    def test_or_change_that_goes_to_a_payee_is_refused(self, of_list: Forger) -> None:
        payee = of_list.records("payouts.jsonl")[0]["versions"][0]
        tx = verify.Tx(bytes.fromhex(payee["raw"]))
        made = self.void(of_list, tx.inputs[0], 110)
        script = tx.outputs[0][1].hex()
        made["versions"][0]["change"][0][1] = script
        made["versions"][0]["raw"] = made["versions"][0]["raw"].replace(THIEF.hex(), script)
        (payout,) = of_list.records("payouts.jsonl")
        of_list.write(
            "payouts.jsonl", [payout | {"versions": [*payout["versions"], *made["versions"]], "mined": None}]
        )
        assert code(of_list) == "own_script_of_payee"

    def test_of_unknown_kinds_are_refused(self, of_list: Forger) -> None:
        (payout,) = of_list.records("payouts.jsonl")
        for made in ({"kind": "refund"}, {"versions": [payout["versions"][0] | {"kind": "refund"}]}):
            of_list.write("payouts.jsonl", [payout | made])
            assert code(of_list) == "bad_record"


class TestAnchor:
    def test_that_commits_to_something_else_is_refused(self, of_all: Forger) -> None:
        anchor = of_all.records("payouts.jsonl")[1]
        assert anchor["kind"] == "anchor"
        other = str(of_all.size())
        of_all.write("payouts.jsonl", [of_all.records("payouts.jsonl")[0], anchor | {"checkpoint": other}])
        assert code(of_all) == "output_differs"


class TestOwnScripts:
    def test_are_compared_with_descriptors_by_a_node(
        self, honest: Honest, of_list: Forger, capsys: pytest.CaptureFixture[str]
    ) -> None:
        node = ["--node", services.ensure_node().url]
        descriptors = [part for text in honest.descriptors for part in ("--descriptor", text)]
        # As it is published: one for both branches, without a checksum.
        receiving = next(text for text in honest.descriptors if text.startswith("wpkh(") and "/0/*" in text)
        published = receiving.partition("#")[0].replace("/0/*", "/<0;1>/*")
        done, said = run(capsys, honest.folder / "list", *node, "--descriptor", published)
        assert (done, said.splitlines()[-1]) == (0, "VERIFIED"), said
        done, said = run(capsys, honest.folder / "list", *node, *descriptors)
        assert (done, "Every script that the pack calls ours is one of the descriptors'." in said) == (
            0,
            True,
        ), said
        other = "wpkh(0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798)"
        for wrong, named in (([other], "not_our_script"), (["wpkh(x)"], "bad_descriptor")):
            done, said = run(capsys, honest.folder / "list", *node, "--descriptor", *wrong)
            assert (done, f"WRONG {named}" in said) == (1, True), said
        done, said = run(capsys, honest.folder / "list", *descriptors)
        assert (done, "WRONG bad_usage" in said) == (2, True), said


class TestHidden:
    def test_leaves_in_a_pack_of_all_books_are_refused(self, honest: Honest, of_list: Forger) -> None:
        hidden = sum(1 << record["height"] for record in of_list.records(LEAVES) if "height" in record)
        shown = "\n".join(check(of_list).remarks)
        assert f"{hidden} of {of_list.size()} leaves are hidden. By the pack's own word they are" in shown
        of_list.change(
            "pack.json", f'"kind":"disbursement","name":"{honest.list_id}"', '"kind":"all","name":""'
        )
        assert code(of_list) == "leaves_hidden"


class TestExcuses:
    """What a pack says of itself to explain what its books lack."""

    def test_do_not_change_the_fee_of_the_one_tx_that_was_signed(self, of_list: Forger) -> None:
        (payout,) = of_list.records("payouts.jsonl")
        fee = str(int(payout["fee_sat"]) + 1)
        made = payout | {"fee_sat": fee, "versions": [payout["versions"][0] | {"fee_sat": fee}]}
        of_list.write("payouts.jsonl", [made])
        for excuse in ({"not_sealed": "5"}, {"selection": {"kind": "period", "name": "2026", "scope": ""}}):
            of_list.edit("pack.json", **excuse)
            assert code(of_list) == "fee_differs"

    def test_explain_one_thing_an_entry_and_are_told(self, of_list: Forger) -> None:
        def elsewhere(heading: dict[str, Any], lines: list[Any]) -> None:
            heading["source_ref"] = "disbursement:999"

        for kind in ("encumbrance", "commitment"):
            of_list.edit_entry(kind, elsewhere)
        of_list.edit("pack.json", not_sealed="1")
        assert code(of_list) == "release_not_booked"
        of_list.edit("pack.json", not_sealed="2")
        said = check(of_list).remarks
        for what in ("approved", "released"):
            assert any(
                f"was {what}. An entry that is blacked out or younger may say so." in each for each in said
            )


class TestBooks:
    @pytest.mark.parametrize("kind", ["encumbrance", "commitment", "payout_sent"])
    def test_without_the_memo_that_ties_them_are_refused(self, of_list: Forger, kind: str) -> None:
        of_list.edit_entry(kind, lambda heading, lines: heading.update(memo=""))
        assert code(of_list) == "memo_missing"

    def test_that_hold_or_owe_another_total_than_the_manifest_are_refused(self, of_list: Forger) -> None:
        def more(heading: dict[str, Any], lines: list[Any]) -> None:
            for line in lines:
                line[5] = str(int(line[5]) + (1 if int(line[5]) > 0 else -1))

        of_list.edit_entry("commitment", more)
        assert code(of_list) == "reversal_differs"
        of_list.edit_entry("encumbrance", more)
        assert code(of_list) == "booked_total_differs"

    def test_that_owe_less_than_the_lines_that_are_not_cancelled_are_refused(self, of_list: Forger) -> None:
        owed = next(
            record for record in of_list.records(LEAVES) if '"kind":"commitment"' in record.get("entry", "")
        )
        heading, *lines = map(json.loads, owed["entry"][:-1].split("\n"))
        less = heading | {"id": "999", "kind": "decommitment", "lines": 2, "memo": "", "reversal_of": None}
        of_list.add_leaf(
            less, [[*line[:5], str(sat), None] for line, sat in zip(lines[-2:], (-100, 100), strict=True)]
        )
        assert code(of_list) == "booked_total_differs"

    def test_with_a_reversal_that_is_no_mirror_are_refused(self, of_list: Forger) -> None:
        entries = [
            record for record in of_list.records(LEAVES) if '"kind":"commitment"' in record.get("entry", "")
        ]
        heading, *lines = map(json.loads, entries[0]["entry"][:-1].split("\n"))
        mirror = [[*line[:5], str(-int(line[5])), line[6]] for line in lines]
        undoes = heading | {
            "id": "999",
            "kind": "commitment_reversal",
            "reversal_of": heading["id"],
            "memo": "",
        }
        of_list.add_leaf(
            undoes, mirror[:-2] + [[*line[:5], str(2 * int(line[5])), line[6]] for line in mirror[-2:]]
        )
        assert code(of_list) == "reversal_differs"

    def test_with_a_reversal_of_nothing_are_refused(self, of_all: Forger) -> None:
        (first, *_) = (record for record in of_all.records(LEAVES) if "entry" in record)
        heading, *lines = map(json.loads, first["entry"][:-1].split("\n"))
        undoes = heading | {
            "id": "999",
            "kind": "funding_reversal",
            "reversal_of": "998",
            "source_ref": "outpoint:x",
        }
        of_all.add_leaf(undoes, lines)
        assert code(of_all) == "reversal_differs"

    def test_dated_into_a_sealed_period_are_refused(self, of_list: Forger) -> None:
        change = {
            "actor": "dalia",
            "digest": None,
            "ends_at": "2999-01-01T00:00:00.000000Z",
            "id": "1",
            "note": "",
            "period": "2026",
            "recorded_at": "2026-11-29T00:00:00.000000Z",
            "status": "closing",
            "through_entry_id": "0",
            "version": "govpay/period/1",
        }
        of_list.add_leaf(change, [])
        check(of_list)
        of_list.add_leaf(change | {"actor": "emil", "digest": "00" * 32, "id": "2", "status": "sealed"}, [])
        assert code(of_list) == "period_sealed"

    def test_with_a_time_in_another_spelling_are_refused(self, of_list: Forger) -> None:
        of_list.edit_entry(
            "commitment", lambda heading, lines: heading.update(effective_at="2026-11-29T00:00:00Z")
        )
        assert code(of_list) == "bad_time"


class TestSigners:
    OFFICER = Ed25519PrivateKey.from_private_bytes(bytes(32))
    PUBLIC = OFFICER.public_key().public_bytes_raw()

    def sign(self, made: Forger, honest: Honest) -> str:
        """Let a key that the forger made sign the manifest, as if the approver had."""
        name = f"lists/{honest.list_id}/list.json"
        (facts,) = made.records(name)
        message = b"govpay manifest signature 1\n" + bytes.fromhex(facts["manifest_sha256"])
        signature = {
            "by": facts["approved_by"],
            "public_key": self.PUBLIC.hex(),
            "signature": self.OFFICER.sign(message).hex(),
        }
        made.edit(name, signatures=[signature])
        return str(facts["approved_by"])

    def test_of_lists_are_the_packs_word_until_their_keys_are_given(
        self, of_list: Forger, honest: Honest
    ) -> None:
        assert "1 of 1 lists are signed by no officer's key" in "\n".join(check(of_list).remarks)
        approver = self.sign(of_list, honest)
        unpinned = f"The keys of these officers are the pack's own word: {approver}."
        assert unpinned in "\n".join(check(of_list).remarks)
        assert unpinned in "\n".join(check(of_list, officers={"zoe": bytes(32)}).remarks)
        assert unpinned not in "\n".join(check(of_list, officers={approver: self.PUBLIC}).remarks)
        assert code(of_list, officers={approver: bytes(32)}) == "unknown_key"
        assert code(of_list, officers={"zoe": self.PUBLIC}) == "unknown_key"

    def test_that_witness_are_the_packs_word_until_their_keys_are_given(self, of_list: Forger) -> None:
        witness = note.Signer("witness", bytes(32), note.WITNESS)
        size = of_list.size()
        text, _ = verify.read_note((of_list.pack / f"checkpoints/{size}.note").read_text(encoding="utf-8"))
        line = witness.sign(text, at_s=5).line()
        of_list.write(f"checkpoints/{size}.witnesses", [{"key": str(witness.verifier), "line": line}])
        unpinned = "The keys of these witnesses are the pack's own word: witness."
        assert unpinned in "\n".join(check(of_list).remarks)
        assert unpinned not in "\n".join(check(of_list, witnesses=[str(witness.verifier)]).remarks)
        other = str(note.Signer("witness", bytes([1] * 32), note.WITNESS).verifier)
        assert code(of_list, witnesses=[other]) == "unknown_key"
        stranger = str(note.Signer("stranger", bytes([1] * 32), note.WITNESS).verifier)
        said = "\n".join(check(of_list, witnesses=[stranger]).remarks)
        assert "The witness stranger signed nothing, and not the newest checkpoint." in said

    @pytest.mark.parametrize(
        "given",
        [
            ("--officer-key", "zoe"),
            ("--officer-key", "zoe=xy"),
            ("--witness-key", "x"),
            ("--witness-key", "LOG"),
        ],
    )
    def test_that_are_named_wrongly_are_asked_for_again(
        self, honest: Honest, capsys: pytest.CaptureFixture[str], given: tuple[str, str]
    ) -> None:
        option, text = given
        value = str(note.Signer("log", SEED).verifier) if text == "LOG" else text
        done, said = run(capsys, honest.folder / "list", option, value)
        assert (done, said.startswith("WRONG bad_usage")) == (2, True), said


class TestRuns:
    RUNS = "reconciliation/runs.jsonl"

    def test_that_are_left_out_are_found(self, of_list: Forger) -> None:
        of_list.write(self.RUNS, [])
        assert code(of_list) == "run_missing"

    def test_that_are_there_twice_are_refused(self, of_list: Forger) -> None:
        of_list.write(self.RUNS, of_list.records(self.RUNS) * 2)
        assert code(of_list) == "twice"

    def test_are_cut_only_where_more_was_found_than_is_stored(self, of_list: Forger) -> None:
        of_list.edit(self.RUNS, is_cut=True)
        assert code(of_list) == "run_differs"

        leaves = of_list.records(LEAVES)
        for leaf in leaves:
            if '"version":"govpay/run/1"' in leaf.get("entry", ""):
                heading = json.loads(leaf["entry"]) | {"break_count": 3}
                leaf["entry"] = forger.sealed(heading, [])
        of_list.plant(leaves)
        # Three breaks are stored, all of them: none may be left out.
        assert code(of_list) == "run_differs"

    def test_finished_at_another_time_are_refused(self, of_list: Forger) -> None:
        of_list.edit(self.RUNS, finished_at="2020-01-01T00:00:00.000000Z")
        assert code(of_list) == "run_differs"


class TestExports:
    BEANCOUNT, HLEDGER = "exports/journal.beancount", "exports/journal.journal"

    @pytest.mark.parametrize(
        ("name", "text", "code_of_it"),
        [
            (
                BEANCOUNT,
                '1999-01-01 * "opening" "What stood before x"\n  Assets:X  1.00000000 BTC\n',
                "opening_differs",
            ),
            (BEANCOUNT, 'plugin "os"\n', "bad_export"),
            (BEANCOUNT, '1999-01-01 * "opening" "x"\n', "bad_export"),
            (BEANCOUNT, '1999-01-01 ! "gift" "x" ^entry-1\n', "bad_export"),
            (BEANCOUNT, "    Assets:X  1.00000000 BTC\n", "bad_export"),
            (BEANCOUNT, "1999-01-01 balance Assets:X  1.00000000 ~ 0 BTC\n", "totals_differ"),
            (HLEDGER, "1999-01-01 * opening  ; what stood before x\n", "opening_differs"),
            (HLEDGER, "include /etc/passwd\n", "bad_export"),
            (HLEDGER, "    Assets:X  1.00000000 BTC\n", "bad_export"),
        ],
    )
    def test_with_what_the_books_do_not_say_are_refused(
        self, of_list: Forger, name: str, text: str, code_of_it: str
    ) -> None:
        of_list.add(name, text)
        assert code(of_list) == code_of_it

    def test_that_are_left_out_are_missed(self, of_list: Forger) -> None:
        (of_list.pack / self.BEANCOUNT).unlink()
        assert code(of_list) == "missing_file"


@pytest.mark.django_db(transaction=True)
class TestOpening:
    """What stood before a period."""

    def test_balances_and_is_the_same_in_each_journal(self, ministry: Ministry, tmp_path: Path) -> None:
        now = timezone.now()
        for name, ends_at in (("2026-10", now), ("2026-11", now + timedelta(days=1))):
            Period.objects.create(name=name, ends_at=ends_at, opened_by="dalia")
        ministry.pay(ministry.release([40_000]))
        ministry.mine(6)
        prove_all()
        sealer.seal()
        checkpoints.issue()
        call_command("audit_pack", str(tmp_path / "pack"), period="2026-11")
        made = Forger(tmp_path / "pack")
        said = "\n".join(check(made).remarks)
        assert "What stood on 2 accounts before the period is the pack's own word" in said
        for name, beginning in ((TestExports.BEANCOUNT, "  "), (TestExports.HLEDGER, "    ")):
            for old, new, found in (
                ("Assets:", "0.01900001", "opening_differs"),
                ("Equity:", "-0.01900001", "opening_differs"),
            ):
                shutil.copytree(made.pack, tmp_path / "forged")
                forged = Forger(tmp_path / "forged")
                text = (forged.pack / name).read_text(encoding="utf-8")
                was = next(
                    line
                    for line in text.splitlines()
                    if line.startswith(beginning + old) and line.endswith(" BTC")
                )
                account, _, rest = was.strip().partition("  ")
                assert rest == f"{new.replace('1900001', '1900000')} BTC"
                forged.change(name, was, f"{beginning}{account}  {new} BTC")
                assert code(forged) == found
                shutil.rmtree(forged.pack)


class TestReceipt:
    def test_with_headers_that_are_not_on_the_nodes_chain_is_refused(
        self, honest: Honest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = honest.folder / "receipt.json"
        node = ["--node", services.ensure_node().url]
        assert run(capsys, path, *node)[0] == 0
        receipt = json.loads(path.read_text(encoding="utf-8"))
        headers = receipt["output"]["headers"]
        # More work than was done, on top of what was.
        above = forger.mined(verify.Header(bytes.fromhex(headers[-2]), "regtest").hash, bytes(32))
        receipt["output"]["headers"] = [*headers[:-1], above.hex()]
        forged = tmp_path / "receipt.json"
        forged.write_text(verify.canonical(receipt) + "\n", encoding="utf-8")
        assert run(capsys, forged)[0] == 0
        done, said = run(capsys, forged, *node)
        assert (done, "WRONG not_in_chain" in said) == (1, True), said

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--officer-key", "zoe=" + "00" * 32),
            ("--witness-key", str(note.Signer("witness", SEED, note.WITNESS).verifier)),
        ],
    )
    def test_says_what_it_cannot_be_asked(
        self, honest: Honest, capsys: pytest.CaptureFixture[str], option: str, value: str
    ) -> None:
        done, said = run(capsys, honest.folder / "receipt.json", option, value)
        assert (done, said.startswith("WRONG bad_usage")) == (2, True), said

    def test_is_compared_with_a_kept_checkpoint_of_its_size(
        self, honest: Honest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, key = honest.folder / "receipt.json", note.Signer("govpay/regtest", SEED)
        done, said = run(capsys, path, "--seen", honest.note)
        assert (done, "only a pack connects them" in said) == (0, False), said
        size = json.loads(path.read_text(encoding="utf-8"))["entry"]["size"]
        kept = tmp_path / "kept.note"
        for over, expected in ((int(size), (1, "WRONG seen_differs")), (1, (0, "only a pack connects them"))):
            kept.write_text(forger.head_note(key, over, bytes(32)), encoding="utf-8")
            done, said = run(capsys, path, "--seen", kept)
            assert (done, expected[1] in said) == (expected[0], True), said


class TestSeen:
    """A checkpoint that the auditor kept from an earlier day."""

    def test_is_what_the_tree_grew_out_of(self, honest: Honest, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("list", "all"):
            done, said = run(capsys, honest.folder / name, "--seen", honest.note)
            assert (done, said.splitlines()[-1]) == (0, "VERIFIED"), said
        done, said = run(capsys, honest.folder / "all", "--seen", honest.folder / "nothing")
        assert (done, "WRONG not_readable" in said, "nothing" in said) == (2, True, True)

    def test_shows_that_the_books_were_written_anew(self, honest: Honest, of_list: Forger) -> None:
        kept = {"kept.note": honest.note.read_text(encoding="utf-8")}
        check(of_list, seen=kept)
        of_list.edit_entry("commitment", lambda heading, lines: heading.update(idempotency_key="another"))
        check(of_list)
        assert code(of_list, seen=kept) == "seen_differs"

    def test_of_another_size_or_log_is_refused(self, of_list: Forger) -> None:
        # The deposits, which a list's pack hides as one subtree, are the first two leaves.
        assert of_list.records(LEAVES)[0]["height"] == 1
        for size, found in ((1, "seen_missing"), (of_list.size() + 1, "seen_is_newer")):
            kept = forger.head_note(of_list.key, size, bytes(32))
            assert code(of_list, seen={"kept.note": kept}) == found
        other = forger.head_note(note.Signer("govpay/regtest", bytes(32)), 1, bytes(32))
        assert code(of_list, seen={"kept.note": other}) == "unknown_key"
