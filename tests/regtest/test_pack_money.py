"""Packs and receipts of a list of money: the verifier makes each satoshi anew of what was approved and quoted (R-15)."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_django
from django.core.management import call_command
from django.test import override_settings

from ledger import verify
from payments.models import Payment
from payments.services import disbursements, holds
from tests import factories
from tests.conftest import books_may_be_emptied
from tests.regtest import paid_list
from tests.regtest.forger import Forger, Heading, Lines
from tests.regtest.ministry import Ministry

pytestmark = pytest.mark.django_db

AMOUNTS_MINOR = [1_450_000, 1_500_000, 1_600_000]


@pytest.fixture(scope="module")
def honest(
    django_db_setup: None,
    django_db_blocker: pytest_django.DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The pack and a receipt of a list of which a line was withdrawn after its release, made once."""
    folder = tmp_path_factory.mktemp("money")
    with django_db_blocker.unblock(), override_settings(**paid_list.rules()):
        ministry = Ministry.open(deposits_sat=paid_list.DEPOSITS, currency="PKR")
        factories.fund_cash(ministry.program, 100_000_000)
        made = factories.make_disbursement(
            ministry.program, ministry.officer, amounts_minor=[*AMOUNTS_MINOR, 1_700_000]
        )
        made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
        agreed = bytes(made.manifest_hash or b"")
        disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=agreed)
        disbursements.release(
            by=ministry.releaser,
            disbursement_id=made.pk,
            manifest_hash=agreed,
            quote_id=factories.make_quote().pk,
        )
        gone = Payment.objects.get(disbursement=made, line=4)
        holds.hold(by=ministry.officer, payment_id=gone.pk, note="Moved.")
        holds.withdraw(by=ministry.approver, payment_id=gone.pk, note="Moved.")
        ministry.pay(made)
        ministry.mine(6)
        paid_list.seal_and_anchor(ministry)
        call_command("audit_pack", str(folder / "pack"), disbursement=str(made.pk))
        call_command("receipt", Payment.objects.get(disbursement=made, line=1).pk, str(folder / "receipt"))
        with books_may_be_emptied():
            call_command("flush", interactive=False, verbosity=0)
    return folder


@pytest.fixture
def made(honest: Path, tmp_path: Path) -> Forger:
    """A copy of the pack to forge."""
    shutil.copytree(honest / "pack", tmp_path / "pack")
    return Forger(tmp_path / "pack")


def check(made: Forger) -> verify.Pack:
    made.reseal()
    pack = verify.Pack(verify.Folder(made.pack), None, (), lambda text: None)
    pack.check()
    return pack


def code(made: Forger) -> str:
    with pytest.raises(verify.Wrong) as found:
        check(made)
    return found.value.code


def list_file(made: Forger) -> str:
    (found,) = (path.relative_to(made.pack).as_posix() for path in made.pack.glob("lists/*/list.json"))
    return found


def requote(made: Forger, **changes: Any) -> None:
    (record,) = made.records(list_file(made))
    made.edit(list_file(made), quote=record["quote"] | changes)


class TestPack:
    def test_is_verified_and_discloses_each_remainder(self, made: Forger) -> None:
        pack = check(made)
        assert (pack.counts["lists"], pack.counts["payments"]) == (1, 4)
        rows = [row for row in made.records("payments.jsonl") if row["status"] == "pending"]
        assert [(row["amount_sat"], row["remainder_minor"]) for row in rows] == [
            ("51601", "12"),
            ("53381", "-6"),
            ("56940", "-14"),
        ]

    @pytest.mark.parametrize(
        ("forge", "refused"),
        [
            (lambda made: requote(made, price="28000000.00000000"), "conversion_differs"),
            (lambda made: requote(made, price="28100000.00000001"), "quote_differs"),
            (lambda made: requote(made, price="28100000"), "quote_differs"),
            (lambda made: requote(made, id="77"), "quote_differs"),
            (lambda made: requote(made, currency="USD"), "quote_differs"),
            (lambda made: requote(made, scale=3), "conversion_differs"),
            (lambda made: requote(made, taken_at="2100-01-01T00:00:00.000000Z"), "quote_differs"),
            (lambda made: requote(made, expires_at="2026-01-01T00:00:00.000000Z"), "quote_differs"),
            (lambda made: made.edit(list_file(made), quote=None), "conversion_differs"),
            (lambda made: made.edit(list_file(made), currency="USD"), "quote_differs"),
            (lambda made: made.change("payments.jsonl", '"12"', '"13"'), "conversion_differs"),
            (lambda made: made.change("payments.jsonl", '"51601"', '"51602"'), "conversion_differs"),
            (lambda made: made.change("payments.jsonl", '"51601"', "null"), "conversion_differs"),
        ],
    )
    def test_is_refused_where_its_conversion_was_forged(
        self, forge: Callable[[Forger], None], refused: str, made: Forger
    ) -> None:
        forge(made)
        assert code(made) == refused

    def test_is_refused_where_the_books_convert_to_more(self, made: Forger) -> None:
        def more(heading: Heading, lines: Lines) -> None:
            for line in lines:
                if line[2] == "BTC":
                    line[5] = str(int(line[5]) + (1_000_000 if int(line[5]) > 0 else -1_000_000))

        made.edit_entry("conversion", more)
        assert code(made) == "conversion_differs"

    def test_is_refused_where_the_books_name_another_quote(self, made: Forger) -> None:
        def other(heading: Heading, lines: Lines) -> None:
            heading["memo"] = heading["memo"].replace("28100000", "28200000")

        made.edit_entry("conversion", other)
        assert code(made) == "quote_differs"


class TestReceipt:
    def test_says_what_the_payment_stands_for(self, honest: Path) -> None:
        found = verify.check_receipt((honest / "receipt").read_bytes())
        assert found.amount_sat == 51_601
        assert any("1450000 minor units of PKR at 28100000.00000000" in remark for remark in found.remarks)

    @pytest.mark.parametrize("change", [{"amount_minor": "1450100"}, {"remainder_minor": "0"}])
    def test_is_refused_where_that_was_forged(self, change: dict[str, str], honest: Path) -> None:
        record = json.loads((honest / "receipt").read_text())
        record["entitlement"] |= change
        with pytest.raises(verify.Wrong) as refused:
            verify.check_receipt(f"{verify.canonical(record)}\n".encode())
        assert refused.value.code == "conversion_differs"
