"""A list's urgency through every door, and a program's fee policy through the API."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from payments.models import Disbursement, Program
from tests import factories
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db

POLICY = {
    "feerate_patient_sat_kvb": 12_500,
    "fee_share_ceiling_bps": 300,
    "fee_budget_daily_sat": 1_000_000,
    "bump_after_blocks": 3,
    "bump_alone_limit_sat": 5_000,
    "coins_wanted": 8,
    "consolidate_feerate_sat_kvb": 1_500,
    "consolidate_budget_daily_sat": 20_000,
    "signing_deadline_s": 3_600,
    "claim_term_days": 90,
    "claimed_counts_as_changed": True,
    "destination_cooling_s": 3_600,
    "grievance_due_days": 14,
    "destination_proof": 1,
    "policy_profile": "el-salvador-2021",
    "language": "ur",
}


def control(program: Program) -> dict[str, Any]:
    return {"period": "2026-11", "purpose": "pension", "expected_count": 1, "expected_total_sat": 50_000}


class TestUrgency:
    @pytest.mark.parametrize(
        ("given", "is_urgent"), [({}, False), ({"is_urgent": True}, True), ({"is_urgent": False}, False)]
    )
    def test_of_a_list_as_json(
        self, api: Api, program: Program, officer: User, given: dict[str, bool], is_urgent: bool
    ) -> None:
        lines = [{"reference": factories.make_enrollment(program).reference, "amount_sat": 50_000}]
        url = f"/api/v1/programs/{program.pk}/disbursements/"
        made = expect.ok(api(officer).post(url, control(program) | given | {"lines": lines}), 201)
        assert made["is_urgent"] is is_urgent
        assert Disbursement.objects.get().is_urgent is is_urgent
        shown = expect.ok(api(officer).get(f"/api/v1/disbursements/{made['id']}/"))
        assert (shown["is_urgent"], shown["fees_wait_since"]) == (is_urgent, None)

    @pytest.mark.parametrize("given", ["perhaps", 2, None])
    def test_that_is_no_yes_or_no_is_refused(
        self, api: Api, program: Program, officer: User, given: object
    ) -> None:
        lines = [{"reference": factories.make_enrollment(program).reference, "amount_sat": 50_000}]
        url = f"/api/v1/programs/{program.pk}/disbursements/"
        response = api(officer).post(url, control(program) | {"is_urgent": given, "lines": lines})
        assert expect.problem(response, 400, "validation_error")["errors"][0]["field"] == "is_urgent"
        assert Disbursement.objects.count() == 0

    def test_of_a_list_from_the_command_line(self, program: Program, officer: User, tmp_path: Path) -> None:
        reference = factories.make_enrollment(program).reference
        file = tmp_path / "list.csv"
        file.write_text(f"reference,amount_sat\n{reference},50000\n")
        for period, flags in (("2026-11", []), ("2026-12", ["--urgent"])):
            call_command(
                "import_list",
                *("--program", program.code, "--by", officer.username, "--purpose", "pension"),
                *("--period", period, "--count", "1", "--total-sat", "50000", *flags, str(file)),
            )
        assert list(Disbursement.objects.order_by("pk").values_list("is_urgent", flat=True)) == [False, True]


class TestPolicy:
    def test_is_taken_and_shown(self, api: Api) -> None:
        client = api(factories.make_administrator())
        made = expect.ok(client.post("/api/v1/programs/", {"code": "ABC", "name": "N"} | POLICY), 201)
        shown = expect.ok(client.get(f"/api/v1/programs/{made['id']}/"))
        assert {rule: shown[rule] for rule in POLICY} == POLICY

    def test_is_lenient_where_it_is_left_out(self, api: Api) -> None:
        client = api(factories.make_administrator())
        made = expect.ok(client.post("/api/v1/programs/", {"code": "ABC", "name": "N"}), 201)
        assert {rule: made[rule] for rule in POLICY} == {
            "feerate_patient_sat_kvb": None,
            "fee_share_ceiling_bps": 2_000,
            "fee_budget_daily_sat": None,
            "bump_after_blocks": 6,
            "bump_alone_limit_sat": 10_000,
            "coins_wanted": 4,
            "consolidate_feerate_sat_kvb": None,
            "consolidate_budget_daily_sat": 0,
            "signing_deadline_s": 172_800,
            "claim_term_days": None,
            "claimed_counts_as_changed": False,
            "destination_cooling_s": 259_200,
            "grievance_due_days": 30,
            "destination_proof": 0,
            "policy_profile": "sandbox",
            "language": "en",
        }

    @pytest.mark.parametrize(
        ("rule", "wrong"),
        [
            ("language", "fr"),
            ("feerate_patient_sat_kvb", 99),
            ("feerate_patient_sat_kvb", 1_000_001),
            ("feerate_patient_sat_kvb", 1_500.5),
            ("claimed_counts_as_changed", "perhaps"),
            ("fee_share_ceiling_bps", 0),
            ("fee_share_ceiling_bps", 10_001),
            ("fee_share_ceiling_bps", None),
            ("fee_budget_daily_sat", -1),
            ("fee_budget_daily_sat", 2**63),
            ("bump_after_blocks", 0),
            ("bump_after_blocks", 1_009),
            ("bump_alone_limit_sat", -1),
            ("coins_wanted", 0),
            ("consolidate_feerate_sat_kvb", 0),
            ("consolidate_budget_daily_sat", "1e3"),
            ("signing_deadline_s", 59),
            ("grievance_due_days", 0),
        ],
    )
    def test_out_of_bounds_is_refused(self, api: Api, rule: str, wrong: object) -> None:
        client = api(factories.make_administrator())
        response = client.post("/api/v1/programs/", {"code": "ABC", "name": "N", rule: wrong})
        assert expect.problem(response, 400, "validation_error")["errors"][0]["field"] == rule
        assert Program.objects.count() == 0

    @pytest.mark.parametrize("patience", [999, 50_001])
    def test_with_a_patience_outside_floor_and_ceiling_is_refused(self, api: Api, patience: int) -> None:
        client = api(factories.make_administrator())
        body = {"code": "ABC", "name": "N", "feerate_patient_sat_kvb": patience}
        problem = expect.problem(client.post("/api/v1/programs/", body), 422, "invalid_input")
        assert "between the floor and the ceiling" in problem["errors"][0]["message"]
        assert Program.objects.count() == 0
