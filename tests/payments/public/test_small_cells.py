"""What is left out of the public figures, so that nobody is told apart."""

import pytest

from payments.transparency.groups import LEAST, NOBODY, Group, hidden


def group(people: int) -> Group:
    return Group(payments=people, people=people, amount=1_000 * people)


class TestGroup:
    @pytest.mark.parametrize(
        ("people", "is_small"), [(0, False), (1, True), (LEAST - 1, True), (LEAST, False)]
    )
    def test_is_small_below_five_people(self, people: int, is_small: bool) -> None:
        assert group(people).is_small is is_small

    def test_nobody_is_told(self) -> None:
        assert not NOBODY.is_small


class TestMonths:
    @pytest.mark.parametrize(
        ("months", "left_out"),
        [
            ({}, set()),
            ({"2026-10": 40, "2026-11": 50}, set()),
            # The total less the others would tell the small one.
            ({"2026-09": 40, "2026-10": 3, "2026-11": 50}, {"2026-09", "2026-10"}),
            ({"2026-09": 50, "2026-10": 3, "2026-11": 50}, {"2026-09", "2026-10"}),
            # Two hide each other.
            ({"2026-09": 2, "2026-10": 3, "2026-11": 50}, {"2026-09", "2026-10"}),
            ({"2026-11": 3}, {"2026-11"}),
        ],
    )
    def test_small_ones_and_what_would_tell_them_are_left_out(
        self, months: dict[str, int], left_out: set[str]
    ) -> None:
        assert hidden({month: group(people) for month, people in months.items()}) == left_out
