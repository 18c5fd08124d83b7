"""Limits of exposure: a breach opens an alarm that asks for a conversion, trades nothing, and closes once it is over."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ledger.models import Posting
from ledger.treasury import movements
from ledger.treasury.lots import Movement
from payments.models import Alarm, Disbursement, Holding, Program, Quote
from payments.reserve import exposure, valuing
from payments.services import disbursements
from tests import factories
from tests.payments.admin import scenes
from tests.payments.reserve.conftest import A

pytestmark = pytest.mark.django_db
COIN = 100_000_000


def quoted(prices: list[int]) -> None:
    """A quote a day, the last one now."""
    now = timezone.now()
    for ago, price in enumerate(reversed(prices)):
        factories.make_quote("USD", str(price), taken_at=now - timedelta(days=ago, seconds=1))


def scanned(held: Holding, amount_sat: int, price: int | None, height: int = 100) -> None:
    scan = factories.make_scan(
        held, [(height, A, amount_sat)], height=height, at=timezone.now() - timedelta(minutes=1)
    )
    quote = None if price is None else factories.make_quote("USD", str(price), taken_at=timezone.now())
    scan.valuations.create(
        currency="USD",
        scale=2,
        price=None if price is None else Decimal(price),
        quote_number=None if quote is None else quote.pk,
        rule="" if quote else "no_rule",
    )


def codes() -> list[tuple[str, int]]:
    return list(Alarm.objects.filter(closed_at=None).order_by("code").values_list("code", "subject_id"))


class TestFloat:
    def test_beyond_the_largest_of_the_last_cycles_asks_for_a_conversion(
        self, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program, 1_250_000)
        (found,) = exposure.floats()
        # Nothing is said of a program that has had no cycle.
        assert (found.float_sat, found.cycle_sat, found.over_sat) == (1_250_000, None, 0)
        small = scenes.approved(program, officer, approver, amounts_sat=[3_000, 4_000])
        cycle_sat = 7_000 + (small.fee_reserved_sat or 0)
        (found,) = exposure.floats()
        assert (found.cycle_sat, found.over_sat) == (cycle_sat, 1_250_000 - cycle_sat)
        posted = Posting.objects.count()
        exposure.tell(timezone.now())
        alarm = Alarm.objects.get(closed_at=None)
        assert (alarm.code, alarm.program_id, alarm.subject_id) == (
            "exposure_float",
            program.pk,
            program.wallet.pk,
        )
        assert f"convert {1_250_000 - cycle_sat} sat" in alarm.message
        assert "Nothing is converted by itself." in alarm.message
        assert Posting.objects.count() == posted
        # The next cycle needs all of it.
        scenes.approved(program, officer, approver, amounts_sat=[450_000, 450_000], period="2026-12")
        factories.fund(program, 1)
        Disbursement.objects.filter(cycle__period="2026-12").update(fee_reserved_sat=350_001)
        exposure.tell(timezone.now())
        assert codes() == []

    def test_is_looked_at_once_a_day_though_nothing_is_held(
        self, program: Program, officer: User, approver: User
    ) -> None:
        factories.fund(program, 1_250_000)
        scenes.approved(program, officer, approver, amounts_sat=[3_000, 4_000])
        now = timezone.now()
        exposure.watch(now)
        exposure.watch(now + timedelta(hours=23))
        assert codes() == []
        exposure.watch(now + timedelta(hours=24))
        assert codes() == [("exposure_float", program.wallet.pk)]
        # And then not before another day.
        Alarm.objects.all().delete()
        exposure.watch(timezone.now() + timedelta(hours=23))
        assert codes() == []

    def test_counts_no_list_of_money_that_was_not_converted_yet(
        self, officer: User, approver: User, releaser: User
    ) -> None:
        program = factories.make_program("STIPENDS", currency="PKR")
        for user, role in ((officer, "officer"), (approver, "approver")):
            program.memberships.create(user=user, role=role, granted_by=user)
        factories.fund_cash(program, 10_000_000)
        made = factories.make_disbursement(program, officer, amounts_minor=[500_000])
        disbursements.submit(by=officer, disbursement_id=made.pk)
        made.refresh_from_db()
        factories.fund(program, 1_250_000)
        disbursements.approve(
            by=approver, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
        )
        (found,) = [each for each in exposure.floats() if each.program == program]
        assert (found.float_sat, found.cycle_sat, found.over_sat) == (1_250_000, None, 0)


class TestShare:
    def test_is_of_all_reserves_and_alarms_above_its_limit(self, held: Holding) -> None:
        office = factories.make_institution(other_reserves_minor=30_000_000, most_share_bps=2_500)
        scanned(held, COIN, 100_000)
        (found,) = exposure.exposures(timezone.now())
        assert found.position is not None
        assert (found.position.fair_minor, found.share_bps, found.breaches) == (10_000_000, 2_500, {})
        scanned(held, COIN, 110_000, 101)
        exposure.tell(timezone.now())
        assert codes() == [("exposure_share", office.pk)]
        scanned(held, COIN, 100_000, 102)
        exposure.tell(timezone.now())
        assert codes() == []

    def test_is_not_made_up_without_a_price(self, held: Holding) -> None:
        factories.make_institution(other_reserves_minor=1, most_share_bps=1)
        scanned(held, COIN, None)
        (found,) = exposure.exposures(timezone.now())
        assert (found.share_bps, found.breaches) == (None, {})
        assert found.position is not None
        assert (found.position.fair_minor, found.position.rule) == (None, "no_rule")


class TestVar:
    def test_is_refused_with_a_reason_where_too_few_prices_were_kept(self, held: Holding) -> None:
        factories.make_institution(most_var_bps=1)
        quoted([100_000, 50_000, 25_000])
        (found,) = exposure.exposures(timezone.now())
        assert (found.var.bps, found.var.rule, found.var.days) == (None, "too_few_prices", 2)
        assert (
            found.var.message
            == "At 95 % of 365 days: 20 pairs of days are needed, and prices of 2 were kept."
        )
        assert found.breaches == {}

    def test_above_its_limit_asks_for_a_conversion(self, held: Holding) -> None:
        office = factories.make_institution(most_var_bps=999)
        quoted([100_000, 90_000, 81_000, *[81_000] * 18])
        scanned(held, COIN, 81_000)
        (found,) = exposure.exposures(timezone.now())
        # Two days of 20 lost 10 %; the nineteenth of twenty losses is one of them.
        assert (found.var.bps, found.var.days, found.var.amount_minor) == (1_000, 20, 810_000)
        exposure.tell(timezone.now())
        assert codes() == [("exposure_var", office.pk)]

    def test_looks_at_its_window_only_and_believes_no_quote_that_was_written_by_hand(
        self, held: Holding
    ) -> None:
        factories.make_institution(var_window_days=30)
        now = timezone.now()
        factories.make_quote("USD", "1000000", taken_at=now - timedelta(days=31))
        quoted([100_000] * 22)
        (found,) = exposure.exposures(now)
        assert (found.var.bps, found.var.days) == (0, 21)
        forged = Quote.objects.latest("pk")
        Quote.objects.create(
            currency="USD",
            price=1,
            taken_at=now - timedelta(days=25),
            expires_at=now,
            values=[],
            rule={},
            key_id=forged.key_id,
            mac=b"x" * 32,
        )
        (found,) = exposure.exposures(now)
        assert (found.var.bps, found.var.rule) == (None, "quote_forged")


class TestLotsInAnotherCurrency:
    def test_hide_nothing_of_what_an_institution_holds(self, held: Holding, tom: User) -> None:
        """What it holds is valued in its own currency, in which it has bought nothing."""
        office = factories.make_institution(
            other_reserves_minor=10_000_000, most_share_bps=2_500, most_sat=COIN - 1
        )
        bought = Movement(timezone.now() - timedelta(days=1), True, 5, 10, "lot:1")
        movements.record(by=tom, scope=office.scope, currency="PKR", scale=2, movements=[bought])
        scanned(held, COIN, 100_000)
        (found,) = exposure.exposures(timezone.now())
        assert found.position is not None
        assert (found.position.currency, found.position.fair_minor, found.share_bps) == (
            "USD",
            10_000_000,
            5_000,
        )
        exposure.tell(timezone.now())
        assert codes() == [("exposure_share", office.pk), ("institution_over_cap", office.pk)]


class TestCaps:
    def test_of_an_institution_is_told(self, held: Holding) -> None:
        office = factories.make_institution(most_sat=COIN)
        scanned(held, COIN + 1, None)
        exposure.tell(timezone.now())
        assert codes() == [("institution_over_cap", office.pk)]
        assert "a conversion of 1 sat" in Alarm.objects.get().message


class TestValuing:
    def test_keeps_why_there_is_no_price_in_each_currency_that_is_asked_for(self, held: Holding) -> None:
        factories.make_institution(currency="USD")
        factories.make_price_rule("PKR")
        scan = factories.make_scan(held, [(1, A, 5)])
        valuing.value(scan)
        rows = scan.valuations.order_by("currency").values_list("currency", "price", "quote_number", "rule")
        assert list(rows) == [("PKR", None, None, "few_sources"), ("USD", None, None, "no_rule")]
