"""Periods through the API, the admin and the command: each makes the one call, and refuses what it refuses."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from ledger import books, chart, periods, selectors
from ledger.books import Draft, Line
from ledger.models import Period, PeriodChange
from tests import factories

OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
CODES = chart.program_accounts(7)

pytestmark = pytest.mark.django_db


def status(name: str = "2026-10") -> str:
    return str(selectors.get_period(name).status)


def digest(name: str = "2026-10") -> str:
    return periods.figures(selectors.get_period(name)).digest.hex()


def run(*arguments: str) -> str:
    """Run the command; return what it printed."""
    output = io.StringIO()
    call_command("period", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def dalia() -> User:
    """Closes."""
    return factories.make_user("dalia", periods.RIGHT, "ledger.view_entry")


@pytest.fixture
def emil() -> User:
    """Seals."""
    return factories.make_user("emil", periods.RIGHT, "ledger.view_entry")


@pytest.fixture
def reader() -> User:
    """Looks."""
    return factories.make_user("reader", "ledger.view_entry")


@pytest.fixture
def october(dalia: User) -> Period:
    """October is over and open, with a deposit in it."""
    chart.open_program(7)
    period = periods.open_next(by=dalia, name="2026-10", ends_at=NOVEMBER)
    lines = [Line(CODES.hot_wallet, 5), Line(CODES.appropriation, -5)]
    books.post(
        [
            Draft(
                kind="funding",
                scope="program:7",
                idempotency_key="october",
                lines=lines,
                effective_at=OCTOBER,
                actor="engine",
            )
        ]
    )
    return period


class TestApi:
    def get(self, user: User, path: str) -> Any:
        client = APIClient()
        client.force_authenticate(user)
        return client.get(f"/api/v1/{path}")

    def test_lists_periods_and_shows_what_was_done(
        self, reader: User, dalia: User, emil: User, october: Period
    ) -> None:
        shown = {
            "id": october.pk,
            "name": "2026-10",
            "starts_at": None,
            "ends_at": "2026-11-01T00:00:00Z",
            "status": "open",
            "opened_by": "dalia",
        }
        assert self.get(reader, "periods/").json()["results"] == [shown]
        closed = periods.close(by=dalia, name="2026-10", note="All in")
        sealed = periods.seal(by=emil, name="2026-10", digest=bytes.fromhex(digest()))
        found = self.get(reader, f"periods/{october.pk}/").json()
        times = [change.pop("recorded_at") for change in found["changes"]]
        assert [datetime.fromisoformat(at) for at in times] == [closed.recorded_at, sealed.recorded_at]
        through = closed.through_entry_id
        assert found == shown | {
            "status": "sealed",
            "changes": [
                {
                    "status": "closing",
                    "actor": "dalia",
                    "note": "All in",
                    "through_entry_id": through,
                    "digest": None,
                    "leaf": None,
                },
                {
                    "status": "sealed",
                    "actor": "emil",
                    "note": "",
                    "through_entry_id": through,
                    "digest": digest(),
                    "leaf": None,
                },
            ],
        }

    def test_shows_them_to_readers_of_the_books_only(self, officer: User, october: Period) -> None:
        for path in ("periods/", f"periods/{october.pk}/"):
            assert self.get(officer, path).status_code == 403
        assert APIClient().get("/api/v1/periods/").status_code == 401

    def test_knows_no_other(self, reader: User) -> None:
        assert self.get(reader, "periods/1/").status_code == 404


@pytest.mark.usefixtures("october")
class TestCommand:
    def test_closes_shows_and_seals(self, emil: User) -> None:
        assert run("list") == "2026-10: open, the beginning to 2026-11-01T00:00:00+00:00\n"
        run("close", "2026-10", "--by", "dalia", "--note", "All in")
        assert f'"digest": "{digest()}"' in run("figures", "2026-10")
        run("seal", "2026-10", "--by", "emil", "--digest", digest())
        assert run("check", "2026-10") == "The books of 2026-10 are what was sealed.\n"
        run("open", "2026-11", "--by", "emil", "--ends-at", "2026-12-01")
        assert run("list").splitlines() == [
            "2026-10: sealed, the beginning to 2026-11-01T00:00:00+00:00",
            "2026-11: open, 2026-11-01T00:00:00+00:00 to 2026-12-01T00:00:00+00:00",
        ]

    def test_opens_again(self) -> None:
        run("close", "2026-10", "--by", "dalia")
        run("reopen", "2026-10", "--by", "dalia", "--note", "One is missing")
        assert status() == "open"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["close"], "Name the period."),
            (["close", "2026-10"], "Say who decides"),
            (["close", "2026-10", "--by", "nobody"], "no active user nobody"),
            (["close", "2026-10", "--by", "reader"], "^forbidden: This needs the permission"),
            (["close", "2031-01", "--by", "dalia"], "^not_found: There is no period 2031-01."),
            (["seal", "2026-10", "--by", "dalia"], "needs --digest"),
            (["seal", "2026-10", "--by", "dalia", "--digest", "xyz"], "--digest cannot be 'xyz'"),
            (["seal", "2026-10", "--by", "dalia", "--digest", "00"], "^period_state: 2026-10 is open"),
            (["open", "2026-11", "--by", "dalia", "--ends-at", "soon"], "--ends-at cannot be 'soon'"),
            (
                ["open", "2026-11", "--by", "dalia", "--ends-at", "2026-10-31"],
                "^invalid_input: It must end after",
            ),
            (["figures", "2026-10"], "^period_state: 2026-10 is open"),
            (["check", "2026-10"], "^period_state: 2026-10 is not sealed."),
        ],
    )
    def test_says_what_is_wrong(self, reader: User, arguments: list[str], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            run(*arguments)
        assert (Period.objects.count(), PeriodChange.objects.count()) == (1, 0)

    def test_names_the_code_of_each_refusal(self, dalia: User, emil: User) -> None:
        def refusal(*arguments: str) -> str:
            with pytest.raises(CommandError) as caught:
                run(*arguments)
            return str(caught.value)

        periods.open_next(by=dalia, name="9998", ends_at=datetime(9998, 1, 1, tzinfo=UTC))
        assert refusal("close", "9998", "--by", "dalia") == (
            "period_not_over: 9998 is not over: it ends at 9998-01-01T00:00:00+00:00."
        )
        run("close", "2026-10", "--by", "dalia")
        assert refusal("seal", "2026-10", "--by", "dalia", "--digest", digest()) == (
            "same_person_twice: dalia closed 2026-10; a second person seals it."
        )
        wrong = refusal("seal", "2026-10", "--by", "emil", "--digest", "00" * 32)
        assert wrong.startswith("period_changed: The figures of 2026-10 are not")
        run("seal", "2026-10", "--by", "emil", "--digest", digest())
        reopened = refusal("reopen", "2026-10", "--by", "dalia")
        assert reopened == "period_state: 2026-10 is sealed, not closing."


class TestAdmin:
    def browse(self, user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    def url(self, period: Period, verb: str) -> str:
        return f"/admin/ledger/period/{period.pk}/{verb}/"

    def test_opens_closes_and_seals(self, dalia: User, emil: User) -> None:
        wrong = self.browse(dalia).post("/admin/ledger/period/open/", {"name": "2026-10", "ends_at": "soon"})
        assert (wrong.status_code, Period.objects.count()) == (422, 0)
        asked = {"name": "2026-10", "ends_at": "2026-11-01T00:00"}
        assert self.browse(dalia).post("/admin/ledger/period/open/", asked).status_code == 302
        period = Period.objects.get(ends_at=NOVEMBER)
        assert self.browse(dalia).post(self.url(period, "close"), {"note": "All in"}).status_code == 302
        page = self.browse(emil).get(self.url(period, "seal"))
        assert digest() in page.content.decode()
        answer = self.browse(dalia).post(self.url(period, "seal"), {"digest": digest()})
        assert (answer.status_code, status()) == (422, "closing")
        assert "a second person seals it" in answer.content.decode()
        assert self.browse(emil).post(self.url(period, "seal"), {"digest": digest()}).status_code == 302
        assert status() == "sealed"
        text = self.browse(emil).get(f"/admin/ledger/period/{period.pk}/change/").content.decode()
        assert digest() in text

    def test_seals_no_other_figures_than_those_that_were_shown(
        self, dalia: User, emil: User, october: Period
    ) -> None:
        periods.close(by=dalia, name="2026-10")
        for shown in ("00" * 32, "", "x"):
            answer = self.browse(emil).post(self.url(october, "seal"), {"digest": shown})
            assert (answer.status_code, status()) == (422, "closing")

    def test_opens_again(self, dalia: User, october: Period) -> None:
        periods.close(by=dalia, name="2026-10")
        assert self.browse(dalia).post(self.url(october, "reopen"), {"note": "x"}).status_code == 302
        assert status() == "open"
        assert self.browse(dalia).get(self.url(october, "seal")).status_code == 302

    def test_lets_readers_look_and_no_more(self, reader: User, dalia: User, october: Period) -> None:
        periods.close(by=dalia, name="2026-10")
        client = self.browse(reader)
        text = client.get(f"/admin/ledger/period/{october.pk}/change/").content.decode()
        assert "Closing" in text
        assert self.url(october, "seal") not in text
        assert (
            self.url(october, "seal")
            in self.browse(dalia).get(f"/admin/ledger/period/{october.pk}/change/").content.decode()
        )
        for verb in ("close", "reopen", "seal"):
            assert client.post(self.url(october, verb), {"digest": digest()}).status_code == 403
        assert (
            client.post("/admin/ledger/period/open/", {"name": "x", "ends_at": "2027-01-01"}).status_code
            == 403
        )
        assert (Period.objects.count(), PeriodChange.objects.count()) == (1, 1)

    def test_tells_nothing_to_who_does_not_read_the_books(self, dalia: User, october: Period) -> None:
        periods.close(by=dalia, name="2026-10")
        stranger = self.browse(factories.make_user("stranger", periods.RIGHT))
        for verb in ("close", "reopen", "seal"):
            for answer in (
                stranger.get(self.url(october, verb)),
                stranger.post(self.url(october, verb), {"digest": digest()}),
            ):
                assert answer.status_code == 403, verb
                assert digest() not in answer.content.decode()
        assert stranger.get("/admin/ledger/period/open/").status_code == 403
        assert PeriodChange.objects.count() == 1
