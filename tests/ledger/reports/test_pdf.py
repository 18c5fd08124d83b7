"""Reports that are signed: what stands on the page, the same bytes each time, and a note that no other file has."""

import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest

from govpay.errors import Conflict, InvalidInput
from ledger import books, reports
from ledger.models import AccountKind
from ledger.reports import documents, pdf, signing
from ledger.seals import checkpoints, note, sealer
from tests.ledger.months import CODES, SCOPE

NOW = datetime(2100, 1, 1, 12, 30, 15, tzinfo=UTC)
SIGNED = [name for name, report in reports.REPORTS.items() if report.signed]
NAME = "خزانہ کھاتہ ٹ ڈ ں ے"
TRICKY = '#panic("x") $1$ *bold* [c] \\ @ref <l> \u202egnikcirt 你😀\n'


@pytest.fixture
def key(settings: Any) -> bytes:
    """The installation has a key that signs."""
    settings.GOVPAY_SEAL_KEY = bytes(range(32))
    return bytes(range(32))


@pytest.fixture
def names(entry_ids: list[int]) -> None:
    """Two accounts with names that a page could stumble over."""
    books.open_accounts(
        "names",
        [
            books.NewAccount("Assets:Urdu", NAME, AccountKind.ASSET, "PKR", 2),
            books.NewAccount("Assets:Tricky", TRICKY + "x" * 120, AccountKind.ASSET, "PKR", 2),
        ],
    )


