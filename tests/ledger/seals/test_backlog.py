"""A long backlog is sealed in parts, a ring of the doorbell each, so that a worker is soon free for payouts."""

import pytest

from ledger.models import Seal
from ledger.seals import checkpoints, sealer
from payments.models import Heartbeat
from payments.payout import dispatch, rounds
from tests.ledger.seals.scene import post, sealed


@pytest.mark.usefixtures("opened_books", "seal_key")
def test_is_rung_for_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer, "MOST", 2)
    monkeypatch.setattr(dispatch, "SEALS_A_RING", 3)
    ids = post(*(f"k{number}" for number in range(9)))
    for size in (6, 9):
        assert [ring.task for ring in rounds.books_to_seal()] == ["seal_books"]
        assert not Heartbeat.objects.filter(name="seal_books").exists()
        dispatch.seal_books()
        assert Seal.objects.latest("size").size == size
    assert sealed() == ids
    assert Heartbeat.objects.filter(name="seal_books").exists()
    assert list(rounds.books_to_seal()) == []
    assert checkpoints.get().seal.size == 6
