"""The journal as text: what is selected, what a line says, one snapshot, and memory that does not grow."""

import csv
import io
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from ledger import books, chart, events, exports
from ledger.books import Draft, Line
from ledger.exports import Selection, form
from ledger.models import Posting
from ledger.seals import sealer
from tests.ledger import statements
from tests.ledger.months import CODES, HASH, SCOPE, day

FORMS = ["csv", "jsonl", "beancount", "hledger"]


def text(name: str, **chosen: Any) -> str:
    return "".join(exports.journal(Selection(**chosen), name))


def entries(**chosen: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text("jsonl", **chosen).splitlines()]


def kinds(**chosen: Any) -> list[str]:
    return [entry["kind"] for entry in entries(**chosen)]


class TestSelection:
    @pytest.mark.parametrize(
        ("chosen", "expected"),
        [
            ({"scope": "treasury"}, ["allotment"]),
            ({"scope": "program:8"}, []),
            ({"effective_before": day(10, 5)}, ["funding"]),
            ({"effective_from": day(10, 5), "effective_before": day(10, 6)}, ["commitment"]),
            ({"effective_from": day(11, 6)}, ["allotment", "settlement_reversal"]),
            ({"source_refs": ["payout:2"]}, ["payout_fee", "payout_sent"]),
            ({"source_refs": []}, []),
            ({"known_at": day(1, 1)}, []),
            ({"sealed_size": 0}, []),
        ],
    )
    def test_takes_what_was_asked_for(
        self, entry_ids: list[int], chosen: dict[str, Any], expected: list[str]
    ) -> None:
        assert sorted(kinds(**chosen)) == expected

    def test_takes_all_in_order_when_nothing_was_asked_for(self, entry_ids: list[int]) -> None:
        assert [int(entry["id"]) for entry in entries()] == sorted(entry_ids)

    def test_tells_what_was_known_before_a_late_entry(self, entry_ids: list[int]) -> None:
        recorded_at = max(entry["recorded_at"] for entry in entries())
        known_at = datetime.fromisoformat(recorded_at) - timedelta(microseconds=1)
        assert kinds(known_at=known_at, source_refs=["payout:1"]) == ["payout_sent", "settlement"]


@pytest.mark.django_db(transaction=True)
class TestSealedSize:
    def test_takes_the_leaves_of_a_checkpoint(self, entry_ids: list[int]) -> None:
        sealer.seal()
        leaves = [int(entry["id"]) for entry in entries(sealed_size=3)]
        assert len(leaves) == 3
        assert set(leaves) < set(entry_ids)
        assert len(entries(sealed_size=10)) == len(entry_ids) == 10


