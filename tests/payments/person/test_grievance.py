"""The page where people lodge a grievance and follow it (A13, A37)."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ledger import audit
from ledger.models import AuditEvent, Door
from payments.models import Grievance, Program
from payments.services import grievances, people
from tests import factories
from tests.payments.person import browsing

pytestmark = pytest.mark.django_db

LODGE, FOLLOW = "/person/grievance/", "/person/grievance/follow/"
NATIONAL_ID = "35202-7654321-1"


def fields(program: Program, **changes: Any) -> dict[str, Any]:
    """What somebody fills in."""
    return {
        "program": program.code,
        "category": "not_received",
        "text": "Nothing <b>came</b>.",
        "received_sat": "",
        "reference": "A-1",
        "national_id": NATIONAL_ID,
        "contact": "",
    } | changes


def lodged(visitor: Client, program: Program) -> tuple[int, str]:
    """Number and code of a new grievance."""
    page = browsing.send(visitor, LODGE, **fields(program)).content.decode()
    secret = re.search(r"<code>([0-9A-Z-]{31})</code>", page)
    assert secret is not None
    return Grievance.objects.order_by("-pk")[0].pk, secret[1]


@pytest.fixture
def known(program: Program, officer: User) -> None:
    """Somebody is enrolled as A-1 under the national id."""
    people.enroll(
        by=officer,
        program_id=program.pk,
        reference="A-1",
        national_id=NATIONAL_ID,
        full_name="Amina Khan",
        phone="",
        address="bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    )


class TestLodge:
    def test_gives_a_number_and_a_code(self, visitor: Client, program: Program) -> None:
        response = browsing.send(visitor, LODGE, **fields(program))
        assert response.status_code == 201
        browsing.require_strict(response)
        row = Grievance.objects.get()
        assert f"<strong>{row.pk}</strong>" in response.content.decode()
        assert row.said["text"] == "Nothing <b>came</b>."

    def test_answers_alike_whether_somebody_is_enrolled_or_not(
        self, visitor: Client, program: Program, known: None
    ) -> None:
        pages = []
        for national_id in (NATIONAL_ID, "35202-0000000-0", "nothing at all, and long"):
            response = browsing.send(visitor, LODGE, **fields(program, national_id=national_id))
            page = re.sub(r"<code>.*?</code>|<strong>\d+</strong>", "", browsing.text_of(response))
            pages.append((response.status_code, page))
        assert len(set(pages)) == 1
        assert list(Grievance.objects.order_by("pk").values_list("is_proved", flat=True)) == [
            True,
            False,
            False,
        ]

    @pytest.mark.parametrize(
        "changes",
        [
            {"text": ""},
            {"program": "NONE"},
            {"category": "rant"},
            {"received_sat": "1e3"},
            {"received_sat": "-1"},
        ],
    )
    def test_shows_what_is_wrong(self, visitor: Client, program: Program, changes: dict[str, str]) -> None:
        response = browsing.send(visitor, LODGE, **(fields(program) | changes))
        assert response.status_code == 422
        assert "errorlist" in response.content.decode()
        assert Grievance.objects.count() == 0

    def test_is_recorded_as_done_at_the_page_for_people(self, visitor: Client, program: Program) -> None:
        number, _ = lodged(visitor, program)
        event = AuditEvent.objects.get(subject_kind="grievance", subject_id=str(number))
        assert (event.action, event.door, event.actor) == ("grievance.lodge", Door.PERSON, audit.NOBODY)

    def test_counts_what_comes_from_one_address(self, visitor: Client, program: Program) -> None:
        for _ in range(20):
            assert browsing.send(visitor, LODGE, **fields(program)).status_code == 201
        response = browsing.send(visitor, LODGE, **fields(program))
        assert response.status_code == 429
        assert int(response["Retry-After"]) > 0
        assert Grievance.objects.count() == 20

    def test_names_programs_as_people_know_them(self, visitor: Client, program: Program) -> None:
        shown = visitor.get(LODGE).content.decode()
        assert f'<option value="{program.code}">{program.name}</option>' in shown

    def test_needs_the_forms_token(self, visitor: Client, program: Program) -> None:
        assert visitor.post(LODGE, fields(program)).status_code == 403
        assert Grievance.objects.count() == 0

    @pytest.mark.parametrize("address", [LODGE, FOLLOW])
    def test_is_plain_and_strict(self, visitor: Client, program: Program, address: str) -> None:
        browsing.require_strict(visitor.get(address))


class TestFollow:
    def test_shows_the_answer_and_takes_what_is_said_to_it(
        self, visitor: Client, program: Program, officer: User
    ) -> None:
        number, secret = lodged(visitor, program)
        page = browsing.send(visitor, FOLLOW, number=number, secret=secret.lower())
        browsing.require_strict(page)
        assert "Nobody works on it yet" in page.content.decode()
        grievances.take(by=officer, grievance_id=number)
        grievances.answer(by=officer, grievance_id=number, finding="upheld", text="It <i>comes</i>.")
        page = browsing.send(visitor, FOLLOW, number=number, secret=secret)
        assert "It &lt;i&gt;comes&lt;/i&gt;." in page.content.decode()
        done = browsing.send(
            visitor, FOLLOW, number=number, secret=secret, act="disagree", text="No.", received_sat="40000"
        )
        assert "Somebody works on it" in done.content.decode()
        row = Grievance.objects.get(pk=number)
        assert (row.status, row.received_sat) == ("working", 40_000)
        grievances.answer(by=officer, grievance_id=number, finding="not_upheld", text="No.")
        browsing.send(visitor, FOLLOW, number=number, secret=secret, act="agree", received_sat="50000")
        row.refresh_from_db()
        assert (row.status, row.received_sat) == ("closed", 50_000)

    def test_says_which_amount_is_wrong_and_keeps_what_was_typed(
        self, visitor: Client, program: Program, officer: User
    ) -> None:
        number, secret = lodged(visitor, program)
        grievances.take(by=officer, grievance_id=number)
        grievances.answer(by=officer, grievance_id=number, finding="not_upheld", text="No.")
        typed = {"act": "disagree", "text": "Half came.", "received_sat": "1.5"}
        page = browsing.send(visitor, FOLLOW, number=number, secret=secret, **typed)
        shown = page.content.decode()
        assert page.status_code == 422
        assert "Plain digits, without dots or commas." in shown
        assert 'value="1.5"' in shown
        assert ">Half came.</textarea>" in shown
        assert Grievance.objects.get(pk=number).status == "answered"

    def test_answers_alike_for_a_wrong_number_and_a_wrong_code(
        self, visitor: Client, program: Program
    ) -> None:
        number, secret = lodged(visitor, program)
        pages = set()
        for n, s in ((number, "0" * 26), (2**62, secret), (number + 1, secret), (number, "?")):
            response = browsing.send(visitor, FOLLOW, number=n, secret=s)
            page = re.sub(r'value="[^"]*"', "", browsing.text_of(response))
            pages.add((response.status_code, page))
        assert len(pages) == 1
        assert next(iter(pages))[0] == 404

    def test_takes_it_back_once(self, visitor: Client, program: Program) -> None:
        number, secret = lodged(visitor, program)
        statuses = [
            browsing.send(visitor, FOLLOW, number=number, secret=secret, act="withdraw").status_code
            for _ in range(2)
        ]
        assert statuses == [200, 422]
        assert Grievance.objects.get().status == "withdrawn"


def test_pages_need_no_account(visitor: Client, program: Program) -> None:
    factories.make_user("nobody")
    assert "sessionid" not in visitor.get(LODGE).cookies
