"""Positions by hand: holdings, cost by weighted average, value by a quote or none, and share of all bitcoin (R-30)."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from ledger.models import InflowClass, ReserveScan
from ledger.reports import ask, documents
from ledger.treasury import movements, positions, reserve
from ledger.treasury.lots import Movement
from tests import factories
from tests.ledger.reports.asking import columns, rows

pytestmark = pytest.mark.django_db
COIN = 100_000_000
A, ELSEWHERE = "bcrt1qa", "bc1qc"


def scan(verified_sat: int, declared_sat: int, **valued: Any) -> ReserveScan:
    lines = [
        reserve.Line("reserve:1", "Vault", 1, "regtest", A, "verified", 10 * COIN),
        reserve.Line("reserve:1", "Abroad", 2, "bitcoin", ELSEWHERE, "declared", 10 * COIN, declared_sat),
    ]
    made = reserve.record(
        network="regtest",
        block_hash=f"{ReserveScan.objects.count():064x}",
        height=50,
        block_at=timezone.now() - timedelta(minutes=1),
        lines=lines,
        unspents=[reserve.Unspent(A, f"{verified_sat:064x}", 0, verified_sat, 50)] if verified_sat else [],
    )
    made.valuations.create(currency="USD", scale=2, **valued)
    return made


def moved(*made: tuple[int, bool, int, int]) -> None:
    """Lots: days ago, whether it came, satoshis, cents."""
    by = factories.make_user("lena", "ledger.add_lotmovement")
    now: datetime = timezone.now()
    found = [
        Movement(now - timedelta(days=ago), came, sat, cents, f"act:{n}", "", "" if came else "el-salvador")
        for n, (ago, came, sat, cents) in enumerate(made)
    ]
    movements.record(by=by, scope="reserve:1", currency="USD", scale=2, movements=found)


class TestPosition:
    def test_has_cost_average_value_gain_and_share(self) -> None:
        # A bitcoin at 40,000 and one at 60,000; half of one goes, at 25,000 of cost by average.
        moved((9, True, COIN, 4_000_000), (8, True, COIN, 6_000_000), (7, False, COIN // 2, 9_999_999))
        scan(2 * COIN, COIN // 10, price=Decimal("80000"), quote_number=7)
        (found,) = positions.at(before=timezone.now(), known_at=timezone.now())
        assert (found.verified_sat, found.declared_sat, found.badge) == (200_000_000, 10_000_000, "partly")
        assert (found.lot_sat, found.cost_minor, found.average_minor) == (150_000_000, 7_500_000, 5_000_000)
        assert (found.fair_minor, found.unrealised_minor) == (16_800_000, 4_500_000)
        # 2.1 of 21 million.
        assert found.share_percent == Decimal("0.00001")
        assert (found.height, found.quote_number) == (50, 7)

    def test_has_no_value_without_a_quote_and_says_why(self) -> None:
        moved((9, True, COIN, 4_000_000))
        scan(COIN, 0, rule="breaker", message="It jumped.")
        (found,) = positions.at(before=timezone.now(), known_at=timezone.now())
        assert (found.price, found.fair_minor, found.unrealised_minor) == (None, None, None)
        assert (found.cost_minor, found.rule, found.message) == (4_000_000, "breaker", "It jumped.")
        assert rows("position")[0]["valued_by"] == "breaker: It jumped."

    def test_is_shown_in_the_currency_of_its_lots_and_without_any_in_those_of_the_scan(self) -> None:
        made = scan(COIN, 0, price=Decimal("80000"), quote_number=7)
        made.valuations.create(currency="PKR", scale=2, price=Decimal(22_000_000), quote_number=8)
        assert columns("position", "currency", "cost", "fair_value") == [
            ("PKR", None, 2_200_000_000),
            ("USD", None, 8_000_000),
        ]
        moved((9, True, COIN, 4_000_000))
        assert columns("position", "currency", "cost", "fair_value") == [("USD", 4_000_000, 8_000_000)]

    def test_rounds_half_to_even(self) -> None:
        # Half a cent each: 0.5 and 1.5.
        assert positions.worth_minor(5, Decimal("100000"), 2) == 0
        assert positions.worth_minor(15, Decimal("100000"), 2) == 2

    def test_is_a_signed_report(self) -> None:
        scan(COIN, 0, price=Decimal("80000"), quote_number=7)
        for name in ("position", "accumulation"):
            document = documents.get_document(name)
            asked = ask(document, now=timezone.now())
            assert b"".join(documents.produce(document, "pdf", asked)).startswith(b"%PDF-")
            assert "signed" in [form.name for form in documents.forms_of(document)]


class TestAccumulation:
    def test_is_counted_both_ways_and_they_differ(self) -> None:
        by, other = factories.make_user("lena", "ledger.add_lotmovement"), factories.make_user("omar")
        before = timezone.now() - timedelta(days=30)
        outputs = [(1, 100), (2, 40), (3, 7), (4, 900), (5, 3)]
        scan_of(outputs)
        kinds = ["purchase", "mining", "forfeiture", "internal_transfer"]
        for (number, _), kind in zip(outputs, kinds, strict=False):
            classed(number, kind, by, other)
        sold = Movement(timezone.now(), False, 30, 0, "sale:1", "", "el-salvador")
        bought = Movement(before, True, 30, 0, "old:1")
        movements.record(by=by, scope="reserve:1", currency="USD", scale=2, movements=[bought, sold])
        (row,) = rows("accumulation", since=before)
        assert [row[f"{kind}_sat"] for kind in kinds] == [100, 40, 7, 900]
        assert (row["unclassed_sat"], row["disposed_sat"]) == (3, 30)
        assert (row["net_voluntary_sat"], row["grown_sat"], row["differs_sat"]) == (110, 1_050, 940)
        # Before it began nobody had anything, and what a lender counts is not there at all.
        assert columns("accumulation", "net_voluntary_sat", "grown_sat", before=before) == []

    def test_counts_the_newest_class_and_no_block_that_left(self) -> None:
        by, other = factories.make_user("lena"), factories.make_user("omar")
        lost = scan_of([(1, 100), (2, 50)])
        classed(1, "mining", by, other)
        classed(1, "client_deposit", by, other)
        classed(2, "mining", by, other)
        assert columns("accumulation", "mining_sat", "client_deposit_sat") == [(50, 100)]
        reserve.lose([lost])
        assert columns("accumulation", "mining_sat") == []
        scan_of([(1, 100)])
        assert columns("accumulation", "mining_sat", "client_deposit_sat") == [(0, 100)]
        assert columns("inflows", "amount_sat", "kind", "reference") == [
            (100, "client_deposit", "classing:2")
        ]


def scan_of(outputs: list[tuple[int, int]]) -> ReserveScan:
    line = reserve.Line("reserve:1", "Vault", 1, "regtest", A, "verified", 10 * COIN)
    return reserve.record(
        network="regtest",
        block_hash=f"{ReserveScan.objects.count():064x}",
        height=50,
        block_at=timezone.now() - timedelta(minutes=1),
        lines=[line],
        unspents=[reserve.Unspent(A, f"{n:064x}", 0, sat, 50) for n, sat in outputs],
    )


def classed(number: int, kind: str, by: Any, other: Any) -> None:
    InflowClass.objects.create(
        txid=f"{number:064x}",
        vout=0,
        kind=kind,
        funding_source="x",
        effective_at=timezone.now() - timedelta(hours=1),
        reference=f"classing:{InflowClass.objects.count() + 1}",
        classed_by=by,
        confirmed_by=other,
    )
