"""What is written for banks holds to ISO's schema, and what banks send is read safely, in memory that does not grow."""

import io
import re
import tracemalloc
from datetime import UTC, date, datetime

import pytest
from lxml import etree

from payments.rails import report, schema, transfer
from tests import banking

HEAD = transfer.Head(
    "GP20261130AB",
    datetime(2026, 11, 30, 9, 0, tzinfo=UTC),
    "PKR",
    2,
    2_900_001,
    transfer.Party("Pension & Aid Fund", banking.OWN, "SCBLPKKX"),
    date(2026, 12, 1),
)
TRANSFERS = [
    transfer.Transfer(
        "GP20261130AB-1", 1_450_000, transfer.Party("Ana <b>", banking.iban(1)), "2026-11 pension"
    ),
    transfer.Transfer("GP20261130AB-2", 1_450_001, transfer.Party("نور", banking.iban(2), "HABBPKKA")),
]
BOMB = '<!DOCTYPE Document [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE Document [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


def written(head: transfer.Head = HEAD, transfers: object = TRANSFERS) -> bytes:
    out = io.BytesIO()
    transfer.write(head, transfers, out)  # type: ignore[arg-type]
    return out.getvalue()


def read(file: io.BytesIO) -> tuple[report.Head, list[report.Status]]:
    found = report.Report(file)
    return found.begin(), list(found)


class TestWrite:
    """pain.001.001.09."""

    def test_holds_to_the_schema_of_iso_and_says_what_was_given(self) -> None:
        data = written()
        etree.XMLSchema(etree.parse(schema.FOLDER / "pain.001.001.09.xsd")).assertValid(
            etree.fromstring(data)
        )
        assert banking.read(data) == {
            "id": "GP20261130AB",
            "count": "2",
            "sum": "29000.01",
            "debtor": banking.OWN,
            "transfers": [
                {
                    "id": "GP20261130AB-1",
                    "amount": "14500.00",
                    "currency": "PKR",
                    "name": "Ana <b>",
                    "iban": banking.iban(1),
                },
                {
                    "id": "GP20261130AB-2",
                    "amount": "14500.01",
                    "currency": "PKR",
                    "name": "نور",
                    "iban": banking.iban(2),
                },
            ],
        }

    def test_the_same_lines_make_the_same_bytes(self) -> None:
        assert written() == written()

    def test_a_currency_without_minor_units_has_no_decimals(self) -> None:
        data = written(HEAD._replace(currency="JPY", total_minor=2_900_001))
        assert banking.read(data)["sum"] == "2900001"

    def test_memory_does_not_grow_with_the_list(self) -> None:
        class Nowhere(io.RawIOBase):
            def write(self, data: object) -> int:
                return len(data)  # type: ignore[arg-type]

        def peak(count: int) -> int:
            tracemalloc.start()
            transfer.write(HEAD, (TRANSFERS[0] for _ in range(count)), Nowhere())  # type: ignore[arg-type]
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        small, large = peak(200), peak(5_000)
        assert large < small + 200_000


