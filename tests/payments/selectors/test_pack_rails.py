"""Packs and receipts of lists by bank and by voucher: they hold the evidence of settlement, and say whose word it is."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from ledger import verify
from tests.payments.selectors.rail_story import Honest, check, hide

# The database is made only for tests that are marked; the honest packs are what needs it.
pytestmark = pytest.mark.django_db


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """The verifier's exit code and what it says."""
    capsys.readouterr()
    done = verify.main(["--quiet", *map(str, arguments)])
    return done, capsys.readouterr().out


class TestHonest:
    @pytest.mark.parametrize(
        ("name", "said"),
        [
            (
                "bank",
                [
                    "[bank's word] transfers by bank: 1 of 14500.00 PKR paid, 1 of 15000.00 PKR rejected,"
                    " 1 of 500.00 PKR not answered"
                ],
            ),
            (
                "slips",
                [
                    "[desk's word] vouchers: 1 of 1000.00 PKR redeemed, 3 of 9000.00 PKR expired or cancelled,"
                    " 0 of 0.00 PKR out"
                ],
            ),
        ],
    )
    def test_packs_are_verified_and_say_whose_word_it_is(
        self, honest: Honest, name: str, said: list[str], tmp_path: Path
    ) -> None:
        pack = check(honest.copy(name, tmp_path))
        assert (pack.ways(), pack.lacks) == (said, {})
        whose = {
            "bank": "banks' word as the ministry took it",
            "slips": "word of the agents who took the codes",
        }
        assert any(whose[name] in remark for remark in pack.remarks)

    def test_a_list_that_pays_the_dead_anew_has_the_proof_of_their_death_beside_it(
        self, honest: Honest, tmp_path: Path
    ) -> None:
        pack = check(honest.copy("again", tmp_path))
        assert (pack.counts["lists"], pack.counts["reissues"], pack.lacks) == (2, 1, {})
        assert sorted(pack.rails.items()) == [(str(honest.banked), "bank"), (str(honest.again), "voucher")]

    def test_all_books_are_verified(self, honest: Honest, capsys: pytest.CaptureFixture[str]) -> None:
        done, said = run(
            capsys, honest.folder / "all", "--document", honest.file, "--document", honest.answer
        )
        assert (done, said.splitlines()[-1]) == (0, "VERIFIED"), said
        assert "  2 documents of banks compared with it" in said.splitlines()
        assert "  1 payment in the place of others that are dead" in said.splitlines()

    def test_have_no_names_accounts_and_words_about_people(self, honest: Honest) -> None:
        told = honest.file.read_text(encoding="utf-8")
        accounts = re.findall("<IBAN>([A-Z0-9]+)</IBAN>", told)
        assert len(accounts) == 4
        # Words, for letters in a row may stand in a signature by chance.
        words = re.compile(rf"(?<![\w+/])({'|'.join([*accounts, 'Ana', 'Pension Fund'])})(?![\w+/=])")
        assert words.search(told) is not None
        for path in (honest.folder / "all").rglob("*"):
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            assert words.search(text) is None, path

    def test_of_a_period_say_what_another_period_may_hold(self, honest: Honest, tmp_path: Path) -> None:
        made = honest.copy("bank", tmp_path)
        made.edit("pack.json", selection={"kind": "period", "name": "2026-11", "scope": ""})
        hide(made, "rail_returned")
        made.reseal()
        pack = verify.Pack(verify.Folder(made.pack), None, (), lambda text: None)
        # All but the exports, in which a pack of a period has not what is hidden here.
        for step in ("manifest", "facts", "checkpoints", "journal", "headers", "lists", "payouts", "bank"):
            getattr(pack, f"check_{step}")()
        assert set(pack.lacks) == {"answer_not_booked"}


