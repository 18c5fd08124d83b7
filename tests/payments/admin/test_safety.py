"""The stop and alarms in the admin: who is offered which button, and what it does."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from payments.models import Alarm, Program, Stop
from payments.payout import alarms
from payments.services import stops
from tests import factories

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
STOPS = reverse("admin:payments_stop_changelist")
THROW = reverse("admin:payments_stop_throw")


def page(row: Any, verb: str = "change") -> str:
    """The row's page, or a button's."""
    return reverse(f"admin:payments_{row._meta.model_name}_{verb}", args=[row.pk])


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


class TestStop:
    def test_is_thrown_by_an_auditor_and_lifted_by_a_treasurer(
        self, auditor: User, treasurer: User, browser: Browser
    ) -> None:
        first, second = browser(auditor), browser(treasurer)
        assert THROW in first.get(STOPS).content.decode()
        first.post(THROW, {"note": "A key may be lost."})
        stop = Stop.objects.get()
        assert (stop.is_open, stop.thrown_by, stop.reason) == (True, auditor, "A key may be lost.")
        assert THROW not in second.get(STOPS).content.decode()
        assert page(stop, "lift") not in first.get(page(stop)).content.decode()
        assert page(stop, "lift") in second.get(page(stop)).content.decode()
        second.post(page(stop, "lift"), {"note": "It was found."})
        stop.refresh_from_db()
        assert (stop.is_open, stop.lifted_by, stop.lift_reason) == (False, treasurer, "It was found.")

    def test_is_not_lifted_by_who_threw_it(self, treasurer: User, browser: Browser) -> None:
        stop = stops.throw(by=treasurer, reason="Look first.")
        client = browser(treasurer)
        assert page(stop, "lift") not in client.get(page(stop)).content.decode()
        refused = client.post(page(stop, "lift"), {"note": "Never mind."})
        assert refused.status_code == 403
        assert "Somebody else than the person who stopped the engine" in refused.content.decode()
        assert Stop.objects.get().is_open

    def test_is_neither_offered_to_nor_taken_from_an_officer(self, officer: User, browser: Browser) -> None:
        client = browser(officer)
        assert THROW not in client.get(STOPS).content.decode()
        refused = client.post(THROW, {"note": "Stop."})
        assert refused.status_code == 403
        assert "needs the role of treasurer or auditor" in refused.content.decode()
        assert not Stop.objects.exists()

    def test_needs_a_reason(self, treasurer: User, browser: Browser) -> None:
        assert browser(treasurer).post(THROW, {"note": ""}).status_code == 422
        assert not Stop.objects.exists()


class TestAlarm:
    @pytest.fixture
    def alarm(self, program: Program) -> Alarm:
        return alarms.sound("payout_stuck", subject="node", program_id=program.pk, message="It waits.")

    def test_is_taken_and_closed_with_what_was_found(
        self, alarm: Alarm, treasurer: User, browser: Browser
    ) -> None:
        client = browser(treasurer)
        assert page(alarm) in client.get(reverse("admin:index")).content.decode()
        assert "Nobody has taken it yet" in client.get(page(alarm)).content.decode()
        client.post(page(alarm, "take"))
        client.post(page(alarm, "close"), {"note": "The node was restarted."})
        alarm.refresh_from_db()
        assert (alarm.owner, alarm.closed_by, alarm.close_note) == (
            treasurer,
            treasurer,
            "The node was restarted.",
        )
        shown = client.get(page(alarm)).content.decode()
        assert page(alarm, "take") not in shown
        assert page(alarm, "close") not in shown

    def test_is_only_looked_at_by_an_auditor(self, alarm: Alarm, auditor: User, browser: Browser) -> None:
        client = browser(auditor)
        shown = client.get(page(alarm)).content.decode()
        assert (page(alarm, "take") in shown, page(alarm, "close") in shown) == (False, False)
        assert client.post(page(alarm, "take")).status_code == 403
        alarm.refresh_from_db()
        assert (alarm.owner, alarm.closed_at) == (None, None)

    def test_of_a_stop_is_taken_and_closes_with_the_stop_only(
        self, treasurer: User, auditor: User, browser: Browser
    ) -> None:
        stops.throw(by=auditor, reason="A drill.")
        alarm = Alarm.objects.get()
        client = browser(treasurer)
        shown = client.get(page(alarm)).content.decode()
        assert (page(alarm, "take") in shown, page(alarm, "close") in shown) == (True, False)
        assert client.post(page(alarm, "close"), {"note": "Quiet."}).status_code == 409
        alarm.refresh_from_db()
        assert alarm.closed_at is None

    def test_is_filtered_by_whether_it_is_open(
        self, alarm: Alarm, program: Program, treasurer: User, browser: Browser
    ) -> None:
        alarms.sound("fees_block", subject="node", program_id=program.pk, message="Too dear.")
        alarms.clear("fees_block", subject="node", note="Cheaper.")
        url = reverse("admin:payments_alarm_changelist")
        answer: Any = browser(treasurer).get(url + "?open=yes")
        assert [row.pk for row in answer.context["cl"].result_list] == [alarm.pk]
