"""Making programs and giving roles in the admin."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from payments.models import Membership, Program, Wallet
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
NEW = reverse("admin:payments_program_new_program")
RULES = {
    "target_blocks": 6,
    "feerate_floor_sat_kvb": 1_000,
    "feerate_fallback_sat_kvb": 2_000,
    "feerate_ceiling_sat_kvb": 50_000,
    "feerate_patient_sat_kvb": 20_000,
    "fee_share_ceiling_bps": 500,
    "fee_budget_daily_sat": "",
    "bump_after_blocks": 3,
    "bump_alone_limit_sat": 5_000,
    "coins_wanted": 8,
    "consolidate_feerate_sat_kvb": "",
    "consolidate_budget_daily_sat": 0,
    "signing_deadline_s": 3_600,
    "claim_term_days": 90,
    "claimed_counts_as_changed": "on",
    "destination_cooling_s": 3_600,
    "grievance_due_days": 14,
    "destination_proof": 1,
    "confirmations_settled": 3,
    "group_max_payments": 500,
    "group_max_vsize_vb": 25_000,
    "policy_profile": "el-salvador-2021",
    "language": "ur",
    "currency": "sat",
}


class TestNewProgram:
    def test_makes_it_with_its_wallet(self, browser: Browser) -> None:
        administrator = factories.make_administrator()
        answer = browser(administrator).post(NEW, {"code": "RELIEF", "name": "Winter relief", **RULES})
        made = Program.objects.get(code="RELIEF")
        assert answer["Location"] == reverse("admin:payments_program_change", args=[made.pk])
        assert (made.created_by, made.confirmations_settled, made.network) == (administrator, 3, "regtest")
        assert (made.feerate_patient_sat_kvb, made.fee_budget_daily_sat, made.fee_share_ceiling_bps) == (
            20_000,
            None,
            500,
        )
        assert made.claimed_counts_as_changed
        assert Wallet.objects.get(program=made).ready_at is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"code": "lower case"},
            {"code": "PENSIONS"},
            {"feerate_floor_sat_kvb": 60_000},
            {"group_max_vsize_vb": 100_000},
            {"feerate_patient_sat_kvb": 60_000},
            {"fee_share_ceiling_bps": 0},
            {"target_blocks": "1e3"},
            {"name": ""},
        ],
    )
    def test_refuses_bad_rules(self, changes: dict[str, Any], program: Program, browser: Browser) -> None:
        data = {"code": "RELIEF", "name": "Winter relief", **RULES, **changes}
        answer = browser(factories.make_administrator()).post(NEW, data)
        assert answer.status_code == 422
        assert list(Program.objects.values_list("code", flat=True)) == ["PENSIONS"]

    def test_refuses_a_member_without_the_permission(self, officer: User, browser: Browser) -> None:
        client = browser(officer)
        answer = client.post(NEW, {"code": "RELIEF", "name": "Winter relief", **RULES})
        assert answer.status_code == 403
        assert NEW not in client.get(reverse("admin:payments_program_changelist")).content.decode()
        assert Program.objects.count() == 1


class TestAddMember:
    def test_gives_the_role(self, program: Program, browser: Browser) -> None:
        user = factories.make_user("newcomer")
        url = reverse("admin:payments_program_add_member", args=[program.pk])
        data = {"program": program.pk, "user": user.pk, "role": "auditor"}
        client = browser(factories.make_administrator())
        assert client.get(url).status_code == 200
        # Nobody and no role is chosen beforehand.
        assert client.post(url, data | {"user": ""}).status_code == 422
        assert client.post(url, data | {"role": ""}).status_code == 422
        assert client.post(url, data).status_code == 302
        assert Membership.objects.get(user=user).role == "auditor"
        again = client.post(url, data)
        assert again.status_code == 409
        assert "is auditor of this program already" in again.content.decode()
        assert Membership.objects.filter(user=user).count() == 1

    def test_refuses_a_member_without_the_permission(
        self, program: Program, officer: User, browser: Browser
    ) -> None:
        url = reverse("admin:payments_program_add_member", args=[program.pk])
        data = {"program": program.pk, "user": officer.pk, "role": "approver"}
        assert browser(officer).get(url).status_code == 403
        assert browser(officer).post(url, data).status_code == 403
        assert list(officer.memberships.values_list("role", flat=True)) == ["officer"]
