"""Historical value at risk by hand: losses of pairs of days, the nearest rank, and too few of them (R-29)."""

from datetime import date, timedelta
from fractions import Fraction

import pytest

from payments.reserve import risk

FIRST = date(2026, 1, 1)


def days(*prices: int | None) -> dict[date, Fraction]:
    return {FIRST + timedelta(days=n): Fraction(price) for n, price in enumerate(prices) if price is not None}


class TestHistorical:
    def test_is_the_loss_that_the_share_of_days_did_not_exceed(self) -> None:
        # Twenty days: one of 10 %, one of 5 %, and eighteen without a change. 95 % of 20 are 19 days.
        prices = [100, 90, 90 * 95 // 100 + 1, *[86] * 18]
        found = risk.historical(days(*prices), quantile_bps=9_500)
        assert found.days == 20
        assert found.share == Fraction(4, 90)
        # Rounded up: 444.4 basis points.
        assert found.bps == 445

    def test_leaves_out_days_whose_day_before_has_no_price(self) -> None:
        with_gap = days(*[100] * 15, None, 10, *[10] * 9)
        found = risk.historical(with_gap, quantile_bps=9_500)
        assert (found.days, found.share) == (23, 0)

    def test_of_prices_that_only_rise_is_no_loss(self) -> None:
        assert risk.historical(days(*range(100, 125)), quantile_bps=9_500).bps == 0

    @pytest.mark.parametrize(
        ("quantile_bps", "needed"), [(5_000, 20), (9_500, 20), (9_900, 100), (9_990, 1_000)]
    )
    def test_is_refused_of_fewer_days_than_the_quantile_needs(self, quantile_bps: int, needed: int) -> None:
        assert risk.least_days(quantile_bps) == needed
        with pytest.raises(risk.TooFewDays) as refused:
            risk.historical(days(*[100] * needed), quantile_bps=quantile_bps)
        assert (refused.value.days, refused.value.needed) == (needed - 1, needed)
        assert risk.historical(days(*[100] * (needed + 1)), quantile_bps=quantile_bps).share == 0
