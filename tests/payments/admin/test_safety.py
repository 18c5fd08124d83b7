"""The stop and alarms in the admin: who is offered which button, and what it does."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from payments.admin import cells
from payments.models import Alarm, Program, Stop
from payments.payout import alarms
from payments.payout.causes import CAUSES
from payments.services import stops
from tests import factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db

Browser = Callable[[User], Client]
STOPS = reverse("admin:payments_stop_changelist")
THROW = reverse("admin:payments_stop_throw")
BANNER = "gp-banner"


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

    def test_leads_back_who_may_not_press_the_button(
        self, officer: User, treasurer: User, browser: Browser
    ) -> None:
        assert browser(officer).get(THROW)["Location"] == STOPS
        stop = stops.throw(by=treasurer, reason="Look first.")
        for user in (officer, treasurer):
            assert browser(user).get(THROW)["Location"] == STOPS
            assert browser(user).get(page(stop, "lift"))["Location"] == page(stop)

    def test_needs_a_reason(self, treasurer: User, browser: Browser) -> None:
        assert browser(treasurer).post(THROW, {"note": ""}).status_code == 422
        assert not Stop.objects.exists()


class TestBanner:
    @pytest.mark.parametrize("role", ["officer", "auditor"])
    def test_of_a_stop_is_on_every_page(
        self, role: str, furnished: dict[str, Any], program: Program, browser: Browser
    ) -> None:
        Stop.objects.all().delete()
        user = factories.make_member(program, role, "looker")
        user.user_permissions.add(*Permission.objects.filter(codename="view_entry"))
        pages = [
            reverse("admin:index"),
            reverse("admin:password_change"),
            reverse("admin:app_list", args=["payments"]),
            reverse("admin:ledger_entry_changelist"),
            reverse("admin:ledger_reconciliationrun_changelist"),
            *(page(row) for name, row in scenes.with_pages(furnished).items() if name != "stop"),
            *(reverse(f"admin:payments_{name}_changelist") for name in scenes.with_pages(furnished)),
        ]
        client = browser(user)
        for url in pages:
            assert BANNER not in client.get(url).content.decode(), url
        stop = stops.throw(by=factories.make_member(program, "treasurer"), reason="A <key> may be lost.")
        for url in [*pages, page(stop)]:
            shown = client.get(url)
            assert shown.status_code == 200, url
            text = shown.content.decode()
            assert text.count(BANNER) == 1, url
            assert "A &lt;key&gt; may be lost." in text, url
            assert page(stop) in text, url

    def test_is_not_shown_to_who_works_in_no_program_nor_before_the_login(
        self, treasurer: User, browser: Browser
    ) -> None:
        stops.throw(by=treasurer, reason="A key may be lost.")
        assert BANNER in browser(treasurer).get(reverse("admin:index")).content.decode()
        assert (
            BANNER not in browser(factories.make_user("nobody")).get(reverse("admin:index")).content.decode()
        )
        assert BANNER not in Client().get(reverse("admin:login")).content.decode()

    def test_costs_one_query_a_page_and_none_elsewhere(self, treasurer: User, browser: Browser) -> None:
        client = browser(treasurer)
        for url, count in ((STOPS, 1), (reverse("admin:payments_alarm_changelist"), 1)):
            with CaptureQueriesContext(connection) as captured:
                client.get(url)
            asked = [q["sql"] for q in captured if "thrown_by" in q["sql"] and "LIMIT 1" in q["sql"]]
            assert len(asked) == count, url
        with CaptureQueriesContext(connection) as captured:
            Client().get(reverse("admin:login"))
        assert [q for q in captured if "payments_stop" in q["sql"]] == []


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

    def test_says_what_it_means_and_what_to_do(self, alarm: Alarm, treasurer: User, browser: Browser) -> None:
        shown = browser(treasurer).get(page(alarm)).content.decode()
        assert escape(CAUSES["payout_stuck"].means) in shown
        assert escape(CAUSES["payout_stuck"].do) in shown
        assert "Told elsewhere" not in shown

    def test_shows_what_the_receiver_elsewhere_took_and_did_not_take(
        self, program: Program, treasurer: User, browser: Browser, settings: Any
    ) -> None:
        settings.GOVPAY_ALARM_WEBHOOK_URL, settings.GOVPAY_ALARM_WEBHOOK_SECRET = (
            "http://127.0.0.1:1/t0ken",
            "-",
        )
        alarm = alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits.")
        alarms.clear("payout_stuck", subject="payout", note="It moves.")
        opened, _ = alarm.deliveries.order_by("pk")
        alarm.deliveries.filter(pk=opened.pk).update(attempts=3, error="The receiver answered HTTP 500.")
        client = browser(treasurer)
        told = client.get(page(alarm)).context["tables"][0]
        assert [(row[0], row[3], row[4]) for row in told.rows] == [
            ("Opened", cells.number(3), cells.problem("The receiver answered HTTP 500.")),
            ("Closed", cells.number(0), cells.EMPTY),
        ]
        alarm.deliveries.filter(pk=opened.pk).update(delivered_at=timezone.now(), error="")
        shown = client.get(page(alarm))
        states = [row[2] for row in shown.context["tables"][0].rows]
        assert [("taken" in state, "waits" in state) for state in states] == [(True, False), (False, True)]
        assert "t0ken" not in shown.content.decode()

    def test_is_filtered_by_whether_it_is_open(
        self, alarm: Alarm, program: Program, treasurer: User, browser: Browser
    ) -> None:
        alarms.sound("fees_block", subject="node", program_id=program.pk, message="Too dear.")
        alarms.clear("fees_block", subject="node", note="Cheaper.")
        url = reverse("admin:payments_alarm_changelist")
        answer: Any = browser(treasurer).get(url + "?open=yes")
        assert [row.pk for row in answer.context["cl"].result_list] == [alarm.pk]
