"""What the public figures say of payments by bank and by voucher: by rail, in the program's money, as somebody's word."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.models import BankFile, Disbursement, Program
from payments.services import bank_reports, bank_writing, rails, vouchers
from payments.transparency import figures, publishing
from tests import banking, factories, railing

pytestmark = pytest.mark.django_db

ROOT = "/transparency/"


@pytest.fixture
def money() -> Program:
    """By bank six of twelve are paid after a minute and five rejected; by voucher six of eight come after two hours."""
    money = railing.make_money()
    cast = railing.make_cast(money)
    made = factories.make_disbursement(money, cast[0], amounts_minor=[10_000] * 12)
    for payment in made.payments.all():
        banking.make_account(payment.beneficiary, cast[0], title_match="MTCH")
    banked = railing.release(rails.choose(by=cast[0], disbursement_id=made.pk, rail="bank"), cast)
    bank_writing.write(BankFile.objects.get().pk)
    file, data = bank_writing.fetch(by=cast[3], bank_file_id=BankFile.objects.get().pk)
    codes = [("ACSC", "")] * 6 + [("RJCT", "AC04")] * 5
    said = {f"{file.message_id}-{n}": code for n, code in enumerate(codes, start=1)}
    bank_reports.take_of_program(
        by=cast[3],
        program_id=money.pk,
        file=banking.answer(data.read(), said),
        now=approved(banked) + timedelta(seconds=60),
    )
    made = factories.make_disbursement(money, cast[0], amounts_minor=[20_000] * 8, period="2026-12")
    slips = railing.release(rails.choose(by=cast[0], disbursement_id=made.pk, rail="voucher"), cast)
    agent = factories.make_member(money, "agent")
    for slip in vouchers.issue(by=cast[0], disbursement_id=slips.pk)[:6]:
        at = approved(slips) + timedelta(hours=2)
        vouchers.redeem(by=agent, program_id=money.pk, code=slip.code, now=at)
    return money


def approved(made: Disbursement) -> Any:
    return Disbursement.objects.get(pk=made.pk).approved_at


class TestFigures:
    def test_are_told_by_rail_and_small_groups_are_left_out(self, money: Program) -> None:
        (program,) = figures.take(network="regtest", at=timezone.now())["programs"]
        bank, voucher = program["rails"]
        assert program["paid"] == {"payments": 0, "people": 0, "amount_sat": "0"}
        assert [bank[name] for name in ("rail", "word", "currency", "scale")] == ["bank", "bank", "PKR", 2]
        assert bank["paid"] == {"payments": 6, "people": 6, "amount_minor": "60000"}
        assert bank["came_back"] == {"payments": 5, "people": 5, "amount_minor": "50000"}
        # One is not answered yet: fewer than five people.
        assert bank["pending"] is None
        assert bank["time_to_settle"] == {"payments": 6, "p50_s": 60, "p95_s": 60}
        assert [row["paid"] for row in bank["months"]] == [bank["paid"]]
        assert [voucher[name] for name in ("rail", "word")] == ["voucher", "desk"]
        assert voucher["paid"] == {"payments": 6, "people": 6, "amount_minor": "120000"}
        assert voucher["pending"] is None
        assert voucher["came_back"] == {"payments": 0, "people": 0, "amount_minor": "0"}
        assert voucher["time_to_settle"] == {"payments": 6, "p50_s": 7_200, "p95_s": 7_200}

    def test_ask_as_many_statements_for_many_programs_as_for_one(self, money: Program) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                figures.take(network="regtest", at=timezone.now())
            return len(captured)

        first = count()
        factories.make_program("OTHER", currency="USD")
        assert count() == first


class TestPage:
    def test_shows_each_rail_with_whose_word_it_is(self, money: Program, client: Client) -> None:
        publishing.publish()
        text = client.get(ROOT).content.decode()
        for words in (
            "600.00 PKR",
            "1,200.00 PKR",
            "60 seconds",
            "2 hours",
            "the bank&#x27;s word",
            "the agents&#x27; word",
        ):
            assert words in text.replace("'", "&#x27;"), words

    def test_table_has_a_row_a_rail(self, money: Program, client: Client) -> None:
        publishing.publish()
        text = client.get(f"{ROOT}programs.csv").content.decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        columns = (
            "code",
            "rail",
            "word",
            "people_paid",
            "paid_minor",
            "currency",
            "pending_minor",
            "people_back",
        )
        assert [tuple(row[name] for name in columns) for row in rows] == [
            ("RUPEES", "bitcoin", "chain", "0", "", "sat", "", ""),
            ("RUPEES", "bank", "bank", "6", "60000", "PKR", "", "5"),
            ("RUPEES", "voucher", "desk", "6", "120000", "PKR", "", "0"),
        ]
        assert json.loads(client.get(f"{ROOT}figures.json").content)["programs"][0]["code"] == "RUPEES"
