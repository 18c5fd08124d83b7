"""S1: a worker killed in the middle of a check, or of a load; a second one goes on with what was not committed."""

import io
import os
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from payments.models import ImportJob, ImportRow, Program
from payments.services import import_files, importing, imports
from tests import factories
from tests.faults.killing import Child, kill_at
from tests.payments.services.files import count_payments, count_registry, list_csv, make_person, people_csv

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 20
FILE = people_csv(
    *(make_person(n, address="x" if n == 2 else make_person(n)["address"]) for n in range(ROWS))
)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "PART_BYTES", 300)


@pytest.fixture
def job(program: Program, officer: User) -> ImportJob:
    return imports.ask_people(
        by=officer, program_id=program.pk, file=io.BytesIO(FILE), filename="x.csv", accept_partial=True
    )


def expire_leases() -> None:
    """The leases of the dead run out, by the database's clock."""
    ImportJob.objects.update(lease_until=None)


def in_part(nth: int, job: ImportJob) -> Callable[[], None]:
    """Return work that stands still in its n-th part, once that is staged and before it is committed."""

    def work() -> None:
        check, begun = importing._check_part, iter(range(1_000))

        def counted(*args: Any) -> None:
            if next(begun) == nth - 1:
                os.environ["GOVPAY_STOPPED_AT"] = "K2"
            check(*args)

        importing._check_part = counted
        importing.run(job.pk)

    return work


class TestKilled:
    def test_in_a_check_goes_on_with_the_part_that_was_not_committed(
        self, job: ImportJob, officer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kill_at("", in_part(4, job))
        job.refresh_from_db()
        assert job.status == "checking"
        assert 0 < job.rows_done < ROWS
        assert ImportRow.objects.count() == job.rows_done
        importing.run(job.pk)
        assert ImportRow.objects.count() == job.rows_done  # The dead one's lease has not run out.
        expire_leases()
        first, check = [], importing._check_part

        def watched(of: ImportJob, rows: Any, *args: Any) -> None:
            first.append(rows[0][0])
            check(of, rows, *args)

        monkeypatch.setattr(importing, "_check_part", watched)
        importing.run(job.pk)
        assert first[0] == job.rows_done + 1
        job.refresh_from_db()
        assert (job.status, job.rows_total, job.rows_done, job.errors_count) == ("ready", ROWS, ROWS, 1)
        assert list(job.faults.values_list("row", "code")) == [(3, "address_malformed")]
        assert list(ImportRow.objects.order_by("row").values_list("row", flat=True)) == [*range(1, ROWS + 1)]
        self.load(job, officer)

    def load(self, job: ImportJob, officer: User) -> None:
        imports.confirm(by=officer, job_id=job.pk)
        importing.run(job.pk)
        job.refresh_from_db()
        assert (job.status, count_registry()) == ("done", (ROWS - 1,) * 3)

    def test_in_the_judgment_leaves_all_rows_checked_and_nothing_decided(
        self, job: ImportJob, officer: User
    ) -> None:
        kill_at("K3", lambda: importing.run(job.pk))
        job.refresh_from_db()
        assert (job.status, job.rows_done, job.errors_count) == ("checking", ROWS, 0)
        expire_leases()
        importing.run(job.pk)
        self.load(job, officer)

    def test_in_a_load_of_people_leaves_nothing(self, job: ImportJob, officer: User) -> None:
        importing.run(job.pk)
        imports.confirm(by=officer, job_id=job.pk)
        kill_at("K3", lambda: importing.run(job.pk))
        job.refresh_from_db()
        assert (job.status, count_registry()) == ("loading", (0, 0, 0))
        expire_leases()
        importing.run(job.pk)
        job.refresh_from_db()
        assert (job.status, count_registry()) == ("done", (ROWS - 1,) * 3)

    def test_in_a_load_of_a_list_leaves_nothing(self, program: Program, officer: User) -> None:
        rows = [(factories.make_enrollment(program).reference, "1000") for _ in range(5)]
        job = imports.ask_list(
            by=officer,
            program_id=program.pk,
            period="2026-11",
            purpose="pension",
            file=io.BytesIO(list_csv(*rows)),
            filename="x.csv",
            expected_count=5,
            expected_total_sat=5_000,
        )
        importing.run(job.pk)
        imports.confirm(by=officer, job_id=job.pk)
        kill_at("K3", lambda: importing.run(job.pk))
        assert count_payments() == (0, 0)
        expire_leases()
        importing.run(job.pk)
        assert count_payments() == (1, 5)


class TestStopped:
    def test_past_its_lease_writes_nothing_when_it_wakes(self, job: ImportJob) -> None:
        def between_parts() -> None:
            check = importing._check_part

            def stopped(*args: Any) -> None:
                check(*args)
                importing.failpoint.hit("between")

            importing._check_part = stopped
            importing.run(job.pk)

        child = Child(between_parts, "between")
        assert child.wait_for_stop()
        expire_leases()
        importing.run(job.pk)
        assert child.wake() == 0
        job.refresh_from_db()
        assert (job.status, ImportRow.objects.count(), job.faults.count()) == ("ready", ROWS, 1)
