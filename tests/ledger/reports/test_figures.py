"""The scenario book: the figures of each report over the two months, computed by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger import books, events
from ledger.books import Draft, Line
from ledger.models import AccountKind, Entry
from tests.ledger.months import CODES, SCOPE, day
from tests.ledger.reports.asking import columns, rows

END = day(12, 1, 0)


@pytest.mark.usefixtures("entry_ids")
class TestTrialBalance:
    def test_at_the_end_of_october(self) -> None:
        found = columns(
            "trial-balance", "account", "debit", "credit", "balance", scope=SCOPE, month="2026-10"
        )
        assert found == [
            (CODES.hot_wallet, 1_000_000, 181_234, 818_766),
            (CODES.in_transit, 180_000, 180_000, 0),
            (CODES.appropriation, 0, 1_000_000, -1_000_000),
            (CODES.network_fees, 1_234, 0, 1_234),
            (CODES.transfers, 180_000, 0, 180_000),
            (CODES.payable, 180_000, 180_000, 0),
        ]

    def test_at_the_end_of_november(self) -> None:
        found = columns("trial-balance", "account", "balance", before=END)
        assert found == [
            ("Assets:Bank:PKR", 14_500_050),
            (CODES.hot_wallet, 728_065),
            (CODES.in_transit, 270_000),
            (CODES.appropriation, -1_000_000),
            ("Equity:Appropriation:PKR", -14_500_050),
            (CODES.network_fees, 1_935),
            (CODES.transfers, 270_000),
            (CODES.payable, -270_000),
        ]

    @pytest.mark.parametrize(
        ("layer", "expected"),
        [
            ("pending", {CODES.hot_wallet: -7, CODES.in_transit: 7}),
            ("encumbered", {CODES.transfers: 25_000, CODES.payable: -25_000}),
        ],
    )
    def test_of_a_layer(self, layer: str, expected: dict[str, int]) -> None:
        found = dict(columns("trial-balance", "account", "balance", before=END, layer=layer))
        assert {code: balance for code, balance in found.items() if balance} == expected

    def test_names_elements(self) -> None:
        assert rows("trial-balance", scope=SCOPE, before=END)[0] == {
            "account": CODES.hot_wallet,
            "name": "Funding wallet",
            "kind": "asset",
            "currency": "BTC",
            "scale": 8,
            "debit": 1_000_000,
            "credit": 271_935,
            "entity": "A01",
            "function": "10.71",
            "object": "614",
            "fund": "F1",
            "project": "P-9",
            "balance": 728_065,
        }

    def test_does_not_count_what_takes_effect_at_its_end(self) -> None:
        assert dict(columns("trial-balance", "account", "balance", before=day(10, 2)))[CODES.hot_wallet] == 0
        after = day(10, 2) + timedelta(microseconds=1)
        assert (
            dict(columns("trial-balance", "account", "balance", before=after))[CODES.hot_wallet] == 1_000_000
        )


@pytest.mark.usefixtures("entry_ids")
class TestGeneralLedger:
    def test_of_the_wallet_in_november(self) -> None:
        found = columns(
            "general-ledger",
            "row",
            "kind",
            "source_ref",
            "debit",
            "credit",
            "balance",
            account=CODES.hot_wallet,
            month="2026-11",
        )
        assert found == [
            ("opening", "", "", None, None, 818_766),
            ("line", "payout_sent", "payout:2", None, 90_700, 728_066),
            ("line", "payout_fee", "payout:2", None, 1, 728_065),
            ("closing", "", "", None, None, 728_065),
        ]

    def test_names_payments_in_order_with_the_balance_after_each(self) -> None:
        found = columns(
            "general-ledger",
            "row",
            "reference",
            "debit",
            "credit",
            "balance",
            account=CODES.in_transit,
            before=END,
        )
        assert found == [
            ("opening", None, None, None, 0),
            ("line", 1, 50_000, None, 50_000),
            ("line", 2, 60_000, None, 110_000),
            ("line", 3, 70_000, None, 180_000),
            ("line", None, None, 180_000, 0),
            ("line", 4, 40_000, None, 40_000),
            ("line", 5, 50_000, None, 90_000),
            ("line", None, 180_000, None, 270_000),
            ("closing", None, None, None, 270_000),
        ]

    def test_of_all_accounts_closes_with_the_trial_balance(self) -> None:
        closing = {
            row["account"]: row["balance"]
            for row in rows("general-ledger", before=END)
            if row["row"] == "closing"
        }
        assert closing == dict(columns("trial-balance", "account", "balance", before=END))

    def test_of_a_quiet_month_carries_what_stood(self) -> None:
        found = columns(
            "general-ledger",
            "row",
            "balance",
            account=CODES.hot_wallet,
            since=day(11, 20),
            before=day(11, 21),
        )
        assert found == [("opening", 728_065), ("closing", 728_065)]

    def test_of_nothing_is_empty(self) -> None:
        assert rows("general-ledger", scope="program:8", before=END) == []


@pytest.mark.usefixtures("entry_ids")
class TestStatement:
    def test_of_october(self) -> None:
        assert columns("statement", "part", "item", "amount", scope=SCOPE, month="2026-10") == [
            ("held before", "", 0),
            ("receipts", "funding", 1_000_000),
            ("payments", "payout_sent", -1_234),
            ("payments", "settlement", -180_000),
            ("held after", "", 818_766),
            ("expenses", CODES.network_fees, 1_234),
            ("expenses", CODES.transfers, 180_000),
            ("assets", CODES.hot_wallet, 818_766),
            ("assets", CODES.in_transit, 0),
            ("liabilities", CODES.payable, 0),
            ("equity", CODES.appropriation, 1_000_000),
            ("result", "", -181_234),
        ]

    def test_of_november_counts_what_was_undone_against_payments(self) -> None:
        assert columns("statement", "part", "item", "amount", scope=SCOPE, month="2026-11") == [
            ("held before", "", 818_766),
            ("receipts", "settlement", 180_000),
            ("payments", "payout_fee", -1),
            ("payments", "payout_sent", -700),
            ("held after", "", 998_065),
            ("expenses", CODES.network_fees, 701),
            ("expenses", CODES.transfers, 90_000),
            ("assets", CODES.hot_wallet, 728_065),
            ("assets", CODES.in_transit, 270_000),
            ("liabilities", CODES.payable, 270_000),
            ("equity", CODES.appropriation, 1_000_000),
            ("result", "", -271_935),
        ]

    @pytest.mark.parametrize("month", ["2026-09", "2026-10", "2026-11", "2026-12"])
    def test_adds_up(self, month: str) -> None:
        sums: dict[str, int] = {}
        for part, amount in columns("statement", "part", "amount", scope=SCOPE, month=month):
            sums[part] = sums.get(part, 0) + amount
        moved = sums.get("receipts", 0) + sums.get("payments", 0)
        assert sums.get("held before", 0) + moved == sums.get("held after", 0) == sums.get("assets", 0)
        owed = sums.get("liabilities", 0) + sums.get("equity", 0) + sums.get("result", 0)
        assert sums.get("assets", 0) == owed


@pytest.mark.usefixtures("entry_ids")
class TestMonthlyAccount:
    def test_gives_month_and_fiscal_year_by_object(self) -> None:
        found = columns("monthly-account", "kind", "object", "month", "year", scope=SCOPE, month="2026-11")
        assert found == [
            ("equity", "1331", 0, 1_000_000),
            ("expense", "22", 701, 1_935),
            ("expense", "272", 90_000, 270_000),
            ("asset", "614", 179_299, 998_065),
            ("liability", "6308", 270_000, 270_000),
        ]

    def test_gives_each_currency_by_itself(self) -> None:
        found = columns("monthly-account", "kind", "currency", "scale", "month", month="2026-11")
        assert [row for row in found if row[1] == "PKR"] == [
            ("equity", "PKR", 2, 14_500_050),
            ("asset", "PKR", 2, 14_500_050),
        ]

    @pytest.mark.parametrize(("first_month", "year"), [(7, 1_935), (11, 701), (12, 1_935), (1, 1_935)])
    def test_begins_the_year_where_the_settings_say(
        self, settings: object, first_month: int, year: int
    ) -> None:
        settings.LEDGER_FISCAL_YEAR_MONTH = first_month  # type: ignore[attr-defined]
        found = dict(columns("monthly-account", "object", "year", scope=SCOPE, month="2026-11"))
        assert found["22"] == year


@pytest.mark.usefixtures("entry_ids")
class TestBudget:
    def test_sets_promises_and_spending_against_the_appropriation(self) -> None:
        names = ("scope", "budget", "promised", "spent", "owed", "available", "used")
        assert columns("budget", *names, before=END) == [
            (SCOPE, 1_000_000, 25_000, 271_935, 270_000, 703_065, 2_969),
            ("treasury", 14_500_050, 0, 0, 0, 14_500_050, 0),
        ]

    def test_of_a_time_counts_what_was_appropriated_and_spent_in_it(self) -> None:
        names = ("budget", "spent", "available", "used")
        assert columns("budget", *names, scope=SCOPE, month="2026-11") == [(0, 90_701, -115_701, None)]


@pytest.mark.usefixtures("entry_ids")
class TestFees:
    def test_by_month(self) -> None:
        names = ("month", "payouts", "payments", "paid", "fees", "fee_per_payment", "share")
        assert columns("fees", *names, before=END) == [
            ("2026-10", 1, 3, 180_000, 1_234, 411, 69),
            ("2026-11", 1, 2, 90_000, 701, 351, 78),
        ]

    def test_take_off_what_was_voided(self) -> None:
        books.post(
            [
                events.payout_voided(
                    program_id=7,
                    payout_id=2,
                    payment_ids=[4, 5],
                    amounts_sat=[40_000, 50_000],
                    occurrence=1,
                    effective_at=day(11, 9),
                )
            ]
        )
        names = ("month", "payouts", "payments", "paid", "fees", "fee_per_payment", "share")
        assert columns("fees", *names, month="2026-11") == [("2026-11", 1, 0, 0, 701, None, None)]


SUSPENSE = "Liabilities:Suspense:P7"


def unknown(key: str, amount: int, at: datetime, source_ref: str = "") -> int:
    """Book what nobody knows; return the entry's number."""
    (entry_id,) = books.post(
        [
            Draft(
                kind="unknown_in",
                scope=SCOPE,
                idempotency_key=key,
                lines=[Line(CODES.hot_wallet, amount), Line(SUSPENSE, -amount)],
                effective_at=at,
                source_ref=source_ref,
                actor="clerk",
            )
        ]
    )
    return entry_id


