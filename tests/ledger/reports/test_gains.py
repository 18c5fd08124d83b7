"""Gains and losses: lot by lot, and the statement of an institution and of each person, with the tax of the day's law."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User

from govpay.errors import InvalidInput, NotFound
from ledger import reports
from ledger.law import tax
from ledger.law.tables import Span
from ledger.law.tax import TaxRule, TaxTable, Treatment
from ledger.reports import documents, files, words
from ledger.reports.gains import STATEMENT
from ledger.treasury import movements
from ledger.treasury.lots import Movement
from tests import factories
from tests.ledger.reports.asking import columns, rows

pytestmark = pytest.mark.django_db


def at(month: int, day: int = 1) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def record(by: User, *given: Movement, scope: str = "trust:1", currency: str = "PKR") -> None:
    movements.record(by=by, scope=scope, currency=currency, scale=2, movements=given)


@pytest.fixture
def books() -> User:
    """A trust that bought at 10 and 12 a satoshi and sold 150 and 30, the second for a person; a reserve that sold."""
    keeper = factories.make_user("keeper", movements.RIGHT)
    record(
        keeper,
        Movement(at(1), True, 100, 1_000, "purchase:1"),
        Movement(at(2), True, 100, 1_200, "purchase:2"),
        Movement(at(3), False, 150, 2_100, "sale:1", "", "pakistan"),
        Movement(at(4), False, 30, 300, "sale:2", "enrollment:12", "el-salvador"),
    )
    record(
        keeper,
        Movement(at(1), True, 10, 5, "purchase:1"),
        Movement(at(4), False, 10, 9, "sale:1", "", "sandbox"),
        scope="reserve:1",
        currency="USD",
    )
    return keeper


@pytest.mark.usefixtures("books")
class TestLots:
    def test_name_the_acquisition_of_each_part(self) -> None:
        found = columns(
            "lots",
            *("disposal", "acquisition", "person", "currency", "amount_sat", "proceeds", "cost", "gain"),
            scope="trust:1",
        )
        assert found == [
            ("sale:1", "purchase:1", "", "PKR", 100, 1_400, 1_000, 400),
            ("sale:1", "purchase:2", "", "PKR", 50, 700, 600, 100),
            ("sale:2", "purchase:2", "enrollment:12", "PKR", 30, 300, 360, -60),
        ]

    def test_of_a_month_take_what_came_before_it_into_account(self) -> None:
        found = columns("lots", "scope", "disposal", "acquisition", "cost", month="2026-04")
        assert found == [("reserve:1", "sale:1", "purchase:1", 5), ("trust:1", "sale:2", "purchase:2", 360)]

    def test_come_as_files(self) -> None:
        document = documents.get_document("lots")
        asked = reports.ask(document, now=datetime(2026, 11, 1, tzinfo=UTC), known_at=datetime.now(UTC))
        lines = b"".join(documents.produce(document, "csv", asked)).decode().splitlines()
        assert len(lines) == 1 + 4
        assert lines[-1].startswith("trust:1,sale:2,2026-04-01T00:00:00")
        assert [form.name for form in documents.forms_of(document)] == ["csv", "jsonl"]


@pytest.mark.usefixtures("books")
class TestStatement:
    def test_has_a_row_for_the_institution_and_for_each_person(self) -> None:
        found = columns(
            "gains",
            *("scope", "person", "currency", "disposals", "amount_sat", "proceeds"),
            *("fifo_gain", "fifo_tax", "average_gain", "average_tax", "treatment"),
        )
        assert found == [
            ("reserve:1", "", "USD", 1, 10, 9, 4, None, 4, None, "undetermined"),
            # By average 150 cost 1,650 of 2,200, and the 30 cost 330 of the 550 that were left.
            ("trust:1", "", "PKR", 1, 150, 2_100, 500, None, 450, None, "undetermined"),
            ("trust:1", "enrollment:12", "PKR", 1, 30, 300, -60, 0, -30, 0, "exempt"),
        ]

    def test_cites_the_law(self) -> None:
        assert columns("gains", "jurisdiction", "law", scope="trust:1") == [
            ("pakistan", ""),
            ("el-salvador", "Bitcoin Law, art. 5 as amended on 29 January 2025"),
        ]

    def test_of_a_time_leaves_others_out(self) -> None:
        assert [row["person"] for row in rows("gains", scope="trust:1", month="2026-04")] == ["enrollment:12"]
        assert rows("gains", scope="trust:1", before=at(3)) == []

    def test_is_as_it_was_known(self, books: User) -> None:
        before = datetime.now(UTC)
        # A purchase of which nobody had told, before all others: the lots are others now, and were not then.
        record(books, Movement(at(1).replace(year=2025), True, 100, 100, "purchase:0"))
        now = columns("gains", "fifo_gain", scope="trust:1")
        assert columns("gains", "fifo_gain", scope="trust:1", known_at=before) == [(500,), (-60,)]
        assert now == [(1_500,), (0,)]

    def test_is_signed_as_a_page(self) -> None:
        document = documents.get_document("gains")
        asked = reports.ask(document, now=datetime.now(UTC), month="2026-04")
        assert b"".join(documents.produce(document, "pdf", asked)).startswith(b"%PDF-")


class TestTax:
    def test_is_rounded_for_each_disposal_and_never_negative(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rule = TaxRule(Treatment.TAXED, Span(at(1).date()), "15 %.", "Art. 1", "x", 1_500)
        monkeypatch.setitem(tax.TABLES, "ruritania", TaxTable("ruritania", "Ruritania", (rule,)))  # type: ignore[arg-type]
        keeper = factories.make_user("keeper", movements.RIGHT)
        sales: list[Any] = [
            # Gains of 10, 10 and -10: 15 % of 10 is 1.5, which is 2, twice.
            Movement(at(2, number), False, 10, 110 if number < 3 else 90, f"sale:{number}", "", "ruritania")
            for number in (1, 2, 3)
        ]
        record(keeper, Movement(at(1), True, 30, 300, "purchase:1"), *sales)
        assert columns("gains", "disposals", "fifo_gain", "fifo_tax", "average_tax", "law") == [
            (3, 10, 4, 4, "Art. 1")
        ]


@pytest.mark.usefixtures("books")
class TestOnePerson:
    """A statement of one person, which whoever was disposed for is given."""

    def test_has_their_disposals_alone_with_the_lots_that_everybody_shares(self) -> None:
        (theirs,) = rows("gains", person="enrollment:12")
        assert [row for row in rows("gains") if row["person"] == "enrollment:12"] == [theirs]
        assert columns("lots", "disposal", "acquisition", "gain", person="enrollment:12") == [
            ("sale:2", "purchase:2", -60)
        ]
        assert rows("gains", person="enrollment:12", scope="reserve:1") == []

    def test_says_whose_it_is(self) -> None:
        asked = reports.ask(STATEMENT, now=at(6), person="enrollment:12")
        assert words.time_of(asked).endswith(", for enrollment:12 alone")
        assert documents.filename(STATEMENT, "csv", asked) == "gains-enrollment-12-2026-05-31.csv"
        with reports.tabulate(STATEMENT, asked) as table:
            assert files.describe(table)["person"] == "enrollment:12"
        with reports.tabulate(STATEMENT, reports.ask(STATEMENT, now=at(6))) as table:
            assert "person" not in files.describe(table)

    def test_is_of_nobody_for_whom_nothing_was_disposed(self) -> None:
        with pytest.raises(NotFound, match="Nothing was disposed of for enrollment:13"):
            rows("gains", person="enrollment:13")
        with pytest.raises(InvalidInput, match="takes no person"):
            rows("fees", person="enrollment:12")
