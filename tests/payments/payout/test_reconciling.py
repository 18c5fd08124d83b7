"""Reconciliation by the clock: what is due, how much is read for it, and what happens when it does not come."""

import signal
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger.models import ReconciliationRun, RunStatus
from ledger.reconciliation import evidence, service
from payments import tasks
from payments.models import Alarm, Heartbeat, Program, Wallet
from payments.payout import lookout, reconciling, rounds
from tests import factories, sessions
from tests.ledger import witness

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def run(program: Program, *, ago: timedelta, is_full: bool = False, status: str = RunStatus.CLEAN) -> None:
    at = timezone.now() - ago
    ReconciliationRun.objects.create(
        scope=program.scope, status=status, is_full=is_full, digest=bytes(32), started_at=at, finished_at=at
    )


def age(prefix: str, program: Program, seconds: int) -> None:
    """Let so long pass since the last attempt."""
    late = timezone.now() - timedelta(seconds=seconds + 1)
    assert Heartbeat.objects.filter(name=f"{prefix}{program.pk}").update(beat_at=late) == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What reconciliation was asked for."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(service, "reconcile", lambda **call: calls.append(call))
    return calls


class TestDue:
    def test_is_who_was_never_reconciled_or_not_for_a_day(self, program: Program) -> None:
        fresh = factories.make_program("FRESH")
        run(fresh, ago=DAY / 2, is_full=True)
        old = factories.make_program("OLD")
        run(old, ago=DAY * 1.1, is_full=True)
        assert list(reconciling.due()) == [program.pk, old.pk]
        assert [ring.ids for ring in rounds.programs_to_reconcile()] == [
            {"program_id": program.pk},
            {"program_id": old.pk},
        ]

    def test_is_who_was_reconciled_without_proof(self, program: Program) -> None:
        run(program, ago=DAY * 1.1, is_full=True)
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
        age(reconciling.FULL, program, reconciling.RETRY_FULL_S)
        assert list(reconciling.due()) == [program.pk]

    def test_is_an_increment_while_full_runs_prove_nothing(
        self, program: Program, asked: list[dict[str, Any]]
    ) -> None:
        run(program, ago=DAY * 9, is_full=True)
        run(program, ago=DAY * 1.1)
        tasks.reconcile(program_id=program.pk)
        assert [call["is_full"] for call in asked] == [True]
        assert list(reconciling.due()) == [program.pk]
        tasks.reconcile(program_id=program.pk)
        assert [call["is_full"] for call in asked] == [True, False]
        assert list(reconciling.due()) == []
        age(reconciling.INCREMENT, program, reconciling.RETRY_S)
        assert list(reconciling.due()) == [program.pk]
        run(program, ago=DAY / 2)
        assert list(reconciling.due()) == []
        age(reconciling.FULL, program, reconciling.RETRY_FULL_S)
        assert list(reconciling.due()) == [program.pk]

    def test_is_nobody_at_whom_another_worker_is_however_long(
        self, program: Program, asked: list[dict[str, Any]]
    ) -> None:
        with sessions.holding(reconciling.LOCKS + program.pk):
            tasks.reconcile(program_id=program.pk)
            assert (asked, Heartbeat.objects.count()) == ([], 0)
        tasks.reconcile(program_id=program.pk)
        assert len(asked) == 1


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


class Endless:
    """A source whose claims take a minute."""

    def __getattr__(self, name: str) -> Any:
        return getattr(witness.Witness(witness.world), name)

    def claims(self, scope: str, only: Sequence[int] | None) -> Iterator[evidence.Claim]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
        yield from ()


@pytest.mark.django_db(transaction=True)
class TestLimit:
    @pytest.fixture
    def scope(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
        """A program whose comparison does not end."""
        program = factories.make_program("LIMIT")
        monkeypatch.setattr(witness, "world", witness.World())
        settings.LEDGER_EVIDENCE = f"{__name__}.Endless"
        monkeypatch.setattr(Endless, "scopes", lambda self: [program.scope], raising=False)
        return program.scope

    def test_ends_a_run_without_proof_and_lets_go_of_the_program(self, scope: str) -> None:
        """As the worker does: an exception out of a signal, in the middle of a statement."""

        def ring(signum: int, frame: Any) -> None:
            raise SoftTimeLimitExceeded

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        try:
            tasks.reconcile(program_id=int(scope.split(":")[1]))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        found = ReconciliationRun.objects.get()
        assert (found.scope, found.status, found.reason) == (
            scope,
            RunStatus.INCONCLUSIVE,
            "The run did not end within 3,500 s.",
        )
        assert [(one.kind, one.message) for one in found.breaks.all()] == [("stale_source", found.reason)]
        with sessions.another_session(autocommit=True) as other:
            other.execute("SET lock_timeout = '20s'")
            other.execute("SELECT pg_advisory_lock(%s)", [reconciling.LOCKS + int(scope.split(":")[1])])


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

    def test_is_an_alarm_where_increments_alone_prove_something(self, program: Program) -> None:
        other = factories.make_program("OTHER")
        Wallet.objects.update(ready_at=timezone.now() - DAY * 30)
        for each, days in ((program, 15), (other, 13)):
            run(each, ago=DAY * days, is_full=True)
            run(each, ago=DAY / 9)
        lookout.look()
        assert self.overdue() == [program.pk]
        assert Alarm.objects.get().message.startswith("No full reconciliation has proved anything since 20")

    def test_asks_as_often_however_many_programs_there_are(self, program: Program) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                reconciling.watch(timezone.now())
            return len(captured)

        alone = count()
        for number in range(3):
            run(factories.make_program(f"MORE{number}"), ago=DAY / 2)
        assert count() == alone