class TestRead:
    """pain.002, in two versions."""

    @pytest.mark.parametrize("namespace", [banking.NS12, banking.NS03])
    def test_reads_head_and_statuses(self, namespace: str) -> None:
        said = {"GP20261130AB-1": ("ACSC", ""), "GP20261130AB-2": ("RJCT", "AC04")}
        head, statuses = read(banking.answer(written(), said, namespace=namespace, own="R1"))
        assert head == ("R1", "GP20261130AB", "pain.001.001.09", "PART", "2", "29000.01", "")
        assert statuses == [
            (1, "GP20261130AB-1", "ACSC", "", "14500.00", "PKR"),
            (2, "GP20261130AB-2", "RJCT", "AC04", "14500.01", "PKR"),
        ]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
    @pytest.mark.parametrize("prefix", ["", "p:"])
    def test_reads_the_same_in_any_encoding_and_with_any_prefix(self, encoding: str, prefix: str) -> None:
        text = banking.answer(written(), {"GP20261130AB-1": ("ACSC", "")}, own="R1").getvalue().decode()
        text = re.sub("<(/?)(?=[A-Z])", rf"<\1{prefix}", text)
        text = text.replace("xmlns=", f"xmlns:{prefix[:-1]}=" if prefix else "xmlns=")
        text = text.replace("UTF-8", encoding.removesuffix("-sig"))
        head, statuses = read(io.BytesIO(text.encode(encoding)))
        assert (head.message_id, head.original_message_id) == ("R1", "GP20261130AB")
        assert statuses == [(1, "GP20261130AB-1", "ACSC", "", "14500.00", "PKR")]

    @pytest.mark.parametrize("doctype", [BOMB, OUTSIDE])
    def test_refuses_a_document_type_whatever_it_declares(self, doctype: str) -> None:
        text = banking.answer(written(), {}).getvalue().decode().replace("?><", f"?>{doctype}<", 1)
        with pytest.raises(schema.BadMessage) as refusal:
            read(io.BytesIO(text.encode()))
        assert refusal.value.details["errors"][0]["code"] == "doctype_refused"

    def test_refuses_a_document_type_in_another_encoding(self) -> None:
        text = banking.answer(written(), {}).getvalue().decode()
        text = text.replace("UTF-8", "UTF-16").replace("?><", f"?>{OUTSIDE}<", 1)
        with pytest.raises(schema.BadMessage) as refusal:
            read(io.BytesIO(text.encode("utf-16")))
        assert refusal.value.details["errors"][0]["code"] == "doctype_refused"

    @pytest.mark.parametrize(
        ("data", "rule"),
        [
            (b"", "message_malformed"),
            (b"PK\x03\x04", "message_unknown"),
            (b"<Document/>", "message_unknown"),
            (f'<Document xmlns="{banking.NS12}x"/>'.encode(), "message_unknown"),
            (f'<Document xmlns="{transfer.NAMESPACE}"/>'.encode(), "message_unknown"),
            (f'<Document xmlns="{banking.NS12}"><Bad/></Document>'.encode(), "message_schema"),
            (f'<Document xmlns="{banking.NS12}"><CstmrPmtStsRpt>'.encode(), "message_malformed"),
        ],
    )
    def test_refuses_what_is_no_report_with_the_rule(self, data: bytes, rule: str) -> None:
        with pytest.raises(schema.BadMessage) as refusal:
            read(io.BytesIO(data))
        assert refusal.value.details["errors"][0]["code"] == rule

    def test_names_the_element_and_quotes_no_value(self) -> None:
        text = banking.answer(written(), {}).getvalue().decode().replace("<GrpSts>", "<GrpSts>SECRET NAME ")
        with pytest.raises(schema.BadMessage) as refusal:
            read(io.BytesIO(text.encode()))
        assert refusal.value.message == "The schema does not allow GrpSts as it stands there."
        assert "SECRET" not in str(refusal.value.details)

    def test_refuses_more_bytes_than_a_message_may_have(self) -> None:
        data = banking.answer(written(), {f"T{n}": ("ACSC", "") for n in range(900)}).getvalue()
        found = report.Report(io.BytesIO(data), most_bytes=100_000)
        found.begin()
        with pytest.raises(schema.BadMessage) as refusal:
            list(found)
        assert refusal.value.details["errors"][0]["code"] == "message_too_large"


class TestMinorOf:
    """Decimals of major units."""

    @pytest.mark.parametrize(
        ("text", "code", "minor"),
        [
            ("14500", "PKR", 1_450_000),
            ("14500.5", "PKR", 1_450_050),
            ("14500.5000", "PKR", 1_450_050),
            ("14500.001", "PKR", None),
            ("14500.00", "JPY", 14_500),
            ("1e3", "PKR", None),
            ("\u0661", "PKR", None),
            ("1.00", "XXX", None),
        ],
    )
    def test_reads_exactly(self, text: str, code: str, minor: int | None) -> None:
        assert report.minor_of(text, code) == minor
