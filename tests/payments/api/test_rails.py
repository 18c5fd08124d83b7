"""Bank files and vouchers over the API, from the choice of the rail to the bank's word and the counter."""

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from rest_framework.test import APIClient

from payments.models import BankAccount, BankFile, Disbursement, Enrollment, PayingAccount, Program, Voucher
from payments.services import bank_writing, rails
from tests import banking, factories, railing
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def money() -> Program:
    """A program that owes rupees."""
    return railing.make_money()


@pytest.fixture
def cast(money: Program) -> railing.Cast:
    """Make, approve, release, and carry files to the bank."""
    return railing.make_cast(money)


@pytest.fixture
def made(money: Program, cast: railing.Cast) -> Disbursement:
    """A draft whose people have no account yet."""
    return factories.make_disbursement(money, cast[0], amounts_minor=railing.AMOUNTS)


def upload(client: APIClient, path: str, data: bytes) -> Any:
    return client.post(path, {"file": io.BytesIO(data)}, format="multipart")


def walk(api: Api, cast: railing.Cast, made: Disbursement, rail: str) -> dict[str, Any]:
    """Choose, submit, approve and release over the API, and let a worker go on."""
    officer, approver, releaser, _ = map(api, cast)
    address = f"/api/v1/disbursements/{made.pk}/"
    assert expect.ok(officer.post(f"{address}rail/", {"rail": rail}))["rail"] == rail
    agreed = {"manifest_hash": expect.ok(officer.post(f"{address}submit/"))["manifest_hash"]}
    expect.ok(approver.post(f"{address}approve/", agreed))
    found = expect.ok(releaser.post(f"{address}release/", agreed))
    rails.pay(made.pk)
    return found


class TestBank:
    def test_goes_from_accounts_to_the_word_of_the_bank(
        self, api: Api, money: Program, cast: railing.Cast, made: Disbursement
    ) -> None:
        officer, treasurer = api(cast[0]), api(cast[3])
        people = Enrollment.objects.filter(program=money, beneficiary__payments__disbursement=made)
        rows = [f"{each.reference},Ana,{banking.iban(each.pk)}" for each in people]
        file = "\n".join(["reference,title,iban", *rows, ""]).encode()
        of_program = f"/api/v1/programs/{money.pk}/"
        assert expect.ok(upload(officer, f"{of_program}bank-accounts/", file), 201) == {"count": 3}
        assert walk(api, cast, made, "bank")["status"] == "released"
        (row,) = expect.ok(treasurer.get(f"{of_program}bank-files/"))["results"]
        assert (row["status"], row["line_count"], row["total_minor"]) == ("waiting", 3, 3_000_000)
        fetch = f"/api/v1/bank-files/{row['id']}/fetch/"
        expect.problem(treasurer.post(fetch), 409, "bank_file_not_ready")
        bank_writing.write(row["id"])
        expect.problem(officer.post(fetch), 403, "role_missing")
        answer = treasurer.post(fetch)
        data = b"".join(answer.streaming_content)
        assert answer["Content-Disposition"] == f'attachment; filename="{row["message_id"]}.xml"'
        ids = [each["id"] for each in banking.read(data)["transfers"]]
        said = {ids[0]: ("ACSC", ""), ids[1]: ("RJCT", "AC04")}
        report = banking.answer(data, said).getvalue()
        expect.problem(upload(officer, f"{of_program}bank-reports/", report), 403, "role_missing")
        taken = expect.ok(upload(treasurer, f"{of_program}bank-reports/", report), 201)
        assert (taken["settled_minor"], taken["rejected_minor"]) == (1_450_000, 1_500_000)
        again = expect.problem(upload(treasurer, f"{of_program}bank-reports/", report), 422, "invalid_input")
        assert {each["code"] for each in again["errors"]} == {"report_known"}
        payments = expect.ok(officer.get(f"/api/v1/disbursements/{made.pk}/payments/"))["results"]
        found = [(each["status"], each["rail"], each["settled_at"] is not None) for each in payments]
        assert found == [("pending", "bank", True), ("voided", "bank", False), ("pending", "bank", False)]

    def test_a_bad_file_of_accounts_is_refused_by_row(
        self, api: Api, money: Program, cast: railing.Cast
    ) -> None:
        file = b"reference,title,iban\nNOBODY,Ana,PK36\n"
        answer = upload(api(cast[0]), f"/api/v1/programs/{money.pk}/bank-accounts/", file)
        problem = expect.problem(answer, 422, "invalid_input")
        assert [(each["row"], each["code"]) for each in problem["errors"]] == [
            (1, "iban_malformed"),
            (1, "reference_unknown"),
        ]

    def test_another_account_takes_two_people_and_shows_no_number(
        self, api: Api, money: Program, cast: railing.Cast
    ) -> None:
        person = factories.make_enrollment(money)
        banking.make_account(person.beneficiary, cast[0])
        body = {"title": "Ana", "iban": banking.iban(7), "note": "A new bank."}
        row = expect.ok(api(cast[0]).post(f"/api/v1/enrollments/{person.pk}/bank-accounts/", body), 201)
        assert row["iban"] == f"{banking.iban(7)[:4]}…{banking.iban(7)[-4:]}"
        confirm = f"/api/v1/bank-accounts/{row['id']}/confirm/"
        expect.problem(api(cast[0]).post(confirm), 403, "same_person_twice")
        assert expect.ok(api(cast[1]).post(confirm))["is_current"]
        assert BankAccount.objects.get(is_current=True).pk == row["id"]

    def test_the_account_to_pay_from_takes_two_security_administrators(
        self, api: Api, money: Program
    ) -> None:
        one, other = (factories.make_member(money, "security", name) for name in ("sec-1", "sec-2"))
        body = {"title": "Fund", "iban": banking.iban(5), "currency": "PKR", "note": "As agreed."}
        address = f"/api/v1/programs/{money.pk}/proposals/paying-accounts/"
        bad = expect.problem(api(one).post(address, body | {"iban": "PK00"}), 422, "invalid_iban")
        assert bad["errors"][0]["code"] == "iban_malformed"
        made = expect.ok(api(one).post(address, body), 201)
        expect.ok(api(other).post(f"/api/v1/proposals/{made['id']}/confirm/", {}))
        assert PayingAccount.objects.get(scope=money.scope, ended_at=None).iban == banking.iban(5)


