"""The figures of PEFA PI-27, computed by hand for two months of reconciling."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger.models import ReconciliationRun, RunStatus
from ledger.seals import sealer
from tests.ledger.months import SCOPE, day
from tests.ledger.reports.asking import columns

LATER = datetime(2100, 1, 1, tzinfo=UTC)
BEFORE = day(12, 11, 0)


def run(status: RunStatus, at: datetime, scope: str = SCOPE) -> None:
    """Store a run that ended at a time."""
    ReconciliationRun.objects.create(
        scope=scope, status=status, digest=bytes(32), started_at=at, finished_at=at
    )


def figures(**given: object) -> dict[tuple[str, str], Decimal | int | None]:
    asked = {"before": BEFORE, "since": day(10, 1, 0), "known_at": LATER} | given
    return {
        (scope, figure): value
        for scope, figure, value in columns("pefa-27", "scope", "figure", "value", **asked)
    }


@pytest.fixture
def runs(entry_ids: list[int]) -> None:
    """Breaks two days before the one clean run of the program; nobody reconciles the treasury."""
    run(RunStatus.BREAKS, day(11, 1, 12))
    run(RunStatus.INCONCLUSIVE, day(11, 2, 0))
    run(RunStatus.CLEAN, day(11, 3, 0))
    run(RunStatus.CLEAN, day(11, 2, 0), "program:9")  # Holds nothing.


@pytest.mark.usefixtures("runs")
class TestReconciliation:
    def test_counts_days_from_each_months_end_to_the_first_clean_run(self) -> None:
        found = figures()
        # October: two days. November, over since ten days: not yet.
        assert found[SCOPE, "days to reconcile, mean over the months"] == Decimal("6.0")
        assert found[SCOPE, "days to reconcile, longest"] == Decimal("10.0")
        assert found[SCOPE, "days since the last clean reconciliation"] == Decimal("38.0")
        # It holds something since the sixth of November.
        assert found["treasury", "days to reconcile, longest"] == Decimal("10.0")
        assert found["treasury", "days to reconcile, mean over the months"] == Decimal("10.0")
        assert found["treasury", "days since the last clean reconciliation"] is None

    def test_gives_the_share_of_accounts(self) -> None:
        found = figures()
        assert found["", "accounts"] == 2
        assert [found["", f"accounts reconciled in the last {bound} days"] for bound in (7, 28, 56)] == [
            0,
            0,
            5_000,
        ]
        # The treasury holds nothing yet.
        sooner = figures(before=day(11, 4, 0))
        assert (sooner["", "accounts"], sooner["", "accounts reconciled in the last 7 days"]) == (1, 10_000)

    @pytest.mark.parametrize(
        ("before", "bound"),
        [
            (day(12, 8, 0), "A"),
            (day(12, 9, 0), "B"),
            (day(12, 29, 0), "B"),
            (day(12, 30, 0), "C"),
            (datetime(2027, 1, 26, tzinfo=UTC), "C"),
            (datetime(2027, 1, 27, tzinfo=UTC), "D"),
        ],
    )
    def test_names_the_bound_that_the_longest_wait_meets(self, before: datetime, bound: str) -> None:
        found = columns(
            "pefa-27", "figure", "bound", scope="treasury", before=before, since=day(10, 1, 0), known_at=LATER
        )
        assert {figure: bound for figure, bound in found if bound} == {"days to reconcile, longest": bound}

    def test_knows_no_run_that_ended_later(self) -> None:
        found = figures(known_at=day(11, 2, 23))
        assert (SCOPE, "days since the last clean reconciliation") not in found or found[
            SCOPE, "days since the last clean reconciliation"
        ] is None

    def test_without_a_beginning_takes_the_fiscal_year(self) -> None:
        # It began in July; the program holds something since October.
        found = figures(since=None)
        assert found == figures()
        assert found[SCOPE, "months that ended since the first entry"] == 2
        assert found[SCOPE, "months reconciled"] == 1

    @pytest.mark.parametrize("since", [None, day(6, 1, 0)])
    def test_of_new_books_gives_no_wait_and_no_letter(self, since: datetime | None) -> None:
        asked = {"since": since, "before": day(10, 2, 10), "known_at": LATER, "scope": SCOPE}
        found = {
            figure: (value, bound)
            for figure, value, bound in columns("pefa-27", "figure", "value", "bound", **asked)
        }
        assert found["months that ended since the first entry"] == (0, "")
        assert found["months reconciled"] == (0, "")
        assert found["days to reconcile, mean over the months"] == (None, "")
        assert found["days to reconcile, longest"] == (None, "")


@pytest.mark.django_db(transaction=True)
class TestIntegrity:
    def test_counts_entries_approved_and_sealed(self, runs: None) -> None:
        found = figures()
        assert found["", "entries"] == 10
        assert found["", "entries that a second person approved"] == 2
        assert found["", "entries sealed in the tree"] == 0
        assert found["", "days since the last signed checkpoint"] is None
        sealer.seal()
        assert figures()["", "entries sealed in the tree"] == 10
        assert figures(scope="treasury")["", "entries"] == 1

    def test_ages_suspense(self, runs: None) -> None:
        found = figures()
        assert found["", "open items in suspense"] == 0
        assert found["", "age of the oldest item in suspense"] is None
        assert found["", "items in suspense for more than 31 days"] == 0
