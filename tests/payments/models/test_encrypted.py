"""Personal data as the database sees it: nothing but ciphertext, and an error rather than rubbish."""

import pytest
from django.db import connection
from django.test import override_settings

from payments.models import Beneficiary, Program
from payments.models.encrypted import FieldUnreadable, decrypt, encrypt
from tests import factories

OTHER_KEY = {"k9": b"\x09" * 32}


class TestEncrypt:
    def test_round_trips_any_script(self) -> None:
        value = {"full_name": "عائشہ خان", "phone": "+923001234567"}
        assert decrypt(encrypt(value, "context"), "context") == value

    def test_never_gives_the_same_bytes_twice(self) -> None:
        assert encrypt({"a": "b"}, "c") != encrypt({"a": "b"}, "c")

    def test_old_keys_still_decrypt_and_the_first_encrypts(self) -> None:
        with override_settings(GOVPAY_FIELD_KEYS=OTHER_KEY):
            old = encrypt({"a": "b"}, "c")
        with override_settings(GOVPAY_FIELD_KEYS={"k10": b"\x10" * 32} | OTHER_KEY):
            assert decrypt(old, "c") == {"a": "b"}
            assert encrypt({"a": "b"}, "c").startswith(b"k10\0")

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda stored: stored[:-1] + bytes([stored[-1] ^ 1]),
            lambda stored: b"nokey" + stored[stored.index(b"\0") :],
            lambda stored: b"",
        ],
    )
    def test_fails_closed_on_changed_bytes_or_a_missing_key(self, spoil: object) -> None:
        stored = encrypt({"a": "b"}, "c")
        with pytest.raises(FieldUnreadable):
            decrypt(spoil(stored), "c")  # type: ignore[operator]

    def test_binds_the_value_to_its_column(self) -> None:
        with pytest.raises(FieldUnreadable):
            decrypt(encrypt({"a": "b"}, "here"), "there")


class TestColumn:
    def test_holds_no_readable_name(self, program: Program) -> None:
        person = factories.make_enrollment(program).beneficiary
        with connection.cursor() as cursor:
            cursor.execute("SELECT personal FROM payments_beneficiary WHERE id = %s", [person.pk])
            raw = bytes(cursor.fetchone()[0])
        assert b"Person" not in raw
        assert Beneficiary.objects.get(pk=person.pk).personal["full_name"].startswith("Person ")
