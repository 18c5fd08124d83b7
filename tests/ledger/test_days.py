"""Balances by the day: equal to plain sums of lines whatever was posted, and whoever writes while they are added up."""

import threading
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import books, chart
from ledger.books import Draft, Line, days
from ledger.models import DayMark, DayTotal, Layer, Posting
from payments import tasks
from payments.models import Heartbeat
from payments.payout import rounds
from tests.racing import Racer

CODES = chart.program_accounts(7)
SCOPE = chart.program_scope(7)
FIRST = date(2026, 11, 20)


def post(key: str, day: int, amount: int, layer: str = Layer.SETTLED) -> int:
    """Post a transfer at the last second of a day."""
    at = datetime.combine(FIRST + timedelta(days=day), time(23, 59, 59), UTC)
    lines = [Line(CODES.in_transit, amount, 5, layer), Line(CODES.hot_wallet, -amount, None, layer)]
    draft = Draft(kind="hold", scope=SCOPE, idempotency_key=key, lines=lines, effective_at=at, actor="engine")
    return books.post([draft])[0]


def plain(at: date | None, layer: str) -> dict[str, tuple[int, int]]:
    """Add up line by line in Python; accounts on which nothing moved are left out."""
    sums: dict[str, tuple[int, int]] = {}
    for line in Posting.objects.select_related("entry", "account").filter(layer=layer):
        if at is None or line.entry.effective_at.astimezone(UTC).date() <= at:
            debit, credit = sums.get(line.account.code, (0, 0))
            sums[line.account.code] = (debit + max(line.amount, 0), credit + max(-line.amount, 0))
    return sums


def by_days(at: date | None, layer: str) -> dict[str, tuple[int, int]]:
    """Return what the days say, accounts without any movement left out."""
    rows = books.standing(None, at, layer=layer)
    return {row.code: (row.debit, row.credit) for row in rows if row.debit or row.credit}


MOVES = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.integers(1, 10**12),
        st.sampled_from([Layer.SETTLED, Layer.PENDING]),
        st.booleans(),
    ),
    max_size=8,
)


class TestStanding:
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(moves=MOVES)
    def test_equals_plain_sums_wherever_the_mark_is(self, moves: list[Any], db: None) -> None:
        with transaction.atomic():
            chart.open_program(7)
            for number, (day, amount, layer, is_added_up) in enumerate(moves):
                post(f"entry {number}", day, amount, layer)
                if is_added_up:
                    assert days.add_up()
            for layer in (Layer.SETTLED, Layer.PENDING):
                for at in (None, FIRST - timedelta(days=1), *(FIRST + timedelta(days=d) for d in range(5))):
                    assert by_days(at, layer) == plain(at, layer)
            transaction.set_rollback(True)

    @pytest.mark.django_db
    def test_counts_a_late_entry_on_its_own_day(self) -> None:
        chart.open_program(7)
        post("first", 3, 1_000)
        days.add_up()
        post("late", 0, 5)
        days.add_up()
        assert by_days(FIRST, Layer.SETTLED) == {CODES.hot_wallet: (0, 5), CODES.in_transit: (5, 0)}
        assert by_days(None, Layer.SETTLED)[CODES.in_transit] == (1_005, 0)

    @pytest.mark.django_db
    def test_shows_every_account_of_the_scopes_that_were_asked_for(self) -> None:
        for program_id in (7, 8, 9):
            chart.open_program(program_id)
        post("entry", 0, 40)
        rows = books.standing([SCOPE, chart.program_scope(9)])
        assert {row.scope for row in rows} == {SCOPE, chart.program_scope(9)}
        assert [row.code for row in rows] == sorted([*CODES, *chart.program_accounts(9)])
        assert [row.balance for row in rows if row.code == CODES.hot_wallet] == [-40]
        (row,) = [row for row in rows if row.code == CODES.in_transit]
        assert books.standing(account_id=row.id) == [row]
        assert books.standing([]) == []

    @pytest.mark.django_db
    def test_agrees_with_the_trial_balance(self) -> None:
        chart.open_program(7)
        post("a", 0, 11)
        days.add_up()
        post("b", 1, 22)
        exact = {row.code: (row.debit, row.credit) for row in books.trial_balance(SCOPE).accounts}
        assert {row.code: (row.debit, row.credit) for row in books.standing([SCOPE])} == exact

    @pytest.mark.django_db
    def test_reads_no_line_that_is_in_a_day(self) -> None:
        chart.open_program(7)
        for number in range(200):
            post(f"entry {number}", number % 5, 7)
        days.add_up()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE ledger_entry, ledger_posting, ledger_daytotal")
            values = {"scopes": None, "at": None, "account": None, "layer": "settled"}
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {days.STANDING}", values)
            ((plan,),) = cursor.fetchall()
        read = {node["Relation Name"]: node for node in nodes(plan[0]["Plan"]) if "Relation Name" in node}
        assert read["ledger_posting"]["Actual Loops"] == 0
        assert read["ledger_daytotal"]["Actual Rows"] == 10


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a plan's nodes."""
    return [plan, *(found for child in plan.get("Plans", ()) for found in nodes(child))]


