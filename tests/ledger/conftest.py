"""A made-up wallet that reconciliation is told about, and the two months that exports and reports tell of."""

import pytest

from ledger.reconciliation import service
from tests.ledger import months, witness
from tests.ledger.witness import World


@pytest.fixture
def empty_world(settings: object, monkeypatch: pytest.MonkeyPatch) -> World:
    """No coins yet; the sources are asked again at once."""
    settings.LEDGER_EVIDENCE = "tests.ledger.witness.backend"  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "WAIT_S", 0)
    world = World()
    monkeypatch.setattr(witness, "world", world)
    world.open_books()
    return world


@pytest.fixture
def world(empty_world: World) -> World:
    """A deposit of 1,000,000 sat, a mined payout of payments 1 to 3 and one in flight of 4 and 5."""
    empty_world.deposit(1, 1_000_000)
    empty_world.pay(1, 1, [100, 200, 300])
    empty_world.pay(2, 4, [400, 500], is_mined=False)
    return empty_world


@pytest.fixture
def entry_ids(db: None) -> list[int]:
    """Post the two months that exports and reports are compared with by hand; return the entries' numbers."""
    return months.post()
