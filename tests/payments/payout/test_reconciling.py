"""Reconciliation by the clock: what is due, how much is read for it, and what happens when it does not come."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ledger.models import ReconciliationRun, RunStatus
from ledger.reconciliation import service
from payments import tasks
from payments.models import Alarm, Heartbeat, Program, Wallet
from payments.payout import lookout, reconciling, rounds
from tests import factories

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def run(program: Program, *, ago: timedelta, is_full: bool = False, status: str = RunStatus.CLEAN) -> None:
    at = timezone.now() - ago
    ReconciliationRun.objects.create(
        scope=program.scope, status=status, is_full=is_full, digest=bytes(32), started_at=at, finished_at=at
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What reconciliation was asked for."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(service, "reconcile", lambda **call: calls.append(call))
    return calls


class TestDue:
    def test_is_who_was_never_reconciled_or_not_for_a_day(self, program: Program) -> None:
        fresh = factories.make_program("FRESH")
        run(fresh, ago=DAY / 2)
        old = factories.make_program("OLD")
        run(old, ago=DAY * 1.1)
        assert list(reconciling.due()) == [program.pk, old.pk]
        assert [ring.ids for ring in rounds.programs_to_reconcile()] == [
            {"program_id": program.pk},
            {"program_id": old.pk},
        ]

    def test_is_who_was_reconciled_without_proof(self, program: Program) -> None:
        run(program, ago=DAY * 1.1)
        run(program, ago=DAY / 2, status=RunStatus.INCONCLUSIVE)
        assert list(reconciling.due()) == [program.pk]

    def test_is_nobody_without_a_wallet_or_on_another_network(self, program: Program) -> None:
        factories.make_program("LATER", is_ready=False)
        Program.objects.filter(pk=program.pk).update(network="signet")
        assert list(reconciling.due()) == []

    def test_is_who_was_tried_just_now_only_later(
        self, program: Program, asked: list[dict[str, Any]]
    ) -> None:
        tasks.reconcile(program_id=program.pk)
        assert list(reconciling.due()) == []
        # A ring that comes twice, or a broker that hands it out again, does nothing.
        tasks.reconcile(program_id=program.pk)
        assert len(asked) == 1
        late = timezone.now() - timedelta(seconds=reconciling.RETRY_S + 1)
        Heartbeat.objects.filter(name=f"reconcile:{program.pk}").update(beat_at=late)
        assert list(reconciling.due()) == [program.pk]


class TestReconcile:
    @pytest.mark.parametrize(("full_ago", "is_full"), [(None, True), (DAY * 6, False), (DAY * 8, True)])
    def test_reads_all_once_a_week(
        self,
        program: Program,
        asked: list[dict[str, Any]],
        full_ago: timedelta | None,
        is_full: bool,
    ) -> None:
        if full_ago:
            run(program, ago=full_ago, is_full=True)
        run(program, ago=DAY * 2)
        tasks.reconcile(program_id=program.pk)
        assert [(call["scope"], call["is_full"]) for call in asked] == [(program.scope, is_full)]


class TestWatch:
    def overdue(self) -> list[int]:
        return list(
            Alarm.objects.filter(code="reconciliation_overdue", closed_at=None).values_list(
                "program", flat=True
            )
        )

    def test_is_an_alarm_until_a_run_proves_something(self, program: Program) -> None:
        run(program, ago=DAY * 1.9)
        lookout.look()
        assert self.overdue() == []
        Wallet.objects.update(ready_at=timezone.now() - DAY * 9)
        other = factories.make_program("OTHER")
        Wallet.objects.filter(program=other).update(ready_at=timezone.now() - DAY * 2.1)
        lookout.look()
        lookout.look()
        assert self.overdue() == [other.pk]
        run(other, ago=DAY / 9, status=RunStatus.INCONCLUSIVE)
        lookout.look()
        assert self.overdue() == [other.pk]
        run(other, ago=DAY / 9, status=RunStatus.BREAKS)
        lookout.look()
        assert self.overdue() == []
