"""R-34 in the admin: who pays is proposed on the program's page, and a payload is downloaded by whom it is for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ledger.models import AuditEvent
from payments.models import Beneficiary, Disbursement, Program, Proposal, TravelRecord
from tests import factories, travelling

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]


@pytest.fixture
def approved(
    program: Program,
    officer: User,
    approver: User,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Disbursement:
    """An approved list of two lines that the rule counts; the person of the second has no name."""
    travelling.legislate(monkeypatch)
    travelling.quote_dollars(settings, tmp_path)
    factories.fund(program, 100_000_000)
    made = factories.make_disbursement(program, officer, amounts_sat=[travelling.LEAST_SAT] * 2)
    nameless = made.payments.get(line=2).beneficiary_id
    Beneficiary.objects.filter(pk=nameless).update(personal={"full_name": "", "phone": ""})
    return travelling.approve(made, officer, approver)


class TestOriginator:
    def test_is_proposed_and_confirmed_on_pages(self, program: Program, browser: Browser) -> None:
        first, second = (factories.make_member(program, "security", name) for name in ("sana", "samuel"))
        page = f"/admin/payments/program/{program.pk}/propose-originator/"
        assert browser(first).get(page).status_code == 200
        asked = {"legal_name": "Ministry of Pensions", "country": "PK", "note": "By letter."}
        wrong = browser(first).post(page, asked)
        assert wrong.status_code == 422
        assert "Give its legal entity identifier, or its address and town." in wrong.content.decode()
        assert browser(first).post(page, asked | {"lei": travelling.LEI}).status_code == 302
        made = Proposal.objects.get()
        shown = browser(second).get(f"/admin/payments/proposal/{made.pk}/change/").content.decode()
        assert "Legal entity identifier" in shown
        assert travelling.LEI in shown
        browser(second).post(f"/admin/payments/proposal/{made.pk}/confirm/", {"note": ""})
        shown = browser(first).get(f"/admin/payments/program/{program.pk}/change/").content.decode()
        assert "Ministry of Pensions" in shown

    def test_is_for_security_administrators(self, program: Program, officer: User, browser: Browser) -> None:
        page = f"/admin/payments/program/{program.pk}/propose-originator/"
        assert browser(officer).get(page).status_code == 403


class TestRecords:
    def test_r34_shows_the_refusal_of_a_release(
        self, approved: Disbursement, releaser: User, browser: Browser
    ) -> None:
        page = f"/admin/payments/disbursement/{approved.pk}/release/"
        agreed = {"manifest_hash": bytes(approved.manifest_hash or b"").hex()}
        answer = browser(releaser).post(page, agreed)
        assert answer.status_code == 409
        assert "travel_rule: " in answer.content.decode()
        assert travelling.LAW in answer.content.decode()

    def test_r34_is_downloaded_by_whom_it_is_for(
        self,
        program: Program,
        approved: Disbursement,
        releaser: User,
        officer: User,
        auditor: User,
        browser: Browser,
    ) -> None:
        travelling.make_originator(program)
        travelling.release(approved, releaser)
        whole, wanting = TravelRecord.objects.order_by("pk")
        page = f"/admin/payments/travelrecord/{whole.pk}"
        shown = browser(auditor).get(f"{page}/change/").content.decode()
        assert "Download payload" in shown
        assert whole.payment.beneficiary.personal["full_name"] not in shown
        asked = browser(auditor).get(f"{page}/download/")
        assert "That you read it is written down." in asked.content.decode()
        assert not AuditEvent.objects.filter(action="travel_rule.read").exists()
        answer = browser(auditor).post(f"{page}/download/")
        assert json.loads(answer.content)["transfer"]["payment"] == whole.payment_id
        assert answer.headers["Cache-Control"].startswith("no-store")
        assert AuditEvent.objects.get(action="travel_rule.read").actor == auditor.username
        assert "Download payload" not in browser(officer).get(f"{page}/change/").content.decode()
        assert browser(officer).post(f"{page}/download/").status_code == 403
        shown = browser(auditor).get(f"/admin/payments/travelrecord/{wanting.pk}/change/").content.decode()
        assert "There is no payload" in shown
        assert "Download payload" not in shown
        shown = browser(auditor).get(f"/admin/payments/disbursement/{approved.pk}/change/").content.decode()
        assert "Travel rule" in shown
        listed = browser(auditor).get("/admin/payments/travelrecord/?kept=missing").content.decode()
        assert f"Travel record {wanting.pk}" in listed
        assert f"Travel record {whole.pk}" not in listed
