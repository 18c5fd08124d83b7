"""Stops and alarms over the API: who sees them, and what each verb answers."""

import pytest
from django.contrib.auth.models import User

from payments.models import Alarm, Program, Stop
from payments.payout import alarms
from tests import factories
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def treasurer(program: Program) -> User:
    return factories.make_member(program, "treasurer")


class TestStops:
    def test_are_thrown_and_lifted_by_two_people(self, api: Api, auditor: User, treasurer: User) -> None:
        thrown = api(auditor).post("/api/v1/stops/", {"reason": "Look."})
        assert (thrown.status_code, thrown.json()["is_open"]) == (201, True)
        again = api(treasurer).post("/api/v1/stops/", {"reason": "Look."})
        assert (again.status_code, again.json()["code"]) == (409, "already_stopped")
        path = f"/api/v1/stops/{thrown.json()['id']}/lift/"
        own = api(auditor).post(path, {"reason": "Fine."})
        assert (own.status_code, own.json()["code"]) == (403, "role_missing")
        lifted = api(treasurer).post(path, {"reason": "Fine."})
        assert (lifted.status_code, lifted.json()["lifted_by"]) == (200, treasurer.username)
        listed = api(auditor).get("/api/v1/stops/").json()["results"]
        assert [row["id"] for row in listed] == [thrown.json()["id"]]

    def test_are_nobody_elses_business(self, api: Api, officer: User, treasurer: User) -> None:
        refused = api(officer).post("/api/v1/stops/", {"reason": "Look."})
        assert (refused.status_code, Stop.objects.count()) == (403, 0)
        stop = api(treasurer).post("/api/v1/stops/", {"reason": "Look."}).json()
        assert api(officer).get("/api/v1/stops/").json()["results"] == []
        lift = api(officer).post(f"/api/v1/stops/{stop['id']}/lift/", {"reason": "x"})
        assert lift.status_code == 404
        assert Stop.objects.get().is_open

    def test_refuse_unknown_fields(self, api: Api, treasurer: User) -> None:
        answer = api(treasurer).post("/api/v1/stops/", {"reason": "x", "is_open": False})
        assert (answer.status_code, Stop.objects.count()) == (400, 0)


class TestAlarms:
    def test_of_other_programs_are_not_found(self, api: Api, program: Program, outsider: User) -> None:
        alarm = alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits.")
        for verb, path in (("get", ""), ("post", "take/"), ("post", "close/")):
            answer = getattr(api(outsider), verb)(f"/api/v1/alarms/{alarm.pk}/{path}", {})
            assert answer.status_code == 404
        assert api(outsider).get("/api/v1/alarms/").json()["results"] == []
        assert Alarm.objects.get().owner is None

    def test_are_taken_and_closed_with_what_was_found(
        self, api: Api, program: Program, treasurer: User
    ) -> None:
        alarm = alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits.")
        client = api(treasurer)
        assert client.post(f"/api/v1/alarms/{alarm.pk}/take/", {}).json()["owner"] == treasurer.username
        assert client.get(f"/api/v1/alarms/{alarm.pk}/").json()["times"] == 1
        empty = client.post(f"/api/v1/alarms/{alarm.pk}/close/", {"note": " "})
        assert empty.status_code in (400, 422)
        assert Alarm.objects.get().closed_at is None
        closed = client.post(f"/api/v1/alarms/{alarm.pk}/close/", {"note": "Bumped."})
        assert (closed.status_code, closed.json()["close_note"]) == (200, "Bumped.")
        again = client.post(f"/api/v1/alarms/{alarm.pk}/take/", {})
        assert (again.status_code, again.json()["code"]) == (409, "alarm_closed")
        assert client.get("/api/v1/alarms/?is_open=true").json()["results"] == []

    def test_of_a_stop_close_with_it_only(self, api: Api, treasurer: User) -> None:
        api(treasurer).post("/api/v1/stops/", {"reason": "Look."})
        alarm = Alarm.objects.get()
        answer = api(treasurer).post(f"/api/v1/alarms/{alarm.pk}/close/", {"note": "x"})
        assert (answer.status_code, answer.json()["code"]) == (409, "alarm_goes_on")
        assert Alarm.objects.get().closed_at is None

    def test_are_not_closed_by_an_auditor(self, api: Api, program: Program, auditor: User) -> None:
        alarm = alarms.sound("payout_stuck", subject="payout", program_id=program.pk, message="It waits.")
        answer = api(auditor).post(f"/api/v1/alarms/{alarm.pk}/close/", {"note": "x"})
        assert answer.status_code == 403
        assert Alarm.objects.get().closed_at is None
