"""Versions of payouts: their signed bytes come once, and stay."""

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.utils import IntegrityError

from payments.models import PayoutTx, Program
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(program: Program, officer: User, approver: User, releaser: User) -> PayoutTx:
    return scenes.furnish(program, officer, approver, releaser)["payouttx"]


class TestSignedVersion:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE payments_payouttx SET raw = NULL WHERE id = %s",
            "UPDATE payments_payouttx SET raw = 'x' WHERE id = %s",
            "UPDATE payments_payouttx SET fee_sat = 1 WHERE id = %s",
            "DELETE FROM payments_payouttx WHERE id = %s",
        ],
    )
    def test_is_never_changed(self, version: PayoutTx, statement: str) -> None:
        refused = pytest.raises(IntegrityError, match="never changed")
        with connection.cursor() as cursor, refused, transaction.atomic():
            cursor.execute(statement, [version.pk])


class TestUnsignedVersion:
    def test_takes_its_bytes_once_and_nothing_else(self, version: PayoutTx) -> None:
        unsigned = PayoutTx.objects.create(
            payout=version.payout,
            txid="ee" * 32,
            unsigned_tx=b"\x02",
            fee_sat=2_000,
            fee_added_sat=766,
            change_sat=0,
            vsize_vb=617,
            feerate_sat_kvb=3_241,
        )
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            PayoutTx.objects.filter(pk=unsigned.pk).update(unsigned_tx=b"\x03")
        PayoutTx.objects.filter(pk=unsigned.pk).update(raw=b"\x05")
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            PayoutTx.objects.filter(pk=unsigned.pk).update(raw=b"\x06")
