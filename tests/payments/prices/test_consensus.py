"""What is believed of several prices: limits to the last unit, and liars that are too few to matter (R-12)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.prices import consensus, reading
from payments.prices.consensus import Said, Terms, Verdict

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
TERMS = Terms(
    currency="PKR",
    least_sources=2,
    spread_bps=200,
    jump_bps=1_000,
    floor=Decimal(1),
    ceiling=Decimal(10**11),
)
PRICES = st.decimals(min_value="0.00000001", max_value="999999999999", places=8)


def said(*values: Decimal | str, age_s: int = 0) -> list[Said]:
    at = AT - timedelta(seconds=age_s)
    return [
        Said(number, f"Source {number}", "kraken", 120, Decimal(value), at)
        for number, value in enumerate(values, start=1)
    ]


def judge(*values: Decimal | str, accepted: str | None = None, age_s: int = 0) -> Verdict:
    before = None if accepted is None else Decimal(accepted)
    return consensus.judge(TERMS, said(*values, age_s=age_s), at=AT, accepted=before)


class TestMedian:
    @pytest.mark.parametrize(
        ("values", "price"),
        [
            (("100", "101", "102"), "101"),
            (("102", "100", "101"), "101"),
            (("100", "100", "101", "101"), "100.5"),
            (("100", "100.00000001", "101", "101"), "100.50000000"),
            (("100", "100.00000003", "100.00000004", "101"), "100.00000004"),
            (("100", "100", "100"), "100"),
            (("999999999999", "999999999999", "999999999998.99999999"), "999999999999"),
        ],
    )
    def test_is_of_those_that_agree(self, values: tuple[str, ...], price: str) -> None:
        found = consensus.judge(
            Terms("PKR", 2, 200, 1_000, Decimal(1), Decimal(10**12)), said(*values), at=AT, accepted=None
        )
        assert (found.price, found.broken) == (Decimal(price), "")

    @given(
        base=st.decimals(min_value="1000", max_value="9000000000", places=2),
        shares=st.lists(st.integers(min_value=-50, max_value=50), min_size=2, max_size=6),
        liars=st.lists(PRICES, max_size=5),
    )
    def test_is_among_what_the_honest_say_however_fewer_liars_lie(
        self, base: Decimal, shares: list[int], liars: list[Decimal]
    ) -> None:
        """Honest sources are within half a percent of one another's middle; fewer liars than them say anything at all."""
        honest = [(base * (10_000 + share) / 10_000).quantize(reading.PLACES) for share in shares]
        found = judge(*honest, *liars[: len(honest) - 1])
        if found.broken == "":
            assert found.price is not None
            assert min(honest) <= found.price <= max(honest)
        else:
            # Two honest ones and a liar may be too few set up; nothing else can stand against them.
            assert found.broken == "few_sources"

    @given(values=st.lists(PRICES, min_size=3, max_size=9))
    def test_never_believes_a_minority_or_what_nobody_is_near(self, values: list[Decimal]) -> None:
        found = judge(*values)
        used = [Decimal(value["value"]) for value in found.values if value["is_used"]]
        if found.broken == "":
            assert found.price is not None
            assert 2 * len(used) > len(values)
            assert min(used) <= found.price <= max(used)
            assert found.price == found.price.quantize(reading.PLACES)


class TestLimits:
    @pytest.mark.parametrize(
        ("outer", "is_used"), [("102", True), ("102.00000001", False), ("98", True), ("97.99999999", False)]
    )
    def test_of_the_spread_holds_to_the_last_unit(self, outer: str, is_used: bool) -> None:
        found = judge("100", "100", outer)
        assert [value["is_used"] for value in found.values] == [True, True, is_used]

    @pytest.mark.parametrize(
        ("accepted", "broken"),
        [
            ("100", ""),
            ("90.90909091", ""),
            ("90.90909090", "jump"),
            ("111.11111111", ""),
            ("111.11111112", "jump"),
        ],
    )
    def test_of_a_jump_holds_to_the_last_unit(self, accepted: str, broken: str) -> None:
        assert judge("100", "100", "100", accepted=accepted).broken == broken

    @pytest.mark.parametrize(
        ("age_s", "why"), [(119, ""), (120, "stale"), (-60, ""), (-61, "from_the_future")]
    )
    def test_of_freshness_holds_to_the_second(self, age_s: int, why: str) -> None:
        assert {value["why"] for value in judge("100", "100", "100", age_s=age_s).values} == {why}

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_of_sources_that_are_set_up_is_three(self, count: int) -> None:
        assert judge(*["100"] * count).broken == "few_sources"

    def test_names_the_first_rule_that_is_broken(self) -> None:
        assert judge("100", "100", age_s=999).broken == "few_sources"
        assert judge("0.5", "0.5", "0.5", accepted="100").broken == "floor"


class TestText:
    @pytest.mark.parametrize(
        ("text", "price"),
        [
            ("67000", "67000"),
            ("67000.10", "67000.10"),
            ("0.00000001", "0.00000001"),
            ("0.000000015", "0.00000002"),
            ("0.000000025", "0.00000002"),
            ("67187.3358936566", "67187.33589366"),
            ("999999999999.99999999", "999999999999.99999999"),
        ],
    )
    def test_of_a_price_is_read_to_eight_places(self, text: str, price: str) -> None:
        assert reading.price(text) == Decimal(price)

    @given(text=st.text(max_size=30))
    def test_of_anything_is_a_price_or_refused(self, text: str) -> None:
        faults = []
        try:
            found = reading.price(text)
        except reading.Unreadable as error:
            faults.append(error.fault)
        else:
            assert found == Decimal(text).quantize(reading.PLACES) > 0
        assert set(faults) <= {"price_malformed", "price_negative", "price_zero"}

    @given(value=PRICES)
    def test_of_a_price_is_written_so_that_it_is_read_again(self, value: Decimal) -> None:
        written = reading.text_of(value)
        assert written is not None
        assert reading.price(written) == value
        assert "E" not in written
