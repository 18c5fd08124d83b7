"""Making lists through the API, from JSON lines and from files, and every list that is refused."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from payments.models import Cycle, Disbursement, Intake, Payment, Program
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

CYCLE = {"period": "2026-12", "purpose": "pension"}


def lines_of(program: Program, *amounts: Any) -> list[dict[str, Any]]:
    """One line an amount, each for a new person."""
    return [
        {"reference": factories.make_enrollment(program).reference, "amount_sat": amount}
        for amount in amounts
    ]


class TestCreate:
    def test_makes_a_draft_from_json_lines(self, api: Api, program: Program, officer: User) -> None:
        body = {
            **CYCLE,
            "expected_count": 2,
            "expected_total_sat": 110_000,
            "lines": lines_of(program, 50_000, 60_000),
        }
        made = expect.ok(api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body), 201)
        assert made["status"] == "draft"
        assert made["payment_count"] == 2
        assert made["total_sat"] == 110_000
        assert made["period"] == "2026-12"
        assert made["made_by"] == officer.username
        assert made["manifest_hash"] is None
        assert made["progress"] == {
            "payments": [{"status": "pending", "count": 2, "amount_minor": None, "amount_sat": 110_000}],
            "payouts": [],
            "unsealed_count": 2,
        }
        assert list(Payment.objects.order_by("line").values_list("amount_sat", flat=True)) == [50_000, 60_000]

    def test_makes_a_draft_from_a_file(self, api: Api, program: Program, officer: User) -> None:
        reference = factories.make_enrollment(program).reference
        file = SimpleUploadedFile("list.csv", f"reference,amount_sat\n{reference},70000\n".encode())
        form = {**CYCLE, "expected_count": "1", "expected_total_sat": "70000", "file": file}
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", form, format="multipart"
        )
        made = expect.ok(response, 201)
        assert made["total_sat"] == 70_000
        assert Intake.objects.get(pk=made["intake_id"]).filename == "list.csv"

    def test_keeps_the_record_of_a_refused_list_and_makes_nothing(
        self, api: Api, program: Program, officer: User
    ) -> None:
        lines = lines_of(program, 50_000, 60_000)
        lines[1]["reference"] = "NOBODY"
        body = {**CYCLE, "expected_count": 2, "expected_total_sat": 110_000, "lines": lines}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        refused = expect.problem(response, 422, "intake_refused")
        assert (refused["rows_total"], refused["rows_loaded"], refused["rows_refused"]) == (2, 0, 1)
        assert [(e["row"], e["column"], e["code"]) for e in refused["errors"]] == [
            (2, "reference", "reference_unknown")
        ]
        intake = Intake.objects.get(pk=refused["intake_id"])
        assert (intake.status, intake.errors.count()) == ("refused", 1)
        assert (Disbursement.objects.count(), Payment.objects.count(), Cycle.objects.count()) == (0, 0, 0)

    def test_refuses_control_totals_that_disagree(self, api: Api, program: Program, officer: User) -> None:
        lines = lines_of(program, 50_000, 60_000)
        body = {**CYCLE, "expected_count": 3, "expected_total_sat": 110_001, "lines": lines}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        refused = expect.problem(response, 422, "intake_refused")
        assert {e["code"] for e in refused["errors"]} == {"control_count", "control_total"}
        assert Disbursement.objects.count() == 0

    @pytest.mark.parametrize(
        ("amount", "code"),
        [
            ("-1", "amount_negative"),
            ("0", "amount_zero"),
            ("0.000000001", "amount_malformed"),
            ("1e-8", "amount_malformed"),
            ("100.5", "amount_malformed"),
            ("1e3", "amount_malformed"),
            ("2100000000000001", "amount_too_large"),
            ("9223372036854775808", "amount_too_large"),
            ("true", "amount_malformed"),
            ("null", "amount_missing"),
            ("[]", "amount_malformed"),
            ("{}", "amount_malformed"),
            ('""', "amount_missing"),
            ('"1_000"', "amount_malformed"),
            ('" 1 "', "amount_malformed"),
            ('"\uff11\uff10\uff10\uff10"', "amount_malformed"),
            ('"\u0663\u0660\u0660"', "amount_malformed"),
            ('"1,5"', "amount_malformed"),
            ('"1.5"', "amount_fraction"),
            ('"$1"', "amount_malformed"),
            ('"0x10"', "amount_malformed"),
            ('"NaN"', "amount_malformed"),
            ('"-0"', "amount_negative"),
            ('"1e400"', "amount_malformed"),
        ],
    )
    def test_names_the_rule_that_an_amount_breaks(
        self, api: Api, program: Program, officer: User, amount: str, code: str
    ) -> None:
        reference = factories.make_enrollment(program).reference
        raw = (
            '{"period": "2026-12", "purpose": "pension", "expected_count": 1, "expected_total_sat": 1,'
            f' "lines": [{{"reference": "{reference}", "amount_sat": {amount}}}]}}'
        )
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", raw.encode(), content_type="application/json"
        )
        refused = expect.problem(response, 422, "intake_refused")
        assert (refused["errors"][-1]["row"], refused["errors"][-1]["code"]) == (1, code)
        assert Disbursement.objects.count() == 0

    @pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "-0x1", "01"])
    def test_refuses_what_is_no_json_number(
        self, api: Api, program: Program, officer: User, amount: str
    ) -> None:
        raw = f'{{"expected_total_sat": {amount}}}'.encode()
        response = api(officer).post(
            f"/api/v1/programs/{program.pk}/disbursements/", raw, content_type="application/json"
        )
        expect.problem(response, 400, "parse_error")
        assert Intake.objects.count() == 0

    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"status": "approved"}, "status", "unknown_field"),
            ({"approved_by": 1}, "approved_by", "unknown_field"),
            ({"expected_total_sat": 1.5}, "expected_total_sat", "amount_malformed"),
            ({"expected_total_sat": True}, "expected_total_sat", "amount_malformed"),
            ({"expected_total_sat": "1_000"}, "expected_total_sat", "amount_malformed"),
            ({"expected_total_sat": -1}, "expected_total_sat", "amount_negative"),
            ({"expected_count": True}, "expected_count", "invalid"),
            ({"expected_count": "²"}, "expected_count", "invalid"),
            ({"expected_count": 10**30}, "expected_count", "max_value"),
            ({"lines": {"0": {}}}, "lines", "invalid"),
            ({"period": 202612}, "period", "invalid"),
            ({"period": "2026\x00"}, "period", "null_characters_not_allowed"),
        ],
    )
    def test_refuses_a_body_of_another_shape(
        self, api: Api, program: Program, officer: User, changes: dict[str, Any], field: str, code: str
    ) -> None:
        body = {**CYCLE, "expected_count": 0, "expected_total_sat": 0, "lines": [], **changes}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        refused = expect.problem(response, 400, "validation_error")
        assert [(e["field"], e["code"]) for e in refused["errors"]] == [(field, code)]
        assert Intake.objects.count() == 0

    def test_refuses_a_hidden_key_in_a_line(self, api: Api, program: Program, officer: User) -> None:
        lines = lines_of(program, 50_000)
        lines[0]["approved_by"] = 1
        body = {**CYCLE, "expected_count": 1, "expected_total_sat": 50_000, "lines": lines}
        response = api(officer).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        assert expect.problem(response, 422, "intake_refused")["errors"][0]["code"] == "row_width"
        assert Disbursement.objects.count() == 0

    @pytest.mark.parametrize("role", ["approver", "releaser", "auditor"])
    def test_refuses_everybody_but_officers(self, api: Api, program: Program, role: str) -> None:
        member = factories.make_member(program, role)
        body = {**CYCLE, "expected_count": 0, "expected_total_sat": 0, "lines": []}
        response = api(member).post(f"/api/v1/programs/{program.pk}/disbursements/", body)
        refused = expect.problem(response, 403, "role_missing")
        assert refused["details"] == {"roles": ["officer"]}
        assert Intake.objects.count() == 0
