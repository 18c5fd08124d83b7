"""Who changes, deletes, reorders, truncates or slips in audit events is found, by reconciliation and by ``verify_seals``.

They do it as the owner of the tables, with every trigger off: nobody else can (A34).
"""

import pytest
from django.db import connection, transaction

from ledger import audit
from ledger.models import AuditEvent, Break, BreakKind, ReconciliationRun, RunStatus
from ledger.seals import sealer, verification
from tests.ledger.seals.scene import tampering
from tests.ledger.witness import SCOPE, World, outcomes, reconcile

pytestmark = pytest.mark.django_db(transaction=True)

COLUMNS = "actor = b.actor, action = b.action, reason = b.reason, recorded_at = b.recorded_at"
SWAP = (
    f"UPDATE ledger_auditevent a SET {COLUMNS} FROM ledger_auditevent b WHERE a.id IN (%(first)s, %(last)s)"
    + (" AND b.id = %(first)s + %(last)s - a.id")
)
SLIP_IN = """
INSERT INTO ledger_auditevent
    (actor, actor_id, door, action, subject_kind, subject_id, scope, request_id, reason, insert_xid)
VALUES ('mallory', '', 'api', 'test.act', '', '', '', '', '', '4')
"""


@pytest.fixture
def events(world: World) -> dict[str, int]:
    """Three sealed acts, the second of them of the program."""
    made = []
    for scope in ("", SCOPE, ""):
        with transaction.atomic():
            made.append(audit.record(f"test.{'abc'[len(made)]}", scope=scope, reason="Why").pk)
    sealer.seal()
    assert outcomes(reconcile(is_full=True)) == {"claims": 5, "matched": 3, "in_flight": 2}
    return dict(zip(("first", "middle", "last"), made, strict=True))


def tamper(statement: str, values: dict[str, int]) -> None:
    with tampering("ledger_auditevent"), connection.cursor() as cursor:
        cursor.execute(statement, values)


def found(run: ReconciliationRun) -> list[tuple[str, str]]:
    rows = Break.objects.filter(run=run, kind=BreakKind.AUDIT_EVENT).order_by("message")
    return [(row.expected.split(" ")[0], row.found) for row in rows]


@pytest.mark.parametrize(
    ("statement", "kinds", "code"),
    [
        (
            "UPDATE ledger_auditevent SET actor = 'mallory' WHERE id = %(middle)s",
            ["changed"],
            "event_changed",
        ),
        ("UPDATE ledger_auditevent SET reason = 'No' WHERE id = %(middle)s", ["changed"], "event_changed"),
        (
            "UPDATE ledger_auditevent SET recorded_at = recorded_at - interval '1 us' WHERE id = %(last)s",
            ["changed"],
            "event_changed",
        ),
        (
            "UPDATE ledger_auditevent SET after_sha256 = '\\x00' WHERE id = %(first)s",
            ["changed"],
            "event_changed",
        ),
        ("DELETE FROM ledger_auditevent WHERE id = %(middle)s", ["gone"], "event_missing"),
        ("DELETE FROM ledger_auditevent WHERE id = %(last)s", ["gone"], "event_missing"),
        (SWAP, ["changed", "changed"], "event_changed"),
        ("TRUNCATE ledger_auditevent CASCADE", ["gone", "gone", "gone"], "event_missing"),
        (SLIP_IN, ["slipped in"], "event_unsealed"),
    ],
)
def test_is_a_break_of_a_full_run_and_a_finding_of_the_seals(
    events: dict[str, int], statement: str, kinds: list[str], code: str
) -> None:
    tamper(statement, events)
    run = reconcile(is_full=True)
    assert run.status == RunStatus.BREAKS
    assert [what for _, what in found(run)] == kinds
    assert {finding.code for finding in verification.verify().findings} == {code}


def test_stays_a_break_until_it_is_mended(events: dict[str, int]) -> None:
    tamper("UPDATE ledger_auditevent SET actor = 'mallory' WHERE id = %(middle)s", events)
    assert found(reconcile()) == []
    assert found(reconcile(is_full=True)) == [("leaf", "changed")]
    assert found(reconcile()) == [("leaf", "changed")]
    who = AuditEvent.objects.get(pk=events["first"]).actor
    with tampering("ledger_auditevent"):
        AuditEvent.objects.filter(pk=events["middle"]).update(actor=who)
    assert found(reconcile()) == []


def test_of_another_program_is_none_of_this_one(events: dict[str, int]) -> None:
    with transaction.atomic():
        other = audit.record("test.other", scope="program:999").pk
    sealer.seal()
    tamper("UPDATE ledger_auditevent SET actor = 'mallory' WHERE id = %(other)s", {"other": other})
    assert found(reconcile(is_full=True)) == []
