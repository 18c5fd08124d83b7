"""Approvals and their rules in the admin."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from payments.models import ApprovalPolicy, Disbursement, Program
from payments.services import disbursements, policies
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
PROPOSE = reverse("admin:payments_approvalpolicy_changelist") + "propose/"


@pytest.fixture
def one() -> User:
    return factories.make_user("one", policies.RIGHT)


def form(program: Program, **changes: Any) -> dict[str, Any]:
    """What somebody fills in."""
    return {
        "program": program.pk,
        "approval_days": "7",
        "groups": "directors: approver-pensions",
        "tiers": "100000: approvers 1\nany: approvers 1, directors 1",
        "caps": "maker 7 5000000\nprogram 1 9000000",
        "note": "As the regulation says.",
    } | changes


class TestRules:
    def test_are_proposed_on_a_page_and_confirmed_by_another(
        self, program: Program, approver: User, one: User, browser: Browser
    ) -> None:
        client = browser(one)
        assert "Propose rules of approval" in client.get(PROPOSE).content.decode()
        assert client.post(PROPOSE, form(program)).status_code == 302
        made = ApprovalPolicy.objects.get()
        page = reverse("admin:payments_approvalpolicy_change", args=[made.pk])
        assert "Somebody else than who proposed it" in client.get(page).content.decode()
        confirm = page.replace("change/", "confirm/")
        assert client.post(confirm).status_code == 403
        other = browser(factories.make_user("other", policies.RIGHT))
        assert "directors" in other.get(confirm).content.decode()
        assert other.post(confirm).status_code == 302
        terms = policies.current(program.pk)
        assert terms.tier_for(100_001)["needs"] == {"approvers": 1, "directors": 1}
        assert (terms.days, dict(terms.groups)) == (7, {"directors": frozenset({approver.pk})})
        assert list(terms.caps) == [
            policies.Cap("maker", 7, 5_000_000),
            policies.Cap("program", 1, 9_000_000),
        ]

    @pytest.mark.parametrize(
        "changes",
        [
            {"groups": "directors"},
            {"tiers": "all: approvers 1"},
            {"tiers": "any: approvers"},
            {"caps": "maker 7"},
            {"approval_days": "many"},
            {"tiers": "any: strangers 1"},
        ],
    )
    def test_that_are_none_are_refused_on_the_page(
        self, changes: dict[str, str], program: Program, approver: User, one: User, browser: Browser
    ) -> None:
        assert browser(one).post(PROPOSE, form(program, **changes)).status_code == 422
        assert ApprovalPolicy.objects.count() == 0


class TestList:
    def test_shows_who_approved_and_who_is_missing(
        self, program: Program, officer: User, approver: User, browser: Browser
    ) -> None:
        factories.fund(program)
        second = factories.make_member(program, "approver", "second-approver")
        factories.make_policy(program, tiers=[{"up_to_sat": None, "needs": {"approvers": 2}}])
        made = factories.make_disbursement(program, officer)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        page = reverse("admin:payments_disbursement_change", args=[made.pk])
        approve = page.replace("change/", "approve/")
        agreed = {"manifest_hash": bytes(made.manifest_hash or b"").hex()}
        assert browser(approver).post(approve, agreed).status_code == 302
        shown = browser(second).get(approve).content.decode()
        assert "2 of approvers" in shown
        assert "1 of approvers" in shown
        assert browser(second).post(approve, agreed).status_code == 302
        assert Disbursement.objects.get(pk=made.pk).status == "approved"
        assert "second-approver" in browser(officer).get(page).content.decode()
