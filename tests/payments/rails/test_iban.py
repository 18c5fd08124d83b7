"""Account numbers are held to ISO 13616 before anybody is paid there."""

import pytest

from payments.rails import iban
from tests import banking


class TestNormalize:
    """Grammar, length and check digits."""

    def test_takes_the_example_of_the_registry_however_it_is_written(self) -> None:
        assert iban.normalize(" pk36 SCBL 0000 0011 2345 6702 ") == "PK36SCBL0000001123456702"
        assert iban.normalize("GB82 WEST 1234 5698 7654 32") == "GB82WEST12345698765432"

    def test_the_check_digits_of_the_tests_own_numbers_fit(self) -> None:
        assert iban.normalize(banking.iban(7)) == banking.iban(7)

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("", "iban_missing"),
            ("PK36", "iban_malformed"),
            ("PK36SCBL000000112345670٢", "iban_malformed"),
            ("PK36SCBL00000011234567021", "iban_length"),
            ("PK36SCBL0000001123456703", "iban_check_digits"),
            ("PK36SCBL0000001123465702", "iban_check_digits"),
            ("PK01SCBL0000001123456702", "iban_check_digits"),
            ("A" * 1_000, "iban_malformed"),
        ],
    )
    def test_refuses_with_the_rule(self, text: str, rule: str) -> None:
        with pytest.raises(iban.InvalidIban) as refusal:
            iban.normalize(text)
        assert refusal.value.details["rule"] == rule
