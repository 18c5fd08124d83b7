"""Grievances in the admin: the help desk works, others look on without reading the words."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from payments.models import Grievance, Program
from payments.services import grievances
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
LODGE = reverse("admin:payments_grievance_lodge")


def page(row: Grievance, name: str = "change") -> str:
    return reverse(f"admin:payments_grievance_{name}", args=[row.pk])


@pytest.fixture
def helpdesk(program: Program) -> User:
    """Hears people."""
    return factories.make_member(program, "helpdesk")


@pytest.fixture
def row(program: Program) -> Grievance:
    """What somebody lodged at the public page."""
    return grievances.lodge_in_person(
        program_id=program.pk,
        reference="",
        national_id="",
        category="other",
        text="Nobody <b>listens</b>.",
        contact="0300 1234567",
    ).grievance


class TestLodge:
    def test_shows_number_and_code_once(self, browser: Browser, program: Program, helpdesk: User) -> None:
        person = factories.make_enrollment(program)
        fields = {
            "program": program.pk,
            "category": "not_received",
            "text": "Nothing came.",
            "reference": person.reference,
            "received_sat": "0",
        }
        client = browser(helpdesk)
        shown = client.post(LODGE, fields, follow=True).content.decode()
        made = Grievance.objects.get()
        assert (made.enrollment, made.received_sat, made.lodged_by) == (person, 0, helpdesk)
        assert re.search(rf"number {made.pk}, code [0-9A-Z-]{{31}}\.", shown)
        assert not re.search(r"code [0-9A-Z-]{31}\.", client.get(page(made)).content.decode())

    @pytest.mark.parametrize(
        "wrong", [{"reference": "NOBODY"}, {"received_sat": "1e3"}, {"payment_id": "999"}]
    )
    def test_says_what_is_wrong(
        self, browser: Browser, program: Program, helpdesk: User, wrong: dict[str, str]
    ) -> None:
        fields = {"program": program.pk, "category": "other", "text": "Help."} | wrong
        assert browser(helpdesk).post(LODGE, fields).status_code == 422
        assert Grievance.objects.count() == 0


class TestWork:
    def test_is_taken_and_answered(self, browser: Browser, helpdesk: User, row: Grievance) -> None:
        client = browser(helpdesk)
        shown = client.get(page(row)).content.decode()
        assert "Nobody &lt;b&gt;listens&lt;/b&gt;." in shown
        assert "0300 1234567" in shown
        client.post(page(row, "take"), {})
        answer = client.post(page(row, "answer"), {"finding": "upheld", "text": "Now we do."})
        assert answer["Location"] == page(row)
        row.refresh_from_db()
        assert (row.status, row.owner, row.answer) == ("answered", helpdesk, {"text": "Now we do."})

    def test_offers_what_is_next(
        self, browser: Browser, helpdesk: User, approver: User, row: Grievance
    ) -> None:
        def offered(user: User) -> set[str]:
            text = browser(user).get(page(row)).content.decode()
            return {name for name in ("take", "link", "answer") if page(row, name) in text}

        assert (offered(helpdesk), offered(approver)) == ({"take"}, set())
        grievances.take(by=helpdesk, grievance_id=row.pk)
        assert offered(helpdesk) == {"link", "answer"}

    def test_says_to_whom_it_is_about_that_somebody_else_answers(
        self, browser: Browser, program: Program, officer: User, helpdesk: User, row: Grievance
    ) -> None:
        list_ = factories.make_disbursement(program, officer, amounts_sat=[1_000])
        payment = list_.payments.get()
        Grievance.objects.filter(pk=row.pk).update(payment=payment)
        shown = browser(officer).get(page(row)).content.decode()
        assert page(row, "take") not in shown
        assert "somebody else answers this" in shown
        assert browser(officer).post(page(row, "take"), {}).status_code == 403
        assert page(row, "take") in browser(helpdesk).get(page(row)).content.decode()

    def test_keeps_the_payment_that_is_known(
        self, browser: Browser, program: Program, officer: User, helpdesk: User, row: Grievance
    ) -> None:
        payment = factories.make_disbursement(program, officer, amounts_sat=[1_000]).payments.get()
        Grievance.objects.filter(pk=row.pk).update(payment=payment)
        grievances.take(by=helpdesk, grievance_id=row.pk)
        shown = browser(helpdesk).get(page(row, "link")).content.decode()
        assert re.search(
            rf'name="payment_id"[^>]*value="{payment.pk}"|value="{payment.pk}"[^>]*name="payment_id"', shown
        )

    def test_has_no_finding_before_somebody_chooses(
        self, browser: Browser, helpdesk: User, row: Grievance
    ) -> None:
        grievances.take(by=helpdesk, grievance_id=row.pk)
        assert browser(helpdesk).post(page(row, "answer"), {"finding": "", "text": "Yes."}).status_code == 422
        assert Grievance.objects.get(pk=row.pk).status == "working"


class TestWords:
    @pytest.mark.parametrize(
        ("role", "reads"), [("auditor", True), ("approver", False), ("treasurer", False)]
    )
    def test_are_for_who_answers_or_examines(
        self, browser: Browser, program: Program, row: Grievance, role: str, reads: bool
    ) -> None:
        user: Any = factories.make_member(program, role)
        shown = browser(user).get(page(row)).content.decode()
        assert ("listens" in shown, "0300 1234567" in shown) == (reads, reads)
        assert ("The words are not shown to you" in shown) is not reads
