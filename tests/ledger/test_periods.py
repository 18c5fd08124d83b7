"""Periods: who closes and seals them, what is dated where, and that entries and seals never overtake each other."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from govpay.errors import Forbidden, GovPayError, InvalidInput, NotFound, SamePersonTwice
from ledger import books, chart, periods, selectors
from ledger.books import Draft, Line
from ledger.models import Entry, Period, PeriodChange
from tests import factories, services
from tests.racing import race

CODES = chart.program_accounts(7)
SCOPE = chart.program_scope(7)
SEPTEMBER, OCTOBER, NOVEMBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10, 11))
MIDDLE = datetime(2026, 10, 15, 12, tzinfo=UTC)
JUST_BEFORE = NOVEMBER - timedelta(microseconds=1)


def book(key: str, at: datetime, amount: int = 5, **columns: Any) -> Entry:
    """Post a deposit at a time."""
    lines = [Line(CODES.hot_wallet, amount), Line(CODES.appropriation, -amount)]
    values: dict[str, Any] = {"kind": "funding", "scope": SCOPE, "actor": "engine"} | columns
    (pk,) = books.post([Draft(idempotency_key=key, lines=lines, effective_at=at, **values)])
    return Entry.objects.get(pk=pk)


def status(name: str) -> str:
    return str(selectors.get_period(name).status)


def seal(by: User, name: str = "2026-10") -> PeriodChange:
    """Look at the figures and seal."""
    return periods.seal(by=by, name=name, digest=periods.figures(selectors.get_period(name)).digest)


@pytest.fixture
def dalia(db: None) -> User:
    """May close periods, and closes."""
    return factories.make_user("dalia", periods.RIGHT)


@pytest.fixture
def emil(db: None) -> User:
    """May close periods, and seals."""
    return factories.make_user("emil", periods.RIGHT)


@pytest.fixture
def october(dalia: User) -> None:
    """September and October are open; a deposit lies in the middle of October."""
    chart.open_program(7)
    periods.open_next(by=dalia, name="2026-09", ends_at=OCTOBER)
    periods.open_next(by=dalia, name="2026-10", ends_at=NOVEMBER)
    book("october", MIDDLE, 100)


@pytest.fixture
def closing(october: None, dalia: User, emil: User) -> None:
    """September is sealed, and October closed by Dalia."""
    periods.close(by=dalia, name="2026-09")
    seal(emil, "2026-09")
    periods.close(by=dalia, name="2026-10", note="All in")


@pytest.fixture
def sealed(closing: None, emil: User) -> None:
    """October is sealed by Emil."""
    seal(emil)


@pytest.mark.usefixtures("october")
class TestOpen:
    def test_begins_where_the_one_before_ends(self) -> None:
        found = [(p.name, p.starts_at, p.ends_at, p.status, p.opened_by) for p in selectors.periods()]
        assert found == [
            ("2026-09", None, OCTOBER, "open", "dalia"),
            ("2026-10", OCTOBER, NOVEMBER, "open", "dalia"),
        ]

    @pytest.mark.parametrize(
        ("name", "ends_at", "column"),
        [
            ("2026-11", NOVEMBER, "ends_at"),
            ("2026-11", OCTOBER, "ends_at"),
            ("2026-10", NOVEMBER + timedelta(days=1), "name"),
            ("", NOVEMBER + timedelta(days=1), "name"),
            ("a\nb", NOVEMBER + timedelta(days=1), "name"),
            ("x" * 31, NOVEMBER + timedelta(days=1), "name"),
        ],
    )
    def test_refuses_what_does_not_follow(
        self, dalia: User, name: str, ends_at: datetime, column: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            periods.open_next(by=dalia, name=name, ends_at=ends_at)
        assert [error["column"] for error in refused.value.details["errors"]] == [column]
        assert Period.objects.count() == 2

    def test_takes_any_date(self) -> None:
        assert book("old", SEPTEMBER - timedelta(days=900)).original_at is None


class TestRight:
    @pytest.mark.usefixtures("closing")
    def test_is_needed_for_everything(self, officer: User) -> None:
        digest = periods.figures(selectors.get_period("2026-10")).digest
        calls: list[Callable[[], object]] = [
            lambda: periods.open_next(by=officer, name="x", ends_at=NOVEMBER + timedelta(days=1)),
            lambda: periods.close(by=officer, name="2026-10"),
            lambda: periods.reopen(by=officer, name="2026-10", note="x"),
            lambda: periods.seal(by=officer, name="2026-10", digest=digest),
        ]
        for call in calls:
            with pytest.raises(Forbidden):
                call()
        assert (Period.objects.count(), status("2026-10")) == (2, "closing")


@pytest.mark.usefixtures("october")
class TestClose:
    def test_says_who_why_and_through_which_entry(self, dalia: User) -> None:
        last = Entry.objects.latest("pk")
        made = periods.close(by=dalia, name="2026-09", note="September is done")
        assert (made.status, made.actor, made.note) == ("closing", "dalia", "September is done")
        assert (made.through_entry_id, made.digest) == (last.pk, None)
        assert abs(made.recorded_at - datetime.now(UTC)) < timedelta(minutes=5)

    def test_refuses_the_second_before_the_first(self, dalia: User) -> None:
        for _ in ("open", "closing"):
            with pytest.raises(periods.PeriodOrder) as refused:
                periods.close(by=dalia, name="2026-10")
            assert refused.value.details == {"period": "2026-09"}
            if status("2026-09") == "open":
                periods.close(by=dalia, name="2026-09")
        assert status("2026-10") == "open"

    def test_refuses_a_period_that_is_not_over(self, dalia: User) -> None:
        periods.open_next(by=dalia, name="long", ends_at=datetime.now(UTC) + timedelta(days=1))
        with pytest.raises(periods.PeriodNotOver):
            periods.close(by=dalia, name="long")
        assert status("long") == "open"

    def test_refuses_a_period_that_nobody_opened(self, dalia: User) -> None:
        with pytest.raises(NotFound):
            periods.close(by=dalia, name="2031-01")


STEPS: dict[str, Callable[[User], object]] = {
    "closing": lambda by: periods.close(by=by, name="2026-10"),
    "open": lambda by: periods.reopen(by=by, name="2026-10", note="Not yet"),
    "sealed": seal,
}


@pytest.mark.usefixtures("october")
class TestEveryPair:
    @pytest.mark.parametrize("old", ["open", "closing", "sealed"])
    @pytest.mark.parametrize("new", ["open", "closing", "sealed"])
    def test_is_allowed_or_refused_in_the_service_and_in_the_database(
        self, dalia: User, emil: User, old: str, new: str
    ) -> None:
        periods.close(by=dalia, name="2026-09")
        seal(emil, "2026-09")
        for step in {"open": [], "closing": ["closing"], "sealed": ["closing", "sealed"]}[old]:
            STEPS[step](dalia if step == "closing" else emil)
        if (old, new) in {("open", "closing"), ("closing", "open"), ("closing", "sealed")}:
            STEPS[new](emil)
            assert status("2026-10") == new
            return
        with pytest.raises(periods.PeriodState):
            STEPS[new](emil)
        period = Period.objects.get(name="2026-10")
        digest = b"x" if new == "sealed" else None
        with pytest.raises(DatabaseError, match="it cannot become"), transaction.atomic():
            PeriodChange.objects.create(period=period, status=new, actor="mallory", digest=digest)
        assert status("2026-10") == old


@pytest.mark.usefixtures("closing")
class TestClosing:
    def test_moves_late_facts_into_the_next_period(self) -> None:
        late = book("late", MIDDLE)
        assert (late.effective_at, late.original_at) == (NOVEMBER, MIDDLE)
        assert book("at the end", JUST_BEFORE).effective_at == NOVEMBER
        first = book("first open moment", NOVEMBER)
        assert (first.effective_at, first.original_at) == (NOVEMBER, None)
        assert books.balance(CODES.hot_wallet, JUST_BEFORE) == 100

    def test_keeps_the_first_of_several_original_times(self) -> None:
        assert book("late", MIDDLE, original_at=SEPTEMBER).original_at == SEPTEMBER

    def test_lets_a_person_correct_it(self) -> None:
        chosen = book("correction", MIDDLE, keeps_date=True)
        assert (chosen.effective_at, chosen.original_at) == (MIDDLE, None)

    def test_keeps_sealed_periods_from_corrections(self) -> None:
        with pytest.raises(books.PeriodSealed) as refused:
            book("correction", SEPTEMBER, keeps_date=True)
        assert refused.value.code == "period_sealed"
        assert refused.value.details == {"sealed_until": OCTOBER.isoformat()}
        assert Entry.objects.count() == 1

    def test_cannot_be_sealed_over_a_correction(self, emil: User) -> None:
        chosen = book("correction", MIDDLE, keeps_date=True)
        with pytest.raises(periods.PeriodChanged) as refused:
            seal(emil)
        assert refused.value.details == {"entry_id": chosen.pk}
        periods.reopen(by=emil, name="2026-10", note="A correction")
        periods.close(by=emil, name="2026-10")
        assert status("2026-10") == "closing"

    def test_is_sealed_by_a_second_person_only(self, dalia: User, emil: User) -> None:
        with pytest.raises(SamePersonTwice):
            seal(dalia)
        period = Period.objects.get(name="2026-10")
        for name, user in (("dalia", dalia), ("dahlia", dalia), ("dalia", emil), ("emil", None)):
            with pytest.raises(DatabaseError, match="sealed by a second person"), transaction.atomic():
                PeriodChange.objects.create(
                    period=period, status="sealed", actor=name, user=user, digest=b"x"
                )
        assert status("2026-10") == "closing"

    def test_is_not_sealed_by_the_same_person_under_another_name(self, dalia: User, emil: User) -> None:
        dalia = factories.rename(dalia, "dahlia")
        with pytest.raises(SamePersonTwice):
            seal(dalia)
        # Nor by somebody who has her name now: packs tell the two apart by what they were called.
        emil = factories.rename(emil, "dalia")
        with pytest.raises(SamePersonTwice):
            seal(emil)
        assert seal(factories.rename(emil, "emil")).status == "sealed"

    def test_by_whom_nobody_kept_is_closed_once_more_before_it_is_sealed(
        self, dalia: User, emil: User
    ) -> None:
        periods.reopen(by=dalia, name="2026-10", note="")
        period = Period.objects.get(name="2026-10")
        PeriodChange.objects.create(period=period, status="closing", actor="dalia")
        with pytest.raises(periods.PeriodChanged):
            seal(emil)
        assert status("2026-10") == "closing"

    def test_is_sealed_with_the_figures_that_were_looked_at(self, emil: User) -> None:
        with pytest.raises(periods.PeriodChanged) as refused:
            periods.seal(by=emil, name="2026-10", digest=bytes(32))
        figures = periods.figures(selectors.get_period("2026-10"))
        assert refused.value.details == {"digest": figures.digest.hex()}
        assert figures.entry_count == 1
        assert status("2026-10") == "closing"

    def test_opens_again_and_takes_late_facts(self, dalia: User) -> None:
        periods.reopen(by=dalia, name="2026-10", note="One is missing")
        assert book("late", MIDDLE).effective_at == MIDDLE


@pytest.mark.usefixtures("sealed")
class TestSealed:
    def test_keeps_who_and_what(self) -> None:
        change = PeriodChange.objects.latest("pk")
        figures = periods.figures(selectors.get_period("2026-10"))
        assert (change.status, change.actor, bytes(change.digest)) == ("sealed", "emil", figures.digest)
        assert periods.is_as_sealed(selectors.get_period("2026-10"))

    def test_dates_what_comes_late_in_the_open_period_with_its_own_time(self) -> None:
        late = book("late", MIDDLE)
        assert (late.effective_at, late.original_at) == (NOVEMBER, MIDDLE)
        back = books.reverse(
            Entry.objects.get(idempotency_key="october").pk,
            idempotency_key="back",
            effective_at=MIDDLE,
            memo="A reorganization",
            actor="engine",
        )
        assert Entry.objects.get(pk=back).effective_at == NOVEMBER
        assert books.balance(CODES.hot_wallet, JUST_BEFORE) == 100
        assert books.balance(CODES.hot_wallet, NOVEMBER) == 5
        assert periods.is_as_sealed(selectors.get_period("2026-10"))

    def test_refuses_a_date_that_somebody_chose(self) -> None:
        with pytest.raises(books.PeriodSealed):
            book("chosen", MIDDLE, keeps_date=True)
        with pytest.raises(books.PeriodSealed):
            book("chosen", JUST_BEFORE, keeps_date=True)
        assert Entry.objects.count() == 1
        assert book("chosen", NOVEMBER, keeps_date=True).effective_at == NOVEMBER

    def test_refuses_it_to_whoever_writes_directly(self) -> None:
        with pytest.raises(DatabaseError, match="in a period that was sealed"), transaction.atomic():
            Entry.objects.create(
                kind="raw",
                scope=SCOPE,
                idempotency_key="raw",
                input_hash=b"",
                actor="raw",
                effective_at=MIDDLE,
            )

    def test_refuses_a_period_before_it(self, dalia: User) -> None:
        with pytest.raises(DatabaseError, match="does not end after all others"), transaction.atomic():
            Period.objects.create(name="early", ends_at=MIDDLE, opened_by="dalia")

    def test_gives_the_entry_that_stood_already(self, closing: None) -> None:
        entry = Entry.objects.get(idempotency_key="october")
        assert book("october", MIDDLE, 100) == entry

    def test_gives_a_chosen_date_that_stood_already(self, dalia: User) -> None:
        entry = book("chosen", NOVEMBER, keeps_date=True)
        december = NOVEMBER + timedelta(days=20)
        periods.open_next(by=dalia, name="2026-11a", ends_at=december)
        periods.close(by=dalia, name="2026-11a")
        assert book("chosen", NOVEMBER, keeps_date=True) == entry
        with pytest.raises(books.IdempotencyConflict):
            book("chosen", NOVEMBER + timedelta(seconds=1), keeps_date=True)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.fixture(autouse=True)
    def _patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(periods, "WAIT_S", 60)

    def test_an_entry_that_waits_for_the_closing_goes_to_the_next_period(
        self, october: None, dalia: User, emil: User
    ) -> None:
        periods.close(by=dalia, name="2026-09")
        seal(emil, "2026-09")
        _, racer = race(lambda: periods.close(by=dalia, name="2026-10"), lambda: book("late", MIDDLE))
        assert racer.error is None
        assert Entry.objects.get(idempotency_key="late").effective_at == NOVEMBER

    def test_a_correction_that_waits_for_the_seal_is_refused(self, closing: None, emil: User) -> None:
        _, racer = race(lambda: seal(emil), lambda: book("late", MIDDLE, keeps_date=True))
        assert type(racer.error) is books.PeriodSealed
        assert Entry.objects.count() == 1

    def test_a_direct_insert_that_waits_for_the_seal_is_refused(self, closing: None, emil: User) -> None:
        raw = dict(kind="raw", scope=SCOPE, idempotency_key="raw", input_hash=b"", actor="raw")  # noqa: C408
        _, racer = race(lambda: seal(emil), lambda: Entry.objects.create(**raw, effective_at=MIDDLE))
        assert "in a period that was sealed" in str(racer.error)
        assert Entry.objects.count() == 1

    def test_a_closing_waits_for_entries_that_are_being_written(
        self, october: None, dalia: User, emil: User
    ) -> None:
        periods.close(by=dalia, name="2026-09")
        seal(emil, "2026-09")
        early, racer = race(lambda: book("early", MIDDLE), lambda: periods.close(by=dalia, name="2026-10"))
        assert racer.error is None
        assert isinstance(early, Entry)
        assert early.effective_at == MIDDLE
        assert PeriodChange.objects.latest("pk").through_entry_id == early.pk
        seal(emil)

    def test_a_seal_that_waits_for_a_correction_is_refused(self, closing: None, emil: User) -> None:
        chosen, racer = race(lambda: book("late", MIDDLE, keeps_date=True), lambda: seal(emil))
        assert type(racer.error) is periods.PeriodChanged
        assert isinstance(chosen, Entry)
        assert racer.error.details == {"entry_id": chosen.pk}
        assert status("2026-10") == "closing"

    def test_of_two_that_seal_one_is_told_so(self, closing: None, emil: User) -> None:
        other = factories.make_user("other", periods.RIGHT)
        _, racer = race(lambda: seal(emil), lambda: seal(other))
        assert type(racer.error) is periods.PeriodState
        assert PeriodChange.objects.filter(status="sealed", period__name="2026-10").count() == 1

    def test_two_entries_do_not_wait_for_each_other(self, closing: None) -> None:
        with transaction.atomic():
            book("first", NOVEMBER)
            with psycopg.connect(
                services.ensure_database(), dbname=connection.settings_dict["NAME"]
            ) as other:
                other.execute("SET lock_timeout = '1ms'")
                other.execute("SELECT pg_advisory_xact_lock_shared(ledger_lock())")

    def test_whoever_closes_gives_up_while_entries_take_long(
        self, closing: None, emil: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(periods, "WAIT_S", 1)
        with psycopg.connect(services.ensure_database(), dbname=connection.settings_dict["NAME"]) as writer:
            writer.execute("SELECT pg_advisory_xact_lock_shared(ledger_lock())")
            with pytest.raises(periods.BooksBusy) as refused:
                seal(emil)
        assert refused.value.is_transient
        assert status("2026-10") == "closing"

    def test_refuses_entries_under_another_isolation(self, closing: None) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            with pytest.raises(DatabaseError, match="READ COMMITTED"):
                book("late", MIDDLE)
        assert Entry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
class TestTampering:
    def test_with_a_sealed_period_is_seen(self, sealed: None) -> None:
        period = selectors.get_period("2026-10")
        assert periods.is_as_sealed(period)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ledger_posting DISABLE TRIGGER USER")
            try:
                cursor.execute("UPDATE ledger_posting SET amount = amount * 2")
            finally:
                cursor.execute("ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER posting_balance")
                cursor.execute("ALTER TABLE ledger_posting ENABLE ALWAYS TRIGGER posting_unchanged")
        assert books.trial_balance(SCOPE).is_balanced
        assert not periods.is_as_sealed(period)


class TestErrors:
    def test_have_codes_and_statuses(self) -> None:
        found = {
            error: (error.code, error.http_status)
            for error in (
                periods.PeriodState,
                periods.PeriodNotOver,
                periods.PeriodOrder,
                periods.PeriodChanged,
                SamePersonTwice,
                periods.BooksBusy,
                books.PeriodSealed,
                books.NothingHeld,
                books.AlreadyUndone,
                books.IdempotencyConflict,
            )
        }
        assert all(issubclass(error, GovPayError) for error in found)
        assert list(found.values()) == [
            ("period_state", 409),
            ("period_not_over", 409),
            ("period_order", 409),
            ("period_changed", 409),
            ("same_person_twice", 403),
            ("books_busy", 503),
            ("period_sealed", 409),
            ("nothing_held", 409),
            ("already_undone", 409),
            ("entry_conflict", 409),
        ]
