"""The statement of all addresses at a block: what stands, what was declared, and as known at a time (R-27, R-30)."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.utils import DatabaseError
from django.utils import timezone

from ledger.models import ReserveScan
from ledger.reports import ask, documents
from ledger.treasury import reserve
from tests.ledger.reports.asking import columns

pytestmark = pytest.mark.django_db

A, B, ELSEWHERE = "bcrt1qa", "bcrt1qb", "bc1qc"


def scan(height: int, *outputs: tuple[str, int, int]) -> ReserveScan:
    """A scan in which addresses have outputs: address, number of the output, satoshis."""
    lines = [
        *(reserve.Line("reserve:1", "Vault", 1, "regtest", each, "verified", 500) for each in (A, B)),
        reserve.Line("trust:1", "Abroad", 2, "bitcoin", ELSEWHERE, "declared", 500, stated_sat=900),
    ]
    return reserve.record(
        network="regtest",
        block_hash=f"{height:064x}",
        height=height,
        block_at=timezone.now() - timedelta(minutes=1),
        lines=lines,
        unspents=[reserve.Unspent(where, f"{n:064x}", 0, sat, height) for where, n, sat in outputs],
    )


def rows(**asked: Any) -> list[tuple[Any, ...]]:
    return columns("reserve", "scope", "address", "badge", "amount_sat", "utxo_count", "findings", **asked)


class TestStatement:
    def test_has_every_address_at_the_newest_block(self) -> None:
        scan(10, (A, 1, 100))
        newest = scan(11, (A, 1, 100), (A, 2, 450), (B, 3, 7))
        assert rows() == [
            ("reserve:1", A, "verified", 550, 2, "over its cap"),
            ("reserve:1", B, "verified", 7, 1, ""),
            ("trust:1", ELSEWHERE, "declared", 900, None, "over its cap"),
        ]
        assert set(columns("reserve", "height", "block_hash")) == {(11, newest.block_hash)}
        assert [row[1] for row in rows(scope="trust:1")] == [ELSEWHERE]

    def test_says_what_was_spent_from_and_what_was_used_again(self) -> None:
        scan(10, (A, 1, 100), (B, 2, 100))
        scan(11, (A, 3, 50))
        assert [row[5] for row in rows(scope="reserve:1")] == ["reused", "spent from"]
        scan(12, (A, 3, 50), (B, 4, 600))
        assert [row[5] for row in rows(scope="reserve:1")] == ["reused", "reused, over its cap"]

    def test_leaves_a_lost_scan_out_from_when_that_was_known(self) -> None:
        first, lost = scan(10, (A, 1, 100)), scan(11, (A, 2, 300))
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            known_at = cursor.fetchone()[0]
        ReserveScan.objects.get(pk=lost.pk)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO ledger_reservescanloss (scan_id, found_at) VALUES (%s, %s)",
                [lost.pk, known_at + timedelta(seconds=1)],
            )
        later = known_at + timedelta(seconds=2)
        assert columns("reserve", "height", known_at=known_at)[0] == (11,)
        assert columns("reserve", "height", known_at=later)[0] == (first.height,)

    def test_is_not_compared_with_a_scan_whose_block_left(self) -> None:
        scan(10)
        reserve.lose([scan(11, (A, 1, 100))])
        scan(11, (A, 2, 100))
        assert [row[5] for row in rows(scope="reserve:1")] == ["", ""]

    def test_can_be_signed(self) -> None:
        scan(10, (A, 1, 100))
        asked = ask(documents.get_document("reserve"), now=timezone.now())
        made = b"".join(documents.produce(documents.get_document("reserve"), "pdf", asked))
        assert made.startswith(b"%PDF-")
        forms = [form.name for form in documents.forms_of(documents.get_document("reserve"))]
        assert forms == ["csv", "jsonl", "pdf", "signed"]


@pytest.mark.parametrize("table", ["reservescan", "reservebalance", "reservecoin", "reservescanloss"])
def test_what_was_found_is_never_changed(table: str) -> None:
    reserve.lose([scan(10, (A, 1, 100))])
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM ledger_{table}")
