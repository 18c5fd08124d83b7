"""Books to seal."""

import pytest

from ledger import chart
from tests.ledger.seals import scene


@pytest.fixture
def opened_books(transactional_db: None) -> None:
    """The accounts of one program; entries are really committed, because only those are sealed."""
    chart.open_program(scene.PROGRAM)


@pytest.fixture
def seal_key(settings: object) -> None:
    """A key to sign checkpoints with."""
    settings.GOVPAY_SEAL_KEY = bytes(range(32))  # type: ignore[attr-defined]
    settings.GOVPAY_SEAL_ORIGIN = "govpay.example/books"  # type: ignore[attr-defined]
