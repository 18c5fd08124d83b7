"""Lots by FIFO and weighted average: worked examples, conservation, and a checker that goes satoshi by satoshi (R-33)."""

from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.treasury.lots import Fifo, LotsShort, Movement, Part, WeightedAverage, half_even

START = datetime(2026, 1, 1, tzinfo=UTC)


def bought(number: int, amount_sat: int, value_minor: int) -> Movement:
    return Movement(START + timedelta(hours=number), True, amount_sat, value_minor, f"purchase:{number}")


def sold(number: int, amount_sat: int, value_minor: int) -> Movement:
    return Movement(START + timedelta(hours=number), False, amount_sat, value_minor, f"sale:{number}")


# Two lots at 10 and 12 a satoshi, and a sale that takes the first and half of the second.
TWO = [bought(1, 100, 1_000), bought(2, 100, 1_200), sold(3, 150, 2_100)]


def run(method: Fifo | WeightedAverage, movements: Iterable[Movement]) -> list[Part]:
    return [part for movement in movements for part in method.move(movement)]


def brief(parts: Iterable[Part]) -> list[tuple[str, str, int, int, int]]:
    return [
        (
            part.disposal.reference,
            part.lot.reference if part.lot else "",
            part.amount_sat,
            part.proceeds_minor,
            part.cost_minor,
        )
        for part in parts
    ]


@st.composite
def histories(draw: st.DrawFn) -> list[Movement]:
    """Movements in order of time, none of which disposes of more than there is."""
    found: list[Movement] = []
    held = 0
    for number in range(draw(st.integers(1, 25))):
        value = draw(st.integers(0, 10_000))
        if held and draw(st.booleans()):
            found.append(sold(number, draw(st.integers(1, held)), value))
            held -= found[-1].amount_sat
        else:
            found.append(bought(number, draw(st.integers(1, 60)), value))
            held += found[-1].amount_sat
    return found


def satoshi_by_satoshi(movements: list[Movement]) -> dict[tuple[str, str], tuple[int, Fraction, Fraction]]:
    """By disposal and lot: amount, proceeds and cost as exact fractions, one satoshi after the other."""
    queue: deque[Movement] = deque()
    found: dict[tuple[str, str], tuple[int, Fraction, Fraction]] = defaultdict(
        lambda: (0, Fraction(), Fraction())
    )
    for movement in movements:
        if movement.is_acquisition:
            queue.extend([movement] * movement.amount_sat)
            continue
        for _ in range(movement.amount_sat):
            lot = queue.popleft()
            amount, proceeds, cost = found[movement.reference, lot.reference]
            found[movement.reference, lot.reference] = (
                amount + 1,
                proceeds + Fraction(movement.value_minor, movement.amount_sat),
                cost + Fraction(lot.value_minor, lot.amount_sat),
            )
    return found


class TestHalfEven:
    @pytest.mark.parametrize(
        ("numerator", "denominator", "found"),
        [(1, 2, 0), (3, 2, 2), (5, 2, 2), (7, 3, 2), (8, 3, 3), (-1, 2, 0), (-3, 2, -2), (0, 7, 0)],
    )
    def test_rounds_as_python_rounds_fractions(self, numerator: int, denominator: int, found: int) -> None:
        assert half_even(numerator, denominator) == found == round(Fraction(numerator, denominator))


