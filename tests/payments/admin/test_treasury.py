"""Institutions, classings, plans and proofs in the admin: what the pages show, and who decides what (R-27, R-30, R-32)."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ledger.models import Inflow, LotMovement
from payments.models import InflowClassing, Institution, Program, Proposal, PurchasePlan, ReserveProof
from payments.services import proposals
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
OURS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
OFFICES, CLASSINGS = "/admin/payments/institution/", "/admin/payments/inflowclassing/"
PLANS, PROOFS = "/admin/payments/purchaseplan/", "/admin/payments/reserveproof/"


@pytest.fixture
def tara(program: Program) -> User:
    return factories.make_member(program, "treasurer", "tara")


@pytest.fixture
def tom(program: Program) -> User:
    user = factories.make_user("tom", "ledger.add_lotmovement")
    program.memberships.create(user=user, role="treasurer", granted_by=user)
    return user


def test_an_institution_is_proposed_and_changed_on_pages(program: Program, browser: Browser) -> None:
    security = factories.make_member(program, "security", "sana")
    second = factories.make_member(program, "security", "samuel")
    client = browser(security)
    body = {"scope": "reserve:1", "name": "Office", "currency": "USD", "policy_profile": "el-salvador-2025"}
    body |= {"var_window_days": "365", "var_quantile_bps": "9900", "most_sat": "9000", "note": "Set up."}
    answer = client.post(f"{OFFICES}propose/", body)
    made = Proposal.objects.get(kind="institution")
    assert answer["Location"] == f"/admin/payments/proposal/{made.pk}/change/"
    assert "Other reserves (minor units)" in client.get(answer["Location"]).content.decode()
    proposals.confirm(by=second, proposal_id=made.pk)
    office = Institution.objects.get()
    assert (office.most_sat, office.most_share_bps) == (9_000, None)
    body = {"policy_profile": "el-salvador-2025", "most_sat": "8000", "note": "Less."}
    body |= {"var_window_days": "365", "var_quantile_bps": "9900"}
    client.post(f"{OFFICES}{office.pk}/change-institution/", body)
    assert Proposal.objects.latest("pk").after["most_sat"] == 8_000


class TestClassing:
    def test_goes_from_the_institutions_page_to_a_second_treasurer_and_lots(
        self, tara: User, tom: User, auditor: User, browser: Browser
    ) -> None:
        held, office = factories.make_holding(), factories.make_institution()
        factories.make_scan(held, [(1, OURS, 700_000)])
        assert "Outputs of reserve:1 to class" in browser(tara).get("/admin/").content.decode()
        page = f"{OFFICES}{office.pk}/change/"
        shown = browser(auditor).get(page).content.decode()
        for text in (
            "Not classed, oldest first",
            "700,000 sat",
            "counted both ways",
            "No price was looked for",
        ):
            assert text in shown, text
        assert f"{OFFICES}{office.pk}/classify" not in shown
        form = browser(tara).get(f"{OFFICES}{office.pk}/classify/").content.decode()
        number = Inflow.objects.get().pk
        assert f">{number}</textarea>" in form.replace("\n", "")
        body = {
            "inflow_ids": f" {number} ",
            "kind": "donation",
            "funding_source": "A friend",
            "note": "A gift.",
        }
        refused = browser(tara).post(f"{OFFICES}{office.pk}/classify/", body)
        assert refused.status_code == 422
        assert "Say what it cost in minor units; it may be 0." in refused.content.decode()
        body |= {"cost_minor": "5", "acquired_at": f"{timezone.now() - timedelta(hours=1):%Y-%m-%d %H:%M}"}
        browser(tara).post(f"{OFFICES}{office.pk}/classify/", body)
        made = InflowClassing.objects.get()
        assert made.state == "given"
        own = browser(tara).get(f"{CLASSINGS}{made.pk}/change/").content.decode()
        assert f"{CLASSINGS}{made.pk}/confirm" not in own
        assert f"{CLASSINGS}{made.pk}/withdraw" in own
        waiting = browser(tom).get("/admin/").content.decode()
        assert "What outputs came for, to confirm" in waiting
        facts = browser(tom).get(f"{CLASSINGS}{made.pk}/confirm/").content.decode()
        assert "0.05 USD" in facts
        browser(tom).post(f"{CLASSINGS}{made.pk}/confirm/", {"amount_sat": "700000"})
        made.refresh_from_db()
        assert (made.state, LotMovement.objects.get().value_minor) == ("confirmed", 5)
        assert "All that came is classed." in browser(auditor).get(page).content.decode()

    def test_is_withdrawn(self, tara: User, browser: Browser) -> None:
        held, office = factories.make_holding(), factories.make_institution()
        factories.make_scan(held, [(1, OURS, 700_000)])
        body = {"inflow_ids": str(Inflow.objects.get().pk), "kind": "internal_transfer", "note": "Moved."}
        browser(tara).post(f"{OFFICES}{office.pk}/classify/", body | {"funding_source": "Vault 2"})
        made = InflowClassing.objects.get()
        browser(tara).post(f"{CLASSINGS}{made.pk}/withdraw/", {"note": "A mistake."})
        made.refresh_from_db()
        assert made.state == "withdrawn"


def test_a_plan_is_proposed_approved_and_ended(tara: User, tom: User, browser: Browser) -> None:
    office = factories.make_institution()
    body = {"amount_sat": "5000", "limit_price": "100000", "funding_source": "Line 7", "note": "As decided."}
    body["ends_at"] = f"{timezone.now() + timedelta(days=2):%Y-%m-%d %H:%M}"
    browser(tara).post(f"{OFFICES}{office.pk}/plan/", body)
    made = PurchasePlan.objects.get()
    assert "Purchase plans to approve" in browser(tom).get("/admin/").content.decode()
    refused = browser(tara).post(f"{PLANS}{made.pk}/approve/", {"amount_sat": "5000"})
    assert refused.status_code == 403
    browser(tom).post(f"{PLANS}{made.pk}/approve/", {"amount_sat": "5000"})
    made.refresh_from_db()
    assert made.state == "approved"
    browser(tara).post(f"{PLANS}{made.pk}/end/", {"note": "Enough."})
    made.refresh_from_db()
    assert made.state == "ended"


def test_a_proof_is_asked_for_and_downloaded(auditor: User, tara: User, browser: Browser) -> None:
    held = factories.make_holding()
    factories.make_scan(held, [(1, OURS, 700)])
    browser(auditor).post(f"{PROOFS}ask/", {"scope": "reserve:1", "message": "Audit 7f3a"})
    made = ReserveProof.objects.get()
    assert made.asked_by == auditor
    file = json.loads(browser(auditor).get(f"{PROOFS}{made.pk}/download/").content)
    assert (file["format"], file["amount_sat"], file["tx"]) == ("govpay-reserves-1", 700, "")
    assert file["psbt"].startswith("cHNidP8")
    shown = browser(tara).get(f"{PROOFS}{made.pk}/change/").content.decode()
    assert f"{PROOFS}{made.pk}/answer" in shown
    refused = browser(auditor).post(f"{PROOFS}{made.pk}/answer/", {"signed": file["psbt"]})
    assert refused.status_code == 403


def test_an_amount_is_spread_over_fresh_addresses_on_a_page(auditor: User, browser: Browser) -> None:
    held = factories.make_holding(cap_sat=9_000)
    factories.make_scan(held, [])
    page = f"/admin/payments/holding/{held.pk}/spread/"
    answer = browser(auditor).post(page, {"amount_sat": "9000"})
    assert answer["Location"] == f"{page}?amount_sat=9000"
    shown = browser(auditor).get(answer["Location"]).content.decode()
    assert "Over 1 addresses" in shown
    assert OURS in shown
    refused = browser(auditor).post(page, {"amount_sat": "9001"})
    assert refused.status_code == 409
    assert "need 2 addresses" in refused.content.decode()
    # An address that somebody keeps may become too much.
    assert "It cannot be spread" in browser(auditor).get(f"{page}?amount_sat=9001").content.decode()