class TestDocuments:
    """What an auditor has from the bank."""

    def test_that_the_pack_does_not_name_is_refused(
        self, honest: Honest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "other.xml"
        other.write_bytes(honest.answer.read_bytes().replace(b"RJCT", b"ACSC"))
        done, said = run(capsys, honest.folder / "bank", "--document", other)
        assert (done, said.startswith(f"WRONG document_unknown: {other}")) == (1, True), said

    @pytest.mark.parametrize("raw", [b"", b"<a>", b"no", b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'])
    def test_that_is_none_is_said(
        self, honest: Honest, raw: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "other.xml"
        other.write_bytes(raw)
        done, said = run(capsys, honest.folder / "bank", "--document", other)
        assert (done, said.startswith("WRONG not_a_document")) == (2, True), said

    @pytest.mark.parametrize(
        ("which", "old", "new"),
        [
            ("file", "-2</EndToEndId>", "-7</EndToEndId>"),
            ("file", ">15000.00<", ">15000.01<"),
            ("file", "<NbOfTxs>3<", "<NbOfTxs>4<"),
            ("file", 'Ccy="PKR">500.00', 'Ccy="USD">500.00'),
            ("answer", "RJCT", "ACSC"),
            ("answer", "<TxSts>ACSC", "<TxSts>PDNG"),
            ("answer", "<GrpSts>PART", "<GrpSts>RJCT"),
            ("answer", "<OrgnlMsgId>GP", "<OrgnlMsgId>GQ"),
        ],
    )
    def test_that_says_something_else_is_refused(
        self,
        honest: Honest,
        which: str,
        old: str,
        new: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Its hash is in the sealed books: they were forged too, and the extract was not."""
        path = honest.file if which == "file" else honest.answer
        text = path.read_text(encoding="utf-8")
        assert old in text
        other = tmp_path / path.name
        other.write_text(text.replace(old, new), encoding="utf-8")
        pack = check(honest.copy("bank", tmp_path))
        table, digest = ("bank_file", "report")[which == "answer"], hashlib.sha256(other.read_bytes())
        pack.table.execute(f"UPDATE {table} SET sha256 = ?", (digest.hexdigest(),))
        with pytest.raises(verify.Wrong) as found:
            pack.compare("other", other)
        assert found.value.code == "document_differs"


class TestReceipt:
    def test_by_bank_names_transfer_file_and_answer(
        self, honest: Honest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = verify.check_receipt(honest.receipts["bank"].read_bytes(), "regtest")
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (honest.file, honest.answer)]
        assert (found.rail, found.amount, found.told["transfer"][-2:]) == ("bank", "14500.00 PKR", "-1")
        assert [found.told["file"], found.told["answer"]] == digests
        done, said = run(capsys, honest.receipts["bank"])
        assert (done, "  [bank's word] transfer GP" in said, "no block proves it" in said) == (
            0,
            True,
            True,
        ), said

    def test_by_voucher_names_voucher_and_agent(
        self, honest: Honest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        done, said = run(capsys, honest.receipts["voucher"])
        assert (done, "  [desk's word] voucher " in said, "of 15000.00 PKR was paid by voucher" in said) == (
            0,
            True,
            True,
        )

    @pytest.mark.parametrize(
        ("name", "changes", "code"),
        [
            ("bank", {"amount_minor": "1450001"}, "wrong_amount"),
            ("bank", {"payment": "999"}, "wrong_line"),
            ("bank", {"rail": "voucher"}, "wrong_entry"),
            ("voucher", {"rail": "bank"}, "wrong_entry"),
            ("bank", {"network": "signet"}, "wrong_network"),
        ],
    )
    def test_is_refused_where_it_was_forged(
        self, honest: Honest, name: str, changes: dict[str, str], code: str
    ) -> None:
        record = json.loads(honest.receipts[name].read_text(encoding="utf-8")) | changes
        with pytest.raises(verify.Wrong) as refused:
            verify.check_receipt(f"{verify.canonical(record)}\n".encode(), "regtest")
        assert refused.value.code == code

    @pytest.mark.parametrize("piece", ["sent", "settled"])
    def test_is_refused_with_another_line(self, honest: Honest, piece: str) -> None:
        record = json.loads(honest.receipts["bank"].read_text(encoding="utf-8"))
        record[piece]["line"]["text"] = record[piece]["line"]["text"].replace("1450000", "1450001")
        with pytest.raises(verify.Wrong) as refused:
            verify.check_receipt(f"{verify.canonical(record)}\n".encode(), "regtest")
        assert refused.value.code == "not_included"

    def test_is_refused_where_it_left_and_never_arrived(self, honest: Honest) -> None:
        record = json.loads(honest.receipts["bank"].read_text(encoding="utf-8"))
        record["settled"] = record["sent"]
        with pytest.raises(verify.Wrong) as refused:
            verify.check_receipt(f"{verify.canonical(record)}\n".encode(), "regtest")
        assert refused.value.code == "wrong_entry"