def make(name: str, form: str, **given: Any) -> bytes:
    report = reports.get_report(name)
    given = {"scope": SCOPE, "month": "2026-11"} | given
    return b"".join(documents.produce(report, form, reports.ask(report, now=NOW, **given)))


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Keep what the last page said, which typst then sets as ever."""
    said: dict[str, Any] = {}
    compile_ = pdf._compile

    def keep(content: dict[str, Any]) -> bytes:
        made = compile_(content)
        said.clear()
        said.update(content)
        return made

    monkeypatch.setattr(pdf, "_compile", keep)
    return said


class TestPdf:
    @pytest.mark.parametrize("name", SIGNED)
    def test_is_an_archive_format_and_the_same_each_time(self, entry_ids: list[int], name: str) -> None:
        made = make(name, "pdf")
        assert made.startswith(b"%PDF-")
        assert b"<pdfaid:part>2</pdfaid:part>" in made
        assert b"<pdfaid:conformance>B</pdfaid:conformance>" in made
        assert make(name, "pdf") == made
        assert make(name, "pdf", month="2026-10") != made

    def test_says_what_was_asked_and_every_row(self, entry_ids: list[int], page: dict[str, Any]) -> None:
        make("statement", "pdf")
        assert (page["title"], page["scope"]) == ("Statement of a program", SCOPE)
        assert page["time"] == (
            "from 2026-11-01 00:00:00 UTC before 2026-12-01 00:00:00 UTC, as known at 2100-01-01 12:30:15 UTC"
        )
        assert page["checkpoint"] == "No checkpoint of the books was signed by then."
        assert page["headings"] == ["Part", "Item", "Name", "Currency", "Amount"]
        assert page["right"] == [False, False, False, False, True]
        assert page["rows"][0] == ["held before", "", "", "sat", "818,766"]
        assert ["assets", CODES.hot_wallet, "Funding wallet", "sat", "728,065"] in page["rows"]
        assert len(page["rows"]) == 12
        assert page["made"] == {"year": 2100, "month": 1, "day": 1, "hour": 12, "minute": 30, "second": 15}

    def test_leaves_out_columns_that_nobody_filled(self, entry_ids: list[int], page: dict[str, Any]) -> None:
        make("trial-balance", "pdf", scope="treasury")
        assert page["headings"] == ["Account", "Name", "Kind", "Currency", "Debits", "Credits", "Balance"]
        assert page["rows"][0][3:] == ["PKR", "145,000.50", "0.00", "145,000.50"]

    @pytest.mark.usefixtures("names")
    def test_sets_names_of_any_script_and_never_as_markup(self, page: dict[str, Any]) -> None:
        made = make("trial-balance", "pdf", scope="names")
        assert b"NotoNaskhArabic" in made
        tricky, urdu = (row[1] for row in page["rows"])
        assert urdu == NAME
        assert tricky == (
            '#panic("x") $1$ *bold* [c] \\ @ref <l> <U+202E>gnikcirt <U+4F60><U+1F600> ' + "x" * 120
        )

    def test_of_nothing_says_so(self, db: None, page: dict[str, Any]) -> None:
        made = make("suspense", "pdf")
        assert made.startswith(b"%PDF-")
        assert page["rows"] == []

    def test_is_refused_when_nobody_would_read_it(
        self, entry_ids: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pdf, "MOST_ROWS", 12)
        make("statement", "pdf")
        monkeypatch.setattr(pdf, "MOST_ROWS", 11)
        with pytest.raises(pdf.TooLong) as caught:
            make("statement", "pdf")
        assert caught.value.code == "too_long"

    @pytest.mark.parametrize("form", ["pdf", "signed", "beancount", "camt053", "xls", ""])
    def test_of_the_general_ledger_is_refused(self, entry_ids: list[int], form: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            make("general-ledger", form)
        assert caught.value.code == "unknown_form"


def opened(archive: bytes) -> tuple[bytes, str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        name, note_name = found.namelist()
        assert note_name == f"{name}.note"
        return found.read(name), found.read(note_name).decode()


class TestSigned:
    def test_has_the_pdf_and_a_note_over_it(self, entry_ids: list[int], key: bytes) -> None:
        archive = make("statement", "signed")
        assert make("statement", "signed") == archive
        document, signed = opened(archive)
        assert document == make("statement", "pdf")
        signing.check(document, signed, checkpoints.signer().verifier)
        assert signed.startswith('govpay/regtest/report\nstatement\n{"account":null,"before":"2026-12-01T')

    def test_fails_for_every_byte_that_was_changed(self, entry_ids: list[int], key: bytes) -> None:
        document, signed = opened(make("suspense", "signed"))
        verifier = checkpoints.signer().verifier
        for place in range(0, len(document), 101):
            changed = bytearray(document)
            changed[place] ^= 1
            with pytest.raises(signing.ReportRefused):
                signing.check(bytes(changed), signed, verifier)
        body = signed.encode()
        for place in range(len(body)):
            changed = bytearray(body)
            changed[place] ^= 1
            try:
                text = changed.decode()
            except UnicodeDecodeError:
                continue
            with pytest.raises(note.NoteRefused):
                signing.check(document, text, verifier)

    def test_fails_under_another_key(self, entry_ids: list[int], key: bytes) -> None:
        document, signed = opened(make("suspense", "signed"))
        other = note.Signer("govpay/regtest", bytes(32)).verifier
        with pytest.raises(note.NoteRefused):
            signing.check(document, signed, other)

    def test_is_never_taken_for_a_checkpoint(self, entry_ids: list[int], key: bytes) -> None:
        document, signed = opened(make("suspense", "signed"))
        with pytest.raises(note.NoteRefused):
            note.TreeHead.parse(note.Note.parse(signed).text)
        signer = checkpoints.signer()
        text = str(note.TreeHead(signer.name, 1, bytes(32)))
        head = str(note.Note(text, (signer.sign(text),)))
        with pytest.raises(signing.ReportRefused):
            signing.check(document, head, signer.verifier)

    def test_is_refused_without_a_key(self, entry_ids: list[int], settings: Any) -> None:
        settings.GOVPAY_SEAL_KEY = None
        with pytest.raises(Conflict) as caught:
            make("statement", "signed")
        assert caught.value.code == "no_seal_key"


@pytest.mark.django_db(transaction=True)
class TestBasis:
    def test_names_the_checkpoint_that_stood_then(
        self, entry_ids: list[int], key: bytes, page: dict[str, Any]
    ) -> None:
        sealer.seal()
        signed = checkpoints.issue()
        assert signed is not None
        make("statement", "pdf")
        assert page["checkpoint"] == (
            f"Checkpoint over 10 leaves, head {bytes(signed.seal.root).hex()},"
            f" note SHA-256 {checkpoints.digest(signed).hex()}."
        )