class TestFifo:
    def test_takes_the_first_lots_first(self) -> None:
        method = Fifo()
        parts = run(method, TWO)
        assert brief(parts) == [
            ("sale:3", "purchase:1", 100, 1_400, 1_000),
            ("sale:3", "purchase:2", 50, 700, 600),
        ]
        assert [part.gain_minor for part in parts] == [400, 100]
        assert [(lot.movement.reference, lot.left_sat, lot.left_minor) for lot in method.lots] == [
            ("purchase:2", 50, 600)
        ]

    def test_of_the_worked_example_tells_the_line_that_nobody_published(self) -> None:
        # Requirements, "Worked example": 51,601 sat bought at 28.1M PKR a bitcoin and sold at 27.0M lose Rs 567.61.
        cost, proceeds = half_even(51_601 * 2_810_000_000, 10**8), half_even(51_601 * 2_700_000_000, 10**8)
        (part,) = run(Fifo(), [bought(1, 51_601, cost), sold(2, 51_601, proceeds)])
        assert (cost, proceeds, part.gain_minor) == (1_449_988, 1_393_227, -56_761)

    def test_divides_what_cannot_be_divided_and_loses_nothing(self) -> None:
        parts = run(Fifo(), [bought(1, 3, 100), sold(2, 1, 1), sold(3, 1, 1), sold(4, 1, 1)])
        assert [part.cost_minor for part in parts] == [33, 34, 33]
        parts = run(Fifo(), [bought(1, 1, 7), bought(2, 1, 7), bought(3, 1, 7), sold(4, 3, 100)])
        assert [part.proceeds_minor for part in parts] == [33, 34, 33]

    @given(histories())
    def test_agrees_with_a_checker_that_goes_satoshi_by_satoshi(self, movements: list[Movement]) -> None:
        method = Fifo()
        parts = run(method, movements)
        exact = satoshi_by_satoshi(movements)
        assert [(part.disposal.reference, part.lot and part.lot.reference) for part in parts] == list(exact)
        for part, (amount, proceeds, cost) in zip(parts, exact.values(), strict=True):
            assert part.amount_sat == amount
            # Each end is rounded by half a unit at most.
            assert abs(part.proceeds_minor - proceeds) <= 1
            assert abs(part.cost_minor - cost) <= 1
        conserved(
            movements,
            parts,
            sum(lot.left_sat for lot in method.lots),
            sum(lot.left_minor for lot in method.lots),
        )

    def test_refuses_to_dispose_of_what_is_not_there(self) -> None:
        with pytest.raises(LotsShort) as refused:
            run(Fifo(), [*TWO, sold(4, 51, 1)])
        assert refused.value.details == {"reference": "sale:4", "amount_sat": 51, "short_sat": 1}


class TestWeightedAverage:
    def test_takes_the_average_of_what_is_there_then(self) -> None:
        method = WeightedAverage()
        parts = run(method, [*TWO, bought(4, 50, 1_450), sold(5, 20, 400)])
        # 2,200 for 200 are 11 a satoshi; then 550 and 1,450 for 100 are 20.
        assert brief(parts) == [("sale:3", "", 150, 2_100, 1_650), ("sale:5", "", 20, 400, 400)]
        assert (method.amount_sat, method.cost_minor) == (80, 1_600)

    def test_takes_all_that_is_left_with_the_last_satoshi(self) -> None:
        method = WeightedAverage()
        parts = run(method, [bought(1, 3, 100), sold(2, 2, 0), sold(3, 1, 0)])
        assert [part.cost_minor for part in parts] == [67, 33]
        assert (method.amount_sat, method.cost_minor) == (0, 0)

    @given(histories())
    def test_agrees_with_exact_fractions_up_to_the_rounding(self, movements: list[Movement]) -> None:
        method = WeightedAverage()
        parts = run(method, movements)
        held, cost, found = 0, Fraction(), []
        for movement in movements:
            if movement.is_acquisition:
                held, cost = held + movement.amount_sat, cost + movement.value_minor
            else:
                found.append(cost * movement.amount_sat / held)
                held, cost = held - movement.amount_sat, cost - found[-1]
        for number, (part, exact) in enumerate(zip(parts, found, strict=True), start=1):
            assert abs(part.cost_minor - exact) <= Fraction(number + 1, 2)
        conserved(movements, parts, method.amount_sat, method.cost_minor)

    def test_refuses_to_dispose_of_what_is_not_there(self) -> None:
        with pytest.raises(LotsShort) as refused:
            run(WeightedAverage(), [*TWO, sold(4, 51, 1)])
        assert refused.value.details == {"reference": "sale:4", "amount_sat": 51, "short_sat": 1}


class TestScale:
    @pytest.mark.parametrize("kind", [Fifo, WeightedAverage])
    def test_looks_once_at_each_of_100_000_acquisitions_and_as_many_disposals(
        self, kind: type[Fifo | WeightedAverage]
    ) -> None:
        count, method = 100_000, kind()
        # All are bought before the first is sold: every lot is open at once.
        assert not any(method.move(bought(number, 7, 100)) for number in range(count))
        for number in range(count, 2 * count):
            (part,) = method.move(sold(number, 7, 90))
            assert (part.amount_sat, part.gain_minor) == (7, -10)
        assert not list(getattr(method, "lots", []))


def conserved(movements: list[Movement], parts: list[Part], left_sat: int, left_minor: int) -> None:
    """What came is what went and what is left, to the satoshi and to the minor unit."""
    came = [movement for movement in movements if movement.is_acquisition]
    went = [movement for movement in movements if not movement.is_acquisition]
    assert sum(part.amount_sat for part in parts) + left_sat == sum(each.amount_sat for each in came)
    assert sum(part.cost_minor for part in parts) + left_minor == sum(each.value_minor for each in came)
    for each in went:
        mine = [part for part in parts if part.disposal == each]
        assert sum(part.proceeds_minor for part in mine) == each.value_minor
        assert sum(part.amount_sat for part in mine) == each.amount_sat