@pytest.fixture
def unknown_items(entry_ids: list[int]) -> None:
    """Five unknown deposits: one explained in part, one explained wholly, one reversed."""
    books.open_accounts(SCOPE, [books.NewAccount(SUSPENSE, "Unknown receipts", AccountKind.LIABILITY)])
    unknown("1", 500, day(5, 1), "output:a:0")
    unknown("2", 70, day(10, 2, 0), "output:b:0")
    unknown("2 in part", -20, day(11, 1), "output:b:0")
    unknown("3", 9, day(10, 3), "output:c:0")
    unknown("3 wholly", -9, day(10, 4), "output:c:0")
    reversed_id = unknown("4", 4, day(10, 5))
    books.reverse(reversed_id, idempotency_key="r", effective_at=day(10, 6), memo="", actor="clerk")
    unknown("5", 3, day(11, 30))


@pytest.mark.usefixtures("unknown_items")
class TestSuspense:
    def test_lists_what_is_open_with_its_age(self) -> None:
        last = Entry.objects.get(idempotency_key="5").pk
        assert columns("suspense", "account", "item", "days", "bucket", "amount", before=END) == [
            (SUSPENSE, "output:a:0", 213, "over 180", -500),
            (SUSPENSE, "output:b:0", 60, "31-60", -50),
            (SUSPENSE, f"entry:{last}", 0, "0-30", -3),
        ]

    def test_tells_what_was_open_then(self) -> None:
        found = columns("suspense", "item", "days", "amount", before=day(10, 3, 12))
        assert found == [("output:a:0", 155, -500), ("output:b:0", 1, -70), ("output:c:0", 0, -9)]

    def test_sums_to_the_account(self) -> None:
        total = sum(amount for (amount,) in columns("suspense", "amount", before=END))
        assert total == books.balance(SUSPENSE, day(11, 30, 23)) == -553

    def test_of_another_program_is_empty(self) -> None:
        assert rows("suspense", scope="program:8", before=END) == []


