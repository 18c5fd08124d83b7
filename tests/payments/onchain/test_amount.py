"""Amounts: every bad one of the B list is refused by its own rule, every good one reads back."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import amount

P2WPKH = b"\x00\x14" + bytes(20)
P2TR = b"\x51\x20" + bytes(32)
P2SH = b"\xa9\x14" + bytes(20) + b"\x87"
P2PKH = b"\x76\xa9\x14" + bytes(20) + b"\x88\xac"

BAD_SAT = [
    ("", "amount_missing"),
    ("-1", "amount_negative"),
    ("-0", "amount_negative"),
    ("-0.5", "amount_negative"),
    ("0.000000001", "amount_fraction"),
    ("1.0", "amount_fraction"),
    ("1e-8", "amount_malformed"),
    ("1E5", "amount_malformed"),
    ("1e400", "amount_malformed"),
    ("1e999", "amount_malformed"),
    ("NaN", "amount_malformed"),
    ("Infinity", "amount_malformed"),
    ("-Infinity", "amount_malformed"),
    ("1_000", "amount_malformed"),
    (" 1 ", "amount_malformed"),
    ("1\n", "amount_malformed"),
    ("1\x00", "amount_malformed"),
    ("\uff11\uff12", "amount_malformed"),
    ("\u0661\u0662", "amount_malformed"),
    ("1,5", "amount_malformed"),
    ("$1", "amount_malformed"),
    ("0x10", "amount_malformed"),
    ("+1", "amount_malformed"),
    ("01", "amount_malformed"),
    ("00", "amount_malformed"),
    (".5", "amount_malformed"),
    ("1.", "amount_malformed"),
    ("--1", "amount_malformed"),
    ("2100000000000001", "amount_too_large"),
    ("9223372036854775808", "amount_too_large"),
    ("9" * 1_000_000, "amount_too_large"),
]

BAD_BTC = [
    ("", "amount_missing"),
    ("-1", "amount_negative"),
    ("-0.00000001", "amount_negative"),
    ("0.000000001", "amount_fraction"),
    ("1.000000000", "amount_fraction"),
    ("1e-8", "amount_malformed"),
    ("1e400", "amount_malformed"),
    ("NaN", "amount_malformed"),
    ("Infinity", "amount_malformed"),
    ("1_000", "amount_malformed"),
    (" 1 ", "amount_malformed"),
    ("\uff11", "amount_malformed"),
    ("\u0661", "amount_malformed"),
    ("1,5", "amount_malformed"),
    ("$1", "amount_malformed"),
    ("0x10", "amount_malformed"),
    ("01.5", "amount_malformed"),
    (".5", "amount_malformed"),
    ("21000000.00000001", "amount_too_large"),
    ("100000000", "amount_too_large"),
]


def rule_of(refusal: pytest.ExceptionInfo[amount.InvalidAmount]) -> str:
    return str(refusal.value.details["rule"])


class TestParseSat:
    @pytest.mark.parametrize(("text", "rule"), BAD_SAT)
    def test_refuses_by_the_rule_broken(self, text: str, rule: str) -> None:
        with pytest.raises(amount.InvalidAmount) as refusal:
            amount.parse_sat(text)
        assert rule_of(refusal) == rule
        assert refusal.value.http_status == 422

    @pytest.mark.parametrize("value", [1, 1.0, True, None, b"1", Decimal(1)])
    def test_takes_nothing_but_text(self, value: object) -> None:
        with pytest.raises(amount.InvalidAmount) as refusal:
            amount.parse_sat(value)  # type: ignore[arg-type]
        assert rule_of(refusal) == "amount_malformed"

    def test_reads_both_ends_of_the_range(self) -> None:
        assert amount.parse_sat("0") == 0
        assert amount.parse_sat("2100000000000000") == 2_100_000_000_000_000

    def test_does_not_repeat_what_it_refuses(self) -> None:
        with pytest.raises(amount.InvalidAmount) as refusal:
            amount.parse_sat("35202-1234567-1")
        assert "35202" not in str(refusal.value) + str(refusal.value.details)

    @given(st.integers(0, amount.MAX_SAT))
    def test_reads_back_every_amount(self, sat: int) -> None:
        assert amount.parse_sat(str(sat)) == sat

    @given(st.text(max_size=20))
    def test_never_fails_otherwise_than_by_refusing(self, text: str) -> None:
        try:
            sat = amount.parse_sat(text)
        except amount.InvalidAmount:
            return
        assert text == str(sat)


class TestParseBtc:
    @pytest.mark.parametrize(("text", "rule"), BAD_BTC)
    def test_refuses_by_the_rule_broken(self, text: str, rule: str) -> None:
        with pytest.raises(amount.InvalidAmount) as refusal:
            amount.parse_btc(text)
        assert rule_of(refusal) == rule

    @pytest.mark.parametrize(
        ("text", "sat"),
        [("0", 0), ("0.29", 29_000_000), ("1", 100_000_000), ("0.00000001", 1), ("21000000", amount.MAX_SAT)],
    )
    def test_reads_exactly(self, text: str, sat: int) -> None:
        assert amount.parse_btc(text) == sat

    @given(st.integers(0, amount.MAX_SAT))
    def test_reads_back_what_format_wrote(self, sat: int) -> None:
        assert amount.parse_btc(amount.format_btc(sat)) == sat


class TestFormatBtc:
    @pytest.mark.parametrize(
        ("sat", "text"),
        [(0, "0.00000000"), (1, "0.00000001"), (123_456_789, "1.23456789"), (-1, "-0.00000001")],
    )
    def test_writes_all_eight_digits(self, sat: int, text: str) -> None:
        assert amount.format_btc(sat) == text


class TestSatFromJson:
    @pytest.mark.parametrize(
        ("value", "rule"),
        [
            (None, "amount_missing"),
            (True, "amount_malformed"),
            (1.0, "amount_malformed"),
            (Decimal("1"), "amount_malformed"),
            ([], "amount_malformed"),
            ({}, "amount_malformed"),
            (-1, "amount_negative"),
            (2**63, "amount_too_large"),
            ("1e-8", "amount_malformed"),
        ],
    )
    def test_refuses_what_is_not_a_whole_number(self, value: object, rule: str) -> None:
        with pytest.raises(amount.InvalidAmount) as refusal:
            amount.sat_from_json(value)
        assert rule_of(refusal) == rule

    def test_reads_numbers_and_their_text(self) -> None:
        assert [amount.sat_from_json(value) for value in (0, 51_601, "51601")] == [0, 51_601, 51_601]


class TestSatFromNode:
    def test_is_exact(self) -> None:
        assert amount.sat_from_node(Decimal("0.29000000")) == 29_000_000

    def test_refuses_a_fraction_of_a_satoshi(self) -> None:
        with pytest.raises(ValueError, match="finer than a satoshi"):
            amount.sat_from_node(Decimal("0.000000001"))


class TestCheckAmount:
    @pytest.mark.parametrize(
        ("sat", "rule"),
        [(0, "amount_zero"), (-1, "amount_negative"), (amount.MAX_SAT + 1, "amount_too_large")],
    )
    def test_refuses_what_no_script_can_be_paid(self, sat: int, rule: str) -> None:
        with pytest.raises(amount.InvalidAmount) as refusal:
            amount.check_amount(sat, P2WPKH)
        assert rule_of(refusal) == rule

    @pytest.mark.parametrize(("script", "dust"), [(P2WPKH, 294), (P2TR, 330), (P2SH, 540), (P2PKH, 546)])
    def test_draws_the_line_at_the_dust_limit_of_the_script(self, script: bytes, dust: int) -> None:
        amount.check_amount(dust, script)
        with pytest.raises(amount.InvalidAmount) as refusal:
            amount.check_amount(dust - 1, script)
        assert refusal.value.details == {"rule": "amount_dust", "dust_sat": dust}
