"""Figures as they were published."""

from typing import Any

import pytest

from payments.models import Publication
from payments.transparency import publishing
from tests import factories

PAID = {"payments": 1_200_000, "people": 1_100_000, "amount_sat": "123456789012"}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Publication:
    """Figures of a program with a long name and much paid, of one that tells nothing, and of a reserve."""
    factories.make_program("LONG")
    factories.make_program("FEW")
    take = publishing.figures.take

    def filled(**asked: Any) -> dict[str, Any]:
        found = take(**asked)
        few, much = found["programs"]
        few |= {"paid": None, "pending": None, "months": [{"month": "2026-11", "paid": None}]}
        much |= {
            "name": "Cash assistance for households in districts that the flood reached " * 2,
            "paid": PAID,
            "pending": PAID,
            "fees": {"fees_sat": "8712345", "of_sat": PAID["amount_sat"], "share_bps": "0.71"},
            "time_to_settle": {"payments": 1_200_000, "p50_s": 4_321, "p95_s": 90_000},
            "months": [{"month": f"2026-{month:02}", "paid": PAID} for month in range(1, 12)],
            "reconciliation": {
                "status": "clean",
                "finished_at": "2026-11-30T04:00:00Z",
                "block_height": 900_000,
                "open_breaks": 2,
            },
        }
        found["books"] = {
            "entries": 12_345,
            "root": "ab" * 32,
            "signed_at": "2026-11-30T04:00:00Z",
            "note": "",
            "anchor": {"entries": 12_000, "txid": "cd" * 32, "block_height": 899_990},
        }
        found["reserve"] = {
            "block_height": 900_000,
            "block_hash": "00" * 32,
            "block_at": "2026-11-30T04:00:00Z",
            "addresses": [
                {
                    "institution": "reserve:1",
                    "address": "tb1q" + "q" * 58,
                    "amount_sat": "50000000000",
                    "badge": badge,
                }
                for badge in ("verified", "declared")
            ],
        }
        return found

    monkeypatch.setattr(publishing.figures, "take", filled)
    return publishing.publish()