class TestRound:
    @pytest.mark.django_db
    def test_is_rung_for_while_entries_are_in_no_day_and_not_too_often(self) -> None:
        chart.open_program(7)
        assert list(rounds.books_to_add_up()) == []
        post("entry", 0, 9)
        assert [ring.task for ring in rounds.books_to_add_up()] == ["add_up_books"]
        tasks.add_up_books()
        assert DayTotal.objects.count() == 2
        post("another", 0, 9)
        # It was done a moment ago.
        assert list(rounds.books_to_add_up()) == []
        Heartbeat.objects.filter(name="add_up_books").delete()
        assert [ring.task for ring in rounds.books_to_add_up()] == ["add_up_books"]
        tasks.add_up_books()
        assert list(rounds.books_to_add_up()) == []


class TestAddUp:
    @pytest.mark.django_db
    def test_does_nothing_twice(self) -> None:
        chart.open_program(7)
        entry_id = post("entry", 0, 9)
        assert days.has_work()
        assert days.add_up()
        before = list(DayTotal.objects.order_by("pk").values_list())
        assert days.add_up()
        assert list(DayTotal.objects.order_by("pk").values_list()) == before
        assert DayMark.objects.get().through_entry_id == entry_id
        assert not days.has_work()

    @pytest.mark.django_db
    def test_takes_as_many_statements_for_many_entries(self) -> None:
        chart.open_program(7)
        taken = []
        for count in (1, 60):
            for number in range(count):
                post(f"{count} {number}", number % 3, 5)
            with CaptureQueriesContext(connection) as captured:
                days.add_up()
            taken.append(len(captured))
        # The first one makes the row of the mark.
        assert taken[1] <= taken[0]

    @pytest.mark.django_db
    def test_makes_anew_what_was_thrown_away(self) -> None:
        chart.open_program(7)
        post("entry", 0, 9)
        days.add_up()
        DayTotal.objects.all().delete()
        DayMark.objects.all().delete()
        assert by_days(None, Layer.SETTLED) == plain(None, Layer.SETTLED)
        days.add_up()
        assert by_days(None, Layer.SETTLED) == plain(None, Layer.SETTLED)

    @pytest.mark.django_db(transaction=True)
    def test_waits_for_nobody_and_misses_nothing_that_is_committed_late(self) -> None:
        chart.open_program(7)
        has_written, may_commit = threading.Event(), threading.Event()

        def write_slowly() -> None:
            with transaction.atomic():
                post("slow", 0, 3)
                has_written.set()
                assert may_commit.wait(60)

        slow = Racer(write_slowly)
        slow.start()
        assert has_written.wait(60)
        # It has a higher number than the slow one, and is committed before it.
        post("quick", 0, 4)
        assert not days.add_up()
        assert DayMark.objects.count() == 0
        assert by_days(None, Layer.SETTLED)[CODES.in_transit] == (4, 0)
        may_commit.set()
        slow.join(60)
        assert slow.error is None
        assert days.add_up()
        assert by_days(None, Layer.SETTLED)[CODES.in_transit] == (7, 0)
        assert DayTotal.objects.count() == 2
