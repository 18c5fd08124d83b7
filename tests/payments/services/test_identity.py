"""One person has one hash, whatever the spelling of the id, and only under our key."""

from typing import Any

import pytest

from govpay.errors import InvalidInput
from payments.services import identity


class TestNormalize:
    @pytest.mark.parametrize(
        "text", ["35202-1234567-1", "35202 1234567 1", "35.2021.2345.671", "3520212345671"]
    )
    def test_gives_every_spelling_the_same_text(self, text: str) -> None:
        assert identity.normalize(text) == "3520212345671"

    def test_gives_small_letters_as_capitals(self) -> None:
        assert identity.normalize("ab-123") == "AB123"

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("", "national_id_missing"),
            ("1234", "national_id_malformed"),
            ("1" * 21, "national_id_malformed"),
            ("12345\n", "national_id_malformed"),
            ("１２３４５", "national_id_malformed"),  # noqa: RUF001
            ("ß12345", "national_id_malformed"),
            ("ı12345", "national_id_malformed"),  # noqa: RUF001
        ],
    )
    def test_refuses_the_rest(self, text: str, rule: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            identity.normalize(text)
        assert refusal.value.details["rule"] == rule


class TestIdentityHash:
    def test_depends_on_the_key(self, settings: Any) -> None:
        settings.GOVPAY_IDENTITY_KEY = bytes(32)
        under_zeros = identity.identity_hash("3520212345671")
        settings.GOVPAY_IDENTITY_KEY = bytes(31) + b"\x01"
        assert len(under_zeros) == 32
        assert identity.identity_hash("3520212345671") != under_zeros