class TestVoucher:
    def test_goes_from_the_slip_to_the_counter(
        self, api: Api, money: Program, cast: railing.Cast, made: Disbursement
    ) -> None:
        walk(api, cast, made, "voucher")
        officer, agent = api(cast[0]), api(factories.make_member(money, "agent"))
        slips = expect.ok(officer.post(f"/api/v1/disbursements/{made.pk}/vouchers/"), 201)["slips"]
        assert len(slips) == 3
        redeem = f"/api/v1/programs/{money.pk}/vouchers/redeem/"
        expect.problem(officer.post(redeem, {"code": slips[0]["code"]}), 403, "role_missing")
        expect.problem(agent.post(redeem, {"code": "0000"}), 422, "code_mistyped")
        assert expect.ok(agent.post(redeem, {"code": slips[0]["code"]}))["status"] == "redeemed"
        expect.problem(agent.post(redeem, {"code": slips[0]["code"]}), 409, "voucher_gone")
        expect.problem(agent.get(f"/api/v1/programs/{money.pk}/vouchers/"), 404, "not_found")
        address = f"/api/v1/vouchers/{slips[1]['voucher_id']}/"
        asked = expect.ok(officer.post(f"{address}cancellation/", {"note": "It was lost."}))
        assert asked["is_cancel_asked"]
        expect.problem(officer.post(f"{address}cancel/", {"is_replaced": True}), 403, "same_person_twice")
        replaced = expect.ok(api(cast[1]).post(f"{address}cancel/", {"is_replaced": True}))
        assert replaced["replaces_id"] == slips[1]["voucher_id"]
        listed = expect.ok(officer.get(f"/api/v1/programs/{money.pk}/vouchers/?status=waiting"))["results"]
        assert [each["id"] for each in listed] == [replaced["id"]]
        assert slips[0]["code"] not in str(expect.ok(officer.get(f"/api/v1/programs/{money.pk}/vouchers/")))

    def test_wrong_codes_are_counted_though_they_are_refused(
        self, api: Api, money: Program, cast: railing.Cast, made: Disbursement
    ) -> None:
        from payments.services import voucher_codes, vouchers

        walk(api, cast, made, "voucher")
        agent = api(factories.make_member(money, "agent"))
        redeem = f"/api/v1/programs/{money.pk}/vouchers/redeem/"
        for _ in range(vouchers.MOST_MISSES):
            expect.problem(agent.post(redeem, {"code": voucher_codes.make()}), 409, "voucher_refused")
        expect.problem(agent.post(redeem, {"code": voucher_codes.make()}), 403, "desk_locked")

    def test_the_page_of_slips_draws_each_code_once(
        self, client: Any, money: Program, cast: railing.Cast, made: Disbursement, api: Api
    ) -> None:
        walk(api, cast, made, "voucher")
        client.force_login(cast[0])
        page = reverse("admin:payments_voucher_print_slips")
        answer = client.post(page, {"disbursement": made.pk})
        text = answer.content.decode()
        assert (answer.status_code, text.count("<svg"), "no-store" in answer["Cache-Control"]) == (
            200,
            3,
            True,
        )
        assert set(Voucher.objects.values_list("status", flat=True)) == {"issued"}
        assert client.get(page).status_code == 302


def test_the_rail_of_satoshis_is_bitcoin(api: Api, program: Program, officer: User) -> None:
    made = factories.make_disbursement(program, officer)
    answer = api(officer).post(f"/api/v1/disbursements/{made.pk}/rail/", {"rail": "bank"})
    expect.problem(answer, 409, "rail_needs_money")
    assert not BankFile.objects.exists()
