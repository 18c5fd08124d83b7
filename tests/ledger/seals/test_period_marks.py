"""Marks of periods in the tree: who closed, reopened and sealed what is a leaf, and is found when it is changed."""

import json
from datetime import UTC, datetime

import pytest
from django.db import connection

from ledger import periods, selectors
from ledger.models import Leaf, PeriodChange
from ledger.seals import canonical, checkpoints, leaf, sealer, store, tree, verification
from ledger.seals.canonical import SealedChange
from tests import factories
from tests.conftest import books_may_be_emptied
from tests.ledger.seals.scene import post

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")

OCTOBER = datetime(2026, 11, 1, tzinfo=UTC)
CHANGE = SealedChange(
    id=7,
    period="2026-10",
    ends_at=OCTOBER,
    status="sealed",
    actor="emil",
    note="Looked at",
    through_entry_id=41,
    digest=bytes(range(32)),
    recorded_at=datetime(2026, 11, 3, 9, 30, 0, 250, tzinfo=UTC),
)
# A version that was ever written is never changed.
GOLDEN = (
    '{"actor":"emil","digest":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",'
    '"ends_at":"2026-11-01T00:00:00.000000Z","id":"7","note":"Looked at","period":"2026-10",'
    '"recorded_at":"2026-11-03T09:30:00.000250Z","status":"sealed","through_entry_id":"41",'
    '"version":"govpay/period/1"}\n'
)


def seal_october() -> None:
    """One person closes, opens again and closes October, and another one seals it."""
    dalia, emil = (factories.make_user(who, periods.RIGHT) for who in ("dalia", "emil"))
    periods.open_next(by=dalia, name="2026-10", ends_at=OCTOBER)
    periods.close(by=dalia, name="2026-10")
    periods.reopen(by=dalia, name="2026-10", note="A receipt was missing")
    periods.close(by=dalia, name="2026-10")
    digest = periods.figures(selectors.get_period("2026-10")).digest
    periods.seal(by=emil, name="2026-10", digest=digest)


def said() -> list[dict[str, object]]:
    """Return what the leaves of changes say, in the order of the tree."""
    rows = Leaf.objects.filter(period_change__isnull=False).order_by("index").select_related("payload")
    return [json.loads(bytes(row.payload.payload)) for row in rows]


def test_have_bytes_for_ever() -> None:
    assert canonical.encode_change(CHANGE) == GOLDEN.encode()
    blank = canonical.encode_change(CHANGE._replace(status="open", digest=None))
    assert json.loads(blank)["digest"] is None


def test_are_leaves_after_the_entries_each_once() -> None:
    post("a", "b")
    seal_october()
    assert sealer.has_work()
    # Two entries, four changes, and an audit event of each of the five acts.
    assert [seal.size for seal in sealer.seal()] == [11]
    assert not sealer.has_work()
    assert sealer.seal() == []
    assert [(row["status"], row["actor"]) for row in said()] == [
        ("closing", "dalia"),
        ("open", "dalia"),
        ("closing", "dalia"),
        ("sealed", "emil"),
    ]
    sealed = PeriodChange.objects.get(status="sealed")
    assert said()[-1]["digest"] == bytes(sealed.digest or b"").hex()
    found = sealed.leaf
    assert leaf.digest(bytes(found.salt.salt), bytes(found.payload.payload)) == bytes(found.hash)
    head = checkpoints.issue()
    assert head is not None
    path = tree.prove_inclusion(store.read, found.index, 11)
    assert tree.is_included(bytes(found.hash), found.index, 11, path, bytes(head.seal.root))


def test_are_sealed_without_any_entry() -> None:
    seal_october()
    assert [seal.size for seal in sealer.seal()] == [9]
    post("late")
    assert [seal.size for seal in sealer.seal()] == [10]
    assert verification.verify().findings == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE ledger_periodchange SET note = 'Another' WHERE status = 'open'", "period_changed"),
        ("UPDATE ledger_periodchange SET actor = 'dalia' WHERE status = 'sealed'", "period_changed"),
        ("UPDATE ledger_periodchange SET digest = sha256(digest) WHERE status = 'sealed'", "period_changed"),
        ("UPDATE ledger_period SET ends_at = ends_at - interval '1 day'", "period_changed"),
        ("DELETE FROM ledger_periodchange WHERE status = 'sealed'", "period_missing"),
    ],
)
def test_are_named_when_they_are_not_what_was_sealed(statement: str, code: str) -> None:
    post("a")
    seal_october()
    sealer.seal()
    assert verification.verify().findings == []
    with books_may_be_emptied(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert {finding.code for finding in verification.verify().findings} == {code}
