"""``manage.py report``: tables on the screen, files that are whole or not there, and the check of a signed one."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from deploy.local.stack import ROOT
from ledger.management.commands import report as command
from ledger.reports import documents
from ledger.seals import checkpoints, note
from tests.ledger.months import CODES, SCOPE

NOVEMBER = ["--month", "2026-11"]
OVER = ["--month", "2026-10"]


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("report", *arguments, stdout=out)
    return out.getvalue()


def cells(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("│┃").split("│")] for line in text.splitlines() if "│" in line
    ]


class TestReport:
    def test_lists_what_there_is(self, db: None) -> None:
        lines = run().splitlines()
        assert [line.split(" ")[0] for line in lines] == list(documents.DOCUMENTS)
        assert lines[0].startswith("trial-balance (csv, jsonl, pdf, signed): ")
        assert lines[-1].startswith("account-statement (camt053): ")

    def test_prints_a_table(self, entry_ids: list[int]) -> None:
        text = run("budget", "--before", "2026-12-01")
        assert "Budget against actual, before 2026-12-01 00:00:00 UTC" in " ".join(text.split())
        assert cells(text) == [
            # Program, entity, function, fund, project, currency, budget, promised, spent, owed, available, used.
            f"{SCOPE}|A01|10.71|F1|P-9|sat|1,000,000|25,000|271,935|270,000|703,065|29.69 %".split("|"),
            ["treasury", "", "", "", "", "PKR", "145,000.50", "0.00", "0.00", "0.00", "145,000.50", "0.00 %"],
        ]

    def test_prints_no_more_rows_than_anybody_reads(
        self, entry_ids: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "MOST_SHOWN", 2)
        text = run("general-ledger", "--account", CODES.hot_wallet)
        assert [row[3] for row in cells(text) if row[3]] == ["opening", "line"]
        assert "The first 2 rows." in text

    def test_prints_a_form_to_standard_output(self, entry_ids: list[int]) -> None:
        head, *rows, end = run("statement", "--scope", SCOPE, *NOVEMBER, "--format", "jsonl").splitlines()
        assert json.loads(head)["report"] == "statement"
        assert json.loads(end) == {"rows": len(rows)} == {"rows": 12}
        assert run("journal", *NOVEMBER).startswith("entry_id,kind,scope,")
        assert run("account-statement", "--account", CODES.hot_wallet).startswith("<?xml ")

    @pytest.mark.parametrize(
        ("name", "form"),
        [
            (document.name, form.name)
            for document in documents.DOCUMENTS.values()
            for form in documents.forms_of(document)
        ],
    )
    def test_writes_every_document_in_every_form(
        self, entry_ids: list[int], settings: Any, tmp_path: Path, name: str, form: str
    ) -> None:
        settings.GOVPAY_SEAL_KEY = bytes(32)
        document = documents.DOCUMENTS[name]
        chosen = ["--scope", SCOPE] if "scope" in document.takes else []
        chosen += ["--account", CODES.hot_wallet] if "account" in document.takes else []
        target = tmp_path / "file"
        said = run(name, *chosen, *OVER, "--format", form, "--output", str(target))
        assert said.rstrip().endswith(f"written to {target}.")
        begin = {
            "pdf": b"%PDF-",
            "signed": b"PK\x03\x04",
            "camt053": b"<?xml ",
            "beancount": b"option ",
            "jsonl": b"{",
        }
        assert target.read_bytes().startswith(begin.get(form, b""))
        assert target.stat().st_size > 60
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["statement"], r"^invalid_input: Statement of a program needs scope\. Give --scope\."),
            (["monthly-account"], r"needs month or period or since\. Give --month or --period or --since\."),
            (["account-statement"], "needs account"),
            (["account-statement", "--account", "Assets:Nowhere"], "^not_found: There is no account Assets:"),
            (["general-ledger", "--account", "Assets:Nowhere"], "^not_found: There is no account Assets:"),
            (
                ["monthly-account", "--month", "9998-01", "--format", "signed"],
                "^time_not_over: Monthly account is",
            ),
            (["account-statement", "--account", CODES.payable], "is no asset"),
            (["fees", "--layer", "pending"], "takes no layer"),
            (["fees", "--since", "yesterday"], "--since cannot be 'yesterday'"),
            (["suspense", "--since", "2026-11-01"], "takes no since"),
            (["fees", "--month", "2026-13"], "is no month"),
            (["fees", "--period", "2026-11"], "There is no period 2026-11"),
            (["fees", "--format", "beancount"], "not as 'beancount'"),
            (["general-ledger", "--format", "pdf"], "not as 'pdf'"),
            (["fees", "--format", "signed"], "GOVPAY_SEAL_KEY is not set"),
            (["balance-sheet"], "invalid choice"),
            (["check"], "Name the PDF"),
        ],
    )
    def test_refuses_in_one_sentence(
        self, entry_ids: list[int], settings: Any, tmp_path: Path, arguments: list[str], message: str
    ) -> None:
        settings.GOVPAY_SEAL_KEY = None
        with pytest.raises(CommandError, match=message):
            run(*arguments, *([] if arguments == ["check"] else ["--output", str(tmp_path / "file")]))
        assert list(tmp_path.iterdir()) == []

    def test_overwrites_nothing(self, entry_ids: list[int], tmp_path: Path) -> None:
        target = tmp_path / "file"
        target.write_text("mine")
        with pytest.raises(CommandError, match="exists already"):
            run("fees", "--output", str(target))
        with pytest.raises(CommandError, match="cannot be written"):
            run("fees", "--output", str(tmp_path / "no" / "file"))
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "mine")]

    def test_leaves_no_half_of_a_file(
        self, entry_ids: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def break_off(*_: object) -> Any:
            yield b"half"
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(documents, "produce", break_off)
        with pytest.raises(CommandError, match="No space left"):
            run("fees", "--output", str(tmp_path / "file"))
        assert list(tmp_path.iterdir()) == []


class TestCheck:
    @pytest.fixture
    def signed(self, entry_ids: list[int], settings: Any, tmp_path: Path) -> Path:
        """A signed report, unpacked."""
        settings.GOVPAY_SEAL_KEY = bytes(32)
        run("fees", "--format", "signed", "--output", str(tmp_path / "fees.zip"))
        with zipfile.ZipFile(tmp_path / "fees.zip") as archive:
            archive.extractall(tmp_path)
        return tmp_path / "fees.pdf"

    def test_says_that_the_file_is_the_one(self, signed: Path) -> None:
        key = str(checkpoints.signer().verifier)
        for arguments in ([], ["--key", key]):
            said = run("check", str(signed), *arguments)
            assert said.rstrip().startswith(f"{signed} is the file that govpay/regtest signed")

    def test_refuses_another_file_another_key_and_none(self, signed: Path) -> None:
        other = str(note.Signer("govpay/regtest", bytes(range(32))).verifier)
        with pytest.raises(CommandError, match="did not sign"):
            run("check", str(signed), "--key", other)
        with pytest.raises(CommandError, match="no Ed25519 key"):
            run("check", str(signed), "--key", "x")
        signed.write_bytes(signed.read_bytes()[:-1])
        with pytest.raises(CommandError, match="not the file that was signed"):
            run("check", str(signed))
        Path(f"{signed}.note").unlink()
        with pytest.raises(CommandError, match="cannot be read"):
            run("check", str(signed))


@pytest.mark.django_db(transaction=True)
def test_gives_bytes_to_a_pipe(entry_ids: list[int], settings: Any) -> None:
    """A PDF that goes to standard output in a process of its own is the same as in a file."""
    database = settings.DATABASES["default"]
    url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    done = subprocess.run(
        [sys.executable, "manage.py", "report", "fees", *NOVEMBER, "--format", "pdf"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"%PDF-")
    assert done.stdout.rstrip().endswith(b"%%EOF")
