"""Proposals in the admin: asked for on a program's page, found on the first page, confirmed beside what changes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from payments.models import Beneficiary, Membership, Program, Proposal
from payments.models.program import RULES
from tests import factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]


@pytest.fixture
def security(program: Program) -> User:
    """Proposes."""
    return factories.make_member(program, "security", "sana")


@pytest.fixture
def second(program: Program) -> User:
    """Confirms."""
    return factories.make_member(program, "security", "samuel")


def of_program(program: Program, name: str) -> str:
    return reverse(f"admin:payments_program_{name}", args=[program.pk])


def of_proposal(proposal: Proposal, name: str) -> str:
    return reverse(f"admin:payments_proposal_{name}", args=[proposal.pk])


def rules(program: Program, **changes: Any) -> dict[str, Any]:
    """The form as it is shown, with changes and a reason."""
    shown = {name: getattr(program, name) for name in RULES}
    return {name: "" if value is None else value for name, value in (shown | changes).items()} | {
        "note": "Lists are late."
    }


class TestWebhooks:
    def test_are_compared_in_words(
        self, program: Program, security: User, second: User, browser: Browser
    ) -> None:
        body = {"url": "https://hooks.example.org/", "note": "Our ledger."}
        assert browser(security).post(of_program(program, "propose_webhook"), body).status_code == 302
        shown = browser(second).get(of_proposal(Proposal.objects.get(), "confirm")).content.decode()
        assert "Told" in shown
        assert "every event" in shown
        assert "Event_types" not in shown


class TestRules:
    def test_are_proposed_compared_and_confirmed(
        self, program: Program, security: User, second: User, browser: Browser
    ) -> None:
        client, url = browser(security), of_program(program, "propose_rules")
        assert url in client.get(of_program(program, "change")).content.decode()
        assert client.get(url).status_code == 200
        assert client.post(url, rules(program, feerate_ceiling_sat_kvb=40_000)).status_code == 302
        made = Proposal.objects.get()
        assert (made.before, made.after) == (
            {"feerate_ceiling_sat_kvb": 50_000},
            {"feerate_ceiling_sat_kvb": 40_000},
        )
        own = client.get(of_proposal(made, "change")).content.decode()
        assert of_proposal(made, "withdraw") in own
        assert of_proposal(made, "confirm") not in own
        other = browser(second)
        assert "Waits for your confirmation" in other.get(reverse("admin:index")).content.decode()
        assert "Waits for your confirmation" not in client.get(reverse("admin:index")).content.decode()
        shown = other.get(of_proposal(made, "confirm")).content.decode()
        assert "50,000" in shown
        assert "40,000" in shown
        assert "Fee rate ceiling" in shown
        assert other.post(of_proposal(made, "confirm"), {"note": ""}).status_code == 302
        assert Program.objects.get(pk=program.pk).feerate_ceiling_sat_kvb == 40_000
        assert "Waits for your confirmation" not in other.get(reverse("admin:index")).content.decode()

    def test_that_break_a_rule_are_refused_in_place(
        self, program: Program, security: User, browser: Browser
    ) -> None:
        client, url = browser(security), of_program(program, "propose_rules")
        for changes in ({"feerate_floor_sat_kvb": 60_000}, {"target_blocks": 0}, {}, {"note": ""}):
            assert client.post(url, rules(program) | changes).status_code == 422
        assert Proposal.objects.count() == 0

    def test_are_not_the_proposers_to_confirm(
        self, program: Program, security: User, browser: Browser
    ) -> None:
        client = browser(security)
        client.post(of_program(program, "propose_rules"), rules(program, target_blocks=2))
        made = Proposal.objects.get()
        assert client.get(of_proposal(made, "confirm"))["Location"] == of_proposal(made, "change")
        assert client.post(of_proposal(made, "confirm"), {"note": ""}).status_code == 403
        assert Program.objects.get(pk=program.pk).target_blocks == 6


class TestRoles:
    def test_are_proposed_by_name_and_confirmed(
        self, program: Program, security: User, second: User, officer: User, browser: Browser
    ) -> None:
        client = browser(security)
        factories.make_user("newcomer")
        data = {"username": "newcomer", "role": "auditor", "note": "New here."}
        assert client.post(of_program(program, "propose_role"), data).status_code == 302
        data = {"username": officer.username, "role": "officer", "note": "They leave."}
        assert client.post(of_program(program, "propose_revocation"), data).status_code == 302
        for made in Proposal.objects.all():
            assert browser(second).post(of_proposal(made, "confirm"), {"note": ""}).status_code == 302
        assert Membership.objects.get(user__username="newcomer").role == "auditor"
        assert not officer.memberships.exists()
        page = client.get(of_program(program, "change")).content.decode()
        assert "Former members" in page
        assert officer.username in page

    def test_are_refused_in_place(
        self, program: Program, security: User, second: User, officer: User, browser: Browser
    ) -> None:
        client, url = browser(security), of_program(program, "propose_role")
        for name, role, status in (
            (officer.username, "approver", 409),
            ("nobody", "auditor", 422),
            (security.username, "helpdesk", 403),
        ):
            answer = client.post(url, {"username": name, "role": role, "note": "New."})
            assert answer.status_code == status
        assert Proposal.objects.count() == 0

    @pytest.mark.parametrize("name", ["propose_rules", "propose_role", "propose_revocation"])
    def test_are_for_security_administrators_alone(
        self, program: Program, auditor: User, name: str, browser: Browser
    ) -> None:
        url = of_program(program, name)
        for user in (auditor, factories.make_administrator()):
            client = browser(user)
            assert url not in client.get(of_program(program, "change")).content.decode()
            assert client.get(url).status_code == 403
            assert client.post(url, rules(program, target_blocks=2)).status_code == 403
        assert Proposal.objects.count() == 0

    def test_leave_administrators_no_button_once_the_program_is_set_up(
        self, program: Program, security: User, browser: Browser
    ) -> None:
        client, url = browser(factories.make_administrator()), of_program(program, "add_member")
        assert url in client.get(of_program(program, "change")).content.decode()
        factories.make_member(program, "security", "samuel")
        assert url not in client.get(of_program(program, "change")).content.decode()
        data = {"program": program.pk, "user": factories.make_user("late").pk, "role": "officer"}
        assert client.post(url, data).status_code == 409
        assert Membership.objects.count() == 2


class TestLimitedRoles:
    SHOWN = {
        "helpdesk": {
            *("program", "membership", "enrollment", "beneficiary", "destination"),
            *("disbursement", "payment", "entitlement", "claimlink", "grievance"),
        },
        "security": {
            *("program", "membership", "proposal", "webhook", "webhookdelivery"),
            *("manualprice", "pricebreaker", "pricerule", "pricesource", "quote", "holding"),
            *("trust", "trustdecision"),
            *("institution", "inflowclassing", "purchaseplan", "reserveproof"),
        },
    }

    @pytest.mark.parametrize("role", sorted(SHOWN))
    def test_see_what_their_work_needs(
        self, furnished: dict[str, Any], program: Program, role: str, browser: Browser
    ) -> None:
        client = browser(factories.make_member(program, role))
        assert client.get(reverse("admin:index")).status_code == 200
        for name, row in scenes.with_pages(furnished).items():
            listed = client.get(reverse(f"admin:payments_{name}_changelist"))
            shown = client.get(reverse(f"admin:payments_{name}_change", args=[row.pk]))
            is_shown = name in self.SHOWN[role]
            assert listed.status_code == (200 if is_shown else 403), name
            assert (shown.status_code == 200) is is_shown, name
            if name == "program":
                assert "Funding address" not in shown.content.decode()
                assert "Last lists" not in shown.content.decode()

    def test_mask_people(self, furnished: dict[str, Any], program: Program, browser: Browser) -> None:
        person: Beneficiary = furnished["beneficiary"]
        person.personal = {"full_name": "Zainab Bibi", "phone": "+923001234567"}
        person.save()
        client = browser(factories.make_member(program, "helpdesk"))
        for name in ("beneficiary", "enrollment", "payment"):
            url = reverse(f"admin:payments_{name}_change", args=[furnished[name].pk])
            text = client.get(url).content.decode()
            assert "Zainab" not in text
            assert "1234567" not in text
        text = client.get(reverse("admin:payments_beneficiary_change", args=[person.pk])).content.decode()
        assert "Z••••• B•••" in text
        assert "•••••67" in text