class TestKnownAt:
    def test_tells_a_report_as_it_was_before_a_late_entry(self, entry_ids: list[int]) -> None:
        late = Entry.objects.get(pk=entry_ids[-1]).recorded_at
        then = late - timedelta(microseconds=1)
        assert dict(columns("trial-balance", "account", "balance", before=END, known_at=then))[
            CODES.payable
        ] == (-90_000)
        assert dict(columns("trial-balance", "account", "balance", before=END, known_at=late))[
            CODES.payable
        ] == (-270_000)
        names = ("item", "amount")
        early = columns("statement", *names, scope=SCOPE, month="2026-11", known_at=then)
        assert ("settlement", 180_000) not in early

    @pytest.mark.parametrize(
        "name", ["general-ledger", "monthly-account", "budget", "fees", "suspense", "statement"]
    )
    def test_knows_nothing_before_anything_was_written(self, entry_ids: list[int], name: str) -> None:
        given = {"scope": SCOPE, "month": "2026-11", "known_at": datetime(2020, 1, 1, tzinfo=UTC)}
        assert rows(name, **given) == []


class TestNothing:
    @pytest.mark.django_db
    def test_is_a_report_too(self) -> None:
        for name in ("trial-balance", "general-ledger", "budget", "fees", "suspense"):
            assert rows(name) == []
        assert rows("statement", scope=SCOPE) == []
        assert rows("monthly-account", month="2026-11") == []
