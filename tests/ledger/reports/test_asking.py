"""What may be asked of a report, in how many statements it answers, and how it is written to files."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from govpay.errors import GovPayError, InvalidInput, NotFound
from ledger import books, events, reports
from ledger.models import Entry, Period
from ledger.reports import documents, files
from ledger.seals import checkpoints, sealer
from tests.ledger import statements
from tests.ledger.months import CODES, HASH, SCOPE, day

NOW = datetime(2100, 1, 1, tzinfo=UTC)
MONTH = {"month": "2026-11"}


def ask(name: str = "general-ledger", **given: Any) -> reports.Asked:
    return reports.ask(reports.get_report(name), now=NOW, **given)


def written(name: str, form: str, **given: Any) -> str:
    write = {"csv": files.write_csv, "jsonl": files.write_jsonl}[form]
    with reports.tabulate(reports.get_report(name), ask(name, **given)) as table:
        return "".join(write(table))


class TestAsk:
    def test_without_anything_means_all_up_to_now(self) -> None:
        assert ask() == reports.Asked(
            scope=None,
            account=None,
            person=None,
            layer="settled",
            since=None,
            before=NOW,
            known_at=NOW,
            is_over=True,
        )

    def test_of_what_was_known_ends_then(self) -> None:
        then = day(11, 5)
        assert (ask(known_at=then).before, ask(known_at=then).known_at) == (then, then)
        assert ask(known_at=then, before=day(10, 1)).before == day(10, 1)

    @pytest.mark.parametrize(
        ("month", "since", "before"),
        [
            ("2026-11", day(11, 1, 0), day(12, 1, 0)),
            ("2026-12", day(12, 1, 0), datetime(2027, 1, 1, tzinfo=UTC)),
            ("0002-01", datetime(2, 1, 1, tzinfo=UTC), datetime(2, 2, 1, tzinfo=UTC)),
        ],
    )
    def test_of_a_month_means_both_ends(self, month: str, since: datetime, before: datetime) -> None:
        asked = ask(month=month)
        assert (asked.since, asked.before, asked.known_at) == (since, before, NOW)

    @pytest.mark.django_db
    def test_of_a_period_means_both_ends(self) -> None:
        for name, ends_at in (("2026-10", day(11, 1, 0)), ("2026-11", day(12, 1, 0))):
            Period.objects.create(name=name, ends_at=ends_at, opened_by="clerk")
        assert (ask(period="2026-10").since, ask(period="2026-10").before) == (None, day(11, 1, 0))
        assert (ask(period="2026-11").since, ask(period="2026-11").before) == (day(11, 1, 0), day(12, 1, 0))
        with pytest.raises(NotFound):
            ask(period="2026-12")

    @pytest.mark.parametrize(
        ("name", "given", "column", "code"),
        [
            ("general-ledger", {"month": "2026-13"}, "month", "invalid"),
            ("general-ledger", {"month": "٢٠٢٦-11"}, "month", "invalid"),
            ("general-ledger", {"month": "9999-12"}, "month", "invalid"),
            ("general-ledger", {"month": "0000-01"}, "month", "invalid"),
            ("general-ledger", {"month": "0001-01"}, "month", "invalid"),
            ("trial-balance", {"before": datetime(1, 1, 1, tzinfo=UTC)}, "before", "invalid"),
            ("trial-balance", {"known_at": datetime(9999, 12, 31, tzinfo=UTC)}, "known_at", "invalid"),
            ("general-ledger", {"month": "2026-11", "since": day(11, 1)}, "month", "invalid"),
            ("general-ledger", {"month": "2026-11", "period": "x"}, "month", "invalid"),
            ("general-ledger", {"since": day(11, 2), "before": day(11, 2)}, "since", "invalid"),
            ("general-ledger", {"layer": "gold"}, "layer", "invalid"),
            ("trial-balance", {"account": "Assets:A"}, "account", "unknown_parameter"),
            ("statement", {"scope": SCOPE, "layer": "pending"}, "layer", "unknown_parameter"),
            ("statement", {}, "scope", "required"),
            ("monthly-account", {}, "since", "required"),
        ],
    )
    def test_refuses_what_makes_no_sense(
        self, name: str, given: dict[str, Any], column: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            ask(name, **given)
        (error,) = caught.value.details["errors"]
        assert (error["column"], error["code"]) == (column, code)

    @pytest.mark.parametrize("name", ["general-ledger", "journal", "account-statement"])
    def test_of_an_unknown_account_is_refused(self, entry_ids: list[int], name: str) -> None:
        document = documents.get_document(name)
        with pytest.raises(NotFound, match=r"There is no account Assets:Nowhere\."):
            reports.ask(document, now=NOW, account="Assets:Nowhere")
        assert reports.ask(document, now=NOW, account=CODES.payable).account == CODES.payable

    @pytest.mark.parametrize(
        ("given", "is_over"),
        [
            ({}, True),
            ({"month": "2026-11"}, True),
            ({"month": "2100-01"}, False),
            ({"month": "2100-01", "known_at": datetime(2101, 1, 1, tzinfo=UTC)}, False),
            ({"known_at": datetime(2101, 1, 1, tzinfo=UTC)}, False),
        ],
    )
    def test_knows_whether_the_time_is_over(self, given: dict[str, Any], is_over: bool) -> None:
        assert ask(**given).is_over is is_over

    def test_of_an_unknown_report_is_refused(self) -> None:
        with pytest.raises(GovPayError) as caught:
            reports.get_report("balance-sheet")
        assert caught.value.code == "unknown_report"


class TestStatements:
    @pytest.mark.parametrize("name", list(reports.REPORTS))
    def test_do_not_grow_with_the_books(self, entry_ids: list[int], name: str) -> None:
        given = {"scope": SCOPE} | MONTH

        before = statements.count(lambda: written(name, "csv", **given))
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
            for number in range(300)
        )
        # One statement for the rows, one for the checkpoint.
        assert statements.count(lambda: written(name, "csv", **given)) == before == 2

    @pytest.mark.parametrize(
        ("name", "form"),
        [
            (name, form.name)
            for name, document in documents.DOCUMENTS.items()
            for form in documents.forms_of(document)
            if form not in (documents.PDF, documents.SIGNED)
        ],
    )
    def test_leave_the_database_as_it_was_when_nobody_takes_the_rest(
        self, entry_ids: list[int], name: str, form: str
    ) -> None:
        document = documents.get_document(name)
        given = {"scope": SCOPE, "account": CODES.hot_wallet} | MONTH
        asked = reports.ask(
            document, now=NOW, **{key: value for key, value in given.items() if key in document.parameters}
        )
        depth = len(connection.savepoint_ids)
        pieces: Any = documents.produce(document, form, asked)
        assert next(pieces)
        assert len(connection.savepoint_ids) == depth + 1
        pieces.close()
        assert len(connection.savepoint_ids) == depth
        assert Entry.objects.count() == 10


class TestFiles:
    def test_say_the_same(self, entry_ids: list[int]) -> None:
        for name in reports.REPORTS:
            table = list(csv.DictReader(io.StringIO(written(name, "csv", scope=SCOPE, **MONTH), newline="")))
            head, *rows, end = map(json.loads, written(name, "jsonl", scope=SCOPE, **MONTH).splitlines())
            assert head["columns"] == [column.name for column in reports.REPORTS[name].columns]
            assert end == {"rows": len(rows)} == {"rows": len(table)}
            assert [
                {key: "" if value is None else str(value) for key, value in row.items()} for row in rows
            ] == [{key: value.removeprefix("'") for key, value in row.items()} for row in table]

    def test_let_no_spreadsheet_run_anything(self, entry_ids: list[int]) -> None:
        table = list(csv.reader(io.StringIO(written("trial-balance", "csv"), newline="")))
        names = [row[1] for row in table]
        assert "'-1+1" in names
        assert not [name for name in names if name.startswith(("=", "+", "-", "@"))]

    def test_begin_with_what_was_asked(self, entry_ids: list[int]) -> None:
        head = json.loads(written("general-ledger", "jsonl", account=CODES.payable, **MONTH).splitlines()[0])
        assert {key: value for key, value in head.items() if key != "columns"} == {
            "report": "general-ledger",
            "scope": None,
            "account": CODES.payable,
            "layer": "settled",
            "since": "2026-11-01T00:00:00.000000Z",
            "before": "2026-12-01T00:00:00.000000Z",
            "known_at": "2100-01-01T00:00:00.000000Z",
            "checkpoint": None,
        }


@pytest.mark.django_db(transaction=True)
class TestBasis:
    def test_is_the_newest_checkpoint_that_was_signed_by_then(
        self, entry_ids: list[int], settings: Any
    ) -> None:
        settings.GOVPAY_SEAL_KEY = bytes(32)
        sealer.seal()
        signed = checkpoints.issue()
        assert signed is not None
        head = json.loads(written("trial-balance", "jsonl").splitlines()[0])
        assert head["checkpoint"] == {
            "size": 10,
            "head": bytes(signed.seal.root).hex(),
            "note_sha256": checkpoints.digest(signed).hex(),
        }
        earlier = written("trial-balance", "jsonl", known_at=day(1, 1)).splitlines()[0]
        assert json.loads(earlier)["checkpoint"] is None