class TestForms:
    def test_write_a_line_of_csv_for_each_line_of_an_entry(self, entry_ids: list[int]) -> None:
        rows = list(csv.DictReader(io.StringIO(text("csv"), newline=""), strict=True))
        assert len(rows) == Posting.objects.count() == 27
        assert sum(int(row["amount"]) for row in rows) == 0
        sent = [row for row in rows if row["idempotency_key"] == "payout_sent:payout:1"]
        assert [(row["account"], row["amount"], row["reference"]) for row in sent] == [
            (CODES.in_transit, "50000", "1"),
            (CODES.in_transit, "60000", "2"),
            (CODES.in_transit, "70000", "3"),
            (CODES.network_fees, "1234", ""),
            (CODES.hot_wallet, "-181234", ""),
        ]
        assert sent[3] | {"recorded_at": ""} == {
            "entry_id": str(entry_ids[2]),
            "kind": "payout_sent",
            "scope": "program:7",
            "effective_at": "2026-10-06T09:00:00.000000Z",
            "original_at": "",
            "recorded_at": "",
            "account": "Expenses:NetworkFees:P7",
            "account_name": "Network fees",
            "entity": "A01",
            "function": "10.71",
            "object": "22",
            "fund": "F1",
            "project": "P-9",
            "layer": "settled",
            "currency": "BTC",
            "scale": "8",
            "amount": "1234",
            "reference": "",
            "source_ref": "payout:1",
            "memo": "",
            "actor": "engine",
            "approver": "",
            "block_height": "",
            "block_hash": "",
            "reversal_of": "",
            "idempotency_key": "payout_sent:payout:1",
        }
        undone = rows[-1]
        assert (undone["reversal_of"], undone["block_height"]) == (str(entry_ids[3]), "101")
        assert undone["block_hash"] == HASH

    def test_let_no_spreadsheet_run_a_memo_or_a_name(self, entry_ids: list[int]) -> None:
        rows = list(csv.DictReader(io.StringIO(text("csv"), newline=""), strict=True))
        promise = next(row for row in rows if row["kind"] == "promise")
        assert promise["memo"] == '\'=HYPERLINK("x");\nعطية \\ "quoted", | a tail'
        assert {row["account_name"] for row in rows if row["account"] == "Equity:Appropriation:PKR"} == {
            "'-1+1"
        }

    def test_write_json_in_the_form_of_the_first_sealed_version(self, entry_ids: list[int]) -> None:
        found = next(entry for entry in entries() if entry["kind"] == "promise")
        assert found["version"] == "govpay/entry/1"
        assert found["memo"] == '=HYPERLINK("x");\nعطية \\ "quoted", | a tail'
        assert [line[4:] for line in found["lines"]] == [
            ["encumbered", "25000", None],
            ["encumbered", "-25000", None],
            ["pending", "-7", "6"],
            ["pending", "7", "6"],
        ]

    @pytest.mark.parametrize("name", ["beancount", "hledger"])
    def test_keep_a_memo_on_one_line(self, db: None, name: str) -> None:
        chart.open_program(7)
        memo = '2026-11-01 * x\n2026-01-01 open\r\x0b\x0c\x1c\x85\u2028\u2029; \\" ^x #y |'
        books.post(
            [
                Draft(
                    kind="evil;kind",
                    scope=SCOPE,
                    idempotency_key="1",
                    lines=[Line(CODES.hot_wallet, 1), Line(CODES.appropriation, -1)],
                    effective_at=day(11, 1),
                    memo=memo,
                    actor="a\nb",
                )
            ]
        )
        lines = text(name).splitlines()
        assert len([line for line in lines if line.startswith("2026-11-01 *")]) <= 2
        assert not [line for line in lines if line.startswith(("2026-01-01", "\\"))]

    def test_are_refused_when_nobody_writes_them(self, db: None) -> None:
        with pytest.raises(exports.UnknownForm) as caught:
            exports.journal(Selection(), "xls")
        assert caught.value.code == "unknown_form"


class TestStream:
    @pytest.mark.parametrize("name", FORMS)
    def test_takes_two_statements_however_long_it_is(self, entry_ids: list[int], name: str) -> None:
        before = statements.count(lambda: text(name))
        books.post(
            events.funding(
                program_id=7,
                txid=f"{number:064x}",
                vout=0,
                amount_sat=1,
                occurrence=1,
                effective_at=day(11, 8),
                block_hash=HASH,
                block_height=101,
            )
            for number in range(200)
        )
        assert statements.count(lambda: text(name)) == before == 2
        assert len(entries()) == 210

    def test_comes_in_pieces_of_some_64_kib(self) -> None:
        pieces = list(form.in_chunks("x" * 1_000 for _ in range(200)))
        assert [len(piece) for piece in pieces] == [66_000, 66_000, 66_000, 2_000]
        assert list(form.in_chunks([])) == []

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("name", FORMS)
    def test_is_one_snapshot_whatever_is_posted_meanwhile(
        self, entry_ids: list[int], name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = text(name)
        read: Callable[..., Any] = exports.read

        def read_and_post(selection: Selection) -> Any:
            found = read(selection)
            _post_elsewhere()
            return found

        monkeypatch.setattr(exports, "read", read_and_post)
        assert text(name) == whole
        assert len(entries()) > 10


def _post_elsewhere() -> None:
    """Post a deposit through another connection, as another process does."""

    def post() -> None:
        number = Posting.objects.count()
        books.post(
            [
                events.funding(
                    program_id=7,
                    txid=f"{number:064x}",
                    vout=0,
                    amount_sat=1,
                    occurrence=1,
                    effective_at=day(11, 1),
                    block_hash=HASH,
                    block_height=101,
                )
            ]
        )
        connections.close_all()

    thread = threading.Thread(target=post)
    thread.start()
    thread.join()


class TestDecimal:
    @pytest.mark.parametrize(
        ("units", "scale", "expected"),
        [
            (0, 8, "0.00000000"),
            (1, 8, "0.00000001"),
            (-1, 8, "-0.00000001"),
            (123_456_789, 8, "1.23456789"),
            (-123_456_789, 8, "-1.23456789"),
            (2**63 - 1, 8, "92233720368.54775807"),
            (-(2**63), 8, "-92233720368.54775808"),
            (7, 0, "7"),
            (-7, 2, "-0.07"),
        ],
    )
    def test_has_every_digit(self, units: int, scale: int, expected: str) -> None:
        assert form.decimal(units, scale) == expected
